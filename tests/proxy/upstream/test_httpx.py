"""The httpx transport on real sockets: what it maps, what it tries again, and what it never does."""


import pytest

from lorax_proxy.core.failures import Lost
from lorax_proxy.errors import UpstreamError
from lorax_proxy.upstream.httpx import HttpxTransport
from lorax_proxy.upstream.transport import read_all
from tests.proxy.servers import (
    LAST_CHUNK,
    Hold,
    ScriptedServer,
    Send,
    Stall,
    chunk,
    event_stream,
    in_order,
    json_answer,
    refusing_port,
)

SILENCE = 10.0


def transport(url: str, *, retries: int = 2, connect_timeout: float = 5.0) -> HttpxTransport:
    """A transport as the program makes it."""
    return HttpxTransport(url, connect_timeout=connect_timeout, connect_retries=retries)


async def test_a_request_arrives_as_json_with_nothing_but_our_headers() -> None:
    """The upstream sees the path, the body and its type, and no header of a client's."""
    async with ScriptedServer(in_order([Send(json_answer({"a": 1}, x_y="z"))])) as server:
        client = transport(server.url)
        exchange = await client.send("POST", "/generate", b'{"inputs":"x"}', silence=SILENCE)
        assert exchange.status == 200
        assert ("x-y", "z") in exchange.headers
        assert await read_all(exchange) == b'{"a": 1}'
        await exchange.close()
        await client.aclose()
        (request,) = server.requests
        assert (request.method, request.path) == ("POST", "/generate")
        assert request.body == b'{"inputs":"x"}'
        assert request.headers["content-type"] == "application/json"
        assert "authorization" not in request.headers
        assert request.headers["accept-encoding"] == "identity"


async def test_bytes_arrive_as_they_come() -> None:
    """A stream is read piece by piece, while the server is still waiting to go on."""
    hold = Hold()
    steps = [Send(event_stream() + chunk(b"one")), hold, Send(chunk(b"two") + LAST_CHUNK)]
    async with ScriptedServer(in_order(steps)) as server:
        client = transport(server.url)
        exchange = await client.send("POST", "/generate_stream", b"{}", silence=SILENCE)
        assert await exchange.read() == b"one"
        hold.gate.set()
        assert await exchange.read() == b"two"
        assert await exchange.read() == b""
        assert await exchange.read() == b""
        await exchange.close()
        await exchange.close()
        await client.aclose()


async def test_closing_early_ends_the_request() -> None:
    """Closing an exchange is how LoRAX learns that nobody waits any more."""
    async with ScriptedServer(in_order([Send(event_stream() + chunk(b"one")), Stall()])) as server:
        client = transport(server.url)
        exchange = await client.send("POST", "/generate_stream", b"{}", silence=SILENCE)
        assert await exchange.read() == b"one"
        await exchange.close()
        await server.client_left()
        await client.aclose()


async def test_a_refused_connection_is_unreachable() -> None:
    """Nobody listens: the client is told so, not left to wait."""
    with refusing_port() as port:
        client = transport(f"http://127.0.0.1:{port}")
        with pytest.raises(UpstreamError) as caught:
            await client.send("GET", "/info", silence=SILENCE)
        assert caught.value.failure is Lost.UNREACHABLE
        await client.aclose()
