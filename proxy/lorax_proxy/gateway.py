"""One request's way through: parse, route, render, plan, ask LoRAX, answer.

Everything that decides is in `core`; this module carries out. Its own subject is what only a shell
can know: which adapters have answered before, when a client leaves, and how long to wait.

- *Status*: LoRAX says 200 before it has looked at a stream's request (router/src/server.rs:930), so
  ours waits for its first event, up to `status_wait`. After that a comment keeps the connection
  alive, and failures travel in band.
- *Cold adapters*: a client that leaves while an adapter's first load fails kills LoRAX
  (router/src/loader.rs:293). So an adapter that has not produced a token yet is asked through
  `/generate_stream`, whose headers come at once, and when its client leaves, the request is kept
  until its first event (`on_cold_cancel`), bounded in number and time.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lorax_proxy.answers import Alone, Answer, Interleaved, gather, generate, pieces_of
from lorax_proxy.catalogue import Directory
from lorax_proxy.config import Settings
from lorax_proxy.core import failures
from lorax_proxy.core.chat import ChatStyle, chunk, folded_choice, opening
from lorax_proxy.core.failures import Lost
from lorax_proxy.core.parameters import Endpoint, sort_parameters
from lorax_proxy.core.parsing import read_document, read_request
from lorax_proxy.core.request import Facts, Plan, adapter_ids, plan_chat
from lorax_proxy.core.routing import Base, Merge, Route
from lorax_proxy.core.stream import Finished, Piece
from lorax_proxy.errors import RequestRefused, UpstreamError
from lorax_proxy.heartbeat import Heartbeat
from lorax_proxy.readiness import Upstream
from lorax_proxy.surface import Client, until_gone
from lorax_proxy.wire.lorax import GenerateRequest
from lorax_proxy.wire.openai_replies import ChunkWriter, Identity, Usage, completion
from lorax_proxy.wire.openai_requests import ChatRequest, MergedAdaptersRequest
from lorax_proxy.wire.sse import DONE

__all__ = ["Gateway"]

_STREAM_HEADERS = (
    ("content-type", "text/event-stream; charset=utf-8"),
    ("cache-control", "no-cache"),
    # nginx buffers a stream unless it is told not to
    ("x-accel-buffering", "no"),
)

_TIMING = frozenset(
    {
        "x-compute-characters",
        "x-compute-time",
        "x-compute-type",
        "x-generated-tokens",
        "x-inference-time",
        "x-prompt-tokens",
        "x-queue-time",
        "x-skipped-tokens",
        "x-time-per-output-token",
        "x-time-per-token",
        "x-time-to-first-token",
        "x-total-time",
        "x-total-tokens",
        "x-validation-time",
    }
)
"""LoRAX's measurements (router/src/server.rs:773-843), passed on. Its `x-model-id` and
`x-adapter-*` are not: they tell what a public name hides."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """One request, understood: everything that is needed to carry it out and to answer."""

    plan: Plan
    upstream: Upstream
    adapters: tuple[str, ...]
    identity: Identity
    style: ChatStyle
    stream: bool
    usage_asked: bool
    headers: tuple[tuple[str, str], ...]


class Gateway:
    """The endpoints that carry text."""

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
        self._drains: set[asyncio.Task[None]] = set()

    async def chat(self, client: Client) -> None:
        """`POST /v1/chat/completions`."""
        body = await client.body(self._settings.max_body_bytes)
        await until_gone(client, lambda: self._chat(client, body))

    async def aclose(self) -> None:
        """Let go of every request that nobody waits for any more."""
        for task in self._drains:
            task.cancel()
        await asyncio.gather(*self._drains, return_exceptions=True)

    async def _chat(self, client: Client, body: bytes) -> None:
        settings = self._settings
        parameters = sort_parameters(
            read_document(body), Endpoint.CHAT, ignore_unsupported=settings.unsupported == "ignore"
        )
        document = parameters.document
        route, upstream, facts = await self._directory.find(
            read_name(document),
            adapter_source=_text(document.get("adapter_source")),
        )
        defaults = route.model.defaults if route.model else {}
        request = read_request(ChatRequest, with_defaults(document, defaults))
        if request.merged_adapters is not None:
            route, upstream, facts = await self._directory.find(
                request.model,
                adapter_source=request.adapter_source,
                merge=_merge(request.merged_adapters, request.adapter_source),
            )
        now = self._now()
        template = self._directory.template(route, facts)
        plan = plan_chat(request, route, facts, template, now)
        if plan.choices > settings.max_choices:
            raise RequestRefused(
                f"Invalid 'n': this server answers with at most {settings.max_choices} choices.",
                param="n",
                code="above_max_value",
            )
        answer_id = f"chatcmpl-{self._new_id()}"
        asked = _Asked(
            plan=plan,
            upstream=upstream,
            adapters=adapter_ids(route.target),
            identity=Identity(answer_id, int(now.timestamp()), request.model, facts.fingerprint),
            style=ChatStyle(answer_id, logprobs=plan.reading.logprobs is not None),
            stream=bool(request.stream),
            usage_asked=bool(request.stream_options and request.stream_options.include_usage),
            headers=_ignored(parameters.ignored),
        )
        client.record.model = request.model
        client.record.upstream = upstream.name
        client.record.stream = asked.stream
        try:
            async with asyncio.timeout(settings.total_timeout):
                await (self._stream(client, asked) if asked.stream else self._whole(client, asked))
        except TimeoutError:
            await self._failed(client, asked, route, Lost.TOTAL_TIMEOUT)
        except UpstreamError as error:
            await self._failed(client, asked, route, error.failure)

    async def _failed(
        self, client: Client, asked: _Asked, route: Route, failure: failures.Failure
    ) -> None:
        if failure in (Lost.UNREACHABLE, Lost.CONNECT_TIMEOUT, Lost.CUT):
            asked.upstream.lost()
        await client.fail(
            failures.answer(
                failure,
                model=asked.identity.model,
                has_adapter=not isinstance(route.target, Base),
                prompt_param="messages",
            )
        )

    async def _whole(self, client: Client, asked: _Asked) -> None:
        """Answer with one JSON document."""
        plan = asked.plan
        if plan.requests:
            answers = await gather([self._one(asked, request) for request in plan.requests])
        else:
            # a zero budget asks for nothing, and LoRAX refuses it (router/src/validation.rs)
            answers = [([Finished("length", 0, None)], ()) for _ in range(plan.choices)]
        choices = [
            folded_choice(index, pieces, asked.style) for index, (pieces, _) in enumerate(answers)
        ]
        usage = await self._usage(asked, [pieces[-1] for pieces, _ in answers])
        self._recorded(client, usage, choices[0]["finish_reason"])
        await client.reply(
            completion(asked.identity, "chat.completion", choices, usage),
            headers=(*asked.headers, *_timing(answers[0][1])),
        )

    async def _one(
        self, asked: _Asked, request: GenerateRequest
    ) -> tuple[list[Piece], Sequence[tuple[str, str]]]:
        """One choice, whole."""
        if not asked.plan.token_stream and self._is_warm(asked):
            try:
                generation, headers = await generate(
                    asked.upstream.transport, request, silence=self._settings.first_event_timeout
                )
            except UpstreamError as error:
                raise _never_begun(error) from error
            return pieces_of(generation, asked.plan.reading), headers
        answer = await self._open(asked, request)
        try:
            pieces = await self._first_pieces(asked, answer)
            while not answer.finished:
                pieces += await answer.pieces()
            return pieces, answer.exchange.headers
        finally:
            await self._let_go(asked, answer)

    async def _stream(self, client: Client, asked: _Asked) -> None:
        """Answer with a stream of chunks."""
        plan = asked.plan
        writer = ChunkWriter(asked.identity, "chat.completion.chunk", usage_asked=asked.usage_asked)
        openings = b"".join(opening(writer, index) for index in range(plan.choices))
        ends: dict[int, Piece] = {}

        async def begin(headers: Sequence[tuple[str, str]], more: bytes = b"") -> None:
            await client.start(200, (*_STREAM_HEADERS, *asked.headers, *_timing(headers)))
            await client.write(openings + more)

        if not plan.requests:
            for index in range(plan.choices):
                ends[index] = Finished("length", 0, None)
            text = b"".join(chunk(writer, i, piece, asked.style) for i, piece in ends.items())
            await begin((), text)
            await self._end_stream(client, asked, writer, ends)
            return
        answers: list[Answer] = []
        try:
            answers += await gather([self._open(asked, request) for request in plan.requests])
            headers = answers[0].exchange.headers
            async with Heartbeat(
                client,
                begin=lambda: begin(headers),
                first=self._settings.status_wait,
                interval=self._settings.keepalive_interval,
            ) as heart:
                source = Alone(answers[0]) if len(answers) == 1 else Interleaved(answers)
                try:
                    batch = await self._first_batch(asked, answers, source)
                    while batch is not None:
                        out = [chunk(writer, i, piece, asked.style) for i, piece in batch]
                        ends.update((i, p) for i, p in batch if isinstance(p, Finished))
                        if not client.started:
                            client.record.first_token = client.elapsed()
                            await begin(headers, b"".join(out))
                        elif out:
                            await heart.write(b"".join(out))
                        batch = await source.pieces()
                finally:
                    await source.close()
        finally:
            await gather([self._let_go(asked, answer) for answer in answers] or [_nothing()])
        await self._end_stream(client, asked, writer, ends)

    async def _end_stream(
        self, client: Client, asked: _Asked, writer: ChunkWriter, ends: Mapping[int, Piece]
    ) -> None:
        last = b""
        if asked.usage_asked:
            usage = await self._usage(asked, list(ends.values()))
            self._recorded(client, usage, None)
            last = writer.usage(usage)
        reason = ends[0]
        if isinstance(reason, Finished):
            client.record.finish_reason = asked.style.finish_reason(reason)
            client.record.completion_tokens = sum(
                end.completion_tokens for end in ends.values() if isinstance(end, Finished)
            )
        await client.end(last + DONE)

    async def _first_batch(
        self, asked: _Asked, answers: Sequence[Answer], source: Alone | Interleaved
    ) -> list[tuple[int, Piece]] | None:
        """The first pieces, within `first_event_timeout`."""
        try:
            async with asyncio.timeout(self._settings.first_event_timeout):
                batch = await source.pieces()
        except TimeoutError:
            raise UpstreamError(Lost.FIRST_EVENT_TIMEOUT) from None
        except UpstreamError as error:
            raise (error if any(a.begun for a in answers) else _never_begun(error)) from error
        self._answered(asked, answers)
        return batch

    async def _first_pieces(self, asked: _Asked, answer: Answer) -> list[Piece]:
        batch = await self._first_batch(asked, [answer], Alone(answer))
        return [piece for _, piece in batch or ()]

    def _answered(self, asked: _Asked, answers: Sequence[Answer]) -> None:
        if asked.adapters and any(answer.tokens for answer in answers):
            asked.upstream.warm.add(asked.adapters)

    def _is_warm(self, asked: _Asked) -> bool:
        return not asked.adapters or asked.adapters in asked.upstream.warm

    async def _open(self, asked: _Asked, request: GenerateRequest) -> Answer:
        """Send one request; if its client leaves meanwhile, it is let go as its rule says."""
        opening_ = asyncio.create_task(
            Answer.open(
                asked.upstream.transport,
                request,
                asked.plan.reading,
                silence=self._settings.idle_timeout,
            )
        )
        try:
            return await asyncio.shield(opening_)
        except asyncio.CancelledError:
            self._background(self._let_go_later(asked, opening_))
            raise

    async def _let_go_later(self, asked: _Asked, opening_: "asyncio.Task[Answer]") -> None:
        try:
            answer = await opening_
        except UpstreamError:
            return
        await self._let_go(asked, answer)

    async def _let_go(self, asked: _Asked, answer: Answer) -> None:
        """End one request: at once, unless that could kill LoRAX."""
        cold = not answer.begun and not self._is_warm(asked)
        if cold and self._settings.on_cold_cancel == "drain":
            if len(self._drains) < self._settings.max_drains:
                self._background(self._drain(asked, answer))
                return
        await answer.exchange.close()

    async def _drain(self, asked: _Asked, answer: Answer) -> None:
        """Wait for the first event of a request that nobody waits for, then end it."""
        try:
            async with asyncio.timeout(self._settings.first_event_timeout):
                await answer.pieces()
            self._answered(asked, [answer])
        except (UpstreamError, TimeoutError):
            pass
        finally:
            await answer.exchange.close()

    def _background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._drains.add(task)
        task.add_done_callback(self._drains.discard)

    async def _usage(self, asked: _Asked, ends: Sequence[Piece]) -> Usage:
        """The counts of an answer: the prompt once, the tokens of every choice."""
        finished = [end for end in ends if isinstance(end, Finished)]
        prompt = next((end.prompt_tokens for end in finished if end.prompt_tokens), None)
        if prompt is None:
            # we stopped LoRAX before it said, or it does not count (causal_lm.py:689)
            prompt = await asked.upstream.count_tokens(asked.plan.prompt)
            if asked.plan.truncate is not None:
                prompt = min(prompt, asked.plan.truncate)
        return Usage(prompt, sum(end.completion_tokens for end in finished))

    @staticmethod
    def _recorded(client: Client, usage: Usage, finish_reason: str | None) -> None:
        client.record.prompt_tokens = usage.prompt_tokens
        client.record.completion_tokens = usage.completion_tokens
        client.record.finish_reason = finish_reason


def read_name(document: Mapping[str, Any]) -> str:
    """The `model` of a request.

    Raises:
        RequestRefused: When it is missing or no string.
    """
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


def with_defaults(document: Mapping[str, Any], defaults: Mapping[str, Any]) -> Mapping[str, Any]:
    """The request with its model's defaults where the client left a parameter out or null."""
    if not defaults:
        return document
    given = {name: value for name, value in document.items() if value is not None}
    return {**defaults, **given}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _merge(merge: MergedAdaptersRequest, source: str | None) -> Merge:
    weights = merge.weights if merge.weights is not None else [1.0] * len(merge.ids)
    if len(weights) != len(merge.ids):
        raise RequestRefused(
            f"Invalid 'merged_adapters.weights': {len(merge.ids)} ids need as many weights.",
            param="merged_adapters.weights",
            code="invalid_value",
        )
    if merge.merge_strategy not in (None, "linear") and not merge.density:
        raise RequestRefused(
            f"Invalid 'merged_adapters.density': strategy '{merge.merge_strategy}' needs one "
            "above 0; LoRAX's default of 0 prunes every weight.",
            param="merged_adapters.density",
            code="invalid_value",
        )
    return Merge(
        ids=tuple(merge.ids),
        weights=tuple(weights),
        strategy=merge.merge_strategy,
        density=merge.density,
        majority_sign_method=merge.majority_sign_method,
        source=source,
    )


def _never_begun(error: UpstreamError) -> UpstreamError:
    """Silence before the first event is a failure of its own."""
    if error.failure is Lost.IDLE_TIMEOUT:
        return UpstreamError(Lost.FIRST_EVENT_TIMEOUT)
    return error


def _ignored(names: Sequence[str]) -> tuple[tuple[str, str], ...]:
    return (("x-ignored-parameters", ", ".join(names)),) if names else ()


def _timing(headers: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in headers if name in _TIMING)


async def _nothing() -> None:
    return None
