"""A native reply that came as a stream of events."""

import json
import re
from collections.abc import Mapping
from typing import Any

from lorax_contracts import schemas, sse
from lorax_contracts.exchange import End, Exchange
from lorax_contracts.judge.failures import error_misfit
from lorax_contracts.judge.generate import judge_seed
from lorax_contracts.judge.generated import Generated, judge_generated, parameters_of
from lorax_contracts.judge.report import Report
from lorax_contracts.rules import rule

__all__ = ["judge_events"]

_FRAME = re.compile(rb"data: [^\r\n]+\n\n\Z")
_KEEP_ALIVE = b":\n\n"


def _frame(event: sse.Event, report: Report) -> None:
    if event.raw == _KEEP_ALIVE:
        return
    data = event.data
    compact = data is not None and not _spaced(data)
    if not (_FRAME.match(event.raw) and compact):
        report.add(
            "LORAX-STREAM-002",
            "not one line of compact JSON after 'data: '",
            at=f"byte {event.offset}",
            seen=event.raw,
        )


def _spaced(data: bytes) -> bool:
    """Whether JSON has white space between its tokens."""
    bare = re.sub(rb'"(?:[^"\\]|\\.)*"', b'""', data)
    return re.search(rb"[ \t]", bare) is not None


def _error(exchange: Exchange, event: sse.Event, report: Report) -> None:
    misfit = error_misfit(event.value, exchange.status, in_stream=True)
    if misfit is not None:
        report.add(misfit[0], misfit[1], at=f"byte {event.offset}", seen=event.raw)


@rule(
    "LORAX-STREAM-001",
    "LORAX-STREAM-002",
    "LORAX-STREAM-003",
    "LORAX-STREAM-004",
    "LORAX-STREAM-005",
    "LORAX-STREAM-006",
    "LORAX-STREAM-007",
    "LORAX-STREAM-008",
    "LORAX-STREAM-009",
)
def judge_events(exchange: Exchange, report: Report) -> None:
    """Judges the body of a 200 that is an event stream."""
    recording = sse.read(exchange.body)
    tokens: list[Mapping[str, Any]] = []
    final: Mapping[str, Any] | None = None
    failed = False
    for event in recording.events:
        at = f"byte {event.offset}"
        if event.is_done:
            report.add("LORAX-STREAM-003", "a native stream has no [DONE]", at=at, seen=event.raw)
            continue
        _frame(event, report)
        if event.data is None:
            continue
        if failed or final is not None:
            law = "LORAX-STREAM-005" if failed else "LORAX-STREAM-004"
            report.add(law, "an event after the last one", at=at, seen=event.raw)
        value = event.value
        if isinstance(value, Mapping) and "token" not in value and "error" in value:
            failed = True
            _error(exchange, event, report)
            continue
        misfits = (
            schemas.validate("lorax/stream_response", value) if value is not sse.NOT_JSON else []
        )
        for misfit in misfits:
            report.add("LORAX-STREAM-001", misfit.message, at=at + misfit.at, seen=event.raw)
        if value is sse.NOT_JSON:
            report.add("LORAX-STREAM-001", "the data is not JSON", at=at, seen=event.raw)
        if misfits or value is sse.NOT_JSON:
            continue
        for place in schemas.misordered("lorax/stream_response", value):
            report.add("LORAX-STREAM-009", "keys in another order", at=at + place, seen=event.raw)
        tokens.append(value["token"])
        if value["generated_text"] is not None:
            final = final or value
        elif value["details"] is not None:
            report.add("LORAX-STREAM-001", "details before the final event", at=at, seen=event.raw)
    if exchange.end is not End.COMPLETE:
        return
    if recording.rest.strip():
        report.add("LORAX-STREAM-002", "the last event is unfinished", seen=recording.rest)
    if final is None:
        if not failed:
            report.add("LORAX-STREAM-004", "no final event", seen=exchange.body[-160:])
        return
    _judge_final(exchange, final, tokens, report)


def _judge_final(
    exchange: Exchange, final: Mapping[str, Any], tokens: list[Any], report: Report
) -> None:
    details = final["details"]
    asked = parameters_of(exchange).get("details") is True
    if exchange.request is not None and (details is not None) != asked:
        report.add("LORAX-STREAM-006", f"details were asked for: {asked}", seen=json.dumps(details))
    facts: Mapping[str, Any] = details or {}
    if facts:
        judge_seed(exchange, facts, report)
    judge_generated(
        exchange,
        Generated(
            text=final["generated_text"],
            tokens=tokens,
            count=facts.get("generated_tokens"),
            finish=facts.get("finish_reason"),
            text_law="LORAX-STREAM-007",
            count_law="LORAX-STREAM-008",
            finish_law="LORAX-STREAM-008",
        ),
        report,
    )
