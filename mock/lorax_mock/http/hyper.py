"""HTTP/1 as hyper 1.5.0 speaks it on a socket: what LoRAX's clients meet below its routes.

A protocol for uvicorn, which keeps listening, signals and the end of the process. uvicorn's own would refuse or
lose what hyper takes (unknown methods, offers to upgrade, HTTP/1.0 with streams), in other words than hyper's.

* One request at a time; what a client sends ahead waits until the answer before it has been written.
* A malformed request is answered with an empty 400, 414 or 431, and the connection ends (role.rs:425-447).

Not as hyper: a body that nobody read is read and dropped before the next request, where hyper hangs up unless
all of it has come (conn.rs:855); a client could lose its answer by that, at random.
"""

import asyncio
from typing import TYPE_CHECKING, Any, Final, cast

from lorax_mock.http.axum import Receive, Scope, Send
from lorax_mock.http.bodies import Body, BrokenBody, Chunks, Sized
from lorax_mock.http.cycle import AHEAD, STATUS_LINES, Cycle
from lorax_mock.http.heads import CHUNKED, PREFACE, Head, HeadRefused, read_head

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from uvicorn import Config
    from uvicorn.server import ServerState

__all__ = ["Connection"]

_LINGER_SECONDS: Final = 1.0
"""How long a refused client may go on sending: closed at once, its kernel could drop the refusal unread."""


class Connection(asyncio.Protocol):
    """One connection of a client."""

    def __init__(
        self,
        config: "Config",
        server_state: "ServerState",
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        """Take what uvicorn passes to a protocol (uvicorn/server.py, `create_protocol`)."""
        if not config.loaded:
            config.load()
        self._app = cast("Callable[[Scope, Receive, Send], Awaitable[None]]", config.loaded_app)
        self._root_path = config.root_path
        self._app_state = app_state
        self._loop = _loop or asyncio.get_running_loop()
        self._state = server_state
        self._connections: set[Any] = server_state.connections  # typed as uvicorn's own alone
        self._transport: asyncio.Transport
        self._ends: tuple[Any, Any] = (None, None)
        self._waiting = b""
        """Bytes that nobody has looked at, or that are no whole head yet."""

        self._seen = 0
        """How many of them were looked at."""

        self._new = True
        self._version = "1.1"
        """What the client spoke last."""

        self._refused = False
        self._body: Body | None = None
        self._cycle: Cycle | None = None
        self._held = False
        self._drained: asyncio.Event | None = None

    # what uvicorn and the transport call

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, for a client that has connected."""
        # not asserted: uvloop's transports are no subclass of asyncio's
        self._transport = cast("asyncio.Transport", transport)
        self._connections.add(self)
        self._ends = (transport.get_extra_info("sockname"), transport.get_extra_info("peername"))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's name
        """End what is open, because the client is gone."""
        self._connections.discard(self)
        self.resume_writing()
        if self._cycle is not None:
            self._cycle.leave()

    def eof_received(self) -> bool:
        """Note that no more bytes will come; the reader of a body that is not whole is told."""
        return self._body is not None and self._broken()

    def pause_writing(self) -> None:
        """Hold the answer back, because the client reads too slowly."""
        self._drained = asyncio.Event()
        if self._cycle is not None:
            self._cycle.behind = True

    def resume_writing(self) -> None:
        """Go on with the answer, because the client has caught up."""
        if self._drained is not None:
            self._drained.set()
            self._drained = None
            if self._cycle is not None:
                self._cycle.behind = False

    def shutdown(self) -> None:
        """End the connection with the server, after the answer that is being sent."""
        if self._cycle is None:
            self._close()
        else:
            self._cycle.keep_alive = False

    def data_received(self, data: bytes) -> None:
        """Take bytes that the client has sent."""
        if self._refused:
            return
        if self._body is not None:
            self._read_body(data)
            return
        self._waiting = self._waiting + data if self._waiting else data
        if self._cycle is None:
            self._read_head()
        elif len(self._waiting) > AHEAD:
            self.hold()

    # one request after the other

    def _read_head(self) -> None:
        data = self._waiting
        if self._new and PREFACE.startswith(data[: len(PREFACE)]):
            if len(data) >= len(PREFACE):
                self._refuse(400)
            return
        self._new = False
        try:
            read = read_head(data, self._seen)
        except HeadRefused as refused:
            self._refuse(refused.status)
            return
        if read is None:
            self._seen = len(data)
            return
        head, end = read
        self._waiting, self._seen, self._version = b"", 0, head.version
        cycle = self._cycle = Cycle(self, head, self._scope(head))
        if head.length == 0:
            self._waiting = data[end:]
        elif len(data) - end >= head.length > 0:
            cycle.take(data[end : end + head.length], last=True)
            self._waiting = data[end + head.length :]
        else:
            self._body = Chunks() if head.length == CHUNKED else Sized(head.length)
            if end < len(data):
                self._read_body(data[end:])
        task = self._loop.create_task(self._run(cycle))
        self._state.tasks.add(task)
        task.add_done_callback(self._state.tasks.discard)

    def _read_body(self, data: bytes) -> None:
        body, cycle = self._body, self._cycle
        assert body is not None  # noqa: S101 - the callers know
        assert cycle is not None  # noqa: S101 - a body belongs to a request
        try:
            piece, rest = body.feed(data)
        except BrokenBody:
            if not self._broken():
                self._close()
            return
        if rest is not None:
            self._body, self._waiting = None, rest
            if isinstance(body, Chunks) and body.trailers:
                cycle.trailed()
        cycle.take(piece, last=rest is not None)
        if cycle.over and rest is not None:
            self._next()

    def _broken(self) -> bool:
        """Note that the body can never be whole; returns whether its reader is still to be told."""
        self._body = None
        if self._cycle is None or self._cycle.over:
            return False
        self._cycle.broken()
        return True

    def _scope(self, head: Head) -> Scope:
        path = head.path.decode("ascii")
        server, client = self._ends
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": head.version,
            "method": head.method,
            "scheme": "http",
            "path": path,
            "raw_path": head.path,
            "query_string": head.query,
            "root_path": self._root_path,
            "headers": head.headers,
            "state": self._app_state,
            "server": server[:2] if isinstance(server, tuple) else None,
            "client": client[:2] if isinstance(client, tuple) else None,
        }

    async def _run(self, cycle: Cycle) -> None:
        try:
            await self._app(cycle.scope, cycle.receive, cycle.send)
        except Exception:  # noqa: BLE001 - the application has logged it, and the client should hear
            cycle.fail()
        finally:
            if not cycle.over:
                self._close()

    def ended(self, cycle: Cycle) -> None:
        """Go on to the next request, because an answer is written to its last byte."""
        if cycle.closes or not cycle.keep_alive:
            self._close()
        elif self._body is None:
            self._next()
        else:
            self.go_on()

    def _next(self) -> None:
        self._cycle = None
        self.go_on()
        if self._waiting and not self._transport.is_closing():
            self._read_head()

    def _refuse(self, status: int) -> None:
        """Answer as hyper itself does to what is no request."""
        self._refused = True
        if not self._waiting.startswith(PREFACE):
            closing = b"connection: close\r\n" if self._version == "1.1" else b""
            line = STATUS_LINES[self._version, status]
            self.write(b"%b%bcontent-length: 0\r\n%b\r\n" % (line, closing, self.dated()))
        self._transport.write_eof()
        self._loop.call_later(_LINGER_SECONDS, self._transport.close)

    # the socket

    @property
    def transport(self) -> asyncio.Transport:
        """The connection's transport, by which faults end it."""
        return self._transport

    @property
    def behind(self) -> bool:
        """Whether the client has yet to take most of what was written."""
        return self._drained is not None

    async def writable(self) -> None:
        """Return when the client has taken most of what was written."""
        if self._drained is not None:
            await self._drained.wait()

    @property
    def write(self) -> "Callable[[bytes], None]":
        """Writes bytes, unless the client is gone."""
        return self._transport.write

    def dated(self) -> bytes:
        """The header lines that every answer ends with: uvicorn's clock makes the date."""
        return b"".join([b"%b: %b\r\n" % header for header in self._state.default_headers])

    def hold(self) -> None:
        """Stop reading from the socket."""
        if not self._held and not self._transport.is_closing():
            self._held = True
            self._transport.pause_reading()

    def go_on(self) -> None:
        """Read from the socket again."""
        if self._held and not self._transport.is_closing():
            self._held = False
            self._transport.resume_reading()

    def _close(self) -> None:
        self._transport.close()
