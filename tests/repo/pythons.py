"""The Pythons that pyproject.toml claims, and where each is on this machine: for `make pythons`.

Prints `VERSION PATH` for each but the one that runs this, and says on standard error which of them
are not here.
"""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import typer

from tests.repo.tree import ROOT

__all__ = ["candidates", "claimed", "runs"]

_CLAIM = re.compile(r"Programming Language :: Python :: (3\.\d+)")


def claimed(root: Path) -> list[str]:
    """The versions among the classifiers, such as `3.12`."""
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]
    return [found[1] for line in project["classifiers"] if (found := _CLAIM.fullmatch(line))]


def candidates(version: str, environment: Mapping[str, str], home: Path) -> Iterator[Path]:
    """Where an interpreter of a version may be: on the PATH, and among pyenv's, the newest first.

    pyenv's shims are on the PATH too, and run only when pyenv has been told so.
    """
    name = f"python{version}"
    for folder in environment.get("PATH", "").split(os.pathsep):
        if folder and (Path(folder) / name).exists():
            yield Path(folder) / name
    roots = [Path(environment["PYENV_ROOT"])] if environment.get("PYENV_ROOT") else []
    for root in dict.fromkeys([*roots, home / ".pyenv"]):
        found = root.glob(f"versions/{version}*/bin/{name}")
        yield from sorted(found, key=lambda path: _numbers(path.parts[-3]), reverse=True)


def runs(path: Path, version: str, *, with_pip: bool) -> bool:
    """Whether it starts, is of that version, and can make an environment (uv brings its own pip)."""
    ask = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        done = subprocess.run(
            [str(path), "-c", f"import ensurepip; {ask}" if with_pip else ask],
            check=False,
            capture_output=True,
            text=True,
            timeout=30,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and done.stdout.strip() == version


def _numbers(name: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", name)]


def _others(find: Callable[[str], Path | None]) -> Iterator[tuple[str, Path | None]]:
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    yield from ((version, find(version)) for version in claimed(ROOT) if version != here)


def main() -> None:
    """Print the other Pythons."""
    with_pip = shutil.which("uv") is None

    def find(version: str) -> Path | None:
        found = candidates(version, os.environ, Path.home())
        return next((path for path in found if runs(path, version, with_pip=with_pip)), None)

    for version, path in _others(find):
        if path is None:
            typer.echo(f"Python {version} is claimed, and not here: not tried", err=True)
        else:
            typer.echo(f"{version} {path}")


if __name__ == "__main__":
    main()
