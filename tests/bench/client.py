"""A closed loop of HTTP connections that checks every answer and counts events.

Each connection asks again as soon as it has its answer. An answer counts if its status is 200, its events are as many
as were asked for, and its body ends as HTTP says that it does. Nothing else is read of it, so that the client takes
little of a processor.
"""

import asyncio
import re
from dataclasses import dataclass
from typing import cast

from lorax_mock.http.bodies import Body, Chunks, Sized

__all__ = ["Counts", "Load"]

_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)", re.IGNORECASE)
_EVENT = b"data: {"


@dataclass(slots=True)
class Counts:
    """What connections have read so far."""

    begun: int = 0
    """Connections that have the head of their first answer."""
    answers: int = 0
    events: int = 0
    wrong: int = 0
    example: bytes = b""
    """The end of an answer that was wrong."""


class _Asking(asyncio.Protocol):
    """One connection."""

    def __init__(self, request: bytes, events: range, counts: Counts) -> None:
        self._request = request
        self._expected = events
        self._counts = counts
        self._transport: asyncio.Transport
        self._left = False
        self._begun = False
        self._begin()

    def _begin(self) -> None:
        self._head = b""
        self._body: Body | None = None
        self._tail = b""
        self._events = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # not asserted: uvloop's transports are no subclass of asyncio's
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if self._body is None:
            self._head += data
            head, end, data = self._head.partition(b"\r\n\r\n")
            if not end:
                return
            if not head.startswith(b"HTTP/1.1 200 "):
                self._wrong(self._head)
                return
            self._counts.begun += not self._begun
            self._begun = True
            length = _LENGTH.search(head)
            self._body = Sized(int(length[1])) if length else Chunks()
        # a mark may lie across two pieces; nginx cuts events anywhere
        piece, rest = self._body.feed(data)
        joined = self._tail + piece
        new = joined.count(_EVENT)
        self._events += new
        self._counts.events += new
        self._tail = joined[-len(_EVENT) + 1 :]
        if rest is not None:
            self._done()

    def _done(self) -> None:
        if self._events not in self._expected:
            self._wrong(self._tail)
            return
        self._counts.answers += 1
        self._begin()
        self._transport.write(self._request)

    def _wrong(self, example: bytes) -> None:
        self._counts.wrong += 1
        self._counts.example = example[-300:]
        self.leave()

    def leave(self) -> None:
        """Hang up, whatever is under way."""
        self._left = True
        self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._left:
            self._counts.wrong += 1
            self._counts.example = f"the connection was lost: {exc}".encode()


class Load:
    """So many connections to one server, until it is stopped."""

    def __init__(self, host: str, port: int, request: bytes, events: range) -> None:
        self.counts = Counts()
        self._address = host, port
        self._make = lambda: _Asking(request, events, self.counts)
        self._asking: list[_Asking] = []

    async def start(self, connections: int, within: float) -> None:
        """Open the connections one by one, so that their answers do not come in step."""
        loop = asyncio.get_running_loop()
        for _ in range(connections):
            _, asking = await loop.create_connection(self._make, *self._address)
            self._asking.append(asking)
            await asyncio.sleep(within / connections)

    def stop(self) -> None:
        """Hang up."""
        for asking in self._asking:
            asking.leave()
