"""Requests that are ended, or kept, when their client leaves, on real sockets."""

from collections.abc import Sequence
from typing import Any

import pytest

from tests.proxy.running import (
    Proxy,
    chat,
    ended,
    generation,
    lorax,
    running,
    tokens,
)
from tests.proxy.servers import (
    Fin,
    Hold,
    ScriptedServer,
    Send,
    Stall,
    Step,
    chunk,
    event_stream,
    in_order,
    json_answer,
)

CHAT = "/v1/chat/completions"
TEXT = "/v1/completions"
COLD = "someone/adapter"


def per_seed(first: Sequence[Step], second: Sequence[Step], base: int = 0) -> Any:
    """A script that answers the request with seed `base` by one stream, the other by another."""
    return lambda request: first if request.json()["parameters"]["seed"] == base else second


STREAMS: list[tuple[str, list[Step]]] = [
    ("no headers", [Stall()]),
    ("no event", [Send(event_stream()), Stall()]),
    ("comments", [Send(event_stream() + chunk(b":\n\n")), Stall()]),
    ("a token", [Send(event_stream() + chunk(tokens("a"))), Stall()]),
]


@pytest.mark.parametrize("steps", [s for _, s in STREAMS], ids=[n for n, _ in STREAMS])
@pytest.mark.parametrize("extra", [{"stream": True}, {"stop": "x"}], ids=["stream", "folded"])
async def test_a_client_that_leaves_the_base_model_ends_its_request(
    steps: Sequence[Step], extra: dict[str, Any]
) -> None:
    """Before the headers, before the first event, in a silence: LoRAX is left at once."""
    async with ScriptedServer(lorax(stream=steps)) as server, running(server) as proxy:
        connection = await proxy.open("POST", CHAT, chat(**extra))
        request = await server.until_asked("/generate_stream")
        if "stream" in extra and steps is STREAMS[-1][1]:
            await connection.until(b'"a"')
        connection.leave()
        await server.client_left(request.connection)


async def test_a_client_that_leaves_a_whole_answer_ends_its_request() -> None:
    """Also while /generate has not said a word."""
    async with ScriptedServer(lorax(generate=[Stall()])) as server, running(server) as proxy:
        connection = await proxy.open("POST", CHAT, chat())
        request = await server.until_asked("/generate")
        connection.leave()
        await server.client_left(request.connection)


@pytest.mark.parametrize("stream", [True, False])
async def test_a_client_that_leaves_ends_every_choice(*, stream: bool) -> None:
    """n=2: both LoRAX requests are ended, though one has begun and one has not."""
    begun: list[Step] = [Send(event_stream() + chunk(tokens("a"))), Stall()]
    script = lorax(stream=per_seed(begun, [Stall()]), generate=[Stall()])
    async with ScriptedServer(script) as server, running(server) as proxy:
        body = chat(n=2, seed=0, temperature=0.9, stream=stream)
        connection = await proxy.open("POST", CHAT, body)
        path = "/generate_stream" if stream else "/generate"
        await server.until_asked(path, 2)
        connection.leave()
        for each in server.asked(path):
            await server.client_left(each.connection)


async def all_gone(proxy: Proxy) -> None:
    """Wait until the proxy answers nobody but us: it has noticed who left."""
    while b"lorax_proxy_active_requests 1.0" not in (await proxy.get("/metrics")).body:
        pass


async def warmed(proxy: Proxy) -> None:
    """Let the adapter produce a token."""
    reply = await proxy.post(CHAT, chat(model=COLD, stream=True))
    assert reply.events[-1] == "[DONE]"


async def test_a_warm_adapter_is_left_at_once() -> None:
    """It has produced a token on this upstream: leaving is safe, and saves the GPU."""
    script = lorax(stream=in_order(ended("a"), [Send(event_stream()), Stall()]))
    async with ScriptedServer(script) as server, running(server) as proxy:
        await warmed(proxy)
        connection = await proxy.open("POST", CHAT, chat(model=COLD, stream=True))
        request = await server.until_asked("/generate_stream", 2)
        connection.leave()
        await server.client_left(request.connection)


async def test_a_cold_adapters_request_outlives_its_client_until_its_first_event() -> None:
    """Leaving during a failing first load kills LoRAX: the request stays, then it is closed."""
    hold = Hold()
    stream: list[Step] = [Send(event_stream()), hold, Send(chunk(tokens("a"))), Stall()]
    async with ScriptedServer(lorax(stream=stream)) as server, running(server) as proxy:
        connection = await proxy.open("POST", CHAT, chat(model=COLD, stream=True))
        request = await server.until_asked("/generate_stream")
        connection.leave()
        await all_gone(proxy)
        before = server.sent
        hold.gate.set()
        await server.client_left(request.connection)
        # the script got to its token: nobody had left before
        assert server.sent == before + len(chunk(tokens("a")))


async def test_a_cold_request_outlives_its_client_even_without_headers() -> None:
    """The client leaves before LoRAX's headers came: the rule is the same."""
    hold = Hold()
    stream: list[Step] = [hold, Send(event_stream() + chunk(tokens("a"))), Stall()]
    async with ScriptedServer(lorax(stream=stream)) as server, running(server) as proxy:
        connection = await proxy.open("POST", CHAT, chat(model=COLD))
        request = await server.until_asked("/generate_stream")
        connection.leave()
        await all_gone(proxy)
        before = server.sent
        hold.gate.set()
        await server.client_left(request.connection)
        assert server.sent > before


async def test_a_drained_token_warms_its_adapter() -> None:
    """What the drain saw counts: the next client of the adapter is let go at once."""
    hold = Hold()
    first: list[Step] = [Send(event_stream()), hold, Send(chunk(tokens("a"))), Stall()]
    script = lorax(stream=first, generate=[Stall()])
    async with ScriptedServer(script) as server, running(server) as proxy:
        connection = await proxy.open("POST", CHAT, chat(model=COLD))
        request = await server.until_asked("/generate_stream")
        connection.leave()
        await all_gone(proxy)
        hold.gate.set()
        await server.client_left(request.connection)
        connection = await proxy.open("POST", CHAT, chat(model=COLD))
        # warm now, so it is asked for whole
        request = await server.until_asked("/generate")
        connection.leave()
        await server.client_left(request.connection)


async def test_a_cold_prompt_that_is_scored_outlives_its_client() -> None:
    """Only /generate scores a prompt, and its connection must not break during a load either."""
    hold = Hold()
    # the proxy closes this connection when it has read the answer, or when it gives up
    scored = json_answer(generation("a"), connection="close")
    script = lorax(
        generate=in_order([hold, Send(scored), Stall()], [Send(json_answer(generation("b")))])
    )
    async with ScriptedServer(script) as server, running(server) as proxy:
        body = {"model": COLD, "prompt": "x", "echo": True, "logprobs": 1}
        connection = await proxy.open("POST", TEXT, body)
        request = await server.until_asked("/generate")
        connection.leave()
        await all_gone(proxy)
        before = server.sent
        hold.gate.set()
        await server.client_left(request.connection)
        assert server.sent == before + len(scored)
        # it answered, so it is warm: the next one is asked for whole
        assert (await proxy.post(CHAT, chat(model=COLD))).status == 200


@pytest.mark.parametrize(
    "settings", [{"on_cold_cancel": "close"}, {"max_drains": 0}], ids=["close", "no room"]
)
async def test_the_cold_rule_can_be_switched_off(settings: dict[str, Any]) -> None:
    """on_cold_cancel=close, or no room for one more: left at once."""
    script = lorax(stream=[Send(event_stream()), Stall()])
    async with ScriptedServer(script) as server, running(server, **settings) as proxy:
        connection = await proxy.open("POST", CHAT, chat(model=COLD, stream=True))
        request = await server.until_asked("/generate_stream")
        connection.leave()
        await server.client_left(request.connection)


async def test_the_requests_that_stay_are_bounded() -> None:
    """With room for one, the second client that leaves takes its LoRAX request along."""
    hold = Hold()
    stays: list[Step] = [Send(event_stream()), hold, Send(chunk(tokens("a"))), Stall()]
    script = lorax(stream=in_order(stays, [Send(event_stream()), Stall()]))
    async with ScriptedServer(script) as server, running(server, max_drains=1) as proxy:
        first = await proxy.open("POST", CHAT, chat(model=COLD, stream=True))
        kept = await server.until_asked("/generate_stream")
        first.leave()
        await all_gone(proxy)
        second = await proxy.open("POST", CHAT, chat(model=COLD, stream=True))
        closed = await server.until_asked("/generate_stream", 2)
        second.leave()
        await server.client_left(closed.connection)
        before = server.sent
        hold.gate.set()
        await server.client_left(kept.connection)
        assert server.sent == before + len(chunk(tokens("a")))


async def test_a_request_that_stays_is_bounded_in_time() -> None:
    """An adapter that never answers is given up after first_event_timeout."""
    script = lorax(stream=[Send(event_stream()), Stall()])
    async with ScriptedServer(script) as server, running(server, first_event_timeout=0.2) as proxy:
        connection = await proxy.open("POST", CHAT, chat(model=COLD, stream=True))
        request = await server.until_asked("/generate_stream")
        connection.leave()
        await server.client_left(request.connection)


async def test_a_lost_connection_makes_adapters_cold_again() -> None:
    """A LoRAX that was lost may have restarted: its adapters are loaded anew, and must be waited for."""
    broken: list[Step] = [Send(event_stream() + chunk(tokens("a"))), Fin()]
    hold = Hold()
    stays: list[Step] = [Send(event_stream()), hold, Send(chunk(tokens("a"))), Stall()]
    script = lorax(stream=in_order(ended("a"), broken, stays))
    async with ScriptedServer(script) as server, running(server) as proxy:
        await warmed(proxy)
        reply = await proxy.post(CHAT, chat(model=COLD, stream=True))
        assert reply.chunks[-1]["error"]["code"] == "upstream_incomplete"
        # not streamed, and yet asked through the stream, as cold adapters are
        connection = await proxy.open("POST", CHAT, chat(model=COLD))
        request = await server.until_asked("/generate_stream", 3)
        connection.leave()
        await all_gone(proxy)
        before = server.sent
        hold.gate.set()
        await server.client_left(request.connection)
        assert server.sent > before
