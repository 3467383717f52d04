"""Real time: pauses, keep-alive comments in silent streams, and a watch for clients that leave."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

from lorax_mock.http.axum import Exchange
from lorax_mock.wire.replies import KEEP_ALIVE

__all__ = [
    "Silence",
    "Watch",
    "aside",
    "at",
    "breathe",
    "clock",
    "later",
    "rest",
    "start",
    "today",
    "until",
]

_T = TypeVar("_T")

_SILENCE_SECONDS: Final = 15.0
_LOOKS: Final = 15
"""How often a stream is looked at in that time."""

_LOOK_SECONDS: Final = 0.005

_LONG: Final = 20_000
"""Characters; a thread costs less than the loop would stand still for them."""


class Watch:
    """A watch for the client of an exchange to hang up."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._left = asyncio.ensure_future(exchange.left())

    def when_gone(self, tell: Callable[[], None]) -> None:
        """Call `tell` when the client hangs up, or at once if it has."""
        self._left.add_done_callback(lambda _: tell())

    @property
    def gone(self) -> bool:
        """Whether the client has hung up."""
        return self._left.done()

    async def wait(self, seconds: float) -> None:
        """Wait between two events, with a keep-alive comment after each 15 seconds.

        Ends early when the client leaves.
        """
        while seconds > _SILENCE_SECONDS and not self.gone:
            await self.stall(_SILENCE_SECONDS)
            await self._exchange.chunk(KEEP_ALIVE)
            seconds -= _SILENCE_SECONDS
        if not self.gone:
            await self.stall(seconds)

    async def stall(self, seconds: float | None) -> None:
        """Wait without a comment; None waits until the client leaves."""
        await asyncio.wait({self._left}, timeout=seconds)

    def close(self) -> None:
        """Stop watching."""
        self._left.cancel()


class Silence:
    """axum's keep-alive comments for a stream of which nothing was sent for 15 seconds.

    `sent` counts what was sent otherwise. It is looked at each second, which costs a stream less than noting the
    time with each of its events; so a comment may come a second late.
    """

    def __init__(
        self, exchange: Exchange, sent: Callable[[], int], seconds: float = _SILENCE_SECONDS
    ) -> None:
        self._exchange = exchange
        self._sent = sent
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._seen, self._since = sent(), self._loop.time()
        self._timer = self._loop.call_later(seconds / _LOOKS, self._look)
        self._sending: asyncio.Task[None] | None = None

    def close(self) -> None:
        """Send no more comments."""
        self._timer.cancel()

    def _look(self) -> None:
        now, sent = self._loop.time(), self._sent()
        if sent != self._seen:
            self._seen, self._since = sent, now
        elif now - self._since >= self._seconds:
            self._sending = self._loop.create_task(self._exchange.chunk(KEEP_ALIVE))
            self._since = now
        self._timer = self._loop.call_later(self._seconds / _LOOKS, self._look)


async def breathe() -> None:
    """Give the event loop to other tasks once."""
    await asyncio.sleep(0)


async def aside(size: int, what: Callable[[], _T]) -> _T:
    """The result of `what`, which runs in a thread when its `size`, in characters, is large.

    Text is tokenized in linear time, about a microsecond a character: that is milliseconds for what a model
    takes, and seconds for the two megabytes that a body may have.
    """
    if size < _LONG:
        return what()
    return await asyncio.to_thread(what)


async def rest(seconds: float) -> None:
    """Wait for so many seconds."""
    await asyncio.sleep(seconds)


def later(seconds: float, what: Callable[[], None]) -> None:
    """Call `what` after so many seconds."""
    asyncio.get_running_loop().call_later(seconds, what)


def at(moment: float, what: Callable[[], None]) -> asyncio.TimerHandle:
    """Call `what` at that time of the event loop's clock, unless the handle is cancelled before."""
    return asyncio.get_running_loop().call_at(moment, what)


def start(what: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
    """A task that runs `what`; the caller keeps a reference to it, because a loop does not."""
    return asyncio.get_running_loop().create_task(what)


async def until(settled: Callable[[], bool], seconds: float) -> None:
    """Wait until `settled` is true, for so many seconds at most."""
    deadline = clock() + seconds
    while not settled() and clock() < deadline:  # noqa: ASYNC110 - many places settle it, and only a test waits
        await asyncio.sleep(_LOOK_SECONDS)


def clock() -> float:
    """Seconds on the event loop's clock."""
    return asyncio.get_running_loop().time()


def today() -> int:
    """Seconds since 1970, by which a paced mock dates its chats."""
    return int(time.time())
