"""What `make` says before anything is installed."""

import re
import subprocess

import pytest

from tests.house.readme import make_targets
from tests.house.tree import ROOT


def _make(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["make", "--no-print-directory", *arguments],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_make_alone_lists_the_commands() -> None:
    """One line for each that a person would call."""
    listed = re.findall(r"^  make (\S+) +\S", _make().stdout, re.MULTILINE)
    assert (
        {"run", "test", "judges", "dev", "deep", "locks", "docs"} <= {*listed} <= make_targets(ROOT)
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
    """CI has no commands of its own: the README's, then the judges."""
    lines = (ROOT / ".ci/run").read_text("utf-8").splitlines()
    assert [line for line in lines if line.startswith("make")] == ["make test", "make judges"]
