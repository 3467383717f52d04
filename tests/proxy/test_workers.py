"""Several processes behind one port, as an operator starts, watches, kills and ends them."""

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Generator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.proxy.processes import PATIENCE, started
from tests.proxy.running import Connection, Proxy, chat, final, lorax, tokens
from tests.proxy.servers import (
    LAST_CHUNK,
    Hold,
    Request,
    ScriptedServer,
    Send,
    Stall,
    Step,
    chunk,
    event_stream,
)

pytestmark = pytest.mark.slow

CHAT = "/v1/chat/completions"


class Log:
    """The log of a proxy, line by line as it comes."""

    def __init__(self, reading: int) -> None:
        self._lines = os.fdopen(reading, "rb")

    def until(self, event: str, count: int = 1) -> list[dict[str, Any]]:
        """The next lines of that event; what comes between them is not kept."""
        found: list[dict[str, Any]] = []
        while len(found) < count:
            line = self._lines.readline()
            assert line, f"the log ended before {count} of {event}"
            told = json.loads(line)
            if told["event"] == event:
                found.append(told)
        return found

    def close(self) -> None:
        """Read no more."""
        self._lines.close()


@contextlib.contextmanager
def piped() -> Generator[tuple[int, Log]]:
    """Where a proxy writes its log, and the log."""
    reading, writing = os.pipe()
    log = Log(reading)
    try:
        yield writing, log
    finally:
        log.close()


async def metrics(proxy: Proxy) -> dict[str, float]:
    """The values of the metrics that have no labels, and the sum of those that have."""
    told: dict[str, float] = {}
    text = (await proxy.get("/metrics")).body.decode()
    for name, value in re.findall(r"^lorax_proxy_(\w+)(?:\{.*\})? (\S+)$", text, re.MULTILINE):
        told[name] = told.get(name, 0) + float(value)
    return told


async def until_metrics(proxy: Proxy, **expected: float) -> dict[str, float]:
    """The metrics once they are as expected: processes do not tell when they have counted."""
    async with asyncio.timeout(PATIENCE):
        while True:
            told = await metrics(proxy)
            if all(told.get(name) == value for name, value in expected.items()):
                return told
            await asyncio.sleep(0.05)


def gone(pid: int) -> bool:
    """Whether a process has ended."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def listens(port: int) -> bool:
    """Whether anybody takes connections there."""
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return False
    return True


async def until_gone(pids: list[int]) -> None:
    """Wait for processes that are not ours."""
    async with asyncio.timeout(PATIENCE):
        while not all(map(gone, pids)):  # noqa: ASYNC110 - they do not tell
            await asyncio.sleep(0.05)


async def streams(proxy: Proxy, count: int) -> list[Connection]:
    """So many streams that have begun."""
    opened = [await proxy.open("POST", CHAT, chat("one", stream=True)) for _ in range(count)]
    for each in opened:
        await each.until(b"Hello")
    return opened


async def rest(stream: Connection) -> str:
    """What else comes of a stream, however it ends."""
    with contextlib.suppress(ConnectionError):
        return (await stream.reader.read()).decode()
    return ""


async def test_workers_are_counted_together_replaced_and_ended_together() -> None:
    """One life: counts add up, a killed worker is replaced and said, one Ctrl-C tells all streams.

    What the dead one has counted stays; what it held is gone; others' streams go on.
    """
    going_on = asyncio.Event()

    def script_of(asked: Request) -> Sequence[Step]:
        begun = Send(event_stream() + chunk(tokens("Hello")))
        if b"two" not in asked.body:
            return [begun, Stall()]
        return [begun, Hold(going_on), Send(chunk(final("", count=2)) + LAST_CHUNK)]

    script = lorax(stream=script_of)
    with tempfile.TemporaryDirectory() as temporary, piped() as (writing, log):
        async with ScriptedServer(script) as server:
            with started(
                f"--upstream={server.url}",
                "--workers=2",
                stderr=writing,
                LORAX_PROXY_SHUTDOWN_TIMEOUT="5",
                TMPDIR=temporary,
            ) as running:
                os.close(writing)
                pids = [line["pid"] for line in log.until("worker_started", 2)]
                proxy = Proxy(running.port)
                asked = [await proxy.get("/health") for _ in range(12)]
                # drawn by each worker for itself, though both were one process
                assert len({each.headers["x-request-id"] for each in asked}) == 12
                opened = await streams(proxy, 12)
                # whichever answers, several times over
                for _ in range(8):
                    # those of the question itself among them
                    await until_metrics(proxy, active_requests=12 + 1, connections=12 + 1)
                counted = (await metrics(proxy))["requests_total"]
                os.kill(pids[0], signal.SIGKILL)
                (died,) = await asyncio.to_thread(log.until, "worker_died")
                assert (died["pid"], died["signal"], died["level"]) == (
                    pids[0],
                    "SIGKILL",
                    "warning",
                )
                (replaced,) = await asyncio.to_thread(log.until, "worker_started")
                pids[0] = replaced["pid"]
                reading = [asyncio.ensure_future(rest(each)) for each in opened]
                async with asyncio.timeout(PATIENCE):
                    while True:
                        told = await metrics(proxy)
                        held = 1 + sum(not each.done() for each in reading)
                        if told["active_requests"] == told["connections"] == held:
                            break
                        await asyncio.sleep(0.05)
                # what the dead one has counted stays
                assert told["requests_total"] >= counted
                more = await streams(proxy, 4)
                last = await proxy.open("POST", CHAT, chat("two", stream=True))
                await last.until(b"Hello")
                # as a terminal does it: to the whole group, where the workers are not, since a second
                # Ctrl-C waits for nobody
                assert running.process.pid not in map(os.getpgid, pids)
                os.killpg(running.process.pid, signal.SIGINT)
                async with asyncio.timeout(PATIENCE):
                    while listens(running.port):  # noqa: ASYNC110 - it does not tell
                        await asyncio.sleep(0.05)
                going_on.set()
                assert "[DONE]" in await rest(last)
                left = [each for each in reading if not each.done()]
                for each in [*left, *map(rest, more)]:
                    assert '"code":"shutting_down"' in await each
                assert await asyncio.to_thread(running.process.wait, PATIENCE) == 0
                proxy.disconnect()
        await until_gone(pids)
        assert os.listdir(temporary) == []  # noqa: PTH208 - no Path in an async function


async def test_workers_do_not_survive_their_parent(tmp_path: Path) -> None:
    """Killed, it cannot tell them; they tell their streams, and end."""
    script = lorax(stream=[Send(event_stream() + chunk(tokens("Hello"))), Stall()])
    with piped() as (writing, log):
        async with ScriptedServer(script) as server:
            with started(
                f"--upstream={server.url}",
                "--workers=2",
                stderr=writing,
                LORAX_PROXY_SHUTDOWN_TIMEOUT="0.3",
                # nobody is left to remove what they counted in
                TMPDIR=str(tmp_path),
            ) as running:
                os.close(writing)
                pids = [line["pid"] for line in log.until("worker_started", 2)]
                proxy = Proxy(running.port)
                opened = await streams(proxy, 4)
                running.process.kill()
                for each in opened:
                    assert '"code":"shutting_down"' in await rest(each)
                await until_gone(pids)
                proxy.disconnect()


BROKEN = """
import os, socket, sys
from lorax_proxy.errors import SettingsInvalid
from lorax_proxy.observe import Observer
from lorax_proxy.workers import Workers

def serve(listening, *, orphaned):
    if sys.argv[1] == "raises":
        raise RuntimeError("no luck")
    os._exit(3)

try:
    Workers(2, socket.create_server(("127.0.0.1", 0)), Observer(), serve).run(lambda: print("listens"))
except SettingsInvalid as error:
    print(error)
"""


@pytest.mark.parametrize(("how", "told"), [("raises", "no luck"), ("ends", '"status":3')])
def test_workers_that_cannot_start_end_the_start(how: str, told: str) -> None:
    """A worker that ends before it served ends all, in one line beside its own; nothing listens."""
    done = subprocess.run(
        [sys.executable, "-c", BROKEN, how],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    assert done.stdout == "workers: one ended before it served; see above\n"
    assert told in done.stderr


DYING = """
import os, socket
from lorax_proxy.observe import Observer
from lorax_proxy.workers import Workers

def serve(listening, *, orphaned):
    listening()
    # who dies before it serves ends them all
    os.read(orphaned if os.path.exists(flag) else begun, 1)
    os._exit(3)

import sys
flag = sys.argv[1]
begun, serving = os.pipe()
server = socket.create_server(("127.0.0.1", 0))
Workers(1, server, Observer(), serve).run(lambda: os.write(serving, b"."))
"""


def test_a_worker_that_dies_young_is_replaced_a_second_later(tmp_path: Path) -> None:
    """So a machine on which none can live does not do nothing but start them."""
    with piped() as (writing, log):
        process = subprocess.Popen(
            [sys.executable, "-c", DYING, str(tmp_path / "live")], stderr=writing
        )
        os.close(writing)
        try:
            [died] = log.until("worker_died")
            (tmp_path / "live").touch()
            [begun] = log.until("worker_started")
        finally:
            process.terminate()
            process.wait(PATIENCE)
    died_at, began_at = (datetime.fromisoformat(told["timestamp"]) for told in (died, begun))
    assert began_at - died_at > timedelta(seconds=0.9)
