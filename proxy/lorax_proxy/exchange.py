"""A request and its answer on a connection: how much of each is here, and how the answer is framed.

An exchange is the server's side of ASGI (`receive`, `send`), and beside it what the endpoints that
carry text use directly (`client.Connected`), since a dictionary and a coroutine for each token cost
more than the translation does: `start`, `write` and `end` hand bytes to the transport at once, and
whoever sends much waits with `drain` while the client is slow.

- *An answer before the request is complete* (a refusal, most often) closes its connection unless
  little is missing, and says so; it is closed so that the client can read it.
- *HTTP/1.0* gets no chunks (RFC 9112 6.1): a stream ends with its connection.
- *Being cancelled*, which only the server's end does, is no error.
"""

import asyncio
import contextlib
import http
import logging
from collections.abc import Callable, Iterable
from typing import Protocol

from lorax_proxy.client import AsgiApp, Message, Scope
from lorax_proxy.core import failures
from lorax_proxy.wire.openai_replies import encode_error

__all__ = ["STATUS_LINE", "Exchange", "Wire"]

_LOG = logging.getLogger("uvicorn.error")


def _status_line(status: int) -> bytes:
    with contextlib.suppress(ValueError):
        return b"HTTP/1.1 %d %b\r\n" % (status, http.HTTPStatus(status).phrase.encode())
    return b"HTTP/1.1 %d \r\n" % status


STATUS_LINE = {status: _status_line(status) for status in range(100, 600)}


class Wire(Protocol):
    """The connection, as its exchanges see it.

    Attributes:
        transport: Where answers go.
        write_paused: Whether the client takes its answer slower than it comes.
    """

    transport: asyncio.Transport
    write_paused: bool

    @property
    def common(self) -> bytes:
        """The header lines of every answer (`date`)."""
        ...

    async def drain(self) -> None:
        """Wait until the client has taken most of what was written, or has left."""

    def resume_reading(self) -> None:
        """Take more of the request's body."""

    def is_rest_small(self) -> bool:
        """Whether so little is missing of the newest request that it is worth reading."""
        ...

    def count_body(self, exchange: "Exchange", size: int) -> None:
        """Count bytes of a body; raises `HeadRefused` when there is no room for them."""

    def answered(self, exchange: "Exchange") -> None:
        """The answer is complete."""


class Exchange:
    """A request and its answer.

    Attributes:
        scope: ASGI's.
        more_body: Whether more of the request is to come.
        disconnected: Whether the client has left, or is given up.
        response_started: Whether a status line was sent.
        response_complete: Whether the answer was sent to its end.
        keep_alive: Whether the connection serves another request after this one.
        body_bytes: Bytes of the request's body that are counted as held, decoded ones too.
        unread: Bytes of the body that nobody has taken yet.
        closes: Whether the answer came before the request was complete, and ends the connection.
        on_disconnect: Called when the client leaves before its answer is complete.
        on_shutdown: Called when the server begins to shut down.
    """

    __slots__ = (
        "_body",
        "_chunked",
        "_expects",
        "_head",
        "_head_only",
        "_http10",
        "_left",
        "_news",
        "_told",
        "_wire",
        "body_bytes",
        "closes",
        "disconnected",
        "keep_alive",
        "more_body",
        "on_disconnect",
        "on_shutdown",
        "response_complete",
        "response_started",
        "scope",
        "unread",
    )

    def __init__(self, wire: Wire, scope: Scope, *, keep_alive: bool, expects: bool) -> None:
        """Take a request whose head is complete.

        Args:
            wire: Its connection.
            scope: What ASGI says of it.
            keep_alive: Whether the client wants the connection to be kept.
            expects: Whether it waits for `100 Continue` before it sends a body.
        """
        self.scope = scope
        self.more_body = True
        self.disconnected = False
        self.response_started = False
        self.response_complete = False
        self.keep_alive = keep_alive
        self.body_bytes = 0
        self.closes = False
        self.on_disconnect: Callable[[], None] | None = None
        self.on_shutdown: Callable[[], None] | None = None
        self.unread = 0
        self._wire = wire
        self._expects = expects
        self._body: list[bytes] = []
        self._news: asyncio.Future[None] | None = None
        # whether the application knows that the request is complete
        self._told = False
        self._http10 = scope["http_version"] == "1.0"
        self._head_only = scope["method"] == "HEAD"
        self._chunked = False
        self._head = b""
        # bytes that are missing of an answer whose length was told
        self._left: int | None = None

    async def run(self, app: AsgiApp) -> None:
        """Have the application answer."""
        try:
            await app(self.scope, self.receive, self.send)
        except asyncio.CancelledError:
            # the server shuts down, and the surface has told the client if it could
            if not self.response_complete:
                self.disconnected = True
                self._wire.transport.abort()
        except BaseException as error:  # noqa: BLE001 - an application's last resort
            _LOG.error("Exception in ASGI application", exc_info=error)
            self._break_off()
        else:
            if not self.response_complete and not self.disconnected:
                _LOG.error("ASGI callable returned without completing response.")
                self._break_off()
        finally:
            # it holds this exchange, which holds it
            del self.scope

    # the request

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the body."""
        self._body.append(data)
        self.unread += len(data)
        self.wake()

    def finish(self) -> None:
        """The request is complete."""
        self.more_body = False
        if not self.response_complete:
            self.wake()

    def disconnect(self) -> None:
        """The client has left."""
        if self.response_complete:
            return
        self.disconnected = True
        self.wake()
        if self.on_disconnect is not None:
            self.on_disconnect()

    def wake(self) -> None:
        """Whoever waits has something to look at."""
        news = self._news
        if news is not None and not news.done():
            news.set_result(None)

    def whole_body(self) -> bytes | None:
        """The request's body if all of it is here, and nobody has taken any; else None."""
        if self.more_body or self.disconnected:
            return None
        self._told = True
        return self._taken()

    def count_body(self, size: int) -> None:
        """Count bytes that the body has become; raises `HeadRefused` when there is no room."""
        self._wire.count_body(self, size)

    def _taken(self) -> bytes:
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        self._body.clear()
        self.unread = 0
        # also behind the whole body: only who reads notices that the client leaves
        self._wire.resume_reading()
        return body

    async def receive(self) -> Message:
        """ASGI: the next bytes of the body, or that the client has left."""
        wire = self._wire
        if self._expects and self.more_body and not wire.transport.is_closing():
            wire.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._expects = False
        while not (self._body or self.disconnected or self.response_complete):
            if not self.more_body and not self._told:
                break
            self._news = asyncio.get_running_loop().create_future()
            await self._news
        if self.disconnected or self.response_complete:
            return {"type": "http.disconnect"}
        self._told = not self.more_body
        return {"type": "http.request", "body": self._taken(), "more_body": self.more_body}

    # the answer

    async def send(self, message: Message) -> None:
        """ASGI: the next part of the answer."""
        if message["type"] == "http.response.start":
            # at once, since it waits for the first bytes of the body: nothing may come before it
            if not self.disconnected:
                self._start_with(message["status"], message.get("headers", ()))
            return
        if self._wire.write_paused and not self.disconnected:
            await self.drain()
        if message.get("more_body", False):
            self.write(message.get("body", b""))
        else:
            self.end(message.get("body", b""))

    def _start_with(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        length: int | None = None
        lines: list[bytes] = []
        for name, value in headers:
            if name == b"content-length":
                length = int(value)
            elif name == b"connection" and value.lower() == b"close":
                self.keep_alive = False
                continue
            lines.append(b"%b: %b\r\n" % (name, value))
        self.start(status, b"".join(lines), length)

    def start(self, status: int, block: bytes, length: int | None = None) -> None:
        """Send the status line and the headers.

        Args:
            status: The HTTP status.
            block: The header lines, each with its end; the framing's own are added.
            length: The body's length, which is among them then; None sends it as it comes.
        """
        if self.disconnected:
            return
        assert not self.response_started, "an answer starts once"  # noqa: S101 - a bug of ours
        self.response_started = True
        if self.more_body:
            # who waits for `100 Continue` and gets an answer may or may not send the body then
            self.closes = self._expects or not self._wire.is_rest_small()
            if self.closes:
                block += b"connection: close\r\n"
        self._expects = False
        bodiless = self._head_only or status in (204, 304)
        self._left = 0 if bodiless else length
        if length is None and not bodiless:
            if self._http10:
                self.keep_alive = False
            else:
                self._chunked = True
                block += b"transfer-encoding: chunked\r\n"
        if not self.keep_alive and not self.closes:
            block += b"connection: close\r\n"
        elif self._http10 and not self.closes:
            block += b"connection: keep-alive\r\n"
        # it leaves with the first bytes of the body
        self._head = b"%b%b%b\r\n" % (STATUS_LINE[status], self._wire.common, block)

    def write(self, data: bytes) -> None:
        """Send the next bytes of the body, however slow the client is."""
        if self.disconnected:
            return
        if not self._chunked:
            data = self._measured(data)
        elif data:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        if self._head:
            data, self._head = self._head + data, b""
        self._wire.transport.write(data)

    def end(self, data: bytes = b"") -> None:
        """Send the last bytes of the body; the connection is the next request's then."""
        if self.disconnected:
            return
        assert not self.response_complete, "an answer ends once"  # noqa: S101 - a bug of ours
        if not self._chunked:
            data = self._measured(data)
            if self._left:
                raise RuntimeError("the answer's body is shorter than it was said to be")
        elif data:
            data = b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data)
        else:
            data = b"0\r\n\r\n"
        transport = self._wire.transport
        transport.write(self._head + data)
        self.response_complete = True
        self.wake()
        if not self.keep_alive and not self.closes:
            transport.close()
        self._wire.answered(self)

    def _measured(self, data: bytes) -> bytes:
        """What is sent of a body that has no chunks: all of it, or nothing of what HEAD asks for."""
        if self._head_only:
            return b""
        if self._left is not None:
            self._left -= len(data)
            if self._left < 0:
                raise RuntimeError("the answer's body is longer than it was said to be")
        return data

    async def drain(self) -> None:
        """Wait while the client is slow."""
        await self._wire.drain()

    @property
    def write_paused(self) -> bool:
        """Whether the client takes its answer slower than it comes."""
        return self._wire.write_paused

    def _break_off(self) -> None:
        """Answer for an application that could not, or end what it has begun."""
        if self.disconnected or self.response_complete:
            return
        if self.response_started:
            self._wire.transport.close()
            return
        error = failures.internal("-")
        body = encode_error(error.message, error.type, error.param, error.code)
        fields = [*error.headers, ("content-type", "application/json"), ("connection", "close")]
        headers = [(name.encode(), value.encode()) for name, value in fields]
        headers.append((b"content-length", b"%d" % len(body)))
        self._start_with(500, headers)
        self.end(body)
