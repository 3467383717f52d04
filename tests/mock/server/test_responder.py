"""Scripts and faults on a socket."""

import asyncio
import itertools
import json
import os
import socket
import struct
import sys
import time
from collections.abc import Callable, MutableMapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from lorax_mock.prompt.tokenizer import builtin
from lorax_mock.server.app import create_app
from lorax_mock.testing.inprocess import LocalMock
from tests.mock.conftest import Running
from tests.mock.conftest import events as events_of

_BODY = {"inputs": "hello", "parameters": {"details": True}}


@pytest.fixture(scope="module")
def plain(mock: Running) -> httpx.Response:
    """The stream without a fault."""
    return mock.http.post("/generate_stream", json=_BODY)


def _fault(mock: Running, text: str, path: str = "/generate_stream") -> httpx.Response:
    return mock.http.post(path, json=_BODY, headers={"x-lorax-mock-fault": text})


def test_a_fault_is_told_in_a_header(mock: Running) -> None:
    """A fault's id is in a header of refusals, answers and streams."""
    for path in ("/generate", "/generate_stream"):
        for text in ("overload", "crlf", "mime:text/html", "status:503"):
            assert _fault(mock, text, path).headers["x-lorax-mock-fault"] == text


@pytest.mark.parametrize("text", ["drip:1000", "rechunk:3", "stall@2:0"])
def test_faults_of_pieces_change_no_byte(mock: Running, plain: httpx.Response, text: str) -> None:
    """Faults that cut a body into pieces change no byte of it."""
    assert _fault(mock, text).content == plain.content


@pytest.mark.parametrize("path", ["/generate", "/generate_stream"])
@pytest.mark.parametrize("kind", ["cut", "reset"])
def test_a_cut_answer_is_no_answer(mock: Running, path: str, kind: str) -> None:
    """A cut answer is a broken connection to its client and not a short success."""
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        _fault(mock, f"{kind}@20", path)
    assert mock.http.post("/generate", json=_BODY).status_code == 200


def test_what_was_sent_before_a_cut_arrives(mock: Running, plain: httpx.Response) -> None:
    """All bytes before a cut arrive."""
    got: list[bytes] = []
    headers = {"x-lorax-mock-fault": "cut@333"}
    with (
        mock.http.stream("POST", "/generate_stream", json=_BODY, headers=headers) as reply,
        pytest.raises(httpx.RemoteProtocolError),
    ):
        got.extend(reply.iter_bytes())
    assert b"".join(got) == plain.content[:333]


def test_a_reset_before_the_status_line_answers_nothing(mock: Running) -> None:
    """A reset at byte 0 sends nothing."""
    host, port = mock.url.removeprefix("http://").split(":")
    body = json.dumps(_BODY)
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(
            b"POST /generate HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
            b"x-lorax-mock-fault: reset@0\r\ncontent-length: %d\r\n\r\n%b"
            % (len(body), body.encode())
        )
        with pytest.raises(ConnectionResetError):
            connection.recv(100)


def test_errors_come_after_their_tokens(mock: Running) -> None:
    """An error fault is an event after its tokens in a stream, and a status otherwise."""
    streamed = events_of(_fault(mock, "error@3").text)
    assert len(streamed) == 4
    assert streamed[-1]["error_type"] == "generation"
    assert _fault(mock, "error@3", "/generate").status_code == 424
    assert _fault(mock, "incomplete@0", "/generate").status_code == 500
    over = _fault(mock, "overload:9", "/generate_stream")
    assert (over.status_code, over.headers["retry-after"]) == (200, "9")
    assert events_of(over.text) == [{"error": "Model is overloaded", "error_type": "overloaded"}]


def test_other_faults_of_events(mock: Running, plain: httpx.Response) -> None:
    """Faults change a stream's content type, ends of lines, repetitions and final event."""
    assert _fault(mock, "mime:text/html").headers["content-type"] == "text/html"
    assert _fault(mock, "nofinal").text == plain.text[: plain.text.rindex("data: ")]
    assert _fault(mock, "crlf").text == plain.text.replace("\n", "\r\n")
    page = _fault(mock, "status:502")
    assert (page.status_code, page.headers["content-type"]) == (502, "text/html")


def test_an_unknown_fault_is_refused(mock: Running) -> None:
    """An unknown fault is a 400 with the nearest one."""
    reply = _fault(mock, "cutt@1")
    assert reply.status_code == 400
    assert "did you mean 'cut'?" in reply.json()["error"]


def _as(mock: Running, session: str, path: str = "/generate", **parameters: Any) -> httpx.Response:
    body = {"inputs": "hello", "parameters": {"details": True, **parameters}}
    return mock.http.post(path, json=body, headers={"x-lorax-mock-session": session})


def _load(mock: Running, session: str, script: str) -> None:
    reply = mock.http.put(
        "/_mock/script", content=script, headers={"x-lorax-mock-session": session}
    )
    assert reply.status_code == 200, reply.text


def test_a_scripted_text_obeys_the_request(mock: Running) -> None:
    """A scripted text keeps to budget, stop strings and EOS, streamed or not."""
    _load(mock, "text", "rules: [{reply: {text: 'one two three'}}]")
    whole = _as(mock, "text").json()
    assert whole["generated_text"] == "one two three"
    assert whole["details"]["finish_reason"] == "eos_token"
    assert _as(mock, "text", max_new_tokens=2).json()["generated_text"] == "one two"
    assert _as(mock, "text", stop=[" two"]).json()["details"]["finish_reason"] == "stop_sequence"
    streamed = events_of(_as(mock, "text", "/generate_stream").text)
    assert [event["token"] for event in streamed] == whole["details"]["tokens"]
    longer = _as(mock, "text", ignore_eos_token=True, max_new_tokens=30).json()["details"]
    assert len(longer["tokens"]) == 30


def test_scripted_tokens_and_reasons(mock: Running) -> None:
    """Each scripted token is one event, and a scripted reason ends without EOS."""
    _load(mock, "tokens", "rules: [{reply: {tokens: ['', 'é', ' x'], finish: stop_sequence}}]")
    told = _as(mock, "tokens").json()
    assert [token["text"] for token in told["details"]["tokens"]] == ["", "é", " x"]
    assert told["details"]["finish_reason"] == "stop_sequence"
    assert told["generated_text"] == "é x"


def test_a_sequence_fails_twice_then_succeeds(mock: Running) -> None:
    """A scripted sequence fails twice and then succeeds, and the session's journal tells it."""
    _load(mock, "seq", "rules: [{sequence: [{fault: 'overload:60'}, {fault: 'error@0'}]}]")
    assert [_as(mock, "seq").status_code for _ in range(3)] == [429, 424, 200]
    told = mock.http.get("/_mock/journal", headers={"x-lorax-mock-session": "seq"}).json()
    assert [entry["fault"] for entry in told["entries"]] == ["overload:60", "error@0", None]
    assert len(told["manners"]) == 2
    assert "told to wait 60 s" in told["manners"][0]
    assert "refused with 424" in told["manners"][1]


def test_a_strict_session_refuses_with_the_nearest_rule(mock: Running) -> None:
    """A strict session refuses with the nearest rule, and other sessions are answered."""
    _load(mock, "strict", "{strict: true, rules: [{name: n, when: {prompt: bye}, fault: crlf}]}")
    for path in ("/generate", "/generate_stream"):
        refused = _as(mock, "strict", path)
        assert refused.status_code == 500
        assert "nearest is 'n': prompt wants 'bye'" in refused.json()["error"]
    assert _as(mock, "other").status_code == 200


def test_a_script_file_is_served_and_reloaded(
    start_mock: Callable[..., Running], tmp_path: Path
) -> None:
    """A changed script file takes effect without a restart."""
    script = tmp_path / "script.yaml"
    script.write_text("rules: [{reply: {text: first}}]")
    running = start_mock("--script", str(script))
    assert running.http.post("/generate", json=_BODY).json()["generated_text"] == "first"
    script.write_text("rules: [{reply: {text: second one}}]")
    assert running.http.post("/generate", json=_BODY).json()["generated_text"] == "second one"


def test_a_scripted_pace_takes_its_time(mock: Running) -> None:
    """A scripted pace delays its own answer and no other."""
    _load(mock, "pace", "rules: [{pace: {first_ms: 80}, reply: {text: a}}]")
    assert _as(mock, "pace").elapsed.total_seconds() > 0.08
    assert _as(mock, "pace").headers["x-time-to-first-token"] == "80"


@pytest.mark.slow
@pytest.mark.parametrize("path", ["/generate", "/tokenize"])
async def test_a_huge_prompt_without_spaces_holds_up_nobody(path: str) -> None:
    """Others are answered while a huge prompt is tokenized, and its refusal has the exact count."""
    text = "a" * 600_000
    with LocalMock() as mock:
        async with mock.async_client() as http:
            huge = asyncio.ensure_future(http.post(path, json={"inputs": text}))
            meanwhile = 0
            while not huge.done():
                assert (await http.get("/info")).status_code == 200
                meanwhile += 1
            reply = await huge
    assert meanwhile >= 5
    if path == "/generate":
        assert reply.status_code == 422
        count = len(builtin().encode(text))
        assert f"Given: {count}" in reply.json()["error"]
    else:
        assert "".join(token["text"] for token in reply.json()[1:]) == text


@pytest.mark.skipif(sys.platform != "linux", reason="reads a process's time from /proc")
@pytest.mark.slow
def test_who_left_costs_nothing_afterwards(start_mock: Callable[..., Running]) -> None:
    """A client that left a stream, with a fault or without, costs no processor time afterwards."""
    running = start_mock()
    host, port = running.url.removeprefix("http://").split(":")
    faults = ["", "stall@3", "drip:7", "rechunk:1", "oversize@2:100000", "comments", "error@4"]
    for fault, reset in itertools.product(faults, (True, False)):
        body = b'{"inputs":"a","parameters":{"max_new_tokens":4000,"ignore_eos_token":true}}'
        with socket.create_connection((host, int(port)), timeout=5) as connection:
            if reset:
                linger = struct.pack("ii", 1, 0)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            connection.sendall(
                b"POST /generate_stream HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
                b"x-lorax-mock-fault: %b\r\ncontent-length: %d\r\n\r\n%b"
                % (fault.encode(), len(body), body)
                if fault
                else b"POST /generate_stream HTTP/1.1\r\nhost: x\r\n"
                b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
                % (len(body), body)
            )
            assert connection.recv(1000).startswith(b"HTTP/1.1 200")
    told = running.http.get("/_mock/journal?wait").json()["entries"]
    assert len(told) == 2 * len(faults)
    assert {entry["outcome"] for entry in told} <= {"client_left", "fault", "length"}
    before = _cpu_seconds(running)
    time.sleep(0.4)
    assert _cpu_seconds(running) - before < 0.2


def _cpu_seconds(running: Running) -> float:
    told = Path(f"/proc/{running.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(told[11]) + int(told[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.timeout(20)
async def test_a_client_that_leaves_between_two_events_stops_nobody() -> None:
    """A stream ends when its client leaves, although more tokens are ready."""
    app = create_app()
    gone = asyncio.Event()
    body = [json.dumps(_BODY).encode()]
    heard: list[bytes] = []

    async def receive() -> MutableMapping[str, Any]:
        if body:
            return {"type": "http.request", "body": body.pop()}
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: MutableMapping[str, Any]) -> None:
        heard.append(message.get("body", b""))
        if len(heard) == 4:
            gone.set()
            await asyncio.sleep(0)

    headers = [(b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": "/generate_stream", "headers": headers}
    await app(scope, receive, send)
    assert len(heard) == 4
    (entry,) = app.state.journal.entries
    assert (entry.outcome, entry.tokens) == ("client_left", 3)


def test_the_headers_tell_the_shards_times(start_mock: Callable[..., Running]) -> None:
    """Queue time has download and load at first use, nothing at the next, and a load after a switch."""
    running = start_mock()

    def queued(adapter: str) -> int:
        body = {"inputs": "a", "parameters": {"adapter_id": adapter, "max_new_tokens": 3}}
        headers = running.http.post("/generate", json=body).headers
        assert int(headers["x-total-time"]) >= int(headers["x-queue-time"])
        return int(headers["x-queue-time"])

    names = ["acme/pirate", "acme/pirate", "acme/poet", "acme/pirate"]
    assert [queued(name) for name in names] == [1000, 0, 1000, 300]
    told = running.http.get("/_mock/schedule").json()
    assert [span["kind"] for span in told["spans"]].count("load") == 3
    assert len(told["jobs"]) == 4
    assert running.http.get("/_mock/schedule.svg").text.startswith("<svg ")


def test_an_adapter_file_decides_who_loads(
    start_mock: Callable[..., Running], tmp_path: Path
) -> None:
    """Adapters of a file load by its tokens and sizes, and those of the default list are unknown."""
    path = tmp_path / "adapters.yaml"
    path.write_text("- {id: a/private, token: secret}\n- {id: a/huge, memory: 2}\n")
    running = start_mock("--adapters", str(path))

    def ask(adapter: str, **headers: str) -> httpx.Response:
        body = {"inputs": "a", "parameters": {"adapter_id": adapter}}
        return running.http.post("/generate", json=body, headers=headers)

    assert ask("a/private").status_code == 424
    assert ask("a/private", authorization="Bearer EMPTY").status_code == 424
    assert ask("a/private", authorization="Bearer secret").status_code == 200
    assert "is larger than adapter memory reservation" in ask("a/huge").json()["error"]
    assert ask("acme/pirate").status_code == 424
