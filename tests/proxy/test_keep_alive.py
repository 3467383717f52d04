"""Signs of life on a silent stream: when they come, and that nothing overtakes a beginning.

Time is virtual here: where the event loop would wait for a timer, its clock is put forward.
"""

import asyncio
import functools
import selectors
from collections.abc import Callable, Coroutine
from typing import Any

from lorax_proxy.client import CONNECTED, Client
from lorax_proxy.keep_alive import KeepAlive
from lorax_proxy.observe import Record


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


class Listener:
    """A client's side of its connection: what was sent, and whether it takes more."""

    def __init__(self) -> None:
        self.sent: list[bytes | str] = []
        self.write_paused = False
        self.disconnected = False
        self.on_disconnect: Callable[[], None] | None = None

    async def send(self, message: Any) -> None:
        """ASGI's way, which nothing takes here."""
        raise AssertionError(message)

    def whole_body(self) -> bytes | None:
        """There is none."""
        return None

    def count_body(self, size: int) -> None:
        """There is none to count."""

    def start(self, status: int, block: bytes, length: int | None = None) -> None:
        """Note that there is a head."""
        del status, block, length
        self.sent.append("head")

    def write(self, data: bytes) -> None:
        """Note what comes next."""
        self.sent.append(data)

    def end(self, data: bytes = b"") -> None:
        """Note what comes last."""
        self.sent.append(data)

    async def drain(self) -> None:
        """Nothing is listener."""

    def client(self) -> Client:
        """A client that sends here."""

        async def receive() -> Any:
            await asyncio.Event().wait()

        scope = {"headers": [], "extensions": {CONNECTED: self}}
        return Client(scope, receive, self.send, Record("id", "POST", "/", 0.0))


def keep_alive(client: Client, *, first: float, interval: float) -> KeepAlive:
    """A heartbeat whose beginning is a status line."""

    async def begin() -> None:
        await client.start(200, ())

    return KeepAlive(client, begin=begin, first=first, interval=interval)


@in_virtual_time
async def test_it_begins_in_time_and_goes_on_beating() -> None:
    """The status after `first`, then a comment, then one every `interval`."""
    listener = Listener()
    with keep_alive(listener.client(), first=10, interval=15):
        await asyncio.sleep(9.9)
        assert listener.sent == []
        await asyncio.sleep(0.2)
        assert listener.sent == ["head", b":\n\n"]
        await asyncio.sleep(30)
    assert listener.sent == ["head", b":\n\n", b":\n\n", b":\n\n"]


@in_virtual_time
async def test_it_waits_for_the_first_however_short_the_interval() -> None:
    """Until `first` has passed a refusal can still be a status: nothing is begun."""
    listener = Listener()
    with keep_alive(listener.client(), first=60, interval=1):
        await asyncio.sleep(59)
    assert listener.sent == []


@in_virtual_time
async def test_a_stream_that_began_early_beats_by_its_interval() -> None:
    """Long before `first`: the interval alone counts once the stream has begun."""
    listener = Listener()
    client = listener.client()
    with keep_alive(client, first=600, interval=15) as beating:
        await asyncio.sleep(20)
        await client.start(200, ())
        beating.write(b"x")
        await asyncio.sleep(31)
    assert listener.sent == ["head", b"x", b":\n\n", b":\n\n"]


@in_virtual_time
async def test_what_is_written_is_a_sign_of_life() -> None:
    """A stream that speaks needs no comments."""
    listener = Listener()
    client = listener.client()
    await client.start(200, ())
    with keep_alive(client, first=60, interval=15) as beating:
        for _ in range(6):
            await asyncio.sleep(14)
            beating.write(b"x")
    assert listener.sent == ["head", *[b"x"] * 6]


@in_virtual_time
async def test_a_slow_client_gets_no_comments() -> None:
    """It has more to read than it takes: a comment would only pile up behind the rest."""
    listener = Listener()
    client = listener.client()
    await client.start(200, ())
    listener.write_paused = True
    with keep_alive(client, first=10, interval=15):
        await asyncio.sleep(150)
        assert listener.sent == ["head"]
        listener.write_paused = False
        await asyncio.sleep(15)
    assert listener.sent == ["head", b":\n\n"]


def just_before(seconds: float) -> asyncio.Future[None]:
    """Done when a timer of so many seconds, started after it, has rung and nothing has come of it."""
    loop = asyncio.get_running_loop()
    due = loop.create_future()
    loop.call_at(loop.time() + seconds, due.set_result, None)
    return due


@in_virtual_time
async def test_a_stream_begins_once() -> None:
    """Text that comes when the status is due begins the stream itself, and the comment follows."""
    listener = Listener()
    client = listener.client()
    due = just_before(1)
    with keep_alive(client, first=1, interval=60) as beating:
        # in the turn of the loop in which the timer has rung, and what it begins has not run yet
        await due
        if not client.started:
            await client.start(200, ())
        beating.write(b"x")
        await asyncio.sleep(1)
    assert listener.sent == ["head", b"x", b":\n\n"]


@in_virtual_time
async def test_nothing_is_sent_behind_the_end() -> None:
    """A comment that was due when the stream ended or its client left is given up."""
    listener = Listener()
    client = listener.client()
    due = just_before(1)
    with keep_alive(client, first=1, interval=60):
        await due
    await asyncio.sleep(200)
    assert listener.sent == []
