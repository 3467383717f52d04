"""Answers at the pace of a script."""

import asyncio

from lorax_mock.server.clock import clock
from lorax_mock.server.pacer import Pacer
from lorax_mock.shard.timing import Timing, timing_of


async def test_tokens_come_when_they_are_due() -> None:
    """The first comes after its time, each other one a step later, and the times are those of the script."""
    began = clock()
    ticket = Pacer().start(3, 20, 10)
    moments: list[float] = []
    for have in range(3):
        assert await ticket.more(have) > have
        moments.append(clock() - began)
    assert all(
        moment >= due - 0.001 for moment, due in zip(moments, (0.02, 0.03, 0.04), strict=True)
    )
    done = await ticket.whole()
    assert done is not None
    assert timing_of(done) == Timing(0.0, 0.0, 20.0, 40.0)


async def test_what_is_due_together_is_told_together() -> None:
    """Without a step all tokens come at once, and whoever is late catches up."""
    told: list[int] = []

    def take(there: int) -> bool:
        told.append(there)
        return True

    ticket = Pacer().start(4, 0, 0)
    ticket.deliver(take)
    await ticket.whole()
    assert told == [4]


async def test_answers_share_the_clock_and_who_left_is_forgotten() -> None:
    """A faster answer overtakes a slower one, and one whose client left gets no more tokens."""
    pacer = Pacer()
    slow, left, fast = pacer.start(2, 60, 0), pacer.start(2, 30, 1), pacer.start(2, 10, 1)
    left.drop()
    done = [asyncio.ensure_future(one.whole()) for one in (slow, fast)]
    await done[1]
    assert (slow.there, fast.there) == (0, 2)
    await done[0]
    assert (slow.there, left.there) == (2, 0)
