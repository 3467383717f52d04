"""Signs of life on a stream that is silent: the status in time, then comments.

A timer, not a time-out on each read: cancelling a read to send a comment would break the upstream
connection, and a timer that is only looked at when it fires costs a token nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Self

from lorax_proxy.client import Client
from lorax_proxy.wire.sse import COMMENT

__all__ = ["KeepAlive"]


class KeepAlive:
    """Begins a stream that has nothing to say yet, and keeps it alive while it is silent."""

    __slots__ = (
        "_beating",
        "_begin",
        "_client",
        "_first",
        "_interval",
        "_loop",
        "_spoke",
        "_timer",
    )

    def __init__(
        self,
        client: Client,
        *,
        begin: Callable[[], Awaitable[None]],
        first: float,
        interval: float,
    ) -> None:
        """Watch one stream.

        Args:
            client: Where it goes.
            begin: Sends status and headers, if nothing else has by then, in one step: whoever
                begins in its stead comes before it or behind it.
            first: Seconds after which it begins without an event.
            interval: Seconds of silence after which a comment is sent.
        """
        self._client = client
        self._begin = begin
        self._first = first
        self._interval = interval
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._beating: asyncio.Task[None] | None = None
        self._spoke = self._loop.time()

    def __enter__(self) -> Self:
        self._wake(min(self._first, self._interval))
        return self

    def __exit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._beating is not None:
            self._beating.cancel()

    def write(self, data: bytes) -> None:
        """Send the next bytes, which are a sign of life themselves."""
        self._spoke = self._loop.time()
        self._client.write(data)

    def _wake(self, seconds: float) -> None:
        self._timer = self._loop.call_later(seconds, self._tick)

    def _tick(self) -> None:
        silent = self._loop.time() - self._spoke
        left = (self._interval if self._client.started else self._first) - silent
        if left > 0:
            # it may begin meanwhile, and its silence is then measured by the interval
            self._wake(min(left, self._interval))
            return
        # a client that is slow has more to read than a comment: another would only queue up behind
        if not self._client.is_slow:
            self._beating = asyncio.create_task(self._beat())
        self._wake(self._interval)

    async def _beat(self) -> None:
        if not self._client.started:
            await self._begin()
        self._client.write(COMMENT)
