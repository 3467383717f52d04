"""The compiler that every test here asks."""

from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.compat.outlines.judging import Compiler

# A schema takes the compiler a third of a second: the 100,000 of the deep profile would take a day
# each. `HYPOTHESIS_PROFILE=deep make compat-outlines ARGS="-m property"` takes the better part of an hour.
DEEP = 3000

if settings.get_current_profile_name() == "deep":
    settings.register_profile("deep", settings.get_profile("deep"), max_examples=DEEP)
    settings.load_profile("deep")


@pytest.fixture(scope="session")
def compiler() -> Iterator[Compiler]:
    """LoRAX's schema compiler, in a process of its own."""
    compiler = Compiler()
    yield compiler
    compiler.close()
