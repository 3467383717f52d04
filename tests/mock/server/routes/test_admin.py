"""The mock's own routes."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from lorax_mock.prompt.tokenizer import builtin
from lorax_mock.server.routes.admin import ROUTES, admin_routes
from lorax_mock.server.state import State
from lorax_mock.settings import Settings
from tests.mock.conftest import Running

_SESSION = {"x-lorax-mock-session": "admin"}


def test_adapters_tell_what_loads(mock: Running) -> None:
    """The adapters route tells which adapters load, and which have been loaded."""
    told = {row["id"]: row for row in mock.http.get("/_mock/adapters").json()["adapters"]}
    assert not told["acme/wrong-base"]["loads"]
    body = {"inputs": "a", "parameters": {"adapter_id": "acme/sql"}}
    mock.http.post("/generate", json=body)
    told = {row["id"]: row for row in mock.http.get("/_mock/adapters").json()["adapters"]}
    assert told["acme/sql"]["loaded"]


def test_a_wrong_script_is_told_its_line(mock: Running) -> None:
    """A wrong script is a 400 with its line, and changes nothing."""
    for script, told in ((b"rulse: []", "line 1: unknown key 'rulse'"), (b"\xff", "not UTF-8")):
        reply = mock.http.put("/_mock/script", content=script, headers=_SESSION)
        assert (reply.status_code, reply.json()["error_type"]) == (400, "mock_script")
        assert told in reply.json()["error"]


def test_a_session_comes_and_goes(mock: Running) -> None:
    """A session has its own script and journal until they are forgotten."""
    script = {"rules": [{"name": "n", "reply": {"text": "x"}}]}
    loaded = mock.http.put("/_mock/script", json=script, headers=_SESSION)
    assert loaded.json() == {"rules": ["n"], "strict": False}

    def ask() -> Any:
        return mock.http.post("/generate", json={"inputs": "a"}, headers=_SESSION).json()

    assert ask() == {"generated_text": "x"}
    assert len(mock.http.get("/_mock/journal", headers=_SESSION).json()["entries"]) == 1
    assert mock.http.delete("/_mock/script", headers=_SESSION).status_code == 204
    assert ask() != {"generated_text": "x"}
    assert mock.http.delete("/_mock/journal", headers=_SESSION).status_code == 204
    assert mock.http.get("/_mock/journal", headers=_SESSION).json()["entries"] == []
    mock.http.put("/_mock/script", json=script, headers=_SESSION)
    assert mock.http.post("/_mock/reset", headers=_SESSION).status_code == 204
    assert ask() != {"generated_text": "x"}


@pytest.mark.parametrize("kind", ["overload", "cut", "rechunk"])
def test_faults_are_listed(mock: Running, kind: str) -> None:
    """The faults route lists every kind by name."""
    assert kind in mock.http.get("/_mock/faults").json()["faults"]


def test_the_journal_can_be_followed(mock: Running) -> None:
    """A follower gets the entries that are there, then each of its session's as it ends."""
    mine = {"x-lorax-mock-session": "followed"}
    body = {"inputs": "one", "parameters": {"max_new_tokens": 2}}
    mock.http.post("/generate", json=body, headers=mine)
    with mock.http.stream("GET", "/_mock/journal/follow", headers=mine) as reply:
        assert reply.headers["content-type"].startswith("text/event-stream")
        told = (json.loads(line[6:]) for line in reply.iter_lines() if line.startswith("data: "))
        assert next(told)["inputs"] == "one"
        with httpx.Client(base_url=mock.url, timeout=10) as other:
            other.post("/generate", json=body)
            other.post("/generate", json={**body, "inputs": "two"}, headers=mine)
        entry = next(told)
    assert (entry["inputs"], entry["tokens"], entry["session"]) == ("two", 2, "followed")


def test_a_script_is_said_as_it_was_meant_or_refused_at_once(mock: Running) -> None:
    """Escapes in a script are the characters they stand for, and half a pair is refused."""
    text = "\U0001f389 \u00e9"
    for body in (json.dumps(text), json.dumps(text, ensure_ascii=False)):
        for form in ('{"rules": [{"reply": {"text": %s}}]}', "rules:\n- reply: {text: %s} # said"):
            put = mock.http.put("/_mock/script", content=(form % body).encode(), headers=_SESSION)
            assert put.status_code == 200
            told = mock.http.post("/generate", json={"inputs": "a"}, headers=_SESSION).json()
            assert told == {"generated_text": text}
    for script in ({"text": "\ud83c"}, {"tokens": ["a", "\udf89\ud83c"]}):
        refused = mock.http.put(
            "/_mock/script",
            content=json.dumps({"rules": [{"reply": script}]}).encode(),
            headers=_SESSION,
        )
        assert refused.status_code == 400
        assert "has half of a surrogate pair" in refused.json()["error"]
    mock.http.post("/_mock/reset", headers=_SESSION)


def test_the_script_in_force_can_be_read(mock: Running) -> None:
    """As it was written, with its rules' names."""
    text = "rules: [{name: n, reply: {text: x}}]  # mine"
    mock.http.put("/_mock/script", content=text, headers=_SESSION)
    told = mock.http.get("/_mock/script", headers=_SESSION).json()
    assert told == {"rules": ["n"], "strict": False, "source": text}
    mock.http.delete("/_mock/script", headers=_SESSION)
    assert mock.http.get("/_mock/script", headers=_SESSION).json()["source"] == ""


def test_faults_can_be_planned_for_the_next_requests(mock: Running) -> None:
    """One each, whatever rule answers, and they are told while they wait."""
    mock.http.put("/_mock/script", content="rules: [{reply: {text: x}}]", headers=_SESSION)
    plan = {"next": ["overload", "status:503"]}
    assert (
        mock.http.put("/_mock/faults", json=plan, headers=_SESSION).json()["next"] == plan["next"]
    )
    assert mock.http.get("/_mock/faults").json()["next"] == []
    statuses = [
        mock.http.post("/generate", json={"inputs": "a"}, headers=_SESSION).status_code
        for _ in range(3)
    ]
    assert statuses == [429, 503, 200]
    assert mock.http.get("/_mock/faults", headers=_SESSION).json()["next"] == []
    mock.http.post("/_mock/reset", headers=_SESSION)
    for body, told in (
        (b'{"next": ["overlod"]}', "did you mean 'overload'?"),
        (b'{"nxt": []}', '{"next": ["overload"]} is what is wanted'),
    ):
        refused = mock.http.put("/_mock/faults", content=body, headers=_SESSION)
        assert (refused.status_code, refused.json()["error_type"]) == (400, "mock_faults")
        assert told in refused.json()["error"]


def test_the_pace_can_be_changed_while_nobody_waits(start_mock: Callable[..., Running]) -> None:
    """What is not named stays; the shard is new; with requests open it is refused."""
    running = start_mock("--step-ms", "40", "--adapter-download-ms", "3", "--adapter-load-ms", "4")
    ask = {"inputs": "a", "parameters": {"adapter_id": "acme/sql", "max_new_tokens": 2}}
    assert running.http.post("/generate", json=ask).headers["x-queue-time"] == "7"
    told = running.http.put("/_mock/pace", json={"pace": "real", "step_ms": 90}).json()
    assert told == running.http.get("/_mock/pace").json()
    assert (told["pace"], told["step_ms"], told["adapter_load_ms"]) == ("real", 90, 4)
    assert not any(one["loaded"] for one in running.http.get("/_mock/adapters").json()["adapters"])
    reply = running.http.post("/generate", json=ask)
    assert float(reply.headers["x-queue-time"]) >= 7
    assert reply.elapsed.total_seconds() > 0.09
    chat = {"model": "acme/sql", "messages": [{"role": "user", "content": "a"}], "max_tokens": 1}
    assert running.http.post("/v1/chat/completions", json=chat).json()["created"] > 1_700_000_000
    with running.http.stream("POST", "/generate_stream", json={"inputs": "b"}) as stream:
        next(stream.iter_bytes())
        with httpx.Client(base_url=running.url, timeout=10) as other:
            refused = other.put("/_mock/pace", json={"pace": "off"})
            assert (refused.status_code, refused.json()["error_type"]) == (409, "mock_pace")
    for body in ({"step_ms": -1}, {"pace": "slow"}, {"stepms": 1}):
        assert running.http.put("/_mock/pace", json=body).status_code == 400


def test_the_routes_are_told(mock: Running) -> None:
    """Each that there is, with what it does."""
    there = admin_routes(State(Settings(), builtin()))
    methods = {f"{method} {path}" for path, known in there.items() for method in known}
    assert mock.http.get("/_mock").json() == dict(ROUTES)
    assert methods - {"GET /_mock/"} == set(ROUTES)


@pytest.mark.parametrize("path", ["/generate", "/generate_stream"])
def test_an_unknown_adapter_is_refused_with_a_hint(mock: Running, path: str) -> None:
    """What is known and how to load this one: in a header and the journal, beside LoRAX's own words."""
    headers = {"x-lorax-mock-session": f"hint {path}"}
    body = {"inputs": "a", "parameters": {"adapter_id": "mycorp/\u00fc", "top_k": 3}}
    reply = mock.http.post(path, json=body, headers=headers)
    assert "Repository Not Found" in reply.text or "Repo id must use" in reply.text
    hint = reply.headers["x-lorax-mock-hint"]
    assert hint.startswith("adapter 'mycorp/\\xfc' is not known to this mock, which loads acme/")
    assert "--adapter ID adds one, --unknown-adapters lets any id load" in hint
    known = {"inputs": "a", "parameters": {"adapter_id": "acme/sql"}}
    assert "x-lorax-mock-hint" not in mock.http.post(path, json=known, headers=headers).headers
    first, second = mock.http.get("/_mock/journal?wait", headers=headers).json()["entries"]
    assert (first["number"], first["notes"], second["notes"]) == (1, [hint], [])
    assert first["parameters"] == {"adapter_id": "mycorp/\u00fc", "top_k": 3}
    mock.http.delete("/_mock/journal", headers=headers)
    mock.http.post(path, json=known, headers=headers)
    (again,) = mock.http.get("/_mock/journal?wait", headers=headers).json()["entries"]
    assert again["number"] == 1
