"""The driver of the shard: requests that arrive together are prefilled and decoded together.

The shard (`scheduler`) is a machine in virtual time; this drives it while anybody waits or runs, and tells
each request how many of its tokens are there. What a request says was decided before it came here, so
neighbours change when an answer comes, never what it is; unless one makes the shard raise, which ends the others of
its session, too.

* Without a pace, the clock advances with the shard's work alone. The shard does some decode steps in a turn
  of the event loop, then whoever has come meanwhile may join. An answer takes less than a millisecond then,
  so requests of a usual client seldom meet.
* With `--pace real` the clock is the real one: an operation is told when its time has passed, and requests
  meet as they would on a GPU. A shard that is late (a busy machine) does not wait, and catches up.
* To meet for certain, requests carry `x-lorax-mock-together: N`: the shard sees none of them before N have
  come, and then each `x-lorax-mock-at` milliseconds after that moment. Their order is that of these times,
  then of what they ask; so their schedule depends neither on sockets nor on the machine.

LoRAX's counterpart is the batching task (router/src/infer.rs:1051); as there, a slow reader holds up nobody.
"""

import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import takewhile
from typing import Final

from lorax_mock.errors import FatalRequest
from lorax_mock.router.metrics import Metrics
from lorax_mock.server.clock import breathe, clock, later, rest, start
from lorax_mock.server.meeting import Meeting, refused
from lorax_mock.server.ticket import Ticket, Work
from lorax_mock.server.watching import Watching
from lorax_mock.settings import Settings
from lorax_mock.shard.jobs import Done, Job, Step
from lorax_mock.shard.scheduler import Shard

__all__ = ["Batcher"]

_log = logging.getLogger("lorax_mock")

_STEPS: Final = 16
"""Decode steps in a turn of the loop: fewer let more requests meet, more cost less."""

_DONE: Final = 2_000
"""Finished jobs that the schedule shows."""

_NEXT: Final = 0.01
"""Milliseconds by which the sequences of a best_of follow one another: each passes the router's checks by itself, and the
first is on the shard before the second has (router/src/infer.rs:1018)."""

_MEET_SECONDS: Final = 10.0
"""How long a request waits for those it shall meet."""


@dataclass(slots=True)
class _Group:
    """Requests that wait for one another."""

    count: int
    members: list[tuple[Meeting, list[Ticket]]] = field(default_factory=list)


class Batcher:
    """Drives the shard while requests wait or run."""

    def __init__(
        self,
        settings: Settings,
        metrics: Metrics,
        meet_seconds: float = _MEET_SECONDS,
        watching: Watching | None = None,
    ) -> None:
        self._watching = watching or Watching()
        self._meet_seconds = meet_seconds
        self._settings = settings
        self._metrics = metrics
        self._paced = settings.costs.paced
        self._tickets: dict[int, Ticket] = {}
        self._coming: list[tuple[float, int, Ticket]] = []
        self._groups: dict[tuple[str, int], _Group] = {}
        self._awake = False
        self._task: object = None
        self._jobs = 0
        self._epoch: float | None = None
        self.shard = self._new_shard()
        self.done: deque[Done] = deque(maxlen=_DONE)
        """The last finished jobs."""

    def _new_shard(self) -> Shard:
        settings = self._settings
        shard = Shard(
            settings.limits,
            settings.costs,
            memory=settings.memory,
            loads=settings.loads,
            resident=settings.preloaded_adapter_ids,
        )
        self._metrics.shard = shard
        return shard

    def renew(self, settings: Settings | None = None) -> bool:
        """Replace the shard by a new one, maybe with other settings, unless requests wait or run; returns whether it did."""
        if self._tickets or self._coming or self._groups:
            return False
        if settings is not None:
            self._settings = settings
            self._paced = settings.costs.paced
        self.shard = self._new_shard()
        self.done.clear()
        self._jobs = 0
        self._epoch = None
        if self._watching.open:
            self._watching.renewed()
        return True

    @property
    def now(self) -> float:
        """The shard's time, in milliseconds: the real one while the mock is paced."""
        return max(self._real(), self.shard.now) if self._paced else self.shard.now

    def submit(self, works: Sequence[Work], meeting: Meeting | None = None) -> list[Ticket]:
        """Tickets of a request's sequences, which arrive now or when all have come whom they shall meet."""
        tickets = [Ticket(work) for work in works]
        if meeting is None:
            now = self._moment()
            self._enter(tickets[0], now)
            if len(tickets) > 1:
                self._expect(now + _NEXT, tickets[1:])
            self._wake()
            return tickets
        key = (meeting.session, meeting.count)
        group = self._groups.setdefault(key, _Group(meeting.count))
        group.members.append((meeting, tickets))
        if len(group.members) == group.count:
            del self._groups[key]
            self._meet(group)
        elif len(group.members) == 1:
            later(self._meet_seconds, lambda: self._give_up(key, group))
        return tickets

    async def fail(self, adapter: str, *, loading: bool) -> None:
        """Let a download, or a load after it, that fails take its time."""
        self._moment()
        spans = self.shard.spans
        last = spans[-1] if spans else None
        self.shard.fail(adapter, loading=loading)
        if self._watching.open:
            new = list(takewhile(lambda span: span is not last, reversed(spans)))
            self._watching.spent(reversed(new))
        await self._until(self.shard.now)

    def _meet(self, group: _Group) -> None:
        start_of_all = self._moment()
        group.members.sort(key=_order)
        for meeting, tickets in group.members:
            self._expect(start_of_all + meeting.at, tickets)
        self._wake()

    def _expect(self, at: float, tickets: Sequence[Ticket]) -> None:
        """Schedule arrivals one after the other, the first at that time."""
        for ticket in tickets:
            self._jobs += 1
            heappush(self._coming, (at, self._jobs, ticket))
            if self._paced:
                later(max(0.0, at - self._real()) / 1000, self._arrive_now)
            at += _NEXT

    def _arrive_now(self) -> None:
        """Let those arrive whose time the real clock has come to."""
        real = self._real()
        while self._coming and self._coming[0][0] <= real:
            _, number, ticket = heappop(self._coming)
            self._enter(ticket, self._moment(), number)
        self._wake()

    def _give_up(self, key: tuple[str, int], group: _Group) -> None:
        if self._groups.get(key) is not group:
            return
        del self._groups[key]
        came = len(group.members)
        for _, tickets in group.members:
            for ticket in tickets:
                ticket.fail(
                    refused(
                        f"waited {self._meet_seconds:g} s for {group.count} requests, {came} came; "
                        "x-lorax-mock-together says how many are on their way"
                    )
                )

    def _moment(self) -> float:
        """The time at which a request arrives now, in milliseconds."""
        shard = self.shard
        if not self._paced:
            return shard.now
        real = self._real()
        if shard.idle and not self._awake:
            shard.now = max(shard.now, real)
        return min(real, shard.now)

    def _real(self) -> float:
        if self._epoch is None:
            self._epoch = clock()
        return (clock() - self._epoch) * 1000

    def _enter(self, ticket: Ticket, at: float, number: int | None = None) -> None:
        if number is None:
            self._jobs += 1
            number = self._jobs
        work = ticket.work
        self._tickets[number] = ticket
        ticket.number = number
        job = Job(
            *(number, at, work.adapter, work.prompt, work.budget, work.tokens, work.schema),
            fails=work.error is not None,
            session=work.session,
            zero=work.retell is not None,
            warm=work.warm,
        )
        self.shard.enter(job)
        if self._watching.open:
            self._watching.arrived(job, work.serial)
        ticket.admitted(lambda: self.shard.leave(number))

    def _wake(self) -> None:
        if not self._awake:
            self._awake = True
            self._task = start(self._run())

    async def _run(self) -> None:
        """Step the shard while it has work."""
        try:
            while await self._work():
                pass
        except Exception as error:  # noqa: BLE001 - nobody awaits this task; its tickets tell
            _log.exception("a bug in lorax-mock: the shard's driver")
            self._abandon(error)
        finally:
            self._awake = False

    async def _work(self) -> bool:
        """Do one turn's steps; returns whether anything is left to do."""
        if not self._paced:
            await breathe()
        shard = self.shard
        for _ in range(_STEPS):
            if not self._paced:
                self._arrive()
            step = shard.step(1 if self._paced else self._steps_until_next())
            if step is None:
                return self._idle()
            if self._watching.open:
                adapter = shard.spans[-1].adapter if shard.spans else None
                self._watching.stepped(step, adapter, shard.now)
            if self._paced:
                await self._until(shard.now)
            self._tell(step)
            if step.kind == "decode" or self._paced:
                break
        return True

    def _steps_until_next(self) -> int:
        """Decode steps that may be done at once: a turn's, or those before somebody comes."""
        if not self._coming:
            return _STEPS
        ahead = self._coming[0][0] - self.shard.now
        cost = self._settings.costs.step
        return 1 if cost <= 0 else max(1, min(_STEPS, -int(-ahead // cost)))

    def _idle(self) -> bool:
        """Handle a shard that can do nothing now; returns whether it can later."""
        if self._coming and not self._paced:
            self.shard.now = max(self.shard.now, self._coming[0][0])
            return True
        if self._tickets:
            limits = self._settings.limits
            self._abandon(
                RuntimeError(
                    "a request that no batch can hold waits for ever in a real LoRAX: "
                    f"max_batch_total_tokens is {limits.max_batch_total_tokens}, "
                    f"max_batch_prefill_tokens {limits.max_batch_prefill_tokens}"
                )
            )
        return False

    def _arrive(self) -> None:
        while self._coming and self._coming[0][0] <= self.shard.now:
            at, number, ticket = heappop(self._coming)
            self._enter(ticket, at, number)

    def _tell(self, step: Step) -> None:
        """Tell the tickets what a step gave them."""
        self._metrics.ran(step)
        tickets = self._tickets
        for number in step.divided:
            tickets[number].retell()
        for number in step.jobs:
            ticket = tickets.get(number)
            if ticket is not None:
                ticket.advance(step.steps)
        for done in step.done:
            self.done.append(done)
            ticket = tickets.pop(done.job.id, None)
            if ticket is not None:
                ticket.end(done)
        for number in step.dropped:
            tickets.pop(number, None)
        for failed in step.failed:
            error = _error_of(tickets[failed.cause].work, fatal=bool(failed.decoding))
            for number in (*failed.jobs, *failed.decoding):
                tickets.pop(number).fail(error)

    async def _until(self, moment: float) -> None:
        """Wait until the real clock shows that moment, if the mock is paced."""
        if self._paced:
            await rest(max(0.0, moment - self._real()) / 1000)

    def _abandon(self, error: Exception) -> None:
        for ticket in self._tickets.values():
            ticket.fail(error)
        for _, _, ticket in self._coming:
            ticket.fail(error)
        self._tickets.clear()
        self._coming.clear()
        self.shard = self._new_shard()
        if self._watching.open:
            self._watching.renewed()


def _error_of(work: Work, *, fatal: bool) -> Exception:
    """The error of every request that a failed prefill has ended.

    While others decode, their errors are sent, their batch is decoded once more, and its tokens belong to
    nobody (router/src/infer.rs:1187, 1490).
    """
    assert work.error is not None  # noqa: S101 - it made the prefill raise
    if not fatal:
        return work.error
    return FatalRequest(
        f"a prefill failed while others were decoding: {work.error.message}",
        "router/src/infer.rs:1490",
    )


def _order(member: tuple[Meeting, list[Ticket]]) -> tuple[float, bytes, list[tuple[int, int]]]:
    meeting, tickets = member
    return meeting.at, meeting.key, [(one.work.budget, one.work.tokens) for one in tickets]
