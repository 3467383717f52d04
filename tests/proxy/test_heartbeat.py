"""Signs of life on a silent stream: when they come, and that nothing overtakes a beginning."""

import asyncio
from typing import Any

import pytest

from lorax_proxy.heartbeat import Heartbeat
from lorax_proxy.observe import Record
from lorax_proxy.surface import Client


class Slow:
    """A client's side of ASGI: what was sent, and a gate that every message waits at."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.news = asyncio.Event()
        self.arrived = asyncio.Event()

    async def send(self, message: Any) -> None:
        """Take one message when the gate is open."""
        self.arrived.set()
        await self.gate.wait()
        self.sent.append(message.get("body", message["type"]))
        self.news.set()

    async def count(self, number: int) -> None:
        """Wait until so many messages were taken."""
        async with asyncio.timeout(10):
            while len(self.sent) < number:
                self.news.clear()
                await self.news.wait()

    def client(self) -> Client:
        """A client that sends here."""

        async def receive() -> Any:
            await asyncio.Event().wait()

        return Client({"headers": []}, receive, self.send, Record("id", "POST", "/", 0.0), ())


def heart(client: Client, *, first: float, interval: float) -> Heartbeat:
    """A heartbeat whose beginning is a status line."""

    async def begin() -> None:
        await client.start(200, ())

    return Heartbeat(client, begin=begin, first=first, interval=interval)


async def test_it_begins_in_time_and_goes_on_beating() -> None:
    """The status after `first`, then a comment, then one every `interval`."""
    slow = Slow()
    async with heart(slow.client(), first=0.01, interval=0.01):
        await slow.count(4)
    assert slow.sent[:4] == ["http.response.start", b":\n\n", b":\n\n", b":\n\n"]


async def test_it_waits_for_the_first_however_short_the_interval() -> None:
    """Until `first` has passed a refusal can still be a status: nothing is begun."""
    slow = Slow()
    async with heart(slow.client(), first=60, interval=0.001):
        await asyncio.sleep(0.02)  # twenty intervals, in which nothing may happen
    assert slow.sent == []


async def test_a_stream_that_began_early_beats_by_its_interval() -> None:
    """Long before `first`: the interval alone counts once the stream has begun."""
    slow = Slow()
    client = slow.client()
    async with heart(client, first=60, interval=0.01) as beating:
        await client.start(200, ())
        await beating.write(b"x")
        await slow.count(4)
    assert slow.sent[:4] == ["http.response.start", b"x", b":\n\n", b":\n\n"]


async def test_what_is_written_is_a_sign_of_life() -> None:
    """A stream that speaks needs no comments."""
    slow = Slow()
    client = slow.client()
    await client.start(200, ())
    async with heart(client, first=60, interval=0.2) as beating:
        for _ in range(6):
            await asyncio.sleep(0.05)  # more than one interval in all, none between two writes
            await beating.write(b"x")
    assert slow.sent == ["http.response.start", *[b"x"] * 6]


async def test_a_slow_client_gets_one_comment_at_a_time() -> None:
    """One that is still being sent is not followed by more: they would only pile up."""
    slow = Slow()
    client = slow.client()
    await client.start(200, ())
    slow.gate.clear()
    async with heart(client, first=0.001, interval=0.001):
        await asyncio.sleep(0.02)  # twenty intervals
        waiting = [task for task in asyncio.all_tasks() if "_beat" in repr(task.get_coro())]
        assert len(waiting) == 1
        slow.gate.set()


async def test_nothing_overtakes_a_beginning() -> None:
    """Text that comes while status and headers are on their way waits for them."""
    slow = Slow()
    client = slow.client()
    slow.gate.clear()
    async with heart(client, first=0.001, interval=60) as beating:
        await slow.arrived.wait()
        writing = asyncio.create_task(beating.write(b"x"))
        await asyncio.sleep(0)
        slow.gate.set()
        await writing
    assert slow.sent == ["http.response.start", b":\n\n", b"x"]


async def test_a_failure_waits_for_half_a_beginning() -> None:
    """An error's event must not come before the status line that is being sent."""
    slow = Slow()
    client = slow.client()
    slow.gate.clear()

    async def stream() -> None:
        async with heart(client, first=0.001, interval=60):
            await slow.arrived.wait()
            asyncio.get_running_loop().call_later(0.01, slow.gate.set)
            raise ValueError("upstream")

    with pytest.raises(ValueError, match="upstream"):
        await stream()
    assert slow.sent == ["http.response.start", b":\n\n"]


async def test_a_client_that_left_is_not_waited_for() -> None:
    """Cancelled: what is on its way to nobody is given up."""
    slow = Slow()
    client = slow.client()

    async def stream() -> None:
        async with heart(client, first=0.001, interval=60):
            await asyncio.Event().wait()

    slow.gate.clear()
    streaming = asyncio.create_task(stream())
    await slow.arrived.wait()
    streaming.cancel()
    async with asyncio.timeout(10):
        await asyncio.gather(streaming, return_exceptions=True)
    assert slow.sent == []
