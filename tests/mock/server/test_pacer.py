"""Answers at the pace of a script, in virtual time."""

import asyncio

import pytest

from lorax_mock.server.pacer import Pacer
from lorax_mock.server.ticket import Ticket
from lorax_mock.shard.timing import Timing, timing_of
from tests.mock.virtual_time import VirtualLoop, in_virtual_time


def _told(ticket: Ticket, loop: VirtualLoop) -> list[tuple[float, int]]:
    """What the ticket is given, as it comes: milliseconds, and how many tokens are there."""
    told: list[tuple[float, int]] = []

    def take(there: int) -> bool:
        told.append((round(loop.time() * 1000, 3), there))
        return True

    ticket.deliver(take)
    return told


@pytest.mark.parametrize(
    ("first", "step", "moments"),
    [
        (20, 10, [(20, 1), (30, 2), (40, 3)]),
        (0, 0.5, [(0, 1), (0.5, 2), (1, 3)]),
        (70, 0, [(70, 3)]),
        (0, 0, [(0, 3)]),
    ],
)
def test_tokens_come_when_they_are_due(
    first: float, step: float, moments: list[tuple[float, int]]
) -> None:
    """The first after its time, each other one a step later; without a step all at once."""

    async def main(loop: VirtualLoop) -> None:
        ticket = Pacer().start(3, first, step)
        told = _told(ticket, loop)
        done = await ticket.whole()
        assert told == moments
        assert done is not None
        assert timing_of(done) == Timing(0.0, 0.0, first, first + 2 * step)

    in_virtual_time(main)


def test_who_is_late_catches_up_in_one_step_and_keeps_to_the_times() -> None:
    """What fell due while the machine stood still is told together; what comes then is not put off by it."""

    async def main(loop: VirtualLoop) -> None:
        ticket = Pacer().start(6, 10, 10)
        told = _told(ticket, loop)
        await asyncio.sleep(0.015)
        loop.stand_still(0.030)
        await ticket.whole()
        assert told == [(10, 1), (45, 4), (50, 5), (60, 6)]

    in_virtual_time(main)


def test_being_late_gives_nobody_more_tokens_than_there_are() -> None:
    """However late it is."""

    async def main(loop: VirtualLoop) -> None:
        ticket = Pacer().start(3, 10, 10)
        told = _told(ticket, loop)
        await asyncio.sleep(0.015)
        loop.stand_still(3600)
        await ticket.whole()
        assert [there for _, there in told] == [1, 3]

    in_virtual_time(main)


def test_answers_share_the_clock_and_who_left_is_forgotten() -> None:
    """A faster answer overtakes a slower one, and one whose client left gets no more tokens."""

    async def main(loop: VirtualLoop) -> None:
        pacer = Pacer()
        slow, left, fast = pacer.start(2, 60, 0), pacer.start(2, 30, 1), pacer.start(2, 10, 1)
        told = [_told(one, loop) for one in (slow, left, fast)]
        left.drop()
        await asyncio.gather(slow.whole(), fast.whole())
        assert told == [[(60, 2)], [], [(10, 1), (11, 2)]]

    in_virtual_time(main)
