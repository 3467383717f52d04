"""The command that repeats a request is the request."""

import json
import shlex
import shutil
import socket
import subprocess
import threading
from pathlib import Path

import pytest

from lorax_contracts.curl import WRONG_KEY, curl
from lorax_contracts.exchange import Exchange
from tests.contracts import samples
from tests.contracts.raw_server import serving


def test_the_command_holds_the_very_request() -> None:
    """Method, address, content type and body survive the shell."""
    exchange = samples.asking(samples.golden("chat_stream"), stop="it's $HOME")
    words = shlex.split(curl(exchange, "http://localhost:8000"))
    assert words[:4] == ["curl", "-sS", "-i", "-N"]
    assert "http://localhost:8000/v1/chat/completions" in words
    assert json.loads(words[words.index("--data-binary") + 1]) == exchange.request


def test_a_key_is_never_printed() -> None:
    """Findings are pasted into public issues."""
    exchange = Exchange("GET", "/v1/models", 200, (), b"", request_headers={"authorization": "sk"})
    assert "sk" not in curl(exchange).split()
    assert "$OPENAI_API_KEY" in curl(exchange)


def test_other_secrets_are_read_from_variables_and_a_wrong_key_is_shown() -> None:
    """Gateways have headers of their own; a key that was made up is the point of its request."""
    headers = {"api-key": "s3cret", "x-team": "blue", "authorization": f"Bearer {WRONG_KEY}"}
    words = curl(Exchange("GET", "/v1/models", 200, (), b"", request_headers=headers))
    assert "s3cret" not in words
    assert "-H 'api-key: '\"$API_KEY\"" in words
    assert "x-team: blue" in words
    assert WRONG_KEY in words


def test_odd_requests_are_repeated_as_they_were() -> None:
    """A body that is no JSON, another content type, another method, no body at all."""
    odd = Exchange(
        "PUT",
        "/v1/models",
        405,
        (),
        b"",
        request_text=b"{oops",
        request_headers={"content-type": "text/plain", "x-a": "b"},
    )
    words = shlex.split(curl(odd))
    assert words[3:5] == ["-X", "PUT"]
    assert "content-type: text/plain" in words
    assert "x-a: b" in words
    assert words[-1] == "{oops"
    bare = Exchange("POST", "/v1/chat/completions", 400, (), b"")
    assert curl(bare).endswith("-X POST")


BODIES = {
    "cut": b'{"model": "m", "messages": [',
    "invalid UTF-8": b'{"model": "m\xff", "messages": []}',
    "20,000 nested lists": b"[" * 20_000,
    "quotes and formats": b"'\\'' %s %% \\n \\101 \"",
    "lines": b"a\r\n\x00b",
    "a low byte before a digit": b"\x011\x02",
    "like a file": b"@/etc/passwd",
    "empty": b"",
}


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None, reason="the command is curl's")
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_pasted_command_sends_the_very_bytes(body: bytes) -> None:
    """Through a POSIX shell, whatever the body holds."""
    asked: list[bytes] = []

    def handle(connection: socket.socket, _: threading.Event) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")

    exchange = Exchange("POST", "/v1/x?a=b&c", 400, (), b"", request_text=body)
    with serving(handle, asked) as url:
        command = curl(exchange, url)
        done = subprocess.run(["sh", "-c", command], capture_output=True, check=False, timeout=30)
    assert done.returncode == 0, command
    head, _, sent = asked[0].partition(b"\r\n\r\n")
    assert sent == body
    assert head.startswith(b"POST /v1/x?a=b&c ")
    assert command.isprintable()
    assert len(command) < 300


def test_what_a_terminal_would_obey_is_written_as_an_escape() -> None:
    """A request's own text comes from a server's model names too."""
    exchange = Exchange("POST", "/x", 400, (), b"", request={"model": "\x9b1m\u2028\ud800é☃"})
    command = curl(exchange)
    assert command.isprintable()
    assert "é☃" in command
    assert json.loads(shlex.split(command)[-1]) == exchange.request


@pytest.mark.parametrize("name", ["x-key$(touch pwned)", "x-key`touch pwned`", "1'key", "a.token"])
def test_a_headers_name_is_only_text_for_the_shell(name: str, tmp_path: Path) -> None:
    """Of the words in double quotes there is one variable, and nothing else to expand."""
    exchange = Exchange("GET", "/v1", 200, (), b"", request_headers={name: "s3cret"})
    words = f'set -- {curl(exchange).partition(" -H ")[2]}; printf %s "$1"'
    mine = {"1'key": "_1_KEY", "a.token": "A_TOKEN"}.get(name, "X_KEY__TOUCH_PWNED_")
    if name.endswith("`"):
        mine = "X_KEY_TOUCH_PWNED_"
    done = subprocess.run(
        ["sh", "-c", words], capture_output=True, cwd=tmp_path, env={mine: "k"}, check=True
    )
    assert done.stdout.decode() == f"{name}: k"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "exchange",
    [
        Exchange("POST", "/v1/##[a]", 400, (), b"", request={"model": "###[error]'##["}),
        Exchange("POST", "/v1", 400, (), b"", request_text=b"##[error]"),
        Exchange("POST", "/v1", 400, (), b"", request_text=b"##[error]\n'##["),
        Exchange("GET", "/v1", 400, (), b"", request_headers={"x-a": "##[group]"}),
    ],
)
def test_no_command_of_githubs_runner_is_in_the_command(exchange: Exchange) -> None:
    """It looks for `##[` anywhere in a line of a log; a shell reads the same words as ever."""
    command = curl(exchange)
    assert "##[" not in command
    words = shlex.split(command.rpartition("| ")[2])
    assert "http://HOST" + exchange.path in words
    if exchange.request:
        assert json.loads(words[-1]) == exchange.request
    if exchange.request_headers:
        assert words[-1] == "x-a: ##[group]"
