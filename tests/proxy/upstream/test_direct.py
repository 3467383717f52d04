"""The direct transport: the reference's answers, byte for byte, and what only it promises."""

import asyncio
from collections.abc import Callable

import pytest
import uvloop
from hypothesis import example, given
from hypothesis import strategies as st

from lorax_proxy.errors import Lost, UpstreamError
from lorax_proxy.upstream.direct import DirectResponse, DirectTransport
from lorax_proxy.upstream.httpx import HttpxTransport
from lorax_proxy.upstream.transport import Transport, read_all
from tests.proxy.servers import (
    LAST_CHUNK,
    Fin,
    Hold,
    Request,
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


def direct(url: str, *, retries: int = 2, connect_timeout: float = 5.0) -> DirectTransport:
    """A transport as the program makes it."""
    return DirectTransport(url, connect_timeout=connect_timeout, connect_retries=retries)


async def outcome(transport: Transport) -> tuple[object, ...]:
    """Everything that a caller can see of one request."""
    try:
        response = await transport.send("POST", "/generate", b"{}", silence=SILENCE)
    except UpstreamError as error:
        return ("no answer", error.failure)
    body = b""
    try:
        while data := await response.read():
            body += data
    except UpstreamError as error:
        return (response.status, list(response.headers), body, error.failure)
    finally:
        await response.close()
    return (response.status, list(response.headers), body)


BODIES = st.binary(max_size=300)
WHOLE = st.builds(lambda body: answer(200, body, x_queue_time="3"), BODIES)
CHUNKED = st.lists(st.binary(min_size=1, max_size=80), max_size=6).map(
    lambda parts: event_stream() + b"".join(map(chunk, parts)) + LAST_CHUNK
)
UNTIL_END = BODIES.map(lambda body: b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\n" + body)
STATUSES = st.sampled_from([200, 204, 400, 413, 422, 424, 429, 500, 503]).map(
    lambda status: answer(status, b"" if status == 204 else b'{"error": "x", "error_type": "y"}')
)
ANSWERS = st.one_of(WHOLE, CHUNKED, UNTIL_END, STATUSES)


@st.composite
def scripted(draw: st.DrawFn) -> list[Step]:
    """An answer cut into pieces anywhere, whole or not, and how its connection ends."""
    data = draw(ANSWERS)
    if draw(st.booleans()):
        data = data[: draw(st.integers(0, len(data)))]
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=5)))
    pieces = [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]
    return [*(Send(piece) for piece in pieces if piece), Fin()]


@pytest.mark.property
@given(scripted())
@example([Fin()])
@example([Send(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab"), Fin()])
@example([Send(b"HTTP/1.1 100 Continue\r\n\r\n" + answer(200, b"late")), Fin()])
@example([Send(event_stream() + b"3\r\nabc\r\nzz\r\n"), Fin()])
def test_it_answers_as_the_reference_does(steps: list[Step]) -> None:
    """The same status, headers, bytes and failures as httpx, on any answer cut anywhere."""

    async def both() -> None:
        seen: list[tuple[object, ...]] = []
        for make in (direct, _reference):
            async with ScriptedServer(lambda _request: steps) as server:
                transport = make(server.url)
                seen.append(await outcome(transport))
                await transport.aclose()
        assert seen[0] == seen[1]

    # the loop of the programs, and the one that everybody has
    for new_loop in (uvloop.new_event_loop, asyncio.new_event_loop):
        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(both())


def _reference(url: str) -> HttpxTransport:
    return HttpxTransport(url, connect_timeout=5.0, connect_retries=2)


async def test_the_request_is_the_references() -> None:
    """Path, body and headers arrive as httpx sends them."""
    requests: list[Request] = []
    for make in (direct, _reference):
        async with ScriptedServer(in_order([Send(json_answer({}))])) as server:
            transport = make(f"{server.url}/base")
            response = await transport.send("POST", "/generate", b'{"a":1}', silence=SILENCE)
            await read_all(response)
            await response.close()
            await transport.aclose()
            requests.append(server.requests[0])
    ours, theirs = requests
    assert (ours.method, ours.path, ours.body) == (theirs.method, theirs.path, theirs.body)
    same = {
        name: text for name, text in theirs.headers.items() if name not in ("host", "connection")
    }
    assert {name: text for name, text in ours.headers.items() if name != "host"} == same


@pytest.mark.parametrize("make", [DirectTransport, HttpxTransport])
async def test_a_gateways_token_is_sent(make: type[DirectTransport | HttpxTransport]) -> None:
    """As `Authorization: Bearer`, by both clients."""
    async with ScriptedServer(in_order([Send(json_answer({}))])) as server:
        transport = make(server.url, connect_timeout=5.0, connect_retries=0, token="t0ken")
        response = await transport.send("GET", "/info", silence=SILENCE)
        await read_all(response)
        await response.close()
        await transport.aclose()
        assert server.requests[0].headers["authorization"] == "Bearer t0ken"


async def test_connects_are_spaced_out() -> None:
    """As the reference spaces them: a server that restarts is given a moment."""
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    with refusing_port() as port:
        transport = DirectTransport(
            f"http://127.0.0.1:{port}", connect_timeout=5.0, connect_retries=3, pause=pause
        )
        with pytest.raises(UpstreamError):
            await transport.send("GET", "/info", silence=SILENCE)
        await transport.aclose()
    assert pauses == [0.0, 0.25, 0.5]


async def test_a_connection_is_kept_when_its_answer_was_read() -> None:
    """Requests one after another share a connection; a body that was not read costs it."""
    steps: list[Step] = [Send(json_answer({"n": 1}))]
    async with ScriptedServer(lambda _request: steps) as server:
        transport = direct(server.url)
        for read in (True, True, False, True):
            response = await transport.send("POST", "/generate", b"{}", silence=SILENCE)
            if read:
                await read_all(response)
            await response.close()
        await transport.aclose()
        assert server.connections == 2


async def test_connection_close_is_obeyed() -> None:
    """A server that says `connection: close` is not asked again on that connection."""
    steps: list[Step] = [Send(answer(200, b"x", connection="close")), Fin()]
    async with ScriptedServer(lambda _request: steps) as server:
        transport = direct(server.url)
        for _ in range(2):
            response = await transport.send("GET", "/info", silence=SILENCE)
            assert await read_all(response) == b"x"
            await response.close()
        await transport.aclose()
        assert server.connections == 2


async def test_a_kept_connection_that_was_closed_is_tried_once_more() -> None:
    """No byte of an answer came on a kept connection: the request goes out on a new one."""
    script = in_order([Send(json_answer({"n": 1}))], [Fin()], [Send(json_answer({"n": 2}))])
    async with ScriptedServer(script) as server:
        transport = direct(server.url)
        for n in (1, 2):
            response = await transport.send("POST", "/generate", b"{}", silence=SILENCE)
            assert await read_all(response) == b'{"n": %d}' % n
            await response.close()
        await transport.aclose()


async def test_a_new_connection_that_was_closed_is_not_tried_again() -> None:
    """LoRAX may have begun to work on it."""
    async with ScriptedServer(in_order([Reset()])) as server:
        transport = direct(server.url)
        with pytest.raises(UpstreamError) as caught:
            await transport.send("POST", "/generate", b"{}", silence=SILENCE)
        assert caught.value.failure is Lost.CUT
        await transport.aclose()


async def test_an_answer_that_began_is_not_asked_for_again() -> None:
    """Half a head on a kept connection is an answer that was cut."""
    script = in_order([Send(json_answer({}))], [Send(b"HTTP/1.1 2"), Fin()])
    async with ScriptedServer(script) as server:
        transport = direct(server.url)
        response = await transport.send("POST", "/generate", b"{}", silence=SILENCE)
        await read_all(response)
        await response.close()
        with pytest.raises(UpstreamError) as caught:
            await transport.send("POST", "/generate", b"{}", silence=SILENCE)
        assert caught.value.failure is Lost.CUT
        await transport.aclose()


async def test_closing_early_ends_the_request() -> None:
    """Closing a response is how LoRAX learns that nobody waits any more."""
    async with ScriptedServer(in_order([Send(event_stream() + chunk(b"one")), Stall()])) as server:
        transport = direct(server.url)
        response = await transport.send("POST", "/generate_stream", b"{}", silence=SILENCE)
        assert await response.read() == b"one"
        await response.close()
        await response.close()
        await server.client_left()
        await transport.aclose()


async def test_a_caller_that_is_cancelled_before_the_head_ends_the_request() -> None:
    """A request whose sender has gone leaves no answer behind for the next one."""
    async with ScriptedServer(in_order([Stall()], [Send(json_answer({"n": 2}))])) as server:
        transport = direct(server.url)
        sending = asyncio.ensure_future(transport.send("POST", "/generate", b"{}", silence=SILENCE))
        await server.next_request()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        await server.client_left()
        response = await transport.send("POST", "/generate", b"{}", silence=SILENCE)
        assert await read_all(response) == b'{"n": 2}'
        await response.close()
        await transport.aclose()


async def test_a_reader_that_is_cancelled_loses_nothing() -> None:
    """Whoever reads next goes on where the stream is."""
    hold = Hold()
    steps: list[Step] = [
        Send(event_stream() + chunk(b"one")),
        hold,
        Send(chunk(b"two") + LAST_CHUNK),
    ]
    async with ScriptedServer(in_order(steps)) as server:
        transport = direct(server.url)
        response = await transport.send("POST", "/generate_stream", b"{}", silence=SILENCE)
        assert await response.read() == b"one"
        reading = asyncio.ensure_future(response.read())
        await asyncio.sleep(0)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        hold.gate.set()
        assert await response.read() == b"two"
        assert await response.read() == b""
        await response.close()
        await transport.aclose()


async def pouring(took: Callable[[bytes], bool]) -> tuple[list[bytes], DirectResponse]:
    """A body that is poured: one piece, and once that was taken the rest, in one read."""
    hold = Hold()
    rest = chunk(b"two") + chunk(b"three") + LAST_CHUNK
    steps: list[Step] = [Send(event_stream() + chunk(b"one")), hold, Send(rest), Stall()]
    taken: list[bytes] = []

    def take(data: bytes) -> bool:
        taken.append(data)
        # what comes now comes while it is waited for
        hold.gate.set()
        return took(data)

    async with ScriptedServer(lambda _request: steps) as server:
        transport = direct(server.url)
        response = await transport.send("GET", "/", silence=SILENCE)
        await response.pour(take)
        return taken, response


async def test_all_of_one_read_is_poured_at_once_and_then_the_end() -> None:
    """Nothing is lost of what arrives while the sink is there."""
    taken, response = await pouring(lambda _data: True)
    assert taken == [b"one", b"twothree", b""]
    await response.close()


async def test_who_wants_no_more_is_given_no_more() -> None:
    """What is poured next, or read, is what comes behind it."""
    taken, response = await pouring(lambda data: data == b"one")
    assert taken == [b"one", b"twothree"]
    assert await response.read() == b""
    await response.close()


async def test_what_a_sink_raises_is_raised_where_it_is_waited_for() -> None:
    """And not in the event loop, which would tear the connection down."""

    def fails(data: bytes) -> bool:
        if data != b"one":
            raise ValueError(data)
        return True

    with pytest.raises(ValueError, match="twothree"):
        await pouring(fails)


@pytest.mark.parametrize("begun", [False, True])
async def test_silence_is_an_idle_timeout(*, begun: bool) -> None:
    """Before the head and in the middle of a body."""
    steps: list[Step] = [Send(event_stream() + chunk(b"one"))] if begun else []
    async with ScriptedServer(in_order([*steps, Stall()])) as server:
        transport = direct(server.url)
        with pytest.raises(UpstreamError) as caught:
            await _read_whole(transport, silence=0.05)
        assert caught.value.failure is Lost.IDLE_TIMEOUT
        await transport.aclose()


async def _read_whole(transport: Transport, *, silence: float) -> bytes:
    response = await transport.send("POST", "/generate_stream", b"{}", silence=silence)
    return await read_all(response)


async def test_bytes_are_a_sign_of_life() -> None:
    """LoRAX's comments keep a request alive for longer than the silence that is allowed."""
    beats = [Hold() for _ in range(4)]
    steps: list[Step] = [Send(event_stream())]
    for beat in beats:
        steps += [beat, Send(chunk(b":\n\n"))]
    async with ScriptedServer(in_order([*steps, Send(LAST_CHUNK)])) as server:
        transport = direct(server.url)
        response = await transport.send("POST", "/generate_stream", b"{}", silence=0.2)
        loop = asyncio.get_running_loop()
        for number, beat in enumerate(beats):
            loop.call_later(0.1 * (number + 1), beat.gate.set)
        assert await read_all(response) == b":\n\n" * len(beats)
        await response.close()
        await transport.aclose()


async def test_nobody_listening_is_unreachable() -> None:
    """A refused connect is tried again as often as it may, then told."""
    with refusing_port() as port:
        transport = direct(f"http://127.0.0.1:{port}")
        with pytest.raises(UpstreamError) as caught:
            await transport.send("GET", "/info", silence=SILENCE)
        assert caught.value.failure is Lost.UNREACHABLE
        await transport.aclose()


async def test_a_server_without_tls_is_unreachable_over_https() -> None:
    """A failed handshake is a failed connect."""
    plain: list[Step] = [Send(b"HTTP/1.1 400 Bad Request\r\n\r\n"), Fin()]
    async with ScriptedServer(in_order(), on_connect=lambda _connection: plain) as server:
        transport = direct(server.url.replace("http:", "https:"), retries=0)
        with pytest.raises(UpstreamError) as caught:
            await transport.send("GET", "/info", silence=SILENCE)
        assert caught.value.failure is Lost.UNREACHABLE
        await transport.aclose()


async def test_a_body_that_nobody_reads_stays_with_the_server() -> None:
    """What is offered beyond the bound waits in the server, not in our memory."""
    offered = 64 * 1024 * 1024
    pieces = [Send(chunk(b"x" * 65536))] * (offered // 65536)
    steps: list[Step] = [Send(event_stream()), *pieces, Stall()]
    async with ScriptedServer(in_order(steps), send_buffer=65536) as server:
        transport = direct(server.url)
        response = await transport.send("POST", "/generate_stream", b"{}", silence=SILENCE)
        sent = -1
        while sent < server.sent:
            sent = server.sent
            # as many turns as the kernel and the server need to move what they can
            for _ in range(200):
                await asyncio.sleep(0)
        assert server.sent < offered // 4
        assert len(await response.read()) < 2 * 1024 * 1024
        await response.close()
        await transport.aclose()


async def test_a_head_without_end_is_cut() -> None:
    """A server that sends headers for ever must not fill our memory."""
    endless = b"HTTP/1.1 200 OK\r\n" + b"x-a: b\r\n" * 20_000
    async with ScriptedServer(in_order([Send(endless), Stall()])) as server:
        transport = direct(server.url)
        with pytest.raises(UpstreamError) as caught:
            await transport.send("POST", "/generate", b"{}", silence=SILENCE)
        assert caught.value.failure is Lost.CUT
        await transport.aclose()


async def test_what_arrives_at_once_is_handed_out_in_steps_that_take_turns() -> None:
    """Ten bodies, much of which is here: one step of one of them in each turn of the loop."""
    body = bytes(range(256)) * 700
    steps: list[Step] = [Send(head(200, {"content-length": str(len(body))}) + body), Stall()]
    loop = asyncio.get_running_loop()
    turn = 0
    reads: list[tuple[int, int]] = []

    def count() -> None:
        nonlocal turn
        turn += 1
        loop.call_soon(count)

    async def read(response: DirectResponse) -> bytes:
        data = b""
        while len(data) < len(body):
            step = await response.read()
            reads.append((turn, len(step)))
            data += step
        return data

    async with ScriptedServer(in_order(*[steps] * 10)) as server:
        transport = direct(server.url)
        responses = [await transport.send("GET", "/", silence=SILENCE) for _ in range(10)]
        # as many turns as the kernel and the server need to bring it
        for _ in range(1000):
            await asyncio.sleep(0)
        loop.call_soon(count)
        assert await asyncio.gather(*map(read, responses)) == [body] * 10
        for response in responses:
            await response.close()
        await transport.aclose()
    whole = [at for at, size in reads if size == 32 * 1024]
    assert max(size for _, size in reads) == 32 * 1024
    # each in a turn of its own; at least two of each body were here
    assert len(whole) == len(set(whole)) >= 20
