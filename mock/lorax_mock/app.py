"""The ASGI shell: LoRAX's routes, and the events of the engine put on a socket.

Plain ASGI throughout: a stream event costs a few microseconds, and a framework would cost more than
the work. What decides an answer lives elsewhere; here are order, time and connections:

* a stream's status line and headers leave before anything is checked (router/src/server.rs:930),
  so refusals become events;
* a concurrency permit is taken without waiting and held until the answer or stream has ended;
* a client that leaves is noticed between events, and ends its own generation.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

from lorax_mock.adapters import Catalogue
from lorax_mock.axum import (
    JSON,
    PREFLIGHT,
    TEXT,
    ClientLeft,
    Exchange,
    Header,
    Receive,
    Scope,
    Send,
    parse,
)
from lorax_mock.engine import generate, pick_best, request_key, server_seed
from lorax_mock.errors import (
    FatalRequest,
    FrameworkRefusal,
    LoraxRefusal,
    Refusal,
    generation,
    overloaded,
)
from lorax_mock.headers import echoed, measured
from lorax_mock.info import encode_info
from lorax_mock.journal import Entry, Journal
from lorax_mock.metrics import Metrics
from lorax_mock.pace import breathe, pause, until, wait
from lorax_mock.replies import (
    encode_error,
    encode_generate,
    encode_stream_event,
    encode_tokenize,
    sse,
)
from lorax_mock.routes_encoder import encoder_routes
from lorax_mock.routes_openai import openai_routes
from lorax_mock.serde import Kind
from lorax_mock.settings import Settings
from lorax_mock.timing import timing_of
from lorax_mock.tokenizer import Tokenizer, builtin
from lorax_mock.validation import check_before_permit, validate
from lorax_mock.wire import (
    COMPAT_GENERATE_REQUEST,
    GENERATE_REQUEST,
    TOKENIZE_REQUEST,
    Generated,
    GenerateRequest,
    Token,
)

__all__ = ["MockApp", "create_app"]

_FAIRNESS: Final = 64
"""Events after which an unpaced stream lets others have the loop."""

_SETTLE_SECONDS: Final = 5.0
"""How long `/_mock/journal?wait` waits for open requests to end."""

_EVENT_STREAM: Final[tuple[Header, ...]] = (
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
)

_log = logging.getLogger("lorax_mock")

Handler = Callable[[Exchange], Awaitable[None]]
Encode = Callable[[Generated, tuple[Generated, ...]], bytes]
"""The winner and the losers of a request into a body; may raise LoraxRefusal."""

EncodeEvent = Callable[[Token, Generated | None], bytes]
"""A token, with the whole at the last one, into a framed event."""


class MockApp:
    """One mock server; every state it has is in here."""

    def __init__(self, settings: Settings, tokenizer: Tokenizer | None = None) -> None:
        self.settings = settings
        self.tokenizer: Tokenizer = tokenizer or builtin()
        self.catalogue = Catalogue(settings)
        self.journal = Journal()
        self.metrics = Metrics(settings.limits)
        self._permits = settings.limits.max_concurrent_requests
        self._occurrences: dict[bytes, int] = {}
        self._info = encode_info(settings)
        alive: dict[str, Handler] = {"GET": self._healthy}
        self._routes: dict[str, dict[str, Handler]] = {
            "/": {"GET": self._healthy, "POST": self._compat_generate},
            "/invocations": {"POST": self._compat_generate},
            "/generate": {"POST": self._generate},
            "/generate_stream": {"POST": self._generate_stream},
            "/tokenize": {"POST": self._tokenize},
            "/info": {"GET": self._tell_info},
            "/health": alive,
            "/ping": alive,
            "/startup": alive,
            "/metrics": {"GET": self._tell_metrics},
            **openai_routes(self),
            **encoder_routes(self),
            "/_mock/adapters": {"GET": self._tell_adapters},
            "/_mock/journal": {"GET": self._tell_journal},
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI's entry."""
        if scope["type"] != "http":
            return
        exchange = Exchange(scope, receive, send)
        if exchange.method == "OPTIONS":
            await exchange.reply(200, headers=PREFLIGHT)
            return
        handlers = self._routes.get(exchange.path)
        if handlers is None:
            await exchange.reply(404)
            return
        handler = handlers.get("GET" if exchange.method == "HEAD" else exchange.method)
        if handler is None:
            allowed = ",".join("GET,HEAD" if known == "GET" else known for known in handlers)
            await exchange.reply(405, headers=[(b"allow", allowed.encode())])
            return
        try:
            await handler(exchange)
        except Refusal as refusal:
            await self._refuse(exchange, refusal)
        except ClientLeft:
            self.journal.note(f"{exchange.path}: the client left before it was answered")
        except Exception:
            _log.exception("a bug in lorax-mock: %s %s", exchange.method, exchange.path)
            raise

    async def _refuse(self, exchange: Exchange, refusal: Refusal) -> None:
        if isinstance(refusal, FrameworkRefusal):
            await exchange.reply(refusal.status, refusal.text.encode(), [TEXT])
            return
        status, body = self._spoken(refusal)
        await exchange.reply(status, body, [JSON])

    def _spoken(self, refusal: Refusal) -> tuple[int, bytes]:
        """Status and JSON of a refusal, counted."""
        match refusal:
            case LoraxRefusal(status=status, message=message, error_type=error_type):
                self.metrics.failed(refusal.counted_as)
                return status, encode_error(message, error_type)
            case FatalRequest(reason=reason, source=source):
                text = f"lorax-mock refuses what would end a real LoRAX ({source}): {reason}"
                return 500, encode_error(text, "mock_refusal")
            case _:
                raise refusal

    async def _healthy(self, exchange: Exchange) -> None:
        await exchange.reply(200)

    async def _tell_info(self, exchange: Exchange) -> None:
        await exchange.reply(200, self._info, [JSON])

    async def _tell_metrics(self, exchange: Exchange) -> None:
        if b"application/json" in (exchange.header(b"accept") or b""):
            await exchange.reply(200, self.metrics.as_json(), [JSON])
        else:
            await exchange.reply(200, self.metrics.as_text(), [(b"content-type", b"text/plain")])

    async def _tell_adapters(self, exchange: Exchange) -> None:
        await exchange.reply(200, self.catalogue.as_json(), [JSON])

    async def _tell_journal(self, exchange: Exchange) -> None:
        if b"wait" in exchange.scope["query_string"]:
            await until(lambda: self.journal.settled, _SETTLE_SECONDS)
        await exchange.reply(200, self.journal.as_json(), [JSON])

    async def read(self, exchange: Exchange, kind: Kind) -> Any:
        """The request's body; raises FrameworkRefusal, or ClientLeft."""
        return parse(await exchange.body(self.settings.limits.body_bytes), kind)

    async def _tokenize(self, exchange: Exchange) -> None:
        asked = await self.read(exchange, TOKENIZE_REQUEST)
        special = asked.add_special_tokens is not False
        tokens = self.tokenizer.tokenize(asked.inputs, special=special)
        await exchange.reply(200, encode_tokenize(tokens), [JSON])

    async def _compat_generate(self, exchange: Exchange) -> None:
        request: GenerateRequest = await self.read(exchange, COMPAT_GENERATE_REQUEST)
        if request.stream:
            await self.stream(exchange, request, _native_event(request))
        else:
            encode = _native(request)
            await self.answer(
                exchange, request, lambda best, others: b"[%b]" % encode(best, others)
            )

    async def _generate(self, exchange: Exchange) -> None:
        request: GenerateRequest = await self.read(exchange, GENERATE_REQUEST)
        await self.answer(exchange, request, _native(request))

    async def _generate_stream(self, exchange: Exchange) -> None:
        request: GenerateRequest = await self.read(exchange, GENERATE_REQUEST)
        await self.stream(exchange, request, _native_event(request))

    @contextmanager
    def permits(self, count: int) -> Generator[None]:
        """Permits for the time of an answer; raises LoraxRefusal (429) at once."""
        if self._permits < count:
            raise overloaded()
        self._permits -= count
        try:
            yield
        finally:
            self._permits += count

    def _run(self, exchange: Exchange, request: GenerateRequest, count: int = 1) -> list[Generated]:
        parameters = request.parameters
        valid = validate(request, self.settings.limits, self.tokenizer)
        if self.settings.kind != "generate":
            raise generation("Server error: This model does not support text generation")
        self.metrics.validated(len(valid.prompt), valid.max_new_tokens)
        identity, persona = self.catalogue.open(
            parameters, exchange.download_token(parameters.api_token)
        )
        key = request_key(valid, identity, self.settings.seed)
        if not valid.samples:
            seeds = [0] * count
        elif parameters.seed is not None:
            seeds = [parameters.seed]
        else:
            first = self._occurrences.get(key, 0)
            self._occurrences[key] = first + count
            seeds = [server_seed(key, valid, first + place) for place in range(count)]
        return [generate(valid, persona, self.tokenizer, key, seed) for seed in seeds]

    async def answer(self, exchange: Exchange, request: GenerateRequest, encode: Encode) -> None:
        """Generate, then reply whole; raises Refusal before anything was sent."""
        entry = self.journal.begin(exchange.path, request)
        self.metrics.asked()
        count = max(request.parameters.best_of or 1, 1)
        try:
            check_before_permit(request.parameters, self.settings.limits, stream=False)
            with self.permits(count):
                best, others = pick_best(self._run(exchange, request, count))
                timing = timing_of(self.settings.costs, best)
                if self.settings.costs.paced:
                    await pause(timing.total / 1000, exchange)
            headers = [*echoed(request, self.settings), *measured(best, timing)]
            body = encode(best, others)
        except Refusal as refusal:
            entry.refused(refusal)
            raise
        except ClientLeft:
            self.metrics.failed("dropped")
            entry.left(0)
            raise
        self.metrics.answered(best, timing)
        entry.answered(best)
        await exchange.reply(200, body, [JSON, *headers])

    async def stream(
        self, exchange: Exchange, request: GenerateRequest, encode: EncodeEvent, done: bytes = b""
    ) -> None:
        """Headers first, then events; `done` follows a stream that ended well."""
        entry = self.journal.begin(exchange.path, request)
        self.metrics.asked()
        try:
            headers = echoed(request, self.settings)
        except FatalRequest as refusal:
            entry.refused(refusal)
            raise
        await exchange.start(200, [*_EVENT_STREAM, *headers])
        try:
            check_before_permit(request.parameters, self.settings.limits, stream=True)
            with self.permits(1):
                sequence = self._run(exchange, request)[0]
                whole = await self._send_events(exchange, sequence, encode, entry)
            if whole and done:
                await exchange.chunk(done)
        except Refusal as refusal:
            entry.refused(refusal)
            await exchange.chunk(sse(self._spoken(refusal)[1]))
        await exchange.end()

    async def _send_events(
        self, exchange: Exchange, sequence: Generated, encode: EncodeEvent, entry: Entry
    ) -> bool:
        costs = self.settings.costs
        timing = timing_of(costs, sequence)
        gone = asyncio.ensure_future(exchange.left())
        last = len(sequence.tokens) - 1
        for place, token in enumerate(sequence.tokens):
            if costs.paced:
                idle = costs.step if place else timing.queue + timing.first_token
                await wait(idle / 1000, exchange, gone)
            elif place % _FAIRNESS == _FAIRNESS - 1:
                await breathe()
            if gone.done():
                self.metrics.failed("dropped")
                entry.left(place)
                return False
            await exchange.chunk(encode(token, sequence if place == last else None))
        self.metrics.answered(sequence, timing)
        entry.answered(sequence)
        return True


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


def create_app(settings: Settings | None = None) -> MockApp:
    """A mock server as an ASGI application."""
    return MockApp(settings or Settings())
