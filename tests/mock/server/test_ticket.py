"""What a request hears of its sequence on the shard."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from lorax_mock.server.clock import breathe
from lorax_mock.server.ticket import Ticket, Work
from lorax_mock.shard.jobs import Done, Job

_DONE = Done(Job(1, 0.0, "", 1, 2, 2), 0.0, 1.0, 2.0)


async def _waiting(*waits: Coroutine[Any, Any, Any]) -> list[asyncio.Task[Any]]:
    """Tasks that have come to their first wait."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    await breathe()
    return tasks


async def _ended(tasks: list[asyncio.Task[Any]]) -> list[Any]:
    """What they returned or raised; a task that nobody wakes fails the test."""
    _, asleep = await asyncio.wait(tasks, timeout=5)
    for task in asleep:
        task.cancel()
    assert not asleep
    return [task.exception() or task.result() for task in tasks]


async def test_everybody_who_waits_for_a_ticket_hears_of_it() -> None:
    """Two readers of tokens and one of the whole sequence all go on when the shard gives it."""
    ticket = Ticket(Work("", 1, 2, 2))
    first, second, whole = await _waiting(ticket.more(0), ticket.more(1), ticket.whole())
    ticket.advance(1)
    assert await _ended([first]) == [1]
    assert not second.done()
    assert not whole.done()
    ticket.advance(1)
    ticket.end(_DONE)
    assert await _ended([second, whole]) == [2, _DONE]


async def test_a_ticket_that_fails_raises_in_everybody_who_waits() -> None:
    """The shard's error reaches the reader of tokens and the reader of the whole sequence."""
    ticket = Ticket(Work("", 1, 2, 2))
    waiting = await _waiting(ticket.more(0), ticket.whole())
    error = RuntimeError("the shard is gone")
    ticket.fail(error)
    assert await _ended(waiting) == [error, error]
    with pytest.raises(RuntimeError, match="the shard is gone"):
        await ticket.more(0)


async def test_a_client_that_leaves_early_takes_its_sequence_back_once() -> None:
    """The shard hears of it as soon as it knows the sequence, and the readers at once."""
    ticket = Ticket(Work("", 1, 2, 2))
    waiting = await _waiting(ticket.more(0), ticket.whole())
    left: list[str] = []
    ticket.drop()
    assert not ticket.entered
    ticket.admitted(lambda: left.append("left"))
    ticket.drop()
    assert left == ["left"]
    assert await _ended(waiting) == [0, None]
