"""The checker: silent on what is right, right about what is wrong, and bounded by what is hostile."""

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lorax_contracts.check import Options, Verdict, check, check_server
from lorax_contracts.client import Bounds
from lorax_contracts.errors import CannotRun, UnknownName
from tests.contracts.detection import PAGE, SEEDS, judged, row
from tests.contracts.inprocess import InProcess
from tests.contracts.planted import DEVIATIONS, Deviation
from tests.contracts.planted_lorax import PLANTED
from tests.contracts.player import ProxyProcess
from tests.contracts.raw_server import serving
from tests.contracts.reference import Said, openai

QUICK = Bounds(requests=60, seconds=8, patience=0.4, reply_seconds=1.0, body_bytes=200_000)


def broken(verdict: Verdict) -> set[str]:
    """Ids of the laws that were found broken."""
    return {one.law for one in verdict.findings}


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(SEEDS))
def test_nothing_is_found_on_a_correct_server(seed: int) -> None:
    """No false alarm, our stricter promises included, whatever the exploration draws."""
    verdict = check_server(InProcess(openai), Options(strict=True, seed=seed, examples=20))
    assert broken(verdict) == set()
    assert verdict.skipped == ()
    assert verdict.unfinished == ""
    assert verdict.requests < 200


@pytest.mark.slow
@pytest.mark.parametrize("deviation", DEVIATIONS, ids=[one.name for one in DEVIATIONS])
def test_a_planted_deviation_is_found_under_its_law(deviation: Deviation) -> None:
    """The law is named, with a request that shows it, and the page says the same."""
    verdict = judged(deviation)
    found = {one.law: one for one in verdict.findings}
    assert deviation.law in found
    assert found[deviation.law].exchange is not None
    assert row(deviation, verdict) in PAGE.read_text("utf-8").splitlines()


def test_the_page_lists_each_planted_server_once() -> None:
    """docs/detection.md has a line for each and none besides; at least sixty."""
    page = PAGE.read_text("utf-8")
    lines = [one for one in page.splitlines() if one.startswith("| ")]
    assert len(lines) == len(DEVIATIONS) + len(PLANTED) + 2
    assert all(f"| {one.name} | {one.law} |" in page for one in PLANTED)
    assert len({one.name for one in DEVIATIONS}) == len(DEVIATIONS) >= 60
    assert sum("LoRAX" in one.source for one in DEVIATIONS) >= 25


def test_one_law_alone_can_be_asked_for() -> None:
    """--only reports that law and no other."""
    two = Deviation("two", "OAI-CHAT-003", "", say=lambda _, said: _worse(said))
    both = check_server(InProcess(two), Options(examples=0))
    one = check_server(InProcess(two), Options(examples=0, only="oai-chat-002"))
    assert {"OAI-CHAT-002", "OAI-CHAT-003"} <= broken(both)
    assert broken(one) == {"OAI-CHAT-002"}
    with pytest.raises(UnknownName, match="OAI-CHAT-002"):
        check_server(InProcess(two), Options(only="OAI-CHAT-02"))


def _worse(said: Said) -> None:
    if said.status == 200 and said.chunks is None and "choices" in (said.document or {}):
        said.document.update(id="null", object="text_completion")


def test_two_runs_of_one_seed_ask_the_same() -> None:
    """A finding can be repeated: the requests depend on the seed alone."""

    def asked(seed: int) -> list[tuple[str, str]]:
        server = InProcess(openai)
        check_server(server, Options(seed=seed, examples=15))
        return [(one.path, json.dumps(one.request)) for one in server.asked]

    assert asked(3) == asked(3)
    assert asked(3) != asked(4)


# ------------------------------------------------------------------ our own programs


@pytest.fixture(scope="module")
def mock() -> Iterator[str]:
    """A mock LoRAX, started as a user starts it."""
    with subprocess.Popen(
        [sys.executable, "-m", "lorax_mock", "serve", "--port", "0", "--announce", "json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())["url"]
        process.terminate()
        process.stdout.read()


@pytest.mark.slow
def test_the_mock_keeps_every_law_of_loraxs_wire(mock: str) -> None:
    """Found by its /info to be a LoRAX, and judged as one."""
    verdict = check(mock, Options(strict=True))
    assert verdict.kind == "lorax"
    assert broken(verdict) == set()


@pytest.mark.slow
def test_the_proxy_keeps_every_law_of_openais_wire(mock: str) -> None:
    """In front of the mock, our stricter promises included."""
    with ProxyProcess(mock) as proxy:
        verdict = check(proxy.url, Options(strict=True, model="acme/poet"))
    assert verdict.kind == "openai"
    assert broken(verdict) == set()
    assert verdict.requests > 100


# ------------------------------------------------------------------ bad input


def _says(head: str, body: bytes = b"") -> Callable[[socket.socket, threading.Event], None]:
    reply = f"{head}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n".encode() + body

    def handle(connection: socket.socket, _: threading.Event) -> None:
        connection.sendall(reply)

    return handle


def _hangs(_: socket.socket, over: threading.Event) -> None:
    over.wait(30)


def _hangs_up(connection: socket.socket, _: threading.Event) -> None:
    connection.shutdown(socket.SHUT_RDWR)


def _trickles(connection: socket.socket, over: threading.Event) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while not over.wait(0.05):
        connection.sendall(b"x-slow: yes\r\n")


def _drips(connection: socket.socket, over: threading.Event) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n")
    while not over.wait(0.05):
        connection.sendall(b" ")


def _never_ends(connection: socket.socket, over: threading.Event) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")
    while not over.is_set():
        connection.sendall(b"data: {}\n\n" * 1000)


HTML = "HTTP/1.1 200 OK\r\ncontent-type: text/html"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("handle", "said"),
    [
        (_hangs, "sent no reply in time"),
        (_hangs_up, "closed the connection"),
        (_trickles, "sent no reply in time"),
        (_drips, "still coming"),
        (_never_ends, "does not end"),
        (_says(HTML, b"<html>Sign in</html>"), "a login page"),
        (_says("HTTP/1.1 302 Found\r\nlocation: /login"), "redirects to /login"),
        (_says("HTTP/1.1 401 Unauthorized", b"{}"), "OPENAI_API_KEY"),
        (_says("HTTP/1.1 404 Not Found", b"nothing"), "lists no model"),
        (_says("HTTP/1.1 200 OK", b"hello"), "lists no model"),
    ],
    ids=[
        "hangs",
        "hangs up",
        "trickles",
        "drips",
        "never ends",
        "html",
        "redirect",
        "key",
        "404",
        "text",
    ],
)
def test_what_cannot_be_judged_is_told_in_one_line_and_in_time(
    handle: Callable[[socket.socket, threading.Event], None], said: str
) -> None:
    """Never a hang, never a traceback."""
    began = time.monotonic()
    with serving(handle) as url, pytest.raises(CannotRun, match=said) as raised:
        check(url, Options(bounds=QUICK))
    assert "\n" not in str(raised.value)
    assert time.monotonic() - began < QUICK.seconds


@pytest.mark.slow
def test_a_server_that_hangs_later_ends_the_run_in_time() -> None:
    """The first replies were right; then nothing: the run says so and stays within its bounds."""
    models = {"object": "list", "data": [{"id": "m"}]}
    answers = iter([json.dumps(models).encode()] * 3)

    def handle(connection: socket.socket, over: threading.Event) -> None:
        body = next(answers, None)
        if body is None:
            over.wait(30)
            return
        _says("HTTP/1.1 200 OK\r\ncontent-type: application/json", body)(connection, over)

    began = time.monotonic()
    bounds = Bounds(requests=60, seconds=3, patience=0.4, reply_seconds=1.0)
    with serving(handle) as url:
        verdict = check(url, Options(bounds=bounds))
    assert "OAI-HTTP-004" in broken(verdict)
    assert "3 seconds are used up" in verdict.unfinished
    assert time.monotonic() - began < 5


def test_an_address_without_a_server_is_told() -> None:
    """Connection refused, in one line."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(CannotRun, match=f"127.0.0.1:{port}: no connection"):
        check(f"http://127.0.0.1:{port}", Options(bounds=QUICK))


@pytest.mark.parametrize("url", ["ftp://host", "http://", "http://host:port", "not an address"])
def test_what_is_no_address_is_told(url: str) -> None:
    """Before anything is sent."""
    with pytest.raises(CannotRun):
        check(url, Options(bounds=QUICK))


@pytest.mark.slow
def test_tls_trouble_is_told() -> None:
    """Https to a server that speaks plain HTTP."""
    with serving(_says("HTTP/1.1 200 OK")) as url, pytest.raises(CannotRun, match="TLS trouble"):
        check(url.replace("http:", "https:"), Options(bounds=QUICK))


@pytest.mark.slow
def test_the_command_exits_as_it_says(tmp_path: Path) -> None:
    """2 for what cannot run, 1 for a broken law (JSON and JUnit alike), with one line of reason."""

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "lorax_contracts", "check", *words],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    with serving(_says(HTML, b"<html>Sign in</html>")) as url:
        refused = run(url)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.count("\n") == 1
    model = json.dumps({"object": "list", "data": [{"id": "m"}], "choices": []}).encode()
    head = "HTTP/1.1 200 OK\r\ncontent-type: application/json"
    with serving(_says(head, model)) as url:
        as_json = run(url, "--json", "--requests", "9")
        junit = run(url, "--junit", "--requests", "9", "--only", "OAI-CHAT-003")
    assert as_json.returncode == junit.returncode == 1
    laws = {one["law"] for one in json.loads(as_json.stdout)["broken"]}
    assert {"OAI-CHAT-001", "OAI-CHAT-003", "OAI-MODELS-001"} & laws
    assert junit.stdout.startswith("<testsuite")
    assert 'failures="1"' in junit.stdout


@pytest.mark.slow
def test_loraxs_own_openai_routes_break_what_they_are_known_to_break(mock: str) -> None:
    """The mock's imitation of LoRAX's /v1: two dozen promises and one more, each by name."""
    verdict = check(mock + "/v1", Options(kind="openai", examples=0))
    assert len(broken(verdict)) >= 25
    assert {
        "OAI-ACCEPT-001",  # stop as a string
        "OAI-CHAT-002",  # object
        "OAI-CHAT-003",  # id
        "OAI-COMP-006",  # prompts as a list
        "OAI-ERR-001",  # flat errors
        "OAI-FINISH-002",  # max_completion_tokens
        "OAI-FINISH-004",  # content_filter
        "OAI-FINISH-005",  # tool calls under stop
        "OAI-LOGP-001",  # logprobs
        "OAI-MODELS-001",  # no list
        "OAI-STOP-001",  # stop strings kept
        "OAI-STREAM-010",  # role repeated
        "OAI-STREAM-013",  # usage unasked
        "OAI-STREAM-017",  # errors as 200
    } <= broken(verdict)
