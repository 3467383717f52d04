"""A LoRAX in memory: the transport's interface, with bodies that a test chose.

For properties, which try too many bodies for sockets, and for transports that have bugs.
"""

import asyncio
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from lorax_proxy.surface import AsgiApp
from lorax_proxy.upstream.transport import Exchange
from tests.proxy.running import INFO, Reply

__all__ = ["MemoryExchange", "MemoryTransport", "call"]


@dataclass
class MemoryExchange:
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

    async def close(self) -> None:
        """Note that it is closed."""
        self.closed = True


@dataclass
class MemoryTransport:
    """Answers /info and /tokenize as a LoRAX does, and each other path as `answers` says."""

    answers: Callable[[str], Exchange]
    opened: list[Exchange] = field(default_factory=list[Exchange])
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
    ) -> Exchange:
        """One request."""
        del method, silence, epoch
        self.asked.append((path, body))
        if path == "/info":
            return MemoryExchange([json.dumps(INFO).encode()])
        if path == "/tokenize":
            return MemoryExchange([b'[{"id":1,"text":"a"}]'])
        exchange = self.answers(path)
        self.opened.append(exchange)
        return exchange

    async def aclose(self) -> None:
        """Nothing is open."""


async def call(app: AsgiApp, path: str, body: object) -> Reply:
    """POST a document to an application without a server, and read its whole answer."""
    sent: list[bytes] = []
    head: dict[str, Iterable[tuple[bytes, bytes]]] = {}
    status = 0
    complete = False
    whole: dict[str, object] = {"type": "http.request", "body": json.dumps(body).encode()}
    incoming = iter([whole])

    async def receive() -> dict[str, object]:
        for message in incoming:
            return message
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: dict[str, object]) -> None:
        nonlocal status, complete
        assert not complete, "something follows the end of an answer"
        if message["type"] == "http.response.start":
            assert not status, "a second status"
            assert isinstance(message["status"], int)
            status = message["status"]
            head["headers"] = message["headers"]  # type: ignore[assignment]  # ASGI's promise
        else:
            assert status, "a body before its status"
            assert isinstance(message["body"], bytes)
            sent.append(message["body"])
            complete = not message.get("more_body", False)

    headers = [(b"host", b"localhost"), (b"content-type", b"application/json")]
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "path": path,
        "headers": headers,
    }
    await app(scope, receive, send)  # type: ignore[arg-type]  # mappings, as ASGI has them
    fields = {name.decode(): value.decode() for name, value in head["headers"]}
    return Reply(status, fields, b"".join(sent), complete)
