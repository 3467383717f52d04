"""The HTTP surface under every route: identity, keys, bodies, errors, and clients that leave.

A plain ASGI application in front of FastAPI. The routes that carry text (`Endpoint`) are served
here without FastAPI's request machinery, which costs several times what the translation costs;
everything else (models, health, documentation) goes through to FastAPI. Both get the same
treatment: a request id, the time it took, OpenAI's error envelope whatever happens, and no
traceback to a client.

A client that leaves must end its LoRAX request at once. A watcher waits for the disconnect and
cancels the endpoint, whose `finally` blocks close what they opened.
"""

import asyncio
import re
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from typing import Any

from lorax_proxy.core import failures
from lorax_proxy.core.admission import Admission
from lorax_proxy.core.failures import ApiError
from lorax_proxy.core.heads import HeadRefused
from lorax_proxy.errors import RequestRefused
from lorax_proxy.observe import Observer, Record
from lorax_proxy.wire.compression import Decoder, TooLarge, codings
from lorax_proxy.wire.openai_replies import encode_error, error_event

__all__ = [
    "COUNT_BODY",
    "AsgiApp",
    "Client",
    "ClientLeft",
    "Endpoint",
    "Message",
    "Surface",
    "refused_unread",
    "until_gone",
]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]
Endpoint = Callable[["Client"], Awaitable[None]]
Headers = Sequence[tuple[str, str]]

_SANE_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")
"""A client's request id that may go into our log and back into a header."""


COUNT_BODY = "lorax_proxy.count_body"
"""The ASGI extension of our own server that counts bytes of a body beside those that came."""


def _uncounted(_size: int) -> None:
    """Count nothing: a server that is not ours has its own limits."""


_UNCOUNTED: Mapping[str, Callable[[int], None]] = {"count": _uncounted}


class ClientLeft(Exception):
    """The client closed its connection before its answer was complete."""


class Client:
    """One request, and the way back to who sent it.

    Attributes:
        request_id: The client's own id if it is sane, else ours.
        record: What will be logged and counted.
        started: Whether the status line is sent: from then on errors travel in band.
        ended: Whether the answer is complete: nothing may follow it.
    """

    def __init__(
        self, scope: Scope, receive: Receive, send: Send, record: Record, extra: Headers
    ) -> None:
        self.scope = scope
        self.record = record
        self.request_id = record.request_id
        self.started = False
        self.ended = False
        self._receive = receive
        self._send = self._noting(send)
        self._extra = extra
        self._begun = time.perf_counter()

    def header(self, name: str) -> str | None:
        """A request header; `name` in lower case."""
        wanted = name.encode()
        for key, value in self.scope["headers"]:
            if key == wanted:
                return str(value.decode("latin-1"))
        return None

    def elapsed(self) -> float:
        """Seconds since the request arrived."""
        return time.perf_counter() - self._begun

    async def body(self, limit: int) -> bytes:
        """The whole request body, without its compression.

        Raises:
            HeadRefused: 503 when it is compressed, and there is no room for what it becomes.
            RequestRefused: 413 when it is larger than `limit` bytes, 415 when it is not JSON or
                compressed as nothing here can undo, 400 when it is not what its encoding says.
            ClientLeft: When the client went away before it was complete.
        """
        kind = (self.header("content-type") or "").partition(";")[0].strip().lower()
        if kind != "application/json" and not re.fullmatch(r"application/\S+\+json", kind):
            raise RequestRefused(
                f"Expected 'content-type: application/json', but got {kind or 'none'!r}. "
                "(A web page must not be able to drive this server.)",
                status=415,
                code="unsupported_media_type",
            )
        declared = self.header("content-length")
        if declared is not None and declared.isdigit() and int(declared) > limit:
            raise _too_large(limit)
        decoder = self._decoder(limit)
        count = self.scope.get("extensions", {}).get(COUNT_BODY, _UNCOUNTED)["count"]
        chunks: list[bytes] = []
        size = received = 0
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientLeft
            chunk: bytes = message.get("body", b"")
            if decoder is not None:
                received += len(chunk)
                try:
                    chunk = decoder.feed(chunk)
                except TooLarge:
                    raise _too_large(limit) from None
                count(len(chunk))
            chunks.append(chunk)
            size += len(chunk)
            if max(size, received) > limit:
                raise _too_large(limit)
            if not message.get("more_body", False):
                if decoder is not None:
                    decoder.finish()
                return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def _decoder(self, limit: int) -> Decoder | None:
        """What undoes the body's compression, if it says that there is any."""
        given = [value for name, value in self.scope["headers"] if name == b"content-encoding"]
        if not given:
            return None
        return Decoder(codings([value.decode("latin-1") for value in given]), limit)

    async def start(self, status: int, headers: Headers) -> None:
        """Send the status line and the headers."""
        fields = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        await self._send({"type": "http.response.start", "status": status, "headers": fields})

    async def write(self, data: bytes) -> None:
        """Send the next bytes of a stream; waits while the client is slow."""
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self, data: bytes = b"") -> None:
        """Send the last bytes of a stream."""
        await self._send({"type": "http.response.body", "body": data, "more_body": False})

    async def reply(self, body: bytes, *, status: int = 200, headers: Headers = ()) -> None:
        """Send a whole JSON answer."""
        await self.start(
            status,
            (
                ("content-type", "application/json"),
                ("content-length", str(len(body))),
                *headers,
            ),
        )
        await self.end(body)

    async def fail(self, error: ApiError) -> None:
        """Tell the client what went wrong: as a status, or in band once a stream has begun."""
        self.record.error = error.code or error.type
        self.record.upstream_status = error.upstream_status
        if self.started:
            # no [DONE] after it: that word means success
            await self.end(error_event(error.message, error.type, error.param, error.code))
            return
        body = encode_error(error.message, error.type, error.param, error.code)
        await self.reply(body, status=error.status, headers=error.headers)

    async def pass_to(self, app: AsgiApp, scope: Scope) -> None:
        """Let another application answer; its answer gets the headers that every answer has."""
        await app(scope, self._receive, self._send)

    def _noting(self, send: Send) -> Send:
        """`send`, with the headers of every answer, and with an eye on how far the answer is."""

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.started = True
                self.record.status = message["status"]
                own = (
                    ("x-request-id", self.request_id),
                    ("openai-processing-ms", str(round(self.elapsed() * 1000))),
                    *self._extra,
                )
                message["headers"] = [
                    *message["headers"],
                    *((name.encode("latin-1"), value.encode("latin-1")) for name, value in own),
                ]
            elif message["type"] == "http.response.body" and not message.get("more_body", False):
                self.ended = True
            await send(message)

        return noting

    async def gone(self) -> None:
        """Return when the client has closed its connection."""
        while (await self._receive())["type"] != "http.disconnect":
            pass


class Surface:
    """The whole server as one ASGI application."""

    def __init__(
        self,
        endpoints: Mapping[str, Endpoint],
        fallback: AsgiApp,
        observer: Observer,
        *,
        admission: Admission,
        extra_headers: Headers = (),
    ) -> None:
        """Put the routes together.

        Args:
            endpoints: The POST routes that carry text, by path without `/v1`.
            fallback: Everything else.
            observer: Where each request's record goes.
            admission: Who may ask.
            extra_headers: Headers of every answer.
        """
        self._endpoints = endpoints
        self._fallback = fallback
        self._observer = observer
        self._admission = admission
        self._extra = tuple(extra_headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection event of ASGI."""
        if scope["type"] != "http":
            await self._fallback(scope, receive, send)
            return
        path: str = scope["path"]
        bare = path.removeprefix("/v1") if path.startswith("/v1/") else path
        record = Record(
            request_id=_request_id(scope), method=scope["method"], path=path, begun=time.time()
        )
        client = Client(scope, receive, send, record, self._extra)
        try:
            with self._observer.active.track_inprogress():
                await self._answer(client, scope, bare)
        finally:
            record.seconds = client.elapsed()
            self._observer.done(record)

    async def _answer(self, client: Client, scope: Scope, bare: str) -> None:
        record = client.record
        try:
            self._admission.check(bare, scope["http_version"], scope["headers"])
            endpoint = self._endpoints.get(bare)
            if endpoint is None:
                await self._pass_through(client, scope, bare)
            else:
                record.route = bare
                await self._serve(client, endpoint)
        except RequestRefused as error:
            await client.fail(failures.refusal(error))
        except HeadRefused as refused:
            await client.fail(refused.error)
        except ClientLeft:
            record.error = "client_left"
        except asyncio.CancelledError:
            # only the server's end cancels: the client is told, then it goes on
            if not client.ended:
                await client.fail(failures.shutting_down())
            raise
        except Exception as error:  # noqa: BLE001 - the last resort: logged, and told as a 500
            self._observer.bug(record, error)
            record.error = "internal_error"
            if not client.ended:
                await client.fail(failures.internal(record.request_id))

    async def _serve(self, client: Client, endpoint: Endpoint) -> None:
        method = client.scope["method"]
        if method != "POST":
            raise RequestRefused(
                f"Method {method} is not allowed on {client.scope['path']}; send a POST.",
                status=405,
                code="method_not_allowed",
                headers=(("allow", "POST"),),
            )
        await endpoint(client)

    async def _pass_through(self, client: Client, scope: Scope, bare: str) -> None:
        """FastAPI's routes, which are named without `/v1`; they find the client in their state."""
        scope = {
            **scope,
            # FastAPI's GET routes know no HEAD; the server leaves the body of its answer out
            "method": "GET" if scope["method"] == "HEAD" else scope["method"],
            "path": bare,
            "raw_path": bare.encode(),
            "state": {**scope.get("state", {}), "client": client},
        }
        try:
            await client.pass_to(self._fallback, scope)
        finally:
            # a route's pattern, never the path: paths are without number, and metrics are kept
            client.record.route = getattr(scope.get("route"), "path", client.record.route)


async def until_gone(client: Client, work: Callable[[], Awaitable[None]]) -> None:
    """Do `work` for a client, and stop at once when the client leaves.

    Raises:
        ClientLeft: When it did.
    """
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - a coroutine that runs is in a task
    left = False

    async def watch() -> None:
        nonlocal left
        await client.gone()
        left = True
        task.cancel()

    watcher = asyncio.create_task(watch())
    try:
        await work()
    except asyncio.CancelledError:
        if left and task.uncancel() == 0:
            raise ClientLeft from None
        raise
    finally:
        watcher.cancel()


def refused_unread(observer: Observer | None, error: ApiError) -> str:
    """Take note of what was refused before it was a request; return the id that it gets."""
    request_id = _new_id()
    if observer is not None:
        observer.done(
            Record(
                request_id,
                method="-",
                path="-",
                begun=time.time(),
                status=error.status,
                error=error.code,
            )
        )
    return request_id


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            given = value.decode("latin-1")
            if _SANE_ID.fullmatch(given):
                return str(given)
    return _new_id()


def _new_id() -> str:
    return f"req_{uuid.uuid4().hex}"


def _too_large(limit: int) -> RequestRefused:
    return RequestRefused(
        f"The request body is larger than {limit} bytes.",
        status=413,
        code="request_too_large",
    )
