"""Probes of plain chat."""

import pytest

from lorax_contracts.probes import chat
from lorax_contracts.session import Session
from tests.contracts.inprocess import InProcess
from tests.contracts.planted import DEVIATIONS, Deviation
from tests.contracts.reference import Asked, Said, openai

FAMILY = [
    one
    for one in DEVIATIONS
    if one.law
    in {
        "OAI-ACCEPT-001",
        "OAI-USAGE-004",
        "OAI-ACCEPT-002",
        "OAI-ACCEPT-007",
        "OAI-ACCEPT-009",
        "OAI-CHAT-003",
        "OAI-STOP-002",
        "OAI-CHAT-011",
        "OAI-ACCEPT-003",
        "OAI-FINISH-004",
    }
]


def session(deviation: Deviation | None = None) -> Session:
    """A run against the correct server, or a planted one."""
    server = InProcess(deviation or openai)
    server.base += "/v1"
    return Session(server, wire="openai", model="acme/poet", strict=True)


def probe(run: Session) -> None:
    """All of this family."""
    whole = chat.probe_chat(run)
    if whole is not None:
        chat.probe_stops(run, whole)
    chat.probe_accepted(run)


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


def test_a_server_that_does_not_repeat_itself_is_not_compared() -> None:
    """The comparison is left out and said to be."""
    numbers = iter(range(999))

    def fickle(asked: Asked) -> Said:
        if isinstance(asked.document, dict):
            asked.document["seed"] = next(numbers)
        return openai(asked)

    run = Session(InProcess(fickle), wire="openai", model="acme/poet")
    assert chat.probe_chat(run) is None
    assert [one.group for one in run.skipped] == ["repetition"]
