"""A port and uvicorn on it: what can go wrong before it listens."""

import asyncio
import contextlib
import json
import os
import re
import resource
import select
import shutil
import signal
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from lorax_proxy.errors import SettingsInvalid
from lorax_proxy.serving import listen
from tests.proxy.processes import started
from tests.proxy.running import Proxy, chat, lorax, request, tokens
from tests.proxy.servers import (
    Request,
    Script,
    ScriptedServer,
    Send,
    Stall,
    Step,
    chunk,
    event_stream,
)

CHAT = "/v1/chat/completions"


def test_a_free_port_is_taken_at_once() -> None:
    """Whoever connects after it waits in the queue, before anything is served."""
    with listen("127.0.0.1", 0) as listener:
        host, port = listener.getsockname()
        assert host == "127.0.0.1"
        with socket.create_connection((host, port), timeout=5):
            pass


def test_a_taken_port_says_what_to_do() -> None:
    """Also when both would be ours: the second one does not wait for the first to go."""
    with listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(SettingsInvalid) as caught:
            listen("127.0.0.1", port)
    message = str(caught.value)
    assert message.startswith(f"port: cannot listen on 127.0.0.1:{port}: ")
    assert "--port" in message
    assert "\n" not in message


def test_a_taken_port_may_be_passed_over() -> None:
    """The next free one, within the ports that may be had, and never beyond the last."""
    with listen("127.0.0.1", 0) as one:
        port = one.getsockname()[1]
        with listen("127.0.0.1", port, spare=20) as other:
            assert port < other.getsockname()[1] <= port + 20
    with contextlib.ExitStack() as held:
        with contextlib.suppress(SettingsInvalid):
            held.enter_context(listen("127.0.0.1", 65535))
        with pytest.raises(SettingsInvalid, match="cannot listen on"):
            listen("127.0.0.1", 65535, spare=20)


def test_little_is_taken_for_a_client_that_does_not_read() -> None:
    """The kernel would take megabytes for each."""
    with listen("127.0.0.1", 0) as listener, socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(listener.getsockname())
        accepted, _ = listener.accept()
        with accepted:
            taken = 0
            while select.select([], [accepted], [], 0)[1]:
                taken += accepted.send(b"x" * 4096)
    assert 2**17 < taken < 2**20


def test_a_port_that_was_just_left_can_be_taken_again() -> None:
    """A restart does not wait for the last connections' end."""
    with listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", port), timeout=5)
        server, _ = listener.accept()
        # the side that closes first keeps the port in TIME_WAIT
        server.close()
        client.recv(1)
        client.close()
    listen("127.0.0.1", port).close()


@pytest.mark.parametrize("host", ["no such host", "256.1.1.1", "127.0.0.1:8000"])
def test_a_host_that_is_none_is_named(host: str) -> None:
    """A wrong address is the setting's fault, and the message says which."""
    with pytest.raises(SettingsInvalid, match=f"host: {host} is no address"):
        listen(host, 0)


def test_an_address_of_another_machine_is_refused() -> None:
    """It is an address, but none to listen on here."""
    with pytest.raises(SettingsInvalid, match=r"cannot listen on 192\.0\.2\.1:0"):
        listen("192.0.2.1", 0)


def by_word(answers: Mapping[bytes, Sequence[Step]]) -> Script:
    """Answer a request by a word in its body."""

    def script(asked: Request) -> Sequence[Step]:
        (found,) = [steps for word, steps in answers.items() if word in asked.body]
        return found

    return script


FRESH = b"GET /health HTTP/1.1\r\nhost: localhost\r\n"


async def test_whoever_is_served_at_the_end_is_told(tmp_path: Path) -> None:
    """A begun stream ends with an error event, every other request with a 503.

    New connections are refused meanwhile, and every line of the log is JSON.
    """
    begun: list[Step] = [Send(event_stream() + chunk(tokens("Hello"))), Stall()]
    script = lorax(stream=by_word({b"one": begun, b"two": [Stall()]}), generate=[Stall()])
    log = tmp_path / "log"
    async with ScriptedServer(script) as server:
        with (
            log.open("wb") as stderr,
            started(
                f"--upstream={server.url}", stderr=stderr, LORAX_PROXY_SHUTDOWN_TIMEOUT="0.3"
            ) as running,
        ):
            proxy = Proxy(running.port)
            streamed = await proxy.open("POST", CHAT, chat("one", stream=True))
            await streamed.until(b"Hello")
            silent = await proxy.open("POST", CHAT, chat("two", stream=True))
            whole = await proxy.open("POST", CHAT, chat("three"))
            await server.until_asked("/generate_stream", 2)
            crowd = await proxy.connect()
            await crowd.send(request("POST", CHAT, chat("four")) * 3)
            await server.until_asked("/generate", 2)
            late = await proxy.connect()
            await late.send(FRESH)
            idle = await proxy.open("GET", "/health")
            assert (await idle.reply()).status == 200
            running.process.send_signal(signal.SIGTERM)
            assert await idle.at_end()
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", running.port))
            await late.send(b"\r\n")
            # of those that wait behind another, the first is answered for all
            for connection in (late, silent, whole, crowd, crowd):
                reply = await connection.reply()
                assert reply.status == 503, reply
                assert reply.error["code"] == "shutting_down"
                assert reply.headers["retry-after"] == "1"
            for connection in (late, silent, whole, crowd):
                assert await connection.at_end()
            rest = (await streamed.reader.read()).decode()
            assert '"code":"shutting_down"' in rest
            assert "[DONE]" not in rest
            assert rest.endswith("\r\n0\r\n\r\n")
            assert await asyncio.to_thread(running.process.wait, 30) == 0
            proxy.disconnect()
    told = [line["error"] for line in logged(log) if line["event"] == "request" and "error" in line]
    assert told == ["shutting_down"] * 6


async def test_a_log_that_nobody_reads_does_not_stop_the_proxy() -> None:
    """Its pipe is full after 64 KiB; the requests go on, and the lines that were lost are counted."""
    reading, writing = os.pipe()
    async with ScriptedServer(lorax()) as server:
        with started(f"--upstream={server.url}", stderr=writing) as running:
            os.close(writing)
            proxy = Proxy(running.port)
            connection = await proxy.connect()
            for number in range(300):
                # 2 MB of lines
                await connection.send(request("GET", f"/{number}/{'x' * 7000}"))
                assert (await connection.reply()).status == 404
            metrics = (await proxy.get("/metrics")).body.decode()
            proxy.disconnect()
            assert running.end(signal.SIGTERM) == 0
    os.close(reading)
    (count,) = re.findall(r"^lorax_proxy_log_lines_dropped_total (\S+)", metrics, re.MULTILINE)
    assert 50 < float(count) < 250


LINUX = pytest.mark.skipif(shutil.which("prlimit") is None, reason="prlimit is Linux's")


@LINUX
@pytest.mark.slow
async def test_with_few_files_there_are_few_places(tmp_path: Path) -> None:
    """What is beyond them is refused, so that requests to LoRAX find a file; the rest is served."""
    log = tmp_path / "log"
    async with ScriptedServer(lorax()) as server:
        with (
            log.open("wb") as stderr,
            started(f"--upstream={server.url}", stderr=stderr, files=64) as running,
        ):
            proxy = Proxy(running.port)
            statuses = []
            for connection in [await proxy.connect() for _ in range(60)]:
                with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                    await connection.send(request("GET", "/health"))
                    statuses.append((await connection.reply()).status)
            # 32 places, three quarters of them for one peer
            assert statuses.count(200) == 24
            assert set(statuses) == {200, 503}
            proxy.disconnect()
            assert running.end(signal.SIGTERM) == 0
    warned = [line for line in logged(log) if line["level"] != "info"]
    assert [line["event"] for line in warned] == ["too_many_connections"]


@LINUX
@pytest.mark.slow
async def test_files_that_run_out_are_one_line(tmp_path: Path) -> None:
    """Connections are refused without one each; when there are files again, all is well."""
    log = tmp_path / "log"
    async with ScriptedServer(lorax()) as server:
        with (
            log.open("wb") as stderr,
            started(f"--upstream={server.url}", stderr=stderr, files=64) as running,
        ):
            # fewer than it counts on, as if something else in the process had taken them
            resource.prlimit(running.process.pid, resource.RLIMIT_NOFILE, (18, 64))
            proxy = Proxy(running.port)
            for _ in range(20):
                await proxy.connect()
            while "out_of_file_descriptors" not in log.read_text():  # noqa: ASYNC110 - a file
                await asyncio.sleep(0.05)
            proxy.disconnect()
            resource.prlimit(running.process.pid, resource.RLIMIT_NOFILE, (64, 64))
            assert (await proxy.get("/health")).status == 200
            assert running.end(signal.SIGTERM) == 0
    warned = [line for line in logged(log) if line["level"] != "info"]
    assert [line["event"] for line in warned] == ["out_of_file_descriptors"]


def logged(log: Path) -> list[Any]:
    """The lines of a log, each a document."""
    return [json.loads(line) for line in log.read_text().splitlines()]
