"""The reference transport: httpx, as it comes.

Everything that names httpx stays in this module, so that its continuation `httpx2` is a change of
one import. Traps that the settings below avoid: httpx's default pool searches its idle connections
for every request (20 kept are enough and cheap), caps at 100 connections, and follows the
environment's proxy settings, which must not decide where prompts go.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import httpx

from lorax_proxy.errors import Lost, UpstreamError
from lorax_proxy.upstream.transport import MAX_IDLE, PAUSE, pour_reads

__all__ = ["FAILURES", "HttpxResponse", "HttpxTransport", "translate"]

FAILURES: Sequence[tuple[type[Exception], Lost]] = (
    (httpx.ConnectTimeout, Lost.CONNECT_TIMEOUT),
    (httpx.PoolTimeout, Lost.CONNECT_TIMEOUT),
    (httpx.ConnectError, Lost.UNREACHABLE),
    (httpx.ProxyError, Lost.UNREACHABLE),
    (httpx.ReadTimeout, Lost.IDLE_TIMEOUT),
    (httpx.WriteTimeout, Lost.IDLE_TIMEOUT),
    (httpx.ReadError, Lost.CUT),
    (httpx.WriteError, Lost.CUT),
    (httpx.CloseError, Lost.CUT),
    (httpx.RemoteProtocolError, Lost.CUT),
    (httpx.LocalProtocolError, Lost.UNREADABLE),
    (httpx.DecodingError, Lost.UNREADABLE),
    (httpx.TooManyRedirects, Lost.UNREADABLE),
    (httpx.UnsupportedProtocol, Lost.UNREACHABLE),
    (httpx.InvalidURL, Lost.UNREACHABLE),
    (httpx.StreamError, Lost.CUT),
)
"""Every exception that httpx raises while a request is under way; a test walks its class tree."""


_CAUGHT = tuple({foreign for foreign, _ in FAILURES})


def translate(error: Exception) -> Lost:
    """What an httpx exception means."""
    for foreign, lost in FAILURES:
        if isinstance(error, foreign):
            return lost
    raise error


class HttpxTransport:
    """A pool of httpx connections to one server."""

    def __init__(
        self,
        url: str,
        *,
        connect_timeout: float,
        connect_retries: int,
        token: str | None = None,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Open nothing yet.

        Args:
            url: The server's address.
            connect_timeout: Seconds for one connection.
            connect_retries: How often a failed connect is tried again.
            token: What to send as `Authorization: Bearer`.
            pause: How to wait between two connects.
        """
        self._pause = pause
        self._connect_timeout = connect_timeout
        self._connect_retries = connect_retries
        self._under_way = 0
        self._keeps = True
        self.epoch = 0
        self.breaks = 0
        self._client = httpx.AsyncClient(
            base_url=url,
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=MAX_IDLE),
            trust_env=False,
            follow_redirects=False,
            headers={
                "accept-encoding": "identity",
                "user-agent": "lorax-proxy",
                **({} if token is None else {"authorization": f"Bearer {token}"}),
            },
        )

    async def send(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        silence: float,
        epoch: int | None = None,
    ) -> "HttpxResponse":
        """Send a request and wait for the answer's headers.

        A failed connect is tried again, and once a request whose kept connection turned out to be
        closed before any byte of an answer. Nothing else is: LoRAX may have begun to work.
        """
        connects_left = self._connect_retries
        stale_left = 1
        while True:
            fresh = _Fresh(self, epoch)
            request = self._client.build_request(
                method,
                path,
                content=body,
                headers=None if body is None else {"content-type": "application/json"},
                timeout=httpx.Timeout(silence, connect=self._connect_timeout, pool=None),
                extensions={"trace": fresh.trace},
            )
            try:
                response = await self._client.send(request, stream=True)
            except BaseException as error:
                fresh.over()
                if not isinstance(error, _CAUGHT):
                    raise
                lost = translate(error)
                if lost in (Lost.UNREACHABLE, Lost.CONNECT_TIMEOUT) and connects_left:
                    await self._pause(PAUSE * (self._connect_retries - connects_left))
                    connects_left -= 1
                elif lost is Lost.CUT and fresh.reused and stale_left:
                    stale_left -= 1
                    self.epoch += 1
                    self.breaks += 1
                else:
                    raise UpstreamError(lost) from error
            else:
                ends = response.headers.get("connection", "").lower() == "close"
                self._keeps = response.http_version == "HTTP/1.1" and not ends
                return HttpxResponse(response, fresh.over)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._client.aclose()

    def connected(self, epoch: int | None, *, reused: bool) -> None:
        """A request is about to go out on a connection.

        httpx connects only when none that it keeps is free, so one that it makes while no response
        is under way is the only one.

        Raises:
            UpstreamError: `RENEWED` when the request was made for another epoch.
        """
        if not reused:
            if not self._under_way and self._keeps:
                self.epoch += 1
                # who closed the others, httpx does not tell
                self.breaks += 1
            if epoch is not None and epoch != self.epoch:
                raise UpstreamError(Lost.RENEWED)
        self._under_way += 1

    def over(self) -> None:
        """A response that had a connection is over."""
        self._under_way -= 1


class HttpxResponse:
    """One request under way."""

    def __init__(self, response: httpx.Response, over: Callable[[], None]) -> None:
        self._over = over
        self._response = response
        self._chunks = response.aiter_raw()
        self.status = response.status_code
        self.headers: Sequence[tuple[str, str]] = response.headers.multi_items()

    async def read(self) -> bytes:
        """The next bytes of the body; empty at its end."""
        try:
            async for chunk in self._chunks:
                if chunk:
                    return chunk
        except _CAUGHT as error:
            raise UpstreamError(translate(error)) from error
        return b""

    async def pour(self, sink: Callable[[bytes], bool]) -> None:
        """Hand the next bytes to `sink` until it wants no more."""
        await pour_reads(self.read, sink)

    async def close(self) -> None:
        """Give the connection back, or close it if the body was not read to the end."""
        try:
            await self._response.aclose()
        finally:
            self._over()


class _Fresh:
    """Learns from httpcore's trace whether a request goes out on a kept connection, and when."""

    def __init__(self, transport: HttpxTransport, epoch: int | None) -> None:
        self.reused = True
        self._transport = transport
        self._epoch = epoch
        self._connected = False

    async def trace(self, event: str, _info: Any) -> None:
        if event == "connection.connect_tcp.started":
            self.reused = False
        elif event == "http11.send_request_headers.started":
            self._transport.connected(self._epoch, reused=self.reused)
            self._connected = True

    def over(self) -> None:
        """The response has ended; may be told again."""
        if self._connected:
            self._connected = False
            self._transport.over()
