"""The fast transport: asyncio's protocols and llhttp, and nothing between them and the socket.

An HTTP client that is made for everything costs many times what the translation costs, so the hot
path has one made for this: HTTP/1.1, one request at a time on a connection, bodies as they arrive.
What it does is defined by `upstream.httpx`, the reference: the tests hold one against the other,
byte for byte, on every answer that Hypothesis invents.

How it works:

- A `_Connection` is a protocol. The event loop gives it bytes, llhttp gives it a status, headers
  and pieces of the body, and whoever waits is woken once for everything that came in one read.
- A body that nobody reads is not taken from the kernel beyond a bound, so that a slow client slows
  LoRAX down and does not fill our memory.
- Silence is watched by one timer a request, which looks at the clock when it fires and never when
  bytes arrive.
- A connection whose answer was read to the end goes back to the pool; any other is torn down, which
  is how LoRAX learns that a request is cancelled (router/src/infer.rs).
- Waiting does not own the connection: a caller that is cancelled leaves it whole.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import cast
from urllib.parse import urlsplit

import httptools

from lorax_proxy.core.failures import Lost
from lorax_proxy.errors import UpstreamError
from lorax_proxy.upstream.transport import PAUSE

__all__ = ["DirectExchange", "DirectTransport"]

_MAX_IDLE = 256
"""Connections that are kept: as many as streams that commonly end at once; each is one socket."""

_MAX_HEAD = 64 * 1024
"""Bytes of a status line and headers: LoRAX sends about 800."""

_HIGH_WATER = 256 * 1024
"""Bytes of an unread body at which reading from the kernel pauses: some 1,500 events."""


class DirectTransport:
    """A pool of connections to one server (`upstream.transport.Transport`)."""

    def __init__(
        self,
        url: str,
        *,
        connect_timeout: float,
        connect_retries: int,
        token: str | None = None,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Prepare; nothing is connected yet.

        Args:
            url: The server's address, `http` or `https`, with a path if it has one.
            connect_timeout: Seconds for a TCP (and TLS) connection.
            connect_retries: How often a failed connect is tried again.
            token: What to send as `Authorization: Bearer`.
            pause: How to wait between two connects.
        """
        parts = urlsplit(url)
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if self._tls else 80)
        self._base = parts.path.rstrip("/")
        self._connect_timeout = connect_timeout
        self._connect_retries = connect_retries
        self._pause = pause
        self._idle: list[_Connection] = []
        self._closed = False
        host = f"[{self._host}]" if ":" in self._host else self._host
        usual = 443 if self._tls else 80
        lines = [
            f"host: {host}" if self._port == usual else f"host: {host}:{self._port}",
            "accept: */*",
            "accept-encoding: identity",
            "user-agent: lorax-proxy",
        ]
        if token is not None:
            lines.append(f"authorization: Bearer {token}")
        self._common = ("\r\n".join(lines) + "\r\n").encode("latin-1")

    async def send(
        self, method: str, path: str, body: bytes | None = None, *, silence: float
    ) -> "DirectExchange":
        """Send a request and wait for the answer's headers.

        A failed connect is tried again, and once a request whose kept connection turned out to be
        closed before any byte of an answer. Nothing else is: LoRAX may have begun to work.

        Raises:
            UpstreamError: When no answer comes.
        """
        data = self._request(method, path, body)
        connection = self._kept()
        if connection is not None:
            try:
                return await self._ask(connection, data, silence)
            except UpstreamError as error:
                if error.failure is not Lost.CUT or connection.answered:
                    raise
        return await self._ask(await self._connected(), data, silence)

    async def aclose(self) -> None:
        """Close every connection."""
        self._closed = True
        while self._idle:
            self._idle.pop().abort()

    def keep(self, connection: "_Connection") -> None:
        """Take a connection back whose answer was read to the end."""
        if self._closed or len(self._idle) >= _MAX_IDLE:
            connection.abort()
        else:
            self._idle.append(connection)

    def forget(self, connection: "_Connection") -> None:
        """The server closed a connection that was kept."""
        if connection in self._idle:
            self._idle.remove(connection)

    def _kept(self) -> "_Connection | None":
        while self._idle:
            connection = self._idle.pop()
            if connection.usable:
                return connection
        return None

    def _request(self, method: str, path: str, body: bytes | None) -> bytes:
        head = f"{method} {self._base}{path} HTTP/1.1\r\n".encode("latin-1")
        if body is None:
            return b"%b%b\r\n" % (head, self._common)
        return b"%b%bcontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (
            head,
            self._common,
            len(body),
            body,
        )

    async def _ask(
        self, connection: "_Connection", data: bytes, silence: float
    ) -> "DirectExchange":
        try:
            await connection.ask(data, silence)
        except BaseException:
            # an answer that nobody waits for any more must not reach the next request
            connection.abort()
            raise
        return DirectExchange(self, connection)

    async def _connected(self) -> "_Connection":
        left = self._connect_retries
        while True:
            try:
                return await self._connect()
            except UpstreamError:
                if not left:
                    raise
                await self._pause(PAUSE * (self._connect_retries - left))
                left -= 1

    async def _connect(self) -> "_Connection":
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._connect_timeout):
                _, connection = await loop.create_connection(
                    lambda: _Connection(loop, self),
                    self._host,
                    self._port,
                    ssl=self._tls,
                    server_hostname=self._host if self._tls else None,
                )
        except TimeoutError as error:
            raise UpstreamError(Lost.CONNECT_TIMEOUT) from error
        except (OSError, UnicodeError) as error:
            # ssl.SSLError is an OSError; UnicodeError is a host name that no DNS knows
            raise UpstreamError(Lost.UNREACHABLE) from error
        return connection


class DirectExchange:
    """One request under way (`upstream.transport.Exchange`)."""

    __slots__ = ("_connection", "_transport", "headers", "status")

    def __init__(self, transport: DirectTransport, connection: "_Connection") -> None:
        self._transport = transport
        self._connection: _Connection | None = connection
        self.status = connection.status
        self.headers: Sequence[tuple[str, str]] = connection.headers

    async def read(self) -> bytes:
        """The next bytes of the body; empty at its end."""
        connection = self._connection
        return b"" if connection is None else await connection.read()

    async def close(self) -> None:
        """Give the connection back, or tear it down if the body was not read to the end."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if connection.release():
            self._transport.keep(connection)
        else:
            connection.abort()


class _Connection(asyncio.Protocol):
    """One connection: a request, its answer, and then the next request.

    Attributes:
        answered: Whether any byte of an answer to the last request has arrived.
        status: The status of the last answer.
        headers: Its headers, names in lower case.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, pool: DirectTransport) -> None:
        self._loop = loop
        self._pool = pool
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._body: deque[bytes] = deque()
        self._unread = 0
        self._head_bytes = 0
        self._waiter: asyncio.Future[None] | None = None
        self._failure: Lost | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._silence = 0.0
        self._heard = 0.0
        self._busy = False
        self._paused = False
        self._headed = False
        self._complete = True
        self._delimited = False
        self._keep = True
        self.answered = False
        self.status = 0
        self.headers: list[tuple[str, str]] = []

    @property
    def usable(self) -> bool:
        """Whether another request may go out on it."""
        transport = self._transport
        return (
            transport is not None
            and not transport.is_closing()
            and self._failure is None
            and self._complete
        )

    async def ask(self, data: bytes, silence: float) -> None:
        """Send a request and wait for the head of its answer.

        Raises:
            UpstreamError: When none comes.
        """
        assert self._transport is not None  # noqa: S101 - connected before it is handed out
        self._busy = True
        self._complete = self._headed = self._delimited = self._keep = self.answered = False
        self._head_bytes = 0
        self.headers = []
        self._silence = silence
        self._heard = self._loop.time()
        self._timer = self._loop.call_later(silence, self._look)
        self._transport.write(data)
        while not self._headed:
            if self._failure is not None:
                raise UpstreamError(self._failure)
            await self._wait()

    async def read(self) -> bytes:
        """The next bytes of the body; empty at its end.

        Raises:
            UpstreamError: When it breaks off; what arrived before is returned first.
        """
        while not self._body:
            if self._complete:
                return b""
            if self._failure is not None:
                raise UpstreamError(self._failure)
            await self._wait()
        data = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        self._body.clear()
        self._unread = 0
        # the time that the reader took is not the server's silence
        self._heard = self._loop.time()
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()
        return data

    def release(self) -> bool:
        """The exchange is over; tell whether the connection can be kept."""
        self._stop_timer()
        self._busy = False
        return self._keep and self.usable and not self._body

    def abort(self) -> None:
        """Tear the connection down."""
        self._stop_timer()
        self._busy = False
        if self._transport is not None:
            self._transport.abort()

    async def _wait(self) -> None:
        """Until something has changed. Whoever waits may be cancelled without harm."""
        self._waiter = waiter = self._loop.create_future()
        try:
            await waiter
        finally:
            if self._waiter is waiter:
                self._waiter = None

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _fail(self, failure: Lost) -> None:
        if self._failure is None:
            self._failure = failure
        self._stop_timer()
        if self._transport is not None:
            self._transport.abort()
        self._wake()

    def _look(self) -> None:
        """The timer: has the server been silent for too long?"""
        if self._paused or self._body:
            # what is here is not read yet: it is we who are slow
            self._heard = self._loop.time()
        left = self._heard + self._silence - self._loop.time()
        if left <= 0:
            self._fail(Lost.IDLE_TIMEOUT)
        else:
            self._timer = self._loop.call_later(left, self._look)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are none of asyncio's classes, only of their shape
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if not self._busy:
            # bytes that no request asked for: whatever they are, the connection is out of step
            self._pool.forget(self)
            self._fail(Lost.UNREADABLE)
            return
        self.answered = True
        self._heard = self._loop.time()
        if not self._headed:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._fail(Lost.UNREADABLE)
            return
        except httptools.HttpParserError:
            self._fail(Lost.CUT)
            return
        if not self._headed and self._head_bytes > _MAX_HEAD:
            self._fail(Lost.CUT)
            return
        if self._unread > _HIGH_WATER and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._stop_timer()
        if not self._busy:
            self._pool.forget(self)
        elif self._headed and not self._delimited:
            # a body without a length lasts as long as its connection
            self._complete = True
        elif not self._complete and self._failure is None:
            self._failure = Lost.CUT
        self._wake()

    # httptools.HttpResponseParser

    def on_header(self, name: bytes, value: bytes) -> None:
        lowered = name.decode("latin-1").lower()
        if lowered in ("content-length", "transfer-encoding"):
            self._delimited = True
        self.headers.append((lowered, value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()
        if self.status < 200:
            # informational: the answer is yet to come
            self.headers = []
            self._delimited = False
            return
        self._headed = True

    def on_body(self, body: bytes) -> None:
        self._body.append(body)
        self._unread += len(body)

    def on_message_complete(self) -> None:
        if self._headed:
            self._complete = True
            # llhttp forgets it when the next message begins
            self._keep = self._parser.should_keep_alive()
