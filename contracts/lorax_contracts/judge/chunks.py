"""A chat completion that came as a stream of chunks."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from lorax_contracts.exchange import Exchange
from lorax_contracts.judge.answer import fold_chunks, mapping, objects
from lorax_contracts.judge.chat import choices_wanted
from lorax_contracts.judge.content import judge_content
from lorax_contracts.judge.framing import judge_framing
from lorax_contracts.judge.identity import Places, bad_created, bad_id, bad_model, fit
from lorax_contracts.judge.report import Report
from lorax_contracts.judge.tools import CALL_PLACES
from lorax_contracts.rules import rule

__all__ = ["judge_chunks", "judge_stream_usage"]

_PLACES: Places = CALL_PLACES + tuple(
    (re.compile(pattern), law)
    for pattern, law in (
        (r"^/object ", "OAI-STREAM-019"),
        (r"^/id ", "OAI-STREAM-021"),
        (r"^/created ", "OAI-STREAM-007"),
        (r"^/model ", "OAI-STREAM-008"),
        (r"^/choices/\d+/index ", "OAI-STREAM-018"),
        (r"^/choices/\d+/finish_reason ", "OAI-STREAM-022"),
        (r"^/choices/\d+/delta/tool_calls/\d+/(index|id|type|function/name) ", "OAI-STREAM-020"),
    )
)


def _identity(
    exchange: Exchange,
    chunks: Sequence[Mapping[str, Any]],
    report: Report,
    misfits: Sequence[frozenset[str]],
) -> None:
    first = chunks[0]
    for place, chunk in enumerate(chunks):
        at, told = f"chunk {place}", misfits[place]
        if "/id" not in told and bad_id(chunk.get("id")):
            report.add("OAI-STREAM-021", "id identifies nothing", at=at, seen=chunk.get("id"))
        if chunk.get("id") != first.get("id"):
            report.add("OAI-STREAM-006", "id changes", at=at, seen=chunk.get("id"))
        if chunk.get("created") != first.get("created"):
            report.add("OAI-STREAM-007", "created changes", at=at, seen=chunk.get("created"))
        if "/created" not in told and bad_created(chunk.get("created"), exchange):
            report.add(
                "OAI-STREAM-007",
                "created is not now in Unix seconds",
                at=at,
                seen=chunk.get("created"),
            )
        another = bad_model(chunk.get("model"), exchange)
        if "/model" not in told and (another or chunk.get("model") != first.get("model")):
            report.add(
                "OAI-STREAM-008",
                "the chunk names another model",
                at=at,
                seen=chunk.get("model"),
            )


class _ChoiceOrder:
    """What one choice of a stream has shown so far."""

    def __init__(self, index: int, report: Report) -> None:
        self.index = index
        self.finished = False
        self._opened = False
        self._calls: set[int] = set()
        self._report = report

    def feed(self, document: Mapping[str, Any], at: str) -> None:
        """Takes the choice's part of one chunk."""
        report = self._report
        delta = mapping(document.get("delta"))
        finish = document.get("finish_reason")
        says = any(delta.get(key) for key in ("content", "tool_calls", "function_call", "refusal"))
        if self.finished and (says or finish is not None):
            report.add("OAI-STREAM-011", "more after the finish_reason", at=at, seen=document)
        if not self._opened:
            self._opened = True
            if delta.get("role") != "assistant":
                report.add("OAI-STREAM-009", "no role in the first chunk", at=at, seen=delta)
        elif delta.get("role") is not None:
            report.add("OAI-STREAM-010", "the role comes again", at=at, seen=delta)
        for fragment in objects(delta.get("tool_calls")):
            self._fragment(fragment, at)
        if finish is not None:
            if says:
                report.add("OAI-STREAM-012", "the last delta is not empty", at=at, seen=delta)
            self.finished = True

    def _fragment(self, fragment: Mapping[str, Any], at: str) -> None:
        index = fragment.get("index")
        if not isinstance(index, int):
            return
        function = mapping(fragment.get("function"))
        if index not in self._calls:
            new = index == len(self._calls)
            self._calls.add(index)
            if not (new and fragment.get("id") and fragment.get("type") and function.get("name")):
                self._report.add(
                    "OAI-STREAM-020",
                    "a call opens without index in order, id, type or name",
                    at=at,
                    seen=fragment,
                )
        elif fragment.get("id") or function.get("name"):
            self._report.add(
                "OAI-STREAM-020", "a later fragment repeats id or name", at=at, seen=fragment
            )


def judge_stream_usage(
    exchange: Exchange,
    chunks: Sequence[Mapping[str, Any]],
    report: Report,
    *,
    unasked: str,
    last: str,
    others: str,
) -> None:
    """Judges where usage stands in a stream that ended well.

    Args:
        exchange: the stream's own.
        chunks: its JSON objects in order.
        report: where findings go.
        unasked: law for usage that was not asked for.
        last: law for a missing or wrong last chunk.
        others: law for the other chunks' usage, which is null.
    """
    if exchange.request is None:
        return
    asked = mapping(exchange.asked.get("stream_options")).get("include_usage") is True
    if not asked:
        for place, chunk in enumerate(chunks):
            if chunk.get("usage") is not None:
                report.add(
                    unasked, "usage came unasked", at=f"chunk {place}", seen=chunk.get("usage")
                )
        return
    final = chunks[-1] if chunks else {}
    if final.get("choices") != [] or not isinstance(final.get("usage"), Mapping):
        seen = {key: final[key] for key in ("choices", "usage") if key in final}
        report.add(last, "no last chunk with usage and empty choices", seen=seen)
    body = chunks[:-1] if final.get("choices") == [] else chunks
    for place, chunk in enumerate(body):
        if "usage" not in chunk or chunk["usage"] is not None:
            report.add(
                others,
                "usage is not null before the last chunk",
                at=f"chunk {place}",
                seen=chunk.get("usage", "(missing)"),
            )


@rule(
    "OAI-STREAM-001",
    "OAI-STREAM-002",
    "OAI-STREAM-003",
    "OAI-STREAM-005",
    "OAI-STREAM-006",
    "OAI-STREAM-007",
    "OAI-STREAM-008",
    "OAI-STREAM-009",
    "OAI-STREAM-010",
    "OAI-STREAM-011",
    "OAI-STREAM-012",
    "OAI-STREAM-013",
    "OAI-STREAM-014",
    "OAI-STREAM-015",
    "OAI-STREAM-018",
    "OAI-STREAM-019",
    "OAI-STREAM-020",
    "OAI-STREAM-021",
    "OAI-STREAM-022",
    "OAI-STREAM-028",
)
def judge_chunks(exchange: Exchange, report: Report, *, whole: bool) -> None:
    """Judges the body of a 200 that is an event stream."""
    frames = judge_framing(
        exchange, report, whole=whole, broken="OAI-STREAM-002", unfinished="OAI-STREAM-003"
    )
    chunks = frames.chunks
    if not chunks:
        if whole and not frames.failed:
            report.add("OAI-STREAM-005", "the stream holds no chunk", seen=exchange.body)
        return
    orders: dict[int, _ChoiceOrder] = {}
    misfits: list[frozenset[str]] = []
    for place, chunk in enumerate(chunks):
        at = f"chunk {place}"
        misfits.append(
            fit(
                "openai/chat_completion_chunk",
                chunk,
                _PLACES,
                "OAI-STREAM-001",
                report,
                at=f"{at} ",
            )
        )
        for document in objects(chunk.get("choices")):
            index = document.get("index")
            if isinstance(index, int):
                orders.setdefault(index, _ChoiceOrder(index, report)).feed(document, at)
    _identity(exchange, chunks, report, misfits)
    well = whole and not frames.failed
    wanted = choices_wanted(exchange)
    expected = set(range(len(orders) if wanted is None else wanted))
    if (well and set(orders) != expected) or not set(orders) <= expected:
        report.add(
            "OAI-STREAM-018",
            f"{len(expected)} choices were asked for, and these indexes came",
            seen=sorted(orders),
        )
    if well:
        for order in orders.values():
            if not order.finished:
                report.add(
                    "OAI-STREAM-005",
                    f"choice {order.index} never finished",
                    seen=exchange.body[-160:],
                )
        judge_stream_usage(
            exchange,
            chunks,
            report,
            unasked="OAI-STREAM-013",
            last="OAI-STREAM-014",
            others="OAI-STREAM-015",
        )
        _none_empty(exchange, chunks, report)
        judge_content(exchange, fold_chunks(chunks), report)


def _none_empty(exchange: Exchange, chunks: Sequence[Mapping[str, Any]], report: Report) -> None:
    """OAI-STREAM-028; whether the last chunk is as it should be is another law's matter."""
    asked = mapping(exchange.asked.get("stream_options")).get("include_usage") is True
    may_end = asked or exchange.request is None
    for place, chunk in enumerate(chunks[:-1] if may_end else chunks):
        if chunk.get("choices") == [] and chunk.get("usage") is None:
            report.add("OAI-STREAM-028", "choices is empty", at=f"chunk {place}", seen=dict(chunk))
