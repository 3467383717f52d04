"""Expensive steps, one in each turn of the event loop, so that whatever is quick gets through between."""

import asyncio
from collections import deque

__all__ = ["Turns"]


class Turns:
    """A queue whose first is let through once a turn.

    Twenty streams that each bring 10 ms of work in one read would hold the loop for 200 ms, since it
    serves all that is ready before it looks for more. In turns it is 10 ms.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def mine(self) -> None:
        """Wait for a turn. Whoever waits may be cancelled without harm."""
        turn: asyncio.Future[None] = self._loop.create_future()
        self._waiting.append(turn)
        if len(self._waiting) == 1:
            self._loop.call_soon(self._next)
        await turn

    def _next(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                break
        if self._waiting:
            self._loop.call_soon(self._next)
