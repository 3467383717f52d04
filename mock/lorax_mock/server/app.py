"""The ASGI application: LoRAX's routes, and the framework's refusals around them.

Plain ASGI throughout: a stream event costs a few microseconds, and a framework would cost more than
the work.
"""

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path

from lorax_mock.errors import FrameworkRefusal, LoraxRefusal, Refusal, no_fast_tokenizer
from lorax_mock.files.script_file import ScriptFile
from lorax_mock.http.axum import (
    JSON,
    TEXT,
    ClientLeft,
    Exchange,
    Handler,
    Receive,
    Routes,
    Scope,
    Send,
)
from lorax_mock.prompt.tokenizer import Tokenizer, builtin
from lorax_mock.router.health import unhealthy
from lorax_mock.server.clock import aside
from lorax_mock.server.inference import Inference
from lorax_mock.server.responder import Encode, Responder
from lorax_mock.server.routes.admin import admin_routes
from lorax_mock.server.routes.encoder import encoder_routes
from lorax_mock.server.routes.openai import openai_routes
from lorax_mock.server.sender import EncodeEvent
from lorax_mock.server.state import State
from lorax_mock.settings import Settings
from lorax_mock.wire.apidoc import PAGE, document
from lorax_mock.wire.info import encode_info
from lorax_mock.wire.native import (
    COMPAT_GENERATE_REQUEST,
    GENERATE_REQUEST,
    TOKENIZE_REQUEST,
    Generated,
    GenerateRequest,
)
from lorax_mock.wire.replies import encode_generate, encode_stream_event, encode_tokenize

__all__ = ["MockApp", "create_app"]

_log = logging.getLogger("lorax_mock")


class MockApp:
    """One mock server: a `State`, and the routes to it."""

    def __init__(self, settings: Settings, tokenizer: Tokenizer | None = None) -> None:
        self.state = State(settings, tokenizer or builtin())
        self._inference = Inference(self.state)
        self._responder = Responder(self.state, self._inference)
        self.tell: Callable[[str], None] | None = None
        """Called with a line for each request that the journal has, and for each refusal."""

        self._body_bytes = settings.limits.body_bytes
        self._info = encode_info(settings)
        alive: dict[str, Handler] = {"GET": self._healthy}
        self._routes: Routes = {
            "/": {"POST": self._compat_generate, "GET": self._healthy},
            "/invocations": {"POST": self._compat_generate},
            "/generate": {"POST": self._generate},
            "/generate_stream": {"POST": self._generate_stream},
            "/tokenize": {"POST": self._tokenize},
            "/info": {"GET": self._tell_info},
            "/health": alive,
            "/ping": alive,
            "/startup": {"GET": self._started},
            "/metrics": {"GET": self._tell_metrics},
            "/docs": {"GET": self._move_to_docs},
            "/docs/": {"GET": self._show_docs},
            "/api-doc/openapi.json": {"GET": self._tell_document},
            **openai_routes(self.state, self._responder),
            **encoder_routes(self.state),
            **admin_routes(self.state),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI's entry."""
        if scope["type"] != "http":
            return
        exchange = Exchange(scope, receive, send)
        handlers = self._routes.get(exchange.path)
        if handlers is None:
            if exchange.method == "OPTIONS":
                await exchange.preflight()
            else:
                await exchange.reply(404)
            return
        handler = handlers.get("GET" if exchange.method == "HEAD" else exchange.method)
        if handler is None:
            # Whoever is not routed is told what is: the CORS layer's answer to OPTIONS, too.
            allow = ",".join("GET,HEAD" if known == "GET" else known for known in handlers)
            told = (b"allow", allow.encode())
            if exchange.method == "OPTIONS":
                await exchange.preflight([told])
            else:
                await exchange.reply(405, last=[told])
            return
        try:
            await handler(exchange)
        except Refusal as refusal:
            await self._refuse(exchange, refusal)
        except ClientLeft:
            self.state.journal.note(f"{exchange.path}: the client left before it was answered")
        except Exception:
            _log.exception("a bug in lorax-mock: %s %s", exchange.method, exchange.path)
            raise
        finally:
            if exchange.entry is not None:
                if self.tell is not None:
                    self.tell(exchange.entry.line())
                if self.state.watching.open:
                    self.state.watching.ended(exchange.entry)

    async def _refuse(self, exchange: Exchange, refusal: Refusal) -> None:
        if self.tell is not None and exchange.entry is None:
            self.tell(f"{getattr(refusal, 'status', 500)} {exchange.path} - {refusal}"[:300])
        if self.state.watching.open and exchange.entry is None:
            self.state.watching.refused(
                exchange.path, getattr(refusal, "status", 500), str(refusal)
            )
        if isinstance(refusal, FrameworkRefusal):
            await exchange.reply(refusal.status, refusal.text.encode(), [TEXT])
            return
        status, body = self.state.spoken(refusal)
        await exchange.reply(status, body, [JSON])

    async def _healthy(self, exchange: Exchange) -> None:
        if not self.state.health.check():
            raise unhealthy()
        await exchange.reply(200)

    async def _started(self, exchange: Exchange) -> None:
        """Whatever fails, the status is 500 (router/src/server.rs:488)."""
        try:
            await self._inference.start_up()
        except LoraxRefusal as refusal:
            await exchange.reply(500, self.state.spoken(refusal)[1], [JSON])
        else:
            await exchange.reply(200)

    async def _tell_info(self, exchange: Exchange) -> None:
        await exchange.reply(200, self._info, [JSON])

    async def _tell_metrics(self, exchange: Exchange) -> None:
        if b"application/json" in (exchange.header(b"accept") or b""):
            await exchange.reply(200, self.state.metrics.as_json(), [JSON])
        else:
            await exchange.reply(
                200, self.state.metrics.as_text(), [(b"content-type", b"text/plain")]
            )

    async def _move_to_docs(self, exchange: Exchange) -> None:
        await exchange.reply(303, headers=[(b"location", b"/docs/")])

    async def _show_docs(self, exchange: Exchange) -> None:
        await exchange.reply(200, PAGE, [(b"content-type", b"text/html")])

    async def _tell_document(self, exchange: Exchange) -> None:
        await exchange.reply(200, document(), [JSON])

    async def _tokenize(self, exchange: Exchange) -> None:
        asked = await exchange.json(TOKENIZE_REQUEST, self._body_bytes)
        if not self.state.settings.limits.fast_tokenizer:
            raise no_fast_tokenizer()
        special = asked.add_special_tokens is not False
        body = await aside(
            len(asked.inputs),
            lambda: encode_tokenize(self.state.tokenizer.tokenize(asked.inputs, special=special)),
        )
        await exchange.reply(200, body, [JSON])

    async def _compat_generate(self, exchange: Exchange) -> None:
        request: GenerateRequest = await exchange.json(COMPAT_GENERATE_REQUEST, self._body_bytes)
        if request.stream:
            await self._responder.stream(exchange, request, _native_event(request))
        else:
            encode = _native(request)
            await self._responder.answer(
                exchange, request, lambda best, others: b"[%b]" % encode(best, others)
            )

    async def _generate(self, exchange: Exchange) -> None:
        request: GenerateRequest = await exchange.json(GENERATE_REQUEST, self._body_bytes)
        await self._responder.answer(exchange, request, _native(request))

    async def _generate_stream(self, exchange: Exchange) -> None:
        request: GenerateRequest = await exchange.json(GENERATE_REQUEST, self._body_bytes)
        await self._responder.stream(exchange, request, _native_event(request))


def _native(request: GenerateRequest) -> Encode:
    parameters = request.parameters
    details = parameters.details or parameters.decoder_input_details
    prompt = request.inputs if parameters.return_full_text else ""

    def encode(best: Generated, others: tuple[Generated, ...]) -> bytes:
        losers = others if (parameters.best_of or 1) > 1 else None
        return encode_generate(best, details=details, others=losers, prompt=prompt)

    return encode


def _native_event(request: GenerateRequest) -> EncodeEvent:
    prompt = request.inputs if request.parameters.return_full_text else ""
    return partial(encode_stream_event, details=request.parameters.details, prompt=prompt)


def create_app(
    settings: Settings | None = None,
    script: Path | None = None,
    tokenizer: Tokenizer | None = None,
) -> MockApp:
    """A mock server as an ASGI application; raises ScriptError for a wrong script."""
    app = MockApp(settings or Settings(), tokenizer)
    if script is not None:
        app.state.script_file = ScriptFile(script, app.state.rulebook)
    return app
