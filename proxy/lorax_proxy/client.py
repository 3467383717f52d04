"""One request as an endpoint sees it: what was asked, and the way back to who asked.

An answer's bytes go to the connection by plain calls (`Connected`); ASGI's messages are for what other
applications answer. A client that leaves must end its LoRAX request at once: its connection says so
(`when_gone`), and `until_gone` cancels the work for it, whose `finally` blocks close what they opened.
"""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping, Sequence
from typing import Any, Protocol

from lorax_proxy.core.failures import ApiError
from lorax_proxy.errors import RequestRefused
from lorax_proxy.observe import Record
from lorax_proxy.tap import Tap
from lorax_proxy.wire.compression import Decoder, TooLarge, codings
from lorax_proxy.wire.openai_replies import encode_error, error_event

__all__ = [
    "CONNECTED",
    "AsgiApp",
    "Client",
    "ClientLeft",
    "Connected",
    "Headers",
    "Message",
    "Receive",
    "Scope",
    "Send",
    "header_lines",
    "until_gone",
]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = Sequence[tuple[str, str]]

_JSON = ("content-type", "application/json")


CONNECTED = "lorax_proxy.connected"
"""The ASGI extension of our own server: the request's `Connected`."""


class Connected(Protocol):
    """A request's own side of its connection (`exchange.Exchange`)."""

    on_disconnect: Callable[[], None] | None
    """Called when the client leaves before its answer is complete."""

    on_shutdown: Callable[[], None] | None
    """Called when the server begins to shut down, for answers that end no other way."""

    async def send(self, message: Message) -> None:
        """ASGI's way to the same connection."""

    @property
    def disconnected(self) -> bool:
        """Whether the client has left."""
        ...

    @property
    def write_paused(self) -> bool:
        """Whether the client takes its answer slower than it comes."""
        ...

    def whole_body(self) -> bytes | None:
        """The request's body if all of it is here; else None."""
        ...

    def count_body(self, size: int) -> None:
        """Count bytes that a body has become; raises `HeadRefused` when there is no room for them."""

    def start(self, status: int, block: bytes, length: int | None = None) -> None:
        """Send the status line and the header lines, each with its end."""

    def write(self, data: bytes) -> None:
        """Send the next bytes of the body, however slow the client is."""

    def end(self, data: bytes = b"") -> None:
        """Send the last bytes of the body."""

    async def drain(self) -> None:
        """Wait while the client is slow."""


class ClientLeft(Exception):
    """The client closed its connection before its answer was complete."""


class Client:
    """One request, and the way back to who sent it.

    Attributes:
        request_id: The client's own id if it is sane, else ours.
        record: What will be logged and counted.
        started: Whether the status line is sent: from then on errors travel in band.
        ended: Whether the answer is complete: nothing may follow it.
        tap: What shows both wires to whoever looks; None when nobody does.
    """

    __slots__ = (
        "_begun",
        "_connected",
        "_extra",
        "_headers",
        "_receive",
        "_send",
        "ended",
        "record",
        "request_id",
        "scope",
        "started",
        "tap",
    )

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        record: Record,
        extra: bytes = b"",
        tap: Tap | None = None,
    ) -> None:
        """Take a request.

        Args:
            scope: ASGI's, with the extension `CONNECTED`.
            receive: ASGI's.
            send: ASGI's; the server's own, unless something stands between that adds headers.
            record: What will be logged.
            extra: Header lines of every answer.
            tap: What shows it to whoever looks.
        """
        self.scope = scope
        self.record = record
        self.request_id = record.request_id
        self.started = False
        self.ended = False
        self.tap = tap
        self._connected: Connected = scope["extensions"][CONNECTED]
        self._headers = scope["headers"]
        self._receive = receive
        self._send = send
        self._extra = extra
        self._begun = time.perf_counter()

    def header(self, name: str) -> str | None:
        """A request header; `name` in lower case."""
        value = _header(self._headers, name.encode())
        return None if value is None else value.decode("latin-1")

    def elapsed(self) -> float:
        """Seconds since the request arrived."""
        return time.perf_counter() - self._begun

    async def body(self, limit: int) -> bytes:
        """The whole request body, without its compression; the head is let go of.

        Raises:
            HeadRefused: 503 when it is compressed, and there is no room for what it becomes.
            RequestRefused: 413 when it is larger than `limit` bytes, 415 when it is not JSON or
                compressed as nothing here can undo, 400 when it is not what its encoding says.
            ClientLeft: When the client went away before it was complete.
        """
        kind = _header(self._headers, b"content-type")
        if kind != b"application/json":
            _check_kind(kind)
        declared = self.header("content-length")
        if declared is not None and declared.isdigit() and int(declared) > limit:
            raise _too_large(limit)
        decoder = self._decoder(limit)
        # an SDK sends 3 KB of headers, and a stream may be open for an hour
        self._headers = []
        self.scope.clear()
        if decoder is None:
            body = self._connected.whole_body()
            if body is not None:
                if len(body) > limit:
                    raise _too_large(limit)
                return body
        chunks: list[bytes] = []
        size = received = 0
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientLeft
            chunk: bytes = message.get("body", b"")
            if decoder is not None:
                received += len(chunk)
                try:
                    chunk = decoder.feed(chunk)
                except TooLarge:
                    raise _too_large(limit) from None
                self._connected.count_body(len(chunk))
            chunks.append(chunk)
            size += len(chunk)
            if max(size, received) > limit:
                raise _too_large(limit)
            if not message.get("more_body", False):
                if decoder is not None:
                    decoder.finish()
                return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def _decoder(self, limit: int) -> Decoder | None:
        """What undoes the body's compression, if it says that there is any."""
        given = [value for name, value in self._headers if name == b"content-encoding"]
        if not given:
            return None
        return Decoder(codings([value.decode("latin-1") for value in given]), limit)

    async def start(self, status: int, headers: Headers, length: int | None = None) -> None:
        """Send the status line and the headers, in one step: nothing comes between.

        Args:
            status: The HTTP status.
            headers: Without those of the framing.
            length: The body's length if it is known.
        """
        block = b"%bx-request-id: %b\r\nopenai-processing-ms: %d\r\n%b" % (
            header_lines(headers),
            self.request_id.encode("latin-1"),
            round(self.elapsed() * 1000),
            self._extra,
        )
        if length is not None:
            block = b"content-length: %d\r\n%b" % (length, block)
        self.started = True
        self.record.status = status
        if self._send == self._connected.send:
            self._connected.start(status, block, length)
            return
        fields = [tuple(line.split(b": ", 1)) for line in block.split(b"\r\n")[:-1]]
        await self._send({"type": "http.response.start", "status": status, "headers": fields})

    def write(self, data: bytes) -> None:
        """Send the next bytes of a stream, however slow the client is."""
        self._connected.write(data)

    @property
    def is_slow(self) -> bool:
        """Whether the client takes its answer slower than it comes: `drain` before more is sent."""
        return self._connected.write_paused

    async def drain(self) -> None:
        """Wait while the client is slow."""
        await self._connected.drain()

    def end(self, data: bytes = b"") -> None:
        """Send the last bytes of a stream."""
        self.ended = True
        self._connected.end(data)

    async def reply(self, body: bytes, *, status: int = 200, headers: Headers = ()) -> None:
        """Send a whole JSON answer."""
        await self.start(status, (_JSON, *headers), len(body))
        self.end(body)

    async def fail(self, error: ApiError) -> None:
        """Tell the client what went wrong: as a status, or in band once a stream has begun."""
        self.record.error = error.code or error.type
        self.record.reason = error.reason
        self.record.upstream_status = error.upstream_status
        if self.started:
            # no [DONE] after it: that word means success
            self.end(error_event(error.message, error.type, error.param, error.code))
            return
        body = encode_error(error.message, error.type, error.param, error.code)
        await self.reply(body, status=error.status, headers=error.headers)

    async def pass_to(self, app: AsgiApp, scope: Scope) -> None:
        """Let another application answer; its answer gets the headers that every answer has."""

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.started = True
                self.record.status = message["status"]
                own = [
                    (b"x-request-id", self.request_id.encode("latin-1")),
                    (b"openai-processing-ms", b"%d" % round(self.elapsed() * 1000)),
                    *(tuple(line.split(b": ", 1)) for line in self._extra.split(b"\r\n")[:-1]),
                ]
                message["headers"] = [*message["headers"], *own]
            elif message["type"] == "http.response.body" and not message.get("more_body", False):
                self.ended = True
            await self._send(message)

        await app(scope, self._receive, noting)

    def when_gone(self, call: Callable[[], None] | None) -> None:
        """Have `call` called once the client closes its connection; None to forget that."""
        self._connected.on_disconnect = call
        if call is not None and self._connected.disconnected:
            call()

    def when_ending(self, call: Callable[[], None] | None) -> None:
        """Have `call` called when the server shuts down; None to forget that."""
        self._connected.on_shutdown = call


def _header(fields: Iterable[tuple[bytes, bytes]], wanted: bytes) -> bytes | None:
    """The first header of a name, which is in lower case as those of `fields` are."""
    for name, value in fields:
        if name == wanted:
            return value
    return None


def header_lines(headers: Headers) -> bytes:
    """Headers as HTTP/1 writes them, each with its line's end.

    Raises:
        ValueError: For a line end in one, which would begin another one, or another answer.
    """
    block = "".join([f"{name}: {value}\r\n" for name, value in headers])
    if not block.count("\n") == block.count("\r") == len(headers):
        raise ValueError("a header holds a line end")
    return block.encode("latin-1")


def _check_kind(given: bytes | None) -> None:
    """Refuse a body that does not say that it is JSON."""
    kind = (given or b"").decode("latin-1").partition(";")[0].strip().lower()
    if kind != "application/json" and not re.fullmatch(r"application/\S+\+json", kind):
        raise RequestRefused(
            f"Expected 'content-type: application/json', but got {kind or 'none'!r}. "
            "(A web page must not be able to drive this server.)",
            status=415,
            code="unsupported_media_type",
        )


async def until_gone(client: Client, work: Callable[[], Awaitable[None]]) -> None:
    """Do `work` for a client, and stop at once when the client leaves.

    Raises:
        ClientLeft: When it did.
    """
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - a coroutine that runs is in a task
    left = False

    def leave() -> None:
        nonlocal left
        left = True
        task.cancel()

    client.when_gone(leave)
    try:
        await work()
    except asyncio.CancelledError:
        if left and task.uncancel() == 0:
            raise ClientLeft from None
        raise
    finally:
        client.when_gone(None)


def _too_large(limit: int) -> RequestRefused:
    return RequestRefused(
        f"The request body is larger than {limit} bytes.",
        status=413,
        code="request_too_large",
    )
