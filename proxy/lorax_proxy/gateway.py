"""The endpoints that carry text: a request's bytes become something to deliver.

    bytes -> document -> parameter table -> route -> typed request -> plan -> delivery

Each step is a pure function of `core`; what this module adds is the clock and the identities, and
the waiting for an upstream that is not known yet.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol, TypeVar

from lorax_proxy.answers import gather
from lorax_proxy.aside import LARGE, aside
from lorax_proxy.asked import Asked, tell_failure
from lorax_proxy.catalogue import Directory, Found
from lorax_proxy.config import Settings
from lorax_proxy.core import failures
from lorax_proxy.core.chat import ChatStyle
from lorax_proxy.core.constraints import header_names, is_dear
from lorax_proxy.core.embeddings import embedding_bodies, embeddings_document
from lorax_proxy.core.failures import Lost
from lorax_proxy.core.merging import merge_of
from lorax_proxy.core.parameters import Endpoint, sort_parameters
from lorax_proxy.core.parsing import read_document, read_request
from lorax_proxy.core.plan import Plan, adapter_ids
from lorax_proxy.core.request import plan_chat
from lorax_proxy.core.routing import Base, Kind
from lorax_proxy.core.style import Style
from lorax_proxy.core.templates import TemplateFailed
from lorax_proxy.core.text_completion import CompletionStyle, plan_completion, prompt_count
from lorax_proxy.delivery import Delivery
from lorax_proxy.errors import RequestRefused, UpstreamError
from lorax_proxy.readiness import Upstream
from lorax_proxy.surface import Client, until_gone
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

    async def chat(self, client: Client) -> None:
        """`POST /v1/chat/completions`."""
        await self._serve(client, self._chat)

    async def completions(self, client: Client) -> None:
        """`POST /v1/completions`."""
        await self._serve(client, self._completions)

    async def embeddings(self, client: Client) -> None:
        """`POST /v1/embeddings`."""
        await self._serve(client, self._embeddings)

    async def aclose(self) -> None:
        """End what is still under way."""
        await self._delivery.aclose()

    async def _serve(self, client: Client, endpoint: _Answering) -> None:
        body = await client.body(self._settings.max_body_bytes)

        async def answered() -> None:
            try:
                async with asyncio.timeout(self._settings.total_timeout):
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
                await client.fail(
                    failures.answer(failure, model="", has_adapter=False, prompt_param="")
                )
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

    async def _chat(self, client: Client, body: bytes, *, anew: bool) -> None:
        document, ignored = await aside(len(body), self._document, body, Endpoint.CHAT)
        found = await self._find(document)
        request = await aside(len(body), _typed, ChatRequest, document, found)
        self._judge_count(request, 1, 1)
        found = await self._merged(request, found)
        now = self._now()
        template = self._directory.template(found.route, found.facts)
        if is_dear(request) and len(body) < LARGE:
            # lowering many tools takes up to a second; they do not queue up behind large bodies
            plan = await asyncio.to_thread(
                plan_chat, request, found.route, found.facts, template, now
            )
        else:
            plan = await aside(
                len(body), plan_chat, request, found.route, found.facts, template, now
            )
        # the keywords alone: what stands before them are the client's own names
        client.record.dropped = tuple(sorted({path.rpartition(".")[2] for path in plan.dropped}))
        answer_id = f"chatcmpl-{self._new_id()}"
        style = ChatStyle(
            answer_id,
            # a zero budget asks for nothing, so nothing is called
            tools=plan.reading.grammar is not None and bool(plan.requests),
            legacy=request.functions is not None,
            logprobs=plan.reading.logprobs is not None,
        )
        identity = Identity(
            answer_id, int(now.timestamp()), _model(request, found), found.facts.fingerprint
        )
        await self._delivery.deliver(
            client, self._asked(request, found, plan, identity, style, ignored, anew=anew)
        )

    async def _completions(self, client: Client, body: bytes, *, anew: bool) -> None:
        document, ignored = await aside(len(body), self._document, body, Endpoint.COMPLETIONS)
        found = await self._find(document)
        request = await aside(len(body), _typed, CompletionRequest, document, found)
        found = await self._merged(request, found)
        # before there are as many requests to send
        self._judge_count(request, prompt_count(request), request.best_of or 1)
        plan = await aside(len(body), plan_completion, request, found.route, found.facts)
        identity = Identity(
            f"cmpl-{self._new_id()}",
            int(self._now().timestamp()),
            _model(request, found),
            found.facts.fingerprint,
        )
        style = CompletionStyle(logprobs=plan.reading.logprobs is not None)
        await self._delivery.deliver(
            client, self._asked(request, found, plan, identity, style, ignored, anew=anew)
        )

    async def _embeddings(self, client: Client, body: bytes, *, anew: bool) -> None:
        document, ignored = await aside(len(body), self._document, body, Endpoint.EMBEDDINGS)
        request = await aside(len(body), read_request, EmbeddingRequest, document)
        found = await self._directory.find(
            request.model, Kind.EMBED, adapter_source=request.adapter_source
        )
        client.record.model = request.model
        client.record.upstream = found.upstream.name
        calls = await aside(len(body), embedding_bodies, request, found.route)
        limit = asyncio.Semaphore(_EMBED_AT_ONCE)
        epoch = None if anew else found.epoch

        async def embed(text: str, call: bytes) -> tuple[Sequence[float], int]:
            async with limit:
                vector = await self._embed(found.upstream, call, epoch)
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
                    model=request.model,
                    has_adapter=not isinstance(found.route.target, Base),
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

    async def _embed(self, upstream: Upstream, call: bytes, epoch: int | None) -> Sequence[float]:
        body = await upstream.fetch(
            "POST", "/embed", call, silence=self._settings.first_event_timeout, epoch=epoch
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

    async def _find(self, document: Mapping[str, Any]) -> Found:
        """What the request's `model` means; needed before its type, for the model's defaults."""
        # with a merge it is the merged adapters' source, and the model is the base
        merges = document.get("merged_adapters") is not None
        source = None if merges else document.get("adapter_source")
        return await self._directory.find(
            _name(document), adapter_source=source if isinstance(source, str) else None
        )

    async def _merged(self, request: SamplingRequest, found: Found) -> Found:
        """The same with the client's `merged_adapters`, if there are any."""
        if request.merged_adapters is None:
            return found
        return await self._directory.find(
            request.model, merge=merge_of(request.merged_adapters, request.adapter_source)
        )

    def _judge_count(self, request: SamplingRequest, prompts: int, best_of: int) -> None:
        """Refuse what would become more LoRAX requests than are allowed."""
        choices = request.n or 1
        wanted = prompts * max(choices, best_of)
        if wanted > self._settings.max_choices:
            many = "best_of" if best_of > choices else "n" if choices > 1 else "prompt"
            raise RequestRefused(
                f"Invalid '{many}': this request would become {wanted} LoRAX requests, and this "
                f"server allows {self._settings.max_choices} ('max_choices').",
                param=many,
                code="above_max_value",
            )

    def _asked(
        self,
        request: SamplingRequest,
        found: Found,
        plan: Plan,
        identity: Identity,
        style: Style,
        ignored: tuple[str, ...],
        *,
        anew: bool,
    ) -> Asked:
        return Asked(
            plan=plan,
            upstream=found.upstream,
            epoch=None if anew else found.epoch,
            adapters=adapter_ids(found.route.target),
            bos=found.facts.bos,
            identity=identity,
            style=style,
            stream=bool(request.stream),
            usage_asked=bool(request.stream_options and request.stream_options.include_usage),
            headers=(
                *_named("x-ignored-parameters", ignored),
                *_named("x-unenforced-keywords", header_names(plan.dropped)),
            ),
        )


def _model(request: SamplingRequest | EmbeddingRequest, found: Found) -> str:
    """The answer's `model`: the client's name for it, or the base model's own where it gave none."""
    return request.model or found.facts.model_id


def _name(document: Mapping[str, Any]) -> str:
    name = document.get("model")
    if name is None:
        raise RequestRefused(
            "Missing required parameter: 'model'.",
            param="model",
            code="missing_required_parameter",
        )
    if not isinstance(name, str):
        raise RequestRefused(
            "Invalid type for 'model': expected a string.", param="model", code="invalid_type"
        )
    return name


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
