"""One demo for all tests, and one that wants a key."""

from collections.abc import Iterator

import pytest

from tests.compat.demo import running_demo


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
