"""A mock in the test's own process: httpx clients whose requests never touch a socket.

    with LocalMock() as mock:
        answer = mock.client().post("/generate", json={"inputs": "hello"})

* The application runs on an event loop of its own, in a thread. So sync and async clients, on whatever
  loops, may use one mock at once, and a test that blocks does not stop the mock.
* A chunk arrives as soon as it was sent. (httpx's `ASGITransport` gives a stream only when the application
  has ended it: a client that leaves, a stall or a cut cannot be seen through it.)
* What only a connection can do is told as httpx tells it: FIN in the middle is `RemoteProtocolError`, RST
  is `ReadError`, silence beyond the client's read time-out is `ReadTimeout`.

Not here: what the HTTP server adds to an answer (`date`, `transfer-encoding`), keep-alive, the limits of a
parser. Async clients need asyncio.
"""

import asyncio  # two loops meet here: the client's and the application's
import queue
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NoReturn, Self, assert_never

import httpx  # its transports are what this module implements

from lorax_mock.http.axum import Header, Scope
from lorax_mock.prompt.tokenizer import Tokenizer
from lorax_mock.server.app import MockApp, create_app
from lorax_mock.settings import Settings
from lorax_mock.testing.mock_server import MockServer

__all__ = ["LocalMock", "LocalTransport"]

_URL: Final = "http://lorax-mock"
"""A host that no resolver knows: a request that missed the transport fails at once."""


@dataclass(frozen=True, slots=True)
class _Head:
    status: int
    headers: list[Header]


@dataclass(frozen=True, slots=True)
class _Chunk:
    data: bytes


@dataclass(frozen=True, slots=True)
class _End:
    pass


@dataclass(frozen=True, slots=True)
class _Broken:
    """The connection is gone, or the application has failed."""

    error: Exception


_News = _Head | _Chunk | _End | _Broken


class _Call:
    """One request before the application; all but `__init__` runs on the application's loop."""

    def __init__(self, request: httpx.Request, body: bytes, tell: Callable[[_News], None]) -> None:
        url = request.url
        self._scope: Scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": request.method,
            "scheme": url.scheme,
            "path": url.path,
            "raw_path": url.raw_path.split(b"?")[0],
            "query_string": url.query,
            "root_path": "",
            "headers": [(name.lower(), value) for name, value in request.headers.raw],
            "client": ("127.0.0.1", 0),
            "server": (url.host, url.port or 80),
        }
        self._body: bytes | None = body
        self._tell = tell
        self._left = asyncio.Event()
        self._over = False
        self._length: int | None = None
        self._sent = 0

    async def run(self, app: MockApp) -> None:
        """Run the application until it has answered."""
        try:
            await app(self._scope, self._receive, self._send)
        except Exception as error:  # noqa: BLE001 - whatever it is, the client should see it
            self._finish(_Broken(error))
        self._finish(
            _Broken(httpx.RemoteProtocolError("Server disconnected without sending a response."))
        )

    def leave(self) -> None:
        """Note that the client has hung up."""
        self._over = True
        self._left.set()

    def cut(self, *, reset: bool) -> None:
        """End the connection at once, as a fault does."""
        if self._length is not None and self._sent >= self._length:
            self._finish(_End())
        elif reset:
            self._finish(_Broken(httpx.ReadError("Connection reset by peer")))
        else:
            self._finish(
                _Broken(
                    httpx.RemoteProtocolError(
                        "peer closed connection without sending complete message body"
                    )
                )
            )

    def _finish(self, last: _News) -> None:
        if not self._over:
            self._tell(last)
        self.leave()

    async def _receive(self) -> dict[str, Any]:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        if self._over:
            return  # as servers do: a client that has left hears nothing
        if message["type"] == "http.response.start":
            headers: list[Header] = list(message["headers"])
            for name, value in headers:
                if name == b"content-length":
                    self._length = int(value)
            self._tell(_Head(message["status"], headers))
            return
        data: bytes = message.get("body", b"")
        if data and self._scope["method"] != "HEAD":
            self._sent += len(data)
            self._tell(_Chunk(data))
        if not message.get("more_body", False):
            if self._length not in (None, self._sent) and self._scope["method"] != "HEAD":
                raise RuntimeError("the answer is not as long as its content-length")
            self._finish(_End())


class _Loop:
    """The application's event loop and its thread, started by the first request."""

    def __init__(self) -> None:
        self._started = threading.Event()
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="lorax-mock", daemon=True)
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    def do(self, what: Callable[[], object]) -> None:
        """Call `what` on the application's loop; raises RuntimeError once the mock is closed."""
        with self._lock:
            if self._closed:
                raise RuntimeError("this mock is closed; make the client inside its `with` block")
            if self._loop is None:
                self._thread.start()
                self._started.wait()
        assert self._loop is not None  # noqa: S101 - the thread has set it
        self._loop.call_soon_threadsafe(what)

    def start(self, call: _Call, app: MockApp) -> None:
        """Answer a call."""

        def begin() -> None:
            task = asyncio.ensure_future(call.run(app))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        self.do(begin)

    def close(self) -> None:
        """End every call and the thread."""
        with self._lock:
            self._closed = True
            loop = self._loop
        if loop is not None:
            loop.call_soon_threadsafe(loop.stop)
            self._thread.join()

    def _run(self) -> None:
        with asyncio.Runner() as runner:
            self._loop = runner.get_loop()
            self._started.set()
            self._loop.run_forever()


class LocalTransport(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """Requests of a sync or an async httpx client, answered by an application in this process."""

    def __init__(self, app: MockApp, loop: _Loop) -> None:
        self._app = app
        self._loop = loop

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """The response to a sync client's request."""
        news: queue.SimpleQueue[_News] = queue.SimpleQueue()
        assert isinstance(request.stream, httpx.SyncByteStream)  # noqa: S101 - httpx's promise
        call = _Call(request, b"".join(request.stream), news.put)
        self._loop.start(call, self._app)
        seconds = _read_timeout(request)

        def following() -> _News:
            try:
                return news.get(timeout=seconds)
            except queue.Empty:
                raise _too_late(request) from None

        try:
            head = _head(following(), request)
        except BaseException:
            self._hang_up(call)
            raise
        body = _SyncBody(following, lambda: self._hang_up(call), request)
        return httpx.Response(head.status, headers=head.headers, stream=body)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The response to an async client's request."""
        loop = asyncio.get_running_loop()
        news: asyncio.Queue[_News] = asyncio.Queue()

        def tell(one: _News) -> None:
            with suppress(RuntimeError):  # the client's loop has ended, and it with it
                loop.call_soon_threadsafe(news.put_nowait, one)

        assert isinstance(request.stream, httpx.AsyncByteStream)  # noqa: S101 - httpx's promise
        call = _Call(request, b"".join([part async for part in request.stream]), tell)
        self._loop.start(call, self._app)
        seconds = _read_timeout(request)

        async def following() -> _News:
            try:
                return await asyncio.wait_for(news.get(), seconds)
            except TimeoutError:
                raise _too_late(request) from None

        try:
            head = _head(await following(), request)
        except BaseException:
            self._hang_up(call)
            raise
        body = _AsyncBody(following, lambda: self._hang_up(call), request)
        return httpx.Response(head.status, headers=head.headers, stream=body)

    def _hang_up(self, call: _Call) -> None:
        with suppress(RuntimeError):  # the mock may be closed before its clients
            self._loop.do(call.leave)


class _SyncBody(httpx.SyncByteStream):
    """A body that is read as it is sent."""

    def __init__(
        self, following: Callable[[], _News], hang_up: Callable[[], None], request: httpx.Request
    ) -> None:
        self._following = following
        self._hang_up = hang_up
        self._request = request

    def __iter__(self) -> Iterator[bytes]:
        return self._parts()

    def _parts(self) -> Generator[bytes]:
        while (data := _data(self._following(), self._request)) is not None:
            yield data

    def close(self) -> None:
        """Hang up."""
        self._hang_up()


class _AsyncBody(httpx.AsyncByteStream):
    """The same for async clients."""

    def __init__(self, following: Any, hang_up: Callable[[], None], request: httpx.Request) -> None:
        self._following = following
        self._hang_up = hang_up
        self._request = request

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._parts()

    async def _parts(self) -> AsyncGenerator[bytes]:
        while (data := _data(await self._following(), self._request)) is not None:
            yield data

    async def aclose(self) -> None:
        """Hang up."""
        self._hang_up()


def _read_timeout(request: httpx.Request) -> float | None:
    seconds: float | None = request.extensions.get("timeout", {}).get("read")
    return seconds


def _too_late(request: httpx.Request) -> httpx.ReadTimeout:
    return httpx.ReadTimeout("the mock said nothing for that long", request=request)


def _raise(error: Exception, request: httpx.Request) -> NoReturn:
    if isinstance(error, httpx.RequestError):
        error.request = request
    raise error


def _head(news: _News, request: httpx.Request) -> _Head:
    match news:
        case _Head():
            return news
        case _Broken(error):
            _raise(error, request)
        case _Chunk() | _End():
            raise RuntimeError("a bug in lorax-mock: a body came before its status")
        case _:
            assert_never(news)


def _data(news: _News, request: httpx.Request) -> bytes | None:
    match news:
        case _Chunk(data):
            return data
        case _End():
            return None
        case _Broken(error):
            _raise(error, request)
        case _Head():
            raise RuntimeError("a bug in lorax-mock: a second status came in a body")
        case _:
            assert_never(news)


class LocalMock(MockServer):
    """A new mock in this process, without a socket."""

    def __init__(
        self,
        settings: Settings | None = None,
        script: Path | None = None,
        tokenizer: Tokenizer | None = None,
    ) -> None:
        """Raise ScriptError for a wrong script."""
        settings = settings or Settings()
        self.app = create_app(settings, script, tokenizer)
        """The ASGI application, for whatever else can mount one."""
        self._loop = _Loop()
        adapters = settings.loadable if settings.has_adapters else []
        super().__init__(_URL, settings.model_id, adapters, self.client())

    def transport(self) -> LocalTransport:
        """For a client of one's own: `httpx.Client(transport=...)`, or the async one."""
        return LocalTransport(self.app, self._loop)

    def client(self, timeout: float | None = 30) -> httpx.Client:
        """A sync client with the mock as its base URL; seconds of silence that it bears."""
        return httpx.Client(base_url=_URL, transport=self.transport(), timeout=timeout)

    def async_client(self, timeout: float | None = 30) -> httpx.AsyncClient:
        """An async client with the mock as its base URL; seconds of silence that it bears."""
        return httpx.AsyncClient(base_url=_URL, transport=self.transport(), timeout=timeout)

    def close(self) -> None:
        """Hang up on everybody and end the thread."""
        self._http.close()
        self._loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
