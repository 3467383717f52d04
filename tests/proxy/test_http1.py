"""HTTP/1 as strangers speak it, byte by byte on real sockets, and with clients that others wrote."""

import asyncio
import gzip
import itertools
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from uvicorn.server import ServerState

from lorax_proxy.client import CONNECTED, AsgiApp, Client, Receive, Scope, Send
from lorax_proxy.config_limits import ClientLimits
from lorax_proxy.core.admission import Admission
from lorax_proxy.door import Door
from lorax_proxy.http1 import Connection as ServerConnection
from lorax_proxy.observe import Observer
from lorax_proxy.surface import Surface
from tests.proxy.running import Connection, Reply, request, served

LIMIT = 200_000
TELL = "/v1/tell"
STREAM = "/v1/stream"
BODY = b'{"text": "Where is my parcel?"}'


async def tell(client: Client) -> None:
    """Answer with the request, as the application got it."""
    body = await client.body(LIMIT)
    answer = {"body": body.decode(), "upgrade": client.header("upgrade")}
    await client.reply(json.dumps(answer).encode())


async def stream(client: Client) -> None:
    """Answer with the body, in two pieces of a stream."""
    body = await client.body(LIMIT)
    await client.start(200, (("content-type", "text/event-stream"),))
    client.write(body[:5])
    client.end(body[5:])


async def gone(client: Client) -> None:
    """Return when the client has closed its connection."""
    left = asyncio.Event()
    client.when_gone(left.set)
    await left.wait()


async def behind(scope: Any, receive: Any, send: Any) -> None:
    """The life of the server, and an answer without reading a body."""
    if scope["type"] == "lifespan":
        for moment in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{moment}.complete"})
        return
    headers = [(b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"ok"})


def app(observer: Observer | None = None, api_key: str | None = None, **more: Any) -> Surface:
    """A server of the endpoints above."""
    endpoints = {"/tell": tell, "/stream": stream, **more}
    return Surface(
        endpoints, behind, observer or Observer("error"), admission=Admission(api_key=api_key)
    )


def told(reply: Reply) -> str:
    """The body that the application got."""
    assert reply.status == 200, reply.body
    body: str = reply.json()["body"]
    return body


def offering(name: str, body: bytes, *, chunked: bool = False, version: str = "1.1") -> bytes:
    """A POST that offers to go on in another protocol."""
    framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % len(body)
    sent = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if chunked else body
    return (
        (
            f"POST {TELL} HTTP/{version}\r\nConnection: Upgrade, HTTP2-Settings\r\nHost: localhost\r\n"
            f"HTTP2-Settings: AAEAAEAAAAIAAAAB\r\nUpgrade: {name}\r\nContent-Type: application/json\r\n"
        ).encode()
        + framing
        + b"\r\n\r\n"
        + sent
    )


OFFERS = ["h2c", "TLS/1.2", "websocket", "anything"]


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("name", OFFERS)
async def test_an_offer_to_upgrade_is_ignored(name: str, *, chunked: bool) -> None:
    """RFC 9110 7.8: the request is served, and what follows it on the connection as well."""
    async with served(app()) as proxy:
        connection = await proxy.connect()
        # a body that is a request itself: its bytes must never be read as one
        body = request("GET", "/smuggled", b"")
        await connection.send(
            offering(name, body, chunked=chunked)
            + offering(name, b"second", chunked=chunked)
            + request("POST", TELL, b"third")
        )
        replies = [await connection.reply() for _ in range(3)]
        assert [told(reply) for reply in replies] == [body.decode(), "second", "third"]
        assert replies[0].json()["upgrade"] is None
        # nothing else was answered
        await connection.send(request("POST", TELL, b"fourth"))
        assert told(await connection.reply()) == "fourth"


@pytest.mark.property
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30
)
@given(cuts=st.lists(st.integers(0, 900), max_size=4), chunked=st.booleans())
def test_how_an_offer_is_cut_into_packets_never_shows(cuts: list[int], *, chunked: bool) -> None:
    """The parser is renewed wherever in a read the head ends."""
    data = (
        offering("h2c", BODY, chunked=chunked)
        + offering("h2c", b"", chunked=False)
        + request("POST", TELL, BODY)
    )

    async def told_in_pieces() -> list[str]:
        async with served(app()) as proxy:
            connection = await proxy.connect()
            edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
            for start, end in itertools.pairwise(edges):
                await connection.send(data[start:end])
                # let the server read what was sent before the rest comes
                await asyncio.sleep(0)
            return [told(await connection.reply()) for _ in range(3)]

    assert asyncio.run(told_in_pieces()) == [BODY.decode(), "", BODY.decode()]


async def test_curl_offers_http2_and_is_answered() -> None:
    """`curl --http2` sends the offer with a POST; so do the tools that are made of it."""
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    async with served(app()) as proxy:
        said = await run(
            "curl", "-sS", "--http2", "-H", "content-type: application/json",
            "-d", BODY.decode(), proxy.url + TELL, proxy.url + TELL,
        )  # fmt: skip
    assert said.count("Where is my parcel?") == 2


@pytest.mark.slow
async def test_javas_own_client_offers_http2_and_is_answered() -> None:
    """`java.net.http.HttpClient` does so by default: LangChain4j and Spring AI are built on it."""
    if shutil.which("java") is None:
        pytest.skip("java is not installed")
    program = Path(__file__).parent / "UpgradeOffer.java"
    async with served(app()) as proxy:
        said = await run("java", str(program), proxy.url + TELL, BODY.decode())
    first, second = said.splitlines()
    assert first == second
    assert first.startswith("200 HTTP_1_1 ")
    assert "Where is my parcel?" in first


async def run(*command: str) -> str:
    """What a program prints on its standard output; it must succeed."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err
    return out.decode()


def old(path: str, body: bytes, **headers: str) -> bytes:
    """An HTTP/1.0 request."""
    return request("POST", path, body, **headers).replace(b" HTTP/1.1\r\n", b" HTTP/1.0\r\n", 1)


async def test_a_stream_to_http_1_0_ends_with_its_connection() -> None:
    """No chunks (RFC 9112 6.1), whatever the client asks about the connection."""
    async with served(app()) as proxy:
        for asked in ("", "keep-alive", "close"):
            connection = await proxy.connect()
            await connection.send(old(STREAM, BODY, connection=asked))
            status, headers = await connection.head()
            assert status == 200
            assert "transfer-encoding" not in headers
            assert headers["connection"] == "close"
            async with asyncio.timeout(10):
                assert await connection.reader.read() == BODY


async def test_http_1_0_may_keep_the_connection_of_a_whole_answer() -> None:
    """Asked for it, the server says so and does it; not asked, it closes."""
    async with served(app()) as proxy:
        connection = await proxy.connect()
        for _ in range(3):
            await connection.send(old(TELL, BODY, connection="keep-alive"))
            reply = await connection.reply()
            assert told(reply) == BODY.decode()
            assert reply.headers["connection"] == "keep-alive"
        await connection.send(old(TELL, BODY))
        reply = await connection.reply()
        assert told(reply) == BODY.decode()
        assert reply.headers["connection"] == "close"
        assert await connection.at_end()


async def test_http_1_0_gets_no_interim_answer_and_loses_its_offers() -> None:
    """RFC 9110 10.1.1: an `Expect` in HTTP/1.0 is ignored."""
    async with served(app()) as proxy:
        connection = await proxy.connect()
        await connection.send(old(TELL, BODY, expect="100-continue"))
        assert (await connection.until(b"\r\n")).startswith(b"HTTP/1.1 200 ")
        connection = await proxy.connect()
        await connection.send(offering("h2c", BODY, version="1.0"))
        assert told(await connection.reply()) == BODY.decode()


async def raw(proxy: Any, data: bytes) -> Reply:
    """Send bytes; read the answer, which must be the last."""
    connection: Connection = await proxy.connect()
    await connection.send(data)
    reply = await connection.reply()
    assert await connection.at_end()
    return reply


HEAD = b"POST /v1/tell HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"

MALFORMED = {
    "no request": (b"hello\r\n\r\n", 400, "invalid_http"),
    "a TLS handshake": (b"\x16\x03\x01\x02\x00\x01\x00", 400, "invalid_http"),
    "HTTP/2 with prior knowledge": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "invalid_http"),
    "a newer HTTP": (b"GET /health HTTP/2.0\r\nhost: x\r\n\r\n", 505, "http_version_not_supported"),
    "a header without a colon": (HEAD + b"oops\r\n\r\n", 400, "invalid_http"),
    "two lengths": (HEAD + b"content-length: 1\r\ncontent-length: 2\r\n\r\nx", 400, "invalid_http"),
    "a length and chunks": (
        HEAD + b"content-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
        "invalid_http",
    ),
    "no size of a chunk": (HEAD + b"transfer-encoding: chunked\r\n\r\nxyz\r\n", 400, "invalid_http"),
    "identity, chunked": (
        HEAD + b"transfer-encoding: identity, chunked\r\n\r\n0\r\n\r\n",
        400,
        "invalid_transfer_encoding",
    ),
    "gzip, chunked": (
        HEAD + b"transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        400,
        "invalid_transfer_encoding",
    ),
    "a tunnel": (b"CONNECT localhost:80 HTTP/1.1\r\nhost: x\r\n\r\n", 405, "method_not_allowed"),
    "a target that is none": (b"GET ht!tp://[ HTTP/1.1\r\nhost: x\r\n\r\n", 400, "invalid_http"),
}  # fmt: skip


@pytest.mark.parametrize("what", MALFORMED)
async def test_what_is_no_request_gets_the_envelope(what: str) -> None:
    """OpenAI's four keys, an id, and the end of the connection; it is counted too."""
    data, status, code = MALFORMED[what]
    observer = Observer("error")
    async with served(app(), observer=observer) as proxy:
        reply = await raw(proxy, data)
    assert (reply.status, reply.error["code"]) == (status, code)
    assert reply.error["type"] == "invalid_request_error"
    assert reply.headers["connection"] == "close"
    assert reply.headers["x-request-id"].startswith("req_")
    if what == "a TLS handshake":
        assert "http://" in reply.error["message"]
    sample = f'lorax_proxy_requests_total{{error="{code}",path="other",status="{status}"}} 1.0'
    assert sample in observer.metrics().decode()


async def test_garbage_behind_an_answer_waits_for_its_turn() -> None:
    """A refusal in the middle of a stream would be read as a part of it."""
    gate = asyncio.Event()

    async def slow(client: Client) -> None:
        await client.body(LIMIT)
        await client.start(200, (("content-type", "text/event-stream"),))
        client.write(b"first ")
        await gate.wait()
        client.end(b"last")

    async with served(app(None, None, **{"/slow": slow})) as proxy:
        connection = await proxy.connect()
        await connection.send(
            request("POST", "/v1/slow", b"") + request("POST", TELL, BODY) + b"garbage\r\n\r\n"
        )
        await connection.until(b"first ")
        gate.set()
        # the rest of the chunk that holds it, and the end
        await connection.until(b"\r\n4\r\nlast\r\n0\r\n\r\n")
        assert told(await connection.reply()) == BODY.decode()
        assert (await connection.reply()).error["code"] == "invalid_http"
        assert await connection.at_end()


async def test_every_request_of_a_connection_learns_that_its_client_left() -> None:
    """Also the one that is answered while another waits behind it."""
    begun, left = asyncio.Event(), asyncio.Event()

    async def waits(client: Client) -> None:
        await client.body(LIMIT)
        begun.set()
        await gone(client)
        left.set()

    async with served(app(None, None, **{"/waits": waits})) as proxy:
        connection = await proxy.connect()
        await connection.send(request("POST", "/v1/waits", b"") + request("POST", TELL, BODY))
        await begun.wait()
        connection.leave()
        async with asyncio.timeout(10):
            await left.wait()


class Wire(asyncio.Transport):
    """A transport that leads nowhere, and knows what was sent and whether it is read."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = bytearray()
        self._paused = False

    def is_reading(self) -> bool:
        """Whether more may come."""
        return not self._paused

    def close(self) -> None:
        """Nothing is there to be closed."""

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """An address for whoever asks for one."""
        return ("127.0.0.1", 1) if name.endswith("name") else default

    def is_closing(self) -> bool:
        """Never."""
        return False

    def pause_reading(self) -> None:
        """Note it."""
        self._paused = True

    def resume_reading(self) -> None:
        """Note it."""
        self._paused = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Keep it."""
        self.sent += data


async def test_a_crowd_of_requests_waits_unread() -> None:
    """Ten thousand may come in one read: they are not parsed at once, and nothing more is read."""
    config = uvicorn.Config(app(), ws="none", log_config=None, lifespan="off")
    config.load()
    connection = ServerConnection(
        Door(ClientLimits(), Observer("error")), config, ServerState(), {}
    )
    wire, few = Wire(), b"GET / HTTP/1.1\r\nhost:x\r\n\r\n"
    connection.connection_made(wire)
    connection.data_received(few * 10_000)
    assert 16 <= len(connection.pipeline) <= 200
    assert not wire.is_reading()
    for _ in range(500):
        # the answers under way let nothing more in
        await asyncio.sleep(0)
        assert not wire.is_reading()
    while connection.pipeline:
        assert len(connection.pipeline) <= 200
        await asyncio.sleep(0)
    assert wire.is_reading()
    connection.connection_lost(None)


async def _in_one(scope: Scope, _receive: Receive, _send: Send) -> None:
    """Take the whole body, and answer never."""
    assert scope["extensions"][CONNECTED].whole_body()
    await asyncio.get_running_loop().create_future()


async def _in_parts(_scope: Scope, receive: Receive, _send: Send) -> None:
    """Take the body as it comes, and answer never."""
    while (await receive())["more_body"]:
        pass
    await asyncio.get_running_loop().create_future()


@pytest.mark.parametrize("taking", [_in_one, _in_parts])
async def test_a_large_body_does_not_end_the_reading(taking: AsgiApp) -> None:
    """Who has taken it still learns that its client leaves, which only a read tells."""
    config = uvicorn.Config(taking, ws="none", log_config=None, lifespan="off")
    config.load()
    connection = ServerConnection(
        Door(ClientLimits(), Observer("error")), config, ServerState(), {}
    )
    wire = Wire()
    connection.connection_made(wire)
    body = b"a" * 200_000
    head = b"POST / HTTP/1.1\r\nhost:x\r\ncontent-length:%d\r\n\r\n" % len(body)
    connection.data_received(head + body if taking is _in_one else head)
    await asyncio.sleep(0)
    if taking is _in_parts:
        connection.data_received(body)
        assert not wire.is_reading()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert not connection.exchange.response_complete
    assert wire.is_reading()
    connection.connection_lost(None)


async def test_a_slow_client_gets_the_head_first_all_the_same() -> None:
    """It may be slow from an answer before; whoever writes meanwhile does not overtake the head."""

    async def answer(scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        scope["extensions"][CONNECTED].write(b"body")

    config = uvicorn.Config(answer, ws="none", log_config=None, lifespan="off")
    config.load()
    connection = ServerConnection(
        Door(ClientLimits(), Observer("error")), config, ServerState(), {}
    )
    wire = Wire()
    connection.connection_made(wire)
    connection.pause_writing()
    connection.data_received(b"GET / HTTP/1.1\r\nhost:x\r\n\r\n")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert re.fullmatch(rb"HTTP/1.1 200 OK\r\n.*\r\n\r\n4\r\nbody\r\n", bytes(wire.sent), re.DOTALL)
    connection.connection_lost(None)


async def test_each_of_a_crowd_is_answered_in_its_turn() -> None:
    """What was held is gone on with, and others are served meanwhile."""
    async with served(app()) as proxy:
        crowd = await proxy.connect()
        crowd.writer.write(
            b"".join(request("POST", TELL, b"%d" % number) for number in range(1000))
        )
        for number in range(1000):
            assert told(await crowd.reply()) == str(number)
            if number % 200 == 0:
                assert (await proxy.get("/health")).status == 200


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_large_body_comes_whole(*, chunked: bool) -> None:
    """However the slices fall; what follows it is the next request."""
    body = "".join(chr(97 + number % 26) for number in range(LIMIT - 1)).encode()
    headers = {"content_length": "", "transfer_encoding": "chunked"} if chunked else {}
    sent = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if chunked else body
    async with served(app()) as proxy:
        connection = await proxy.connect()
        connection.writer.write((request("POST", TELL, sent, **headers)) * 3)
        for _ in range(3):
            assert told(await connection.reply()) == body.decode()


SMALL = ClientLimits(max_request_line_bytes=256, max_header_bytes=1024, max_headers=10)
KEYS = [None, "s3cret"]


def sized(*, line: int = 0, block: int = 0, count: int = 0) -> bytes:
    """A request whose line, headers or number of headers are that large."""
    target = "/" + "a" * max(0, line - 16 - 1)
    fields = ["host: localhost", *(f"x-{number}: 1" for number in range(count - 1))]
    if block:
        fields.append("x: " + "b" * (block - sum(len(each) + 2 for each in fields) - 5))
    return "\r\n".join([f"GET {target} HTTP/1.1", *fields, "", ""]).encode()


SIZES = [
    ({"line": 256}, {"line": 257}, 414, "uri_too_long"),
    ({"block": 1024}, {"block": 1025}, 431, "request_headers_too_large"),
    ({"count": 10}, {"count": 11}, 431, "request_headers_too_large"),
]


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize(("largest", "larger", "status", "code"), SIZES)
async def test_a_head_is_as_large_as_the_limit_at_most(
    largest: dict[str, int], larger: dict[str, int], status: int, code: str, key: str | None
) -> None:
    """At the edge it passes, one more is refused; in one packet or byte by byte, key or none."""
    async with served(app(api_key=key), limits=SMALL) as proxy:
        connection = await proxy.connect()
        await connection.send(sized(**largest))
        assert (await connection.reply()).status == (401 if key else 200)
        assert (await raw(proxy, sized(**larger))).error["code"] == code
        connection = await proxy.connect()
        connection.writer.transport.set_write_buffer_limits(0)
        for byte in sized(**larger)[:-4]:
            connection.writer.write(bytes([byte]))
            await asyncio.sleep(0)
        await connection.send(b"\r\n\r\n")
        reply = await connection.reply()
        assert (reply.status, reply.error["code"]) == (status, code)


@pytest.mark.parametrize("beginning", [b"GET /", b"GET / HTTP/1.1\r\nx: ", b"GET / HTTP/1.1\r\n"])
async def test_a_head_without_end_is_ended(beginning: bytes) -> None:
    """One line or many, it is refused while it still comes, and the answer can be read."""
    line = b"x-a: " + b"a" * 1000 + b"\r\n" if beginning.endswith(b"1.1\r\n") else b"a" * 1000
    async with served(app(), limits=SMALL) as proxy:
        connection = await proxy.connect()
        await connection.send(beginning + line * 300)
        reply = await connection.reply()
        assert reply.status == (414 if beginning == b"GET /" else 431)
        assert await connection.at_end()


async def test_an_answer_before_the_body_can_be_read() -> None:
    """A chunked body that goes on after its refusal: the client sees 413, not a reset."""
    async with served(app()) as proxy:
        connection = await proxy.connect()
        head = request("POST", TELL, b"", content_length="", transfer_encoding="chunked")
        piece = b"10000\r\n%b\r\n" % (b"x" * 0x10000)
        await connection.send(head)
        # more than any buffer between us holds: it is taken, or this would never end
        async with asyncio.timeout(30):
            for _ in range(400):
                await connection.send(piece)
        reply = await connection.reply()
        assert reply.error["code"] == "request_too_large"
        assert reply.headers["connection"] == "close"
        assert await connection.at_end()


async def test_a_small_rest_is_read_and_the_connection_kept() -> None:
    """A refusal of what is nearly here already costs the client no new connection."""
    async with served(app(api_key="k")) as proxy:
        connection = await proxy.connect()
        await connection.send(request("POST", TELL, b"half", content_length="8"))
        assert (await connection.reply()).status == 401
        await connection.send(b"half" + request("POST", TELL, BODY, authorization="Bearer k"))
        assert told(await connection.reply()) == BODY.decode()


async def test_who_waits_to_be_told_to_go_on_is_not_kept() -> None:
    """It may send the body after the refusal or not: nobody knows what its next bytes are."""
    async with served(app(api_key="k")) as proxy:
        connection = await proxy.connect()
        await connection.send(request("POST", TELL, b"", content_length="8", expect="100-continue"))
        reply = await connection.reply()
        assert (reply.status, reply.headers["connection"]) == (401, "close")
        assert await connection.at_end()


def quick(**seconds: float) -> ClientLimits:
    """Limits of which one is soon over."""
    return ClientLimits.model_validate({f"client_{name}_timeout": s for name, s in seconds.items()})


@pytest.mark.parametrize("key", KEYS)
async def test_a_head_that_does_not_come_is_answered_with_408(key: str | None) -> None:
    """From its first byte on, on a new connection and on a kept one."""
    async with served(app(api_key=key), limits=quick(header=0.1)) as proxy:
        connection = await proxy.connect()
        await connection.send(request("GET", "/health"))
        assert (await connection.reply()).status == 200
        for kept in (connection, None):
            each = kept or await proxy.connect()
            await each.send(b"POST /v1/tell HTTP/1.1\r\nhost: loc")
            reply = await each.reply()
            assert (reply.status, reply.error["code"]) == (408, "request_timeout")
            assert "headers" in reply.error["message"]
            assert await each.at_end()


async def test_a_connection_without_a_request_is_closed_without_a_word() -> None:
    """An answer would be taken for that of a request that is just coming."""
    async with served(app(), limits=quick(header=0.1)) as proxy:
        assert await (await proxy.connect()).at_end()
    async with served(app(), limits=quick(idle=0.1)) as proxy:
        connection = await proxy.connect()
        await connection.send(request("GET", "/health"))
        assert (await connection.reply()).status == 200
        assert await connection.at_end()


async def test_a_body_that_stops_is_answered_with_408() -> None:
    """Half a body holds a place and its memory no longer than the limit."""
    async with served(app(), limits=quick(body=0.1)) as proxy:
        connection = await proxy.connect()
        await connection.send(request("POST", TELL, b"half", content_length="40"))
        reply = await connection.reply()
        assert (reply.status, reply.error["code"]) == (408, "request_timeout")
        assert "body" in reply.error["message"]
        assert await connection.at_end()


async def test_a_body_that_trickles_is_answered_with_408() -> None:
    """It is never silent for long, and still far too slow."""
    async with served(app(), limits=quick(body=0.2)) as proxy:
        connection = await proxy.connect()
        await connection.send(request("POST", TELL, b"x", content_length="100000"))
        reply = asyncio.create_task(connection.reply())
        while not reply.done():
            connection.writer.write(b"x")
            await asyncio.wait([reply], timeout=0.02)
        assert (await reply).status == 408


async def test_a_body_that_comes_slowly_but_well_is_awaited() -> None:
    """Beyond the time of silence, a rate is asked for and no more."""
    async with served(app(), limits=quick(body=0.1)) as proxy:
        connection = await proxy.connect()
        await connection.send(request("POST", TELL, b"", content_length="60000"))
        for _ in range(20):
            await connection.send(b"x" * 3000)
            await asyncio.sleep(0.02)
        assert told(await connection.reply()) == "x" * 60000


def buffered(observer: Observer) -> float:
    """Bytes of bodies in memory, as the metrics tell them."""
    (line,) = re.findall(
        rb"^lorax_proxy_buffered_body_bytes (.+)$", observer.metrics(), re.MULTILINE
    )
    return float(line)


async def until(true: Callable[[], bool]) -> None:
    """Let the server go on until something is so."""
    async with asyncio.timeout(10):
        while not true():  # noqa: ASYNC110 - metrics ring no bell
            await asyncio.sleep(0)


def half(size: int) -> bytes:
    """A request whose body does not end with these bytes."""
    return request("POST", TELL, b"x" * size, content_length="150000")


def compressed(size: int) -> bytes:
    """One that becomes as large, and waits for its answer."""
    return request("POST", "/v1/waits", gzip.compress(b"x" * size), content_encoding="gzip")


def crowded(size: int) -> bytes:
    """Requests behind one that waits for its answer."""
    few = request("POST", TELL, b"x" * 4000) * (size // 4000 + 1)
    return request("POST", "/v1/waits", b"") + few


@pytest.mark.parametrize("large", [half, compressed, crowded])
async def test_bodies_are_bounded_over_all_connections(large: Callable[[int], bytes]) -> None:
    """What has begun goes on, what would be too much is a 503, and what is over is given back."""
    release = asyncio.Event()

    async def waits(client: Client) -> None:
        await client.body(LIMIT)
        await release.wait()
        await client.reply(b"{}")

    observer = Observer("error")
    limits = ClientLimits(max_buffered_body_bytes=160_000)
    async with served(
        app(observer, None, **{"/waits": waits}), limits=limits, observer=observer
    ) as proxy:
        for turn in ("answered", "left"):
            release.clear()
            kept = await proxy.connect()
            await kept.send(large(120_000))
            await until(lambda: buffered(observer) >= 100_000)
            assert (await proxy.post(TELL, b"x" * 1000)).status == 200
            reply = await proxy.post(TELL, b"x" * 60_000)
            assert (reply.status, reply.error["code"]) == (503, "too_many_bodies")
            assert reply.headers["retry-after"] == "1"
            release.set()
            if turn == "left" or large is half:
                kept.leave()
            await until(lambda: not buffered(observer))
            assert (await proxy.post(TELL, b"x" * 60_000)).status == 200


async def test_what_waits_behind_a_request_is_given_up_when_there_is_no_room_for_it() -> None:
    """A crowd that is held unread counts too; its connection ends behind what is under way."""
    observer = Observer("error")
    limits = ClientLimits(max_buffered_body_bytes=50_000)
    async with served(app(observer), limits=limits, observer=observer) as proxy:
        crowd = await proxy.connect()
        await crowd.send(request("POST", TELL, b"x" * 2000) * 100)
        replies = 0
        while (reply := await crowd.reply()).status == 200:
            replies += 1
        assert 1 <= replies < 100
        assert (reply.status, reply.error["code"]) == (503, "too_many_bodies")
        assert await crowd.at_end()
        await until(lambda: not buffered(observer))


async def test_a_client_that_takes_nothing_is_left() -> None:
    """Its answer's buffer is full and stays so: the application learns that it is gone."""
    left = asyncio.Event()

    async def endless(client: Client) -> None:
        await client.body(LIMIT)
        await client.start(200, (("content-type", "text/event-stream"),))
        client.when_gone(left.set)
        while not left.is_set():
            client.write(b"x" * 65536)
            await client.drain()

    limits = quick(write=0.2)
    async with served(app(None, None, **{"/endless": endless}), limits=limits) as proxy:
        connection = await proxy.connect(receive_buffer=4096)
        connection.pause()
        await connection.send(request("POST", "/v1/endless", b""))
        async with asyncio.timeout(10):
            await left.wait()
