"""What `make` says before anything is installed."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.repo.readme import make_targets
from tests.repo.tree import ROOT


def _make(*arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["make", "--no-print-directory", *arguments],
        cwd=ROOT,
        env={**os.environ, **variables},
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_make_alone_lists_the_commands() -> None:
    """One line for each that a person would call."""
    listed = re.findall(r"^  make (\S+) +\S", _make().stdout, re.MULTILINE)
    assert (
        {"run", "test", "compat", "dev", "deep", "locks", "docs"} <= {*listed} <= make_targets(ROOT)
    )


@pytest.mark.parametrize("interpreter", ["/no/such/python", "cat"])
def test_a_wrong_interpreter_is_one_line(interpreter: str) -> None:
    """It says what is wrong with it and how to name another."""
    done = _make("python", f"PYTHON={interpreter}")
    line, *more = done.stderr.splitlines()
    assert line == (
        f"make: PYTHON={interpreter} is not Python 3.11 or newer; "
        "name another: make PYTHON=/path/to/python3"
    )
    # make's own last word
    assert len(more) == 1
    assert done.returncode == 2


def test_no_interpreter_at_all_is_one_line() -> None:
    """A machine without Python is told what to install."""
    line = _make("python", "PYTHON=").stderr.splitlines()[0]
    assert line.startswith("make: no Python 3.11 or newer found; install one")


def test_ci_runs_what_people_run() -> None:
    """CI has no commands of its own: the README's, then other Pythons and dependencies, the wheel, the compatibility suites, the pages."""
    lines = (ROOT / ".ci/run").read_text("utf-8").splitlines()
    assert [line.strip() for line in lines if line.strip().startswith("make")] == [
        "make test",
        "make pythons",
        "make oldest",
        "make wheel",
        "make compat",
        "make browser",
        "make docs",
    ]


def test_every_python_runs_the_short_suite_in_an_environment_of_its_own(tmp_path: Path) -> None:
    """Each of two is handed to `make short` with its place, and the first that fails ends it."""
    told = tmp_path / "python"
    told.write_text("#!/bin/sh\nprintf '3.98 /a/b c\\n3.99 /d\\n'\n", "utf-8")
    told.chmod(0o755)
    for stamp in ("run", "test"):
        (tmp_path / f"{stamp}.stamp").touch()
    inner = tmp_path / "make"
    inner.write_text('#!/bin/sh\necho "$@"\ntest ! -e $STOP\n', "utf-8")
    inner.chmod(0o755)
    arguments = ("pythons", f"VENV={tmp_path}", f"BIN={tmp_path}", f"MAKE={inner}")
    done = _make(*arguments, STOP="/no/such/file")
    lines = [
        "Python 3.98: /a/b c",
        "--no-print-directory short VENV=.venv-3.98 PYTHON=/a/b c",
        "Python 3.99: /d",
        "--no-print-directory short VENV=.venv-3.99 PYTHON=/d",
    ]
    assert (done.returncode, done.stdout.splitlines()) == (0, lines)
    failed = _make(*arguments, STOP=str(tmp_path))
    assert (failed.returncode, failed.stdout.splitlines()) == (2, lines[:2])


def test_the_short_suites_are_there() -> None:
    """Each of their paths exists."""
    text = (ROOT / "Makefile").read_text("utf-8").replace("\\\n", "")
    suites = re.findall(r"^(?:SHORT|OLDEST) := (.+)$", text, re.MULTILINE)
    assert len(suites) == 2
    for suite in suites:
        assert [path for path in suite.split() if not (ROOT / path).exists()] == []
