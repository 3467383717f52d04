"""Events of a stream on their way: at once, or in the stream's own time."""

import asyncio
import json
import socket
import sys
import threading
from collections.abc import MutableMapping
from dataclasses import replace
from types import FrameType
from typing import Any

import pytest
import uvicorn

from lorax_mock.http.axum import Exchange
from lorax_mock.http.hyper import Connection
from lorax_mock.server.app import create_app
from lorax_mock.server.clock import Watch, breathe
from lorax_mock.server.sender import Sender
from lorax_mock.server.ticket import Ticket, Work
from lorax_mock.settings import Costs, Settings
from lorax_mock.shard.jobs import Done, Job
from lorax_mock.wire.native import FinishReason, Generated, Token
from lorax_mock.wire.replies import KEEP_ALIVE
from tests.mock.virtual_time import VirtualLoop, in_virtual_time

_DONE = Done(Job(1, 0.0, "", 1, 4, 4), 0.0, 1.0, 2.0)
_WORK = Work("", 1, 4, 4)
_FOUR = Generated(
    "abcd", FinishReason.LENGTH, 1, None, (), [Token(n, "abcd"[n], -1.0, False) for n in range(4)]
)


def _encode(token: Token, whole: Generated | None) -> bytes:
    return token.text.encode() + (b"" if whole is None else b"!" + whole.text.encode())


class _Server:
    """A server's side of one answer, and a client that may be behind or leave."""

    def __init__(self) -> None:
        self.behind = False
        self.left = asyncio.Event()
        self.writes: list[bytes] = []
        self.sent: list[bytes] = []

    def outlet(self) -> "_Server":
        return self

    def frame(self, chunk: bytes) -> bytes:
        return b"<%b>" % chunk

    def offer(self, frames: bytes) -> bool:
        if not self.behind:
            self.writes.append(frames)
        return not self.behind

    async def receive(self) -> MutableMapping[str, Any]:
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: MutableMapping[str, Any]) -> None:
        self.sent.append(message["body"])


async def _started(
    server: _Server, work: Work = _WORK, *, paced: bool = False
) -> tuple[Ticket, Sender, "asyncio.Task[Generated]"]:
    """A stream of four tokens that waits for its first."""
    exchange = Exchange({"method": "POST", "path": "/"}, server.receive, server.send)
    ticket = Ticket(work)
    sender = Sender(exchange, _FOUR, ticket, _encode)
    task = asyncio.ensure_future(sender.run(Watch(exchange), paced=paced))
    await breathe()
    return ticket, sender, task


async def test_tokens_that_come_together_leave_in_one_write_and_at_once() -> None:
    """Who gives tokens has sent them when it goes on; the last event is the task's."""
    server = _Server()
    ticket, sender, task = await _started(server)
    ticket.advance(1)
    assert (server.writes, sender.sent) == ([b"<a>"], 1)
    ticket.advance(2)
    assert (server.writes, sender.sent) == ([b"<a>", b"<b><c>"], 3)
    ticket.advance(1)
    ticket.end(_DONE)
    assert await task == _FOUR
    assert (server.sent, sender.sent) == ([b"d!abcd"], 4)


async def test_a_client_that_is_behind_gets_the_rest_from_the_task_in_order() -> None:
    """What a client did not take at once is sent by the task, and what comes then at once again."""
    server = _Server()
    ticket, sender, task = await _started(server)
    server.behind = True
    ticket.advance(2)
    assert (server.writes, sender.sent) == ([], 0)
    server.behind = False
    while sender.sent < 2:
        await breathe()
    assert server.sent == [b"a", b"b"]
    await breathe()
    ticket.advance(1)
    assert server.writes == [b"<c>"]
    ticket.advance(1)
    await task
    assert server.sent == [b"a", b"b", b"d!abcd"]


async def test_a_stream_that_its_neighbours_changed_says_what_they_made_of_it() -> None:
    """Once an answer is retold, every event is made anew."""
    other = replace(_FOUR, text="xyzw", tokens=[Token(9, one, None, False) for one in "xyzw"])
    server = _Server()
    ticket, sender, task = await _started(server, Work("", 1, 4, 4, retell=lambda _: other))
    ticket.advance(1)
    ticket.retell()
    ticket.advance(3)
    assert await task == other
    assert (server.writes, server.sent) == ([b"<a>"], [b"y", b"z", b"w!xyzw"])
    assert sender.sent == 4


async def test_a_client_that_left_is_sent_no_more() -> None:
    """A stream ends when its client leaves, and knows how much was sent."""
    server = _Server()
    ticket, sender, task = await _started(server)
    ticket.advance(1)
    server.left.set()
    await task
    ticket.advance(1)
    assert (sender.sent, server.writes, server.sent) == (1, [b"<a>"], [])


@pytest.mark.parametrize("paced", [True, False])
def test_a_paced_stream_breaks_its_silence_and_no_other_does(*, paced: bool) -> None:
    """Axum's comment 15 seconds after the last event, a second late at most; none between events that come, or behind the last."""

    async def main(loop: VirtualLoop) -> None:
        server = _Server()
        moments: list[float] = []
        ticket, _, task = await _started(server, paced=paced)

        def comments() -> int:
            return server.sent.count(KEEP_ALIVE)

        for _ in range(2):  # events at 10 and 20 seconds
            await asyncio.sleep(10)
            ticket.advance(1)
        while loop.time() < 60:
            before = comments()
            await asyncio.sleep(0.5)
            moments += [loop.time()] * (comments() - before)
        ticket.advance(2)
        ticket.end(_DONE)
        await task
        await asyncio.sleep(100)
        assert comments() == len(moments) == (2 if paced else 0)
        for moment, due in zip(moments, (35, 50), strict=False):
            assert due <= moment <= due + 2
        assert server.writes == [b"<a>", b"<b>", b"<c>"]
        assert server.sent[-1] == b"d!abcd"

    in_virtual_time(main)


def _read(address: tuple[str, int], tokens: int, streams: int, into: list[bytes]) -> None:
    """Open streams of so many tokens and read them to their end."""
    parameters = {"max_new_tokens": tokens, "ignore_eos_token": True}
    body = json.dumps({"inputs": "hi", "parameters": parameters}).encode()
    head = b"POST /generate_stream HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    sockets = [socket.create_connection(address, timeout=60) for _ in range(streams)]
    for one in sockets:
        one.sendall(b"%bcontent-length: %d\r\n\r\n%b" % (head, len(body), body))
    for one in sockets:
        with one:
            whole = b""
            while not whole.endswith(b"\r\n0\r\n\r\n"):
                part = one.recv(65_536)
                assert part
                whole += part
        into.append(whole)


async def _calls(tokens: int, streams: int = 16) -> tuple[int, list[bytes]]:
    """Python functions that a paced mock calls for streams of so many tokens, and the streams."""
    settings = Settings(costs=Costs(step=0.0, paced=True))
    config = uvicorn.Config(
        create_app(settings), http=Connection, lifespan="off", log_config=None, loop="none"
    )
    server = uvicorn.Server(config)
    listener = socket.create_server(("127.0.0.1", 0))
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup([listener])
    calls = 0

    def count(_frame: FrameType, event: str, _value: object) -> None:
        nonlocal calls
        calls += event == "call"

    heard: list[bytes] = []
    reader = threading.Thread(
        target=_read, args=(listener.getsockname(), tokens, streams, heard), daemon=True
    )
    # of this thread alone, which is the mock's
    sys.setprofile(count)
    try:
        reader.start()
        await asyncio.to_thread(reader.join)
    finally:
        sys.setprofile(None)
        await server.shutdown([listener])
    assert len(heard) == streams
    return calls, heard


async def test_a_token_costs_a_few_calls_and_every_event_is_a_chunk() -> None:
    """A further token of a paced stream costs a dozen calls at most, and its event is a chunk of its own."""
    short, _ = await _calls(40)
    long, heard = await _calls(240)
    # 8.7 where this was written, and 54 when each token woke a task that sent it
    assert (long - short) / (16 * 200) <= 12
    for stream in heard:
        rest = stream.partition(b"\r\n\r\n")[2]
        chunks: list[bytes] = []
        while True:
            size, _, rest = rest.partition(b"\r\n")
            chunk, rest = rest[: int(size, 16)], rest[int(size, 16) + 2 :]
            if not chunk:
                break
            chunks.append(chunk)
        assert len(chunks) == 240
        assert all(chunk.startswith(b"data: {") and chunk.endswith(b"}\n\n") for chunk in chunks)
