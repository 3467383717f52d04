"""Real time between events."""

import asyncio
import threading
import time
from collections.abc import MutableMapping
from itertools import pairwise
from typing import Any

import pytest

from lorax_mock.http.axum import Exchange
from lorax_mock.server.clock import (
    Silence,
    Watch,
    aside,
    breathe,
    clock,
    later,
    rest,
    today,
    until,
)
from lorax_mock.wire.replies import KEEP_ALIVE


class _Client:
    """A client that listens until it is told to leave."""

    def __init__(self) -> None:
        self.gone = asyncio.Event()
        self.heard: list[bytes] = []
        scope = {"method": "POST", "path": "/", "headers": []}
        self.exchange = Exchange(scope, self._receive, self._send)

    async def _receive(self) -> MutableMapping[str, Any]:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: MutableMapping[str, Any]) -> None:
        self.heard.append(message["body"])


async def test_silence_is_broken_every_fifteen_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wait of 40 seconds has a keep-alive comment after each 15."""
    client = _Client()
    waited: list[float | None] = []

    async def no_wait(futures: Any, *, timeout: float | None = None) -> tuple[set[Any], set[Any]]:
        waited.append(timeout)
        await asyncio.sleep(0)
        return set(), futures

    monkeypatch.setattr(asyncio, "wait", no_wait)
    watch = Watch(client.exchange)
    await watch.wait(40)
    watch.close()
    assert waited == [15.0, 15.0, 10.0]
    assert client.heard == [KEEP_ALIVE, KEEP_ALIVE] == [b":\n\n", b":\n\n"]


async def test_nobody_waits_for_a_client_that_left() -> None:
    """A wait for a client that left ends at once."""
    client = _Client()
    client.gone.set()
    watch = Watch(client.exchange)
    await watch.stall(None)
    await watch.wait(3600)
    assert watch.gone


async def test_until_looks_until_it_is_so() -> None:
    """`until` returns when the condition holds, or when its time is over."""
    looks = iter([False, False, True])
    await until(lambda: next(looks), 60)
    await until(lambda: False, 0)
    assert next(looks, None) is None


async def test_breathing_lets_others_run() -> None:
    """`breathe` lets the loop run one turn of other callbacks."""
    ran = asyncio.Event()
    asyncio.get_running_loop().call_soon(ran.set)
    await breathe()
    assert ran.is_set()


async def test_the_clock_is_the_loops() -> None:
    """The clock tells the event loop's seconds."""
    before = asyncio.get_running_loop().time()
    assert before <= clock() <= asyncio.get_running_loop().time()


async def test_silence_is_broken_until_the_stream_ends() -> None:
    """Keep-alive comments break silence alone, are put off by what is sent, and end with the stream."""
    client = _Client()
    sent = 0
    silence = Silence(client.exchange, lambda: sent, 0.15)
    moments = [clock()]
    for _ in range(12):
        await rest(0.02)
        sent += 1
        moments.append(clock())
    # a machine that stood still for that long made a silence
    assert client.heard == [] or max(b - a for a, b in pairwise(moments)) >= 0.1
    client.heard.clear()
    await until(lambda: len(client.heard) == 2, 10)
    assert client.heard == [KEEP_ALIVE, KEEP_ALIVE]
    silence.close()
    await rest(0.2)
    assert len(client.heard) == 2


async def test_leaving_is_told() -> None:
    """A client's leaving is told to those who asked before and after it."""
    client = _Client()
    watch = Watch(client.exchange)
    heard: list[str] = []
    watch.when_gone(lambda: heard.append("early"))
    client.gone.set()
    await until(lambda: watch.gone, 10)
    watch.when_gone(lambda: heard.append("late"))
    await breathe()
    assert heard == ["early", "late"]


async def test_later_is_not_now() -> None:
    """`later` calls after its time and not before."""
    heard: list[float] = []
    began = clock()
    later(0.02, lambda: heard.append(clock()))
    await breathe()
    assert heard == []
    await until(lambda: bool(heard), 10)
    assert heard[0] - began >= 0.019


async def test_long_work_is_done_aside() -> None:
    """Work on long texts runs in a thread, exceptions included, and short work does not."""
    here = threading.get_ident()
    assert await aside(10, threading.get_ident) == here
    assert await aside(1_000_000, threading.get_ident) != here

    def fails() -> None:
        raise KeyError("told")

    for size in (0, 1_000_000):
        with pytest.raises(KeyError, match="told"):
            await aside(size, fails)


def test_today_is_a_date_and_no_time_since_something() -> None:
    """`today` is the seconds since 1970."""
    assert abs(today() - time.time()) < 2
