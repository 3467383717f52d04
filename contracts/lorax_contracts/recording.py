"""Bare recordings: a reply's or stream's bytes without their request, status or headers.

What a recording is can be told from what it holds. Laws about what is not in it (headers, what was
asked) are not judged.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from lorax_contracts import loader, sse
from lorax_contracts.errors import CannotRead
from lorax_contracts.exchange import Exchange, Finding, from_json
from lorax_contracts.judge import judge
from lorax_contracts.judge.answer import mapping, objects

__all__ = ["lint", "read_recording"]

_NOT_RECORDED = ("LORAX-HEAD-", "LORAX-HTTP-", "OAI-HTTP-002", "OAI-HTTP-003", "OAI-ERR-008")


def _is_exchange(document: Any) -> bool:
    return isinstance(document, Mapping) and "path" in document and "status" in document


def _stream_path(body: bytes) -> str:
    for event in sse.read(body).data:
        value = mapping(event.value)
        if "token" in value or "error_type" in value:
            return "/generate_stream"
        for choice in objects(value.get("choices")):
            return "/v1/completions" if "text" in choice else "/v1/chat/completions"
    return "/v1/chat/completions"


def _document_path(document: Any, kind: str | None) -> tuple[str, int]:
    """The route that would answer so, and its status."""
    if isinstance(document, list):
        first = mapping(document[0]) if document else {}
        if "generated_text" in first:
            return "/", 200
        if "entity_group" in first:
            return "/classify", 200
        return "/tokenize", 200
    reply = mapping(document)
    if "error_type" in reply or (kind == "lorax" and "error" in reply):
        rows = loader.table("lorax/errors")["error"]
        known = {str(row["type"]): int(row["status"]) for row in rows}
        return "/generate", known.get(str(reply.get("error_type")), 500)
    if "error" in reply:
        return "/v1/chat/completions", 400
    if "generated_text" in reply:
        return "/generate", 200
    if "max_total_tokens" in reply:
        return "/info", 200
    if "embeddings" in reply:
        return "/embed", 200
    entries = objects(reply.get("data"))
    if reply.get("object") == "list" or entries:
        embedded = any("embedding" in entry for entry in entries)
        return ("/v1/embeddings" if embedded else "/v1/models"), 200
    if any("text" in choice for choice in objects(reply.get("choices"))):
        return "/v1/completions", 200
    if reply.get("object") == "model":
        return "/v1/models/model", 200
    return "/v1/chat/completions", 200


def read_recording(data: bytes, *, kind: str | None = None) -> tuple[Exchange, bool]:
    """An exchange, and whether it was recorded whole (with request, status and headers).

    Raises:
        CannotRead: it is neither a recorded exchange, a JSON reply nor an event stream.
    """
    head = data.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not head:
        raise CannotRead("the recording is empty")
    if not head.startswith((b"{", b"[", b'"')):
        if not sse.read(data).events and b"data:" not in data:
            raise CannotRead(
                "the recording is neither JSON nor server-sent events (lines that start 'data:')"
            )
        path = _stream_path(data)
        return _bare(path, 200, "text/event-stream", data), False
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise CannotRead(f"the recording is not JSON: {error}") from error
    if _is_exchange(document):
        return from_json(document), True
    path, status = _document_path(document, kind)
    return _bare(path, status, "application/json", data), False


def _bare(path: str, status: int, media_type: str, body: bytes) -> Exchange:
    return Exchange(
        method="GET" if path in {"/info", "/v1/models", "/v1/models/model"} else "POST",
        path=path,
        status=status,
        headers=(("content-type", media_type), ("content-length", str(len(body)))),
        body=body,
    )


def lint(
    data: bytes, *, kind: str | None = None, request: Any = None, strict: bool = False
) -> list[Finding]:
    """Judges a recording.

    Args:
        data: a recorded exchange (see `exchange`), a JSON reply, or a stream's bytes.
        kind: `openai` or `lorax`; told from the recording when absent.
        request: the request's JSON, for laws about what was asked.
        strict: judge our own, stricter promises too.

    Raises:
        CannotRead: it is none of these.
    """
    exchange, whole = read_recording(data, kind=kind)
    if request is not None:
        exchange = replace(exchange, request=request)
    return [
        finding
        for finding in judge(exchange, kind=kind, strict=strict)
        if whole or not finding.law.startswith(_NOT_RECORDED)
    ]
