"""Real time, for those who asked for it, and the eye on whether anybody is still listening."""

import asyncio
from collections.abc import Callable
from typing import Final

from lorax_mock.axum import ClientLeft, Exchange

__all__ = ["KEEP_ALIVE", "Watch", "breathe", "clock", "pause", "until"]

KEEP_ALIVE: Final = b":\n\n"
"""axum's comment after 15 silent seconds."""

_SILENCE_SECONDS: Final = 15.0
_LOOK_SECONDS: Final = 0.005


class Watch:
    """Knows when the client of an exchange has hung up."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._left = asyncio.ensure_future(exchange.left())

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


async def until(settled: Callable[[], bool], seconds: float) -> None:
    """Come back when it is so, or when the time is over."""
    deadline = clock() + seconds
    while not settled() and clock() < deadline:  # noqa: ASYNC110 - many places settle it, and only a test waits
        await asyncio.sleep(_LOOK_SECONDS)


def clock() -> float:
    """Seconds on the loop's own clock."""
    return asyncio.get_running_loop().time()
