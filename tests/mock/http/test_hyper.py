"""The mock's connections, held to what hyper answered, byte for byte of every head.

`hyper_answers.json` was recorded from axum 0.7.7 on hyper 1.5.0 (the versions of LoRAX's lock) with tower-http's
CORS layer and three of LoRAX's routes: requests as they were sent (`[text, n]` is that text n times), the heads
that came back, and whether the connection ended then. Left out of the heads are the lines that the router itself
adds; `#` stands for dates and for lengths that are not 0. `half`: the client closed its side when it had sent all.
"""

import asyncio
import json
import re
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import takewhile
from pathlib import Path
from shutil import which
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
import uvicorn
from uvicorn.server import ServerState

from lorax_mock.http.axum import Receive, Scope, Send
from lorax_mock.http.cycle import AHEAD
from lorax_mock.http.hyper import Connection
from tests.mock.conftest import Running

_ROWS: Final[list[dict[str, Any]]] = json.loads(
    Path(__file__).with_name("hyper_answers.json").read_text("utf-8")
)
_ROUTERS: Final = re.compile(r"x-.*|cache-control: .*|content-type: application/json")
_BODY: Final = b'{"inputs":"hi","parameters":{"max_new_tokens":2}}'
_POST: Final = (
    b"POST /generate HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    b"content-length: %d\r\n" % len(_BODY)
)
_PROBE: Final = b"GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"


class _Client:
    """A socket, and the answers on it one after the other."""

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        self.socket = socket.create_connection((address.hostname, address.port), timeout=10)
        self._file = self.socket.makefile("rb")

    def send(self, data: bytes) -> None:
        """Send what the server still takes."""
        with suppress(OSError):
            self.socket.sendall(data)

    def head(self) -> list[str]:
        """The next head, line by line; nothing at the end of the connection."""
        lines = takewhile(lambda line: line not in (b"\r\n", b""), iter(self._file.readline, None))
        return [line.decode("latin-1").removesuffix("\r\n") for line in lines]

    def body(self, head: list[str]) -> bytes:
        """The body behind a head."""
        told = dict(line.lower().split(": ", 1) for line in head[1:])
        if "content-length" in told:
            return self._file.read(int(told["content-length"]))
        if "transfer-encoding" not in told:
            return b"" if " 100 " in head[0] else self._file.read()
        out = b""
        while size := int(self._file.readline(), 16):
            out += self._file.read(size)
            self._file.readline()
        self._file.readline()
        return out

    def over(self) -> bool:
        """Whether the server has ended the connection, once it says so."""
        return self._file.read() == b""

    def close(self) -> None:
        """Hang up."""
        self._file.close()
        self.socket.close()


@pytest.fixture
def connect(mock: Running) -> Iterator[Callable[[], _Client]]:
    """Opens connections to the mock."""
    opened: list[_Client] = []

    def connect() -> _Client:
        opened.append(_Client(mock.url))
        return opened[-1]

    yield connect
    for client in opened:
        client.close()


def _sent(row: dict[str, Any]) -> bytes:
    parts = (part if isinstance(part, str) else part[0] * part[1] for part in row["sent"])
    return "".join(parts).encode("latin-1")


def _shown(head: list[str]) -> str:
    """A head as the recording has it."""
    kept = [line for line in head if not _ROUTERS.fullmatch(line)]
    text = re.sub(r"\ncontent-length: [1-9]\d*", "\ncontent-length: #", "\r\n".join(kept))
    return re.sub(r"\ndate: [^\r]+ GMT", "\ndate: #", text)


@pytest.mark.parametrize("row", _ROWS, ids=[row["case"] for row in _ROWS])
def test_hyper_itself_answered_so(connect: Callable[[], _Client], row: dict[str, Any]) -> None:
    """Each recorded request gets hyper's head, in its order, and hyper's fate of the connection."""
    client = connect()
    client.send(_sent(row))
    if row.get("half"):
        client.socket.shutdown(socket.SHUT_WR)
    for expected in row["heads"]:
        head = client.head()
        assert _shown(head) == expected
        if not row["sent"][0].startswith("HEAD "):
            client.body(head)
    if row.get("closes"):
        assert client.over()
    else:
        client.send(_PROBE)
        assert client.head()[0] == "HTTP/1.1 200 OK"


def test_there_are_recordings_of_every_kind() -> None:
    """The recordings have all statuses, versions and ends of connections that the tests rely on."""
    firsts = {head.partition("\r\n")[0] for row in _ROWS for head in row["heads"]}
    assert {first.split()[0] for first in firsts} == {"HTTP/1.0", "HTTP/1.1"}
    assert {int(first.split()[1]) for first in firsts} == {
        *(100, 200, 400, 404, 405, 413, 414, 415, 431)
    }
    assert {bool(row.get("closes")) for row in _ROWS} == {True, False}


def test_an_offer_to_upgrade_costs_no_byte_of_the_body(connect: Callable[[], _Client]) -> None:
    """A request that offers an upgrade is answered, and what follows it is the next request."""
    client = connect()
    offer = b"connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMA\r\n\r\n"
    for path in (b"/generate", b"/generate_stream"):
        client.send(_POST.replace(b"/generate", path) + offer + _BODY)
        head = client.head()
        assert head[0] == "HTTP/1.1 200 OK"
        assert b"generated_text" in client.body(head)
    client.send(_PROBE)
    assert client.head()[0] == "HTTP/1.1 200 OK"


@pytest.mark.parametrize("path", [b"/generate", b"/generate_stream", b"/v1/chat/completions"])
def test_bodies_may_come_byte_by_byte(connect: Callable[[], _Client], path: bytes) -> None:
    """A body in chunks of one byte is read whole, with the next request behind it."""
    client = connect()
    body = b'{"inputs":"hi","messages":[{"role":"user","content":"hi"}],"model":""}'
    head = (
        b"POST %b HTTP/1.1\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    )
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
    client.send((head % path + chunks) * 2 + _PROBE)
    answers = []
    for _ in range(2):
        told = client.head()
        assert told[0] == "HTTP/1.1 200 OK"
        answers.append(client.body(told))
    assert all(b"data" in answer or b"text" in answer for answer in answers)
    assert client.head()[0] == "HTTP/1.1 200 OK"


def test_http_1_0_gets_its_stream_without_chunks(connect: Callable[[], _Client]) -> None:
    """A stream to HTTP/1.0 is not chunked and ends with the connection, keep-alive or not."""
    client = connect()
    client.send(
        _POST.replace(b"/generate HTTP/1.1", b"/generate_stream HTTP/1.0")
        + b"connection: keep-alive\r\n\r\n"
        + _BODY
    )
    head = client.head()
    assert head[0] == "HTTP/1.0 200 OK"
    assert "connection: keep-alive" in head
    body = client.body(head)
    assert body.startswith(b"data: {")
    assert body.endswith(b"\n\n")


def test_a_body_that_nobody_read_is_not_the_next_request(connect: Callable[[], _Client]) -> None:
    """A body that no route reads is dropped, however slowly it comes."""
    client = connect()
    length = 300_000
    client.send(b"POST /nowhere HTTP/1.1\r\ncontent-length: %d\r\n\r\n" % length)
    assert client.head()[0] == "HTTP/1.1 404 Not Found"
    client.send(b"x" * length + _PROBE)
    assert client.head()[0] == "HTTP/1.1 200 OK"


def test_http_2_from_the_start_is_hung_up_on(connect: Callable[[], _Client]) -> None:
    """The preface of HTTP/2 ends the connection without an answer, in parts and behind a request too."""
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    client = connect()
    client.send(preface[:10])
    client.send(preface[10:])
    assert client.over()
    client = connect()
    client.send(_POST + b"\r\n" + _BODY + preface)
    client.body(client.head())
    assert client.over()


def test_a_slow_reader_gets_everything(connect: Callable[[], _Client]) -> None:
    """An answer larger than socket buffers arrives whole at a client that reads slowly."""
    client = connect()
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
    body = json.dumps({"inputs": "a reef " * 20_000}).encode()
    head = (
        b"POST /tokenize HTTP/1.1\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    )
    client.send(head % len(body) + body)
    assert len(json.loads(client.body(client.head()))) == 60_002


class _Transport(asyncio.Transport):
    """Keeps what it is told."""

    def __init__(self) -> None:
        super().__init__({"peername": ("192.0.2.1", 5), "sockname": "/tmp/socket"})
        self.written = b""
        self.told: list[str] = []

    def write(self, data: Any) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return "close" in self.told

    def close(self) -> None:
        self.told.append("close")

    def pause_reading(self) -> None:
        self.told.append("pause")

    def resume_reading(self) -> None:
        self.told.append("resume")


def _connected(app: Callable[[Scope, Receive, Send], Any]) -> tuple[Connection, _Transport]:
    """A connection for an application, with uvicorn's state around it, and what it is on."""
    connection = Connection(uvicorn.Config(app, lifespan="off"), ServerState(), {})
    transport = _Transport()
    connection.connection_made(transport)
    return connection, transport


async def _turn() -> None:
    """Let everybody do what can be done."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_what_is_written_waits_for_a_slow_reader() -> None:
    """Writing waits while the transport is full, and a client that leaves ends the wait."""
    sent: list[int] = []

    async def app(_: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for part in range(3):
            await send({"type": "http.response.body", "body": b"a", "more_body": True})
            sent.append(part)
            if not part:
                connection.pause_writing()

    connection, transport = _connected(app)
    connection.data_received(b"GET / HTTP/1.1\r\n\r\n")
    await _turn()
    assert sent == [0]
    connection.resume_writing()
    await _turn()
    assert sent == [0, 1, 2]
    assert transport.told == ["close"]
    connection, transport = _connected(app)
    connection.data_received(b"GET / HTTP/1.1\r\n\r\n")
    await _turn()
    connection.connection_lost(None)
    await _turn()
    assert sent == [0, 1, 2] * 2
    assert transport.written.count(b"1\r\na\r\n") == 1


async def test_what_is_sent_ahead_waits_its_turn() -> None:
    """Requests sent ahead are answered in turn, and no more than a limit of them is read."""
    go_on = asyncio.Event()
    asked: list[str] = []

    async def app(scope: Scope, _: Receive, send: Send) -> None:
        asked.append(scope["path"])
        await go_on.wait()
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    connection, transport = _connected(app)
    connection.data_received(b"GET /1 HTTP/1.1\r\n\r\n")
    connection.data_received(b"GET /2 HTTP/1.1\r\na: " + b"b" * AHEAD + b"\r\n\r\n")
    connection.data_received(b"GET /3 HTTP/1.1\r\n\r\n")
    await _turn()
    assert (asked, transport.told) == (["/1"], ["pause"])
    go_on.set()
    await _turn()
    await _turn()
    assert (asked, transport.told) == (["/1", "/2", "/3"], ["pause", "resume"])


async def test_a_server_that_ends_ends_its_connections() -> None:
    """A server that ends closes idle connections at once, and others after an answer that says so."""
    go_on = asyncio.Event()

    async def app(_: Scope, __: Receive, send: Send) -> None:
        await go_on.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"a"})

    idle, transport = _connected(app)
    idle.shutdown()
    assert transport.told == ["close"]
    busy, transport = _connected(app)
    busy.data_received(b"GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n")
    await _turn()
    busy.shutdown()
    assert transport.told == []
    go_on.set()
    await _turn()
    assert transport.told == ["close"]
    assert b"\r\nconnection: close\r\n" in transport.written
    assert transport.written.count(b"HTTP/1.1 200 OK") == 1


async def test_an_application_that_fails_is_told() -> None:
    """A failed application is a 500 and the end of the connection, also with an unread half body."""

    async def app(_: Scope, __: Receive, ___: Send) -> None:
        raise ValueError

    connection, transport = _connected(app)
    connection.data_received(b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n")
    await _turn()
    assert transport.written.startswith(b"HTTP/1.1 500 ")
    assert transport.told == ["close"]
    connection.data_received(b"no chunk")
    assert transport.told == ["close", "close"]
    assert connection.eof_received() is False


@pytest.mark.slow
@pytest.mark.skipif(which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("version", ["--http1.0", "--http1.1", "--http2"])
def test_curl_gets_its_answers(mock: Running, version: str) -> None:
    """The program curl gets whole answers and streams, also when `--http2` offers an upgrade."""
    for path, begin in (("/generate", "{"), ("/generate_stream", "data: {")):
        command = ["curl", "--silent", "--show-error", "--fail", "--max-time", "20", version]
        told = subprocess.run(
            [*command, "--json", _BODY.decode(), f"{mock.url}{path}"],
            capture_output=True,
            text=True,
            check=True,
        )
        assert told.stdout.startswith(begin)


_JAVA: Final = """
import java.net.URI;
import java.net.http.*;

public class Ask {
  public static void main(String[] arguments) throws Exception {
    HttpClient client = HttpClient.newHttpClient();
    for (String path : new String[] {"/generate", "/generate_stream", "/generate"}) {
      HttpRequest request = HttpRequest.newBuilder(URI.create(arguments[0] + path))
          .header("content-type", "application/json")
          .POST(HttpRequest.BodyPublishers.ofString(arguments[1])).build();
      HttpResponse<String> told = client.send(request, HttpResponse.BodyHandlers.ofString());
      System.out.println(told.statusCode() + " " + told.body().contains("generated_text"));
    }
  }
}
"""


@pytest.mark.slow
@pytest.mark.skipif(which("java") is None, reason="Java is not installed")
def test_javas_own_client_gets_its_answers(mock: Running, tmp_path: Path) -> None:
    """Java's client, which offers HTTP/2 with its first request, gets its answers."""
    source = tmp_path / "Ask.java"
    source.write_text(_JAVA, "utf-8")
    told = subprocess.run(
        ["java", str(source), mock.url, _BODY.decode()], capture_output=True, text=True, check=True
    )
    assert told.stdout.split("\n") == ["200 true"] * 3 + [""]
