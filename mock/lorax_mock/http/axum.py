"""HTTP as axum and tower-http speak it, on plain ASGI.

The refusals are the framework's own words (axum 0.7.7), in its order: unknown path 404, wrong
method 405 with `allow`, content type 415, body too large 413, then the body's JSON. Every answer
carries tower-http's CORS headers (router/src/server.rs:1551); OPTIONS is answered for any path.
"""

import os
import re
import socket
import struct
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any, Final, Protocol

from lorax_mock.errors import FrameworkRefusal
from lorax_mock.serde.types import Deserializer, SerdeError, read

__all__ = [
    "BROKEN_BODY",
    "JSON",
    "TEXT",
    "ClientLeft",
    "Exchange",
    "Handler",
    "Header",
    "Headers",
    "Outlet",
    "Receive",
    "Routes",
    "Scope",
    "Send",
    "parse",
]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Header = tuple[bytes, bytes]
Headers = list[Header]

_VARY: Final[Header] = (
    b"vary",
    b"origin, access-control-request-method, access-control-request-headers",
)
_ORIGIN: Final[Header] = (b"access-control-allow-origin", b"*")
_CORS: Final[Headers] = [_VARY, _ORIGIN]
_PREFLIGHT: Final[Headers] = [
    _VARY,
    (b"access-control-allow-methods", b"GET,POST"),
    (b"access-control-allow-headers", b"content-type"),
    _ORIGIN,
]
BROKEN_BODY: Final = "lorax_mock.broken_body"
"""What a server that reads as hyper does says of a body that ended early, or is not chunked as it should be."""

JSON: Final[Header] = (b"content-type", b"application/json")
TEXT: Final[Header] = (b"content-type", b"text/plain; charset=utf-8")


class ClientLeft(Exception):
    """The client hung up before its request was whole."""


_VISIBLE: Final = re.compile(rb"[\t\x20-\x7e]*")
_TOKEN: Final = rb"[!#$%&'*+.^_`|~\w-]"
_MEDIA_TYPE: Final = re.compile(
    rb"(?P<type>%(t)b+)/(?P<subtype>%(t)b+)"
    rb"(?:;(?: *%(t)b+=(?:%(t)b+;|%(t)b*\Z|%(quoted)b *(?:;|\Z)))* *)?\Z"
    % {b"t": _TOKEN, b"quoted": rb'"[^\x00-\x1f\x7f][^\x00-\x1f"\x7f]*"'}
)
"""A media type as the crate mime 0.3.17 parses it: what it turns down is no JSON either."""


def _is_json(content_type: bytes | None) -> bool:
    """Axum's test: type `application`, and `json` before or behind the subtype's last plus."""
    match = _MEDIA_TYPE.match(content_type or b"")
    if match is None or match["type"].lower() != b"application":
        return False
    subtype = match["subtype"].lower()
    plus = subtype.rfind(b"+")
    return subtype == b"json" or (plus > 0 and b"json" in (subtype[:plus], subtype[plus + 1 :]))


class Outlet(Protocol):
    """A chunked body that is written from outside of its request's task."""

    def frame(self, chunk: bytes, /) -> bytes:
        """The chunk as it goes over the wire."""
        ...

    def offer(self, frames: bytes, /) -> bool:
        """Write these frames now; False, and nothing is written, if the client is behind or gone."""
        ...


class Exchange:
    """One request and its answer."""

    __slots__ = ("_send", "entry", "extra", "method", "path", "receive", "scope")

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        self.receive = receive
        self.method: str = scope["method"]
        raw: bytes | None = scope.get("raw_path")
        self.path: str = scope["path"] if raw is None else raw.decode("latin-1")
        """As it was sent: axum compares paths without decoding their percent signs."""

        self._send = send
        self.extra: Headers = []
        """Headers that the mock adds to whatever is answered."""

        self.entry: Any = None
        """What the journal has of the request, if it has it."""

    def header(self, name: bytes) -> bytes | None:
        """The first header of that lower-case name."""
        for key, value in self.scope["headers"]:
            if key == name:
                return bytes(value)
        return None

    def download_token(self, asked: str | None) -> str | None:
        """The token for adapters: the body's, else the bearer's (router/src/server.rs:675).

        A header with anything but visible ASCII is no text to the router, so it holds no token.
        """
        if asked is not None:
            return asked
        authorization = self.header(b"authorization") or b""
        if authorization.startswith(b"Bearer ") and _VISIBLE.fullmatch(authorization):
            return authorization.removeprefix(b"Bearer ").decode("ascii")
        return None

    async def body(self, limit: int) -> bytes:
        """The body of a JSON request; raises FrameworkRefusal, or ClientLeft."""
        if not _is_json(self.header(b"content-type")):
            raise FrameworkRefusal(415, "Expected request with `Content-Type: application/json`")
        return await self.raw_body(limit)

    async def json(self, kind: Deserializer, limit: int) -> Any:
        """The body of a JSON request as `kind`; raises FrameworkRefusal, or ClientLeft."""
        return parse(await self.body(limit), kind)

    async def hand_over(self, app: Callable[[Scope, Receive, Send], Awaitable[None]]) -> None:
        """Let another ASGI application answer, where LoRAX has no such route."""
        await app(self.scope, self.receive, self._send)

    async def raw_body(self, limit: int) -> bytes:
        """The body, of any content type; raises FrameworkRefusal (413, or 400 for half a body), or ClientLeft."""
        body: bytes = b""
        while True:
            message = await self.receive()
            if message["type"] == BROKEN_BODY:
                raise FrameworkRefusal(
                    400, "Failed to buffer the request body: error reading a body from connection"
                )
            if message["type"] != "http.request":
                raise ClientLeft
            part: bytes = message.get("body", b"")
            body = body + part if body else part
            if len(body) > limit:
                raise FrameworkRefusal(
                    413, "Failed to buffer the request body: length limit exceeded"
                )
            if not message.get("more_body", False):
                return body

    async def left(self) -> None:
        """Return when the client has hung up (or has its whole answer)."""
        while (await self.receive())["type"] != "http.disconnect":
            pass

    async def reply(
        self,
        status: int,
        body: bytes = b"",
        headers: Sequence[Header] = (),
        last: Sequence[Header] = (),
    ) -> None:
        """Send a whole answer with its length; `last` are header lines that come behind those of CORS.

        The length is told where the route puts it, before CORS (axum 0.7.7, axum/src/routing/route.rs:191). But
        of an empty body hyper drops that line and writes its own at the end, unless to HEAD (hyper 1.5.0,
        src/proto/h1/role.rs:765-781, 907).
        """
        length = (b"content-length", b"%d" % len(body))
        if body or self.method == "HEAD":
            told = [*headers, length, *_CORS, *last, *self.extra]
        else:
            told = [*headers, *_CORS, *last, *self.extra, length]
        await self._send({"type": "http.response.start", "status": status, "headers": told})
        await self._send({"type": "http.response.body", "body": body})

    async def preflight(self, allow: Sequence[Header] = ()) -> None:
        """Send the CORS layer's answer to OPTIONS, which is the same for any path."""
        await self._send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [*_PREFLIGHT, *allow, *self.extra, (b"content-length", b"0")],
            }
        )
        await self._send({"type": "http.response.body", "body": b""})

    async def start(self, status: int, headers: Sequence[Header]) -> None:
        """Send the head of an answer whose body comes in chunks."""
        await self._send(
            {
                "type": "http.response.start",
                "status": status,
                "headers": [*headers, *_CORS, *self.extra],
            }
        )

    async def begin(self, status: int, headers: Sequence[Header]) -> None:
        """Send the head of an answer whose headers are replayed, CORS included."""
        await self._send(
            {"type": "http.response.start", "status": status, "headers": [*headers, *self.extra]}
        )

    async def chunk(self, data: bytes) -> None:
        """Send one chunk of the body."""
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    @property
    def outlet(self) -> Outlet | None:
        """The way to write chunks of a body that has begun without waiting; None if this server has none.

        ASGI has no word for it either; see `abort`.
        """
        outlet: Callable[[], Outlet | None] | None = getattr(
            getattr(self._send, "__self__", None), "outlet", None
        )
        return None if outlet is None else outlet()

    def abort(self, *, reset: bool) -> None:
        """End the connection at once: with RST, or with FIN after what was sent.

        ASGI has no word for it, so this reaches for the server's transport; in process there is none,
        and `cut` (see `inprocess`) does it.
        """
        server = getattr(self._send, "__self__", None)
        cut = getattr(server, "cut", None)
        if cut is not None:
            cut(reset=reset)
            return
        transport = getattr(server, "transport", None)
        if transport is None:
            raise RuntimeError(
                "this server's connections cannot be cut; serve with uvicorn, or use LocalMock"
            )
        if not reset:
            transport.close()
            return
        # A duplicate, because the loop's own socket object does not take options.
        descriptor = os.dup(transport.get_extra_info("socket").fileno())
        with socket.socket(fileno=descriptor) as connection:
            linger = struct.pack("ii", 1, 0)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        transport.abort()

    async def end(self) -> None:
        """End a chunked body."""
        await self._send({"type": "http.response.body", "body": b""})


Handler = Callable[[Exchange], Awaitable[None]]
Routes = dict[str, dict[str, Handler]]
"""Path, then method, to handler; the methods in the order of the router's `allow` header."""


def parse(body: bytes, kind: Deserializer) -> Any:
    """The body as `kind`; raises FrameworkRefusal with serde's words."""
    try:
        return read(body, kind)
    except SerdeError as error:
        if error.syntax:
            raise FrameworkRefusal(
                400, f"Failed to parse the request body as JSON: {error}"
            ) from None
        raise FrameworkRefusal(
            422, f"Failed to deserialize the JSON body into the target type: {error}"
        ) from None
