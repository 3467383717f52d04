"""Bare recordings: a reply's or stream's bytes without their request, status or headers.

What a recording is can be told from what it holds. Laws about what is not in it (headers, what was
asked) are not judged.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import unquote_plus

from lorax_contracts import loader, sse
from lorax_contracts.curl import is_secret
from lorax_contracts.errors import CannotRead
from lorax_contracts.exchange import End, Exchange, Finding, count_of, from_json
from lorax_contracts.judge import judge, wire_of
from lorax_contracts.judge.answer import mapping, objects
from lorax_contracts.judge.openai import request_misfits

__all__ = ["lint", "read_recording", "unread_request"]

_STATUS_LINE = re.compile(
    rb"HTTP/[0-9.]+ (?P<status>[0-9]{3})[^\r\n]*\r?\n(?P<headers>(?:[^\r\n]+\r?\n)*)\r?\n"
)
_KNOWN = frozenset({"choices", "object", "id", "model", "usage", "data", "created"})
_NOT_RECORDED = ("LORAX-HEAD-", "LORAX-HTTP-", "OAI-HTTP-002", "OAI-HTTP-003", "OAI-ERR-008")


def _without_key(exchange: Exchange) -> Exchange:
    """The exchange without the values in its query that look like secrets: its path is printed."""
    path, mark, query = exchange.path.partition("?")
    pairs = [one.partition("=") for one in query.split("&")]
    shown = "&".join(
        f"{name}=KEY"
        if value and is_secret(unquote_plus(name).lower())
        else f"{name}{equals}{value}"
        for name, equals, value in pairs
    )
    return replace(exchange, path=path + mark + shown)


def _is_exchange(document: Any) -> bool:
    return isinstance(document, Mapping) and "path" in document and "status" in document


def _stream_path(body: bytes, kind: str | None) -> str:
    for event in sse.read(body).data:
        value = mapping(event.value)
        # LoRAX's own /v1 sends its native errors.
        if "token" in value or ("error_type" in value and kind != "openai"):
            return "/generate_stream"
        for choice in objects(value.get("choices")):
            return "/v1/completions" if "text" in choice else "/v1/chat/completions"
    return "/v1/chat/completions"


def _document_path(document: Any, kind: str | None) -> tuple[str, int]:
    """The route that would answer so, and its status.

    Raises:
        CannotRead: none would.
    """
    if isinstance(document, list):
        first = mapping(document[0]) if document else {}
        if document and not first:
            raise CannotRead("the recording is a JSON list, and no reply: it holds no objects")
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
    if not _KNOWN & set(reply):
        raise CannotRead(
            "the recording is JSON, and no reply: it has none of choices, data, error,"
            " generated_text; an exchange has path, status and body"
        )
    return "/v1/chat/completions", 200


def _foreign(head: bytes) -> str:
    """What a recording is that holds no reply, and what to do; "" for anything else."""
    if not head:
        return "is empty"
    if head.startswith(b"\x1f\x8b"):
        return "is compressed; record it with curl --compressed, or unpack it"
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "is UTF-16, as some shells write it; record it with curl --output FILE"
    if head[:64].lower().startswith((b"<!doctype", b"<html")):
        return "is a web page"
    if not head.startswith((b"{", b"[")) and not (sse.read(head).events or b"data:" in head):
        return "is neither a JSON reply nor server-sent events (lines that start 'data:')"
    return ""


def read_recording(data: bytes, *, kind: str | None = None) -> tuple[Exchange, bool]:
    """An exchange, and whether it was recorded with its status and headers.

    Raises:
        CannotRead: it is neither a recorded exchange, a reply as `curl -i` writes it, a JSON reply
            nor an event stream, or it is of the wire that `kind` is not.
    """
    head = data.removeprefix(b"\xef\xbb\xbf").lstrip()
    headed = _STATUS_LINE.match(head) is not None
    foreign = "" if headed else _foreign(head)
    if foreign:
        raise CannotRead(f"the recording {foreign}")
    if headed:
        exchange = _with_head(head, kind)
    elif not head.startswith((b"{", b"[")):
        body = _untrimmed(data)
        exchange = _bare(_stream_path(body, kind), 200, "text/event-stream", body)
    else:
        try:
            document = json.loads(head)
        except (ValueError, RecursionError) as error:
            raise CannotRead(f"the recording is not JSON: {error}") from error
        if isinstance(document, Mapping) and "chunks" in document:
            # its `body` is the request's, and would be judged as the reply
            raise CannotRead(
                "the recording is a cassette of lorax-mock; replay it and check the mock"
            )
        if _is_exchange(document):
            exchange, headed = _without_key(from_json(document)), True
        else:
            path, status = _document_path(document, kind)
            # A byte order mark is the editor's, not the server's.
            exchange = _bare(path, status, "application/json", head)
    wire = wire_of(exchange)
    # /v1/embeddings is on both wires.
    if kind not in {None, wire} and exchange.status == 200 and "embeddings" not in exchange.path:
        raise CannotRead(
            f"the recording is a reply of {wire}'s wire ({exchange.path}), for which --kind {kind}"
            " has no laws"
        )
    return exchange, headed


def _untrimmed(body: bytes) -> bytes:
    """A bare stream with the empty line at its end, which editors take away when they save a file."""
    ends = body.endswith((b"\n\n", b"\r\r", b"\r\n\r\n"))
    return body if ends else body + b"\n\n"


def _with_head(data: bytes, kind: str | None) -> Exchange:
    """A reply with its status line and headers, as `curl -i` writes it."""
    status, pairs = 100, []
    # A server that was asked whether to go on says 100 first.
    while 100 <= status < 200 and (line := _STATUS_LINE.match(data)) is not None:
        status = int(line.group("status"))
        pairs = [one.partition(b":") for one in line.group("headers").splitlines()]
        data = data[line.end() :]
    headers = {
        name.decode("latin-1").strip().lower(): value.decode("latin-1").strip()
        for name, _, value in pairs
    }
    kept = tuple(headers.items())
    stream = headers.get("content-type", "").startswith("text/event-stream")
    try:
        path = _stream_path(data, kind) if stream else _document_path(json.loads(data), kind)[0]
    except (ValueError, RecursionError, CannotRead):
        path = "/generate" if kind == "lorax" else "/v1/chat/completions"
    length = count_of(headers.get("content-length", ""))
    cut = length is not None and len(data) < length
    bare = _bare(path, status, "", data)
    end = End.CUT if cut else End.COMPLETE
    return replace(bare, headers=kept, end=end, at=_moment(headers.get("date", "")))


def _moment(date: str) -> int | None:
    """The Unix seconds of a Date header; None when there is none that can be read."""
    try:
        return int(parsedate_to_datetime(date).timestamp())
    except ValueError:
        return None


def _bare(path: str, status: int, media_type: str, body: bytes) -> Exchange:
    return Exchange(
        method="GET" if path in {"/info", "/v1/models", "/v1/models/model"} else "POST",
        path=path,
        status=status,
        headers=(("content-type", media_type), ("content-length", str(len(body)))),
        body=body,
    )


def unread_request(data: bytes, request: Any, *, kind: str | None = None) -> str:
    """Why the request was left out of account, in one line; "" when it was not.

    Raises:
        CannotRead: as `read_recording`.
    """
    exchange, _ = read_recording(data, kind=kind)
    misfits = request_misfits(replace(exchange, request=request))
    if not misfits:
        return ""
    first = misfits[0]
    return f"{first.message} at {first.at or 'the whole'}"


def lint(
    data: bytes, *, kind: str | None = None, request: Any = None, strict: bool = False
) -> list[Finding]:
    """Judges a recording.

    Args:
        data: a recorded exchange (see `exchange`), a reply as `curl -i` writes it, a JSON reply, or a
            stream's bytes.
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
