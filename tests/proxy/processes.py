"""`lorax-proxy` as operators run it: real processes, their lines and their ends."""

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import IO

__all__ = ["Running", "run", "started"]

PATIENCE = 60.0
"""Seconds after which a process that a test waits for has hung."""


def _command(*arguments: str) -> list[str]:
    """The command line of `lorax-proxy`, in this environment."""
    return [sys.executable, "-m", "lorax_proxy", *arguments]


def _environment(extra: Mapping[str, str]) -> dict[str, str]:
    """Ours, without settings of a proxy."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith("LORAX_PROXY_")}
    return {**kept, **extra}


def run(*arguments: str, **extra: str) -> subprocess.CompletedProcess[str]:
    """Run it to its end; keywords are environment variables."""
    return subprocess.run(
        _command(*arguments),
        env=_environment(extra),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


@dataclass
class Running:
    """A proxy that listens, and what it said until then."""

    process: subprocess.Popen[str]
    port: int
    said: str

    def end(self, number: signal.Signals) -> int:
        """Send a signal, and wait for the exit status."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)


@contextlib.contextmanager
def started(
    *arguments: str,
    port: int | None = 0,
    stderr: int | IO[bytes] = subprocess.DEVNULL,
    files: int | None = None,
    **extra: str,
) -> Generator[Running]:
    """Start it and wait for its address; it is killed at the end if it still runs.

    Args:
        arguments: Of `lorax-proxy serve`.
        port: Where it listens; None leaves it to the command.
        stderr: Where its log goes.
        files: The most files that it may have open.
        extra: Environment variables.
    """
    limited = () if files is None else ("prlimit", f"--nofile={files}:{files}")
    named = () if port is None else (f"--port={port}",)
    process = subprocess.Popen(
        [*limited, *_command("serve", *named, *arguments)],
        env=_environment(extra),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        # a group of its own: what it starts can be looked for, and a signal is for it alone
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        said = process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:(\d+)/v1", said)
        assert found, f"{said!r} tells no address; exit status {process.poll()}"
        yield Running(process, int(found[1]), said)
    finally:
        process.kill()
        process.wait(PATIENCE)
        assert process.stdout is not None
        process.stdout.close()
