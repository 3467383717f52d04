"""Probes of model lists, completions and embeddings."""

from lorax_contracts.probes import listings
from tests.contracts.planted import Deviation
from tests.contracts.probes.family import broken, each_of, quiet

PROBES = (listings.probe_models, listings.probe_completions, listings.probe_embeddings)


def test_it_finds_nothing_on_a_correct_server() -> None:
    """No false alarm."""
    assert quiet(*PROBES)


@each_of(
    "OAI-COMP-003",
    "OAI-COMP-006",
    "OAI-COMP-007",
    "OAI-COMP-008",
    "OAI-COMP-010",
    "OAI-EMB-001",
    "OAI-EMB-002",
    "OAI-EMB-003",
    "OAI-EMB-004",
    "OAI-MODELS-001",
    "OAI-MODELS-002",
    "OAI-MODELS-003",
    "OAI-MODELS-005",
)
def test_it_finds_its_own_family(deviation: Deviation) -> None:
    """Without the help of other probes."""
    assert deviation.law in broken(deviation, *PROBES)
