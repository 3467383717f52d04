"""Counts of connections, the clock over them, and how everybody is seen out."""

import asyncio
import errno
import json

import pytest

from lorax_proxy.config_limits import ClientLimits
from lorax_proxy.door import Door
from lorax_proxy.observe import Observer
from tests.proxy.running import request, served
from tests.proxy.test_http1 import app


class Visitor:
    """A connection that notes what the door does to it."""

    def __init__(self, peer: str = "10.0.0.1") -> None:
        self.peer = peer
        self.looked = asyncio.Event()
        self.shut = False
        self.aborted = False

    def look(self, now: float) -> None:
        """Note that the clock came by."""
        self.looked.set()

    def shutdown(self) -> None:
        """Note that the server ends."""
        self.shut = True

    def abort(self) -> None:
        """Note that patience is over."""
        self.aborted = True


def door(max_files: int | None = None, **limits: float) -> Door:
    """A door with these limits."""
    return Door(ClientLimits.model_validate(limits), Observer("error"), max_files=max_files)


def test_there_are_fewer_places_than_files() -> None:
    """Requests to LoRAX need files too; three quarters of the places are one peer's at most."""
    assert (door().places, door().places_per_peer) == (16384, 12288)
    assert door(max_files=1024).places == 752
    assert door(max_files=8).places == 1
    assert door(max_connections=4).places_per_peer == 3
    assert door(max_connections=1).places_per_peer == 1
    assert door(max_connections=4, max_connections_per_peer=9).places_per_peer == 9


async def test_places_are_counted_in_all_and_by_peer() -> None:
    """At the limit nobody more comes in, until somebody leaves."""
    full = door(max_connections=3, max_connections_per_peer=2)
    first, second, third = Visitor("a"), Visitor("a"), Visitor("b")
    assert full.enter(first)
    assert full.enter(second)
    assert not full.enter(Visitor("a"))
    assert full.enter(third)
    assert not full.enter(Visitor("b"))
    full.leave(first)
    assert full.enter(Visitor("b"))
    # one that never came in takes nobody's place with it
    full.leave(Visitor("a"))
    assert not full.enter(Visitor("c"))


async def test_those_beyond_the_limit_are_told_once_and_not_without_end(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A flood makes one line, one count each, and no more open files than a few."""
    observer = Observer("warning")
    full = Door(ClientLimits(max_connections=1024, max_connections_per_peer=1024), observer)
    for _ in range(1024):
        full.enter(Visitor())
    flood = [Visitor() for _ in range(200)]
    assert not any(full.enter(visitor) for visitor in flood)
    assert sum(visitor.aborted for visitor in flood) == 136
    (line,) = capsys.readouterr().err.splitlines()
    assert json.loads(line)["event"] == "too_many_connections"
    few = door(max_connections=8, max_connections_per_peer=8)
    flood = [Visitor() for _ in range(20)]
    assert sum(few.enter(visitor) for visitor in flood) == 8
    assert sum(visitor.aborted for visitor in flood) == 11
    metrics = observer.metrics().decode()
    assert "lorax_proxy_refused_connections_total 200.0" in metrics
    assert "lorax_proxy_connections 1024.0" in metrics


async def test_the_clock_looks_at_everybody_again_and_again() -> None:
    """Also at those that were turned away: they must not stay."""
    ticking = door(client_header_timeout=0.01, max_connections=1)
    visitors = [Visitor(), Visitor()]
    for visitor in visitors:
        ticking.enter(visitor)
    async with asyncio.timeout(10):
        for _ in range(3):
            for visitor in visitors:
                await visitor.looked.wait()
                visitor.looked.clear()


async def test_everybody_is_seen_out() -> None:
    """Told at once; who has gone by then is not waited for, and who has not is put out."""
    leaving = door()
    stays, goes = Visitor(), Visitor()
    leaving.enter(stays)
    leaving.enter(goes)
    told = asyncio.Event()

    async def answer() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            told.set()
            leaving.leave(stays)

    task = asyncio.create_task(answer())
    closing = asyncio.create_task(leaving.close({task}, within=0.05))
    await asyncio.sleep(0)
    assert stays.shut
    assert goes.shut
    assert leaving.leaving
    leaving.leave(goes)
    await closing
    assert told.is_set()
    assert not stays.aborted


async def test_who_does_not_go_is_put_out() -> None:
    """A client that reads nothing does not hold the process."""
    leaving = door()
    stays = Visitor()
    leaving.enter(stays)
    await leaving.close(set(), within=0.01)
    assert stays.aborted


async def test_files_that_ran_out_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """The loop tells it for every connection it cannot accept; other troubles are told each."""
    watching = Door(ClientLimits(), Observer("warning"))
    loop = asyncio.get_running_loop()
    for _ in range(100):
        watching.trouble(loop, {"message": "accept", "exception": OSError(errno.EMFILE, "x")})
    watching.trouble(loop, {"message": "odd", "exception": ValueError("why")})
    first, second = capsys.readouterr().err.splitlines()
    assert json.loads(first)["event"] == "out_of_file_descriptors"
    assert json.loads(second)["message"] == "odd"
    assert "ValueError" in json.loads(second)["exception"]


async def test_a_connection_too_many_gets_the_envelope() -> None:
    """With or without a key; a place that gets free is taken by the next."""
    limits = ClientLimits(max_connections=2, max_connections_per_peer=2)
    for key in (None, "s3cret"):
        async with served(app(api_key=key), limits=limits) as proxy:
            kept = [await proxy.connect() for _ in range(2)]
            for connection in kept:
                await connection.send(request("GET", "/health"))
                assert (await connection.reply()).status == 200
            reply = await (await proxy.connect()).reply()
            assert (reply.status, reply.error["code"]) == (503, "too_many_connections")
            assert reply.headers["retry-after"] == "1"
            kept[0].leave()
            await kept[1].send(request("GET", "/health"))
            assert (await kept[1].reply()).status == 200
            assert (await proxy.get("/health")).status == 200
