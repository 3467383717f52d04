"""A client's connection: whose turn it is, how long it may take, and how it ends.

With `incoming`, which makes requests of its bytes, and `exchange`, which frames answers, this is
HTTP/1 as strangers speak it: uvicorn's protocol (uvicorn/protocols/http/httptools_impl.py), refined.

- *Times* are looked at by the door's clock, so that a request costs no timer.
- *A refusal reaches the client.* Who closes a socket that has unread data resets the connection,
  and the client may lose what was sent; so the sending half is closed first, and what still comes
  is thrown away for a while.
- *What is no request* gets OpenAI's envelope, in its turn behind answers that are under way.
- *Every request of a connection* learns that the client has left, not the last one alone.
"""

import asyncio
import functools
from collections import deque
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote

import httptools
import uvicorn
from uvicorn.protocols.http.httptools_impl import STATUS_LINE
from uvicorn.server import ServerState

from lorax_proxy.core import failures
from lorax_proxy.core.failures import ApiError
from lorax_proxy.core.heads import HeadRefused, late, too_many_connections
from lorax_proxy.door import Door
from lorax_proxy.exchange import ChunklessExchange, Exchange
from lorax_proxy.incoming import Incoming
from lorax_proxy.surface import COUNT_BODY, refused_unread
from lorax_proxy.wire.openai_replies import encode_error

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application

__all__ = ["Connection"]

_BODY_RATE = 1024
"""Bytes a second that a body must come at, once `client_body_timeout` is over."""

_LINGER = 30.0
_LINGER_SILENCE = 5.0
"""Seconds for which what comes behind a refusal is thrown away, and of silence in it: nginx's."""

_LEAVING_WAIT = 1.0
"""Seconds that a connection without a request has to send one, once the server shuts down."""


class Connection(Incoming):
    """One client's connection.

    Attributes:
        peer: The client's address, by which connections are counted.
    """

    def __init__(
        self,
        door: Door,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(door.limits, door.bodies, config, server_state, app_state, _loop)
        self.peer = ""
        self._door = door
        self._running: Exchange | None = None
        self._heard = self._since = door.now
        self._unwritten = 0
        # what is still to be told once the answers under way are complete
        self._refusal: ApiError | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn's is
        """A client has connected."""
        super().connection_made(transport)
        self.peer = self.client[0] if self.client else ""
        self._heard = self._since = self._door.now
        if not self._door.enter(self) and not transport.is_closing():
            # the door has told it, once for many
            self._refuse(too_many_connections(), silent=True)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is closed, by whomever."""
        self._door.leave(self)
        self._deaf = True
        # uvicorn tells the newest request alone
        for cycle in (self._running, *(cycle for cycle, _ in self.pipeline)):
            if cycle is not None and not cycle.response_complete:
                cycle.disconnected = True
                cycle.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes have come in."""
        self._heard = self._door.now
        self._take(data)

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        super().on_message_begin()
        self._since = self._door.now

    def on_headers_complete(self) -> None:
        """A request's head is complete: begin to answer it, or let it wait for its turn."""
        parser, scope = self.parser, self.scope
        scope["method"] = method = parser.get_method().decode("ascii")
        version = parser.get_http_version()
        scope["http_version"] = version
        self._check_whole_head(method, version)
        if parser.should_upgrade():
            self._offers = True
            return
        if self._door.leaving:
            raise HeadRefused(failures.shutting_down())
        url = httptools.parse_url(self.url)
        path = url.path.decode("ascii")
        scope["path"] = unquote(path) if "%" in path else path
        scope["raw_path"] = url.path
        scope["query_string"] = url.query or b""
        kind = ChunklessExchange if version == "1.0" else Exchange
        cycle = kind(
            scope=scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=self.access_log,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            # RFC 9110 10.1.1: not to HTTP/1.0
            expect_100_continue=self.expect_100_continue and version != "1.0",
            keep_alive=parser.should_keep_alive(),
            on_response=self.on_response_complete,
        )
        cycle.is_rest_small = self.is_rest_small
        scope["extensions"] = {COUNT_BODY: {"count": functools.partial(self.count_body, cycle)}}
        self.cycle = cycle
        self._asked = True
        self._in_head = False
        self._body_bytes = 0
        self._since = self._door.now
        # typed by uvicorn as whatever may be configured, which ours is not
        app = cast("ASGI3Application", self.app)
        if self._running is None:
            self._running = cycle
            self._start(cycle, app)
        else:
            self.pipeline.appendleft((cycle, app))

    def _start(self, cycle: Exchange, app: "ASGI3Application") -> None:
        """Have a request answered: what uvicorn does too, in a method that it has since 0.45 alone."""
        task = self.loop.create_task(cycle.run_asgi(app))
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    def on_message_complete(self) -> None:
        """A request is complete."""
        if self._offers:
            return
        self.cycle.more_body = False
        if not self.cycle.response_complete:
            self.cycle.message_event.set()

    def on_response_complete(self) -> None:
        """An answer is complete: the next one's turn, if there is one."""
        self.server_state.total_requests += 1
        answered, self._running = self._running, None
        if answered is not None:
            self._forget_body(answered)
        self._since = self._door.now
        if self.transport.is_closing():
            return
        if answered is not None and answered.more_body and answered.closes:
            self._linger()
            return
        if self.pipeline and self._door.leaving:
            # these were not begun; who reads this answer knows it of those behind it (RFC 9112 9.6)
            self.pipeline.clear()
            self._refuse(failures.shutting_down())
            return
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            assert isinstance(cycle, Exchange)  # noqa: S101 - no others are made here
            self._running = cycle
            self._start(cycle, app)
        elif self._refusal is not None:
            self._refuse(self._refusal)
            return
        self._take_held()
        self.flow.resume_reading()

    # times

    def look(self, now: float) -> None:
        """End what has taken too long."""
        limits = self._limits
        if self.transport.is_closing() or self.flow.write_paused:
            self._look_at_client(now)
        elif self._running is not None and not self._running.more_body:
            pass  # the answer's own times are the application's
        elif self._deaf:
            silence = _LEAVING_WAIT if self._door.leaving else _LINGER_SILENCE
            if now - self._since > _LINGER or now - self._heard > silence:
                self.transport.abort()
        elif self._in_head:
            wait = _LEAVING_WAIT if self._door.leaving else limits.client_header_timeout
            if now - self._since > wait:
                self._break_off(
                    failures.shutting_down() if self._door.leaving else late("headers", wait)
                )
        elif not self._asked:
            # nothing was asked: to answer would be to answer what may come yet
            wait = _LEAVING_WAIT if self._door.leaving else limits.client_header_timeout
            if now - self._since > wait:
                self.transport.close()
        elif self.cycle.more_body:
            took = now - self._since
            wait = limits.client_body_timeout
            slow = took > wait and self._body_bytes < took * _BODY_RATE
            if not self.flow.read_paused and (now - self._heard > wait or slow):
                self._break_off(late("body", wait))
        elif now - self._since > limits.client_idle_timeout:
            self.transport.close()

    def resume_writing(self) -> None:
        """The client has taken most of what was waiting."""
        self._unwritten = -1
        super().resume_writing()

    def _look_at_client(self, now: float) -> None:
        """See whether it takes what it is sent."""
        left = self.transport.get_write_buffer_size()
        if left != self._unwritten:
            self._unwritten, self._since = left, now
        elif now - self._since > self._limits.client_write_timeout:
            self.transport.abort()

    # ends

    def shutdown(self) -> None:
        """Begin nothing more, and close when nothing is under way."""
        if self._running is not None:
            self.cycle.keep_alive = False
        elif self._asked and not self._in_head and not self._deaf:
            self.transport.close()
        else:
            # what is on its way gets an answer, if it comes soon
            self._since = self._heard = self._door.now

    def abort(self) -> None:
        """Close at once."""
        self.transport.abort()

    def _break_off(self, error: ApiError) -> None:
        """What came last is no request, or half of one that will not be waited for."""
        cycle = self.cycle
        self._deaf = True
        if self._running is None:
            if self._asked and cycle.more_body:
                self._linger()  # it has its answer already
            else:
                self._refuse(error)
        elif not cycle.more_body or cycle is not self._running:
            # behind an answer that is under way
            self.pipeline = deque(each for each in self.pipeline if not each[0].more_body)
            self._refusal = error
        else:
            begun = cycle.response_started
            cycle.disconnected = True
            cycle.message_event.set()
            self._running = None
            if begun:
                self.transport.abort()
            else:
                self._refuse(error)

    def _refuse(self, error: ApiError, *, silent: bool = False) -> None:
        """Tell the client, and close; `silent` leaves it out of the log."""
        if self.transport.is_closing():
            return
        body = encode_error(error.message, error.type, error.param, error.code)
        request_id = refused_unread(None if silent else self._door.observer, error)
        fields = [
            *self.server_state.default_headers,
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            (b"connection", b"close"),
            (b"x-request-id", request_id.encode()),
            *((name.encode(), value.encode()) for name, value in error.headers),
        ]
        head = b"".join(b"%b: %b\r\n" % field for field in fields)
        self.transport.write(b"%b%b\r\n%b" % (STATUS_LINE[error.status], head, body))
        self._linger()

    def _linger(self) -> None:
        """Send nothing more, and throw away what still comes, until the client has read us."""
        self._deaf = True
        self._since = self._heard = self._door.now
        self._drop_held()
        if not self.transport.is_closing() and self.transport.can_write_eof():
            self.transport.write_eof()
