"""The real clock: pauses, keep-alive comments in silent streams, and the watcher that ends both on a disconnect."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

from lorax_mock.http.axum import ClientLeft, Exchange
from lorax_mock.wire.replies import KEEP_ALIVE

__all__ = [
    "Silence",
    "Watch",
    "aside",
    "breathe",
    "clock",
    "later",
    "pause",
    "rest",
    "start",
    "today",
    "until",
]

_T = TypeVar("_T")

_SILENCE_SECONDS: Final = 15.0
_LOOK_SECONDS: Final = 0.005

_LONG: Final = 20_000
"""Characters; a thread costs less than the loop would stand still for them."""


class Watch:
    """Knows when the client of an exchange has hung up."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._left = asyncio.ensure_future(exchange.left())

    def when_gone(self, tell: Callable[[], None]) -> None:
        """Call that once nobody listens any more."""
        self._left.add_done_callback(lambda _: tell())

    @property
    def gone(self) -> bool:
        """Whether nobody listens any more."""
        return self._left.done()

    async def wait(self, seconds: float) -> None:
        """Let time pass between two events, with a keep-alive after each 15 seconds of silence.

        Ends early when the client leaves.
        """
        while seconds > _SILENCE_SECONDS and not self.gone:
            await self.stall(_SILENCE_SECONDS)
            await self._exchange.chunk(KEEP_ALIVE)
            seconds -= _SILENCE_SECONDS
        if not self.gone:
            await self.stall(seconds)

    async def stall(self, seconds: float | None) -> None:
        """The same in silence; None is for ever, or until the client leaves."""
        await asyncio.wait({self._left}, timeout=seconds)

    def close(self) -> None:
        """Stop watching."""
        self._left.cancel()


class Silence:
    """axum's keep-alive for a stream whose events somebody else times."""

    def __init__(self, exchange: Exchange, seconds: float = _SILENCE_SECONDS) -> None:
        self._exchange = exchange
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._last = self._loop.time()
        self._timer = self._loop.call_later(seconds, self._look)
        self._sending: asyncio.Task[None] | None = None

    def broken(self) -> None:
        """Something was sent."""
        self._last = self._loop.time()

    def close(self) -> None:
        """The stream has ended."""
        self._timer.cancel()

    def _look(self) -> None:
        if self._loop.time() - self._last >= self._seconds:
            self._sending = self._loop.create_task(self._exchange.chunk(KEEP_ALIVE))
            self.broken()
        left = self._last + self._seconds - self._loop.time()
        self._timer = self._loop.call_later(left, self._look)


async def pause(seconds: float, exchange: Exchange) -> None:
    """Let time pass before a whole answer; raises ClientLeft when nobody waits for it any more."""
    watch = Watch(exchange)
    await watch.stall(seconds)
    if watch.gone:
        raise ClientLeft
    watch.close()


async def breathe() -> None:
    """Let other requests have the loop."""
    await asyncio.sleep(0)


async def aside(size: int, what: Callable[[], _T]) -> _T:
    """What it gives; in a thread when so many characters would hold the loop for long.

    Text is tokenized in linear time, about a microsecond a character: that is milliseconds for what a model
    takes, and seconds for the two megabytes that a body may have.
    """
    if size < _LONG:
        return what()
    return await asyncio.to_thread(what)


async def rest(seconds: float) -> None:
    """Let so much time pass."""
    await asyncio.sleep(seconds)


def later(seconds: float, what: Callable[[], None]) -> None:
    """Call it after so much time."""
    asyncio.get_running_loop().call_later(seconds, what)


def start(what: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
    """Let it run beside everything else; whoever started it keeps the task, a loop does not."""
    return asyncio.get_running_loop().create_task(what)


async def until(settled: Callable[[], bool], seconds: float) -> None:
    """Come back when it is so, or when the time is over."""
    deadline = clock() + seconds
    while not settled() and clock() < deadline:  # noqa: ASYNC110 - many places settle it, and only a test waits
        await asyncio.sleep(_LOOK_SECONDS)


def clock() -> float:
    """Seconds on the loop's own clock."""
    return asyncio.get_running_loop().time()


def today() -> int:
    """Seconds since 1970, which a LoRAX of real time dates its chats by."""
    return int(time.time())
