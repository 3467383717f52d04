"""One request and its answer without a socket: what test_hyper.py cannot see on one."""

import asyncio
from typing import Any

import pytest

from lorax_mock.http.cycle import AHEAD, STATUS_LINES, Cycle
from lorax_mock.http.heads import read_head

_START: dict[str, Any] = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-length", b"3"), (b"vary", b"a")],
}


class _Connection:
    """Keeps what it is told."""

    transport = asyncio.Transport()
    behind = False

    def __init__(self) -> None:
        self.written = b""
        self.told: list[str] = []

    def write(self, data: bytes) -> None:
        self.written += data

    async def writable(self) -> None:
        return

    def dated(self) -> bytes:
        return b"date: now\r\n"

    def hold(self) -> None:
        self.told.append("hold")

    def go_on(self) -> None:
        self.told.append("go on")

    def ended(self, cycle: Cycle) -> None:
        self.told.append("ended")


def _cycle(head: bytes = b"GET / HTTP/1.1\r\n") -> tuple[Cycle, _Connection]:
    read = read_head(head + b"\r\n", 0)
    assert read is not None
    connection = _Connection()
    return Cycle(connection, read[0], {"http_version": read[0].version}), connection


async def test_a_body_is_as_long_as_it_was_told() -> None:
    """An answer that is longer or shorter than its header raises, and nothing of the excess is written."""
    cycle, connection = _cycle()
    await cycle.send(_START)
    with pytest.raises(RuntimeError, match="longer"):
        await cycle.send({"type": "http.response.body", "body": b"abcd"})
    with pytest.raises(RuntimeError, match="shorter"):
        await cycle.send({"type": "http.response.body", "body": b"ab"})
    assert connection.written.endswith(b"vary: a\r\ndate: now\r\n\r\nab")
    assert connection.told == []


async def test_frames_are_what_chunks_would_be() -> None:
    """Chunks of a stream may be written at once, in the same bytes, while the client keeps up and stays."""
    cycle, connection = _cycle()
    assert cycle.outlet() is None
    await cycle.send({**_START, "headers": []})
    outlet = cycle.outlet()
    assert outlet is not None
    start = len(connection.written)
    assert outlet.offer(outlet.frame(b"ab") + outlet.frame(b"c" * 17))
    offered = connection.written[start:]
    for chunk in (b"ab", b"c" * 17):
        await cycle.send({"type": "http.response.body", "body": chunk, "more_body": True})
    assert connection.written[start:] == offered * 2 == b"2\r\nab\r\n11\r\n%b\r\n" % (b"c" * 17) * 2
    # what is remembered of frames is small, whatever was sent
    big = bytes(2**20)
    assert outlet.frame(big) is not outlet.frame(big)
    assert outlet.frame(b"ab") is outlet.frame(b"ab")
    cycle.behind = True
    assert not outlet.offer(b"x")
    cycle.behind = False
    cycle.leave()
    assert not outlet.offer(b"x")
    assert connection.written[start:] == offered * 2


@pytest.mark.parametrize("head", [b"HEAD / HTTP/1.1\r\n", b"GET / HTTP/1.0\r\n"])
async def test_what_is_not_chunked_has_no_frames(head: bytes) -> None:
    """Neither a body that is not sent nor one that ends with its connection is written in frames."""
    cycle, _ = _cycle(head)
    await cycle.send({**_START, "headers": []})
    assert cycle.outlet() is None


async def test_parts_come_in_their_order() -> None:
    """A body before the head, or anything behind the end, raises."""
    cycle, _ = _cycle()
    part = {"type": "http.response.body", "body": b"abc"}
    with pytest.raises(RuntimeError, match="no place"):
        await cycle.send(part)
    await cycle.send(_START)
    await cycle.send(part)
    with pytest.raises(RuntimeError, match="no place"):
        await cycle.send(part)


async def test_an_application_that_failed_is_a_500() -> None:
    """A failed application is a 500 if no answer has begun, and silence otherwise."""
    cycle, connection = _cycle()
    cycle.fail()
    assert connection.written.startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
    assert b"connection: close\r\n" in connection.written
    assert connection.told == ["ended"]
    begun, connection = _cycle()
    await begun.send(_START)
    before = connection.written
    begun.fail()
    assert connection.written == before


async def test_a_client_that_left_is_written_nothing() -> None:
    """Nothing is written to a client that left, and whoever reads its body is told."""
    cycle, connection = _cycle()
    assert (await cycle.receive())["type"] == "http.request"
    waiting = asyncio.ensure_future(cycle.receive())
    await asyncio.sleep(0)
    cycle.leave()
    assert (await waiting)["type"] == "http.disconnect"
    await cycle.send(_START)
    assert connection.written == b""


async def test_a_body_waits_for_its_reader() -> None:
    """The connection is not read beyond a limit until the application asks for more of the body."""
    cycle, connection = _cycle(b"POST / HTTP/1.1\r\ncontent-length: 200000\r\n")
    cycle.take(b"a" * (AHEAD + 1), last=False)
    assert connection.told == ["hold"]
    assert len((await cycle.receive())["body"]) == AHEAD + 1
    waiting = asyncio.ensure_future(cycle.receive())
    await asyncio.sleep(0)
    assert connection.told == ["hold", "go on"]
    cycle.take(b"b", last=True)
    assert await waiting == {"type": "http.request", "body": b"b", "more_body": False}


async def test_204_has_no_length_and_no_body() -> None:
    """Answers with 204 and 304 have neither length nor body."""
    cycle, connection = _cycle()
    headers = [(b"content-length", b"0")]
    await cycle.send({"type": "http.response.start", "status": 204, "headers": headers})
    await cycle.send({"type": "http.response.body", "body": b""})
    assert connection.written == b"HTTP/1.1 204 No Content\r\ndate: now\r\n\r\n"


def test_every_status_has_its_reason() -> None:
    """Reasons are those of the crate http, and empty where it has none."""
    assert STATUS_LINES["1.1", 413] == b"HTTP/1.1 413 Payload Too Large\r\n"
    assert STATUS_LINES["1.0", 422] == b"HTTP/1.0 422 Unprocessable Entity\r\n"
    assert STATUS_LINES["1.1", 599] == b"HTTP/1.1 599 <none>\r\n"
