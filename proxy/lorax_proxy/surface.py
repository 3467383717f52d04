"""The HTTP surface under every route: identity, keys, methods and errors.

A plain ASGI application in front of FastAPI. The routes that carry text (`Handler`) are served
here without FastAPI's request machinery, which costs several times what the translation costs;
everything else (models, health, documentation) goes through to FastAPI. Both get the same
treatment: a request id, the time it took, OpenAI's error envelope whatever happens, and no
traceback to a client.
"""

import asyncio
import random
import re
import time
from collections.abc import Awaitable, Callable, Mapping

from lorax_proxy.client import (
    AsgiApp,
    Client,
    ClientLeft,
    Headers,
    Receive,
    Scope,
    Send,
    header_lines,
)
from lorax_proxy.core import failures
from lorax_proxy.core.admission import Admission
from lorax_proxy.core.failures import ApiError
from lorax_proxy.core.heads import HeadRefused
from lorax_proxy.errors import RequestRefused
from lorax_proxy.inspector.connection import watched
from lorax_proxy.inspector.page import Inspector
from lorax_proxy.observe import INSPECTOR, QUIET, Observer, Record
from lorax_proxy.tap import Recorder

__all__ = ["Handler", "Surface", "refused_unread"]

Handler = Callable[[Client], Awaitable[None]]

_SANE_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")
"""A client's request id that may go into our log and back into a header."""


class Surface:
    """The whole server as one ASGI application."""

    def __init__(
        self,
        endpoints: Mapping[str, Handler],
        fallback: AsgiApp,
        observer: Observer,
        *,
        admission: Admission,
        extra_headers: Headers = (),
        inspector: Inspector | None = None,
    ) -> None:
        """Put the routes together.

        Args:
            endpoints: The POST routes that carry text, by path without `/v1`.
            fallback: Everything else.
            observer: Where each request's record goes.
            admission: Who may ask.
            extra_headers: Headers of every answer.
            inspector: The page that shows requests, if there is one.
        """
        self._endpoints = endpoints
        self._fallback = fallback
        self._observer = observer
        self._admission = admission
        self._extra = header_lines(extra_headers)
        self._inspector = inspector
        self._recorder = Recorder(texts=False) if inspector is None else inspector.recorder

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
        tap = None
        if self._recorder.watched and not self._is_quiet(bare, path):
            tap = self._recorder.begin(record, scope["headers"])
            scope, receive, send = watched(scope, receive, send, tap)
        client = Client(scope, receive, send, record, self._extra, tap)
        observer = self._observer
        observer.under_way += 1
        try:
            await self._answer(client, scope, bare)
        finally:
            observer.under_way -= 1
            record.seconds = client.elapsed()
            observer.done(record)
            if tap is not None:
                tap.finish()

    async def _answer(self, client: Client, scope: Scope, bare: str) -> None:
        record = client.record
        try:
            self._admission.check(bare, scope["http_version"], scope["headers"])
            endpoint = self._endpoints.get(bare)
            if endpoint is None:
                await self._answer_other(client, scope, bare)
            else:
                record.route = bare
                _check_method(client.scope)
                await endpoint(client)
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

    def _is_quiet(self, bare: str, path: str) -> bool:
        """Whether a request is not shown: those of probes and scrapers, and the page's own."""
        return bare in QUIET or (self._inspector is not None and self._inspector.owns(path))

    async def _answer_other(self, client: Client, scope: Scope, bare: str) -> None:
        # by its own path alone: the page finds its calls, and this server's, from where it is
        path = client.record.path
        if self._inspector is not None and self._inspector.owns(path):
            client.record.route = INSPECTOR
            await self._inspector.answer(client, path)
        else:
            await self._pass_through(client, scope, bare)

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


def _check_method(scope: Scope) -> None:
    method = scope["method"]
    if method != "POST":
        raise RequestRefused(
            f"Method {method} is not allowed on {scope['path']}; send a POST.",
            status=405,
            code="method_not_allowed",
            headers=(("allow", "POST"),),
        )


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
                reason=error.reason,
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
    # unique, and no secret: the system's generator costs a system call each time
    return f"req_{random.getrandbits(128):032x}"
