"""`make quick`: the tests that stand nearest to what changed, ten seconds of them.

What changed is what differs from where this branch left `main`, committed or not. A module's tests
are its mirror (tests/repo/mirrors.py), or those that the list of exceptions there names; a test file
is its own; a module of the tests themselves has the test file beside it. What has none is named: a
change that is felt elsewhere is found by `make test`. Tests marked slow are left out, properties get few
examples, and what has not begun within the ten seconds is not run, which is told and no success.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import typer

from tests.repo.mirrors import TESTED_ELSEWHERE, mirror_of
from tests.repo.tree import PACKAGES, ROOT

__all__ = ["changed", "nearest"]

_SECONDS = 10
_OPTIONS = ("-m", "not slow", "-q", f"--session-timeout={_SECONDS}")


def changed(root: Path) -> list[str]:
    """The files that are not as on `main` when this branch left it; on `main`, as committed."""
    base = _git(root, "merge-base", "HEAD", "main").strip() or "HEAD"
    differing = _git(root, "diff", "--name-only", "-z", base)
    added = _git(root, "ls-files", "--others", "--exclude-standard", "-z")
    names = sorted({*differing.split("\0"), *added.split("\0")} - {""})
    return [name for name in names if (root / name).is_file()]


def nearest(name: str, root: Path) -> Iterator[str]:
    """The test files that stand nearest to a file; none for one that only the whole suite tries."""
    path = Path(name)
    if path.suffix != ".py" or path.is_relative_to("tests/compat"):
        return
    if path.name.startswith("test_"):
        yield name
    elif path.is_relative_to("tests"):
        yield from _there(root, path.parent / mirror_of(Path(path.name)))
    for package, folder in PACKAGES.items():
        source = Path(folder, package)
        if path.is_relative_to(source):
            yield from _there(root, Path("tests", folder) / mirror_of(path.relative_to(source)))
            for test in re.findall(r"\btest_\w+", TESTED_ELSEWHERE.get(name, "")):
                found = (root / "tests" / folder).rglob(f"{test}.py")
                yield from (path.relative_to(root).as_posix() for path in sorted(found))


def _there(root: Path, test: Path) -> Iterator[str]:
    if (root / test).is_file():
        yield test.as_posix()


def _git(root: Path, *arguments: str) -> str:
    """What git says; nothing when it cannot, as without a branch `main`."""
    done = subprocess.run(
        ["git", *arguments], cwd=root, check=False, capture_output=True, text=True
    )
    return done.stdout if done.returncode == 0 else ""


def _run(tests: Sequence[str], options: Sequence[str]) -> int:
    command = [sys.executable, "-m", "pytest", *_OPTIONS, *options, *tests]
    environment = {"HYPOTHESIS_PROFILE": "quick", **os.environ}
    code = subprocess.run(command, cwd=ROOT, check=False, env=environment).returncode
    # 5: nothing but slow tests there, which is as good as nothing changed
    return 0 if code == 5 else code


def main() -> None:
    """Say what is run, and run it; further arguments are pytest's."""
    found = {name: list(nearest(name, ROOT)) for name in changed(ROOT)}
    for name, tests in found.items():
        if not tests:
            typer.echo(f"{name}: no test file of its own")
    tests = sorted({test for each in found.values() for test in each})
    if not tests:
        typer.echo("nothing to run here; make test" if found else "nothing has changed")
        return
    typer.echo(f"within {_SECONDS} seconds: {' '.join(tests)}")
    sys.exit(_run(tests, sys.argv[1:]))


if __name__ == "__main__":
    main()
