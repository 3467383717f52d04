"""What is known of an upstream: asked for once, when it is needed, and again after a loss."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.proxy.running import INFO, chat, ended, generation, lorax, running, tokens
from tests.proxy.servers import (
    Fin,
    Hold,
    Request,
    ScriptedServer,
    Send,
    Step,
    answer,
    chunk,
    event_stream,
    in_order,
    json_answer,
    refusing_port,
)

CHAT = "/v1/chat/completions"
TEXT = "/v1/completions"


def paths(server: ScriptedServer) -> list[str]:
    """The paths that were asked for."""
    return [request.path for request in server.requests]


def whole(text: str = "Hi") -> list[Step]:
    """/generate's answer."""
    return [Send(json_answer(generation(text)))]


async def test_an_upstream_that_is_down_is_a_503_until_it_is_up() -> None:
    """Requests are told to come back, /ready says so, and the first one after that is answered."""
    with refusing_port() as port:
        pass
    url = f"http://127.0.0.1:{port}"
    async with running(upstream=url, connect_retries=0) as proxy:
        for path, body in (
            (CHAT, chat()),
            ("/v1/completions", {"model": "", "prompt": "x"}),
            (CHAT, chat(stream=True)),
        ):
            reply = await proxy.post(path, body)
            assert reply.status == 503
            assert reply.error["code"] == "upstream_unavailable"
            assert reply.headers["retry-after"] == "2"
            assert "x-should-retry" not in reply.headers
        ready = await proxy.get("/ready")
        assert (ready.status, ready.json()) == (503, {"upstreams": {"default": False}})
        assert (await proxy.get("/health")).status == 200
        async with ScriptedServer(lorax(generate=whole()), port=port):
            assert (await proxy.post(CHAT, chat())).status == 200
            assert (await proxy.get("/ready")).status == 200


@pytest.mark.parametrize(
    "info",
    [
        pytest.param([Send(answer(500, b""))], id="500"),
        pytest.param([Send(answer(200, b"nonsense"))], id="nonsense"),
        pytest.param([Send(json_answer({"model_id": "x"}))], id="incomplete"),
        pytest.param([Fin()], id="closed"),
    ],
)
async def test_an_info_that_tells_nothing_is_not_ready(info: Sequence[Step]) -> None:
    """Whatever it is, it is the upstream's failure and no bug of ours."""
    async with ScriptedServer(lorax(more={"/info": info})) as server, running(server) as proxy:
        assert (await proxy.post(CHAT, chat())).status == 503
        assert (await proxy.get("/ready")).status == 503


@pytest.mark.parametrize(
    ("status", "expected", "waits"),
    [(401, 502, None), (302, 502, None), (429, 429, "7"), (503, 503, "7"), (504, 503, "2")],
)
@pytest.mark.parametrize("path", ["/info", "/tokenize"])
async def test_what_a_gateway_says_of_the_facts_is_told(
    path: str, status: int, expected: int, waits: str | None
) -> None:
    """Whoever asks for a chat is told its status, and may come again if it says so."""
    step = [Send(answer(status, b"", retry_after="7"))]
    async with ScriptedServer(lorax(more={path: step})) as server, running(server) as proxy:
        for _ in range(2):
            reply = await proxy.post(CHAT, chat())
            assert reply.status == expected
            assert reply.headers.get("retry-after") == waits
            assert (str(status) in reply.error["message"]) is (status != 504)
        assert (await proxy.get("/ready")).status == 503


async def test_requests_at_once_ask_once() -> None:
    """They wait for one question together; a client that leaves does not take it away."""
    hold = Hold()
    info: list[Step] = [hold, Send(json_answer(INFO))]
    script = lorax(generate=whole(), more={"/info": info})
    async with ScriptedServer(script) as server, running(server) as proxy:
        waiting = [await proxy.open("POST", CHAT, chat()) for _ in range(3)]
        # a request of each came in before this one was answered
        assert (await proxy.get("/health")).status == 200
        waiting[0].leave()
        hold.gate.set()
        for connection in waiting[1:]:
            assert (await connection.reply()).status == 200
    assert paths(server).count("/info") == 1
    assert paths(server).count("/generate") == 2


async def test_a_lost_upstream_is_asked_again() -> None:
    """Another model may answer next time: its name appears, and the old one is gone."""
    other = {**INFO, "model_id": "Qwen/Qwen2.5-7B-Instruct", "version": "0.2.0"}
    broken: list[Step] = [Send(event_stream() + chunk(tokens("a"))), Fin()]
    infos = in_order([Send(json_answer(INFO))], [Send(json_answer(other))])
    script = lorax(stream=in_order(broken, ended("b")), more={"/info": infos})
    async with ScriptedServer(script) as server, running(server) as proxy:
        lost = await proxy.post(CHAT, chat(stream=True))
        assert lost.chunks[0]["system_fingerprint"] == "lorax-0.1.0-native"
        reply = await proxy.post(CHAT, {**chat(stream=True), "model": other["model_id"]})
        assert reply.chunks[0]["system_fingerprint"] == "lorax-0.2.0-native"
        models = (await proxy.get("/v1/models")).json()["data"]
        assert [model["id"] for model in models] == [other["model_id"]]


async def test_a_lost_upstream_is_found_again_by_a_probe() -> None:
    """A load balancer sends no requests while /ready says no: its probe is what asks."""
    script = lorax(stream=[Send(event_stream() + chunk(tokens("a"))), Fin()])
    async with ScriptedServer(script) as server, running(server) as proxy:
        await proxy.post(CHAT, chat(stream=True))
        before = paths(server).count("/info")
        assert (await proxy.get("/ready")).status == 200
        assert paths(server).count("/info") == before + 1


def tokenizer(answers: dict[bool, Any]) -> Any:
    """A /tokenize that answers with and without special tokens as given; a number is a status."""

    def script(request: Request) -> Sequence[Step]:
        told = answers[request.json()["add_special_tokens"]]
        if isinstance(told, int):
            return [Send(json_answer({"error": "No fast tokenizer", "error_type": "x"}, told))]
        pieces = [{"id": 100 + len(text), "text": text} for text in told]
        return [Send(json_answer(pieces))]

    return script


PROBES: list[tuple[str, dict[bool, Any], dict[str, Any], str]] = [
    ("adds BOS", {True: ["<s>", "a"], False: ["a"]}, {}, "[INST] hi [/INST]"),
    ("adds none", {True: ["a"], False: ["a"]}, {}, "<s>[INST] hi [/INST]"),
    ("cannot tell", {True: 404, False: 404}, {}, "[INST] hi [/INST]"),
    ("cannot tell, set", {True: 404, False: 404}, {"adds_bos": False}, "<s>[INST] hi [/INST]"),
]


@pytest.mark.parametrize(
    ("answers", "settings", "prompt"), [p[1:] for p in PROBES], ids=[p[0] for p in PROBES]
)
async def test_bos_is_sent_where_generate_does_not_add_it(
    answers: dict[bool, Any], settings: dict[str, Any], prompt: str
) -> None:
    """The model sees one BOS, whoever writes it; what /tokenize cannot tell is a setting."""
    script = lorax(generate=whole(), more={"/tokenize": tokenizer(answers)})
    async with (
        ScriptedServer(script) as server,
        running(upstream=[{"url": server.url, **settings}]) as proxy,
    ):
        assert (await proxy.post(CHAT, chat())).status == 200
        (request,) = [each for each in server.requests if each.path == "/generate"]
        assert request.json()["inputs"] == prompt


async def test_a_tokenizer_that_appends_eos_can_complete_but_not_chat() -> None:
    """Every prompt would end in EOS: chat is refused with the reason, completions work."""
    answers = {True: ["<s>", "a", "</s>"], False: ["a"]}
    script = lorax(generate=whole(), more={"/tokenize": tokenizer(answers)})
    async with ScriptedServer(script) as server, running(server) as proxy:
        refused = await proxy.post(CHAT, chat())
        completed = await proxy.post("/v1/completions", {"model": "", "prompt": "x"})
    assert refused.status == 500
    assert refused.error["code"] == "tokenizer_appends_eos"
    assert completed.status == 200


async def test_top_k_is_held_to_the_vocabulary(tmp_path: Path) -> None:
    """Known by a setting, or by the model's folder if no other upstream could be meant."""
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"chat_template": "{{ messages }}"}))
    (tmp_path / "config.json").write_text(json.dumps({"vocab_size": 3000}))
    body = {"model": INFO["model_id"], "prompt": "x", "top_k": 3001}
    async with ScriptedServer(lorax(generate=whole())) as server:
        one: dict[str, Any] = {"url": server.url}
        for upstreams, folder, status in (
            ([one], None, 400),
            ([{**one, "vocabulary_size": 3000}], None, 200),
            ([one], tmp_path, 200),
            ([one, {**one, "name": "two"}], tmp_path, 400),
        ):
            async with running(upstream=upstreams, tokenizer=folder) as proxy:
                reply = await proxy.post(TEXT, body)
            assert reply.status == status, reply
        sent = [each.json()["parameters"] for each in server.asked("/generate")]
    # the whole vocabulary is no restriction
    assert [each.get("top_k") for each in sent] == [None, None]
    assert all(each["do_sample"] for each in sent)


async def test_a_proxy_can_end_while_it_asks() -> None:
    """An upstream that says nothing does not keep it, and leaves no task behind."""
    before = asyncio.all_tasks()
    script = lorax(more={"/info": [Hold()]})
    async with ScriptedServer(script) as server, asyncio.timeout(5), running(server):
        await server.next_request()
    assert asyncio.all_tasks() == before
