"""Probes of model lists, completions and embeddings."""

import pytest

from lorax_contracts.probes import listings
from lorax_contracts.session import Session
from tests.contracts.inprocess import InProcess
from tests.contracts.planted import DEVIATIONS, Deviation
from tests.contracts.reference import openai

FAMILY = [
    one
    for one in DEVIATIONS
    if one.law
    in {
        "OAI-COMP-007",
        "OAI-COMP-006",
        "OAI-MODELS-002",
        "OAI-COMP-008",
        "OAI-MODELS-003",
        "OAI-EMB-001",
        "OAI-EMB-003",
        "OAI-MODELS-005",
        "OAI-MODELS-001",
        "OAI-EMB-004",
        "OAI-COMP-010",
        "OAI-COMP-003",
        "OAI-EMB-002",
    }
]


def session(deviation: Deviation | None = None) -> Session:
    """A run against the correct server, or a planted one."""
    server = InProcess(deviation or openai)
    server.base += "/v1"
    return Session(server, wire="openai", model="acme/poet", strict=True)


def probe(run: Session) -> None:
    """All of this family."""
    listings.probe_models(run)
    listings.probe_completions(run)
    listings.probe_embeddings(run)


def test_it_finds_nothing_on_a_correct_server() -> None:
    """No false alarm."""
    run = session()
    probe(run)
    assert run.findings == []
    assert run.skipped == []


@pytest.mark.parametrize("deviation", FAMILY, ids=[one.name for one in FAMILY])
def test_it_finds_its_own_family(deviation: Deviation) -> None:
    """Without the help of other probes."""
    run = session(deviation)
    probe(run)
    assert deviation.law in {one.law for one in run.findings}
