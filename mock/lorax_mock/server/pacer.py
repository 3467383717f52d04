"""The driver of answers whose pace a script gives: off the shard, by the real clock.

All share one timer. Tokens that have fallen due are told together, so who is late catches up in one step.
"""

import asyncio
from dataclasses import dataclass
from heapq import heappop, heappush

from lorax_mock.server.clock import at, clock
from lorax_mock.server.ticket import Ticket, Work
from lorax_mock.shard.jobs import Done, Job

__all__ = ["Pacer"]


@dataclass(slots=True)
class _Paced:
    """An answer under way, in seconds."""

    ticket: Ticket
    step: float
    left: int
    done: Done


class Pacer:
    """Gives tickets their tokens by the clock."""

    def __init__(self) -> None:
        self._due: list[tuple[float, int, _Paced]] = []
        self._count = 0
        self._timer: asyncio.TimerHandle | None = None

    def start(self, tokens: int, first: float, step: float) -> Ticket:
        """A ticket whose first token is there after `first` milliseconds, each other one `step` later."""
        ticket = Ticket(Work("", 0, tokens, tokens))
        self._count += 1
        job = Job(self._count, 0.0, "", 0, tokens, tokens)
        done = Done(job, 0.0, first, first + step * (tokens - 1))
        paced = _Paced(ticket, step / 1000, tokens, done)
        heappush(self._due, (clock() + first / 1000, self._count, paced))
        self._wait()
        return ticket

    def _wait(self) -> None:
        """Set the timer to the next token, whoever's it is."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = at(self._due[0][0], self._tell) if self._due else None

    def _tell(self) -> None:
        """Give everybody the tokens that are due."""
        now = clock()
        while self._due and self._due[0][0] <= now:
            moment, number, one = heappop(self._due)
            if one.ticket.gone:
                continue
            late = one.left if one.step <= 0 else 1 + int((now - moment) / one.step)
            steps = min(one.left, late)
            one.left -= steps
            one.ticket.advance(steps)
            if one.left:
                heappush(self._due, (moment + steps * one.step, number, one))
            else:
                one.ticket.end(one.done)
        self._wait()
