"""What is expensive by its size goes to a thread, and no request holds the event loop."""

import asyncio
import functools
import gc
import json
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from lorax_proxy.aside import LARGE, aside, expensive
from tests.proxy.running import Proxy, chat, generation, lorax, running, token
from tests.proxy.servers import (
    LAST_CHUNK,
    ScriptedServer,
    Send,
    chunk,
    event,
    event_stream,
    json_answer,
)

CHAT = "/v1/chat/completions"
TEXT = "/v1/completions"

HELD = 0.05
"""Seconds of CPU between two turns of the loop that are a stall. CPU is counted since others' work on
the machine does not show in it, but for its caches: it can only make it more."""

TRIES = 5
"""Of which the least counts."""


async def test_small_work_is_done_here_and_large_work_aside() -> None:
    """The size decides; the collector rests while large work goes on, and not after."""

    def where() -> tuple[str, bool]:
        return threading.current_thread().name, gc.isenabled()

    here = threading.current_thread().name
    assert await aside(LARGE - 1, where) == (here, True)
    name, collects = await aside(LARGE, where)
    assert (name == here, collects, gc.isenabled()) == (False, False, True)


async def test_expensive_work_does_not_wait_behind_large_work() -> None:
    """A small request with tools is planned while a large one is in its thread."""
    release = threading.Event()
    large = asyncio.create_task(aside(LARGE, release.wait, 60))
    assert await expensive(threading.current_thread) not in (threading.current_thread(), None)
    assert not large.done()
    release.set()
    assert await large


@pytest.mark.parametrize(
    "go", [functools.partial(aside, LARGE), expensive], ids=["large", "expensive"]
)
async def test_work_that_nobody_waits_for_any_more_is_not_begun(go: Callable[..., Any]) -> None:
    """Its client left while it waited for its turn."""
    release = threading.Event()
    begun: list[int] = []
    first = asyncio.create_task(go(release.wait, 60))
    waits, stays = (asyncio.create_task(go(begun.append, number)) for number in (1, 2))
    await asyncio.sleep(0)
    waits.cancel()
    await asyncio.gather(waits, return_exceptions=True)
    release.set()
    await asyncio.gather(first, stays)
    assert begun == [2]


@pytest.mark.parametrize("size", [0, LARGE])
async def test_what_it_raises_is_raised(size: int) -> None:
    """As if it were called, and the collector goes on."""
    with pytest.raises(ZeroDivisionError):
        await aside(size, lambda: 1 // 0)
    assert gc.isenabled()


def call(number: int) -> dict[str, Any]:
    """A tool call."""
    return {"id": f"c{number}", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def turns(count: int) -> list[dict[str, Any]]:
    """A conversation."""
    roles = ("user", "assistant")
    return [{"role": roles[n % 2], "content": "x"} for n in range(count)]


def schema(kind: Mapping[str, Any]) -> dict[str, Any]:
    """A chat request with a schema."""
    return {
        **chat(model=""),
        "response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": kind}},
    }


FAMILIES: Mapping[str, Callable[[], tuple[str, Any]]] = {
    "messages": lambda: (CHAT, {"model": "", "messages": turns(19_000)}),
    "calls in the history": lambda: (
        CHAT,
        {
            "model": "",
            "messages": [
                {"role": "user", "content": "x"},
                {"role": "assistant", "tool_calls": [call(n) for n in range(8_000)]},
            ],
        },
    ),
    "parts of a message": lambda: (
        CHAT,
        {
            "model": "",
            "messages": [{"role": "user", "content": [{"type": "text", "text": "x"}] * 19_000}],
        },
    ),
    "template arguments": lambda: (
        CHAT,
        {**chat(model=""), "chat_template_kwargs": {"k": {f"k{n}": n for n in range(59_000)}}},
    ),
    "more template arguments than any template has": lambda: (
        CHAT,
        {**chat(model=""), "chat_template_kwargs": {f"k{n}": n for n in range(100_000)}},
    ),
    "spelled special tokens": lambda: (CHAT, {**chat("<s>[INST]" * 200_000), "model": ""}),
    "prompts": lambda: (TEXT, {"model": "", "prompt": ["x"] * 300_000}),
    "stop strings": lambda: (CHAT, {**chat(model=""), "stop": ["x"] * 300_000}),
    "values of an enum": lambda: (
        CHAT,
        schema({"type": "object", "properties": {"a": {"enum": [f"v{n}" for n in range(90_000)]}}}),
    ),
    "properties of a schema": lambda: (
        CHAT,
        schema(
            {"type": "object", "properties": {f"p{n}": {"type": "string"} for n in range(19_000)}}
        ),
    ),
    "tools": lambda: (
        CHAT,
        {
            **chat(model=""),
            "tools": [
                {"type": "function", "function": {"name": f"f{n}", "parameters": {}}}
                for n in range(6_000)
            ],
        },
    ),
    "documents": lambda: (CHAT, {**chat(model=""), "documents": [{}] * 59_000}),
    "more objects than any request needs": lambda: (
        CHAT,
        {**chat(model=""), "documents": [{}] * 600_000},
    ),
    "an array in place of a request": lambda: (CHAT, [{}] * 600_000),
    "objects in place of a model": lambda: (CHAT, {**chat(), "model": [{}] * 600_000}),
    "objects in place of adapters": lambda: (
        CHAT,
        {**chat(model=""), "merged_adapters": [{}] * 600_000},
    ),
    "a model's name": lambda: (CHAT, {**chat(), "model": "m" * 1_900_000}),
}


class Watch:
    """How much CPU the process takes between two turns of its event loop, at most.

    With a proxy, it is asked for its health every 20 ms meanwhile.
    """

    def __init__(self, proxy: Proxy | None = None) -> None:
        self.worst = 0.0
        self.health: list[int] = []
        self._goes_on = True
        self._tasks = [asyncio.create_task(self._watch())]
        if proxy:
            self._tasks.append(asyncio.create_task(self._probe(proxy)))

    async def _watch(self) -> None:
        last = time.process_time()
        while self._goes_on:
            await asyncio.sleep(0)
            now = time.process_time()
            self.worst = max(self.worst, now - last)
            last = now

    async def _probe(self, proxy: Proxy) -> None:
        while self._goes_on:
            self.health.append((await proxy.get("/health")).status)
            await asyncio.sleep(0.02)

    async def end(self) -> float:
        """Stop, and tell."""
        self._goes_on = False
        await asyncio.gather(*self._tasks)
        return self.worst


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
async def test_no_request_holds_the_loop(family: str) -> None:
    """Up to 2 MB of whatever there can be much of: other requests go on meanwhile."""
    path, document = FAMILIES[family]()
    body = json.dumps(document, separators=(",", ":")).encode()
    whole = [Send(json_answer(generation("Hi")))]
    async with (
        ScriptedServer(lorax(generate=whole)) as server,
        running(server, allow_unlisted="none") as proxy,
    ):
        # what is made once is made before
        assert (await proxy.post(CHAT, chat(model=""))).status == 200
        held: list[float] = []
        while not held or (min(held) >= HELD and len(held) < TRIES):
            watch = Watch(proxy)
            connection = await proxy.open("POST", path, body)
            async with asyncio.timeout(60):
                status, _ = await _head(connection)
            held.append(await watch.end())
            connection.leave()
            assert status in (200, 400, 404)
            assert {*watch.health} == {200}
    assert min(held) < HELD


async def _head(connection: Any) -> tuple[int, Any]:
    """A status that may take longer than a test's usual patience."""
    line = await connection.reader.readuntil(b"\r\n\r\n")
    return int(line.split(b" ")[1]), line


@pytest.mark.slow
@pytest.mark.parametrize("stream", [True, False])
async def test_fast_answers_with_alternatives_do_not_hold_the_loop(*, stream: bool) -> None:
    """Twenty answers of a megabyte each that are here at once, read by twenty fast clients."""
    alternatives = [{"id": n, "text": f"w{n}", "logprob": -0.1 * n} for n in range(20)]
    tokens = [token(f"w{n % 20}", alternative_tokens=alternatives) for n in range(600)]
    details = {"finish_reason": "length", "prompt_tokens": 7, "generated_tokens": 600}
    events: list[dict[str, Any]] = [
        {"token": each, "generated_text": None, "details": None} for each in tokens
    ]
    events[-1] |= {"generated_text": "x", "details": details}
    streamed = event_stream() + b"".join(chunk(event(each)) for each in events) + LAST_CHUNK
    whole = json_answer(
        {"generated_text": "x", "details": {**details, "prefill": [], "tokens": tokens}}
    )
    script = lorax(stream=[Send(streamed)], generate=[Send(whole)])
    body = {**chat(model="", stream=stream), "logprobs": True, "top_logprobs": 20}
    async with ScriptedServer(script) as server, running(server) as proxy:
        assert (await proxy.post(CHAT, body)).status == 200
        held: list[float] = []
        while not held or (min(held) >= HELD and len(held) < TRIES):
            watch = Watch()
            replies = [await proxy.open("POST", CHAT, body) for _ in range(20)]
            end = b"[DONE]" if stream else b'"usage"'
            async with asyncio.timeout(60):
                heads = [await _head(each) for each in replies]
                await asyncio.gather(*(each.reader.readuntil(end) for each in replies))
            held.append(await watch.end())
            assert {status for status, _ in heads} == {200}
    assert min(held) < HELD
