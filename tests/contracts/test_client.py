"""The client: every read bounded, a guest's manners, and nothing raised that a server did."""

import gzip
import json
import socket
import threading
import time
from dataclasses import replace

import pytest

from lorax_contracts.client import Bounds, Client, Spent
from lorax_contracts.errors import CannotRun
from lorax_contracts.exchange import End
from tests.contracts.raw_server import says, serving

BOUNDS = Bounds(requests=20, seconds=6, patience=0.5, reply_seconds=1.0, body_bytes=10_000)


def reply(status: str, body: bytes, *headers: str) -> bytes:
    """A whole reply."""
    lines = [f"HTTP/1.1 {status}", f"content-length: {len(body)}", "connection: close", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


@pytest.mark.parametrize("key", ["a\nb", "ключ"])
def test_a_key_that_no_header_carries_is_told(key: str) -> None:
    """Before anything is sent, and without the key."""
    with pytest.raises(CannotRun, match="no header can carry") as raised:
        Client("http://h", key=key)
    assert key not in str(raised.value)


@pytest.mark.slow
def test_the_query_of_the_address_goes_with_every_request() -> None:
    """Some gateways choose their version by it; the command that repeats has it too."""
    seen: list[bytes] = []

    def handle(connection: socket.socket, _: threading.Event) -> None:
        connection.sendall(reply("200 OK", b"{}"))

    with serving(handle, seen) as url, Client(url + "/v1?a=b", bounds=BOUNDS) as client:
        exchange = client.ask("GET", "/models")
    assert seen[0].startswith(b"GET /v1/models?a=b ")
    assert exchange.path == "/v1/models?a=b"


@pytest.mark.slow
def test_a_compressed_body_is_read() -> None:
    """Gateways compress though they are asked not to; what is judged is what a client reads."""

    def handle(connection: socket.socket, _: threading.Event) -> None:
        packed = gzip.compress(b'{"a":1}')
        connection.sendall(reply("200 OK", packed, "content-encoding: gzip"))

    with serving(handle) as url, Client(url, bounds=BOUNDS) as client:
        assert client.ask("GET", "/").body == b'{"a":1}'


@pytest.mark.slow
def test_what_came_instead_of_a_reply_is_told() -> None:
    """Another protocol's greeting is not silence."""

    def handle(connection: socket.socket, _: threading.Event) -> None:
        connection.sendall(b"SSH-2.0-server\r\n\r\n")

    with serving(handle) as url, Client(url, bounds=BOUNDS) as client:
        exchange = client.ask("GET", "/")
    assert (exchange.status, exchange.end) == (0, End.CUT)
    assert "SSH-2.0" in exchange.trouble


@pytest.mark.slow
def test_a_lone_surrogate_is_sent_as_an_escape() -> None:
    """A model may be called so by its server."""
    seen: list[bytes] = []

    def handle(connection: socket.socket, _: threading.Event) -> None:
        connection.sendall(reply("200 OK", b"{}"))

    with serving(handle, seen) as url, Client(url, bounds=BOUNDS) as client:
        client.ask("POST", "/x", {"model": "\ud800"})
    assert seen[0].endswith(b'{"model":"\\ud800"}')


@pytest.mark.slow
def test_what_was_sent_and_what_came_is_the_exchange() -> None:
    """Status, headers in lower case, body, and the very request."""
    seen: list[bytes] = []

    def handle(connection: socket.socket, _: threading.Event) -> None:
        connection.sendall(reply("201 Created", b"{}", "X-A: b", "Content-Type: a/b"))

    with serving(handle) as url, Client(url + "/v1", key="secret", bounds=BOUNDS) as client:
        exchange = client.ask("POST", "/x", {"é": 1}, headers={"x-b": "c"})
        seen.append(exchange.body)
    assert (exchange.status, exchange.body, exchange.end) == (201, b"{}", End.COMPLETE)
    assert exchange.header("x-a") == "b"
    assert exchange.media_type == "a/b"
    assert exchange.path == "/v1/x"
    assert exchange.request == {"é": 1}
    assert exchange.request_headers["x-b"] == "c"
    assert exchange.at is not None


@pytest.mark.slow
def test_a_cut_body_is_told_from_a_whole_one() -> None:
    """Fewer bytes than announced, and a chunked body without its end."""

    def short(connection: socket.socket, _: threading.Event) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\nhalf")

    def open_ended(connection: socket.socket, _: threading.Event) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n")

    for handle in (short, open_ended):
        with serving(handle) as url, Client(url, bounds=BOUNDS) as client:
            exchange = client.ask("GET", "/")
        assert exchange.end is End.CUT
        assert exchange.body == b"half"


@pytest.mark.slow
def test_a_silent_and_an_endless_body_end_in_time() -> None:
    """Silence ends by patience, a flood by bytes, a trickle by the request's own time."""

    def silent(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\npart")
        over.wait(10)

    def flood(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while not over.is_set():
            connection.sendall(b"x" * 4096)

    def trickle(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while not over.wait(0.1):
            connection.sendall(b"x")

    for handle, end in ((silent, End.IDLE), (flood, End.TOO_LONG), (trickle, End.LEFT)):
        began = time.monotonic()
        with serving(handle) as url, Client(url, bounds=BOUNDS) as client:
            exchange = client.ask("GET", "/")
        assert exchange.end is end
        assert exchange.body
        assert time.monotonic() - began < 3


@pytest.mark.slow
def test_429_is_waited_for_as_it_says_and_tried_again() -> None:
    """Retry-After is obeyed; the last answer is what counts."""
    asked: list[float] = []

    def handle(connection: socket.socket, _: threading.Event) -> None:
        asked.append(time.monotonic())
        busy = len(asked) < 2
        connection.sendall(
            reply("429 Busy", b"{}", "retry-after: 1") if busy else reply("200 OK", b"{}")
        )

    with serving(handle) as url, Client(url, bounds=BOUNDS) as client:
        exchange = client.ask("GET", "/")
        assert client.requests == 2
    assert exchange.status == 200
    assert asked[1] - asked[0] >= 1


@pytest.mark.slow
def test_a_run_ends_with_its_requests_and_with_its_time() -> None:
    """Both bounds raise Spent, and so does a wait that would pass the second."""

    def busy(connection: socket.socket, _: threading.Event) -> None:
        connection.sendall(reply("429 Busy", b"{}", "retry-after: 60"))

    def quick(connection: socket.socket, _: threading.Event) -> None:
        connection.sendall(reply("200 OK", json.dumps({}).encode()))

    with serving(quick) as url, Client(url, bounds=Bounds(requests=2)) as client:
        client.ask("GET", "/")
        client.ask("GET", "/")
        with pytest.raises(Spent, match="2 requests"):
            client.ask("GET", "/")
    patient = pytest.raises(Spent, match="wait longer")
    with serving(busy) as url, Client(url, bounds=BOUNDS) as client, patient:
        client.ask("GET", "/")
    late = pytest.raises(Spent, match="0 seconds")
    with Client("http://127.0.0.1:1", bounds=Bounds(seconds=0)) as client, late:
        client.ask("GET", "/")


def test_no_connection_cannot_run() -> None:
    """The address is in the message."""
    refused = pytest.raises(CannotRun, match=r"127\.0\.0\.1:1: no connection")
    with Client("http://127.0.0.1:1", bounds=BOUNDS) as client, refused:
        client.ask("GET", "/")


@pytest.mark.slow
def test_a_kept_connection_that_was_closed_is_no_finding() -> None:
    """A server may close it between two requests; the second is asked again on a new one."""
    asked: list[bytes] = []

    def handle(connection: socket.socket, _: threading.Event) -> None:
        kept = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
        connection.sendall(kept)
        asked.append(connection.recv(65536))

    with serving(handle) as url, Client(url, bounds=BOUNDS) as client:
        assert client.ask("GET", "/1").status == 200
        assert client.ask("GET", "/2").status == 200
    assert asked[0].startswith(b"GET /2")


@pytest.mark.slow
def test_a_request_that_kills_the_server_is_shown_by_what_came_of_it() -> None:
    """The second try finds nobody; the first is the proof."""
    listener = socket.create_server(("127.0.0.1", 0))

    def kill() -> None:
        connection, _ = listener.accept()
        connection.recv(65536)
        listener.close()
        connection.close()

    thread = threading.Thread(target=kill)
    thread.start()
    port = listener.getsockname()[1]
    with Client(f"http://127.0.0.1:{port}", bounds=BOUNDS) as client:
        exchange = client.ask("GET", "/")
    thread.join()
    assert (exchange.status, exchange.end) == (0, End.CUT)
    assert "disconnected" in exchange.trouble


@pytest.mark.slow
def test_a_reply_that_is_late_once_is_waited_for() -> None:
    """A model that is loaded for the first request is no broken server."""
    late = iter([1.2, 0.0])

    def serve(connection: socket.socket, over: threading.Event) -> None:
        over.wait(next(late, 0.0))
        connection.sendall(reply("200 OK", b"{}"))

    with serving(serve) as url, Client(url, bounds=BOUNDS) as client:
        exchange = client.ask("GET", "/models")
    assert exchange.status == 200
    assert not exchange.dropped
    assert client.requests == 2


@pytest.mark.slow
def test_a_server_that_stays_silent_has_dropped_the_request_when_it_was_waited_for() -> None:
    """Where the run has no time to wait, nothing is said."""

    def mute(_: socket.socket, over: threading.Event) -> None:
        over.wait(20)

    with serving(mute) as url:
        with Client(url, bounds=BOUNDS) as client:
            waited = client.ask("GET", "/models")
        with Client(url, bounds=replace(BOUNDS, seconds=1.0)) as client:
            hurried = client.ask("GET", "/models")
    assert waited.dropped
    assert waited.trouble == "no reply came within 0.5 s, nor within 1.5 s when asked again"
    assert not hurried.dropped


def test_headers_of_ones_own_are_sent_and_can_be_told() -> None:
    """They are part of the request that is repeated."""
    seen: list[bytes] = []
    with (
        serving(says("HTTP/1.1 200 OK", b"{}"), seen) as url,
        Client(url, headers={"X-Team": "blue"}) as client,
    ):
        exchange = client.ask("GET", "/models")
    assert b"x-team: blue" in seen[0]
    assert exchange.request_headers == {"x-team": "blue"}
