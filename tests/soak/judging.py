"""Whether an answer is what the mock was scripted to say, and if not, which kind of wrong it is."""

import json
from collections import defaultdict
from dataclasses import dataclass
from enum import Enum
from typing import Any

from tests.soak.mix import Ask, Expected

__all__ = ["Answer", "Verdict", "judge"]


class Verdict(Enum):
    """What became of a request. All but `RIGHT` are faults of the proxy."""

    RIGHT = "right"
    LOST = "lost"
    """No answer, or one that ended without a word."""
    DOUBLED = "doubled or foreign"
    """Text that LoRAX did not say, or said once."""
    FALSE = "falsely complete"
    """A short answer that claims to be whole."""
    COLLATERAL = "refused for a neighbour's sake"
    """An error where nothing was wrong."""
    MALFORMED = "malformed"
    """An error that is not OpenAI's, or another status than the failure's."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back.

    Attributes:
        status: 0 when no status line came.
        body: The body as far as it came.
        complete: Whether it ended as its framing promised.
    """

    status: int
    body: bytes
    complete: bool


@dataclass(frozen=True, slots=True)
class _Read:
    """What an answer says: each choice's text and end, the error, and whether it claims success."""

    texts: list[str]
    ends: list[str | None]
    error: dict[str, Any] | None
    success: bool


def judge(ask: Ask, answer: Answer) -> Verdict:
    """The verdict on one answer."""
    if not answer.status or not answer.complete:
        return Verdict.LOST
    try:
        read = _read(ask, answer)
    except (ValueError, KeyError, IndexError, TypeError):
        return Verdict.MALFORMED
    told = ask.twice and read.error is not None
    if not told and any(not ask.text.startswith(text) for text in read.texts):
        return Verdict.DOUBLED
    if read.error is None and not read.success:
        return Verdict.LOST
    if read.error is not None and (
        read.success or set(read.error) != {"message", "type", "param", "code"}
    ):
        return Verdict.MALFORMED
    if ask.expected is Expected.COMPLETE:
        return _judge_healthy(ask, answer, read)
    if read.error is None:
        return Verdict.FALSE
    return Verdict.RIGHT if answer.status in ask.statuses else Verdict.MALFORMED


def _judge_healthy(ask: Ask, answer: Answer, read: _Read) -> Verdict:
    if read.error is not None or answer.status != 200:
        return Verdict.COLLATERAL
    whole = read.texts == [ask.text] * ask.choices and read.ends == ["stop"] * ask.choices
    return Verdict.RIGHT if whole else Verdict.FALSE


def _read(ask: Ask, answer: Answer) -> _Read:
    if answer.status != 200:
        return _Read([], [], json.loads(answer.body)["error"], success=False)
    return _read_stream(ask, answer.body) if ask.stream else _read_whole(answer.body)


def _read_whole(body: bytes) -> _Read:
    choices = sorted(json.loads(body)["choices"], key=lambda choice: choice["index"])
    texts = [c["message"]["content"] if "message" in c else c["text"] for c in choices]
    return _Read(texts, [choice["finish_reason"] for choice in choices], None, success=True)


def _read_stream(ask: Ask, body: bytes) -> _Read:
    texts: dict[int, str] = defaultdict(str)
    ends: dict[int, str | None] = {}
    error = None
    success = False
    for block in body.decode().split("\n\n"):
        if success or error:
            if block:
                raise ValueError("something follows the end")
        elif block == "data: [DONE]":
            success = True
        elif block.startswith("data: "):
            document = json.loads(block[6:])
            error = document.get("error")
            for choice in document.get("choices", ()):
                text = choice["delta"].get("content") if "delta" in choice else choice["text"]
                texts[choice["index"]] += text or ""
                if choice["finish_reason"] is not None:
                    if choice["index"] in ends:
                        raise ValueError("a choice ends twice")
                    ends[choice["index"]] = choice["finish_reason"]
        elif block and not block.startswith(":"):
            raise ValueError("neither data nor a comment")
    order = range(ask.choices)
    return _Read([texts[i] for i in order], [ends.get(i) for i in order], error, success)
