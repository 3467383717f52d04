"""A server on a real socket that does exactly what a test's script says.

A script turns each request into steps: send these bytes, wait for the test, close, reset, stall.
The server reads HTTP/1.1 requests itself (with `content-length` or without a body) and sends only
what the script gives it, so it can answer with any bytes at all, cut anywhere.

    async with ScriptedServer(in_order([Send(answer(200, b"{}"))], [Reset()])) as server:
        ...  # a client talks to server.url
        assert server.requests[0].path == "/info"

A connection is kept for the next request unless a step ends it. Nothing here waits for a time:
where order matters, a step waits for the test (`Hold`) or the test for the server
(`next_request`, `client_left`).
"""

import asyncio
import contextlib
import json
import socket
import struct
from collections.abc import Callable, Coroutine, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self, assert_never

__all__ = [
    "LAST_CHUNK",
    "Fin",
    "Hold",
    "Request",
    "Reset",
    "Script",
    "ScriptedServer",
    "Send",
    "Stall",
    "Step",
    "answer",
    "by_path",
    "chunk",
    "event",
    "event_stream",
    "head",
    "in_order",
    "json_answer",
    "refusing_port",
]

PATIENCE = 10.0
"""Seconds after which a test that waits for the server has failed."""

LAST_CHUNK = b"0\r\n\r\n"
"""The end of a chunked body."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a client sent; header names in lower case, `connection` counts from 0."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    connection: int

    def json(self) -> Any:
        """The body as a document."""
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Send:
    """Send bytes, and wait until the kernel has taken them or the client has left."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Hold:
    """Wait until the test sets `gate`, or the client leaves."""

    gate: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True, slots=True)
class Stall:
    """Do nothing until the client leaves."""


@dataclass(frozen=True, slots=True)
class Fin:
    """End the connection in good order: the client reads an end of file."""


@dataclass(frozen=True, slots=True)
class Reset:
    """Tear the connection down: the client's socket reports a reset."""


Step = Send | Hold | Stall | Fin | Reset
Script = Callable[[Request], Sequence[Step]]


def in_order(*answers: Sequence[Step]) -> Script:
    """The first request gets the first answer, and so on; one request too many is an error."""
    left = list(answers)

    def script(request: Request) -> Sequence[Step]:
        assert left, f"no answer is left for {request.method} {request.path}"
        return left.pop(0)

    return script


def by_path(scripts: Mapping[str, Script | Sequence[Step]]) -> Script:
    """Each path has its script, or the steps that it always gets; others are 404."""

    def script(request: Request) -> Sequence[Step]:
        chosen = scripts.get(request.path, (Send(answer(404, b"")),))
        return chosen(request) if callable(chosen) else chosen

    return script


def head(status: int, headers: Mapping[str, str]) -> bytes:
    """A status line and headers."""
    lines = [f"HTTP/1.1 {status} Scripted", *(f"{name}: {text}" for name, text in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode()


def answer(status: int, body: bytes, content_type: str = "text/plain", **headers: str) -> bytes:
    """A whole answer with its length."""
    given = {name.replace("_", "-"): text for name, text in headers.items()}
    return head(
        status, {"content-type": content_type, "content-length": str(len(body)), **given}
    ) + (body)


def json_answer(document: object, status: int = 200, **headers: str) -> bytes:
    """A whole answer that is a JSON document."""
    return answer(status, json.dumps(document).encode(), "application/json", **headers)


def event_stream(**headers: str) -> bytes:
    """The head of a chunked event stream, as LoRAX sends it."""
    given = {name.replace("_", "-"): text for name, text in headers.items()}
    return head(
        200,
        {
            "content-type": "text/event-stream",
            "cache-control": "no-cache",
            "transfer-encoding": "chunked",
            **given,
        },
    )


def event(document: object) -> bytes:
    """One server-sent event with a JSON document, framed as LoRAX does."""
    return b"data: " + json.dumps(document, ensure_ascii=False).encode() + b"\n\n"


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body; the empty one would end it (see `LAST_CHUNK`)."""
    assert data, "an empty chunk ends the body"
    return b"%x\r\n%b\r\n" % (len(data), data)


@contextlib.contextmanager
def refusing_port() -> Generator[int, None, None]:
    """A port of the loopback address that refuses connections while the context is open."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


class ScriptedServer:
    """The server; an async context manager.

    Attributes:
        requests: Every request that arrived whole, in order.
        connections: How many connections were accepted.
        sent: How many bytes of answers the kernel has taken.
    """

    def __init__(
        self,
        script: Script,
        *,
        on_connect: Callable[[int], Sequence[Step]] = lambda _connection: (),
        send_buffer: int | None = None,
        port: int = 0,
    ) -> None:
        """Prepare; nothing listens yet.

        Args:
            script: What each request is answered with.
            on_connect: Steps for each accepted connection, by number, before anything is read.
            send_buffer: The size of the kernel's send buffer, for tests of slow readers.
            port: The port to listen on; any free one by default.
        """
        self.requests: list[Request] = []
        self.connections = 0
        self.sent = 0
        self._script = script
        self._on_connect = on_connect
        self._send_buffer = send_buffer
        self._port = port
        self._server: asyncio.Server | None = None
        self._running: set[asyncio.Task[None]] = set()
        self._broken: list[BaseException] = []
        self._left: set[int] = set()
        self._changed = asyncio.Condition()

    @property
    def port(self) -> int:
        """Where it listens."""
        assert self._server is not None, "the server is not started"
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    async def next_request(self, count: int = 1) -> Request:
        """Wait until `count` requests have arrived; return the last of them."""
        async with asyncio.timeout(PATIENCE), self._changed:
            await self._changed.wait_for(lambda: len(self.requests) >= count)
        return self.requests[count - 1]

    def asked(self, path: str) -> list[Request]:
        """The requests for a path that have arrived, in order."""
        return [each for each in self.requests if each.path == path]

    async def until_asked(self, path: str, count: int = 1) -> Request:
        """Wait until a path was asked for `count` times; return the last of those requests."""
        async with asyncio.timeout(PATIENCE), self._changed:
            await self._changed.wait_for(lambda: len(self.asked(path)) >= count)
        return self.asked(path)[count - 1]

    async def client_left(self, connection: int = 0) -> None:
        """Wait until the client has closed the connection with that number."""
        async with asyncio.timeout(PATIENCE), self._changed:
            await self._changed.wait_for(lambda: connection in self._left)

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)

    async def aclose(self) -> None:
        """End every connection; raise what a script raised."""
        assert self._server is not None, "the server is not started"
        self._server.close()
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        await self._server.wait_closed()
        if self._broken:
            raise self._broken[0]

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = self.connections
        self.connections += 1
        connection = _Connection(number, reader, writer)
        if self._send_buffer is not None:
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self._send_buffer)
            writer.transport.set_write_buffer_limits(high=self._send_buffer)
        task = asyncio.get_running_loop().create_task(self._converse(connection))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _converse(self, connection: "_Connection") -> None:
        try:
            open_ = await self._act(connection, self._on_connect(connection.number))
            while open_ and (request := await connection.read_request()) is not None:
                async with self._changed:
                    self.requests.append(request)
                    self._changed.notify_all()
                open_ = await self._act(connection, self._script(request))
        except OSError:
            connection.peer_left = True
        except Exception as error:  # noqa: BLE001 - what a script raised fails the test at the end
            self._broken.append(error)
        finally:
            connection.abort()
            if connection.peer_left:
                async with self._changed:
                    self._left.add(connection.number)
                    self._changed.notify_all()

    async def _act(self, connection: "_Connection", steps: Sequence[Step]) -> bool:
        """Take steps; tell whether the connection is still open after them."""
        for step in steps:
            match step:
                case Send():
                    await connection.send(step.data)
                    self.sent += len(step.data)
                case Hold():
                    await connection.until(step.gate.wait())
                case Stall():
                    await connection.until(asyncio.Event().wait())
                case Fin():
                    await connection.close()
                    return False
                case Reset():
                    connection.reset()
                    return False
                case _:
                    assert_never(step)
            if connection.peer_left:
                return False
        return True


class _Connection:
    """One accepted connection; reads ahead so that it notices when the client leaves."""

    def __init__(
        self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.number = number
        self.peer_left = False
        self._reader = reader
        self._writer = writer
        self._buffer = b""

    async def read_request(self) -> Request | None:
        """The next request; None when the client has left."""
        while b"\r\n\r\n" not in self._buffer:
            if not await self._more():
                return None
        raw, self._buffer = self._buffer.split(b"\r\n\r\n", 1)
        line, *fields = raw.decode("latin-1").split("\r\n")
        method, path, _version = line.split(" ")
        headers = {
            name.lower(): text.strip() for name, _, text in (each.partition(":") for each in fields)
        }
        length = int(headers.get("content-length", "0"))
        while len(self._buffer) < length:
            if not await self._more():
                return None
        body, self._buffer = self._buffer[:length], self._buffer[length:]
        return Request(method, path, headers, body, self.number)

    async def send(self, data: bytes) -> None:
        """Write, and wait until the kernel took it or the client left."""
        self._writer.write(data)
        await self.until(self._writer.drain())
        if self._writer.transport.is_closing():
            self.peer_left = True

    async def until(self, done: Coroutine[Any, Any, object]) -> None:
        """Wait for something or for the client to leave, whichever is first."""
        waiting = asyncio.ensure_future(done)
        try:
            while not waiting.done() and not self.peer_left:
                reading = asyncio.ensure_future(self._more())
                await asyncio.wait({waiting, reading}, return_when=asyncio.FIRST_COMPLETED)
                if not reading.done():
                    reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)
        finally:
            waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)

    async def close(self) -> None:
        """Say that there is nothing more to come."""
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    def reset(self) -> None:
        """Close so that the kernel sends a reset instead of an end."""
        sock = self._writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    def abort(self) -> None:
        """Let go of the socket, whatever state it is in."""
        self._writer.transport.abort()

    async def _more(self) -> bool:
        """Read what is there; False when the client has left."""
        try:
            data = await self._reader.read(65536)
        except OSError:
            data = b""
        if not data:
            self.peer_left = True
            return False
        self._buffer += data
        return True
