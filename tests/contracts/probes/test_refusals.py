"""Probes of what must be refused."""

import pytest

from lorax_contracts.probes import refusals
from lorax_contracts.session import Session
from tests.contracts.inprocess import InProcess
from tests.contracts.planted import DEVIATIONS, Deviation
from tests.contracts.reference import openai

FAMILY = [
    one
    for one in DEVIATIONS
    if one.law
    in {
        "OAI-ERR-003",
        "OAI-ERR-007",
        "OAI-ERR-006",
        "OAI-ERR-002",
        "OAI-MODELS-004",
        "OAI-ERR-004",
        "OAI-ERR-001",
        "OAI-ERR-005",
    }
]


def session(deviation: Deviation | None = None) -> Session:
    """A run against the correct server, or a planted one."""
    server = InProcess(deviation or openai)
    server.base += "/v1"
    return Session(server, wire="openai", model="acme/poet", strict=True)


def probe(run: Session) -> None:
    """All of this family."""
    refusals.probe_refusals(run)


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
