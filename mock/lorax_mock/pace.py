"""Real time, for those who asked for it."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from lorax_mock.axum import ClientLeft, Exchange

__all__ = ["KEEP_ALIVE", "breathe", "pause", "until", "wait"]

KEEP_ALIVE: Final = b":\n\n"
"""axum's comment after 15 silent seconds."""

_SILENCE_SECONDS: Final = 15.0
_LOOK_SECONDS: Final = 0.005


async def wait(seconds: float, exchange: Exchange, gone: asyncio.Future[Any]) -> None:
    """Let time pass between two events, with a keep-alive after each 15 seconds of silence.

    Ends early when `gone` is done: nobody is listening any more.
    """
    while seconds > _SILENCE_SECONDS and not gone.done():
        await asyncio.wait({gone}, timeout=_SILENCE_SECONDS)
        await exchange.chunk(KEEP_ALIVE)
        seconds -= _SILENCE_SECONDS
    if not gone.done():
        await asyncio.wait({gone}, timeout=seconds)


async def pause(seconds: float, exchange: Exchange) -> None:
    """Let time pass before a whole answer; raises ClientLeft when nobody waits for it any more."""
    gone = asyncio.ensure_future(exchange.left())
    done, _ = await asyncio.wait({gone}, timeout=seconds)
    gone.cancel()
    if done:
        raise ClientLeft


async def breathe() -> None:
    """Let other requests have the loop."""
    await asyncio.sleep(0)


async def until(settled: Callable[[], bool], seconds: float) -> None:
    """Come back when it is so, or when the time is over."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not settled() and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110 - many places settle it, and only a test waits
        await asyncio.sleep(_LOOK_SECONDS)
