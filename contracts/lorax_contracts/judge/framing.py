"""How a stream is framed: whole events, JSON or [DONE], [DONE] last, errors as errors.

Shared by chat and text completions, whose streams differ in their chunks alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lorax_contracts import sse
from lorax_contracts.exchange import End, Exchange
from lorax_contracts.judge.answer import mapping
from lorax_contracts.judge.report import Report
from lorax_contracts.rules import rule

__all__ = ["Frames", "judge_framing"]

_LINE_BREAKERS = (b"\xe2\x80\xa8", b"\xe2\x80\xa9", b"\xc2\x85")


@dataclass(frozen=True, slots=True)
class Frames:
    """What a stream held.

    Attributes:
        chunks: the JSON objects in order, errors left out.
        failed: whether an error event came.
        done: whether [DONE] came.
    """

    chunks: tuple[Mapping[str, Any], ...]
    failed: bool
    done: bool


def _error_event(event: sse.Event, report: Report) -> None:
    error = event.value["error"]
    good = (
        isinstance(error, Mapping)
        and isinstance(error.get("message"), str)
        and isinstance(error.get("type"), str)
    )
    if not good:
        report.add(
            "OAI-STREAM-016",
            "an error event without error.message and error.type",
            at=f"byte {event.offset}",
            seen=event.raw,
        )


@rule("OAI-STREAM-004", "OAI-STREAM-016", "OAI-STREAM-017", "OAI-STREAM-023", "OAI-STREAM-024")
def judge_framing(
    exchange: Exchange, report: Report, *, whole: bool, broken: str, unfinished: str
) -> Frames:
    """Judges the frames and gives what they held.

    Args:
        exchange: the stream's own.
        report: where findings go.
        whole: the body ended as its framing says; otherwise its end is not judged again.
        broken: law for frames that are no events.
        unfinished: law for a missing, repeated or early [DONE].
    """
    recording = sse.read(exchange.body)
    chunks: list[Mapping[str, Any]] = []
    failed = done = False
    for event in recording.events:
        at = f"byte {event.offset}"
        if any(breaker in event.raw for breaker in _LINE_BREAKERS):
            report.add("OAI-STREAM-023", "an unescaped line breaker", at=at, seen=event.raw)
        if event.data is None:
            if any(name not in {"", "event", "id", "retry"} for name in event.fields):
                report.add(broken, "an event without data", at=at, seen=event.raw)
            continue
        if done:
            report.add(unfinished, "an event after [DONE]", at=at, seen=event.raw)
            continue
        if event.is_done:
            done = True
            if failed:
                report.add("OAI-STREAM-004", "[DONE] after an error", at=at, seen=event.raw)
            continue
        if not isinstance(event.value, Mapping):
            report.add(broken, "an event's data is no JSON object", at=at, seen=event.raw)
            continue
        if event.value.get("error") is not None:
            if not chunks and not failed:
                report.add(
                    "OAI-STREAM-017", "status 200, and the first event is an error", seen=event.raw
                )
            failed = True
            _error_event(event, report)
            continue
        chunks.append(mapping(event.value))
    if whole:
        if recording.rest.strip():
            report.add(broken, "the last event is not ended by an empty line", seen=recording.rest)
        if not done and not failed and b"[DONE]" not in recording.rest:
            report.add(unfinished, "no [DONE] at the end", seen=exchange.body[-120:])
        if done and exchange.end is End.IDLE:
            report.add("OAI-STREAM-024", "the connection stays open after [DONE]")
    return Frames(tuple(chunks), failed, done)
