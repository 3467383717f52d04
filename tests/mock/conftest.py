"""A running mock for every test that wants a socket."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

__all__ = ["Running", "events"]


@dataclass(frozen=True)
class Running:
    """A mock process and a client for it."""

    url: str
    announced: dict[str, Any]
    process: subprocess.Popen[str]
    http: httpx.Client


def events(text: str) -> list[dict[str, Any]]:
    """The JSON of each event of a stream."""
    return [json.loads(part.removeprefix("data: ")) for part in text.split("\n\n") if part]


def _start(*options: str, environment: Mapping[str, str] | None = None) -> Running:
    # tethered: a run that is killed leaves no server behind
    tether = [sys.executable, "-m", "lorax_mock.testing.tether"]
    command = [*tether, "lorax_mock", "serve", "--port", "0", "--announce", "json"]
    process = subprocess.Popen(
        [*command, *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **(environment or {})},
    )
    assert process.stdout is not None
    announced = json.loads(process.stdout.readline())
    url = announced["url"]
    return Running(url, announced, process, httpx.Client(base_url=url, timeout=10))


def _stop(running: Running) -> None:
    running.http.close()
    if running.process.poll() is None:
        running.process.terminate()
    assert running.process.wait(5) == 0
    for pipe in (running.process.stdin, running.process.stdout):
        if pipe is not None:
            pipe.close()


@pytest.fixture(scope="session")
def mock() -> Iterator[Running]:
    """One mock with default settings for all tests that leave it as it was."""
    running = _start()
    yield running
    _stop(running)


@pytest.fixture
def start_mock() -> Iterator[Callable[..., Running]]:
    """Starts mocks with options of the test's own."""
    started: list[Running] = []

    def start(*options: str, environment: Mapping[str, str] | None = None) -> Running:
        started.append(_start(*options, environment=environment))
        return started[-1]

    yield start
    for running in started:
        _stop(running)
