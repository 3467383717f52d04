"""The command that `make mutants` runs."""

import subprocess
import sys

import pytest

from tests.house.tree import ROOT


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
def test_a_function_is_judged() -> None:
    """Its tests kill every mutant: the table says so, and the command succeeds."""
    done = mutants("stops", "--only", "StopCutter.finish")
    assert "lorax_proxy.core.stops" in done.stdout
    assert "100.0 %" in done.stdout
    assert done.returncode == 0
