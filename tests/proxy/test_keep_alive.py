"""Signs of life on a silent stream: when they come, and that nothing overtakes a beginning.

Time is virtual here: where the event loop would wait for a timer, its clock is put forward.
"""

import asyncio
import functools
import selectors
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from lorax_proxy.keep_alive import KeepAlive
from lorax_proxy.observe import Record
from lorax_proxy.surface import Client


class VirtualTime(asyncio.SelectorEventLoop):
    """An event loop on which nothing takes time but timers."""

    def __init__(self) -> None:
        self.now = 0.0
        super().__init__(_Skipping(self))

    def time(self) -> float:
        """Seconds that timers have taken."""
        return self.now


class _Skipping(selectors.DefaultSelector):
    def __init__(self, loop: VirtualTime) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> Any:
        if timeout is not None:
            self._loop.now += max(timeout, 0)
            timeout = 0
        return super().select(timeout)


def in_virtual_time(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """Run a test on `VirtualTime`."""

    @functools.wraps(test)
    def run() -> None:
        with asyncio.Runner(loop_factory=VirtualTime) as runner:
            runner.run(test())

    return run


class Slow:
    """A client's side of ASGI: what was sent, and a gate that every message waits at."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.arrived = asyncio.Event()
        self.turns: asyncio.Semaphore | None = None

    async def send(self, message: Any) -> None:
        """Take one message when the gate is open and it has its turn, if they are counted."""
        self.arrived.set()
        await self.gate.wait()
        if self.turns is not None:
            await self.turns.acquire()
        self.sent.append(message.get("body", message["type"]))

    def client(self) -> Client:
        """A client that sends here."""

        async def receive() -> Any:
            await asyncio.Event().wait()

        return Client({"headers": []}, receive, self.send, Record("id", "POST", "/", 0.0), ())


def keep_alive(client: Client, *, first: float, interval: float) -> KeepAlive:
    """A heartbeat whose beginning is a status line."""

    async def begin() -> None:
        await client.start(200, ())

    return KeepAlive(client, begin=begin, first=first, interval=interval)


@in_virtual_time
async def test_it_begins_in_time_and_goes_on_beating() -> None:
    """The status after `first`, then a comment, then one every `interval`."""
    slow = Slow()
    async with keep_alive(slow.client(), first=10, interval=15):
        await asyncio.sleep(9.9)
        assert slow.sent == []
        await asyncio.sleep(0.2)
        assert slow.sent == ["http.response.start", b":\n\n"]
        await asyncio.sleep(30)
    assert slow.sent == ["http.response.start", b":\n\n", b":\n\n", b":\n\n"]


@in_virtual_time
async def test_it_waits_for_the_first_however_short_the_interval() -> None:
    """Until `first` has passed a refusal can still be a status: nothing is begun."""
    slow = Slow()
    async with keep_alive(slow.client(), first=60, interval=1):
        await asyncio.sleep(59)
    assert slow.sent == []


@in_virtual_time
async def test_a_stream_that_began_early_beats_by_its_interval() -> None:
    """Long before `first`: the interval alone counts once the stream has begun."""
    slow = Slow()
    client = slow.client()
    async with keep_alive(client, first=600, interval=15) as beating:
        await asyncio.sleep(20)
        await client.start(200, ())
        await beating.write(b"x")
        await asyncio.sleep(31)
    assert slow.sent == ["http.response.start", b"x", b":\n\n", b":\n\n"]


@in_virtual_time
async def test_what_is_written_is_a_sign_of_life() -> None:
    """A stream that speaks needs no comments."""
    slow = Slow()
    client = slow.client()
    await client.start(200, ())
    async with keep_alive(client, first=60, interval=15) as beating:
        for _ in range(6):
            await asyncio.sleep(14)
            await beating.write(b"x")
    assert slow.sent == ["http.response.start", *[b"x"] * 6]


@in_virtual_time
async def test_a_slow_client_gets_one_comment_at_a_time() -> None:
    """One that is still being sent is not followed by more: they would only pile up."""
    slow = Slow()
    client = slow.client()
    await client.start(200, ())
    slow.gate.clear()
    async with keep_alive(client, first=10, interval=15):
        await asyncio.sleep(150)
        waiting = [task for task in asyncio.all_tasks() if "_beat" in repr(task.get_coro())]
        assert len(waiting) == 1
        slow.gate.set()


@in_virtual_time
async def test_nothing_overtakes_a_beginning() -> None:
    """Text that comes while status and headers are on their way waits for them."""
    slow = Slow()
    client = slow.client()
    slow.turns = asyncio.Semaphore(0)
    async with keep_alive(client, first=1, interval=60) as beating:
        await slow.arrived.wait()
        writing = asyncio.create_task(beating.write(b"x"))
        for _ in range(3):
            await asyncio.sleep(1)
            slow.turns.release()
        await writing
    assert slow.sent == ["http.response.start", b":\n\n", b"x"]


@in_virtual_time
async def test_a_failure_waits_for_half_a_beginning() -> None:
    """An error's event must not come before the status line that is being sent."""
    slow = Slow()
    client = slow.client()
    slow.gate.clear()

    async def stream() -> None:
        async with keep_alive(client, first=0.001, interval=60):
            await slow.arrived.wait()
            asyncio.get_running_loop().call_later(0.01, slow.gate.set)
            raise ValueError("upstream")

    with pytest.raises(ValueError, match="upstream"):
        await stream()
    assert slow.sent == ["http.response.start", b":\n\n"]


@in_virtual_time
async def test_a_client_that_left_is_not_waited_for() -> None:
    """Cancelled: what is on its way to nobody is given up."""
    slow = Slow()
    client = slow.client()

    async def stream() -> None:
        async with keep_alive(client, first=0.001, interval=60):
            await asyncio.Event().wait()

    slow.gate.clear()
    streaming = asyncio.create_task(stream())
    await slow.arrived.wait()
    streaming.cancel()
    async with asyncio.timeout(10):
        await asyncio.gather(streaming, return_exceptions=True)
    assert slow.sent == []
