"""The whole application: its reading routes, its document, its refusals, its start and its end."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from lorax_proxy.app import create_app
from lorax_proxy.config import ModelSettings, UpstreamSettings
from lorax_proxy.upstream.transport import Response
from tests.proxy.memory import MemoryResponse, MemoryTransport
from tests.proxy.running import (
    INFO,
    chat,
    ended,
    final,
    generation,
    lorax,
    running,
    served,
    settings_for,
    tokens,
)
from tests.proxy.servers import (
    LAST_CHUNK,
    Hold,
    ScriptedServer,
    Send,
    Stall,
    Step,
    chunk,
    event_stream,
    json_answer,
)

CHAT = "/v1/chat/completions"
MODELS = [
    ModelSettings(name="org/deep/er", adapter="a/b"),
    ModelSettings(name="with space é", adapter="a/c"),
]


def scripted(**more: Any) -> ScriptedServer:
    """A LoRAX that answers what it is asked."""
    whole = [Send(json_answer(generation("Hi")))]
    return ScriptedServer(lorax(generate=whole, stream=ended("Hi"), **more))


async def test_models_are_listed_and_found_one_by_one() -> None:
    """Base and configured ones, with and without /v1; ids hold slashes, encoded or not."""
    async with scripted() as server, running(server, model=MODELS) as proxy:
        await proxy.get("/ready")
        for prefix in ("", "/v1"):
            listed = (await proxy.get(f"{prefix}/models")).json()
            assert listed["object"] == "list"
            ids = [each["id"] for each in listed["data"]]
            assert ids == [INFO["model_id"], "org/deep/er", "with space é"]
            for path, name in (
                ("org/deep/er", "org/deep/er"),
                ("org%2Fdeep%2Fer", "org/deep/er"),
                ("with%20space%20%C3%A9", "with space é"),
            ):
                one = await proxy.get(f"{prefix}/models/{path}")
                assert one.json() == {
                    "id": name,
                    "object": "model",
                    "created": 0,
                    "owned_by": "lorax",
                }
        missing = await proxy.get("/v1/models/org/deep/e")
        assert missing.status == 404
        assert missing.error["code"] == "model_not_found"
        assert "`org/deep/er`" in missing.error["message"]
        assert (await proxy.get("/v1/models/%ff")).status == 404


REFUSED: list[tuple[str, str, int, str, str]] = [
    ("GET", "/", 404, "unknown_url", "GET /"),
    ("GET", "/v1", 404, "unknown_url", "GET /v1"),
    ("POST", "/v1/nope", 404, "unknown_url", "POST /v1/nope"),
    ("POST", "/v1/v1/chat/completions", 404, "unknown_url", "/v1/v1/chat/completions"),
    ("POST", "/v1/chat/completions/", 404, "unknown_url", "/v1/chat/completions/"),
    ("GET", "/health/", 404, "unknown_url", "/health/"),
    ("POST", "/v1/responses", 404, "unknown_url", "Use POST /v1/chat/completions"),
    ("GET", "/responses/resp_1", 404, "unknown_url", "Use POST /v1/chat/completions"),
    ("POST", "/v1/models", 405, "method_not_allowed", "POST is not allowed on /v1/models"),
    ("DELETE", "/v1/models/a/b", 405, "method_not_allowed", "DELETE is not allowed"),
    ("OPTIONS", "/v1/models", 405, "method_not_allowed", "OPTIONS is not allowed"),
    ("OPTIONS", "/v1/chat/completions", 405, "method_not_allowed", "OPTIONS is not allowed"),
    ("TRACE", "/health", 405, "method_not_allowed", "TRACE is not allowed"),
]


async def test_what_is_not_there_is_an_envelope() -> None:
    """Unknown paths and wrong methods, in the path that the client wrote."""
    async with scripted() as server, running(server) as proxy:
        for method, path, status, code, told in REFUSED:
            reply = await proxy.request(method, path, {} if method == "POST" else None)
            assert reply.status == status, (method, path)
            assert reply.error["code"] == code
            assert told in reply.error["message"]
            assert ("allow" in reply.headers) == (status == 405), (method, path)
            assert "openai-processing-ms" in reply.headers


async def test_cors_is_off_until_origins_are_set() -> None:
    """A web page may not call a server on loopback, unless the operator named its origin."""
    ours, theirs = "http://ours.example", "http://theirs.example"
    ask = {
        "access_control_request_method": "POST",
        "access_control_request_headers": "content-type",
    }
    async with scripted() as server:
        async with running(server) as proxy:
            preflight = await proxy.request("OPTIONS", CHAT, origin=ours, **ask)
            assert preflight.status == 405
            reply = await proxy.post(CHAT, chat(), origin=ours)
            assert "access-control-allow-origin" not in reply.headers
        async with running(server, cors_origins=[ours], api_key="k") as proxy:
            # a preflight carries no key
            preflight = await proxy.request("OPTIONS", CHAT, origin=ours, **ask)
            assert preflight.status == 200
            assert preflight.headers["access-control-allow-origin"] == ours
            # a page of the public web that asks for a server in its user's own network
            private = {"access_control_request_private_network": "true", **ask}
            preflight = await proxy.request("OPTIONS", CHAT, origin=ours, **private)
            assert preflight.status == 200
            assert preflight.headers["access-control-allow-private-network"] == "true"
            foreign = await proxy.request("OPTIONS", CHAT, origin=theirs, **private)
            assert foreign.status == 400
            foreign = await proxy.request("OPTIONS", CHAT, origin=theirs, **ask)
            assert "access-control-allow-origin" not in foreign.headers
            reply = await proxy.post(CHAT, chat(), origin=ours, authorization="Bearer k")
            assert reply.status == 200
            assert reply.headers["access-control-allow-origin"] == ours
            assert "x-request-id" in reply.headers["access-control-expose-headers"]


async def test_a_page_cannot_drive_a_server_on_loopback_by_a_name_of_its_own() -> None:
    """DNS rebinding: without a key the `Host` decides; with one, the key does."""
    async with scripted() as server:
        async with running(server, allowed_hosts=["api.example"]) as proxy:
            for host, status in (("evil.example", 403), ("api.example:1", 200), ("[::1]:1", 200)):
                reply = await proxy.post(CHAT, chat(), host=host)
                assert reply.status == status, host
                assert status == 200 or reply.error["code"] == "host_not_allowed"
            assert (await proxy.get("/ready", host="evil.example")).status == 200
        async with running(server, api_key="k") as proxy:
            reply = await proxy.post(CHAT, chat(), host="any.example", authorization="Bearer k")
            assert reply.status == 200


async def test_a_demo_marks_every_reply() -> None:
    """Invented text says so, whichever route it is."""
    async with scripted() as server, running(server, demo=True) as proxy:
        for reply in (
            await proxy.post(CHAT, chat()),
            await proxy.post(CHAT, chat(stream=True)),
            await proxy.get("/v1/models"),
            await proxy.get("/nope"),
        ):
            assert reply.headers["x-lorax-mock"] == "1"


async def test_metrics_are_prometheus_text_and_need_the_key() -> None:
    """What a request did can be read back."""
    async with scripted() as server, running(server, api_key="k") as proxy:
        await proxy.post(CHAT, chat(stream=True), authorization="Bearer k")
        assert (await proxy.get("/metrics")).status == 401
        reply = await proxy.get("/metrics", authorization="Bearer k")
    assert reply.headers["content-type"].startswith("text/plain")
    assert (
        b'lorax_proxy_requests_total{error="",path="/chat/completions",status="200"} 1.0'
        in reply.body
    )
    assert b'lorax_proxy_tokens_total{direction="completion"} 2.0' in reply.body


def bugs(*pieces: bytes | Exception) -> MemoryTransport:
    """A transport with a bug: it raises what no transport may."""

    def answers(_path: str) -> Response:
        if not pieces:
            raise ValueError("SECRET")
        return MemoryResponse(pieces)

    return MemoryTransport(answers)


@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("stream", [True, False])
async def test_a_transport_with_a_bug_is_a_500_that_tells_nothing(
    capsys: pytest.CaptureFixture[str], n: int, *, stream: bool
) -> None:
    """Before the stream began: an envelope with our id; the log has the rest."""
    upstream = [UpstreamSettings(url="http://lorax")]
    async with running(open_transport=lambda _: bugs(), upstream=upstream) as proxy:
        reply = await proxy.post(CHAT, chat(stream=stream, n=n), x_request_id="mine")
    assert reply.status == 500
    assert reply.error["code"] == "internal_error"
    assert b"SECRET" not in reply.body
    assert "SECRET" in capsys.readouterr().err


@pytest.mark.parametrize("n", [1, 2])
async def test_a_bug_in_the_middle_of_a_stream_is_an_error_event(n: int) -> None:
    """The client is told, and never [DONE]; no choice is left waiting."""
    upstream = [UpstreamSettings(url="http://lorax")]
    transport = bugs(tokens("a"), ValueError("SECRET"))
    async with running(open_transport=lambda _: transport, upstream=upstream) as proxy:
        reply = await proxy.post(CHAT, chat(stream=True, n=n))
    assert reply.status == 200
    assert reply.chunks[-1]["error"]["code"] == "internal_error"
    assert "[DONE]" not in reply.events
    assert b"SECRET" not in reply.body
    assert all(isinstance(each, MemoryResponse) and each.closed for each in transport.opened)


async def test_a_bug_in_a_reading_route_is_an_envelope_too(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """FastAPI's own answer to a bug is plain text; ours is not."""
    # a name that no file or environment can hold: it cannot be written as UTF-8
    broken = ModelSettings.model_construct(name="\ud800")
    settings = settings_for(upstream=[UpstreamSettings(url="http://lorax")])
    settings = settings.model_copy(update={"model": [broken]})
    async with served(create_app(settings, open_transport=lambda _: bugs())) as proxy:
        reply = await proxy.get("/v1/models", x_request_id="mine")
        assert (await proxy.get("/health")).status == 200
    assert reply.status == 500
    assert reply.error["code"] == "internal_error"
    assert "mine" in reply.error["message"]
    assert reply.headers["x-request-id"] == "mine"
    bug, asked = map(json.loads, capsys.readouterr().err.splitlines())
    assert bug["event"] == "bug"
    assert (asked["level"], asked["reason"]) == ("warning", reply.error["message"])


async def test_it_says_at_start_what_it_serves(capsys: pytest.CaptureFixture[str]) -> None:
    """The base model and its template; without a template a warning."""
    seen: list[Any] = []
    for model_id in (INFO["model_id"], "someone/own"):
        async with scripted(info={**INFO, "model_id": model_id}) as server:
            async with running(server, log_level="info") as proxy:
                await proxy.get("/ready")
            lines = capsys.readouterr().err.splitlines()
            seen.append([(line["event"], line["level"]) for line in map(json.loads, lines)][:2])
    assert seen == [
        [("upstream_ready", "info"), ("chat_template", "info")],
        [("upstream_ready", "info"), ("chat_template_missing", "warning")],
    ]


@pytest.mark.slow
async def test_an_upstream_that_is_not_there_is_told_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With its address and the cause in words."""
    steps: Sequence[Step] = [Send(json_answer({}, 500))]
    async with ScriptedServer(lorax(more={"/info": steps})) as server:
        async with running(server) as proxy:
            # it asks by itself, once a second, and /ready joins its second question
            await server.next_request(2)
            await proxy.get("/ready")
        url = server.url
    (line,) = [
        each for each in capsys.readouterr().err.splitlines() if "upstream_not_ready" in each
    ]
    told = json.loads(line)
    assert (told["upstream"], told["url"]) == ("default", url)
    assert told["cause"] == "answered 500"


async def test_its_end_lets_go_of_what_is_kept_for_nobody() -> None:
    """Requests that outlived their clients end with the proxy."""
    script = lorax(stream=[Send(event_stream()), Stall()])
    async with ScriptedServer(script) as server:
        async with running(server) as proxy:
            connection = await proxy.open("POST", CHAT, chat(model="org/cold"))
            # behind /info and two times /tokenize
            request = await server.next_request(4)
            assert request.path == "/generate_stream"
            connection.leave()
        await server.client_left(request.connection)


async def test_a_stream_under_way_survives_a_request_beside_it() -> None:
    """One connection waits, another is served: nothing of one request blocks another."""
    hold = Hold()
    steps: list[Step] = [
        Send(event_stream() + chunk(tokens("a"))),
        hold,
        Send(chunk(final("</s>", count=2)) + LAST_CHUNK),
    ]
    script = lorax(stream=steps, generate=[Send(json_answer(generation("Hi")))])
    async with ScriptedServer(script) as server, running(server) as proxy:
        connection = await proxy.open("POST", CHAT, chat(stream=True))
        await connection.until(b'"a"')
        assert (await proxy.post(CHAT, chat())).status == 200
        hold.gate.set()
        assert b"[DONE]" in await connection.until(b"[DONE]\n\n")
