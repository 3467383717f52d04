"""What is known of an upstream: asked for once, when it is needed, and again after a loss."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.proxy.running import INFO, Proxy, chat, ended, generation, lorax, running, tokens
from tests.proxy.servers import (
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


OTHER = {**INFO, "model_id": "Qwen/Qwen2.5-7B-Instruct", "version": "0.2.0"}
CUT: list[Step] = [Send(event_stream() + chunk(tokens("a"))), Fin()]
TRANSPORTS = pytest.mark.parametrize("transport", ["direct", "httpx"])


class Pauses:
    """A clock that a test drives: who pauses waits until the test lets everybody go on."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._gate = asyncio.Event()
        self._paused = asyncio.Condition()

    async def __call__(self, seconds: float) -> None:
        """Wait for the test."""
        async with self._paused:
            self.seconds.append(seconds)
            self._paused.notify_all()
        await self._gate.wait()

    async def until(self, count: int) -> None:
        """Wait until there have been so many pauses."""
        async with asyncio.timeout(10), self._paused:
            await self._paused.wait_for(lambda: len(self.seconds) >= count)

    def end(self) -> None:
        """Let everybody go on."""
        self._gate.set()
        self._gate = asyncio.Event()


async def models(proxy: Proxy) -> list[str]:
    """The listed models."""
    return [model["id"] for model in (await proxy.get("/v1/models")).json()["data"]]


async def metric(proxy: Proxy, name: str) -> str:
    """A metric's value as it is written."""
    lines = (await proxy.get("/metrics")).body.decode().splitlines()
    (value,) = [line.removeprefix(name).strip() for line in lines if line.startswith(name)]
    return value


async def test_one_cut_stream_makes_no_neighbour_wait() -> None:
    """What was known stays in use: here /info never answers again, and nobody notices."""
    infos = in_order([Send(json_answer(INFO))], [Stall()])
    streams = in_order([Send(event_stream() + chunk(tokens("a"))), Stall()], CUT, ended("b"))
    async with (
        ScriptedServer(lorax(stream=streams, more={"/info": infos})) as server,
        running(server) as proxy,
    ):
        neighbour = await proxy.open("POST", CHAT, chat(stream=True))
        await neighbour.until(b"\n\n")
        cut = await proxy.post(CHAT, chat(stream=True))
        assert cut.chunks[-1]["error"]["code"] == "upstream_incomplete"
        await server.until_asked("/info", 2)
        async with asyncio.timeout(5):
            reply = await proxy.post(CHAT, chat(stream=True))
        assert reply.events[-1] == "[DONE]"


async def test_one_cut_stream_makes_no_adapter_cold() -> None:
    """While other connections go on, LoRAX has not restarted: its adapters are loaded still."""
    streams = in_order(ended("a"), [Send(event_stream() + chunk(tokens("a"))), Stall()], CUT)
    async with (
        ScriptedServer(lorax(stream=streams, generate=whole())) as server,
        running(server, allow_unlisted="any") as proxy,
    ):
        await proxy.post(CHAT, chat(model="acme/pirate", stream=True))
        neighbour = await proxy.open("POST", CHAT, chat(stream=True))
        await neighbour.until(b"\n\n")
        await proxy.post(CHAT, chat(stream=True))
        await server.until_asked("/info", 2)
        # a cold one would be asked for through the stream
        assert (await proxy.post(CHAT, chat(model="acme/pirate"))).status == 200
        assert paths(server)[-1] == "/generate"


@TRANSPORTS
async def test_an_exchanged_server_is_asked_what_it_is_before_it_is_used(transport: str) -> None:
    """Another base model came up while nobody looked: the first chat already has its template."""
    first = ScriptedServer(lorax(generate=whole()))
    await first.start()
    second = ScriptedServer(lorax(generate=whole(), info=OTHER), port=first.port)
    async with running(first, transport=transport, pause=Pauses()) as proxy:
        assert (await proxy.post(CHAT, chat(model=""))).status == 200
        await first.aclose()
        async with second:
            reply = await proxy.post(CHAT, chat(model=""))
            assert reply.json()["system_fingerprint"] == "lorax-0.2.0-native"
            assert second.asked("/generate")[0].json()["inputs"].startswith("<|im_start|>")
            assert len(second.asked("/generate")) == 1
            assert await models(proxy) == [OTHER["model_id"]]
            assert await metric(proxy, CHANGES) == "1.0"
            assert await metric(proxy, UP) == "1.0"


CHANGES = 'lorax_proxy_upstream_changes_total{upstream="default"}'
UP = 'lorax_proxy_upstream_up{upstream="default"}'


@TRANSPORTS
@pytest.mark.parametrize("neighbour", [False, True], ids=["alone", "with a neighbour"])
@pytest.mark.parametrize("path", [CHAT, "/v1/completions"])
async def test_a_request_planned_for_one_server_never_reaches_another(
    transport: str, path: str, *, neighbour: bool
) -> None:
    """The kept connection turns out dead only when the request is on it: the prompt is made anew."""
    infos = in_order([Send(json_answer(INFO))], [Send(json_answer(OTHER))])
    streams: list[Step] = [Send(event_stream() + chunk(tokens("a"))), Stall()]
    script = lorax(
        generate=in_order(whole(), [Reset()], whole()), stream=streams, more={"/info": infos}
    )
    body = chat(model="") if path == CHAT else {"model": "", "prompt": "x"}
    async with (
        ScriptedServer(script) as server,
        running(server, transport=transport, pause=Pauses()) as proxy,
    ):
        if neighbour:
            held = await proxy.open("POST", CHAT, chat(model="", stream=True))
            await held.until(b"\n\n")
        # leaves a connection that is kept
        assert (await proxy.post(path, body)).status == 200
        reply = await proxy.post(path, body)
        assert reply.json()["system_fingerprint"] == "lorax-0.2.0-native"
    asked = [path for path in paths(server) if path in ("/info", "/generate")]
    assert asked == ["/info", "/generate", "/generate", "/info", "/generate"]
    if path == CHAT:
        assert server.asked("/generate")[2].json()["inputs"].startswith("<|im_start|>")


@TRANSPORTS
async def test_a_server_that_hangs_up_without_a_word_is_still_served(transport: str) -> None:
    """Each request finds no connection; the server is asked what it is, and then trusted."""

    def ends(document: object) -> list[Step]:
        return [Send(json_answer(document)), Fin()]

    more = {"/info": ends(INFO), "/tokenize": ends([{"id": 1, "text": "a"}])}
    script = lorax(generate=ends(generation("Hi")), more=more)
    async with (
        ScriptedServer(script) as server,
        running(server, transport=transport, pause=Pauses()) as proxy,
    ):
        for _ in range(3):
            assert (await proxy.post(CHAT, chat())).status == 200
    assert paths(server).count("/generate") == 3


@TRANSPORTS
async def test_a_server_that_says_that_it_hangs_up_is_asked_no_more(transport: str) -> None:
    """A gateway that keeps no connections tells nothing by closing them."""

    def closing(document: object) -> list[Step]:
        body = json.dumps(document).encode()
        return [Send(answer(200, body, connection="close")), Fin()]

    more = {"/info": closing(INFO), "/tokenize": closing([{"id": 1, "text": "a"}])}
    script = lorax(generate=closing(generation("Hi")), more=more)
    async with (
        ScriptedServer(script) as server,
        running(server, transport=transport, pause=Pauses()) as proxy,
    ):
        for _ in range(3):
            assert (await proxy.post(CHAT, chat())).status == 200
    assert paths(server).count("/info") == 1


async def test_a_watch_notices_what_no_request_does(capsys: pytest.CaptureFixture[str]) -> None:
    """A server with other limits, lost for a while: told in the log, the metrics and /ready."""
    pauses = Pauses()
    limits = {**INFO, "max_stop_sequences": 9}
    infos = in_order(
        *([Send(json_answer(info))] for info in (INFO, INFO, limits)),
        [Send(answer(500, b"no"))],
        [Send(answer(500, b"no"))],
        [Send(json_answer(limits))],
    )
    async with (
        ScriptedServer(lorax(more={"/info": infos})) as server,
        running(server, pause=pauses, log_level="info") as proxy,
    ):
        for asked, changes, up in (
            (1, "0.0", "1.0"),
            (2, "0.0", "1.0"),
            (3, "1.0", "1.0"),
            (4, "1.0", "0.0"),
            (5, "1.0", "0.0"),
            (6, "1.0", "1.0"),
        ):
            await server.until_asked("/info", asked)
            await pauses.until(len(pauses.seconds) + 1)
            assert (await metric(proxy, UP), len(server.asked("/info"))) == (up, asked)
            if changes != "0.0":
                assert await metric(proxy, CHANGES) == changes
            pauses.end()
            if up == "1.0":
                await pauses.until(len(pauses.seconds) + 1)
                pauses.end()
    # what is no file is written at once: nobody has to wait for the log's thread
    told = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    events = [line["event"] for line in told if line["event"].startswith("upstream")]
    assert events == ["upstream_ready", "upstream_changed", "upstream_lost", "upstream_back"]


async def test_a_failed_request_wakes_the_watch() -> None:
    """It does not wait out its pause, and /ready says what it found."""
    pauses = Pauses()
    async with (
        ScriptedServer(lorax(stream=CUT)) as server,
        running(server, pause=pauses, connect_retries=0) as proxy,
    ):
        await pauses.until(1)
        pauses.end()
        await pauses.until(2)
        await proxy.post(CHAT, chat(stream=True))
        await server.until_asked("/info", 2)
        assert (await proxy.get("/ready")).status == 200
        await server.aclose()
        assert (await proxy.get("/ready")).status == 503
        assert await metric(proxy, UP) == "0.0"


async def test_a_probe_asks() -> None:
    """A load balancer sends no requests while /ready says no: its probe is what asks."""
    infos = in_order([Send(answer(500, b"no"))], [Send(json_answer(INFO))])
    async with (
        ScriptedServer(lorax(more={"/info": infos})) as server,
        running(server, pause=Pauses()) as proxy,
    ):
        await server.until_asked("/info")
        assert (await proxy.get("/ready")).status == 200
        assert paths(server).count("/info") == 2


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
