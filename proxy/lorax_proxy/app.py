"""`create_app(settings)`: the whole proxy as one ASGI application. Importing it has no effect."""

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware

from lorax_proxy.client import AsgiApp, Client
from lorax_proxy.config import Settings, UpstreamSettings, token_of
from lorax_proxy.core import failures
from lorax_proxy.core.admission import Admission
from lorax_proxy.core.failures import ApiError
from lorax_proxy.core.routing import unknown_model
from lorax_proxy.directory import Directory
from lorax_proxy.documentation import document
from lorax_proxy.errors import RequestRefused
from lorax_proxy.gateway import Gateway
from lorax_proxy.inspector.page import Inspector
from lorax_proxy.observe import Observer
from lorax_proxy.readiness import Upstream
from lorax_proxy.surface import Surface
from lorax_proxy.template_files import load_vocabulary_size
from lorax_proxy.upstream.direct import DirectTransport
from lorax_proxy.upstream.transport import Transport
from lorax_proxy.wire.openai_replies import encode_error

if TYPE_CHECKING:
    from lorax_proxy.upstream.httpx import HttpxTransport

__all__ = ["create_app", "make_upstreams"]

_PROBE_WAIT = 0.5
"""Seconds that `/ready` waits for an upstream: probes give up after one. The question goes on."""


def create_app(
    settings: Settings,
    *,
    now: Callable[[], datetime] | None = None,
    new_id: Callable[[], str] | None = None,
    open_transport: Callable[[UpstreamSettings], Transport] | None = None,
    observer: Observer | None = None,
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> AsgiApp:
    """Build the application.

    Args:
        settings: The effective settings, with at least one upstream.
        now: The local time; for tests that compare bytes.
        new_id: New identities, unique over answers; for tests that compare bytes.
        open_transport: Another transport than the one that the settings name.
        observer: Who takes every request's record, if the server has one already.
        pause: How to wait between two questions to an upstream.

    Raises:
        SettingsInvalid: When the settings cannot be carried out.
        ProxyError: When a template cannot be loaded.
    """
    observer = observer or Observer(settings.log_level, log_format=settings.log_format)

    upstreams = make_upstreams(settings, open_transport)
    directory = Directory(settings, upstreams, observer)
    gateway = Gateway(
        settings,
        directory,
        now=now or _local_time(),
        # unique, and no secret: the system's generator costs a system call each time
        new_id=new_id or (lambda: f"{random.getrandbits(96):024x}"),
    )

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncGenerator[None]:
        watches = [asyncio.create_task(upstream.watch(pause)) for upstream in upstreams]
        try:
            yield
        finally:
            for watch in watches:
                watch.cancel()
            await asyncio.gather(*watches, return_exceptions=True)
            await gateway.aclose()
            await directory.aclose()

    api = FastAPI(
        title="lorax-openai",
        summary="The OpenAI API for LoRAX's LoRA adapters.",
        version=version("lorax-openai"),
        lifespan=lifespan,
        redirect_slashes=False,
        # FastAPI's own pages load their scripts from elsewhere
        docs_url=None,
        redoc_url=None,
    )
    _add_reading_routes(api, directory, observer)
    document(api, keyed=settings.api_key is not None)
    api.add_exception_handler(HTTPException, _not_routed)
    api.add_exception_handler(RequestRefused, _refused)
    api.add_exception_handler(Exception, _failed)
    inspector = _inspector(settings, directory)
    surface: AsgiApp = Surface(
        {
            "/chat/completions": gateway.chat,
            "/completions": gateway.completions,
            "/embeddings": gateway.embeddings,
        },
        api,
        observer,
        admission=Admission(
            api_key=None if settings.api_key is None else settings.api_key.get_secret_value(),
            hosts=settings.known_hosts,
            keyless=() if inspector is None else inspector.keyless,
        ),
        extra_headers=(("x-lorax-mock", "1"),) if settings.demo else (),
        inspector=inspector,
    )
    if settings.cors_origins:
        surface = CORSMiddleware(
            surface,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST"],
            allow_headers=["*"],
            # a page of the operator's own may call a server of the operator's own network
            allow_private_network=True,
            expose_headers=[
                "x-request-id",
                "retry-after",
                "x-ignored-parameters",
                "x-unenforced-keywords",
            ],
        )
    return surface


def _inspector(settings: Settings, directory: Directory) -> Inspector | None:
    """The page that shows requests, if it is asked for."""
    if not settings.inspector:
        return None
    return Inspector(
        models=directory.listed,
        texts=settings.inspector_texts,
        needs_key=settings.api_key is not None,
        most_body=settings.max_body_bytes,
        at_root=settings.demo,
    )


def _local_time() -> Callable[[], datetime]:
    """A clock that tells the local time in whole seconds, and works it out once in each."""
    second, told = 0, datetime.fromtimestamp(0, UTC)

    def now() -> datetime:
        nonlocal second, told
        current = int(time.time())
        if current != second:
            second, told = current, datetime.fromtimestamp(current).astimezone()
        return told

    return now


def _client_of(settings: Settings) -> "type[DirectTransport | HttpxTransport]":
    """The HTTP client towards LoRAX that the settings name."""
    if settings.transport == "direct":
        return DirectTransport
    # imported here: who does not use it starts without httpx
    from lorax_proxy.upstream.httpx import HttpxTransport  # noqa: PLC0415 - see above

    return HttpxTransport


def make_upstreams(
    settings: Settings, open_transport: Callable[[UpstreamSettings], Transport] | None = None
) -> list[Upstream]:
    """The upstreams of the settings; nothing is asked of them yet.

    Raises:
        SettingsInvalid: When a token's variable is not set, or `tokenizer` cannot be read.
    """

    def transport(upstream: UpstreamSettings) -> Transport:
        return _client_of(settings)(
            upstream.url,
            connect_timeout=settings.connect_timeout,
            connect_retries=settings.connect_retries,
            token=token_of(upstream),
        )

    opener = open_transport or transport
    size = _vocabulary_size(settings)
    return [Upstream(each, opener(each), vocabulary_size=size) for each in settings.upstream]


def _vocabulary_size(settings: Settings) -> int | None:
    """What the model's folder says, if there is no doubt which upstream it belongs to."""
    alone = sum(each.kind == "generate" for each in settings.upstream) == 1
    return load_vocabulary_size(settings.tokenizer) if settings.tokenizer and alone else None


def _add_reading_routes(api: FastAPI, directory: Directory, observer: Observer) -> None:
    """The routes that only tell: models, health, metrics."""

    def model(name: str) -> dict[str, Any]:
        # nothing here knows when a model was made; a constant keeps answers equal
        return {"id": name, "object": "model", "created": 0, "owned_by": "lorax"}

    @api.get("/models", tags=["models"])
    async def list_models() -> dict[str, Any]:
        """The base models and the configured ones (ListModelsResponse)."""
        await directory.begun()
        return {"object": "list", "data": [model(name) for name in directory.listed()]}

    @api.get("/models/{name:path}", tags=["models"])
    async def retrieve_model(name: str) -> dict[str, Any]:
        """One model (Model); ids hold slashes."""
        await directory.begun()
        listed = directory.listed()
        if name not in listed:
            raise unknown_model(name, listed)
        return model(name)

    @api.get("/health", tags=["operation"])
    async def health() -> dict[str, str]:
        """The process is alive."""
        return {"status": "ok"}

    @api.get("/ready", tags=["operation"])
    async def ready() -> JSONResponse:
        """Whether every upstream tells its facts, which is asked now."""
        asked = [asyncio.create_task(up.ask()) for up in directory.upstreams.values()]
        await asyncio.wait(asked, timeout=_PROBE_WAIT)
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
        known = {name: up.answers for name, up in directory.upstreams.items()}
        return JSONResponse({"upstreams": known}, 200 if all(known.values()) else 503)

    @api.get("/metrics", tags=["operation"])
    async def metrics() -> Response:
        """Prometheus' text format."""
        return Response(observer.metrics(), media_type="text/plain; version=0.0.4")


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestRefused)  # noqa: S101 - registered for this class alone
    return _envelope(request, failures.refusal(error))


async def _failed(request: Request, _error: Exception) -> Response:
    # FastAPI raises it again behind this answer, and `Surface` logs it
    return _envelope(request, failures.internal(_client(request).request_id))


async def _not_routed(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class alone
    scope = _client(request).scope
    path, method = scope["path"], scope["method"]
    headers = tuple((error.headers or {}).items())
    if error.status_code == 405:
        refusal = RequestRefused(
            f"Method {method} is not allowed on {path}.",
            status=405,
            code="method_not_allowed",
            headers=headers,
        )
    else:
        old = request.url.path == "/responses" or request.url.path.startswith("/responses/")
        hint = " Use POST /v1/chat/completions." if old else ""
        refusal = RequestRefused(
            f"Unknown request URL: {method} {path}.{hint}",
            status=404,
            code="unknown_url",
            headers=headers,
        )
    return _envelope(request, failures.refusal(refusal))


def _client(request: Request) -> Client:
    """Who asked, as `Surface` knows it."""
    client = request.state.client
    assert isinstance(client, Client)  # noqa: S101 - `Surface` put it there
    return client


def _envelope(request: Request, error: ApiError) -> Response:
    record = _client(request).record
    record.error = error.code or error.type
    record.reason = error.reason
    body = encode_error(error.message, error.type, error.param, error.code)
    return Response(body, error.status, dict(error.headers), "application/json")
