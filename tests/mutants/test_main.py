"""The command that `make mutants` runs."""

import subprocess
import sys

import pytest

from tests.repo.tree import ROOT


def mutants(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Runs it."""
    return subprocess.run(
        [sys.executable, "-m", "tests.mutants", *arguments],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        timeout=100,
    )


def test_mutants_are_listed() -> None:
    """Each with its place, before anybody waits for a judgement."""
    done = mutants("stops", "--only", "StopCutter.finish", "--list")
    lines = done.stdout.splitlines()
    assert done.returncode == 0
    assert all(line.startswith("proxy/lorax_proxy/core/stops.py:") for line in lines)
    assert any(line.endswith(": StopCutter.finish: return held  ->  return None") for line in lines)


def test_an_unknown_module_is_named() -> None:
    """And so are those that there are."""
    done = mutants("stop")
    assert done.returncode == 2
    assert "no module 'stop' is mutated" in done.stderr


@pytest.mark.slow
def test_functions_are_judged() -> None:
    """Their tests kill every mutant: the table says so, and the command succeeds."""
    # the second module is loaded while the first is judged
    done = mutants("reader", "stops", "--only", "*.finish")
    rows = [line.split() for line in done.stdout.splitlines()[1:]]
    assert [(row[0], row[5], row[6]) for row in rows] == [
        ("lorax_proxy.core.tools.reader", "0", "100.0"),
        ("lorax_proxy.core.stops", "0", "100.0"),
        ("all", "0", "100.0"),
    ]
    assert done.returncode == 0
