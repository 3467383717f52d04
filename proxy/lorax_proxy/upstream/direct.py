"""The fast transport: asyncio's protocols and llhttp, and nothing between them and the socket.

An HTTP client that is made for everything costs many times what the translation costs, so the hot
path has one made for this: HTTP/1.1, one request at a time on a connection, bodies as they arrive.
What it does is defined by `upstream.httpx`, the reference: the tests hold one against the other,
byte for byte, on every answer that Hypothesis invents.

A connection whose answer was read to the end goes back to the pool; any other is torn down, which is
how LoRAX learns that a request is cancelled (router/src/infer.rs).
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import urlsplit

from lorax_proxy.errors import Lost, UpstreamError
from lorax_proxy.upstream.connection import Connection
from lorax_proxy.upstream.transport import MAX_IDLE, PAUSE
from lorax_proxy.upstream.turns import Turns

__all__ = ["DirectResponse", "DirectTransport"]


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
        self._idle: list[Connection] = []
        self._open: set[Connection] = set()
        self._turns: Turns | None = None
        self._keeps = True
        self._closed = False
        self.epoch = 0
        self.breaks = 0
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
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        silence: float,
        epoch: int | None = None,
    ) -> "DirectResponse":
        """Send a request and wait for the answer's headers.

        A failed connect is tried again, and once a request whose kept connection turned out to be
        closed before any byte of an answer. Nothing else is: LoRAX may have begun to work.

        Raises:
            UpstreamError: When no answer comes, or `epoch` is over.
        """
        data = self._request(method, path, body)
        connection = self._kept()
        if connection is not None:
            try:
                return await self._ask(connection, data, silence)
            except UpstreamError as error:
                if error.failure is not Lost.CUT or connection.answered:
                    raise
            # whoever answers next may be another; what else is idle is likely to be as dead
            self.epoch += 1
            self._drop_idle()
        connection = await self._connected()
        if epoch is not None and epoch != self.epoch:
            self.keep(connection)
            raise UpstreamError(Lost.RENEWED)
        return await self._ask(connection, data, silence)

    async def aclose(self) -> None:
        """Close every connection."""
        self._closed = True
        self._drop_idle()

    def take_back(self, connection: Connection) -> None:
        """A response is over: its connection is kept, if it may be."""
        if connection.release():
            self._keeps = True
            self.keep(connection)
            return
        if connection.parting:
            self._keeps = False
        connection.abort()

    def keep(self, connection: Connection) -> None:
        """Keep a connection for the next request."""
        if self._closed or len(self._idle) >= MAX_IDLE:
            connection.abort()
        else:
            self._idle.append(connection)

    def forget(self, connection: Connection) -> None:
        """A connection has ended."""
        if connection in self._open:
            self._open.remove(connection)
            self.breaks += not connection.aborted and not connection.parting
        if connection in self._idle:
            self._idle.remove(connection)

    def _drop_idle(self) -> None:
        while self._idle:
            self._idle.pop().abort()

    def _kept(self) -> Connection | None:
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

    async def _ask(self, connection: Connection, data: bytes, silence: float) -> "DirectResponse":
        try:
            await connection.ask(data, silence)
        except BaseException:
            # an answer that nobody waits for any more must not reach the next request
            connection.abort()
            raise
        return DirectResponse(self, connection)

    async def _connected(self) -> Connection:
        left = self._connect_retries
        while True:
            try:
                return await self._connect()
            except UpstreamError:
                if not left:
                    raise
                await self._pause(PAUSE * (self._connect_retries - left))
                left -= 1

    async def _connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        turns = self._turns = self._turns or Turns(loop)
        try:
            async with asyncio.timeout(self._connect_timeout):
                _, connection = await loop.create_connection(
                    lambda: Connection(loop, self.forget, turns),
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
        if not self._open and self._keeps:
            self.epoch += 1
        self._open.add(connection)
        return connection


class DirectResponse:
    """An answer under way (`upstream.transport.Response`)."""

    __slots__ = ("_connection", "_transport", "headers", "status")

    def __init__(self, transport: DirectTransport, connection: Connection) -> None:
        self._transport = transport
        self._connection: Connection | None = connection
        self.status = connection.status
        self.headers: Sequence[tuple[str, str]] = connection.headers

    async def read(self) -> bytes:
        """The next bytes of the body; empty at its end."""
        connection = self._connection
        return b"" if connection is None else await connection.read()

    async def pour(self, sink: Callable[[bytes], bool]) -> None:
        """Hand the next bytes to `sink` until it wants no more."""
        if self._connection is None:
            sink(b"")
        else:
            await self._connection.pour(sink)

    async def close(self) -> None:
        """Give the connection back, or tear it down if the body was not read to the end."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        self._transport.take_back(connection)
