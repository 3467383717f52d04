"""Probes of streams."""

from lorax_contracts.probes import streams
from tests.contracts.planted import Deviation
from tests.contracts.probes.family import broken, each_of, quiet


def test_it_finds_nothing_on_a_correct_server() -> None:
    """No false alarm."""
    assert quiet(streams.probe_streams)


@each_of(
    "OAI-STREAM-003",
    "OAI-STREAM-005",
    "OAI-STREAM-006",
    "OAI-STREAM-009",
    "OAI-STREAM-010",
    "OAI-STREAM-013",
    "OAI-STREAM-014",
    "OAI-STREAM-015",
    "OAI-STREAM-025",
    "OAI-STREAM-026",
    but="finish reason lost beside logprobs",
)
def test_it_finds_its_own_family(deviation: Deviation) -> None:
    """Without the help of other probes."""
    assert deviation.law in broken(deviation, streams.probe_streams)
