"""The judge of a soak: right answers pass, and each kind of wrong one is called by its name."""

import json
from dataclasses import replace

import pytest

from tests.soak.judging import Answer, Verdict, judge
from tests.soak.mix import Ask, Expected

ASK = Ask("chat", "/v1/chat/completions", b"", True, 1, "one two", Expected.COMPLETE)
BROKEN = replace(ASK, expected=Expected.BROKEN, statuses=(200, 502))
TWICE = replace(BROKEN, twice=True)
ERROR = {"message": "m", "type": "server_error", "param": None, "code": None}


def data(document: object) -> bytes:
    """An event."""
    return b"data: " + json.dumps(document).encode() + b"\n\n"


def delta(text: str, end: str | None = None, index: int = 0) -> bytes:
    """A chunk."""
    choice = {"index": index, "delta": {"content": text}, "finish_reason": end}
    return data({"choices": [choice]})


DONE = b"data: [DONE]\n\n"
FAILED = data({"error": ERROR})


def stream(*events: bytes, complete: bool = True) -> Answer:
    """A streamed answer."""
    return Answer(200, b"".join(events), complete)


WHOLE = stream(delta("one "), b": comment\n\n", delta("two"), delta("", "stop"), DONE)


@pytest.mark.parametrize(
    ("ask", "answer", "verdict"),
    [
        (ASK, WHOLE, Verdict.RIGHT),
        (ASK, Answer(0, b"", complete=False), Verdict.LOST),
        (ASK, stream(delta("one "), complete=False), Verdict.LOST),
        (ASK, stream(delta("one ")), Verdict.LOST),
        (ASK, stream(delta("one one "), delta("two"), delta("", "stop"), DONE), Verdict.DOUBLED),
        (ASK, stream(delta("three"), delta("", "stop"), DONE), Verdict.DOUBLED),
        (ASK, stream(delta("one "), delta("", "stop"), DONE), Verdict.FALSE),
        (ASK, stream(delta("one two"), delta("", "length"), DONE), Verdict.FALSE),
        (ASK, stream(delta("one two"), DONE), Verdict.FALSE),
        (ASK, stream(delta("one "), FAILED), Verdict.COLLATERAL),
        (
            ASK,
            Answer(503, json.dumps({"error": ERROR}).encode(), complete=True),
            Verdict.COLLATERAL,
        ),
        (ASK, Answer(500, b"Internal Server Error", complete=True), Verdict.MALFORMED),
        (ASK, Answer(500, b'{"error":{"message":"m"}}', complete=True), Verdict.MALFORMED),
        (ASK, stream(WHOLE.body, FAILED), Verdict.MALFORMED),
        (ASK, stream(delta("one two", "stop"), delta("", "stop"), DONE), Verdict.MALFORMED),
        (ASK, stream(b"data: {nonsense\n\n", DONE), Verdict.MALFORMED),
        (ASK, stream(b"nonsense\n\n", DONE), Verdict.MALFORMED),
        (BROKEN, stream(delta("one "), FAILED), Verdict.RIGHT),
        (BROKEN, Answer(502, json.dumps({"error": ERROR}).encode(), complete=True), Verdict.RIGHT),
        (
            BROKEN,
            Answer(429, json.dumps({"error": ERROR}).encode(), complete=True),
            Verdict.MALFORMED,
        ),
        (BROKEN, WHOLE, Verdict.FALSE),
        (TWICE, stream(delta("one one "), FAILED), Verdict.RIGHT),
        (TWICE, stream(delta("one one "), delta("two", "stop"), DONE), Verdict.DOUBLED),
        (BROKEN, stream(delta("one one "), FAILED), Verdict.DOUBLED),
        (BROKEN, stream(delta("one "), FAILED, DONE), Verdict.MALFORMED),
    ],
)
def test_a_stream_gets_its_verdict(ask: Ask, answer: Answer, verdict: Verdict) -> None:
    """Each way to be wrong has its name."""
    assert judge(ask, answer) is verdict


@pytest.mark.parametrize(
    ("texts", "ends", "verdict"),
    [
        (["one two", "one two"], ["stop", "stop"], Verdict.RIGHT),
        (["one two"], ["stop"], Verdict.FALSE),
        (["one two", "one"], ["stop", "stop"], Verdict.FALSE),
        (["one two", "one two one"], ["stop", "stop"], Verdict.DOUBLED),
    ],
)
def test_every_choice_counts(texts: list[str], ends: list[str], verdict: Verdict) -> None:
    """Two choices, streamed and whole."""
    ask = replace(ASK, choices=2)
    events = [delta(text, end, i) for i, (text, end) in enumerate(zip(texts, ends, strict=True))]
    assert judge(ask, stream(*events, DONE)) is verdict
    choices = [
        {"index": i, "message": {"content": text}, "finish_reason": end}
        for i, (text, end) in enumerate(zip(texts, ends, strict=True))
    ]
    body = json.dumps({"choices": choices}).encode()
    assert judge(replace(ask, stream=False), Answer(200, body, complete=True)) is verdict
