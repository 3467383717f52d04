"""Probes of what must be refused."""

from lorax_contracts.probes import refusals
from tests.contracts.planted import Deviation
from tests.contracts.probes.family import broken, each_of, quiet


def test_it_finds_nothing_on_a_correct_server() -> None:
    """No false alarm."""
    assert quiet(refusals.probe_refusals)


@each_of(
    "OAI-ERR-001",
    "OAI-ERR-002",
    "OAI-ERR-003",
    "OAI-ERR-004",
    "OAI-ERR-005",
    "OAI-ERR-006",
    "OAI-ERR-007",
    "OAI-MODELS-004",
)
def test_it_finds_its_own_family(deviation: Deviation) -> None:
    """Without the help of other probes."""
    assert deviation.law in broken(deviation, refusals.probe_refusals)
