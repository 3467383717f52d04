"""Which rules an OpenAI exchange falls under: errors, streams, plain replies, by route."""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from lorax_contracts import schemas, sse
from lorax_contracts.exchange import End, Exchange, Route
from lorax_contracts.judge.answer import mapping
from lorax_contracts.judge.chat import judge_chat
from lorax_contracts.judge.chunks import judge_chunks
from lorax_contracts.judge.completions import judge_completion, judge_completion_stream
from lorax_contracts.judge.listings import judge_embeddings, judge_model, judge_models
from lorax_contracts.judge.report import Report
from lorax_contracts.rules import rule

__all__ = ["ENVELOPE", "judge_form", "judge_openai", "judge_refusal", "leaks", "request_misfits"]

_LEAK = re.compile(
    rb"Traceback \(most recent call last\)|thread '[^']*' panicked at|"
    rb'File \\?"[^"\\]+\.py\\?", line \d+|\bat [\w.$]+\([\w]+\.java:\d+\)|/site-packages/'
)
ENVELOPE = frozenset({"OAI-ERR-001", "OAI-ERR-002", "OAI-HTTP-001"})
"""The laws about the form of an error."""

_REQUESTS = {
    Route.CHAT: "openai/chat_completion_request",
    Route.COMPLETIONS: "openai/completion_request",
    Route.EMBEDDINGS: "openai/embedding_request",
}
_JSON_ROUTES = frozenset(
    {Route.CHAT, Route.COMPLETIONS, Route.EMBEDDINGS, Route.MODELS, Route.MODEL}
)


def leaks(body: bytes) -> bytes | None:
    """The part of an error's body that shows the server's internals."""
    match = _LEAK.search(body)
    return match.group(0) if match else None


def _error(exchange: Exchange, report: Report) -> None:
    inside = leaks(exchange.body)
    if inside is not None:
        report.add("OAI-ERR-006", "the error shows the server's internals", seen=inside)
    if exchange.status in {429, 503} and exchange.header("retry-after") is None:
        report.add("OAI-ERR-008", f"{exchange.status} without Retry-After", at="retry-after")
    if exchange.method == "HEAD":
        return
    try:
        document = json.loads(exchange.body)
    except (ValueError, RecursionError):
        what = "is not JSON" if exchange.body else "is empty"
        report.add("OAI-ERR-001", f"the body of a {exchange.status} {what}", seen=exchange.body)
        return
    if not isinstance(mapping(document).get("error"), Mapping):
        report.add("OAI-ERR-001", "error is not an object", at="/error", seen=exchange.body)
        return
    if exchange.media_type != "application/json":
        report.add(
            "OAI-HTTP-001",
            "content-type is not application/json",
            at="content-type",
            seen=exchange.header("content-type") or "",
        )
    for misfit in schemas.validate("openai/error", document):
        report.add("OAI-ERR-002", misfit.message, at=misfit.at, seen=misfit.seen)


def _whole(exchange: Exchange, report: Report) -> bool:
    match exchange.end:
        case End.COMPLETE:
            return True
        case End.CUT:
            report.add("OAI-HTTP-004", "the body was cut off", seen=exchange.body[-160:])
        case End.TOO_LONG:
            report.add(
                "OAI-HTTP-004",
                f"the body does not end: {len(exchange.body):,} bytes were read",
                seen=exchange.body[-160:],
            )
        case End.LEFT:
            # A slow server keeps its promises slowly; what came is judged, and its end is not.
            return False
        case End.IDLE:
            # An open connection after [DONE] is the stream's own law.
            if b"[DONE]" in exchange.body[-64:]:
                return True
            report.add(
                "OAI-HTTP-004", "nothing more came before the body's end", seen=exchange.body[-160:]
            )
    return False


def _document(exchange: Exchange, report: Report) -> Any:
    try:
        document = json.loads(exchange.body.decode("utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        report.add("OAI-HTTP-001", f"the body is not JSON: {error}", seen=exchange.body)
        return None
    if exchange.media_type != "application/json":
        report.add(
            "OAI-HTTP-001",
            "content-type is not application/json",
            at="content-type",
            seen=exchange.header("content-type") or "",
        )
    return document


def request_misfits(exchange: Exchange) -> list[schemas.Misfit]:
    """Where the request is not what the published schema admits, as far as it is known.

    Nor is a negative budget right, though the schema of chat gives its budgets no minimum.
    """
    schema = _REQUESTS.get(exchange.route) if exchange.method == "POST" else None
    if schema is None or exchange.request is None:
        return []
    return [
        *schemas.validate(schema, exchange.request),
        *(
            schemas.Misfit(f"/{name}", "minimum", f"{exchange.asked[name]} is less than 0")
            for name in ("max_tokens", "max_completion_tokens")
            if isinstance(exchange.asked.get(name), int) and exchange.asked[name] < 0
        ),
    ]


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _plain(exchange: Exchange, report: Report) -> None:
    document = _document(exchange, report)
    if document is None:
        return
    if isinstance(document, Mapping) and document.get("error") and "choices" not in document:
        report.add("OAI-HTTP-005", "status 200 carries an error", at="/error", seen=document)
        return
    match exchange.route:
        case Route.CHAT:
            judge_chat(exchange, document, report)
        case Route.COMPLETIONS:
            judge_completion(exchange, document, report)
        case Route.EMBEDDINGS:
            judge_embeddings(exchange, document, report)
        case Route.MODELS:
            judge_models(document, report)
        case Route.MODEL:
            judge_model(document, report)
        case _:
            pass


@rule(
    "OAI-ERR-001",
    "OAI-ERR-002",
    "OAI-ERR-006",
    "OAI-ERR-008",
    "OAI-HTTP-001",
    "OAI-HTTP-003",
    "OAI-HTTP-005",
    "OAI-STREAM-017",
)
def judge_refusal(exchange: Exchange, report: Report) -> None:
    """Judges the reply to a request that cannot be right, or asks for what is not there.

    How a refusal looks is judged, and that an error is no 200; an answer in its place answers nothing
    that was asked, so that nothing about it can be judged.
    """
    if exchange.status == 0:
        return
    if exchange.header("x-request-id") is None:
        report.add("OAI-HTTP-003", "the reply has no x-request-id", at="x-request-id")
    if exchange.status >= 400:
        _error(exchange, report)
    elif exchange.status == 200 and exchange.media_type == "text/event-stream":
        first = next((event for event in sse.read(exchange.body).data), None)
        if first is not None and mapping(first.value).get("error") is not None:
            report.add(
                "OAI-STREAM-017", "status 200, and the first event is an error", seen=first.raw
            )
    elif exchange.status == 200:
        document = mapping(_decoded(exchange))
        if document.get("error") and "choices" not in document:
            report.add("OAI-HTTP-005", "status 200 carries an error", at="/error", seen=document)


@rule("OAI-HTTP-002", "OAI-STREAM-027")
def judge_form(exchange: Exchange, report: Report, *, came: bool, wanted: bool) -> None:
    """Judges whether a stream came where one was asked for, and nowhere else, and is called one."""
    if came and exchange.media_type != "text/event-stream":
        report.add(
            "OAI-HTTP-002",
            "a stream's content-type is not text/event-stream",
            at="content-type",
            seen=exchange.header("content-type") or "",
        )
    if came and exchange.request is not None and not wanted:
        report.add("OAI-STREAM-027", "a stream came unasked", seen=exchange.body[:160])
    if wanted and not came:
        report.add("OAI-STREAM-027", "no stream came", seen=exchange.body[:160])


def _decoded(exchange: Exchange) -> Any:
    try:
        return json.loads(exchange.body)
    except (ValueError, RecursionError):
        return None


@rule(
    "OAI-ERR-001",
    "OAI-ERR-002",
    "OAI-ERR-006",
    "OAI-ERR-008",
    "OAI-HTTP-001",
    "OAI-HTTP-003",
    "OAI-HTTP-004",
    "OAI-HTTP-005",
)
def judge_openai(exchange: Exchange, report: Report) -> None:
    """Judges one exchange by every law that one exchange can show.

    A request that is not what is published promises no certain answer: the reply to one is judged as if
    it were not known.
    """
    if exchange.status == 0:
        return
    if exchange.header("x-request-id") is None:
        report.add("OAI-HTTP-003", "the reply has no x-request-id", at="x-request-id")
    if exchange.status >= 400:
        _error(exchange, report)
        return
    if exchange.route not in _JSON_ROUTES or exchange.status != 200:
        return
    if request_misfits(exchange):
        exchange = replace(exchange, request=None, request_text=None)
    # GET /chat/completions lists what was stored: another reply of the published document.
    if exchange.method != "POST" and exchange.route not in {Route.MODELS, Route.MODEL}:
        return
    # The answer to a browser's question before the request, or to a HEAD, has no body to judge.
    if exchange.method in {"HEAD", "OPTIONS"}:
        return
    streams = exchange.route in {Route.CHAT, Route.COMPLETIONS}
    wanted = streams and exchange.asked.get("stream") is True
    # A recording without its request is judged as what it says it is.
    as_stream = exchange.media_type == "text/event-stream" or (
        wanted and exchange.body.lstrip().startswith((b"data:", b":"))
    )
    whole = _whole(exchange, report)
    if as_stream:
        judge_form(exchange, report, came=True, wanted=wanted)
        if exchange.route is Route.COMPLETIONS:
            judge_completion_stream(exchange, report, whole=whole)
        else:
            judge_chunks(exchange, report, whole=whole)
        return
    if wanted:
        document = _document(exchange, report) if whole else None
        if isinstance(document, Mapping) and document.get("error"):
            report.add("OAI-HTTP-005", "status 200 carries an error", at="/error", seen=document)
        else:
            judge_form(exchange, report, came=False, wanted=True)
        return
    if whole:
        _plain(exchange, report)
