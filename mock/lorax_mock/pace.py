"""Real time, for those who asked for it."""

import asyncio
from typing import Final

from lorax_mock.axum import Exchange

__all__ = ["KEEP_ALIVE", "breathe", "wait"]

KEEP_ALIVE: Final = b":\n\n"
"""axum's comment after 15 silent seconds."""

_SILENCE_SECONDS: Final = 15.0


async def wait(seconds: float, exchange: Exchange) -> None:
    """Let time pass between two events, with a keep-alive after each 15 seconds of silence."""
    while seconds > _SILENCE_SECONDS:
        await asyncio.sleep(_SILENCE_SECONDS)
        await exchange.chunk(KEEP_ALIVE)
        seconds -= _SILENCE_SECONDS
    await asyncio.sleep(seconds)


async def breathe() -> None:
    """Let other requests have the loop."""
    await asyncio.sleep(0)
