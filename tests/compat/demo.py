"""The real proxy in front of the real mock, for suites that drive them as users do."""

import os
import shlex
import subprocess
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

__all__ = ["ADAPTER", "BASE_MODEL", "anyio_backend", "base_url", "locked_url", "running_demo"]

BASE_MODEL = "meta-llama/Meta-Llama-3.1-8B-Instruct"
"""What the mock says that it serves."""

ADAPTER = "acme/pirate"
"""One of the demo's adapters, whose voice its name is in."""

_COMMAND = os.environ.get(
    "LORAX_PROXY_COMMAND", str(Path(__file__).parents[2] / ".venv/bin/lorax-proxy")
)


@contextmanager
def running_demo(*options: str) -> Generator[str]:
    """Start `lorax-proxy serve --demo` on a free port; give its base URL, with `/v1`."""
    # the proxy refuses variables of its own prefix that it does not know, our command's among them
    environment = {k: v for k, v in os.environ.items() if not k.startswith("LORAX_")}
    command = [*shlex.split(_COMMAND), "serve", "--demo", "--port", "0", *options]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert "http://" in line, "the demo did not start; its own message is above"
        try:
            yield next(word for word in line.split() if word.startswith("http://"))
        finally:
            process.terminate()


@pytest.fixture(scope="session")
def base_url() -> Iterator[str]:
    """The base URL of a running demo."""
    with running_demo() as url:
        yield url


@pytest.fixture(scope="session")
def locked_url() -> Iterator[str]:
    """The base URL of a demo whose key is `open-sesame`."""
    with running_demo("--api-key", "open-sesame") as url:
        yield url


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Async tests run on asyncio."""
    return "asyncio"
