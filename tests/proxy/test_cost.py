"""What a request and a token cost, counted in calls: the same on every machine, however busy.

A call is one of Python's, or of C's from Python, as the profiler counts them, from the bytes that a client
sent to those that it gets, LoRAX's bytes between; the event loop and the kernel are left out. What a request
costs is mostly calls, so that work which comes back on the way shows here, and noise does not. The bounds
are what was counted with CPython 3.11 and 3.13, and a tenth more; docs/performance.md has the times.

Who makes something cheaper lowers its bound; who needs more raises it, and says in the commit for what.
"""

import asyncio
import cProfile
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any

import pytest
import uvicorn
import uvloop
from uvicorn.server import ServerState

from lorax_proxy.app import create_app
from lorax_proxy.config import UpstreamSettings
from lorax_proxy.config_limits import ClientLimits
from lorax_proxy.door import Door
from lorax_proxy.http1 import Connection
from lorax_proxy.observe import Observer
from lorax_proxy.upstream.connection import Connection as UpstreamConnection
from lorax_proxy.upstream.direct import DirectTransport
from lorax_proxy.upstream.turns import Turns
from tests.proxy.running import INFO, final, generation, request, settings_for, token
from tests.proxy.servers import LAST_CHUNK, chunk, event, event_stream, json_answer

MESSAGES = [
    {"role": "system", "content": "You are a helpful assistant that answers briefly."},
    {"role": "user", "content": "Write a story about a quick brown fox who meets a lazy dog."},
]
EXTRAS: dict[str, Any] = {
    "logprobs": True,
    "top_logprobs": 2,
    "stop": ["never"],
    "stream_options": {"include_usage": True},
}

SETTLED = 20
"""Turns of the loop in which a stream's beginning is over, whatever it takes."""


class Wire(asyncio.Transport):
    """A connection in memory: what is written to it, and whoever wants to know that."""

    def __init__(self, written: Callable[[bytes], None]) -> None:
        super().__init__()
        self._written = written

    def write(self, data: Any) -> None:
        """Hand it over."""
        self._written(data)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """An address for whoever asks for one."""
        return ("127.0.0.1", 1) if name.endswith("name") else default

    def is_closing(self) -> bool:
        """Never."""
        return False

    def close(self) -> None:
        """Nothing is there to be closed."""

    abort = pause_reading = resume_reading = close


def upstream(answer: Sequence[bytes]) -> Callable[[UpstreamSettings], DirectTransport]:
    """A transport with a connection in memory, on which each read of an answer has its own turn."""

    def opened(_settings: UpstreamSettings) -> DirectTransport:
        loop = asyncio.get_running_loop()
        transport = DirectTransport("http://lorax", connect_timeout=1, connect_retries=0)
        connection = UpstreamConnection(loop, transport.forget, Turns(loop))

        def asked(data: bytes) -> None:
            path = data.split(b" ", 2)[1]
            if path == b"/info":
                reads: Sequence[bytes] = [json_answer(INFO)]
            elif path == b"/tokenize":
                reads = [json_answer([{"id": 1, "text": "a"}])]
            else:
                reads = answer
            waiting = iter([reads[0], *[b""] * (SETTLED if reads[1:] else 0), *reads[1:]])

            def read() -> None:
                data = next(waiting, None)
                if data is not None:
                    if data:
                        connection.data_received(data)
                    loop.call_soon(read)

            loop.call_soon(read)

        connection.connection_made(Wire(asked))
        transport.keep(connection)
        return transport

    return opened


class Page(Enum):
    """The inspector's page."""

    OFF = "the server has none"
    CLOSED = "nobody looks"
    OPEN = "somebody looks"


def calls(answer: Sequence[bytes], page: Page = Page.OFF, **parameters: object) -> int:
    """How many calls one chat request takes, once the proxy has answered some."""
    asked = {"model": INFO["model_id"], "messages": MESSAGES, "max_tokens": 64, "top_p": 0.9}
    data = request("POST", "/v1/chat/completions", {**asked, "temperature": 0.7, **parameters})
    end = b"0\r\n\r\n" if parameters.get("stream") else b"}"

    async def count() -> int:
        settings = settings_for(
            upstream=[UpstreamSettings(url="http://lorax")],
            inspector=page is not Page.OFF,
            inspector_texts=True,
        )
        app = create_app(settings, open_transport=upstream(answer))
        config = uvicorn.Config(
            app, ws="none", log_config=None, lifespan="off", proxy_headers=False
        )
        config.load()
        door = Door(ClientLimits(), Observer("error"))
        connection = Connection(door, config, ServerState(), {})
        complete = asyncio.Event()
        received: list[bytes] = []

        def take(written: bytes) -> None:
            received.append(written)
            if written.endswith(end):
                complete.set()

        connection.connection_made(Wire(take))
        looking = Connection(door, config, ServerState(), {})
        if page is Page.OPEN:
            looking.connection_made(Wire(lambda _written: None))
            looking.data_received(request("GET", "/_inspector/events"))
        profile = cProfile.Profile()
        for turn in range(4):
            complete.clear()
            received.clear()
            if turn == 3:
                profile.enable()
            connection.data_received(data)
            await complete.wait()
            # what is left of the answer's task
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        profile.disable()
        assert received[0].startswith(b"HTTP/1.1 200 ")
        connection.connection_lost(None)
        if page is Page.OPEN:
            looking.connection_lost(None)
            await asyncio.sleep(0)
        return sum(entry.callcount for entry in profile.getstats())

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(count())


def stream(count: int, **more: Any) -> list[bytes]:
    """A stream of so many tokens, each in a read of its own."""
    events = [
        event({"token": token(" word", **more), "generated_text": None, "details": None})
        for _ in range(count)
    ]
    return [
        event_stream() + chunk(events[0]),
        *map(chunk, events[1:]),
        chunk(final("</s>", count=count + 1)) + LAST_CHUNK,
    ]


def a_plain_request() -> int:
    """The calls of a request that is answered whole."""
    return calls([json_answer(generation(*[" word"] * 63))])


def a_stream() -> int:
    """The calls of a stream of one token."""
    return calls(stream(1), stream=True)


def an_event() -> int:
    """The calls of one more token of a stream."""
    return (calls(stream(110), stream=True) - calls(stream(10), stream=True)) // 100


def a_watched_stream() -> int:
    """The calls of a stream of one token while the inspector's page is open."""
    return calls(stream(1), Page.OPEN, stream=True)


def a_watched_event() -> int:
    """The calls of one more."""
    long, short = (calls(stream(count), Page.OPEN, stream=True) for count in (110, 10))
    return (long - short) // 100


def an_event_with_everything() -> int:
    """The calls of one more with log probabilities, a stop string and usage."""
    top = [{"id": 2, "text": " other", "logprob": -1.5}, {"id": 3, "text": "s", "logprob": -2.5}]
    long, short = (stream(count, alternative_tokens=top) for count in (110, 10))
    return (calls(long, stream=True, **EXTRAS) - calls(short, stream=True, **EXTRAS)) // 100


@pytest.mark.parametrize(
    ("cost", "bound"),
    [
        (a_plain_request, 615),
        (a_stream, 790),
        (an_event, 45),
        (an_event_with_everything, 74),
        (a_watched_stream, 985),
        (a_watched_event, 72),
    ],
)
def test_nothing_takes_more_calls_than_it_did(cost: Callable[[], int], bound: int) -> None:
    """Nor far fewer, or its bound holds nothing any more."""
    assert bound * 0.6 < cost() <= bound


def test_a_page_that_nobody_looks_at_costs_no_call() -> None:
    """The inspector is there, and closed."""
    for answer, streamed in ([json_answer(generation(" word"))], False), (stream(9), True):
        # the least of three: at the turn of a second the time of day is worked out, which takes two more
        off, closed = (
            min(calls(answer, page, stream=streamed) for _ in range(3))
            for page in (Page.OFF, Page.CLOSED)
        )
        assert closed == off
