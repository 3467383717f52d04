"""A connection's bytes become requests, with limits and without surprises.

- *Upgrade offers are ignored*, as RFC 9110 7.8 wants it: Java's HttpClient and `curl --http2` send
  one with every request. llhttp stops behind the head of such a request and takes its body for
  another protocol, so a new parser is given the same head without the offer, and goes on.
- *Sizes* are checked while a head comes in, before there is a request.
- *Bodies* are counted over all connections, as they come, until they are answered.
- *Requests that wait behind another* are few. The loop reads 256 KiB at once, which may be ten
  thousand of them and take a second, so bytes are parsed a slice at a time, and held when it is
  enough.
"""

import asyncio

import httptools

from lorax_proxy.config_limits import ClientLimits
from lorax_proxy.core.failures import ApiError
from lorax_proxy.core.heads import (
    HeadRefused,
    check_count,
    check_head,
    check_size,
    malformed,
    too_many_bodies,
)
from lorax_proxy.door import Bodies
from lorax_proxy.exchange import Exchange

__all__ = ["Incoming"]

_MAX_PIPELINED = 16
"""Requests that may wait behind another: beyond them nothing is read, not even that it left."""

_SLICE = 4096
"""Bytes that are parsed before the requests are counted."""

_SMALL_REST = 64 * 1024
"""Bytes of a refused request's body that are read to keep the connection for the next one."""

_MOST_UNREAD = 64 * 1024
"""Bytes of a body that wait for whoever reads it, until no more are taken from the kernel."""


class Incoming(asyncio.Protocol):
    """The half of a connection that reads; the other half says what becomes of a request.

    Attributes:
        transport: The connection's.
        exchange: The newest request.
        pipeline: Requests that wait behind another, the next one first.
        read_paused: Whether nothing is taken from the kernel.
    """

    __slots__ = (
        "_asked",
        "_bodies",
        "_body_bytes",
        "_counted",
        "_deaf",
        "_full",
        "_head_bytes",
        "_headers",
        "_held",
        "_in_head",
        "_least_limit",
        "_limits",
        "_offers",
        "_slice_bytes",
        "_url",
        "exchange",
        "parser",
        "pipeline",
        "read_paused",
        "transport",
    )

    transport: asyncio.Transport
    exchange: Exchange

    def __init__(self, limits: ClientLimits, bodies: Bodies) -> None:
        # few, so that a list serves: an empty deque takes 600 bytes
        self.pipeline: list[Exchange] = []
        self.read_paused = False
        self._limits = limits
        self._bodies = bodies
        # what this connection counts for in them
        self._counted = 0
        # heads up to this size need no further look
        self._least_limit = min(limits.max_header_bytes, limits.max_request_line_bytes)
        # whether there was a request, and `exchange` is the newest
        self._asked = False
        # whether a request has begun whose head is not complete
        self._in_head = False
        # whether that one offers another protocol
        self._offers = False
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._head_bytes: int | None = None
        self._slice_bytes = 0
        self._body_bytes = 0
        # whether as many requests wait as may, and what came behind them
        self._full = False
        self._held = b""
        # whether nothing that comes is looked at any more
        self._deaf = False
        self._renew_parser()

    def _break_off(self, error: ApiError) -> None:
        """What came last is no request, or half of one that will not be waited for."""
        raise NotImplementedError

    def pause_reading(self) -> None:
        """Take nothing more from the kernel."""
        if not self.read_paused:
            self.read_paused = True
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Read on, unless as many requests wait as may."""
        if self.read_paused and not self._full:
            self.read_paused = False
            self.transport.resume_reading()

    def _take(self, data: bytes) -> None:
        """Make requests of the next bytes."""
        if self._full:
            # what was under way when reading was paused
            self._hold(self._held + data)
        elif len(data) <= _SLICE and not self.pipeline and not self._deaf:
            self._read_slice(data)
        else:
            self._read(data)

    def _take_held(self) -> None:
        """Go on with what was held, if there is room for more requests."""
        if self._full and len(self.pipeline) < _MAX_PIPELINED:
            self._full = False
            held = self._held
            self._hold(b"")
            self._read(held)

    def _drop_held(self) -> None:
        """Look at nothing more, and let it come."""
        self._deaf = True
        self._full = False
        self._hold(b"")
        self.resume_reading()

    def _hold(self, data: bytes) -> None:
        """Keep what came behind more requests than may wait."""
        if self._count(len(data) - len(self._held)):
            self._held = data
        else:
            self._break_off(too_many_bodies())

    def _count(self, size: int) -> bool:
        """Count bytes that are kept, or no longer kept; False when there is no room for them."""
        if not self._bodies.take(size):
            return False
        self._counted += size
        return True

    def count_body(self, exchange: Exchange, size: int) -> None:
        """Count bytes of a request's body, until its answer is complete.

        Raises:
            HeadRefused: 503 when there is no room for them.
        """
        if not self._count(size):
            raise HeadRefused(too_many_bodies())
        exchange.body_bytes += size

    def _forget_body(self, exchange: Exchange) -> None:
        """Count a request's body no longer."""
        self._count(-exchange.body_bytes)
        exchange.body_bytes = 0

    def _count_nothing(self) -> None:
        """Count nothing of this connection any more, whatever it was for."""
        self._count(-self._counted)

    def _read(self, data: bytes) -> None:
        """Make requests of bytes, a slice at a time; what is too many requests is held."""
        start = 0
        while start < len(data) and not self._deaf:
            if len(self.pipeline) >= _MAX_PIPELINED:
                self._full = True
                self.pause_reading()
                self._hold(data[start:])
                return
            # a body that is known to go on is no crowd of requests
            end = start + max(_SLICE, self._rest() or 0)
            piece = data if start == 0 and end >= len(data) else data[start:end]
            self._read_slice(piece)
            start = end

    def _read_slice(self, data: bytes) -> None:
        self._slice_bytes = len(data)
        try:
            self._feed(data)
        except httptools.HttpParserError as error:
            cause = error.__context__
            if isinstance(cause, HeadRefused):
                self._break_off(cause.error)
            else:
                self._break_off(malformed(data[:12], str(error)))
        else:
            if self._in_head:
                self._measure_beginning()

    def _feed(self, data: bytes | memoryview) -> None:
        while True:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as offer:
                data = memoryview(data)[offer.args[0] :]
                self._offers = False
                head = self._head_without_offer()
                self._renew_parser()
                self.parser.feed_data(head)
            else:
                return

    def _renew_parser(self) -> None:
        self.parser = httptools.HttpRequestParser(self)
        # what follows a request that closes is not for us to judge
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)

    def _head_without_offer(self) -> bytes:
        fields = (b"%b: %b\r\n" % field for field in self._headers if field[0] != b"upgrade")
        line = b"%b %b HTTP/%b\r\n" % (
            self.parser.get_method(),
            self._url,
            self.parser.get_http_version().encode(),
        )
        return b"".join((line, *fields, b"\r\n"))

    # httptools.HttpRequestParser

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        self._url = b""
        self._headers = []
        self._in_head = True
        self._head_bytes = None

    def on_url(self, url: bytes) -> None:
        """The next part of a request's target."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header of a request."""
        self._headers.append((name.lower(), value))

    def on_body(self, body: bytes) -> None:
        """The next bytes of a request's body."""
        exchange = self.exchange
        self._body_bytes += len(body)
        if exchange.response_complete:
            return
        self.count_body(exchange, len(body))
        exchange.feed(body)
        if exchange.unread > _MOST_UNREAD:
            self.pause_reading()

    def on_message_complete(self) -> None:
        """A request is complete."""
        if not self._offers:
            self._headers = []
            self.exchange.finish()

    def _check_whole_head(self, method: str, version: str) -> bool:
        """Whether the client waits for `100 Continue`; raises `HeadRefused` for what is no request."""
        if self._slice_bytes + (self._head_bytes or 0) > self._least_limit:
            self._check_size(self._header_bytes())
        check_count(len(self._headers), self._limits.max_headers)
        return check_head(method, version, self._headers)

    def is_rest_small(self) -> bool:
        """Whether so little is missing of the newest request's body that it is worth reading."""
        rest = self._rest()
        return rest is not None and rest <= _SMALL_REST

    def _rest(self) -> int | None:
        """Bytes that are missing of the newest request's body, if its length was told."""
        if not self._in_head and self._asked and self.exchange.more_body:
            for name, value in self._headers:
                if name == b"content-length":
                    return int(value) - self._body_bytes
        return None

    def _header_bytes(self) -> int:
        return sum(len(name) + len(value) + 4 for name, value in self._headers)

    def _measure_beginning(self) -> None:
        """A read ended inside a head, of which the parser shows only the headers it has whole."""
        if self._head_bytes is None:
            self._head_bytes = len(self._url) + self._header_bytes()
        else:
            self._head_bytes += self._slice_bytes
        try:
            self._check_size(self._head_bytes - len(self._url))
        except HeadRefused as refused:
            self._break_off(refused.error)

    def _check_size(self, block: int) -> None:
        check_size(
            len(self._url),
            block,
            max_line=self._limits.max_request_line_bytes,
            max_block=self._limits.max_header_bytes,
        )
