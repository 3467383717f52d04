"""One request and its answer on a socket, as hyper 1.5.0 writes it (src/proto/h1/role.rs, conn.rs).

ASGI on this side, bytes on the other. `connection` comes behind the router's lines and before what hyper itself
adds (the length of an empty body, `transfer-encoding`), and `date` is last. HTTP/1.0 is answered in HTTP/1.0: kept
only when asked for, and a stream ends with the connection.
"""

import asyncio
import http
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, Protocol

from lorax_mock.http.axum import BROKEN_BODY, Scope
from lorax_mock.http.heads import Head

__all__ = ["AHEAD", "STATUS_LINES", "Cycle"]

AHEAD: Final = 65_536
"""Bytes of a body, or of the next request, that wait for whoever is to read them."""

_REASONS: Final = {status.value: status.phrase for status in http.HTTPStatus} | {
    413: "Payload Too Large",
    414: "URI Too Long",
    416: "Range Not Satisfiable",
    418: "I'm a teapot",
    422: "Unprocessable Entity",
}
"""As the crate http 1.1.0 words them (src/status.rs:330-510), where a Python does otherwise: 3.13
has other words for 413 and 422 than 3.11."""

STATUS_LINES: Final = {
    (version, status): f"HTTP/{version} {status} {_REASONS.get(status, '<none>')}\r\n".encode()
    for version in ("1.0", "1.1")
    for status in range(100, 600)
}
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_BODILESS: Final = (204, 304)
_CHUNKED: Final = -1
_UNTIL_THE_END: Final = -2


class _Connection(Protocol):
    """What a cycle needs of the connection that it is on."""

    @property
    def transport(self) -> asyncio.Transport: ...

    @property
    def write(self) -> Callable[[bytes], None]: ...

    @property
    def behind(self) -> bool: ...

    async def writable(self) -> None: ...

    def dated(self) -> bytes: ...

    def hold(self) -> None: ...

    def go_on(self) -> None: ...

    def ended(self, cycle: "Cycle") -> None: ...


def _frame(chunk: bytes) -> bytes:
    """A chunk as HTTP/1.1 sends it."""
    return b"%x\r\n%b\r\n" % (len(chunk), chunk)


_small_frame = lru_cache(maxsize=16_384)(_frame)
"""Of events, most of which come again and again."""

_SMALL: Final = 512
"""Bytes of a chunk whose frame is remembered: those of an event without alternatives."""


class Cycle:
    """A request that is being read, answered, or both."""

    __slots__ = (
        "_body",
        "_broken",
        "_changed",
        "_closing",
        "_complete",
        "_connection",
        "_expects",
        "_left",
        "_put",
        "_read",
        "_started",
        "_without_body",
        "behind",
        "gone",
        "keep_alive",
        "over",
        "scope",
    )

    def __init__(self, connection: _Connection, head: Head, scope: Scope) -> None:
        self._connection = connection
        self.scope = scope
        self.keep_alive = head.keep_alive
        """Whether the connection is used again."""

        self._body = b""
        self._complete = head.length == 0
        self._read = False
        """Whether all of the body was handed over."""

        self._broken = False
        self._closing = False
        self._expects = head.expects and head.version != "1.0" and not self._complete
        self._changed: asyncio.Event | None = None
        self._without_body = head.method == "HEAD"
        self._started = False
        self._left = 0
        """Bytes of the answer's body that are still owed, or how its end is told."""

        self._put = connection.write
        self.behind = connection.behind
        """Whether the client has yet to take most of what was written."""

        self.over = False
        """Whether the answer is written to its last byte."""

        self.gone = False
        """Whether the client has left."""

    @property
    def transport(self) -> asyncio.Transport:
        """The connection's transport, by which faults end it."""
        return self._connection.transport

    @property
    def closes(self) -> bool:
        """Whether the connection ends with the answer, without a header that says so.

        So it does when the client still waits to be told to send its body: what follows is unknown.
        """
        return self._closing or (self._expects and not self._complete)

    # what the connection tells

    def take(self, piece: bytes, *, last: bool) -> None:
        """Take more of the request's body."""
        if piece and not self.over:
            self._body = self._body + piece if self._body else piece
            if len(self._body) > AHEAD and not last:
                self._connection.hold()
        self._complete = last
        self._tell()

    def broken(self) -> None:
        """Note that the request's body can never be whole."""
        self._broken = self._closing = True
        self._tell()

    def trailed(self) -> None:
        """Note that trailers came: hyper does not use the connection again after any (conn.rs:390)."""
        self._closing = True

    def leave(self) -> None:
        """Note that the client is gone."""
        self.gone = True
        self._tell()

    def _tell(self) -> None:
        if self._changed is not None:
            self._changed.set()

    # ASGI

    async def receive(self) -> dict[str, Any]:
        """The next ASGI message: more of the body, or that the client has left."""
        if self._expects and not self._started:
            self._expects = False
            self._connection.write(_CONTINUE)
        while True:
            if self.gone or self.over:
                return {"type": "http.disconnect"}
            if self._broken:
                return {"type": BROKEN_BODY}
            if self._body or (self._complete and not self._read):
                body, self._body, self._read = self._body, b"", self._complete
                return {"type": "http.request", "body": body, "more_body": not self._complete}
            if not self._complete:
                self._connection.go_on()
            if self._changed is None:
                self._changed = asyncio.Event()
            self._changed.clear()
            await self._changed.wait()

    async def send(self, message: Any) -> None:
        """Write a part of the answer; raises RuntimeError for a body that is not as long as its header says."""
        await self._connection.writable()
        if self.gone:
            return
        if message["type"] == "http.response.start":
            self._start(message["status"], message["headers"])
            return
        if not self._started or self.over:
            raise RuntimeError(f"{message['type']} has no place here")
        self._write(message.get("body", b""))
        if not message.get("more_body", False):
            self._end()

    def _start(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        version = self.scope["http_version"]
        self._started = True
        self._left = _UNTIL_THE_END
        lines = [STATUS_LINES[version, status]]
        for name, value in headers:
            if name == b"content-length":
                if status in _BODILESS:
                    continue
                self._left = int(value)
            lines.append(b"%b: %b\r\n" % (name, value))
        if self.keep_alive != (version == "1.1"):
            kept = b"connection: keep-alive\r\n" if self.keep_alive else b"connection: close\r\n"
            # the length of an empty body is hyper's own, so it comes later
            lines.insert(len(lines) - (headers[-1:] == [(b"content-length", b"0")]), kept)
        if self._without_body or status in _BODILESS:
            self._left = 0
        elif self._left == _UNTIL_THE_END:
            if version == "1.1":
                self._left = _CHUNKED
                lines.append(b"transfer-encoding: chunked\r\n")
            else:
                self.keep_alive = False
        lines.append(self._connection.dated())
        lines.append(b"\r\n")
        self._connection.write(b"".join(lines))

    def _write(self, body: bytes) -> None:
        if self._without_body or not body:
            return
        if self._left == _CHUNKED:
            body = _frame(body)
        elif self._left != _UNTIL_THE_END:
            if len(body) > self._left:
                raise RuntimeError("the answer is longer than its content-length")
            self._left -= len(body)
        self._connection.write(body)

    def outlet(self) -> "Cycle | None":
        """This cycle, if chunks may be written to it by `offer`."""
        return self if self._left == _CHUNKED and not self.over else None

    def frame(self, chunk: bytes) -> bytes:
        """The chunk as it goes over the wire."""
        return _small_frame(chunk) if len(chunk) <= _SMALL else _frame(chunk)

    def offer(self, frames: bytes) -> bool:
        """Write these frames now; False, and nothing is written, if the client is behind or gone."""
        if self.behind or self.gone:
            return False
        self._put(frames)
        return True

    def _end(self) -> None:
        if self._left > 0:
            raise RuntimeError("the answer is shorter than its content-length")
        if self._left == _CHUNKED:
            self._connection.write(b"0\r\n\r\n")
        self.over = True
        self._tell()
        self._connection.ended(self)

    def fail(self) -> None:
        """Answer that the application failed, unless an answer has begun."""
        if self._started or self.gone:
            return
        self.keep_alive = False
        text = b"Internal Server Error"
        headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(text))]
        self._start(500, headers)
        self._write(text)
        self._end()
