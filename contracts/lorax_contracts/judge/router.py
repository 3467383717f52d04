"""Which rules a LoRAX exchange falls under: framework texts, errors, headers, by route."""

import functools
import json
from collections.abc import Mapping
from typing import Any

from lorax_contracts import loader, schemas
from lorax_contracts.exchange import End, Exchange, Route
from lorax_contracts.judge.events import judge_events
from lorax_contracts.judge.failures import error_misfit
from lorax_contracts.judge.generate import judge_generate
from lorax_contracts.judge.report import Report
from lorax_contracts.rules import rule

__all__ = [
    "judge_classes",
    "judge_generation_headers",
    "judge_health",
    "judge_info",
    "judge_lorax",
    "judge_stream_form",
    "judge_tokens",
    "judge_vectors",
]

_GENERATES = frozenset({Route.GENERATE, Route.GENERATE_STREAM, Route.COMPAT_GENERATE})


def _headers(exchange: Exchange, name: str, report: Report, law: str) -> None:
    table: Mapping[str, Any] = loader.table("lorax/headers")[name]
    for row in table["always"]:
        header = str(row["name"])
        value = exchange.header(header)
        if value is None:
            report.add(law, f"{header} is missing", at=header)
        elif "value" in row and value != row["value"]:
            report.add(law, f"{header} is not {row['value']!r}", at=header, seen=value)
        elif row.get("kind") == "int" and not value.isdecimal():
            report.add(law, f"{header} is no whole number", at=header, seen=value)
    for header in table.get("never", ()):
        if exchange.header(header) is not None:
            report.add(law, f"{header} comes too early", at=header, seen=exchange.header(header))


def _adapter_headers(exchange: Exchange, report: Report) -> None:
    if exchange.request is None:
        return
    parameters = exchange.asked.get("parameters")
    parameters = parameters if isinstance(parameters, Mapping) else {}
    merged = parameters.get("merged_adapters")
    adapter = parameters.get("adapter_id")
    if isinstance(merged, Mapping):
        named = ",".join(str(one) for one in merged.get("ids", []))
    else:
        named = adapter if isinstance(adapter, str) and adapter != "__base_model__" else ""
    for header, wanted in (("x-adapter-id", named or None), ("x-adapter-source", None)):
        value = exchange.header(header)
        if bool(value) != bool(named) or (wanted is not None and value != wanted):
            report.add("LORAX-HEAD-004", f"the request names {named!r}", at=header, seen=value)


@functools.cache
def _success_headers() -> frozenset[str]:
    """The x- headers of an answer, by which others know that it is one."""
    table = loader.table("lorax/headers")["generate"]
    return frozenset([*(str(row["name"]) for row in table["always"]), *table["adapter"]])


def _error(exchange: Exchange, report: Report) -> None:
    # A path or a method that LoRAX does not know has no body, which a law of its own says.
    unknown = exchange.status == 405 or (exchange.status == 404 and exchange.route is Route.OTHER)
    if not exchange.body or unknown:
        return
    of_success = _success_headers()
    for name, value in exchange.headers:
        if name in of_success:
            report.add("LORAX-HEAD-005", "an error carries a success's header", at=name, seen=value)
    if exchange.media_type == "text/plain":
        texts = [
            str(row["begins"])
            for row in loader.table("lorax/errors")["plain"]
            if row["status"] == exchange.status
        ]
        if not any(exchange.body.startswith(text.encode()) for text in texts):
            report.add(
                "LORAX-HTTP-003",
                f"a plain text {exchange.status} in other words",
                seen=exchange.body,
            )
        return
    document = _document(exchange, report)
    if document is not None:
        misfit = error_misfit(document, exchange.status, in_stream=False)
        if misfit is not None:
            report.add(misfit[0], misfit[1], seen=document)


def _document(exchange: Exchange, report: Report) -> Any:
    try:
        document = json.loads(exchange.body.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        report.add("LORAX-HTTP-001", f"the body is not JSON: {error}", seen=exchange.body)
        return None
    if exchange.media_type != "application/json":
        report.add(
            "LORAX-HTTP-001",
            "content-type is not application/json",
            at="content-type",
            seen=exchange.header("content-type") or "",
        )
    elif exchange.header("content-length") is None:
        report.add("LORAX-HTTP-001", "no content-length", at="content-length")
    return document


@rule("LORAX-TOK-001", "LORAX-TOK-002")
def judge_tokens(exchange: Exchange, document: Any, report: Report) -> None:
    """Judges the decoded reply of POST /tokenize."""
    misfits = schemas.validate("lorax/tokenize_response", document)
    for misfit in misfits:
        report.add("LORAX-TOK-001", misfit.message, at=misfit.at, seen=misfit.seen)
    for at in schemas.misordered("lorax/tokenize_response", document):
        report.add("LORAX-TOK-001", "keys in another order", at=at, seen=document)
    text = exchange.asked.get("inputs")
    if misfits or not isinstance(text, str):
        return
    position = 0
    for place, token in enumerate(document):
        start, stop = token["start"], token["stop"]
        if start == stop == 0:
            continue
        # Tokens of one character's bytes may share its place.
        if not (start <= stop <= len(text)) or stop < position:
            report.add("LORAX-TOK-002", "offsets leave the text", at=f"/{place}", seen=token)
        position = max(position, stop)
    if text and position != len(text):
        report.add(
            "LORAX-TOK-002",
            f"the tokens end at character {position} of {len(text)}",
            seen=document[-1:],
        )


_VECTORS = {
    Route.EMBED: "lorax/embed_response",
    Route.EMBEDDINGS: "lorax/compat_embed_response",
}
_CLASSES = {
    Route.CLASSIFY: "lorax/classify_response",
    Route.CLASSIFY_BATCH: "lorax/classify_batch_response",
}


def _fit(name: str, document: Any, report: Report, law: str) -> None:
    for misfit in schemas.validate(name, document):
        report.add(law, misfit.message, at=misfit.at, seen=misfit.seen)
    for at in schemas.misordered(name, document):
        report.add(law, "keys in another order", at=at, seen=list(document))


@rule("LORAX-INFO-001")
def judge_info(document: Any, report: Report) -> None:
    """Judges the decoded reply of GET /info."""
    _fit("lorax/info", document, report, "LORAX-INFO-001")


@rule("LORAX-EMB-001")
def judge_vectors(route: Route, document: Any, report: Report) -> None:
    """Judges the decoded reply of a route for embeddings."""
    _fit(_VECTORS[route], document, report, "LORAX-EMB-001")


@rule("LORAX-CLS-001")
def judge_classes(route: Route, document: Any, report: Report) -> None:
    """Judges the decoded reply of a route for classification."""
    _fit(_CLASSES[route], document, report, "LORAX-CLS-001")


@rule("LORAX-HTTP-005")
def judge_health(exchange: Exchange, report: Report) -> None:
    """Judges a 200 of a route for load balancers."""
    if exchange.body:
        report.add("LORAX-HTTP-005", "the body is not empty", seen=exchange.body)


@rule("LORAX-HEAD-001", "LORAX-HEAD-002", "LORAX-HEAD-004")
def judge_generation_headers(exchange: Exchange, report: Report, *, stream: bool) -> None:
    """Judges the headers of a successful generation."""
    if stream:
        _headers(exchange, "generate_stream", report, "LORAX-HEAD-002")
    else:
        _headers(exchange, "generate", report, "LORAX-HEAD-001")
    _adapter_headers(exchange, report)


@rule("LORAX-STREAM-010")
def judge_stream_form(exchange: Exchange, report: Report) -> None:
    """Judges whether /generate_stream answered with a stream, once the body parsed.

    The framework's own texts about a body that does not are plain text, and come before a stream.
    """
    parsed = exchange.request_text is None
    if parsed and exchange.media_type == "application/json" and exchange.status >= 400:
        report.add("LORAX-STREAM-010", f"status {exchange.status} for a stream", seen=exchange.body)
    elif exchange.status == 200 and exchange.media_type != "text/event-stream":
        report.add("LORAX-STREAM-010", "no stream came", seen=exchange.body)


def _success(exchange: Exchange, report: Report) -> None:
    route = exchange.route
    if route is Route.HEALTH:
        judge_health(exchange, report)
        return
    if exchange.media_type == "text/event-stream" and route in _GENERATES:
        judge_generation_headers(exchange, report, stream=True)
        judge_events(exchange, report)
        return
    if route is Route.GENERATE_STREAM:
        return
    document = _document(exchange, report)
    if document is None:
        return
    if route in _GENERATES:
        judge_generation_headers(exchange, report, stream=False)
        judge_generate(exchange, document, report)
    elif route is Route.TOKENIZE:
        judge_tokens(exchange, document, report)
    elif route is Route.INFO:
        judge_info(document, report)
    elif route in _VECTORS:
        judge_vectors(route, document, report)
    elif route in _CLASSES:
        judge_classes(route, document, report)


@rule("LORAX-HEAD-005", "LORAX-HTTP-001", "LORAX-HTTP-002", "LORAX-HTTP-003", "LORAX-HTTP-006")
def judge_lorax(exchange: Exchange, report: Report) -> None:
    """Judges one exchange by every law that one exchange can show."""
    if exchange.status == 0:
        return
    _headers(exchange, "cors", report, "LORAX-HTTP-002")
    if exchange.end is not End.COMPLETE and exchange.end is not End.LEFT:
        report.add(
            "LORAX-HTTP-006", f"the body was {exchange.end.value}", seen=exchange.body[-160:]
        )
    if exchange.end is not End.COMPLETE and exchange.media_type != "text/event-stream":
        return
    if exchange.route is Route.GENERATE_STREAM:
        judge_stream_form(exchange, report)
    if exchange.status >= 400:
        _error(exchange, report)
    elif exchange.status == 200 and exchange.method != "OPTIONS":
        _success(exchange, report)
