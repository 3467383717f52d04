"""Exploration: seeded, shrinking, and content with what it may ask."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from lorax_contracts.client import Spent
from lorax_contracts.exchange import Exchange
from lorax_contracts.explore import explore
from lorax_contracts.session import Session
from tests.contracts.inprocess import InProcess
from tests.contracts.reference import Asked, Said, openai


def rare(asked: Asked) -> Said:
    """Loses the finish reason of streams with two choices and a presence penalty."""
    said = openai(asked)
    wanted = asked.document if isinstance(asked.document, dict) else {}
    if said.chunks and wanted.get("n") == 2 and "presence_penalty" in wanted:
        for event in said.chunks:
            for one in event["choices"]:
                one["finish_reason"] = None
    return said


def crashing(asked: Asked) -> Said:
    """Fails on a seed together with a user."""
    wanted = asked.document if isinstance(asked.document, dict) else {}
    said = openai(asked)
    if {"seed", "user"} <= set(wanted):
        error = {"message": "no", "type": "server_error", "param": None, "code": None}
        said.status, said.chunks, said.document = 500, None, {"error": error}
        said.headers["content-type"] = "application/json"
    return said


def explored(number: int, examples: int = 100) -> tuple[Session, InProcess]:
    """A run against the rare fault."""
    server = InProcess(rare)
    server.base += "/v1"
    session = Session(server, wire="openai", model="acme/poet")
    explore(session, server.ask, number=number, examples=examples)
    return session, server


@pytest.mark.slow
def test_a_fault_of_a_rare_combination_is_found_and_shrunk() -> None:
    """The request that shows it has what it takes and next to nothing else."""
    session, _ = explored(3)
    finding = next(one for one in session.findings if one.law == "OAI-STREAM-005")
    assert finding.exchange is not None
    request: dict[str, Any] = dict(finding.exchange.request)
    assert request.pop("stream") is True
    assert request.pop("n") == 2
    assert request.pop("presence_penalty") in {-1, 0, 1}
    assert len(request.pop("messages")) == 1
    assert set(request) <= {"model", "seed", "max_tokens", "max_completion_tokens"}


@pytest.mark.slow
def test_a_valid_request_that_crashes_the_server_is_found() -> None:
    """No probe sends this pair; the draw does."""
    session = Session(InProcess(crashing), wire="openai", model="acme/poet")
    server = InProcess(crashing)
    server.base += "/v1"
    explore(session, server.ask, number=0, examples=60)
    finding = next(one for one in session.findings if one.law == "OAI-ERR-010")
    assert finding.exchange is not None
    assert {"seed", "user"} <= set(finding.exchange.request)
    assert len(finding.exchange.request) <= 5


@pytest.mark.slow
def test_the_same_seed_asks_the_same() -> None:
    """And another seed does not."""
    asked = [[json.dumps(one.request) for one in explored(seed, 20)[1].asked] for seed in (5, 5, 6)]
    assert asked[0] == asked[1] != asked[2]


@pytest.mark.slow
def test_what_breaks_another_law_is_not_looked_into() -> None:
    """For one law alone no request is spent on making the proof of another smaller."""

    def asked(answer: Callable[[Asked], Said]) -> list[str]:
        server = InProcess(answer)
        server.base += "/v1"
        session = Session(server, wire="openai", model="acme/poet", only="OAI-CHAT-002")
        explore(session, server.ask, number=3, examples=100)
        assert session.findings == []
        return [json.dumps(one.request) for one in server.asked]

    assert asked(rare) == asked(openai)


def test_what_the_client_raises_ends_it() -> None:
    """The run's bounds hold inside Hypothesis too."""
    session = Session(InProcess(openai), wire="openai", model="acme/poet")

    def ask(method: str, path: str, request: Any) -> Exchange:
        raise Spent(f"no {method} {path} {request} any more")

    with pytest.raises(Spent):
        explore(session, ask, number=0, examples=5)
