"""What every test shares: the Hypothesis profiles and the event loop."""

import os

import pytest
from hypothesis import HealthCheck, Phase, settings

settings.register_profile("dev", max_examples=100, deadline=None)
# CI draws the same examples every time: a failure there is a failure here.
settings.register_profile("ci", max_examples=100, deadline=None, derandomize=True, print_blob=True)
# One long run of every law, `make deep`.
settings.register_profile(
    "deep",
    max_examples=100_000,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
# `make quick` looks in seconds; who wants to be sure runs `make test`.
settings.register_profile("quick", max_examples=10, deadline=None)
# `make mutants` asks thousands of times whether a test fails: alike each time, soon, and not at
# which smallest example.
settings.register_profile(
    "mutants",
    max_examples=40,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "dev"))


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Async tests run on asyncio, the loop that the programs run on."""
    return "asyncio"
