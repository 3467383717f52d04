"""Probes of tools, structured output and log probabilities."""

import pytest

from lorax_contracts.probes import extras
from lorax_contracts.session import Session
from tests.contracts.inprocess import InProcess
from tests.contracts.planted import DEVIATIONS, Deviation
from tests.contracts.reference import openai

FAMILY = [
    one
    for one in DEVIATIONS
    if one.law
    in {
        "OAI-TOOL-001",
        "OAI-JSON-002",
        "OAI-LOGP-001",
        "OAI-TOOL-003",
        "OAI-JSON-001",
        "OAI-LOGP-004",
        "OAI-TOOL-004",
        "OAI-ACCEPT-005",
        "OAI-ACCEPT-006",
        "OAI-TOOL-002",
        "OAI-TOOL-005",
        "OAI-LOGP-002",
        "OAI-ACCEPT-004",
        "OAI-ACCEPT-008",
    }
]


def session(deviation: Deviation | None = None) -> Session:
    """A run against the correct server, or a planted one."""
    server = InProcess(deviation or openai)
    server.base += "/v1"
    return Session(server, wire="openai", model="acme/poet", strict=True)


def probe(run: Session) -> None:
    """All of this family."""
    extras.probe_tools(run)
    extras.probe_json(run)
    extras.probe_logprobs(run)


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
