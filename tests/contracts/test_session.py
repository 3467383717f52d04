"""A session keeps the smallest proof of each law."""

from lorax_contracts.exchange import Exchange, Finding
from lorax_contracts.session import Session
from tests.contracts import samples
from tests.contracts.inprocess import InProcess
from tests.contracts.reference import Asked, Said, openai


def session(*, strict: bool = False) -> Session:
    """On the correct server."""
    return Session(InProcess(openai), wire="openai", model="acme/poet", strict=strict)


def test_the_smaller_request_wins() -> None:
    """Of two proofs the reader gets the shorter."""
    small = samples.golden("chat_plain")
    large = samples.asking(small, user="x" * 99)
    run = session()
    run.found(Finding("OAI-CHAT-001", "large", exchange=large))
    run.found(Finding("OAI-CHAT-001", "small", exchange=small))
    run.found(Finding("OAI-CHAT-001", "large again", exchange=large))
    assert [one.message for one in run.findings] == ["small"]


def test_our_own_promises_are_judged_when_asked_for() -> None:
    """--strict."""
    finding = Finding("OAI-ERR-009", "x", exchange=samples.golden("refused_range"))
    plain, strict = session(), session(strict=True)
    plain.found(finding)
    strict.found(finding)
    assert plain.findings == []
    assert [one.law for one in strict.findings] == ["OAI-ERR-009"]


def test_every_reply_is_judged_as_it_comes() -> None:
    """A probe only chooses requests."""
    run = Session(
        InProcess(lambda asked: _renamed(openai(asked))), wire="openai", model="acme/poet"
    )
    run.chat("Hi")
    assert [one.law for one in run.findings] == ["OAI-CHAT-002"]


def _renamed(said: Said) -> Said:
    said.document["object"] = "x"
    return said


def test_a_wrong_envelope_counts_under_the_law_of_its_place() -> None:
    """An unknown path's web page is that law's matter."""
    run = Session(InProcess(_page), wire="openai")
    run.ask("GET", "/no-such-path", envelope="OAI-ERR-007")
    assert [one.law for one in run.findings] == ["OAI-ERR-007"]


def _page(asked: Asked) -> Said:
    said = openai(asked)
    said.raw = b"<html>"
    return said


def test_what_does_not_show_again_is_not_kept() -> None:
    """Greedy answers of real servers differ now and then; a promise is broken each time."""
    run = session()
    first, second = run.chat("One"), run.chat("Two")
    shown = iter([["OAI-STREAM-025", "OAI-STREAM-026"], ["OAI-STREAM-026"]])

    def relation(*exchanges: Exchange) -> list[Finding]:
        assert [one.asked["messages"][0]["content"] for one in exchanges] == ["One", "Two"]
        return [Finding(law, "x", exchange=exchanges[1]) for law in next(shown)]

    run.compare(relation, first, second)
    assert [one.law for one in run.findings] == ["OAI-STREAM-026"]
    run.compare(lambda *_: [], first, second)
