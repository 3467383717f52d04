"""A LoRAX in memory: the transport's interface, with bodies that a test chose.

For properties, which try too many bodies for sockets, and for transports that have bugs.
"""

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from lorax_proxy.client import CONNECTED, AsgiApp
from lorax_proxy.upstream.transport import Response, pour_reads
from tests.proxy.running import INFO, Reply

__all__ = ["MemoryResponse", "MemoryTransport", "call"]


@dataclass
class MemoryResponse:
    """A body that arrives in pieces; an exception among them is raised in its place."""

    pieces: Sequence[bytes | Exception]
    status: int = 200
    headers: Sequence[tuple[str, str]] = ()
    closed: bool = False
    _left: list[bytes | Exception] = field(init=False)

    def __post_init__(self) -> None:
        self._left = list(self.pieces)

    async def read(self) -> bytes:
        """The next piece; every read lets others run first, as a socket does."""
        await asyncio.sleep(0)
        if not self._left:
            return b""
        piece = self._left.pop(0)
        if isinstance(piece, Exception):
            raise piece
        return piece

    async def pour(self, sink: Callable[[bytes], bool]) -> None:
        """Each read, until the sink wants no more."""
        await pour_reads(self.read, sink)

    async def close(self) -> None:
        """Note that it is closed."""
        self.closed = True


@dataclass
class MemoryTransport:
    """Answers /info and /tokenize as a LoRAX does, and each other path as `answers` says."""

    answers: Callable[[str], Response]
    opened: list[Response] = field(default_factory=list[Response])
    asked: list[tuple[str, bytes | None]] = field(default_factory=list[tuple[str, bytes | None]])
    epoch: int = 0
    breaks: int = 0

    async def send(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        silence: float,
        epoch: int | None = None,
    ) -> Response:
        """One request."""
        del method, silence, epoch
        self.asked.append((path, body))
        if path == "/info":
            return MemoryResponse([json.dumps(INFO).encode()])
        if path == "/tokenize":
            return MemoryResponse([b'[{"id":1,"text":"a"}]'])
        response = self.answers(path)
        self.opened.append(response)
        return response

    async def aclose(self) -> None:
        """Nothing is open."""


class _Listener:
    """The side of a connection that an application answers to: what was sent, in the right order."""

    def __init__(self, body: bytes) -> None:
        self.on_disconnect: Callable[[], None] | None = None
        self.write_paused = self.disconnected = False
        self.complete = False
        self.status = 0
        self.fields: dict[str, str] = {}
        self.sent: list[bytes] = []
        self._body = body

    async def receive(self) -> dict[str, object]:
        """The body, once."""
        raise AssertionError("the body was there as a whole")

    async def send(self, message: object) -> None:
        """ASGI's way, which no endpoint takes."""
        raise AssertionError(message)

    def whole_body(self) -> bytes:
        """The request's body."""
        return self._body

    def count_body(self, size: int) -> None:
        """Count nothing: there is no other."""

    def start(self, status: int, block: bytes, length: int | None = None) -> None:
        """Note the head."""
        del length
        assert not self.status, "a second status"
        self.status = status
        lines = block.decode("latin-1").split("\r\n")[:-1]
        self.fields = dict(line.split(": ", 1) for line in lines)

    def write(self, data: bytes) -> None:
        """Note what comes next."""
        assert self.status, "a body before its status"
        assert not self.complete, "something follows the end of an answer"
        self.sent.append(data)

    def end(self, data: bytes = b"") -> None:
        """Note what comes last."""
        self.write(data)
        self.complete = True

    async def drain(self) -> None:
        """Nothing is slow here."""


async def call(app: AsgiApp, path: str, body: object) -> Reply:
    """POST a document to an application without a server, and read its whole answer."""
    listener = _Listener(json.dumps(body).encode())
    headers = [(b"host", b"localhost"), (b"content-type", b"application/json")]
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "path": path,
        "headers": headers,
        "extensions": {CONNECTED: listener},
    }
    await app(scope, listener.receive, listener.send)
    return Reply(listener.status, listener.fields, b"".join(listener.sent), listener.complete)
