"""One recorded request and its reply, and what may be found wrong with it.

An `Exchange` is a value: the client made it, a test wrote it, or a file held it. Judges read nothing
else, so the same laws hold for a live server, a recording and a transcript.

In a file an exchange is one JSON object:

    {"method": "POST", "path": "/v1/chat/completions", "request": {...},
     "status": 200, "headers": {"content-type": "..."}, "body": "...", "end": "complete"}

`request` is the request's JSON, or `request_text` its bytes when they are no JSON; `body` is text in
UTF-8, or `body_base64` any bytes.
"""

import base64
import binascii
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from lorax_contracts.errors import CannotRead

__all__ = ["End", "Exchange", "Finding", "Route", "count_of", "from_json", "to_json"]


class End(Enum):
    """How a reply's body ended, as the client saw it."""

    COMPLETE = "complete"  # as its framing says
    CUT = "cut"  # reset, or closed in the middle of its framing
    IDLE = "idle"  # nothing more came within the client's patience
    TOO_LONG = "too_long"  # more bytes than the client reads
    LEFT = "left"  # bytes still came when the client's time for one reply was up


class Route(Enum):
    """What a path is for, by its last parts; a prefix such as `/openai/v1` does not matter."""

    CHAT = "chat/completions"
    COMPLETIONS = "completions"
    EMBEDDINGS = "embeddings"
    MODELS = "models"
    MODEL = "models/{id}"
    GENERATE = "generate"
    GENERATE_STREAM = "generate_stream"
    COMPAT_GENERATE = "/"
    TOKENIZE = "tokenize"
    EMBED = "embed"
    CLASSIFY = "classify"
    CLASSIFY_BATCH = "classify_batch"
    INFO = "info"
    HEALTH = "health"
    OTHER = "other"


_BY_SUFFIX: tuple[tuple[str, Route], ...] = (
    ("/chat/completions", Route.CHAT),
    ("/completions", Route.COMPLETIONS),
    ("/embeddings", Route.EMBEDDINGS),
    ("/models", Route.MODELS),
    ("/generate", Route.GENERATE),
    ("/generate_stream", Route.GENERATE_STREAM),
    ("/invocations", Route.COMPAT_GENERATE),
    ("/tokenize", Route.TOKENIZE),
    ("/embed", Route.EMBED),
    ("/classify", Route.CLASSIFY),
    ("/classify_batch", Route.CLASSIFY_BATCH),
    ("/info", Route.INFO),
    ("/health", Route.HEALTH),
    ("/ping", Route.HEALTH),
    ("/startup", Route.HEALTH),
)


def count_of(text: str) -> int | None:
    """The number that a text is, if it has up to 20 digits: Python reads no more than 4,300."""
    return int(text) if text.isdecimal() and len(text) <= 20 else None


@dataclass(frozen=True, slots=True)
class Exchange:
    """What was asked and what came.

    Attributes:
        path: with the server's prefix, without scheme and host.
        request: the decoded JSON of the request's body; None when it had none or is no JSON.
        request_text: the request's bytes when they are not the plain JSON of `request`.
        request_headers: beyond the client's usual ones, names in lower case.
        status: 0 when no reply came at all.
        headers: pairs in order of arrival, names in lower case.
        at: Unix seconds at which the reply came, for laws about time; None in old recordings.
        trouble: what the client met instead of a reply, in words; "" when one came.
    """

    method: str
    path: str
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    request: Any = None
    request_text: bytes | None = None
    request_headers: Mapping[str, str] = field(default_factory=dict[str, str])
    end: End = End.COMPLETE
    at: int | None = None
    trouble: str = ""

    @property
    def route(self) -> Route:
        """What the path is for."""
        path = self.path.partition("?")[0]
        if path == "/":
            return Route.COMPAT_GENERATE if self.method == "POST" else Route.HEALTH
        for suffix, route in _BY_SUFFIX:
            if path.endswith(suffix):
                return route
        return Route.MODEL if "/models/" in path else Route.OTHER

    @property
    def asked(self) -> Mapping[str, Any]:
        """The request as an object; empty when it is none."""
        return self.request if isinstance(self.request, Mapping) else {}

    @property
    def dropped(self) -> bool:
        """Whether no reply came: the connection was closed, or silent though it was waited for."""
        return self.status == 0 and (self.end is End.CUT or bool(self.trouble))

    @property
    def says_nothing(self) -> bool:
        """Whether nothing follows from it: no reply came, or the server was too busy for one."""
        return self.status in {0, 429}

    def header(self, name: str) -> str | None:
        """The first header of that lower-case name."""
        return next((value for key, value in self.headers if key == name), None)

    def count(self, name: str) -> int | None:
        """The number that a header states, as `count_of`."""
        return count_of(self.header(name) or "")

    @property
    def media_type(self) -> str:
        """The content type without its parameters, in lower case; "" when there is none."""
        return (self.header("content-type") or "").partition(";")[0].strip().lower()


@dataclass(frozen=True, slots=True)
class Finding:
    """One broken law, and the bytes that show it.

    Attributes:
        law: id of the law.
        message: what is wrong, in one line.
        at: where: a JSON pointer, `event 3 /choices/0`, a header's name; "" for the whole.
        seen: the offending bytes as text, cut to a line.
        exchange: the exchange that shows it; None only before it is attached.
    """

    law: str
    message: str
    at: str = ""
    seen: str = ""
    exchange: Exchange | None = None


_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2


def _pairs(key: str, given: object) -> Iterable[tuple[str, str]]:
    """Names in lower case and values of headers, as an object or a list of pairs."""
    rows: object = [*given.items()] if isinstance(given, Mapping) else given
    if not isinstance(rows, list):
        raise CannotRead(f"recorded exchange: {key} must be an object, or a list of pairs")
    for row in rows:
        if not (isinstance(row, list | tuple) and len(row) == 2 and isinstance(row[0], str)):
            raise CannotRead(f"recorded exchange: {key} must hold pairs of name and value")
        yield row[0].lower(), str(row[1])


def _asked_with(given: object) -> dict[str, str]:
    """The headers of a request: they become words of a command that people paste."""
    headers = dict(_pairs("request_headers", given))
    for name, value in headers.items():
        if not _TOKEN.fullmatch(name):
            raise CannotRead(f"recorded exchange: request_headers: {name!r} is no header's name")
        if not value.isprintable():
            raise CannotRead(f"recorded exchange: request_headers: {name} holds control characters")
    return headers


def from_json(document: object) -> Exchange:
    """Reads the file form.

    Raises:
        CannotRead: it is not one; the message names the key.
    """
    if not isinstance(document, dict):
        raise CannotRead("a recorded exchange is a JSON object with method, path, status and body")
    for key, kind in (("path", str), ("status", int)):
        if not isinstance(document.get(key), kind):
            raise CannotRead(f"recorded exchange: {key} must be a {kind.__name__}")
    if not document["path"].isprintable():
        raise CannotRead("recorded exchange: path holds control characters")
    method, at = str(document.get("method", "POST")).upper(), document.get("at")
    if not _TOKEN.fullmatch(method):
        raise CannotRead(f"recorded exchange: {method!r} is no method")
    if not isinstance(at, int | None):
        raise CannotRead("recorded exchange: at must be a whole number of seconds")
    try:
        body = (
            base64.b64decode(document["body_base64"], validate=True)
            if "body_base64" in document
            else str(document.get("body", "")).encode("utf-8", "surrogatepass")
        )
        end = End(document.get("end", "complete"))
    except (binascii.Error, TypeError) as error:
        raise CannotRead(f"recorded exchange: body_base64 is not base64: {error}") from error
    except ValueError as error:
        ends = ", ".join(e.value for e in End)
        raise CannotRead(f"recorded exchange: end must be one of {ends}") from error
    text = document.get("request_text")
    return Exchange(
        method=method,
        path=document["path"],
        status=document["status"],
        headers=tuple(_pairs("headers", document.get("headers", {}))),
        body=body,
        request=document.get("request"),
        request_text=None if text is None else str(text).encode("utf-8", "surrogatepass"),
        request_headers=_asked_with(document.get("request_headers", {})),
        end=end,
        at=at,
        trouble=str(document.get("trouble", "")),
    )


def to_json(exchange: Exchange) -> dict[str, Any]:
    """The file form, `body` as text where it is UTF-8."""
    document: dict[str, Any] = {"method": exchange.method, "path": exchange.path}
    if exchange.request is not None:
        document["request"] = exchange.request
    if exchange.request_text is not None:
        document["request_text"] = exchange.request_text.decode("utf-8", "replace")
    if exchange.request_headers:
        document["request_headers"] = dict(exchange.request_headers)
    document |= {"status": exchange.status, "headers": [list(pair) for pair in exchange.headers]}
    try:
        document["body"] = exchange.body.decode("utf-8")
    except UnicodeDecodeError:
        document["body_base64"] = base64.b64encode(exchange.body).decode("ascii")
    document["end"] = exchange.end.value
    if exchange.at is not None:
        document["at"] = exchange.at
    if exchange.trouble:
        document["trouble"] = exchange.trouble
    return json.loads(json.dumps(document))  # type: ignore[no-any-return]  # a JSON copy of a JSON value
