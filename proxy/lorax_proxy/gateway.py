"""The endpoints that carry text: a request's bytes become something to deliver.

    bytes -> route -> document -> parameter table -> typed request -> plan -> delivery

Each step is a pure function of `core`; what this module adds is the clock and the identities, and
the waiting for an upstream that is not known yet. The route comes first, so that the steps between
it and the delivery wait for nothing: a large request takes them in one go, in a thread, and there is
one large document at a time.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, Protocol, TypeVar

from lorax_proxy.answers import gather
from lorax_proxy.aside import LARGE, aside, expensive
from lorax_proxy.client import Client, until_gone
from lorax_proxy.config import Settings
from lorax_proxy.core import failures
from lorax_proxy.core.chat_plan import plan_chat
from lorax_proxy.core.chat_style import ChatStyle
from lorax_proxy.core.constraints import header_names, is_expensive
from lorax_proxy.core.destination import read_destination
from lorax_proxy.core.embeddings import embedding_bodies, embeddings_document
from lorax_proxy.core.merging import merge_of
from lorax_proxy.core.parameters import Endpoint, sort_parameters
from lorax_proxy.core.parsing import is_small, read_document, read_request
from lorax_proxy.core.plan import Plan, adapter_ids, check_choices
from lorax_proxy.core.routing import Base, Kind
from lorax_proxy.core.style import Style
from lorax_proxy.core.template.chat_template import TemplateFailed
from lorax_proxy.core.text_completion import CompletionStyle, plan_completion, prompt_count
from lorax_proxy.delivery import Delivery
from lorax_proxy.directory import Directory, Found
from lorax_proxy.errors import Lost, RequestRefused, UpstreamError
from lorax_proxy.prepared_request import PreparedRequest, tell_failure
from lorax_proxy.readiness import Upstream
from lorax_proxy.upstream.transport import Transport
from lorax_proxy.wire.lorax import Unreadable, decode_embedding
from lorax_proxy.wire.openai_replies import Identity, encode_json
from lorax_proxy.wire.openai_requests import (
    ChatRequest,
    CompletionRequest,
    EmbeddingRequest,
    SamplingRequest,
)

__all__ = ["Gateway"]

_Request = TypeVar("_Request", bound=SamplingRequest)


@dataclass(frozen=True, slots=True)
class _Read(Generic[_Request]):
    """A request that was read, where it goes, and the parameters that were ignored."""

    request: _Request
    found: Found
    ignored: tuple[str, ...]


class _Answering(Protocol):
    async def __call__(self, client: Client, body: bytes, *, anew: bool) -> None:
        """Answer a request.

        Args:
            client: Who sent it.
            body: Its body.
            anew: Whether it was stopped once on its way to an upstream that has been asked since.

        Raises:
            UpstreamError: `RENEWED`, before anything was sent, if it has to be made anew.
        """


_NO_LIMIT = contextlib.nullcontext()

_FLOAT = 8
"""Bytes that a number of an embedding counts for, as work."""

_EMBED_AT_ONCE = 32
"""`/embed` calls of one request that run at once: enough for its batches (LoRAX takes a permit for each,
of 1,024 if nobody says otherwise, router/src/main.rs), and few enough for everybody else."""


class Gateway:
    """The POST endpoints, by the path they are served under."""

    def __init__(
        self,
        settings: Settings,
        directory: Directory,
        *,
        now: Callable[[], datetime],
        new_id: Callable[[], str],
    ) -> None:
        """Take what decides, and the clock and the identities that answers get.

        Args:
            settings: The effective settings.
            directory: The upstreams, models and templates.
            now: The local time, for templates and `created`.
            new_id: A new identity, unique over answers.
        """
        self._settings = settings
        self._directory = directory
        self._now = now
        self._new_id = new_id
        self._delivery = Delivery(settings)

    def chat(self, client: Client) -> Awaitable[None]:
        """`POST /v1/chat/completions`."""
        return self._serve(client, self._answer_chat)

    def completions(self, client: Client) -> Awaitable[None]:
        """`POST /v1/completions`."""
        return self._serve(client, self._answer_completion)

    def embeddings(self, client: Client) -> Awaitable[None]:
        """`POST /v1/embeddings`."""
        return self._serve(client, self._answer_embeddings)

    async def aclose(self) -> None:
        """End what is still under way."""
        await self._delivery.aclose()

    async def _serve(self, client: Client, endpoint: _Answering) -> None:
        body = await client.body(self._settings.max_body_bytes)

        limit = self._settings.total_timeout

        async def answered() -> None:
            try:
                async with _NO_LIMIT if limit is None else asyncio.timeout(limit):
                    try:
                        await endpoint(client, body, anew=False)
                    except UpstreamError as error:
                        if error.failure is not Lost.RENEWED or client.record.upstream is None:
                            raise
                        await self._directory.upstreams[client.record.upstream].renew()
                        await endpoint(client, body, anew=True)
            except (UpstreamError, TimeoutError) as error:
                # an upstream that has not told its facts, or time that ran out, wherever it went
                failure = error.failure if isinstance(error, UpstreamError) else Lost.TOTAL_TIMEOUT
                await client.fail(failures.answer(failure))
            except TemplateFailed as error:
                # the operator's to mend; it names the template and the line
                raise RequestRefused(
                    str(error),
                    status=500,
                    type="server_error",
                    code="chat_template_failed",
                    headers=(failures.NO_RETRY,),
                ) from error

        await until_gone(client, answered)

    # what prepares an answer returns before it is delivered: a stream may be open for an hour, and
    # the request that it began with is larger than the rest of it
    async def _answer_chat(self, client: Client, body: bytes, *, anew: bool) -> None:
        await self._delivery.deliver(client, await self._chat(client, body, anew=anew))

    async def _answer_completion(self, client: Client, body: bytes, *, anew: bool) -> None:
        await self._delivery.deliver(client, await self._completion(client, body, anew=anew))

    async def _chat(self, client: Client, body: bytes, *, anew: bool) -> PreparedRequest:
        found = await self._find(body, Kind.GENERATE)
        now = self._now()
        template = self._directory.template(found.route, found.facts)

        def plan(read: _Read[ChatRequest]) -> Plan:
            check_choices(read.request, self._settings.max_choices)
            return plan_chat(
                read.request,
                read.found.route,
                read.found.facts,
                template,
                now,
                counted=not is_small(body),
            )

        read, planned = await self._prepare(body, Endpoint.CHAT, ChatRequest, found, plan)
        if client.tap is not None:
            client.tap.recording.specials = template.special_text.spellings
        # the keywords alone: what stands before them are the client's own names
        client.record.dropped = tuple(sorted({path.rpartition(".")[2] for path in planned.dropped}))
        answer_id = f"chatcmpl-{self._new_id()}"
        style = ChatStyle(
            answer_id,
            # a zero budget asks for nothing, so nothing is called
            tools=planned.reading.grammar is not None and bool(planned.requests),
            legacy=read.request.functions is not None,
            logprobs=planned.reading.logprobs is not None,
        )
        return _prepared(client, read, planned, answer_id, now, style, anew=anew)

    async def _completion(self, client: Client, body: bytes, *, anew: bool) -> PreparedRequest:
        found = await self._find(body, Kind.GENERATE)

        def plan(read: _Read[CompletionRequest]) -> Plan:
            request = read.request
            # before there are as many requests to send
            most = self._settings.max_choices
            check_choices(request, most, prompt_count(request), request.best_of or 1)
            return plan_completion(request, read.found.route, read.found.facts)

        read, planned = await self._prepare(
            body, Endpoint.COMPLETIONS, CompletionRequest, found, plan
        )
        style = CompletionStyle(logprobs=planned.reading.logprobs is not None)
        answer_id = f"cmpl-{self._new_id()}"
        return _prepared(client, read, planned, answer_id, self._now(), style, anew=anew)

    async def _answer_embeddings(self, client: Client, body: bytes, *, anew: bool) -> None:
        found = await self._find(body, Kind.EMBED)

        def prepare() -> tuple[EmbeddingRequest, Sequence[tuple[str, bytes]], tuple[str, ...]]:
            document, ignored = self._document(body, Endpoint.EMBEDDINGS)
            request = read_request(EmbeddingRequest, document)
            return request, embedding_bodies(request, found.route), ignored

        request, calls, ignored = await aside(len(body), prepare)
        client.record.model = request.model
        client.record.upstream = found.upstream.name
        limit = asyncio.Semaphore(_EMBED_AT_ONCE)
        epoch = None if anew else found.epoch
        transport = _way(client, found)

        async def embed(text: str, call: bytes) -> tuple[Sequence[float], int]:
            async with limit:
                vector = await self._embed(found.upstream, call, epoch, transport)
                return vector, await found.upstream.count_tokens(text)

        try:
            results = await gather([embed(text, call) for text, call in calls])
        except UpstreamError as error:
            if error.failure is Lost.RENEWED:
                raise
            await client.fail(
                tell_failure(
                    error.failure,
                    found.upstream,
                    adapter=None if isinstance(found.route.target, Base) else request.model,
                    prompt_param="input",
                )
            )
            return
        vectors = [vector for vector, _ in results]

        def encoded() -> bytes:
            answer = embeddings_document(
                vectors,
                model=_model(request, found),
                prompt_tokens=sum(count for _, count in results),
                encoding=request.encoding_format,
            )
            return encode_json(answer)

        size = _FLOAT * sum(map(len, vectors))
        await client.reply(
            await aside(size, encoded), headers=_named("x-ignored-parameters", ignored)
        )

    async def _embed(
        self, upstream: Upstream, call: bytes, epoch: int | None, transport: Transport
    ) -> Sequence[float]:
        silence = self._settings.first_event_timeout
        body = await upstream.fetch(
            "POST", "/embed", call, silence=silence, epoch=epoch, transport=transport
        )
        try:
            return decode_embedding(body)
        except Unreadable as error:
            raise UpstreamError(Lost.UNREADABLE) from error

    def _document(
        self, body: bytes, endpoint: Endpoint
    ) -> tuple[Mapping[str, Any], tuple[str, ...]]:
        """The request's parameters after the table, and those that were ignored."""
        parameters = sort_parameters(
            read_document(body),
            endpoint,
            ignore_unsupported=self._settings.unsupported == "ignore",
        )
        return parameters.document, parameters.ignored

    async def _find(self, body: bytes, kind: Kind) -> Found:
        """What a request's `model` means, before the rest of it is read."""
        destination = await aside(len(body), read_destination, body)
        return await self._directory.find(
            destination.model, kind, adapter_source=destination.adapter_source
        )

    async def _prepare(
        self,
        body: bytes,
        endpoint: Endpoint,
        model: type[_Request],
        found: Found,
        plan: Callable[[_Read[_Request]], Plan],
    ) -> tuple[_Read[_Request], Plan]:
        """Everything between a request's bytes and its delivery, here if it is quick."""
        if len(body) >= LARGE:

            def both() -> tuple[_Read[_Request], Plan]:
                read = self._read(body, endpoint, model, found)
                return read, plan(read)

            return await aside(len(body), both)
        read = self._read(body, endpoint, model, found)
        if isinstance(read.request, ChatRequest) and is_expensive(read.request):
            return read, await expensive(plan, read)
        return read, plan(read)

    def _read(
        self, body: bytes, endpoint: Endpoint, model: type[_Request], found: Found
    ) -> _Read[_Request]:
        document, ignored = self._document(body, endpoint)
        request = _typed(model, document, found)
        if request.merged_adapters is not None:
            merge = merge_of(request.merged_adapters, request.adapter_source)
            found = self._directory.merged(found, request.model, merge)
        return _Read(request, found, ignored)


def _prepared(
    client: Client,
    read: _Read[_Request],
    plan: Plan,
    answer_id: str,
    now: datetime,
    style: Style,
    *,
    anew: bool,
) -> PreparedRequest:
    """What is to be carried out, and nothing else of what was asked."""
    request, found = read.request, read.found
    identity = Identity(
        answer_id, int(now.timestamp()), _model(request, found), found.facts.fingerprint
    )
    return PreparedRequest(
        plan=plan,
        upstream=found.upstream,
        transport=_way(client, found, plan),
        epoch=None if anew else found.epoch,
        adapters=adapter_ids(found.route.target),
        bos=found.facts.bos,
        identity=identity,
        style=style,
        stream=bool(request.stream),
        usage_asked=bool(request.stream_options and request.stream_options.include_usage),
        headers=(
            *_named("x-ignored-parameters", read.ignored),
            *_named("x-unenforced-keywords", header_names(plan.dropped)),
        ),
    )


def _model(request: SamplingRequest | EmbeddingRequest, found: Found) -> str:
    """The answer's `model`: the client's name for it, or the base model's own where it gave none."""
    return request.model or found.facts.model_id


def _way(client: Client, found: Found, plan: Plan | None = None) -> Transport:
    """The way to an upstream; one that shows what passes, when somebody looks."""
    if client.tap is None:
        return found.upstream.transport
    return client.tap.on(
        found.upstream.transport,
        adapters=adapter_ids(found.route.target),
        bos=found.facts.bos or "",
        plan=plan,
    )


def _typed(model: type[_Request], document: Mapping[str, Any], found: Found) -> _Request:
    """The request, with its model's defaults where the client left a parameter out or null."""
    configured = found.route.model
    if configured is not None and configured.defaults:
        given = {name: value for name, value in document.items() if value is not None}
        known = {k: v for k, v in configured.defaults.items() if k in model.model_fields}
        document = {**known, **given}
    request = read_request(model, document)
    if request.stream_options is not None and not request.stream:
        raise RequestRefused(
            "The 'stream_options' parameter is only allowed when 'stream' is true.",
            param="stream_options",
            code="invalid_value",
        )
    return request


def _named(header: str, names: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """A header that lists names; none when there are none."""
    return ((header, ", ".join(names)),) if names else ()
