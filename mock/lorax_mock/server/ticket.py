"""A sequence on its way through the shard: what it asks of it, and what its request hears of it."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from lorax_mock.errors import LoraxRefusal
from lorax_mock.shard.jobs import Done
from lorax_mock.wire.native import Generated

__all__ = ["Ticket", "Work"]


@dataclass(frozen=True, slots=True)
class Work:
    """What a sequence asks of the shard; see `scheduler.Job`."""

    adapter: str
    prompt: int
    budget: int
    tokens: int
    schema: bytes = b""
    error: LoraxRefusal | None = None
    """What the shard raises at its prefill."""

    session: str = ""
    """Whom that would end with it."""

    warm: bool = False
    """Whether a temperature of 0 beside it would be divided by."""

    retell: Callable[[int], Generated] | None = None
    """For a temperature of 0: the answer if it is divided by from that token on."""


class Ticket:
    """A sequence on its way through the shard."""

    __slots__ = ("_leave", "_news", "done", "error", "gone", "retold", "there", "work")

    def __init__(self, work: Work) -> None:
        self.work = work
        self.there = 0
        """Tokens that the shard has given."""

        self.done: Done | None = None
        self.gone = False
        """Whether the client has left."""

        self.error: Exception | None = None
        self.retold: Generated | None = None
        """The answer as its neighbours have changed it."""

        self._news = asyncio.Event()
        self._leave: Callable[[], None] | None = None

    def admitted(self, leave: Callable[[], None]) -> None:
        """The shard knows it from now on, and by that call hears that it is not wanted any more."""
        self._leave = leave
        if self.gone:
            leave()

    @property
    def entered(self) -> bool:
        """Whether the shard knows it."""
        return self._leave is not None

    def retell(self) -> None:
        """What comes from now on is another answer."""
        if self.work.retell is not None:
            self.retold = self.work.retell(self.there)

    def advance(self, steps: int) -> None:
        """So many more tokens are there."""
        self.there += steps
        self._news.set()

    def end(self, done: Done) -> None:
        """All of it is there."""
        self.done = done
        self._news.set()

    def fail(self, error: Exception) -> None:
        """It will never be."""
        self.error = error
        self._leave = None
        self._news.set()

    def drop(self) -> None:
        """The client has left."""
        if self.gone:
            return
        self.gone = True
        if self._leave is not None and self.done is None:
            self._leave()
        self._news.set()

    async def more(self, have: int) -> int:
        """Tokens that are there, once they are more than these, or the client has left, or it is done."""
        while self.there <= have and not self.gone and self.done is None:
            if self.error is not None:
                raise self.error
            await self._next()
        return self.there

    async def whole(self) -> Done | None:
        """The moments of the whole sequence; None when its client left before."""
        while self.done is None and not self.gone:
            if self.error is not None:
                raise self.error
            await self._next()
        return self.done

    async def _next(self) -> None:
        """Come back when there is news; nothing may be awaited between a look at the ticket and this."""
        self._news.clear()
        await self._news.wait()
