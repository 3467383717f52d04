"""The httpx transport on real sockets: what it maps, what it tries again, and what it never does."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

import httpx
import pytest

from lorax_proxy.errors import Lost, UpstreamError
from lorax_proxy.upstream.httpx import FAILURES, HttpxTransport, translate
from lorax_proxy.upstream.transport import read_all
from tests.proxy.servers import (
    LAST_CHUNK,
    Fin,
    Hold,
    Reset,
    ScriptedServer,
    Send,
    Stall,
    Step,
    answer,
    chunk,
    event_stream,
    head,
    in_order,
    json_answer,
    refusing_port,
)

SILENCE = 10.0
SHORT = 0.05
"""Seconds of silence where a test waits for a time-out."""


async def at_once(_seconds: float) -> None:
    """No pause between connects."""


@contextlib.asynccontextmanager
async def client(
    url: str,
    *,
    retries: int = 2,
    connect_timeout: float = 5.0,
    pause: Callable[[float], Awaitable[None]] = at_once,
) -> AsyncGenerator[HttpxTransport, None]:
    """A transport as the program makes it."""
    transport = HttpxTransport(
        url, connect_timeout=connect_timeout, connect_retries=retries, pause=pause
    )
    try:
        yield transport
    finally:
        await transport.aclose()


async def failure(transport: HttpxTransport, *, silence: float = SILENCE) -> object:
    """How a request fails, whether before its status or in its body."""
    with pytest.raises(UpstreamError) as caught:
        await read_all(await transport.send("POST", "/generate", b"{}", silence=silence))
    return caught.value.failure


async def test_a_request_arrives_as_json_with_nothing_but_our_headers() -> None:
    """The upstream sees the path, the body and its type, and no header of a client's."""
    script = in_order([Send(json_answer({"a": 1}, x_y="z"))])
    async with ScriptedServer(script) as server, client(server.url + "/prefix") as transport:
        response = await transport.send("POST", "/generate", b'{"inputs":"x"}', silence=SILENCE)
        assert response.status == 200
        assert ("x-y", "z") in response.headers
        assert await read_all(response) == b'{"a": 1}'
        await response.close()
        (request,) = server.requests
        assert (request.method, request.path) == ("POST", "/prefix/generate")
        assert request.body == b'{"inputs":"x"}'
        assert set(request.headers) == {
            *("host", "accept", "accept-encoding", "connection", "user-agent"),
            *("content-type", "content-length"),
        }
        assert request.headers["content-type"] == "application/json"
        assert request.headers["accept-encoding"] == "identity"


async def test_bytes_arrive_as_they_come() -> None:
    """A stream is read piece by piece, while the server is still waiting to go on."""
    hold = Hold()
    steps: list[Step] = [
        Send(event_stream() + chunk(b"one")),
        hold,
        Send(chunk(b"two") + LAST_CHUNK),
    ]
    async with ScriptedServer(in_order(steps)) as server, client(server.url) as transport:
        response = await transport.send("POST", "/generate_stream", b"{}", silence=SILENCE)
        assert await response.read() == b"one"
        hold.gate.set()
        assert await response.read() == b"two"
        assert await response.read() == b""
        assert await response.read() == b""
        await response.close()
        await response.close()


async def test_a_connection_is_kept() -> None:
    """Answers that were read to the end leave their connection to the next request."""
    script = in_order(*([Send(json_answer(n))] for n in range(3)))
    async with ScriptedServer(script) as server, client(server.url) as transport:
        for _ in range(3):
            response = await transport.send("GET", "/info", silence=SILENCE)
            await read_all(response)
            await response.close()
        assert (len(server.requests), server.connections) == (3, 1)


async def test_closing_early_ends_the_request() -> None:
    """Closing a response is how LoRAX learns that nobody waits any more."""
    steps: list[Step] = [Send(event_stream() + chunk(b"one")), Stall()]
    async with ScriptedServer(in_order(steps)) as server, client(server.url) as transport:
        response = await transport.send("POST", "/generate_stream", b"{}", silence=SILENCE)
        assert await response.read() == b"one"
        await response.close()
        await server.client_left()


@pytest.mark.parametrize(
    "steps", [[Stall()], [Send(event_stream()), Stall()]], ids=["head", "body"]
)
async def test_a_cancelled_request_is_ended(steps: Sequence[Step]) -> None:
    """A client that leaves cancels its task, wherever it waits: LoRAX is let go at once."""
    async with ScriptedServer(in_order(steps)) as server, client(server.url) as transport:

        async def ask() -> None:
            response = await transport.send("POST", "/generate_stream", b"{}", silence=SILENCE)
            try:
                await response.read()
            finally:
                await response.close()

        task = asyncio.create_task(ask())
        await server.next_request()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await server.client_left()


async def test_more_streams_than_httpx_s_own_limit() -> None:
    """Httpx would hold the hundred and first request back until another ends."""
    many = 120
    steps: list[Step] = [Send(event_stream() + chunk(b"x")), Stall()]
    script = in_order(*(steps for _ in range(many)))
    async with ScriptedServer(script) as server, client(server.url) as transport:
        responses = await asyncio.gather(
            *(transport.send("POST", "/", b"{}", silence=SILENCE) for _ in range(many))
        )
        assert [await response.read() for response in responses] == [b"x"] * many
        await asyncio.gather(*(response.close() for response in responses))


@pytest.mark.parametrize("status", [302, 400, 413, 422, 424, 429, 500, 502, 503])
async def test_a_status_is_an_answer(status: int) -> None:
    """Refusals are read, not repeated, and a redirect is followed nowhere."""
    script = in_order([Send(answer(status, b"why", location="http://127.0.0.1:1/"))])
    async with ScriptedServer(script) as server, client(server.url) as transport:
        response = await transport.send("POST", "/generate", b"{}", silence=SILENCE)
        assert response.status == status
        assert await read_all(response) == b"why"
        await response.close()
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("steps", "lost"),
    [
        ([Fin()], Lost.CUT),
        ([Reset()], Lost.CUT),
        ([Send(b"HTTP/1.1 200 OK\r\ncontent-le"), Fin()], Lost.CUT),
        ([Send(b"HTTP/1.1 200 OK\r\ncontent-le"), Reset()], Lost.CUT),
        ([Send(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"), Fin()], Lost.CUT),
        ([Send(head(200, {"content-length": "10"}) + b"half"), Fin()], Lost.CUT),
        ([Send(event_stream() + chunk(b"one")), Fin()], Lost.CUT),
        ([Send(event_stream() + chunk(b"one")), Reset()], Lost.CUT),
        ([Send(event_stream() + b"5\r\nab"), Fin()], Lost.CUT),
        ([Send(event_stream() + b"zz\r\nab\r\n"), Fin()], Lost.CUT),
    ],
    ids=str,
)
async def test_an_answer_that_breaks_off_is_not_asked_for_again(
    steps: Sequence[Step], lost: Lost
) -> None:
    """LoRAX may have begun to work: on a fresh connection nothing is sent twice."""
    async with ScriptedServer(in_order(steps)) as server, client(server.url) as transport:
        assert await failure(transport) is lost
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    "steps", [[Stall()], [Send(event_stream() + chunk(b"one")), Stall()]], ids=["head", "body"]
)
async def test_silence_is_given_up_and_not_asked_for_again(steps: Sequence[Step]) -> None:
    """After the time that the caller allows, with the connection closed."""
    async with ScriptedServer(in_order(steps)) as server, client(server.url) as transport:
        assert await failure(transport, silence=SHORT) is Lost.IDLE_TIMEOUT
        await server.client_left()
        assert len(server.requests) == 1


@pytest.mark.parametrize("end", [Fin(), Reset()], ids=str)
async def test_a_kept_connection_that_was_closed_is_replaced_once(end: Step) -> None:
    """No byte of an answer came on a reused connection: LoRAX had hung up before it read."""
    script = in_order([Send(json_answer(1))], [end], [Send(json_answer(3))])
    async with ScriptedServer(script) as server, client(server.url) as transport:
        assert await read_all(await transport.send("GET", "/info", silence=SILENCE)) == b"1"
        response = await transport.send("POST", "/generate", b'{"a":1}', silence=SILENCE)
        assert await read_all(response) == b"3"
        await response.close()
        assert [request.connection for request in server.requests] == [0, 0, 1]
        assert server.requests[1].body == server.requests[2].body == b'{"a":1}'


async def test_the_replacement_is_not_replaced() -> None:
    """The second connection was fresh: its failure is the answer."""
    script = in_order([Send(json_answer(1))], [Fin()], [Fin()])
    async with ScriptedServer(script) as server, client(server.url) as transport:
        await read_all(await transport.send("GET", "/info", silence=SILENCE))
        assert await failure(transport) is Lost.CUT
        assert len(server.requests) == 3


async def test_two_stale_connections_are_not_two_more_tries() -> None:
    """Once is once: a second kept connection that was closed too is the end of it."""
    hold = Hold()
    kept: list[Step] = [hold, Send(json_answer(1))]
    async with ScriptedServer(in_order(kept, kept, [Fin()], [Fin()])) as server:
        async with client(server.url) as transport:
            asking = [
                asyncio.create_task(transport.send("GET", "/info", silence=SILENCE))
                for _ in range(2)
            ]
            await server.next_request(2)
            hold.gate.set()
            for task in asking:
                await read_all(await task)
            assert await failure(transport) is Lost.CUT
        assert len(server.requests) == 4
        assert server.connections == 2


async def test_a_body_that_breaks_off_on_a_kept_connection_is_not_repeated() -> None:
    """Bytes of an answer came: the request had reached LoRAX."""
    script = in_order([Send(json_answer(1))], [Send(event_stream() + chunk(b"one")), Reset()])
    async with ScriptedServer(script) as server, client(server.url) as transport:
        await read_all(await transport.send("GET", "/info", silence=SILENCE))
        assert await failure(transport) is Lost.CUT
        assert len(server.requests) == 2


async def test_silence_on_a_kept_connection_is_not_repeated() -> None:
    """A time-out tells nothing of whether the request was read."""
    script = in_order([Send(json_answer(1))], [Stall()])
    async with ScriptedServer(script) as server, client(server.url) as transport:
        await read_all(await transport.send("GET", "/info", silence=SILENCE))
        assert await failure(transport, silence=SHORT) is Lost.IDLE_TIMEOUT
        assert len(server.requests) == 2


@pytest.mark.parametrize("retries", [0, 1, 3])
async def test_a_failed_connect_is_tried_again(retries: int) -> None:
    """As often as the setting says: here the TLS handshake fails, which the server can count."""
    async with ScriptedServer(in_order(), on_connect=lambda _number: [Reset()]) as server:
        url = f"https://127.0.0.1:{server.port}"
        async with client(url, retries=retries) as transport:
            assert await failure(transport) is Lost.UNREACHABLE
            assert server.connections == 1 + retries


async def test_connects_are_spaced_out() -> None:
    """The first is repeated at once, the next ones leave a restarting server some time."""
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    with refusing_port() as port:
        async with client(f"http://127.0.0.1:{port}", retries=3, pause=pause) as transport:
            assert await failure(transport) is Lost.UNREACHABLE
    assert pauses == [0.0, 0.25, 0.5]


async def test_a_server_that_comes_up_between_two_connects_is_reached() -> None:
    """What the retries are for."""
    with refusing_port() as port:
        pass
    server = ScriptedServer(in_order([Send(json_answer(1))]), port=port)

    async def pause(_seconds: float) -> None:
        await server.start()

    async with client(f"http://127.0.0.1:{port}", retries=1, pause=pause) as transport:
        response = await transport.send("GET", "/info", silence=SILENCE)
        assert await read_all(response) == b"1"
        await response.close()
    await server.aclose()


async def test_a_connect_that_nobody_answers_times_out() -> None:
    """A full backlog drops what knocks: the time-out for connections applies, not the other."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as deaf, contextlib.ExitStack() as stack:
        for _ in range(4):
            knocking = stack.enter_context(socket.socket())
            knocking.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                knocking.connect(deaf.getsockname())
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        async with client(url, retries=1, connect_timeout=SHORT) as transport:
            assert await failure(transport) is Lost.CONNECT_TIMEOUT


async def test_the_environment_s_proxy_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where prompts go is decided by the settings alone."""
    for name in ("HTTP_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    script = in_order([Send(json_answer(1))])
    async with ScriptedServer(script) as server, client(server.url) as transport:
        assert await read_all(await transport.send("GET", "/info", silence=SILENCE)) == b"1"


NEVER_RAISED = {
    httpx.HTTPStatusError: "by `raise_for_status`, which nobody calls",
    httpx.CookieConflict: "by looking a cookie up, which nobody does",
}


def _tree(root: type[Exception]) -> set[type[Exception]]:
    return {root}.union(*(_tree(child) for child in root.__subclasses__()))


ROOTS = (httpx.HTTPError, httpx.InvalidURL, httpx.CookieConflict, httpx.StreamError)
LEAVES = {leaf for root in ROOTS for leaf in _tree(root) if not leaf.__subclasses__()}


@pytest.mark.parametrize("foreign", sorted(LEAVES, key=repr))
def test_every_exception_of_httpx_is_mapped(foreign: type[Exception]) -> None:
    """A new one in a new httpx breaks this test, not a user."""
    assert foreign in NEVER_RAISED or any(issubclass(foreign, known) for known, _ in FAILURES)


def test_what_httpx_does_not_raise_is_not_mapped() -> None:
    """A bug of ours is not taken for a failure of the upstream's."""
    with pytest.raises(ZeroDivisionError):
        translate(ZeroDivisionError())


def test_every_mapping_is_reached() -> None:
    """No row hides behind a broader one before it."""
    for foreign, lost in FAILURES:
        error = foreign.__new__(foreign)
        assert translate(error) is lost


def test_httpx_exports_no_exception_outside_these_trees() -> None:
    """The walk above begins at every root that httpx has."""
    exported = [getattr(httpx, name) for name in httpx.__all__]
    errors = [e for e in exported if isinstance(e, type) and issubclass(e, Exception)]
    assert errors
    assert all(issubclass(error, ROOTS) for error in errors)
