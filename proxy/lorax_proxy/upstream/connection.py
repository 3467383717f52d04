"""One HTTP/1.1 connection to LoRAX: asyncio's protocol, and llhttp to read what it brings.

The event loop gives it bytes, llhttp gives it a status, headers and pieces of the body, and whoever
waits is woken once for everything that came in one read.

- A body that nobody reads is not taken from the kernel beyond a bound, so that a slow client slows
  LoRAX down and does not fill our memory.
- Silence is watched by one timer a request, which looks at the clock when it fires and never when
  bytes arrive.
- Waiting does not own the connection: a caller that is cancelled leaves it whole.
"""

import asyncio
from collections.abc import Callable
from typing import cast

import httptools

from lorax_proxy.errors import Lost, UpstreamError
from lorax_proxy.upstream.turns import Turns

__all__ = ["Connection"]

_MAX_HEAD = 64 * 1024
"""Bytes of a status line and headers: LoRAX sends about 800."""

_HIGH_WATER = 64 * 1024
"""Bytes of an unread body at which reading from the kernel pauses: some 400 events. One read may bring
256 KiB more; so much each stream holds whose client does not read."""


_STEP = 32 * 1024
"""Bytes of a body that are handed out at once: translating them takes some 10 ms at most."""


class Connection(asyncio.Protocol):
    """One connection: a request, its answer, and then the next request.

    Attributes:
        answered: Whether any byte of an answer to the last request has arrived.
        aborted: Whether it was torn down by who used it.
        status: The status of the last answer.
        headers: Its headers, names in lower case.
    """

    __slots__ = (
        "_body",
        "_busy",
        "_complete",
        "_delimited",
        "_failure",
        "_forget",
        "_head_bytes",
        "_headed",
        "_heard",
        "_keep",
        "_loop",
        "_parser",
        "_paused",
        "_sated",
        "_silence",
        "_sink",
        "_sink_error",
        "_timer",
        "_transport",
        "_turns",
        "_unread",
        "_waiter",
        "aborted",
        "answered",
        "headers",
        "status",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        forget: Callable[["Connection"], None],
        turns: Turns,
    ) -> None:
        """Prepare; the event loop connects it.

        Args:
            loop: The running event loop.
            forget: Told when the connection has ended, or has fallen out of step.
            turns: Where bodies that bring much at once wait for their turns.
        """
        self._loop = loop
        self._forget = forget
        self._turns = turns
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._body: list[bytes] = []
        self._unread = 0
        self._head_bytes = 0
        self._waiter: asyncio.Future[None] | None = None
        self._failure: Lost | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._silence = 0.0
        self._heard = 0.0
        # whoever takes bytes where they arrive; whether it wants no more, and what it raised
        self._sink: Callable[[bytes], bool] | None = None
        self._sated = False
        self._sink_error: Exception | None = None
        self._busy = False
        self._paused = False
        self._headed = False
        self._complete = True
        self._delimited = False
        self._keep = True
        self.answered = False
        self.aborted = False
        self.status = 0
        self.headers: list[tuple[str, str]] = []

    @property
    def usable(self) -> bool:
        """Whether another request may go out on it."""
        transport = self._transport
        return (
            transport is not None
            and not transport.is_closing()
            and self._failure is None
            and self._complete
        )

    @property
    def parting(self) -> bool:
        """Whether the last answer is whole and said that the connection ends with it."""
        return self._complete and not self._keep

    async def ask(self, data: bytes, silence: float) -> None:
        """Send a request and wait for the head of its answer.

        Raises:
            UpstreamError: When none comes.
        """
        assert self._transport is not None  # noqa: S101 - connected before it is handed out
        self._busy = True
        self._complete = self._headed = self._delimited = self._keep = self.answered = False
        self._head_bytes = 0
        self.headers = []
        self._silence = silence
        self._heard = self._loop.time()
        self._timer = self._loop.call_later(silence, self._look)
        self._transport.write(data)
        while not self._headed:
            if self._failure is not None:
                raise UpstreamError(self._failure)
            await self._wait()

    async def read(self) -> bytes:
        """The next bytes of the body; empty at its end.

        Raises:
            UpstreamError: When it breaks off; what arrived before is returned first.
        """
        while not self._body:
            if self._complete:
                return b""
            if self._failure is not None:
                raise UpstreamError(self._failure)
            await self._wait()
        if self._unread > _STEP:
            await self._turns.mine()
            data = self._taken(_STEP)
        else:
            data = self._body[0] if len(self._body) == 1 else b"".join(self._body)
            self._body.clear()
            self._unread = 0
        # the time that the reader took is not the server's silence
        self._heard = self._loop.time()
        if self._paused and self._unread <= _STEP and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()
        return data

    async def pour(self, sink: Callable[[bytes], bool]) -> None:
        """Hand the next bytes to `sink` where they arrive, until it wants no more.

        What is here already, and what brings much at once, goes the way of `read` first.

        Raises:
            UpstreamError: As `read`; and whatever the sink raises.
        """
        while True:
            data = await self.read()
            if not sink(data) or not data:
                return
            if self._body or self._complete or self._failure is not None:
                continue
            self._sink, self._sated, self._sink_error = sink, False, None
            try:
                await self._wait()
            finally:
                self._sink = None
            if self._sink_error is not None:
                raise self._sink_error
            if self._sated:
                return

    def _pour(self, sink: Callable[[bytes], bool]) -> bool:
        """Hand out all that has arrived; tell whether whoever pours has to look."""
        data = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        self._body.clear()
        self._unread = 0
        try:
            self._sated = not sink(data)
        except Exception as error:  # noqa: BLE001 - raised where the pouring is waited for
            self._sink_error = error
        return self._sated or self._sink_error is not None

    def _taken(self, size: int) -> bytes:
        """The first so many bytes of what is unread, or all if they are fewer."""
        whole = 0
        for piece in self._body:
            if len(piece) > size:
                break
            whole += 1
            size -= len(piece)
        taken = self._body[:whole]
        del self._body[:whole]
        if size and self._body:
            piece = self._body[0]
            taken.append(piece[:size])
            self._body[0] = piece[size:]
        data = b"".join(taken)
        self._unread -= len(data)
        return data

    def release(self) -> bool:
        """The exchange is over; tell whether the connection can be kept."""
        self._stop_timer()
        self._busy = False
        return self._keep and self.usable and not self._body

    def abort(self) -> None:
        """Tear the connection down."""
        self.aborted = True
        self._stop_timer()
        self._busy = False
        if self._transport is not None:
            self._transport.abort()

    async def _wait(self) -> None:
        """Until something has changed. Whoever waits may be cancelled without harm."""
        self._waiter = waiter = self._loop.create_future()
        try:
            await waiter
        finally:
            if self._waiter is waiter:
                self._waiter = None

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _fail(self, failure: Lost) -> None:
        if self._failure is None:
            self._failure = failure
        self._stop_timer()
        if self._transport is not None:
            self._transport.abort()
        self._wake()

    def _look(self) -> None:
        """The timer: has the server been silent for too long?"""
        if self._paused or self._body:
            # what is here is not read yet: it is we who are slow
            self._heard = self._loop.time()
        left = self._heard + self._silence - self._loop.time()
        if left <= 0:
            self._fail(Lost.IDLE_TIMEOUT)
        else:
            self._timer = self._loop.call_later(left, self._look)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The event loop has connected it."""
        # uvloop's transports are none of asyncio's classes, only of their shape
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """The next bytes have arrived."""
        if not self._busy:
            # bytes that no request asked for: whatever they are, the connection is out of step
            self._forget(self)
            self._fail(Lost.UNREADABLE)
            return
        self.answered = True
        self._heard = self._loop.time()
        if not self._headed:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._fail(Lost.UNREADABLE)
            return
        except httptools.HttpParserError:
            self._fail(Lost.CUT)
            return
        if not self._headed and self._head_bytes > _MAX_HEAD:
            self._fail(Lost.CUT)
            return
        if self._sink is not None and self._body and self._unread <= _STEP:
            sated = self._pour(self._sink)
            if not sated and not self._complete:
                return
            self._sink = None
        if self._unread > _HIGH_WATER and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> bool:
        """The server will send no more; nothing more is sent to it either."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection has ended."""
        del exc
        self._stop_timer()
        self._forget(self)
        if not self._busy:
            return
        if self._headed and not self._delimited:
            # a body without a length lasts as long as its connection
            self._complete = True
        elif not self._complete and self._failure is None:
            self._failure = Lost.CUT
        self._wake()

    # httptools.HttpResponseParser

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header of the answer."""
        lowered = name.decode("latin-1").lower()
        if lowered in ("content-length", "transfer-encoding"):
            self._delimited = True
        self.headers.append((lowered, value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        """The head of an answer is whole."""
        self.status = self._parser.get_status_code()
        if self.status < 200:
            # informational: the answer is yet to come
            self.headers = []
            self._delimited = False
            return
        self._headed = True

    def on_body(self, body: bytes) -> None:
        """The next piece of the body."""
        self._body.append(body)
        self._unread += len(body)

    def on_message_complete(self) -> None:
        """The answer is whole."""
        if self._headed:
            self._complete = True
            # llhttp forgets it when the next message begins
            self._keep = self._parser.should_keep_alive()
