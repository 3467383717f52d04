"""A client on a plain socket: keeps its connection, and reads as its conduct says."""

import asyncio
import contextlib

from tests.soak.judging import Answer
from tests.soak.mix import Ask, Conduct

__all__ = ["HUNG", "Client", "get"]

HUNG = 60.0
"""Seconds after which an answer counts as lost."""

_SLOW_READ = 2000
_SLOW_WAIT = 0.02
"""Bytes that a slow reader takes, and the seconds that it waits after them: 100 KB a second."""

_LEAVES_AFTER = 200
"""Bytes of an answer after which a leaver has seen enough."""

_Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Client:
    """One client, with one connection at a time."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: _Streams | None = None

    async def ask(self, ask: Ask) -> Answer | None:
        """Send a request and read its answer; None for who leaves."""
        status, body = 0, bytearray()
        try:
            async with asyncio.timeout(HUNG):
                streams = self._streams or await asyncio.open_connection("127.0.0.1", self._port)
                self._streams = streams
                reader, writer = streams
                writer.write(_request("POST", ask.path, ask.body))
                if ask.conduct is Conduct.LEAVES:
                    await reader.readexactly(_LEAVES_AFTER)
                    self.close()
                    return None
                status, length = await _head(reader)
                await _body(reader, length, body, slow=ask.conduct is Conduct.SLOW)
        except (TimeoutError, OSError, asyncio.IncompleteReadError, ValueError):
            self.close()
            return Answer(status, bytes(body), complete=False)
        return Answer(status, bytes(body), complete=True)

    def close(self) -> None:
        """Tear the connection down."""
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None


async def get(port: int, path: str, streams: _Streams | None = None) -> bytes:
    """One GET's body, on a connection of its own unless one is given."""
    reader, writer = streams or await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(_request("GET", path))
        _, length = await _head(reader)
        body = bytearray()
        await _body(reader, length, body, slow=False)
        return bytes(body)
    finally:
        if streams is None:
            with contextlib.suppress(OSError):
                writer.close()
                await writer.wait_closed()


def _request(method: str, path: str, body: bytes = b"") -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nhost: localhost\r\n"
    if body:
        head += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


async def _head(reader: asyncio.StreamReader) -> tuple[int, int | None]:
    """The status, and the body's length unless it is chunked."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    _, found, rest = head.partition("\r\ncontent-length:")
    return int(head.split(" ")[1]), int(rest.partition("\r\n")[0]) if found else None


async def _body(
    reader: asyncio.StreamReader, length: int | None, body: bytearray, *, slow: bool
) -> None:
    if length is not None:
        body += await reader.readexactly(length)
        return
    taken = 0
    while size := int(await reader.readuntil(b"\r\n"), 16):
        body += await reader.readexactly(size)
        await reader.readexactly(2)
        if slow and len(body) - taken >= _SLOW_READ:
            taken = len(body)
            await asyncio.sleep(_SLOW_WAIT)
    await reader.readexactly(2)
