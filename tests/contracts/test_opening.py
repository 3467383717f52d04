"""What cannot be judged is told in one line, in time, and with what to do."""

import shutil
import socket
import ssl
import struct
import subprocess
import threading
import time
from pathlib import Path

import pytest

from lorax_contracts.check import Options, check, check_server
from lorax_contracts.client import Bounds
from lorax_contracts.errors import CannotRun
from lorax_contracts.opening import find
from tests.contracts.command import command
from tests.contracts.inprocess import InProcess
from tests.contracts.raw_server import Handle, says, serving
from tests.contracts.reference import Asked, Said, openai

QUICK = Bounds(requests=60, seconds=8, patience=0.4, reply_seconds=1.0, body_bytes=200_000)


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


def _resets(connection: socket.socket, _: threading.Event) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def _greets(connection: socket.socket, _: threading.Event) -> None:
    connection.sendall(b"SSH-2.0-server\r\n\r\n")


OK = "HTTP/1.1 200 OK\r\ncontent-type: application/json"
HTML = "HTTP/1.1 200 OK\r\ncontent-type: text/html"
BUSY = b'{"error":{"message":"slow down","type":"rate_limit","param":null,"code":null}}'

HOSTILE: dict[str, tuple[Handle, str]] = {
    "hangs": (_hangs, "sent no reply in time; raise --patience"),
    "hangs up": (_hangs_up, "closed the connection without a reply"),
    "resets": (_resets, r"closed the connection without a reply \(.*reset"),
    "another protocol": (_greets, "SSH-2.0.*does it speak https"),
    "trickles": (_trickles, "sent no reply in time"),
    "drips": (_drips, "still coming"),
    "never ends": (_never_ends, "does not end"),
    "huge": (says(OK, b" " * 1_000_000), "far too large"),
    "html": (says(HTML, b"<html>Sign in</html>"), "a login page"),
    "html 502": (says("HTTP/1.1 502 Bad Gateway", b"<html>nginx"), "with a web page"),
    "redirect": (says("HTTP/1.1 302 Found\r\nlocation: /login"), 'redirects to "/login"'),
    "redirect in colours": (says("HTTP/1.1 302 Found\r\nlocation: /\x9b1m"), "redirects to"),
    "key": (says("HTTP/1.1 401 Unauthorized", b"{}"), "OPENAI_API_KEY"),
    "404": (says("HTTP/1.1 404 Not Found", b"nothing"), "lists no model"),
    "busy": (says("HTTP/1.1 429 Busy\r\nretry-after: 0", BUSY), "429 each time.*slow down"),
    "not ready": (says("HTTP/1.1 503 Unavailable", b"loading"), "is not ready.*loading"),
    "text": (says("HTTP/1.1 200 OK", b"hello"), "is not JSON: hello"),
    "nothing": (says("HTTP/1.1 200 OK"), "is not JSON: an empty body"),
    "deep": (says(OK, b"[" * 100_000), "is not JSON"),
    "no names": (says(OK, b'{"object":"list","data":[{"id":null},{"x":1}]}'), "lists no model"),
}


@pytest.mark.slow
@pytest.mark.parametrize(("handle", "said"), HOSTILE.values(), ids=HOSTILE)
def test_what_cannot_be_judged_is_told_in_one_line_and_in_time(handle: Handle, said: str) -> None:
    """Never a hang, never a traceback, nothing that a terminal would obey."""
    began = time.monotonic()
    with serving(handle) as url, pytest.raises(CannotRun, match=said) as raised:
        check(url, Options(bounds=QUICK))
    assert str(raised.value).isprintable()
    assert time.monotonic() - began < QUICK.seconds


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
    told = pytest.raises(CannotRun, match="TLS trouble")
    with serving(says("HTTP/1.1 200 OK"), read=False) as url, told:
        check(url.replace("http:", "https:"), Options(bounds=QUICK))


def _certificate(folder: Path, name: str) -> tuple[Path, Path]:
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    words += ["-keyout", str(key), "-out", str(certificate), "-subj", f"/CN={name}"]
    subprocess.run(words, check=True, capture_output=True)
    return certificate, key


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
def test_a_certificate_that_nobody_knows_is_told_and_may_be_let_in(tmp_path: Path) -> None:
    """The message names the option; with it the next obstacle is told. Plain HTTP to it hints at TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*_certificate(tmp_path, "127.0.0.1"))
    answer = says("HTTP/1.1 404 Not Found", b"nothing")

    def handle(connection: socket.socket, over: threading.Event) -> None:
        with context.wrap_socket(connection, server_side=True) as inside:
            inside.recv(65536)
            answer(inside, over)

    with serving(handle, read=False) as url:
        secure = url.replace("http:", "https:")
        with pytest.raises(CannotRun, match=r"TLS trouble.*--insecure"):
            check(secure, Options(bounds=QUICK))
        with pytest.raises(CannotRun, match="lists no model"):
            check(secure, Options(bounds=QUICK, verify=False))
        for name in ("check", "matrix"):
            done = command(name, secure, "--insecure", "--kind", "openai")
            assert "lists no model" in done.err + done.out
        with pytest.raises(CannotRun, match=r"closed the connection|does it speak https"):
            check(url, Options(bounds=QUICK))


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        (200, {"content-type": "text/html"}, b"<html>the chat</html>"),
        (401, {}, b"who are you?"),
        (302, {"location": "/login"}, b""),
        (429, {}, b"not so fast"),
    ],
)
def test_what_stands_beside_an_api_does_not_keep_it_from_being_judged(
    status: int, headers: dict[str, str], body: bytes
) -> None:
    """A web interface answers every path that it does not know; only /v1 is the API."""

    def beside(asked: Asked) -> Said:
        if asked.path.startswith("/v1"):
            return openai(asked)
        return Said(status, dict(headers), raw=body)

    assert find(InProcess(beside), None, None)[0] == "openai"
    verdict = check_server(InProcess(beside), Options(only="OAI-CHAT-002", examples=0))
    assert verdict.findings == ()


def test_a_model_that_is_refused_is_told_with_the_servers_words() -> None:
    """404 for the model: its own message says more than ours."""
    with pytest.raises(CannotRun, match=r"'acme/nobody': .*no model acme/nobody.*--model"):
        check_server(InProcess(openai), Options(model="acme/nobody"))


def test_a_server_that_refuses_every_chat_breaks_one_law_and_the_rest_is_not_judged() -> None:
    """And a law that was asked for alone cannot be judged at all."""

    def refusing(asked: Asked) -> Said:
        said = openai(asked)
        return said if said.status != 200 or "/models" in asked.path else Said(500, raw=b"oops")

    verdict = check_server(InProcess(refusing), Options())
    assert {one.law for one in verdict.findings} <= {"OAI-ACCEPT-010", "OAI-ERR-001"}
    assert "answered with 500: oops" in verdict.why_not("OAI-STREAM-003")
    with pytest.raises(CannotRun, match="answered with 500: oops, and nothing else"):
        check_server(InProcess(refusing), Options(only="OAI-STREAM-003"))


def test_what_is_no_lorax_is_not_judged_as_one() -> None:
    """--kind lorax on another server: told, instead of ten broken laws."""
    with pytest.raises(CannotRun, match=r"/generate answers 404 .*is it a LoRAX\?"):
        check_server(InProcess(openai), Options(kind="lorax"))


def test_a_law_of_the_other_wire_is_told() -> None:
    """--only names a law that this server does not promise."""
    with pytest.raises(CannotRun, match="LORAX-GEN-001 is a law of lorax's wire"):
        check_server(InProcess(openai), Options(only="lorax-gen-001"))


def test_names_that_are_no_text_are_passed_over() -> None:
    """The first model that has a name is taken."""

    def nameless(asked: Asked) -> Said:
        said = openai(asked)
        if asked.path == "/v1/models":
            said.document["data"].insert(0, {"id": None})
        return said

    assert check_server(InProcess(nameless), Options(only="OAI-CHAT-002")).model == "acme/base"
