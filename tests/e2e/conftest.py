"""End to end, as a user has it: `lorax-proxy serve --demo`, and the openai SDK in front."""

import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from typing import IO

import pytest
from openai import AsyncOpenAI, OpenAI

__all__: list[str] = []


def _base_url(output: IO[str]) -> str:
    """The address that the command printed."""
    for line in output:
        if found := re.search(r"http://\S+/v1", line):
            return found.group()
    raise AssertionError("the demo ended before it said where it listens")


@pytest.fixture(scope="session")
def base_url() -> Iterator[str]:
    """A running demo's base URL."""
    demo = subprocess.Popen(
        [sys.executable, "-m", "lorax_proxy", "serve", "--demo", "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert demo.stdout is not None
    try:
        yield _base_url(demo.stdout)
    finally:
        demo.terminate()
        # what is left of its output is read, so that it never waits for a full pipe
        demo.stdout.read()
        demo.stdout.close()
        assert demo.wait(timeout=10) == 0


@pytest.fixture
def client(base_url: str) -> Iterator[OpenAI]:
    """The SDK as its users make it, but for repeating failed requests."""
    with OpenAI(base_url=base_url, api_key="unused", max_retries=0) as made:
        yield made


@pytest.fixture
async def async_client(base_url: str) -> AsyncIterator[AsyncOpenAI]:
    """The same for async code."""
    async with AsyncOpenAI(base_url=base_url, api_key="unused", max_retries=0) as made:
        yield made
