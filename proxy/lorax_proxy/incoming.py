"""A connection's bytes become requests: uvicorn's protocol, with limits and without surprises.

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
from typing import Any

import httptools
import uvicorn
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT, FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

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


class _Flow(FlowControl):
    """uvicorn's, which every request that is answered would let read on."""

    full = False

    def resume_reading(self) -> None:
        if not self.full:
            super().resume_reading()


class Incoming(HttpToolsProtocol):
    """The half of a connection that reads; the other half says what becomes of a request."""

    def __init__(
        self,
        limits: ClientLimits,
        bodies: Bodies,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        loop: asyncio.AbstractEventLoop | None,
    ) -> None:
        super().__init__(config, server_state, app_state, loop)
        self._limits = limits
        self._bodies = bodies
        # what this connection counts for in them
        self._counted = 0
        # heads up to this size need no further look
        self._least_limit = min(limits.max_header_bytes, limits.max_request_line_bytes)
        # whether there was a request, and `cycle` is the newest
        self._asked = False
        # whether a request has begun whose head is not complete
        self._in_head = False
        # whether that one offers another protocol
        self._offers = False
        self._head_bytes: int | None = None
        self._slice_bytes = 0
        self._body_bytes = 0
        self._flow: _Flow
        # what came behind more requests than may wait
        self._held = b""
        # whether nothing that comes is looked at any more
        self._deaf = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn's is
        """A client has connected."""
        super().connection_made(transport)
        self.flow = self._flow = _Flow(transport)

    def _break_off(self, error: ApiError) -> None:
        """What came last is no request, or half of one that will not be waited for."""
        raise NotImplementedError

    def _take(self, data: bytes) -> None:
        """Make requests of the next bytes."""
        if self._flow.full:
            # what was under way when reading was paused
            self._hold(self._held + data)
        elif len(data) <= _SLICE and not self.pipeline and not self._deaf:
            self._read_slice(data)
        else:
            self._read(data)

    def _take_held(self) -> None:
        """Go on with what was held, if there is room for more requests."""
        if self._flow.full and len(self.pipeline) < _MAX_PIPELINED:
            self._flow.full = False
            held = self._held
            self._hold(b"")
            self._read(held)

    def _drop_held(self) -> None:
        """Look at nothing more, and let it come."""
        self._deaf = True
        self._flow.full = False
        self._hold(b"")
        self.flow.resume_reading()

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

    def count_body(self, cycle: Exchange, size: int) -> None:
        """Count bytes of a request's body, until its answer is complete.

        Raises:
            HeadRefused: 503 when there is no room for them.
        """
        if not self._count(size):
            raise HeadRefused(too_many_bodies())
        cycle.body_bytes += size

    def _forget_body(self, cycle: Exchange) -> None:
        """Count a request's body no longer."""
        self._count(-cycle.body_bytes)
        cycle.body_bytes = 0

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is closed, by whomever."""
        self._count(-self._counted)  # whatever it was for
        super().connection_lost(exc)

    def _read(self, data: bytes) -> None:
        """Make requests of bytes, a slice at a time; what is too many requests is held."""
        start = 0
        while start < len(data) and not self._deaf:
            if len(self.pipeline) >= _MAX_PIPELINED:
                self._flow.full = True
                self.flow.pause_reading()
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
        # as uvicorn does: what follows a request that closes is not for us to judge
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)

    def _head_without_offer(self) -> bytes:
        fields = (b"%b: %b\r\n" % field for field in self.headers if field[0] != b"upgrade")
        line = b"%b %b HTTP/%b\r\n" % (
            self.scope["method"].encode(),
            self.url,
            self.scope["http_version"].encode(),
        )
        return b"".join((line, *fields, b"\r\n"))

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        super().on_message_begin()
        self._in_head = True
        self._head_bytes = None

    def on_body(self, body: bytes) -> None:
        """The next bytes of a request's body."""
        cycle = self.cycle
        self._body_bytes += len(body)
        if cycle.response_complete:
            return
        assert isinstance(cycle, Exchange)  # noqa: S101 - no others are made here
        self.count_body(cycle, len(body))
        cycle.body += body
        if len(cycle.body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        cycle.message_event.set()

    def _check_whole_head(self, method: str, version: str) -> None:
        if self._slice_bytes + (self._head_bytes or 0) > self._least_limit:
            self._check_size(self._header_bytes())
        check_count(len(self.headers), self._limits.max_headers)
        check_head(method, version, self.headers)

    def is_rest_small(self) -> bool:
        """Whether so little is missing of the newest request's body that it is worth reading."""
        rest = self._rest()
        return rest is not None and rest <= _SMALL_REST

    def _rest(self) -> int | None:
        """Bytes that are missing of the newest request's body, if its length was told."""
        if not self._in_head and self._asked and self.cycle.more_body:
            for name, value in self.headers:
                if name == b"content-length":
                    return int(value) - self._body_bytes
        return None

    def _header_bytes(self) -> int:
        return sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _measure_beginning(self) -> None:
        """A read ended inside a head, of which the parser shows only the headers it has whole."""
        if self._head_bytes is None:
            self._head_bytes = len(self.url) + self._header_bytes()
        else:
            self._head_bytes += self._slice_bytes
        try:
            self._check_size(self._head_bytes - len(self.url))
        except HeadRefused as refused:
            self._break_off(refused.error)

    def _check_size(self, block: int) -> None:
        check_size(
            len(self.url),
            block,
            max_line=self._limits.max_request_line_bytes,
            max_block=self._limits.max_header_bytes,
        )
