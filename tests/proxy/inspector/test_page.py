"""The inspector's routes on real sockets: who may look, what is recorded and when, and what is shown."""

import asyncio
import json
import re
import shutil
import sys
import threading
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from lorax_proxy.client import CONNECTED, AsgiApp, Client
from lorax_proxy.config import ModelSettings, UpstreamSettings
from lorax_proxy.core.admission import Admission
from lorax_proxy.inspector.page import Inspector
from lorax_proxy.observe import Observer
from lorax_proxy.surface import Surface
from tests.proxy.inspector.pages import PATIENCE, open_page
from tests.proxy.running import (
    Proxy,
    chat,
    ended,
    failed,
    generation,
    lorax,
    running,
    served,
    tokens,
)
from tests.proxy.servers import (
    LAST_CHUNK,
    Fin,
    Hold,
    ScriptedServer,
    Send,
    Step,
    chunk,
    event_stream,
    json_answer,
)
from tests.proxy.test_surface import fallback, living

CHAT = "/v1/chat/completions"
PAGE = "/_inspector/"
EVENTS = "/_inspector/events"


async def test_without_being_asked_for_there_is_no_page() -> None:
    """Off by default."""
    async with ScriptedServer(lorax()) as upstream, running(upstream) as proxy:
        for path in (PAGE, EVENTS, "/_inspector", "/_inspector/requests/1"):
            assert (await proxy.get(path)).status == 404


PRIVATE = {
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
"""Headers that keep what is shown out of caches and of other sites' pages."""


async def test_what_is_shown_stays_with_who_looks() -> None:
    """No cache keeps it, and no page of another site includes it."""
    async with (
        ScriptedServer(lorax(stream=ended("a"))) as upstream,
        running(upstream, inspector=True) as proxy,
        open_page(proxy.url) as page,
    ):
        await proxy.post(CHAT, chat(stream=True))
        await page.over()
        assert {name: page.headers.get(name) for name in PRIVATE} == PRIVATE
        for path in ("models", "requests/1", "requests/1/copies"):
            reply = await proxy.get(f"{PAGE}{path}")
            assert {name: reply.headers.get(name) for name in PRIVATE} == PRIVATE, path


async def test_the_page_is_one_document_that_takes_nothing_from_elsewhere() -> None:
    """Its policy names its own script and style by their hashes, and forbids everything else."""
    async with ScriptedServer(lorax()) as upstream, running(upstream, inspector=True) as proxy:
        page = await proxy.get(PAGE)
        bare = await proxy.get("/_inspector")
        root = await proxy.get("/")
    assert page.status == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    for reply in (page, bare):
        assert {name: reply.headers.get(name) for name in PRIVATE} == PRIVATE
    policy = page.headers["content-security-policy"]
    assert policy.endswith("; frame-ancestors 'none'")
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy
    html = page.body.decode()
    assert not re.search(r'(?:src|href)="(?!#|data:,")', html)
    assert not re.search(r" style=| on\w+=\"", html)
    assert (bare.status, bare.headers["location"]) == (307, "./_inspector/")
    assert root.status == 404


async def test_a_head_of_the_page_has_no_body() -> None:
    """As of any GET."""
    async with ScriptedServer(lorax()) as upstream, running(upstream, inspector=True) as proxy:
        assert (await proxy.request("HEAD", PAGE)).status == 200


async def test_the_page_is_nowhere_else() -> None:
    """Under `/v1` as everything here it would look for its calls, and the chat's, where they are not."""
    async with (
        ScriptedServer(lorax()) as upstream,
        running(upstream, inspector=True, demo=True) as proxy,
    ):
        for path in ("/v1/_inspector/", "/v1/_inspector", "/v1/_inspector/events", "/v1/"):
            assert (await proxy.get(path)).status == 404, path


@pytest.mark.parametrize("path", ["/v1/models", CHAT])
async def test_of_a_head_no_body_is_shown(path: str) -> None:
    """None went out, whoever answers: the routes, or a refusal."""
    async with (
        ScriptedServer(lorax()) as upstream,
        running(upstream, inspector=True, inspector_texts=True) as proxy,
        open_page(proxy.url) as page,
    ):
        reply = await proxy.request("HEAD", path)
        shown = await page.over()
    assert (reply.body, shown["status"]) == (b"", reply.status)
    assert shown["answer"]["bytes"] == 0
    assert "answer" not in shown["copies"]
    assert [moment["way"] for moment in shown["moments"]] == ["done"]


async def test_the_demo_leads_to_it() -> None:
    """So that whoever opens the printed address sees something."""
    async with (
        ScriptedServer(lorax()) as upstream,
        running(upstream, inspector=True, demo=True) as proxy,
    ):
        root = await proxy.get("/")
    assert (root.status, root.headers["location"]) == (307, "./_inspector/")


STRANGERS: list[Mapping[str, str]] = [
    {"host": "evil.example"},
    {"host": "localhost.evil.example"},
    {"origin": "https://evil.example"},
    {"origin": "null"},
    {"origin": "http://localhost:1", "host": "localhost:2"},
    {"sec_fetch_site": "cross-site"},
    {"sec_fetch_site": "same-site"},
    {"x_forwarded_for": "127.0.0.1"},
    {"x_forwarded_host": "localhost"},
    {"forwarded": "for=127.0.0.1"},
    {"via": "1.1 cache"},
    {"x_real_ip": "127.0.0.1"},
    {"cf_connecting_ip": "127.0.0.1"},
]


@pytest.mark.parametrize("headers", STRANGERS, ids=lambda headers: str(dict(headers)))
async def test_strangers_are_refused(headers: Mapping[str, str]) -> None:
    """Pages of another name or origin, and what somebody in between passed on."""
    async with ScriptedServer(lorax()) as upstream, running(upstream, inspector=True) as proxy:
        for path in (PAGE, EVENTS, "/_inspector/requests/1"):
            reply = await proxy.get(path, **headers)
            assert reply.status == 403, path
            assert "access-control-allow-origin" not in reply.headers
        refused = await proxy.request("DELETE", "/_inspector/requests", **headers)
        assert refused.status == 403


async def test_http_1_0_is_refused() -> None:
    """No browser speaks it, and a proxy in front may, which adds no header of its own."""
    async with ScriptedServer(lorax()) as upstream, running(upstream, inspector=True) as proxy:
        connection = await proxy.connect()
        await connection.send(b"GET /_inspector/ HTTP/1.0\r\nhost: localhost\r\n\r\n")
        assert (await connection.reply()).status == 403


async def test_origins_that_may_call_the_api_may_not_look() -> None:
    """What is shown is what others ask."""
    origin = "https://app.example"
    async with (
        ScriptedServer(lorax()) as upstream,
        running(upstream, inspector=True, cors_origins=[origin]) as proxy,
    ):
        assert (await proxy.get("/v1/models", origin=origin)).status == 200
        assert (await proxy.get(EVENTS, origin=origin)).status == 403


async def test_with_a_key_the_page_is_open_and_its_calls_need_the_key() -> None:
    """From anywhere then: a browser cannot send a key before it has a page to ask for it."""
    async with (
        ScriptedServer(lorax()) as upstream,
        running(upstream, inspector=True, api_key="open-sesame") as proxy,
    ):
        forwarded = {"x_forwarded_for": "192.0.2.1", "host": "llm.example"}
        assert (await proxy.get(PAGE, **forwarded)).status == 200
        assert (await proxy.get(EVENTS, **forwarded)).status == 401
        assert (await proxy.get("/_inspector/requests/1")).status == 401
        assert (await proxy.get("/")).status == 401
        key = {"authorization": "Bearer open-sesame"}
        assert (await proxy.get("/_inspector/requests/1", **forwarded, **key)).status == 404
        async with open_page(proxy.url, Authorization="Bearer open-sesame") as page:
            assert page.hello["texts"] is False


async def test_nothing_is_recorded_while_no_page_is_open() -> None:
    """Before the first one, and after the last."""
    async with (
        ScriptedServer(lorax(stream=ended("a"))) as upstream,
        running(upstream, inspector=True, inspector_texts=True) as proxy,
    ):
        await proxy.post(CHAT, chat(stream=True))
        async with open_page(proxy.url) as page:
            assert page.rows == {}
            await proxy.post(CHAT, chat("seen", stream=True))
            assert (await page.over())["status"] == 200
        await _until_nobody_looks(proxy)
        await proxy.post(CHAT, chat("unseen", stream=True))
        async with open_page(proxy.url) as page:
            assert list(page.rows) == [1]


async def _until_nobody_looks(proxy: Proxy) -> None:
    """Wait until the proxy has noticed that the page is closed: its stream is logged and counted then."""
    sample = 'lorax_proxy_requests_total{error="client_left",path="/_inspector",status="200"} 1.0'
    async with asyncio.timeout(10):
        while sample not in (await proxy.get("/metrics")).body.decode().splitlines():
            pass


@pytest.mark.parametrize("transport", ["direct", "httpx"])
async def test_both_wires_are_shown_as_they_were(transport: str) -> None:
    """The bytes that went over the sockets, OpenAI's and LoRAX's, in their order."""
    script = lorax(stream=ended("Hel", "lo", ".", " More"))
    async with (
        ScriptedServer(script) as upstream,
        running(upstream, inspector=True, inspector_texts=True, transport=transport) as proxy,
        open_page(proxy.url) as page,
    ):
        body = json.dumps(chat("hi", stream=True, stop=["."])).encode()
        reply = await proxy.post(CHAT, body)
        shown = await page.over()
    generated = next(each for each in upstream.requests if each.path == "/generate_stream")
    assert shown["request"]["body"].encode() == body
    assert shown["copies"]["answer"].encode() == reply.body
    assert _sent(shown) == [generated.body]
    assert shown["copies"]["reply_1"].encode() == tokens("Hel", "lo", ".", " More") + _end(4)
    ways = [moment["way"] for moment in shown["moments"]]
    assert ways[:4] == ["asked", "sent", "came", "answered"]
    assert ways.index("closed") > ways.index("came")
    times = [moment["at"] for moment in shown["moments"]]
    assert times == sorted(times)
    sent = dict(shown["answer"]["headers"])
    assert {name: reply.headers[name] for name in sent} == sent
    assert shown["adapters"] == []
    assert (shown["finish_reason"], shown["completion_tokens"]) == ("stop", 3)


def _sent(shown: Mapping[str, Any]) -> list[bytes]:
    return [each["text"].encode() for each in shown["moments"] if each["way"] == "sent"]


def _end(count: int) -> bytes:
    (last,) = ended(*["x"] * count)
    assert isinstance(last, Send)
    return b"data:" + last.data.rpartition(b"data:")[2].partition(b"\r\n")[0]


async def test_the_time_of_a_token_is_that_of_a_choice() -> None:
    """Choices come side by side, and each is waited for."""
    async with (
        ScriptedServer(lorax(stream=ended("a", "b"))) as upstream,
        running(upstream, inspector=True) as proxy,
        open_page(proxy.url) as page,
    ):
        await proxy.post(CHAT, chat(stream=True, n=2))
        shown = await page.over()
    assert shown["completion_tokens"] == 6
    between = (shown["total_ms"] - shown["first_ms"]) / 2
    assert shown["per_token_ms"] == pytest.approx(between, abs=0.002)


async def test_a_whole_answer_is_shown_too() -> None:
    """With the counts that the answer tells."""
    script = lorax(generate=[Send(json_answer(generation("Hel", "lo")))])
    async with (
        ScriptedServer(script) as upstream,
        running(upstream, inspector=True, inspector_texts=True) as proxy,
        open_page(proxy.url) as page,
    ):
        reply = await proxy.post(CHAT, chat())
        shown = await page.over()
    assert shown["copies"]["answer"].encode() == reply.body
    assert json.loads(shown["copies"]["reply_1"]) == generation("Hel", "lo")
    assert (shown["prompt_tokens"], shown["completion_tokens"]) == (7, 3)
    assert [moment["way"] for moment in shown["moments"]][-2:] == ["answered", "done"]


async def test_embeddings_are_shown_call_by_call() -> None:
    """As many as there are texts."""
    script = lorax(more={"/embed": [Send(json_answer({"embeddings": [1.0, 2.0]}))]})
    async with (
        ScriptedServer(script) as upstream,
        running(
            upstream=[UpstreamSettings(url=upstream.url, kind="embed")],
            inspector=True,
            inspector_texts=True,
        ) as proxy,
        open_page(proxy.url) as page,
    ):
        await proxy.post("/v1/embeddings", {"model": "", "input": ["a", "b"]})
        shown = await page.over()
    assert [call["path"] for call in shown["calls"]] == ["/embed", "/embed"]
    assert {json.loads(body)["inputs"] for body in _sent(shown)} == {"a", "b"}
    assert "embeddings" in shown["copies"]["reply_2"]


async def test_an_answer_that_breaks_off_says_so() -> None:
    """In the very words of the failure."""
    cut: list[Step] = [Send(event_stream() + chunk(tokens("a"))), Fin()]
    async with (
        ScriptedServer(lorax(stream=cut)) as upstream,
        running(upstream, inspector=True, inspector_texts=True) as proxy,
        open_page(proxy.url) as page,
    ):
        await proxy.post(CHAT, chat(stream=True))
        shown = await page.over()
    assert shown["calls"][0]["lost"] == "ended its answer before it was complete"
    assert "broke" in [moment["way"] for moment in shown["moments"]]
    assert f'fault: "cut@{len(tokens("a"))}"' in shown["copies"]["mock_rule"]


async def test_a_lorax_that_closed_its_connection_is_asked_on_another() -> None:
    """The page shows the one that was tried in vain, and why; the copies leave it out."""
    script = lorax(generate=[Send(json_answer(generation("a"))), Fin()])
    async with (
        ScriptedServer(script) as upstream,
        running(upstream, inspector=True, inspector_texts=True) as proxy,
        open_page(proxy.url) as page,
    ):
        for _ in range(2):
            await proxy.post(CHAT, chat())
        shown = await page.over(2)
    assert shown["status"] == 200
    assert shown["calls"][-1]["status"] == 200
    lost = [call["lost"] for call in shown["calls"]]
    assert lost == ["may be another server now, and was not asked", None]
    assert shown["copies"]["mock_rule"].count("name:") == 1
    assert shown["copies"]["transcript"].count("=== lorax request") == 1


async def test_the_time_of_a_token_knows_of_no_request_that_was_not_sent() -> None:
    """After a connection that broke, too: one choice is one choice."""
    async with (
        ScriptedServer(lorax(stream=[*ended("a", "b"), Fin()])) as upstream,
        running(upstream, inspector=True) as proxy,
        open_page(proxy.url) as page,
    ):
        for _ in range(2):
            await proxy.post(CHAT, chat(stream=True))
        shown = await page.over(2)
    assert len(shown["calls"]) == 2
    between = (shown["total_ms"] - shown["first_ms"]) / 2
    assert shown["per_token_ms"] == pytest.approx(between, abs=0.002)


async def test_the_mocks_own_headers_tell_what_acted() -> None:
    """A fault, if one did."""
    script = lorax(stream=ended("a", **{"x-lorax-mock-fault": "comments"}))
    async with (
        ScriptedServer(script) as upstream,
        running(upstream, inspector=True) as proxy,
        open_page(proxy.url) as page,
    ):
        await proxy.post(CHAT, chat(stream=True))
        assert (await page.over())["mock"] == ["fault comments"]


async def test_requests_are_forgotten_after_the_last_page() -> None:
    """Not at once: it may be loaded again. Here the wait is none."""

    async def answered(client: Client) -> None:
        await client.body(100)
        await client.reply(b"{}")

    inspector = Inspector(models=list, texts=True, needs_key=False, most_body=100, kept=0)
    async with served(_surface(inspector, answered)) as proxy:
        async with open_page(proxy.url) as page:
            await proxy.post("/x", {})
            await page.over()
        async with asyncio.timeout(10):
            while list(inspector.recorder):  # noqa: ASYNC110 - the proxy rings no bell
                await asyncio.sleep(0)
        async with open_page(proxy.url) as page:
            assert page.rows == {}


async def test_requests_are_kept_when_the_page_is_loaded_again() -> None:
    """What would have forgotten them is called off. Here the wait is short."""
    kept = 0.5

    async def answered(client: Client) -> None:
        await client.reply(b"{}")

    inspector = Inspector(models=list, texts=True, needs_key=False, most_body=100, kept=kept)
    async with served(_surface(inspector, answered)) as proxy:
        async with open_page(proxy.url) as page:
            await proxy.post("/x", {})
            await page.over()
        async with asyncio.timeout(10):
            while inspector.recorder.watched:  # noqa: ASYNC110 - the proxy rings no bell
                await asyncio.sleep(0)
        over = asyncio.Event()
        # later than the proxy's own, which stands on the same clock
        asyncio.get_running_loop().call_later(kept, over.set)
        async with open_page(proxy.url) as page:
            assert list(page.rows) == [1]
            await over.wait()
            await page.opened(1)


async def test_a_silent_page_is_told_that_its_stream_is_alive() -> None:
    """Else what stands between takes it for dead."""

    async def answered(client: Client) -> None:
        await client.reply(b"{}")

    inspector = Inspector(models=list, texts=True, needs_key=False, most_body=100, alive=0.01)
    async with (
        served(_surface(inspector, answered)) as proxy,
        httpx.AsyncClient(base_url=proxy.url, trust_env=False) as http,
        http.stream("GET", EVENTS) as response,
        asyncio.timeout(PATIENCE),
    ):
        told = 0
        async for line in response.aiter_lines():
            told += line == ":"
            if told == 2:
                break


class Noted:
    """A connection (`client.Connected`) of which it is noted when it is written to, and when waited for."""

    def __init__(self, connected: Any, notes: list[str]) -> None:
        vars(self).update(connected=connected, notes=notes)

    def __getattr__(self, name: str) -> Any:
        if name in ("write", "drain"):
            self.notes.append(name)
        return getattr(vars(self)["connected"], name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(vars(self)["connected"], name, value)


async def test_a_page_that_reads_slowly_is_waited_for() -> None:
    """Each time before it is told more: what it does not take would pile up here."""
    notes: list[str] = []

    async def answered(client: Client) -> None:
        await client.reply(b"{}")

    inspector = Inspector(models=list, texts=True, needs_key=False, most_body=100)
    surface = _surface(inspector, answered)

    async def noted(scope: Any, receive: Any, send: Any) -> None:
        if scope.get("path") == EVENTS:
            noting = Noted(scope["extensions"][CONNECTED], notes)
            scope = {**scope, "extensions": {**scope["extensions"], CONNECTED: noting}}
        await surface(scope, receive, send)

    async with served(noted) as proxy, open_page(proxy.url) as page:
        for number in (1, 2, 3):
            await proxy.post("/x", {})
            await page.over(number)
        told = "".join(each[0] for each in notes)
    # hello and the list, then each telling
    assert re.fullmatch("ww(wd){2,}w?d?", told), told


async def test_what_is_shown_is_of_one_moment() -> None:
    """While it is worked out beside the loop, more passes."""
    going, gate = asyncio.Event(), threading.Event()

    async def answered(client: Client) -> None:
        await client.start(200, (("content-type", "text/plain"),))
        client.write(b"a")
        await going.wait()
        client.end(b"b")

    class Workers(ThreadPoolExecutor):
        """One worker, and who wants to know that there is something for it to do."""

        def submit(self, *args: Any, **more: Any) -> Any:
            going.set()
            return super().submit(*args, **more)

    inspector = Inspector(models=list, texts=True, needs_key=False, most_body=100)
    async with served(_surface(inspector, answered)) as proxy, open_page(proxy.url) as page:
        asking = asyncio.create_task(proxy.post("/x", {}))
        await page.until(lambda row: row["status"] == 200)
        with Workers(1) as workers:
            busy = asyncio.wrap_future(ThreadPoolExecutor.submit(workers, gate.wait))
            asyncio.get_running_loop().set_default_executor(workers)
            opening = asyncio.create_task(page.http.get("/_inspector/requests/1"))
            try:
                assert (await asking).body == b"ab"
                await page.until(lambda row: row["over"])
            finally:
                gate.set()
            await busy
            shown = (await opening).json()
            asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
    assert [each["text"] for each in shown["moments"]] == ["a"]
    assert shown["over"] is False


async def test_what_is_said_to_nobody_is_not_shown_as_sent() -> None:
    """The client has left; what the endpoint still says goes nowhere."""
    left = asyncio.Event()

    async def answered(client: Client) -> None:
        client.when_gone(left.set)
        await client.start(200, (("content-type", "text/plain"),))
        client.write(b"a")
        await left.wait()
        client.write(b"unheard")
        client.end(b"unheard")

    inspector = Inspector(models=list, texts=True, needs_key=False, most_body=100)
    async with served(_surface(inspector, answered)) as proxy, open_page(proxy.url) as page:
        connection = await proxy.open("POST", "/x", {})
        await page.until(lambda row: row["status"] == 200)
        connection.leave()
        shown = await page.over()
    assert [(each["way"], each["text"]) for each in shown["moments"]] == [("answered", "a")]


def _surface(inspector: Inspector, answered: Callable[[Client], Awaitable[None]]) -> AsgiApp:
    """A server with one endpoint, `/x`."""
    surface = Surface(
        {"/x": answered},
        fallback,
        Observer("error"),
        admission=Admission(api_key=None),
        inspector=inspector,
    )
    return living(surface)


@pytest.mark.slow
@pytest.mark.parametrize("streamed", [True, False])
async def test_copies_repeat_the_request(streamed: bool, tmp_path: Path) -> None:
    """What curl and the SDK send when the copies are run is what LoRAX was asked before."""
    script = lorax(stream=ended("Hi"), generate=[Send(json_answer(generation("Hi")))])
    async with (
        ScriptedServer(script) as upstream,
        running(upstream, inspector=True, inspector_texts=True) as proxy,
        open_page(proxy.url) as page,
    ):
        host = proxy.url.removeprefix("http://")
        asked = chat('it\'s "$HOME" `x` \u2028 \\n', stream=streamed, top_k=3, seed=1)
        await proxy.post(CHAT, asked, host=host)
        copies = (await page.over())["copies"]
        path = "/generate_stream" if streamed else "/generate"
        (first,) = upstream.asked(path)
        (tmp_path / "repeat.py").write_text(copies["python"], "utf-8")
        commands = [[sys.executable, str(tmp_path / "repeat.py")]]
        if shutil.which("curl"):
            commands.append(["sh", "-c", copies["curl"]])
        for command in commands:
            process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
            said, _ = await process.communicate()
            assert process.returncode == 0
            assert b"Hi" in said
        for again in upstream.asked(path)[1:]:
            assert again.json() == first.json()
        assert len(upstream.asked(path)) == 1 + len(commands)


async def test_without_leave_no_text_is_kept() -> None:
    """Sizes and times alone."""
    async with (
        ScriptedServer(lorax(stream=ended("secret"))) as upstream,
        running(upstream, inspector=True) as proxy,
        open_page(proxy.url) as page,
    ):
        reply = await proxy.post(CHAT, chat("also secret", stream=True))
        shown = await page.over()
        told = json.dumps([page.rows, shown])
    assert "secret" not in told
    assert shown["texts"] is False
    assert shown["answer"]["bytes"] == len(reply.body)
    assert (shown["prompt_tokens"], shown["completion_tokens"]) == (7, 2)
    assert shown["copies"] == {}
    assert shown["parameters"] == shown["prompts"] == shown["choices"] == []


async def test_a_request_is_shown_while_it_is_under_way() -> None:
    """With its first token's time as soon as that is known."""
    hold = Hold()
    steps: list[Step] = [
        Send(event_stream() + chunk(tokens("a"))),
        hold,
        Send(chunk(tokens("b"))),
    ]
    script = lorax(stream=[*steps, Send(chunk(_end(2)) + LAST_CHUNK)])
    async with (
        ScriptedServer(script) as upstream,
        running(upstream, inspector=True, inspector_texts=True) as proxy,
        open_page(proxy.url) as page,
    ):
        connection = await proxy.open("POST", CHAT, chat(stream=True))
        row = await page.until(lambda row: row["first_ms"] is not None)
        assert not row["over"]
        shown = await page.opened(1)
        assert '"a"' in shown["copies"]["reply_1"]
        hold.gate.set()
        await connection.reply()
        assert (await page.over())["finish_reason"] == "stop"


async def test_refusals_and_failures_are_shown() -> None:
    """Whoever refused: the proxy before LoRAX was asked, or LoRAX."""
    script = lorax(stream=[Send(event_stream() + chunk(failed("overloaded", "full")) + LAST_CHUNK)])
    async with (
        ScriptedServer(script) as upstream,
        running(upstream, inspector=True, inspector_texts=True) as proxy,
        open_page(proxy.url) as page,
    ):
        await proxy.post(CHAT, chat(logit_bias={"1": 2}))
        refused = await page.over(1)
        await proxy.post(CHAT, chat(stream=True))
        full = await page.over(2)
        await proxy.get("/v1/models")
        listed = await page.over(3)
    assert (refused["status"], refused["error"]) == (400, "unsupported_parameter")
    assert refused["calls"] == []
    decisions = {row["name"]: row["decision"] for row in refused["parameters"]}
    assert decisions == {
        "model": "translated",
        "messages": "translated",
        "logit_bias": "refused",
    }
    assert full["status"] == 429
    assert "full" in full["copies"]["reply_1"]
    assert (listed["method"], listed["path"]) == ("GET", "/v1/models")
    assert json.loads(listed["copies"]["answer"])["object"] == "list"


async def test_no_key_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the client's, nor an adapter's download token."""
    secret = "s3cr3t-of-somebody"
    monkeypatch.setenv("ADAPTER_TOKEN", secret)
    model = ModelSettings(name="x", adapter="acme/x", token_env="ADAPTER_TOKEN")
    async with (
        ScriptedServer(lorax(stream=ended("a"))) as upstream,
        running(
            upstream, inspector=True, inspector_texts=True, api_key=secret, model=[model]
        ) as proxy,
        open_page(proxy.url, Authorization=f"Bearer {secret}") as page,
    ):
        asked = {**chat(stream=True), "model": "x"}
        await proxy.post(CHAT, asked, authorization=f"Bearer {secret}")
        shown = await page.over()
    assert upstream.asked("/generate_stream")[0].json()["parameters"]["api_token"] == secret
    assert shown["adapters"] == ["acme/x"]
    assert secret not in json.dumps([page.rows, shown])
    assert ["authorization", "(hidden)"] in shown["request"]["headers"]
    assert "$OPENAI_API_KEY" in shown["copies"]["curl"]


@pytest.mark.parametrize("texts", [True, False])
async def test_no_cookie_of_either_server_is_shown(*, texts: bool) -> None:
    """LoRAX may stand behind what sets one, and so may this server; headers are shown without texts, too."""
    secret = "s3cr3t-of-somebody"
    async with (
        ScriptedServer(lorax(stream=ended("a", **{"set-cookie": secret}))) as upstream,
        running(upstream, inspector=True, inspector_texts=texts) as proxy,
        open_page(proxy.url) as page,
    ):
        await proxy.post(CHAT, chat(stream=True))
        shown = await page.over()
    assert ["set-cookie", "(hidden)"] in shown["calls"][0]["headers"]
    assert secret not in json.dumps(shown)

    async def answered(client: Client) -> None:
        await client.reply(b"{}", headers=(("set-cookie", secret),))

    inspector = Inspector(models=list, texts=texts, needs_key=False, most_body=100)
    async with served(_surface(inspector, answered)) as proxy, open_page(proxy.url) as page:
        await proxy.post("/x", {})
        shown = await page.over()
    assert ["set-cookie", "(hidden)"] in shown["answer"]["headers"]


async def test_copies_name_the_server_as_the_page_knows_it() -> None:
    """It may be behind TLS; what is no address is not taken for one."""
    async with (
        ScriptedServer(lorax(stream=ended("a"))) as upstream,
        running(upstream, inspector=True, inspector_texts=True) as proxy,
        open_page(proxy.url) as page,
    ):
        await proxy.post(CHAT, chat(stream=True))
        await page.over()
        for at, shown in (
            ("https://llm.example/x", "https://llm.example/x"),
            ("https://x/';rm", proxy.url),
            ("javascript:x", proxy.url),
        ):
            reply = await page.http.get("/_inspector/requests/1/copies", params={"at": at})
            assert reply.json()["curl"].startswith(f"curl -sSN {shown}/v1/chat/completions ")
            assert f"base_url='{shown}/v1'" in reply.json()["python"]


async def test_what_is_cleared_is_gone() -> None:
    """For every open page, and numbers go on."""
    async with (
        ScriptedServer(lorax(stream=ended("a"))) as upstream,
        running(upstream, inspector=True) as proxy,
        open_page(proxy.url) as page,
    ):
        await proxy.post(CHAT, chat(stream=True))
        await page.over()
        assert (await page.http.delete("/_inspector/requests")).status_code == 200
        gone = await page.http.get("/_inspector/requests/1")
        assert (gone.status_code, gone.json()["error"]["code"]) == (404, "not_found")
        await proxy.post(CHAT, chat(stream=True))
        assert (await page.over(2))["number"] == 2


async def test_probes_and_the_pages_own_calls_are_not_listed() -> None:
    """They would drive out what somebody looks for."""
    async with (
        ScriptedServer(lorax(stream=ended("a"))) as upstream,
        running(upstream, inspector=True) as proxy,
        open_page(proxy.url) as page,
    ):
        for path in ("/health", "/ready", "/metrics", PAGE):
            await proxy.get(path)
        await proxy.post(CHAT, chat(stream=True))
        assert (await page.over(1))["path"] == CHAT


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", f"{PAGE}nothing"), ("POST", PAGE), ("POST", EVENTS), ("GET", f"{PAGE}requests")],
)
async def test_what_is_not_there_is_404(method: str, path: str) -> None:
    """In OpenAI's words, as everything here."""
    async with ScriptedServer(lorax()) as upstream, running(upstream, inspector=True) as proxy:
        reply = await proxy.request(method, path, {} if method == "POST" else None)
    assert (reply.status, reply.error["code"]) == (404, "unknown_url")


async def test_answers_are_the_same_with_a_page_open() -> None:
    """Byte for byte, with a CORS origin too, whose headers something in between adds."""
    origin = "https://app.example"
    script = lorax(stream=ended("a", "b"), generate=[Send(json_answer(generation("a")))])
    asked: list[dict[str, Any]] = [
        chat(stream=True),
        chat(),
        chat(stream=True, n=2, stream_options={"include_usage": True}),
        chat(top_p=7),
    ]
    replies = []
    async with (
        ScriptedServer(script) as upstream,
        running(upstream, inspector=True, inspector_texts=True, cors_origins=[origin]) as proxy,
    ):
        for each in asked:
            replies.append(await proxy.post(CHAT, each, origin=origin))
        async with open_page(proxy.url) as page:
            for number, each in enumerate(asked):
                seen = await proxy.post(CHAT, each, origin=origin)
                before = replies[number]
                assert _settled(seen.body) == _settled(before.body)
                assert seen.status == before.status
                assert seen.headers.keys() == before.headers.keys()
                shown = await page.over(number + 1)
                assert shown["copies"]["answer"].encode() == seen.body


def _settled(body: bytes) -> bytes:
    return re.sub(rb"chatcmpl-[0-9]+", b"chatcmpl-N", body)
