"""The endpoints: a request's bytes become something to deliver, or a refusal in OpenAI's words."""

import base64
import json
import struct
from collections.abc import Sequence
from typing import Any

import pytest

from lorax_proxy.config import ModelSettings
from tests.proxy.running import INFO, chat, ended, generation, lorax, running
from tests.proxy.servers import (
    Hold,
    Request,
    ScriptedServer,
    Send,
    Stall,
    Step,
    answer,
    json_answer,
)

CHAT = "/v1/chat/completions"
TEXT = "/v1/completions"
EMBED = "/v1/embeddings"


def scripted(**more: Any) -> ScriptedServer:
    """A LoRAX that answers what it is asked."""
    whole = [Send(json_answer(generation("Hi")))]
    return ScriptedServer(lorax(generate=whole, stream=ended("Hi"), **more))


GOOD = json.dumps(chat())
BAD: list[tuple[str, bytes, str | None]] = [
    ("no body", b"", None),
    ("no JSON", b"{", None),
    ("trailing comma", b'{"model":"a",}', None),
    ("more than JSON", GOOD.encode() + b"x", None),
    ("not an object", b"[]", None),
    ("a number", b"5", None),
    ("null", b"null", None),
    ("invalid UTF-8", b'{"model":"\xff"}', None),
    ("a UTF-16 body", GOOD.encode("utf-16"), None),
    ("lone surrogate", b'{"model":"\\ud800"}', None),
    ("lone surrogate in a key", b'{"\\ud800":1}', None),
    ("raw control character", b'{"model":"a\nb"}', None),
    ("nested too deeply", b"[" * 100_000, None),
    ("nested objects", b'{"a":' * 100_000, None),
    ("closed and nested", b'{"model":' + b"[" * 100_000 + b"]" * 100_000 + b"}", None),
    ("a number too big", b'{"model":"","seed":1e999}', None),
    ("NaN", b'{"model":"","temperature":NaN}', None),
    ("no model", b"{}", "model"),
    ("model is a number", b'{"model":1}', "model"),
    ("no messages", b'{"model":""}', "messages"),
    ("messages is an object", b'{"model":"","messages":{}}', "messages"),
    ("no messages in it", b'{"model":"","messages":[]}', "messages"),
    ("unknown role", b'{"model":"","messages":[{"role":"x","content":"y"}]}', "messages[0].role"),
    ("unknown parameter", json.dumps(chat(temprature=1)).encode(), "temprature"),
    ("temperature is a text", json.dumps(chat(temperature="1")).encode(), "temperature"),
    ("temperature too high", json.dumps(chat(temperature=3)).encode(), "temperature"),
    ("n is zero", json.dumps(chat(n=0)).encode(), "n"),
    ("n is huge", json.dumps(chat(n=10**400)).encode(), "n"),
    ("seed is huge", json.dumps(chat(seed=10**400)).encode(), "seed"),
    ("max_tokens is huge", json.dumps(chat(max_tokens=10**30)).encode(), "max_tokens"),
    ("max_tokens is negative", json.dumps(chat(max_tokens=-1)).encode(), "max_tokens"),
    ("empty stop", json.dumps(chat(stop=[""])).encode(), "stop[0]"),
    ("bias", json.dumps(chat(logit_bias={"5": 1})).encode(), "logit_bias"),
    ("options, no stream", json.dumps(chat(stream_options={})).encode(), "stream_options"),
]


async def test_every_malformed_body_is_an_envelope_and_the_server_lives() -> None:
    """A 4xx with all four keys, the parameter where there is one, an id, and no traceback."""
    async with scripted() as server, running(server) as proxy:
        for name, body, param in BAD:
            reply = await proxy.post(CHAT, body)
            assert 400 <= reply.status < 500, (name, reply)
            assert reply.error["type"] == "invalid_request_error", name
            assert reply.error["param"] == param, (name, reply.error)
            assert reply.headers["x-request-id"], name
            assert len(reply.error["message"]) < 1000, name
            assert "Traceback" not in reply.error["message"], name
        assert (await proxy.post(CHAT, chat())).status == 200
    assert [each.path for each in server.requests].count("/generate") == 1


@pytest.mark.parametrize("path", [CHAT, TEXT, EMBED])
async def test_an_unknown_model_is_a_404_with_the_nearest(path: str) -> None:
    """On every endpoint, in OpenAI's words."""
    body = {**chat(), "model": "sql-expret"}
    if path != CHAT:
        body = {"model": "sql-expret", "prompt" if path == TEXT else "input": "x"}
    models = [
        ModelSettings(name="sql-expert", adapter="a/b"),
        ModelSettings(name="vec", upstream="v"),
    ]
    async with scripted() as server, scripted() as vectors:
        upstreams = [{"url": server.url}, {"url": vectors.url, "name": "v", "kind": "embed"}]
        async with running(upstream=upstreams, model=models) as proxy:
            reply = await proxy.post(path, body)
    assert reply.status == 404
    assert reply.error["code"] == "model_not_found"
    assert reply.error["param"] == "model"
    assert ("`sql-expert`" in reply.error["message"]) is (path != EMBED)


async def test_a_models_defaults_fill_what_a_client_leaves_out() -> None:
    """Also what it sends as null; what it sends wins."""
    model = ModelSettings(name="mine", defaults={"max_tokens": 5, "top_p": 0.5}, stop=["END"])
    async with scripted() as server, running(server, model=[model]) as proxy:
        await proxy.post(TEXT, {"model": "mine", "prompt": "x", "max_tokens": None})
        await proxy.post(TEXT, {"model": "mine", "prompt": "x", "max_tokens": 9})
        sent = [r.json()["parameters"] for r in server.requests if r.path == "/generate_stream"]
    assert [each["max_new_tokens"] for each in sent] == [5, 9]
    assert [each["top_p"] for each in sent] == [0.5, 0.5]
    assert [each["stop"] for each in sent] == [["END"], ["END"]]


async def test_ignored_parameters_are_named_in_a_header() -> None:
    """unsupported=ignore: the answer says what had no effect, streamed or not."""
    async with scripted() as server, running(server, unsupported="ignore") as proxy:
        for stream in (False, True):
            reply = await proxy.post(CHAT, chat(logit_bias={"5": 1}, stream=stream))
            assert reply.status == 200
            assert reply.headers["x-ignored-parameters"] == "logit_bias"
        assert "x-ignored-parameters" not in (await proxy.post(CHAT, chat())).headers


@pytest.mark.parametrize("stream", [False, True])
async def test_keywords_that_cannot_be_enforced_are_named_in_a_header(
    capsys: pytest.CaptureFixture[str], *, stream: bool
) -> None:
    """A schema is never weakened in silence: the log has the keywords, without the client's names."""
    ages = {"type": "object", "properties": {"äge": {"type": "integer", "minimum": 1}}}
    plain = {"type": "object", "properties": {"age": {"type": "integer"}}}
    document = '{"age": 1}'
    whole = [Send(json_answer(generation(document)))]
    upstream = ScriptedServer(lorax(generate=whole, stream=ended(document)))
    async with upstream as server, running(server, log_level="info") as proxy:
        path = "response_format.json_schema.schema.properties.%C3%A4ge.minimum"
        for schema, expected in ((ages, path), (plain, None)):
            wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
            reply = await proxy.post(CHAT, chat(response_format=wanted, stream=stream))
            assert reply.status == 200
            assert reply.headers.get("x-unenforced-keywords") == expected
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    told = [each.get("not_enforced") for each in lines if each["event"] == "request"]
    assert told == ["minimum", None]


async def test_one_request_becomes_a_bounded_number() -> None:
    """Choices times prompts, best_of included, up to max_choices; the parameter is named."""
    async with scripted() as server, running(server, max_choices=4) as proxy:
        for body, status, param in (
            ({"n": 4}, 200, None),
            ({"n": 5}, 400, "n"),
            ({"prompt": ["a", "b"], "n": 2}, 200, None),
            ({"prompt": ["a", "b"], "n": 3}, 400, "n"),
            ({"best_of": 5}, 400, "best_of"),
        ):
            reply = await proxy.post(TEXT, {"model": "", "prompt": "x", **body})
            assert reply.status == status, body
            assert status == 200 or reply.error["param"] == param
        expected = [each for each in server.requests if each.path == "/generate"]
    assert len(expected) == 8


async def test_a_clients_merge_is_asked_for_by_its_ids() -> None:
    """`merged_adapters` with the base model: public names become ids, weights default to one."""
    models = [ModelSettings(name="one", adapter="a/1"), ModelSettings(name="two", adapter="a/2")]
    async with scripted() as server, running(server, model=models) as proxy:
        merge = {"ids": ["one", "two"]}
        body = {"model": INFO["model_id"], "prompt": "x", "merged_adapters": merge}
        assert (await proxy.post(TEXT, body)).status == 200
        (request,) = [each for each in server.requests if each.path == "/generate_stream"]
        short = await proxy.post(TEXT, {**body, "merged_adapters": {**merge, "weights": [1.0]}})
        ties = {**merge, "merge_strategy": "ties"}
        thin = await proxy.post(TEXT, {**body, "merged_adapters": ties})
    sent = request.json()["parameters"]["merged_adapters"]
    assert (sent["ids"], sent["weights"]) == (["a/1", "a/2"], [1.0, 1.0])
    assert short.error["param"] == "merged_adapters.weights"
    assert thin.error["param"] == "merged_adapters.density"


# embeddings


def vectors(request: Request) -> Sequence[Step]:
    """A vector that tells its text: its length and its first character."""
    text = request.json()["inputs"]
    return [Send(json_answer({"embeddings": [len(text), ord(text[0]) / 2]}))]


async def test_embeddings_come_in_order_as_floats_or_base64() -> None:
    """One call a text, the vectors in the order of the texts, the tokens of all counted."""
    async with scripted(more={"/embed": vectors}) as server:
        upstreams = [{"url": server.url, "kind": "embed"}]
        async with running(upstream=upstreams) as proxy:
            many = await proxy.post(EMBED, {"model": "", "input": ["a", "bcd", "ef"]})
            one = await proxy.post(
                EMBED, {"model": "", "input": "bcd", "encoding_format": "base64"}
            )
    assert many.json() == {
        "object": "list",
        "data": [
            {"object": "embedding", "index": 0, "embedding": [1.0, 48.5]},
            {"object": "embedding", "index": 1, "embedding": [3.0, 49.0]},
            {"object": "embedding", "index": 2, "embedding": [2.0, 50.5]},
        ],
        # where the client gave no name, the model's own
        "model": INFO["model_id"],
        # a BOS with each text
        "usage": {"prompt_tokens": 9, "total_tokens": 9},
    }
    raw = base64.b64decode(one.json()["data"][0]["embedding"])
    assert struct.unpack("<2f", raw) == (3.0, 49.0)
    assert not [each for each in server.requests if each.path.startswith("/generate")]


@pytest.mark.parametrize("path", [CHAT, TEXT])
async def test_an_answer_names_the_model_that_gave_it(path: str) -> None:
    """The base model's id where the client left the name empty, and else the client's name for it."""
    more: dict[str, Any] = {"max_tokens": 3}
    async with scripted() as server, running(server) as proxy:
        for name in ("", INFO["model_id"]):
            body = {**(chat() if path == CHAT else {"prompt": "x"}), **more, "model": name}
            whole = await proxy.post(path, body)
            stream = await proxy.post(path, {**body, "stream": True})
            names = {whole.json()["model"], *(chunk["model"] for chunk in stream.chunks)}
            assert names == {INFO["model_id"]}


EMBED_FAILURES: list[tuple[str, list[Step], int, str]] = [
    ("validation", [Send(json_answer({"error": "Input validation error: x", "error_type": "validation"}, 422))], 400, "invalid_value"),
    ("failure", [Send(json_answer({"error": "Embedding Failure", "error_type": "embedding_failure"}, 500))], 502, "upstream_error"),
    ("text", [Send(answer(500, b"oops"))], 502, "upstream_error"),
    ("gateway", [Send(answer(503, b"", retry_after="9"))], 503, "upstream_unavailable"),
    ("garbage", [Send(answer(200, b"{}"))], 502, "upstream_error"),
    ("nulls", [Send(json_answer({"embeddings": [None]}))], 502, "upstream_error"),
    ("too large", [Send(json_answer({"embeddings": [1e300]}))], 502, "upstream_error"),
    ("silence", [Stall()], 504, "upstream_timeout"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("steps", "status", "code"), [e[1:] for e in EMBED_FAILURES], ids=[e[0] for e in EMBED_FAILURES]
)
async def test_an_embedding_that_fails_fails_its_request(
    steps: Sequence[Step], status: int, code: str
) -> None:
    """Whatever LoRAX answers, never a 500 of ours; one text that fails fails all."""

    def one(request: Request) -> Sequence[Step]:
        return steps if request.json()["inputs"] == "bad" else vectors(request)

    async with scripted(more={"/embed": one}) as server:
        upstreams = [{"url": server.url, "kind": "embed"}]
        async with running(upstream=upstreams, first_event_timeout=0.5) as proxy:
            body = {"model": "", "input": ["good", "bad"], "encoding_format": "base64"}
            reply = await proxy.post(EMBED, body)
    assert reply.status == status, reply
    assert reply.error["code"] == code
    assert reply.headers.get("x-should-retry") == (None if status in (400, 503) else "false")
    assert reply.headers.get("retry-after") == ("9" if status == 503 else None)


async def test_embeddings_have_a_total_time_out() -> None:
    """Not a bug of ours, but a 504."""
    async with scripted(more={"/embed": [Stall()]}) as server:
        upstreams = [{"url": server.url, "kind": "embed"}]
        async with running(upstream=upstreams, total_timeout=0.05) as proxy:
            reply = await proxy.post(EMBED, {"model": "", "input": "x"})
    assert reply.status == 504


async def test_the_total_time_out_covers_an_upstream_that_tells_nothing() -> None:
    """The wait for `/info` is part of the answer's time."""
    async with (
        scripted(more={"/info": [Stall()]}) as server,
        running(server, total_timeout=0.05) as proxy,
    ):
        reply = await proxy.post(CHAT, chat())
    assert (reply.status, reply.error["code"]) == (504, "upstream_timeout")


async def test_few_embeddings_run_at_once_and_a_client_that_leaves_ends_them() -> None:
    """Forty texts are 32 calls at a time; none outlives its client."""
    async with scripted(more={"/embed": [Hold()]}) as server:
        upstreams = [{"url": server.url, "kind": "embed"}]
        async with running(upstream=upstreams) as proxy:
            connection = await proxy.open("POST", EMBED, {"model": "", "input": ["x"] * 40})
            await server.until_asked("/embed", 32)
            assert (await proxy.get("/health")).status == 200
            calls = [each for each in server.requests if each.path == "/embed"]
            assert len(calls) == 32
            connection.leave()
            for each in calls:
                await server.client_left(each.connection)
