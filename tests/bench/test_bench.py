"""`make bench`: its client's honesty, its table and picture, and every contender once."""

import asyncio
import xml.etree.ElementTree as ET
from collections.abc import Sequence

import pytest

from tests.bench.__main__ import measure
from tests.bench.client import Load
from tests.bench.contenders import running
from tests.bench.report import Measured, picture, table

HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


def chunked(*pieces: bytes) -> bytes:
    """A body in chunks, cut as given."""
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in [*pieces, b""])


async def answered(answers: Sequence[bytes], events: range, *, hangs_up: bool = False) -> Load:
    """A load of one connection that gets these answers in order, byte for byte, and then none."""
    done = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            await reader.readexactly(4)
            for place in range(len(answer)):
                writer.write(answer[place : place + 1])
                await asyncio.sleep(0)
        if not hangs_up:
            await reader.read(4)
        writer.close()
        done.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        load = Load("127.0.0.1", server.sockets[0].getsockname()[1], b"ask\n", events)
        await load.start(1, 0.0)
        await done.wait()
        while hangs_up and not load.counts.wrong:  # noqa: ASYNC110 - the loop tells it soon
            await asyncio.sleep(0)
        load.stop()
    return load


async def test_events_are_counted_wherever_they_are_cut() -> None:
    """Also where a chunk ends in the middle of one, as nginx cuts them."""
    stream = HEAD + chunked(b'data: {"a":1}\n\nda', b'ta: {"b"', b":2}\n\n", b"data: [DONE]\n\n")
    load = await answered([stream, stream], range(2, 3))
    counts = load.counts
    assert (counts.answers, counts.events, counts.wrong) == (2, 4, 0)


@pytest.mark.parametrize(
    "answer",
    [
        HEAD + chunked(b'data: {"a":1}\n\n'),
        b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n",
    ],
)
async def test_a_wrong_answer_is_no_fast_one(answer: bytes) -> None:
    """Too few events, or another status, are counted as wrong, and nothing more is asked."""
    counts = (await answered([answer], range(2, 3))).counts
    assert (counts.answers, counts.wrong) == (0, 1)


async def test_a_connection_that_is_lost_is_wrong() -> None:
    """A server that hangs up in the middle has answered nothing."""
    half = (HEAD + chunked(b'data: {"a":1}\n\n'))[:-9]
    counts = (await answered([half], range(1, 2), hangs_up=True)).counts
    assert (counts.answers, counts.wrong) == (0, 1)


async def test_a_whole_answer_ends_with_its_length() -> None:
    """It has no events, and the next is asked at once."""
    counts = (await answered([WHOLE, WHOLE], range(1))).counts
    assert (counts.answers, counts.events, counts.wrong) == (2, 0, 0)


def test_the_table_compares_medians_with_nginx() -> None:
    """A row for each, with what it varied by; and no ratio where there is no nginx."""
    slow = [Measured(micros, 10.0, 0.5) for micros in (30.0, 10.0, 20.0)]
    results = {("a", "nginx"): [Measured(5.0, 100.0, 0.1)], ("a", "lorax-proxy"): slow}
    assert table(results)[2:] == [
        "| a | nginx | 5.0 us | 5.0 to 5.0 | 1.0x | 100 | 10% |",
        "| a | lorax-proxy | 20.0 us | 10.0 to 30.0 | 4.0x | 10 | 50% |",
    ]
    assert "| - | 10 |" in table({("a", "lorax-proxy"): slow})[2]


def test_the_picture_has_a_bar_for_each() -> None:
    """It is XML, and within a scenario the longest bar is the dearest one's."""
    results = {
        ("a", "nginx"): [Measured(5.0, 1.0, 0.1)],
        ("a", "lorax-proxy"): [Measured(20.0, 1.0, 0.1)],
        ("b", "lorax-proxy"): [Measured(1.0, 1.0, 0.1)],
    }
    root = ET.fromstring(picture(results))  # noqa: S314 - we have just written it
    _, *bars = [each for each in root if each.tag.endswith("rect")]
    assert [float(bar.attrib["width"]) for bar in bars] == [105.0, 420.0, 420.0]


@pytest.mark.slow
async def test_every_contender_answers_what_it_is_asked() -> None:
    """Each gives answers that the client takes for right, and takes processor time for them."""
    with running(paced=False) as setup:
        assert [one.name for one in setup.contenders][-2:] == ["lorax-proxy", "lorax-proxy, all on"]
        for one in setup.contenders:
            for events, request in ((True, one.stream), (False, one.whole)):
                if request is not None:
                    measured = await measure(one, request, 4, events=events, warm=0.05, take=0.2)
                    assert measured.rate > 0
