"""A request and its reply as the text that went over the wire, without secrets, long bodies cut."""

import json
import re
from collections.abc import Iterable

from lorax_contracts.curl import is_secret
from lorax_contracts.errors import printable
from lorax_contracts.exchange import End, Exchange

__all__ = ["reply_text", "request_text"]

_HEAD, _TAIL = 6_000, 2_000
_ENDS = {
    End.CUT: "the connection was closed here, before the end",
    End.IDLE: "nothing more came in time",
    End.TOO_LONG: "more came than is read",
    End.LEFT: "more was still coming when the time was up",
}


def request_text(exchange: Exchange) -> str:
    """Method, path, headers and body. Of a header that holds a secret its name is told."""
    body = exchange.request_text
    if body is None and exchange.request is not None:
        text = json.dumps(exchange.request, ensure_ascii=False, separators=(",", ":"))
        body = text.encode("utf-8", "backslashreplace")
    headers = [
        (name, "(not shown)" if is_secret(name) else value)
        for name, value in exchange.request_headers.items()
    ]
    if body is not None and "content-type" not in exchange.request_headers:
        headers.append(("content-type", "application/json"))
    return _message(f"{exchange.method} {exchange.path}", headers, body or b"")


def reply_text(exchange: Exchange) -> str:
    """Status, headers and body as they came, and how they ended where that is not well."""
    if not exchange.status:
        return f"({exchange.trouble or _ENDS.get(exchange.end, 'no reply')})"
    headers = [
        (name, "(not shown)" if name == "set-cookie" else value) for name, value in exchange.headers
    ]
    text = _message(str(exchange.status), headers, exchange.body)
    return f"{text}\n({_ENDS[exchange.end]})" if exchange.end in _ENDS else text


def _message(first: str, headers: Iterable[tuple[str, str]], body: bytes) -> str:
    lines = [first, *(f"{name}: {value}" for name, value in headers)]
    head = "\n".join(map(printable, lines))
    text = body.decode("utf-8", "backslashreplace")
    if len(text) > _HEAD + _TAIL:
        left_out = f"\n({len(text) - _HEAD - _TAIL:,} characters are left out here)\n"
        text = text[:_HEAD] + left_out + text[-_TAIL:]
    # Lines stay lines; what else a page or a terminal might obey is written as an escape.
    shown = "\n".join(map(printable, re.split(r"\r?\n", text)))
    return f"{head}\n\n{shown}" if shown else head
