"""The compiler that every test here asks."""

from collections.abc import Iterator

import pytest

from tests.judges.outlines.judging import Compiler


@pytest.fixture(scope="session")
def compiler() -> Iterator[Compiler]:
    """LoRAX's schema compiler, in a process of its own."""
    compiler = Compiler()
    yield compiler
    compiler.close()
