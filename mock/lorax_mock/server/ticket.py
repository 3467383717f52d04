"""The ticket of a sequence on the shard: what it asks for, and how far it is."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from lorax_mock.errors import LoraxRefusal
from lorax_mock.shard.jobs import Done
from lorax_mock.wire.native import Generated

__all__ = ["Ticket", "Work"]


@dataclass(frozen=True, slots=True)
class Work:
    """What a sequence asks of the shard; see `shard.jobs.Job`."""

    adapter: str
    prompt: int
    budget: int
    tokens: int
    schema: bytes = b""
    error: LoraxRefusal | None = None
    """What the shard raises at its prefill."""

    serial: int = 0
    """The request's number in the journal; 0 for a probe."""

    session: str = ""
    """The session whose other jobs that error ends, too."""

    warm: bool = False
    """Whether a temperature of 0 beside it would be divided by."""

    retell: Callable[[int], Generated] | None = None
    """For a temperature of 0: the answer if it is divided by from that token on."""


class Ticket:
    """The state of a sequence on the shard, which its request waits on."""

    __slots__ = (
        *("_leave", "_news", "_take"),
        *("done", "error", "gone", "number", "retold", "there", "work"),
    )

    def __init__(self, work: Work) -> None:
        self.work = work
        self.there = 0
        """Tokens that the shard has given."""

        self.number = 0
        """Of its job on the shard; 0 before it is there."""

        self.done: Done | None = None
        self.gone = False
        """Whether the client has left."""

        self.error: Exception | None = None
        self.retold: Generated | None = None
        """The answer as its neighbours have changed it."""

        self._news = asyncio.Event()
        self._leave: Callable[[], None] | None = None
        self._take: Callable[[int], bool] | None = None

    def deliver(self, take: Callable[[int], bool] | None) -> None:
        """Call `take` with the number of tokens whenever it grows; who waits for more wakes only if it returns False."""
        self._take = take

    def admitted(self, leave: Callable[[], None]) -> None:
        """Note that the shard has the sequence; `leave` takes it off again."""
        self._leave = leave
        if self.gone:
            leave()

    @property
    def entered(self) -> bool:
        """Whether the shard has the sequence."""
        return self._leave is not None

    def retell(self) -> None:
        """Replace what comes from now on by the answer of `work.retell`."""
        if self.work.retell is not None:
            self._take = None
            self.retold = self.work.retell(self.there)

    def advance(self, steps: int) -> None:
        """Note that so many more tokens are there."""
        self.there += steps
        if self._take is None or not self._take(self.there):
            self._news.set()

    def end(self, done: Done) -> None:
        """Note that the whole sequence is there."""
        self.done = done
        self._news.set()

    def fail(self, error: Exception) -> None:
        """Note that the shard has failed the sequence."""
        self.error = error
        self._leave = None
        self._news.set()

    def drop(self) -> None:
        """Note that the client has left, and take the sequence off the shard."""
        if self.gone:
            return
        self.gone = True
        if self._leave is not None and self.done is None:
            self._leave()
        self._news.set()

    async def more(self, have: int) -> int:
        """The number of tokens that are there, once it is above `have`, or the client has left, or all are there."""
        while self.there <= have and not self.gone and self.done is None:
            if self.error is not None:
                raise self.error
            await self._next()
        return self.there

    async def whole(self) -> Done | None:
        """The times of the whole sequence, once it is there; None when its client left before."""
        while self.done is None and not self.gone:
            if self.error is not None:
                raise self.error
            await self._next()
        return self.done

    async def _next(self) -> None:
        """Wait for a change; the caller awaits nothing between its look at the ticket and this."""
        self._news.clear()
        await self._news.wait()
