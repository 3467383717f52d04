"""A session keeps the smallest proof of each law."""

import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from lorax_contracts.check import Options, check_server
from lorax_contracts.exchange import End, Exchange, Finding
from lorax_contracts.judge.completions import judge_completion, judge_completion_stream
from lorax_contracts.judge.logprobs import judge_logprobs
from lorax_contracts.probes.chat_options import TOOLS
from lorax_contracts.session import Session
from tests.contracts import samples
from tests.contracts.inprocess import InProcess
from tests.contracts.reference import Asked, Said, openai


def session(*, strict: bool = False) -> Session:
    """On the correct server."""
    return Session(InProcess(openai), wire="openai", model="acme/poet", strict=strict)


def test_the_smaller_request_wins() -> None:
    """Of two proofs of one fault the reader gets the shorter; another fault is told beside it."""
    small = samples.golden("chat_plain")
    large = samples.asking(small, user="x" * 99)
    run = session()
    run.found(Finding("OAI-CHAT-001", "1 is no text", exchange=large))
    run.found(Finding("OAI-CHAT-001", "2 is no text", exchange=small))
    run.found(Finding("OAI-CHAT-001", "3 is no text", exchange=large))
    run.found(Finding("OAI-CHAT-001", "id is missing", exchange=large))
    assert [one.message for one in run.findings] == ["2 is no text", "id is missing"]


def test_a_request_that_repeats_wins_over_a_shorter_one() -> None:
    """Without a seed the command may show another answer, and malformed bodies are nobody's example."""
    seeded = samples.asking(samples.golden("chat_plain"), seed=7)
    sampled = replace(seeded, request={"model": "m", "messages": []})
    malformed = replace(seeded, request=None, request_text=b"[")
    for other in (sampled, malformed):
        run = session()
        run.found(Finding("OAI-HTTP-001", "no JSON", exchange=other))
        run.found(Finding("OAI-HTTP-001", "no JSON", exchange=seeded))
        assert [one.exchange for one in run.findings] == [seeded]


def test_an_ordinary_request_wins_over_whatever_is_shorter() -> None:
    """Well formed, to a published route, with a right key, and answered: what a reader would send."""
    plain = samples.asking(samples.golden("chat_plain"), seed=7)
    others = {
        "not well formed": replace(plain, request={"model": "m", "messages": [], "seed": 7}),
        "to no route": replace(plain, method="GET", path="/v1/no-such-path", request=None),
        "without a key": replace(
            plain,
            request={"model": "m", "messages": [{"role": "user", "content": ""}], "seed": 7},
            request_headers={"authorization": ""},
        ),
        "refused": replace(
            plain,
            status=404,
            request={"model": "m", "messages": [{"role": "user", "content": ""}], "seed": 7},
        ),
    }
    for name, other in others.items():
        for pair in ((plain, other), (other, plain)):
            run = session()
            for one in pair:
                run.found(Finding("OAI-HTTP-001", "no JSON", exchange=one))
            assert [one.exchange for one in run.findings] == [plain], name


def test_what_is_to_be_refused_is_judged_as_a_refusal_alone() -> None:
    """The answer to a question that nobody may ask has no right form."""
    run = Session(
        InProcess(lambda asked: _renamed(openai(asked))), wire="openai", model="acme/poet"
    )
    request = {"model": "acme/poet", "messages": [{"role": "user", "content": "Hi"}]}
    run.ask("POST", "/chat/completions", request, right=False)
    assert run.findings == []


def test_silence_is_a_fault_only_where_it_was_waited_for() -> None:
    """A reply that our own time was too short for is told as not judged."""
    for trouble, laws, skipped in (("no reply came", ["OAI-HTTP-004"], 0), ("", [], 1)):
        run = Session(_Silent(trouble), wire="openai", model="m")
        run.chat("Hi")
        run.chat("Hi")
        assert [one.law for one in run.findings] == laws
        assert len(run.skipped) == skipped


class _Silent(InProcess):
    """Says nothing."""

    def __init__(self, trouble: str) -> None:
        super().__init__(openai)
        self._trouble = trouble

    def ask(self, *given: Any, **how: Any) -> Exchange:
        said = super().ask(*given, **how)
        return replace(said, status=0, body=b"", end=End.LEFT, trouble=self._trouble)


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


def test_and_is_not_counted_again_where_errors_are_wrong_everywhere() -> None:
    """One cause, one count."""
    run = Session(InProcess(_page), wire="openai", model="acme/poet")
    run.ask("GET", "/no-such-path", envelope="OAI-ERR-007")
    run.ask("POST", "/chat/completions", {"model": "x"}, right=False)
    assert [one.law for one in run.findings] == ["OAI-ERR-001"]


def test_nor_where_that_law_alone_is_asked_for() -> None:
    """What is told with --only is told without it, too."""
    run = Session(InProcess(_page), wire="openai", model="acme/poet", only="OAI-ERR-007")
    run.ask("GET", "/no-such-path", envelope="OAI-ERR-007")
    assert [one.law for one in run.findings] == ["OAI-ERR-007"]
    run.ask("POST", "/chat/completions", {"model": "x"}, right=False)
    assert run.findings == []


def _page(asked: Asked) -> Said:
    said = openai(asked)
    said.raw = b"<html>"
    return said


def test_a_consequence_of_another_fault_is_not_told() -> None:
    """A stream that holds a call which no client can read says something else, and that is known."""
    run = session()
    first, second = (
        run.chat("One"),
        samples.edit_events(
            samples.tool_stream(),
            lambda d: d[1]["choices"][0]["delta"]["tool_calls"][0].update(index="x"),
        ),
    )
    run.compare(lambda *_: [Finding("OAI-STREAM-025", "x", exchange=second)], first, second)
    assert run.findings == []


def _stamped(asked: Asked, ticks: Callable[[int], bool]) -> Said:
    """A stream whose later events have another second, where `ticks` says so of the request's number."""
    said = openai(asked)
    for chunk in said.chunks[1:] if said.chunks and ticks(asked.number) else ():
        chunk["created"] += 1
    return said


@pytest.mark.parametrize("path", ["/chat/completions", "/completions"])
def test_a_second_that_turns_within_a_reply_is_found_each_time_or_never(path: str) -> None:
    """A time that is taken for each event differs by luck in a short stream, and always in a long one."""
    prompt: dict[str, Any] = (
        {"prompt": "Hi"}
        if path == "/completions"
        else {"messages": [{"role": "user", "content": "Hi"}]}
    )
    request = {"model": "acme/poet", "stream": True, "seed": 7, **prompt}
    told: list[list[str]] = []
    turns: list[int] = []
    luck: tuple[Callable[[int], bool], ...] = (
        lambda number: number == 2,
        lambda number: number != 2,
        lambda _: True,
    )
    for ticks in luck:
        asker = InProcess(functools.partial(_stamped, ticks=ticks))
        asker.base += "/v1"
        run = Session(asker, wire="openai", model="acme/poet")
        turns.clear()
        run.turn = functools.partial(turns.append, 1)
        for _ in range(3):
            run.ask("POST", path, request)
        told.append([one.law for one in run.findings])
        assert asker.requests == 3 + len(turns)
    law = "OAI-STREAM-007" if path == "/chat/completions" else "OAI-COMP-012"
    assert told == [[], [law], [law]]
    assert len(turns) == 1


def test_what_does_not_show_again_is_not_kept() -> None:
    """Greedy answers of real servers differ now and then; a promise is broken each time."""
    run = session()
    first, second = run.chat("One"), run.chat("Two")
    shown = iter([["OAI-STREAM-025", "OAI-FINISH-001"], ["OAI-FINISH-001"]])

    def relation(*exchanges: Exchange) -> list[Finding]:
        assert [one.asked["messages"][0]["content"] for one in exchanges] == ["One", "Two"]
        return [Finding(law, "x", exchange=exchanges[1]) for law in next(shown)]

    run.compare(relation, first, second)
    assert [one.law for one in run.findings] == ["OAI-FINISH-001"]
    run.compare(lambda *_: [], first, second)


def _stopped_calls(said: Said, index: int) -> Said:
    for one in said.document.get("choices", []):
        one["index"] = index
        one["finish_reason"] = "stop" if one["message"].get("tool_calls") else "length"
    return said


def test_a_law_that_was_silent_is_neither_broken_nor_kept() -> None:
    """What it takes for granted was broken where it might have spoken: that is said of it."""
    index = 7
    run = Session(
        InProcess(lambda asked: _stopped_calls(openai(asked), index)),
        wire="openai",
        model="acme/poet",
    )
    run.chat("Add.", tools=TOOLS)
    assert [one.law for one in run.findings] == ["OAI-CHAT-006"]
    (silent,) = run.skipped
    assert silent.group == "OAI-CHAT-006"
    assert silent.laws == {"OAI-FINISH-005"}
    assert silent.why == "broken, so that OAI-FINISH-005 cannot be judged"
    index = 0
    run.chat("Add.", tools=TOOLS)
    assert [one.law for one in run.findings] == ["OAI-CHAT-006", "OAI-FINISH-005"]
    assert run.skipped == []


def test_a_law_that_was_silent_alone_is_not_a_success() -> None:
    """Asked for by --only, it could not be judged, and the reason names what was broken."""
    server = InProcess(lambda asked: _index_seven(openai(asked), asked))
    verdict = check_server(server, Options(only="OAI-FINISH-005", model="acme/poet"))
    assert verdict.findings == ()
    assert verdict.why_not("OAI-FINISH-005").startswith("OAI-CHAT-006: broken")


def _index_seven(said: Said, asked: Asked) -> Said:
    plain = said.status == 200 and said.chunks is None and asked.path.endswith("/chat/completions")
    return _stopped_calls(said, 7) if plain else said


def test_a_law_is_left_out_where_each_of_its_rules_is() -> None:
    """Log probabilities of completions tell of the same law as those of chat."""
    run = session()
    run.skip("log probabilities", "refused", judge_logprobs)
    (chat,) = run.skipped
    assert chat.laws == {"OAI-LOGP-002", "OAI-LOGP-004"}
    run.skip("completions", "404", judge_completion, judge_completion_stream)
    assert "OAI-LOGP-003" in run.skipped[0].laws & run.skipped[1].laws
    assert "OAI-USAGE-001" not in run.skipped[1].laws
