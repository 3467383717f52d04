"""A request meets journal, script and headers."""

from collections.abc import MutableMapping
from typing import Any

import pytest

from lorax_mock.errors import LoraxRefusal
from lorax_mock.http.axum import Exchange
from lorax_mock.scripting.journal import Journal
from lorax_mock.scripting.rulebook import Rulebook
from lorax_mock.scripting.script import read_script
from lorax_mock.scripting.scripted_request import ScriptedRequest, begin
from lorax_mock.settings import Costs
from lorax_mock.wire.native import GenerateRequest


def _ask(script: str = "", journal: Journal | None = None, **headers: str) -> ScriptedRequest:
    async def receive() -> MutableMapping[str, Any]:
        raise AssertionError

    async def send(message: MutableMapping[str, Any]) -> None:
        raise AssertionError(message)

    named = [(f"x-lorax-mock-{key}".encode(), value.encode()) for key, value in headers.items()]
    scope = {"method": "POST", "path": "/generate", "headers": named}
    book = Rulebook()
    book.load(read_script(script))
    return begin(
        Exchange(scope, receive, send),
        GenerateRequest("hello"),
        stream=False,
        journal=journal or Journal(),
        rulebook=book,
        now=1.0,
    )


def test_the_script_decides_and_the_entry_says_so() -> None:
    """The entry of a request has its rule, fault and session."""
    scripted = _ask("rules: [{name: r, fault: crlf}]", session="s")
    assert (scripted.entry.rule, scripted.entry.fault, scripted.entry.session) == ("r", "crlf", "s")
    assert scripted.exchange.extra == [(b"x-lorax-mock-fault", b"crlf")]


def test_a_header_asks_for_a_fault_by_id() -> None:
    """A fault asked for by header beats the script's, and an unknown one is refused."""
    scripted = _ask("rules: [{fault: crlf}]", fault="overload:3")
    assert str(scripted.fault) == "overload:3"
    assert (b"retry-after", b"3") in scripted.exchange.extra
    assert scripted.entry.retry_after == 3
    journal = Journal()
    with pytest.raises(LoraxRefusal, match="did you mean 'overload'"):
        _ask(journal=journal, fault="overlode")
    assert journal.entries[0].status == 400


def test_a_pace_makes_an_answer_take_time() -> None:
    """A scripted pace replaces the server's costs and takes real time."""
    plain = _ask()
    assert plain.costs(Costs()) == Costs()
    assert not plain.paced(Costs())
    paced = _ask("rules: [{pace: {first_ms: 3}, fault: crlf}]")
    assert paced.paced(Costs())
    assert paced.costs(Costs()) == Costs(prefill_token=0, first=3, step=20, paced=True)
