"""Probes of tools, structured output and log probabilities."""

from lorax_contracts.probes import chat_options
from tests.contracts.planted import Deviation
from tests.contracts.probes.family import broken, each_of, quiet

PROBES = (chat_options.probe_tools, chat_options.probe_json, chat_options.probe_logprobs)


def test_it_finds_nothing_on_a_correct_server() -> None:
    """No false alarm."""
    assert quiet(*PROBES)


@each_of(
    "OAI-ACCEPT-004",
    "OAI-ACCEPT-005",
    "OAI-ACCEPT-006",
    "OAI-ACCEPT-008",
    "OAI-JSON-001",
    "OAI-JSON-002",
    "OAI-LOGP-001",
    "OAI-LOGP-002",
    "OAI-LOGP-004",
    "OAI-TOOL-001",
    "OAI-TOOL-002",
    "OAI-TOOL-003",
    "OAI-TOOL-004",
    "OAI-TOOL-005",
)
def test_it_finds_its_own_family(deviation: Deviation) -> None:
    """Without the help of other probes."""
    assert deviation.law in broken(deviation, *PROBES)
