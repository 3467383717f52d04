"""A short soak: the mix of `make soak`, for some seconds, in both transports."""

import pytest

from tests.soak.judging import Verdict
from tests.soak.running import Options, soak


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("transport", ["direct", "httpx"])
async def test_nothing_is_lost_doubled_falsely_complete_or_refused(transport: str) -> None:
    """Every answer is what the mock was scripted to say, and everything is let go of at the end."""
    report = await soak(Options(seconds=8, clients=16, kept=50, deaf=10, transport=transport))
    assert report.faults() == [], report.lines()
    assert report.count(Verdict.RIGHT) > 20
    assert report.probes
