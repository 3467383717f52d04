"""A command that ends when its parent does."""

import json
import os
import signal
import subprocess
import sys

_COMMAND = [sys.executable, "-m", "lorax_mock.testing.tether"]
_SERVE = ["lorax_mock", "serve", "--port=0", "--announce=json"]


def _serve() -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*_COMMAND, *_SERVE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def test_it_is_the_command_and_ends_with_its_stdin() -> None:
    """A tethered command has its own arguments, output and process id, and ends cleanly with its stdin."""
    with _serve() as child:
        assert child.stdout is not None
        assert child.stdin is not None
        assert json.loads(child.stdout.readline())["pid"] == child.pid
        child.stdin.write("what is written is not read as an end")
        child.stdin.flush()
        assert child.poll() is None
        child.stdin.close()
        assert child.wait(10) == 0


def test_signals_still_reach_the_command() -> None:
    """A signal reaches a tethered command as it would without the tether."""
    with _serve() as child:
        assert child.stdout is not None
        child.stdout.readline()
        os.kill(child.pid, signal.SIGTERM)
        assert child.wait(10) == 0


def test_without_a_command_it_says_how() -> None:
    """Without a command the tether prints its usage in one line."""
    ended = subprocess.run(_COMMAND, capture_output=True, text=True, check=False)
    assert ended.returncode != 0
    assert ended.stderr.strip() == "usage: python -m lorax_mock.testing.tether MODULE ARGUMENT..."
