"""The page and what it reads, over sockets."""

import json
import re
import signal
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from lorax_mock.server.routes.admin import ROUTES
from tests.mock.conftest import Running

_BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@contextmanager
def _page(running: Running) -> Generator[Iterator[tuple[str, Any]]]:
    """An open page: its events, by name."""
    with (
        httpx.Client(base_url=running.url, timeout=10) as browser,
        browser.stream("GET", "/_mock/watch") as reply,
    ):
        assert reply.headers["content-type"].startswith("text/event-stream")

        def told() -> Iterator[tuple[str, Any]]:
            name = ""
            for line in reply.iter_lines():
                if line.startswith("event: "):
                    name = line[7:]
                elif line.startswith("data: "):
                    yield name, json.loads(line[6:])

        yield told()


def _until(told: Iterator[tuple[str, Any]], kind: str) -> list[dict[str, Any]]:
    """All news up to one of that kind."""
    seen: list[dict[str, Any]] = []
    for name, events in told:
        assert name == "news"
        seen += events
        if any(event["kind"] == kind for event in events):
            break
    return seen


@pytest.mark.parametrize("path", ["/_mock", "/_mock/"])
def test_browsers_get_the_page_and_programs_the_routes(mock: Running, path: str) -> None:
    """By what they accept; the page comes with its policy and is not kept."""
    page = mock.http.get(path, headers={"accept": _BROWSER})
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["content-security-policy"].startswith("default-src 'none'; ")
    assert page.headers["cache-control"] == "no-store"
    assert "accept" in page.headers["vary"]
    assert page.text.startswith("<!doctype html>")
    for accept in ("*/*", "application/json"):
        told = mock.http.get(path, headers={"accept": accept})
        assert told.headers["content-type"] == "application/json"
        assert told.json() == dict(ROUTES)


@pytest.mark.parametrize("route", ROUTES)
def test_no_route_answers_another_sites_page(mock: Running, route: str) -> None:
    """Nor changes anything for it; the words say why."""
    method, path = route.split()
    for headers in ({"origin": "http://evil.example"}, {"sec-fetch-site": "cross-site"}):
        reply = mock.http.request(method, path, headers=headers, content=b"{}")
        assert (reply.status_code, reply.json()["error_type"]) == (403, "mock_origin")
        assert "another" in reply.json()["error"] or "evil" in reply.json()["error"]


def test_a_link_to_the_page_may_stand_anywhere_and_a_form_may_not(mock: Running) -> None:
    """A browser that follows a link from another site says so, and is shown the page."""
    clicked = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "accept": _BROWSER}
    assert mock.http.get("/_mock/", headers=clicked).status_code == 200
    assert mock.http.post("/_mock/reset", headers=clicked).status_code == 403


def test_the_page_itself_may_change_the_mock(mock: Running) -> None:
    """It says the mock's own origin."""
    mine = {"origin": mock.url, "sec-fetch-site": "same-origin", "x-lorax-mock-session": "own"}
    assert mock.http.put("/_mock/script", content="rules: []", headers=mine).status_code == 200


def test_a_page_is_told_what_a_request_did_to_the_shard(start_mock: Callable[..., Running]) -> None:
    """What was before, then the request from its start to its end, with the times that its headers tell."""
    running = start_mock("--seed", "4")
    ask = {"inputs": "reef", "parameters": {"adapter_id": "acme/poet", "max_new_tokens": 5}}
    running.http.post("/generate", json=ask)
    with _page(running) as told:
        name, hello = next(told)
        assert (name, hello["seed"], hello["costs"]["step"]) == ("hello", 4, 20)
        assert [one["serial"] for one in hello["requests"]] == [1]
        assert [one["id"] for one in hello["jobs"]] == [1]
        assert [one["what"] for one in hello["spans"]] == ["download", "load", "prefill", "decode"]
        before = running.http.get("/_mock/request", params={"serial": 1}).json()
        assert (before["inputs"], before["answers"]) == ("reef", None)
        reply = running.http.post("/generate", json={**ask, "inputs": "moon"})
        seen = _until(told, "ended")
        kinds = [one["kind"] for one in seen]
        assert kinds[:2] == ["began", "arrived"]
        assert [one["what"] for one in seen if one["kind"] == "spent"] == ["prefill", "decode"]
        assert (kinds[-2:], seen[-1]["tokens"], seen[-1]["step"]) == (["done", "ended"], 5, 20)
        assert seen[-1]["first"] == pytest.approx(
            float(reply.headers["x-time-to-first-token"]), abs=1
        )
        shown = running.http.get("/_mock/request", params={"serial": 2}).json()
        (answer,) = shown["answers"]
        assert answer["text"] == reply.json()["generated_text"]
        assert [round(b - a) for a, b in zip(answer["times"], answer["times"][1:], strict=False)] == [20] * 4  # fmt: skip
        running.http.post("/generate", content=b"{")
        assert [(one["kind"], one["status"]) for one in _until(told, "refused")] == [
            ("refused", 415)
        ]
        running.http.post("/_mock/reset")
        assert [one["kind"] for one in _until(told, "renewed")] == ["renewed"]
    # nobody tells this test when the mock has seen that the page is closed; from then on it keeps nothing
    for serial in range(3, 1_000):
        running.http.post("/generate", json=ask)
        kept = running.http.get("/_mock/request", params={"serial": serial}).json()
        assert kept["inputs"] == "reef"
        if kept["answers"] is None:
            break
    else:
        pytest.fail("a closed page is kept answers for")


def test_a_page_is_told_a_load_that_failed_and_a_client_that_left(
    start_mock: Callable[..., Running],
) -> None:
    """Both take the shard's time without a token of their own. And an open page holds up no Ctrl-C."""
    running = start_mock("--pace", "real", "--adapter-download-ms", "1", "--step-ms", "1")
    with _page(running) as told:
        next(told)
        running.http.post("/generate", json={"inputs": "a", "parameters": {"adapter_id": "no/ne"}})
        seen = _until(told, "ended")
        assert [one["adapter"] for one in seen if one["kind"] == "spent"] == ["no/ne"]
        assert seen[-1]["notes"][0].startswith("adapter 'no/ne' is not known")
        with running.http.stream(
            "POST",
            "/generate_stream",
            json={"inputs": "b", "parameters": {"max_new_tokens": 4000, "ignore_eos_token": True}},
        ) as stream:
            next(stream.iter_bytes())
        assert "left" in [one["kind"] for one in _until(told, "left")]
        running.process.send_signal(signal.SIGINT)
        assert running.process.wait(5) == 0


def test_tokens_for_adapters_are_not_shown(mock: Running) -> None:
    """Neither in the page, which may be open where others look, nor in the journal, also while it is followed."""
    ask = {"inputs": "a", "parameters": {"api_token": "hf_secret", "adapter_id": "acme/sql"}}
    session = {"x-lorax-mock-session": "secret"}
    with _page(mock) as told:
        next(told)
        mock.http.post("/generate", json=ask, headers=session)
        (serial,) = {one["serial"] for one in _until(told, "ended") if one["kind"] == "ended"}
        shown = mock.http.get("/_mock/request", params={"serial": serial})
    assert "hf_secret" not in shown.text
    assert shown.json()["parameters"]["adapter_id"] == "acme/sql"
    assert "hf_secret" not in mock.http.get("/_mock/journal", headers=session).text
    with mock.http.stream("GET", "/_mock/journal/follow", headers=session) as followed:
        entry = next(line for line in followed.iter_lines() if line.startswith("data: "))
    assert "acme/sql" in entry
    assert "hf_secret" not in entry


def test_a_request_tells_its_parameters_as_json_text_too(mock: Running) -> None:
    """For a browser, which cannot hold every seed; and whether it was a stream, on every route."""
    parameters = {"seed": 2**64 - 1, "stop": ["\u20ac"], "max_new_tokens": 2}
    session = {"x-lorax-mock-session": "texts"}
    chat = {"model": "", "messages": [{"role": "user", "content": "a"}], "max_tokens": 2}
    with _page(mock) as told:
        next(told)
        streams = []
        for path, ask in (
            ("/generate", {"inputs": "a", "parameters": parameters}),
            ("/generate_stream", {"inputs": "a", "parameters": parameters}),
            ("/", {"inputs": "a", "stream": True}),
            ("/v1/chat/completions", chat),
            ("/v1/chat/completions", {**chat, "stream": True}),
        ):
            mock.http.post(path, json=ask, headers=session)
            ended = [one for one in _until(told, "ended") if one["kind"] == "ended"]
            shown = mock.http.get("/_mock/request", params={"serial": ended[-1]["serial"]}).json()
            streams.append(shown["stream"])
            if "parameters" in ask:
                assert shown["parameters_json"] == {
                    "max_new_tokens": "2",
                    "stop": '["\u20ac"]',
                    "seed": "18446744073709551615",
                }
    assert streams == [False, True, True, False, True]


@pytest.mark.parametrize("serial", ["", "x", "-1", "999999999", "\u0661"])
def test_a_request_that_is_not_there_is_a_404(mock: Running, serial: str) -> None:
    """With its number."""
    reply = mock.http.get("/_mock/request", params={"serial": serial})
    assert (reply.status_code, reply.json()["error_type"]) == (404, "mock_request")
    assert re.search("the journal has no request", reply.json()["error"])
