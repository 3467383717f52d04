"""What an open page is told, and that nothing is kept without one."""

import asyncio
import sys
from collections.abc import MutableMapping
from types import FrameType
from typing import Any

from lorax_mock.scripting.journal import Journal
from lorax_mock.server import watching as watching_module
from lorax_mock.server.app import MockApp, create_app
from lorax_mock.server.ticket import Ticket, Work
from lorax_mock.server.watching import Page, Watching, row
from lorax_mock.shard.jobs import Done, Failed, Job, Span, Step
from lorax_mock.wire.native import (
    FinishReason,
    Generated,
    GenerateParameters,
    GenerateRequest,
    MergedAdapters,
    Token,
)

_JOB = Job(7, 100.0, "acme/poet", 5, 4, 4)


def _sequence(count: int) -> Generated:
    tokens = [Token(place, f"t{place}", -0.5, special=False) for place in range(count)]
    return Generated("text", FinishReason.LENGTH, 5, None, (), tokens)


def _ticket(number: int = 7) -> Ticket:
    ticket = Ticket(Work("acme/poet", 5, 4, 4))
    ticket.number = number
    return ticket


def test_each_token_has_the_time_at_which_the_shard_gave_it() -> None:
    """From the arrival: one at the prefill's end, one with each step, however many steps are told at once."""
    watching = Watching()
    page = watching.enter()
    watching.arrived(_JOB, 3)
    watching.answering(3, [_sequence(4)], [_ticket()], scripted=False)
    watching.stepped(Step("prefill", 10.0, (7,), 1), None, 160.0)
    watching.stepped(Step("decode", 20.0, (7, 8), 3), None, 220.0)
    (answer,) = watching.answer(3) or []
    assert answer["times"] == [60.0, 80.0, 100.0, 120.0]
    assert [token["text"] for token in answer["tokens"]] == ["t0", "t1", "t2", "t3"]
    arrived, *spans = page.take()
    assert (arrived["kind"], arrived["serial"], arrived["at"]) == ("arrived", 3, 100.0)
    assert [(one["what"], one["start"], one["end"]) for one in spans] == [
        ("prefill", 150.0, 160.0),
        ("decode", 160.0, 220.0),
    ]


def test_a_scripts_pace_gives_the_times_of_its_tokens() -> None:
    """Off the shard the times are the script's."""
    watching = Watching()
    watching.enter()
    ticket = _ticket(0)
    watching.answering(1, [_sequence(3)], [ticket], scripted=True)
    assert (watching.answer(1) or [])[0]["times"] == []
    ticket.end(Done(Job(1, 0.0, "", 0, 3, 3), 0.0, 5.0, 25.0))
    assert (watching.answer(1) or [])[0]["times"] == [5.0, 15.0, 25.0]


def test_a_request_ends_with_its_times() -> None:
    """Queue, first token and the mean from token to token, in milliseconds; a single token has no mean."""
    watching = Watching()
    page = watching.enter()
    journal = Journal()
    for finished, tokens, step in ((200.0, 4, 20.0), (140.0, 1, None)):
        entry = journal.begin("/generate", GenerateRequest("hello"))
        ticket = _ticket()
        ticket.end(Done(Job(7, 100.0, "", 5, tokens, tokens), 130.0, 140.0, finished))
        watching.answering(entry.serial, [_sequence(tokens)], [ticket], scripted=False)
        watching.ended(entry)
        (told,) = page.take()
        assert (told["kind"], told["queue"], told["first"], told["step"]) == ("ended", 30, 40, step)


def test_who_leaves_or_fails_is_told() -> None:
    """Waiting sequences whose clients left, and all that a failed prefill ended."""
    watching = Watching()
    page = watching.enter()
    watching.stepped(Step("drop", 0.0, dropped=(4,)), None, 50.0)
    failed = Failed(1, (1, 2), (3,))
    watching.stepped(Step("prefill", 10.0, failed=(failed,)), None, 60.0)
    assert page.take() == [
        {"kind": "left", "ids": [4], "at": 50.0},
        {"kind": "spent", "what": "prefill", "start": 50.0, "end": 60.0, "adapter": None, "jobs": (), "steps": 0},
        {"kind": "left", "ids": [1, 2, 3], "at": 60.0},
    ]  # fmt: skip


def test_with_the_last_page_everything_is_forgotten() -> None:
    """Answers and times are there while any page is open."""
    watching = Watching()
    one, other = watching.enter(), watching.enter()
    watching.arrived(_JOB, 3)
    watching.answering(3, [_sequence(1)], [_ticket()], scripted=False)
    still = {"before": watching.open}
    watching.leave(one)
    still["one"] = watching.open
    assert watching.answer(3) is not None
    watching.leave(other)
    still["none"] = watching.open
    assert still == {"before": True, "one": True, "none": False}
    assert watching.answer(3) is None
    watching.enter()
    watching.answering(3, [_sequence(1)], [_ticket()], scripted=False)
    assert (watching.answer(3) or [])[0]["times"] == []


def test_a_slow_page_misses_the_oldest_and_is_told_how_many() -> None:
    """The queue of a page is bounded."""
    page = Page()
    for number in range(5_003):
        page.add({"number": number})
    missed, first, *_, last = page.take()
    assert missed == {"kind": "missed", "count": 3}
    assert (first, last) == ({"number": 3}, {"number": 5_002})
    assert page.take() == []
    assert not page.news.is_set()


def test_no_more_answers_are_kept_than_a_page_shows() -> None:
    """Of 201 the first is forgotten."""
    watching = Watching()
    watching.enter()
    for serial in range(201):
        watching.answering(serial, [_sequence(1)], [_ticket()], scripted=False)
    assert watching.answer(0) is None
    assert watching.answer(1) is not None
    for number in range(1_001):
        watching.arrived(Job(number, 1.0, "", 5, 4, 4), 0)
        watching.stepped(Step("prefill", 1.0, (number,), 1), None, 5.0)
    assert (watching.answer(200) or [])[0]["times"] == [4.0]
    watching.arrived(Job(1_001, 1.0, "", 5, 4, 4), 0)
    for number in range(1_002, 1_009):
        watching.arrived(Job(number, 1.0, "", 5, 4, 4), 0)
    assert (watching.answer(200) or [])[0]["times"] == []


def test_every_page_is_told_everything() -> None:
    """What one has taken is still there for the other."""
    watching = Watching()
    pages = [watching.enter(), watching.enter()]
    watching.spent([Span("download", 0.0, 700.0, "acme/none")])
    watching.refused("/generate", 422, "x" * 999)
    watching.renewed()
    for page in pages:
        kinds = [(event["kind"], len(event.get("text", ""))) for event in page.take()]
        assert kinds == [("spent", 0), ("refused", 300), ("renewed", 0)]


def test_a_row_names_a_merge_by_its_members_and_shows_the_prompts_end() -> None:
    """A chat's last turn stands at the end of a long prompt."""
    merged = MergedAdapters(ids=("a", "b"), weights=(0.5, 0.5), density=0.5)
    asked = GenerateRequest("x" * 999 + "end", GenerateParameters(merged_adapters=merged))
    told = row(Journal().begin("/generate", asked))
    assert told["adapter"] == "a+b"
    assert told["prompt"].endswith("xend")
    assert len(told["prompt"]) == 160


async def _calls_for(app: MockApp) -> set[str]:
    """The functions of `watching` that are called while requests end in every way, and the shard is renewed."""
    called: set[str] = set()

    def note(frame: FrameType, event: str, _value: object) -> None:
        if event == "call" and frame.f_code.co_filename == watching_module.__file__:
            called.add(frame.f_code.co_name)

    async def send(_message: MutableMapping[str, Any]) -> None:
        pass

    sys.setprofile(note)
    try:
        for path, body in (
            ("/generate", b'{"inputs":"a"}'),
            ("/generate_stream", b'{"inputs":"a"}'),
            ("/generate", b'{"inputs":"a","parameters":{"adapter_id":"no/ne"}}'),
            ("/generate", b"{"),
            ("/_mock/reset", b""),
        ):
            waiting = [body]

            async def receive(waiting: list[bytes] = waiting) -> MutableMapping[str, Any]:
                if not waiting:
                    await asyncio.Event().wait()
                return {"type": "http.request", "body": waiting.pop()}

            headers = [(b"content-type", b"application/json")]
            await app(
                {"type": "http", "method": "POST", "path": path, "headers": headers}, receive, send
            )
    finally:
        sys.setprofile(None)
    return called


async def test_without_a_page_nothing_is_called() -> None:
    """A look at `open` is all that a request and a turn of the shard cost then; with a page everything is told."""
    app = create_app()
    told = {"began", "answering", "ended", "refused", "arrived", "stepped", "spent", "renewed"}
    assert await _calls_for(app) == set()
    page = app.state.watching.enter()
    assert told <= await _calls_for(app)
    app.state.watching.leave(page)
    assert await _calls_for(app) == set()
