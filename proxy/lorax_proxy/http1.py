"""A client's connection: whose turn it is, how long it may take, and how it ends.

With `incoming`, which makes requests of its bytes, and `exchange`, which frames answers, this is
HTTP/1 as strangers speak it: llhttp reads, and uvicorn listens.

- *Times* are looked at by the door's clock, so that a request costs no timer.
- *A refusal reaches the client.* Who closes a socket that has unread data resets the connection,
  and the client may lose what was sent; so the sending half is closed first, and what still comes
  is thrown away for a while.
- *What is no request* gets OpenAI's envelope, in its turn behind answers that are under way.
- *Every request of a connection* learns that the client has left, not the last one alone.
"""

import asyncio
from functools import lru_cache
from typing import Any, cast
from urllib.parse import unquote

import httptools
import uvicorn
from uvicorn.protocols.utils import get_local_addr, get_remote_addr
from uvicorn.server import ServerState

from lorax_proxy.client import CONNECTED, AsgiApp
from lorax_proxy.core import failures
from lorax_proxy.core.failures import ApiError
from lorax_proxy.core.heads import HeadRefused, late, too_many_connections
from lorax_proxy.door import Door
from lorax_proxy.exchange import STATUS_LINE, Exchange
from lorax_proxy.incoming import Incoming
from lorax_proxy.surface import refused_unread
from lorax_proxy.wire.openai_replies import encode_error

__all__ = ["Connection"]

_ASGI = {"version": "3.0", "spec_version": "2.3"}

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

    __slots__ = (
        "_addresses",
        "_app",
        "_door",
        "_heard",
        "_loop",
        "_refusal",
        "_running",
        "_server",
        "_since",
        "_state",
        "_unwritten",
        "_writable",
        "peer",
        "write_paused",
    )

    def __init__(
        self,
        door: Door,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        """Prepare, as uvicorn has it; the event loop connects it."""
        super().__init__(door.limits, door.bodies)
        # typed by uvicorn as whatever may be configured, which ours is not
        self._app = cast("AsgiApp", config.loaded_app)
        self._state = app_state
        self._server = server_state
        self._loop = _loop or asyncio.get_running_loop()
        self._addresses: dict[str, Any] = {}
        self.peer = ""
        self.write_paused = False
        self._writable: list[asyncio.Future[None]] = []
        self._door = door
        self._running: Exchange | None = None
        self._heard = self._since = door.now
        self._unwritten = 0
        # what is still to be told once the answers under way are complete
        self._refusal: ApiError | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected."""
        # uvloop's transports are none of asyncio's classes, only of their shape
        self.transport = cast("asyncio.Transport", transport)
        client = get_remote_addr(self.transport)
        self._addresses = {"server": get_local_addr(self.transport), "client": client}
        self.peer = client[0] if client else ""
        self._heard = self._since = self._door.now
        if not self._door.enter(self) and not self.transport.is_closing():
            # the door has told it, once for many
            self._refuse(too_many_connections(), silent=True)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is closed, by whomever."""
        del exc
        self._door.leave(self)
        self._deaf = True
        self._count_nothing()
        if self._running is not None:
            self._running.disconnect()
        for exchange in self.pipeline:
            exchange.disconnect()
        self._let_write()
        # it holds this connection, which holds it
        del self.parser

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
        parser = self.parser
        method = parser.get_method().decode("ascii")
        version = parser.get_http_version()
        expects = self._check_whole_head(method, version)
        if parser.should_upgrade():
            self._offers = True
            return
        if self._door.leaving:
            raise HeadRefused(failures.shutting_down())
        raw_path, path, query = _target(self._url)
        self.exchange = exchange = Exchange(
            self,
            {
                "type": "http",
                "asgi": _ASGI,
                "http_version": version,
                "method": method,
                "scheme": "http",
                "path": path,
                "raw_path": raw_path,
                "query_string": query,
                "root_path": "",
                "headers": self._headers,
                "state": self._state.copy(),
                "extensions": {},
                **self._addresses,
            },
            keep_alive=parser.should_keep_alive(),
            expects=expects,
        )
        exchange.scope["extensions"][CONNECTED] = exchange
        self._asked = True
        self._in_head = False
        self._body_bytes = 0
        self._since = self._door.now
        if self._running is None:
            self._begin(exchange)
        else:
            self.pipeline.append(exchange)

    def _begin(self, exchange: Exchange) -> None:
        self._running = exchange
        task = self._loop.create_task(exchange.run(self._app))
        tasks = self._server.tasks
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    def answered(self, exchange: Exchange) -> None:
        """An answer is complete: the next one's turn, if there is one."""
        self._server.total_requests += 1
        if exchange is not self._running:
            return
        self._running = None
        self._forget_body(exchange)
        self._since = self._door.now
        if self.transport.is_closing():
            return
        if exchange.more_body and exchange.closes:
            self._linger()
            return
        if self.pipeline and self._door.leaving:
            # these were not begun; who reads this answer knows it of those behind it (RFC 9112 9.6)
            self.pipeline.clear()
            self._refuse(failures.shutting_down())
            return
        if self.pipeline:
            self._begin(self.pipeline.pop(0))
        elif self._refusal is not None:
            self._refuse(self._refusal)
            return
        self._take_held()
        self.resume_reading()

    # how fast the client takes its answers

    @property
    def common(self) -> bytes:
        """The header lines of every answer, which uvicorn makes anew each second."""
        return _lines(tuple(self._server.default_headers))

    def pause_writing(self) -> None:
        """The client takes its answer slower than it comes."""
        self.write_paused = True

    def resume_writing(self) -> None:
        """The client has taken most of what was waiting."""
        self._unwritten = -1
        self._let_write()

    def _let_write(self) -> None:
        self.write_paused = False
        waiting, self._writable = self._writable, []
        for each in waiting:
            if not each.done():
                each.set_result(None)

    async def drain(self) -> None:
        """Wait until the client has taken most of what was written, or has left."""
        if self.write_paused:
            writable: asyncio.Future[None] = self._loop.create_future()
            self._writable.append(writable)
            await writable

    # times

    def look(self, now: float) -> None:
        """End what has taken too long."""
        limits = self._limits
        if self.transport.is_closing() or self.write_paused:
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
        elif self.exchange.more_body:
            took = now - self._since
            wait = limits.client_body_timeout
            slow = took > wait and self._body_bytes < took * _BODY_RATE
            if not self.read_paused and (now - self._heard > wait or slow):
                self._break_off(late("body", wait))
        elif now - self._since > limits.client_idle_timeout:
            self.transport.close()

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
            self.exchange.keep_alive = False
            if self._running.on_shutdown is not None:
                self._running.on_shutdown()
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
        self._deaf = True
        if self._running is None:
            if self._asked and self.exchange.more_body:
                self._linger()  # it has its answer already
            else:
                self._refuse(error)
        elif not self._running.more_body or self.exchange is not self._running:
            # behind an answer that is under way
            self.pipeline = [each for each in self.pipeline if not each.more_body]
            self._refusal = error
        else:
            begun = self._running.response_started
            self._running.disconnect()
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
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            (b"connection", b"close"),
            (b"x-request-id", request_id.encode()),
            *((name.encode(), value.encode()) for name, value in error.headers),
        ]
        head = self.common + b"".join([b"%b: %b\r\n" % field for field in fields])
        self.transport.write(b"%b%b\r\n%b" % (STATUS_LINE[error.status], head, body))
        self._linger()

    def _linger(self) -> None:
        """Send nothing more, and throw away what still comes, until the client has read us."""
        self._deaf = True
        self._since = self._heard = self._door.now
        self._drop_held()
        if not self.transport.is_closing() and self.transport.can_write_eof():
            self.transport.write_eof()


@lru_cache(maxsize=16)
def _lines(fields: tuple[tuple[bytes, bytes], ...]) -> bytes:
    return b"".join([b"%b: %b\r\n" % field for field in fields])


@lru_cache(maxsize=64)
def _target(url: bytes) -> tuple[bytes, str, bytes]:
    """A request's path as it was sent, its text, and its query; there are few that are asked for."""
    parts = httptools.parse_url(url)
    path = parts.path.decode("ascii")
    return parts.path, unquote(path) if "%" in path else path, parts.query or b""
