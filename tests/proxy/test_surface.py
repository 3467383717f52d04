"""The HTTP surface on real sockets: keys, bodies, identities, errors, and clients that leave."""

import asyncio
import gzip
import json
import zlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from lorax_proxy.client import AsgiApp, Client, until_gone
from lorax_proxy.core.admission import Admission
from lorax_proxy.errors import RequestRefused
from lorax_proxy.observe import Observer
from lorax_proxy.surface import Surface
from tests.proxy.running import Reply, request, served

LIMIT = 64
ECHO = "/v1/chat/completions"


async def echo(client: Client) -> None:
    """Answer with the body's size."""
    body = await client.body(LIMIT)
    await client.reply(b"%d" % len(body))


async def fallback(scope: Any, _receive: Any, send: Any) -> None:
    """An application behind the surface that tells what it was asked."""
    body = f"{scope['method']} {scope['path']}".encode()
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def surface(
    endpoint: Callable[[Client], Awaitable[None]] = echo,
    *,
    behind: AsgiApp = fallback,
    observer: Observer | None = None,
    api_key: str | None = None,
    extra_headers: Sequence[tuple[str, str]] = (),
) -> AsgiApp:
    """A surface with one endpoint; the life of the server is its own affair."""
    return living(
        Surface(
            {"/chat/completions": endpoint},
            behind,
            observer or Observer("error"),
            admission=Admission(api_key=api_key),
            extra_headers=extra_headers,
        )
    )


def living(app: AsgiApp) -> AsgiApp:
    """An application with a life that is its own affair."""

    async def lived(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await app(scope, receive, send)
            return
        for moment in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{moment}.complete"})

    return lived


def counted(observer: Observer, sample: str) -> bool:
    """Whether the metrics hold a line."""
    return sample in observer.metrics().decode().splitlines()


async def until(observer: Observer, sample: str) -> None:
    """Wait until the metrics hold a line."""
    async with asyncio.timeout(10):
        while not counted(observer, sample):  # noqa: ASYNC110 - metrics ring no bell
            await asyncio.sleep(0)


KEYS = [
    ("", 401),
    ("Bearer wrong", 401),
    ("Bearer", 401),
    ("s3cret", 401),
    ("Basic s3cret", 401),
    ("Bearer s3cret", 200),
    ("bearer s3cret", 200),
    ("BEARER  s3cret", 200),
]


async def test_the_key_opens_everything_but_the_probes() -> None:
    """Missing, wrong and right keys, the scheme in any case; /health and /ready need none."""
    async with served(surface(api_key="s3cret")) as proxy:
        for given, expected in KEYS:
            for path in (ECHO, "/nowhere", "/metrics"):
                method = "POST" if path == ECHO else "GET"
                reply = await proxy.request(method, path, {}, authorization=given)
                assert reply.status == expected, (given, path)
                if expected == 401:
                    assert reply.error["code"] == "invalid_api_key"
                    assert reply.headers["www-authenticate"] == "Bearer"
        for path in ("/health", "/ready", "/v1/health"):
            assert (await proxy.get(path)).status == 200


TYPES = [
    ("application/json", 200),
    ("application/json; charset=utf-8", 200),
    ("Application/JSON", 200),
    ("application/vnd.api+json", 200),
    ("", 415),
    ("text/plain", 415),
    ("application/x-www-form-urlencoded", 415),
    ("application/jsonp", 415),
]


async def test_only_json_is_read() -> None:
    """What a web page can send by itself must not drive a server on loopback."""
    async with served(surface()) as proxy:
        for kind, expected in TYPES:
            reply = await proxy.post(ECHO, {}, content_type=kind)
            assert reply.status == expected, kind
            assert expected == 200 or reply.error["code"] == "unsupported_media_type"


async def test_a_body_ends_at_the_limit() -> None:
    """With its length told or in chunks: as large as the limit passes, one more byte does not."""
    async with served(surface()) as proxy:
        for size, status in ((LIMIT, 200), (LIMIT + 1, 413), (10**6, 413)):
            whole = await proxy.post(ECHO, b"x" * size)
            assert whole.status == status
            half = size // 2
            body = b"%x\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (
                half,
                b"x" * half,
                size - half,
                b"x" * (size - half),
            )
            reply = await proxy.post(ECHO, body, content_length="", transfer_encoding="chunked")
            assert reply.status == status
            if status == 413:
                assert reply.error["code"] == "request_too_large"
                assert whole.error["message"] == f"The request body is larger than {LIMIT} bytes."


async def test_a_length_over_the_limit_is_refused_before_the_body() -> None:
    """The refusal comes while the client still waits for `100 Continue`."""
    async with served(surface()) as proxy:
        connection = await proxy.connect()
        head = request("POST", ECHO, b"", content_length="100000", expect="100-continue")
        await connection.send(head)
        assert (await connection.reply()).status == 413


def twice(body: bytes) -> bytes:
    """Deflated, then gzipped."""
    return gzip.compress(zlib.compress(body))


ENCODED: list[tuple[str, Callable[[bytes], bytes], int]] = [
    ("gzip", gzip.compress, 200),
    ("x-gzip", gzip.compress, 200),
    ("deflate", zlib.compress, 200),
    ("deflate, gzip", twice, 200),
    ("identity", bytes, 200),
    ("gzip", bytes, 400),
    ("br", bytes, 415),
    ("zstd", bytes, 415),
]


async def test_a_compressed_body_is_what_it_was() -> None:
    """Or the refusal names the encoding: that its JSON is malformed would help nobody."""
    async with served(surface()) as proxy:
        for encoding, pack, status in ENCODED:
            reply = await proxy.post(ECHO, pack(b"x" * LIMIT), content_encoding=encoding)
            assert reply.status == status, encoding
            if status == 200:
                assert reply.body == b"%d" % LIMIT
            else:
                assert encoding in reply.error["message"]
            if status == 415:
                assert reply.error["code"] == "unsupported_content_encoding"
                assert reply.headers["accept-encoding"] == "gzip, deflate"


async def test_the_limit_holds_for_what_a_body_becomes_and_for_what_it_is() -> None:
    """A bomb ends at it, and so does what is long and becomes little."""
    async with served(surface()) as proxy:
        bomb = await proxy.post(ECHO, gzip.compress(b"x" * (LIMIT + 1)), content_encoding="gzip")
        assert bomb.error["code"] == "request_too_large"
        # members that hold nothing
        long = gzip.compress(b"") * 4
        body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(long), long)
        reply = await proxy.post(
            ECHO, body, content_length="", transfer_encoding="chunked", content_encoding="gzip"
        )
        assert reply.error["code"] == "request_too_large"


IDS = [
    ("trace-1:a/b_c.d+e=f@g", True),
    ("x" * 128, True),
    ("x" * 129, False),
    ("two words", False),
    ("<script>", False),
    ("é", False),
    ('"', False),
]


async def test_a_sane_request_id_comes_back_and_another_is_replaced() -> None:
    """It goes into our log and back into a header."""
    async with served(surface()) as proxy:
        for given, kept in IDS:
            reply = await proxy.get("/x", x_request_id=given)
            assert (reply.headers["x-request-id"] == given) is kept
            assert kept or reply.headers["x-request-id"].startswith("req_")
        first, second = await proxy.get("/x"), await proxy.get("/x")
        assert first.headers["x-request-id"] != second.headers["x-request-id"]


async def test_every_reply_has_its_identity_and_its_time() -> None:
    """Endpoints, refusals and what lies behind alike, and the operator's extra headers."""
    app = surface(extra_headers=(("x-lorax-mock", "1"),))
    async with served(app) as proxy:
        for reply in (
            await proxy.post(ECHO, {}),
            await proxy.post(ECHO, b"x" * 99),
            await proxy.get(ECHO),
            await proxy.get("/x"),
        ):
            assert reply.headers["x-request-id"].startswith("req_")
            assert int(reply.headers["openai-processing-ms"]) >= 0
            assert reply.headers["x-lorax-mock"] == "1"


async def test_paths_have_one_v1_at_most() -> None:
    """`/v1` is taken off once; the rest is a path as it stands."""
    async with served(surface()) as proxy:
        assert (await proxy.post("/chat/completions", {})).status == 200
        assert (await proxy.post(ECHO, {})).status == 200
        assert (await proxy.get("/v1/v1/x")).body == b"GET /v1/x"
        assert (await proxy.get("/v1x")).body == b"GET /v1x"
        assert (await proxy.get("/v1/a%2Fb%20c")).body == b"GET /a/b c"


async def test_an_endpoint_is_for_posts() -> None:
    """Another method is a 405 that names the one allowed; HEAD has no body."""
    async with served(surface()) as proxy:
        for method in ("GET", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"):
            reply = await proxy.request(method, ECHO)
            assert reply.status == 405
            assert reply.headers["allow"] == "POST"
            if method != "HEAD":
                assert reply.error["code"] == "method_not_allowed"
                assert f"Method {method} is not allowed on {ECHO}" in reply.error["message"]


async def test_head_is_answered_like_get_without_a_body() -> None:
    """Load balancers probe with it."""
    async with served(surface()) as proxy:
        connection = await proxy.connect()
        await connection.send(request("HEAD", "/health") + request("GET", "/health"))
        head = await connection.reply(bodiless=True)
        assert (head.status, head.headers["content-length"]) == (200, str(len(b"GET /health")))
        # nothing of a body came between
        assert (await connection.reply()).body == b"GET /health"


async def test_connections_are_kept_and_pipelined() -> None:
    """Several requests on one connection, sent at once: each answer in its turn, refusals too."""
    async with served(surface()) as proxy:
        connection = await proxy.connect()
        await connection.send(
            request("POST", ECHO, b"four")
            + request("POST", ECHO, b"x" * (LIMIT + 1))
            + request("GET", ECHO)
            + request("POST", ECHO, b"seven..")
        )
        replies = [await connection.reply() for _ in range(4)]
        assert [reply.status for reply in replies] == [200, 413, 405, 200]
        assert (replies[0].body, replies[3].body) == (b"4", b"7")


async def test_a_client_that_leaves_in_the_middle_of_its_body_is_no_error() -> None:
    """Nothing is answered, it is counted as what it is, and the server lives."""
    observer = Observer("error")
    async with served(surface(observer=observer)) as proxy:
        connection = await proxy.connect()
        await connection.send(request("POST", ECHO, b"half", content_length="40"))
        connection.leave()
        sample = 'lorax_proxy_requests_total{error="client_left",path="/chat/completions",status="0"} 1.0'
        await until(observer, sample)
        assert (await proxy.post(ECHO, {})).status == 200


async def test_work_for_a_client_that_left_is_cancelled() -> None:
    """A watcher sees it go, whatever the work waits for."""
    observer = Observer("error")
    begun, cancelled = asyncio.Event(), asyncio.Event()

    async def forever(client: Client) -> None:
        await client.body(LIMIT)

        async def work() -> None:
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()

        await until_gone(client, work)

    async with served(surface(forever, observer=observer)) as proxy:
        connection = await proxy.open("POST", ECHO, {})
        await begun.wait()
        connection.leave()
        async with asyncio.timeout(10):
            await cancelled.wait()
        sample = 'lorax_proxy_requests_total{error="client_left",path="/chat/completions",status="0"} 1.0'
        await until(observer, sample)


def bug(moment: str) -> Callable[[Client], Awaitable[None]]:
    """An endpoint with a bug at some moment of its answer."""

    async def endpoint(client: Client) -> None:
        await client.body(LIMIT)
        if moment != "before":
            await client.start(200, (("content-type", "text/event-stream"),))
            client.write(b"data: {}\n\n")
        if moment == "after":
            client.end(b"data: [DONE]\n\n")
        raise ValueError("secret prompt")

    return endpoint


@pytest.mark.parametrize("moment", ["before", "during", "after"])
async def test_a_bug_of_ours_is_told_without_what_it_was(
    moment: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A 500 envelope, an error event, or nothing more: by how far the answer is. The log has it."""
    async with served(surface(bug(moment))) as proxy:
        reply = await proxy.post(ECHO, {}, x_request_id="mine")
        assert (await proxy.get("/x")).status == 200
    assert b"secret" not in reply.body
    assert b"Traceback" not in reply.body
    assert reply.complete
    if moment == "before":
        assert reply.status == 500
        assert reply.error["code"] == "internal_error"
        assert "mine" in reply.error["message"]
        assert reply.headers["x-should-retry"] == "false"
    elif moment == "during":
        assert reply.chunks[-1]["error"]["code"] == "internal_error"
        assert "[DONE]" not in reply.events
    else:
        assert reply.events == ["{}", "[DONE]"]
    (line,) = [each for each in capsys.readouterr().err.splitlines() if '"bug"' in each]
    assert json.loads(line)["request_id"] == "mine"
    assert "ValueError" in json.loads(line)["exception"]


@pytest.mark.parametrize("answered", [True, False])
async def test_a_bug_behind_the_surface_is_told_once(*, answered: bool) -> None:
    """FastAPI answers a bug and raises it again; an application that only raises gets our 500."""

    async def broken(scope: Any, receive: Any, send: Any) -> None:
        if answered:
            await fallback(scope, receive, send)
        raise ValueError("secret")

    async with served(surface(behind=broken)) as proxy:
        reply = await proxy.get("/x")
    assert reply.status == (200 if answered else 500)
    assert b"secret" not in reply.body


async def test_a_refusal_is_openais_envelope() -> None:
    """All four keys, the status, and the headers that belong to it."""

    async def refuses(_client: Client) -> None:
        raise RequestRefused("No é.", status=418, param="p", code="c", headers=(("a", "b"),))

    async with served(surface(refuses)) as proxy:
        reply = await proxy.post(ECHO, {})
    assert reply.status == 418
    assert reply.headers["a"] == "b"
    assert reply.error == {
        "message": "No é.",
        "type": "invalid_request_error",
        "param": "p",
        "code": "c",
    }


async def test_requests_are_counted_by_route_and_never_by_path() -> None:
    """Whoever asks for a million paths, with a key or without, makes one series."""
    observer = Observer("error")
    async with served(surface(observer=observer, api_key="k")) as proxy:
        for number in range(3):
            await proxy.get(f"/{number}")
            await proxy.get(f"/{number}", authorization="Bearer k")
        await proxy.post(ECHO, {}, authorization="Bearer k")
    text = observer.metrics().decode()
    assert 'path="/1"' not in text
    assert (
        'lorax_proxy_requests_total{error="invalid_api_key",path="other",status="401"} 3.0' in text
    )
    assert 'lorax_proxy_requests_total{error="",path="/chat/completions",status="200"} 1.0' in text
    assert "lorax_proxy_active_requests 0.0" in text


async def test_the_gauge_tells_how_many_answers_are_under_way() -> None:
    """One more while an answer is under way, one less when it is over."""
    observer = Observer("error")
    gate = asyncio.Event()

    async def waits(client: Client) -> None:
        await gate.wait()
        await client.reply(b"{}")

    async with served(surface(waits, observer=observer)) as proxy:
        connection = await proxy.open("POST", ECHO, {})
        await until(observer, "lorax_proxy_active_requests 1.0")
        gate.set()
        reply: Reply = await connection.reply()
        assert reply.status == 200
        await until(observer, "lorax_proxy_active_requests 0.0")
