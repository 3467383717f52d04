"""A plan carried out: ask LoRAX, and answer whole or as a stream.

Everything that decides is in `core`; how a request ends whose client leaves is in `cancellation`.

- *Status*: LoRAX says 200 before it has looked at a stream's request (router/src/server.rs:930), so
  ours waits for its first event, up to `status_wait`. After that a comment keeps the connection
  alive, and failures travel in band.
- *Cold adapters*: an adapter that has not produced a token yet is asked through
  `/generate_stream`, so that a request whose client has left need be kept to its first event alone.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from lorax_proxy.answers import Answer, gather
from lorax_proxy.aside import aside
from lorax_proxy.cancellation import Cancellation, never_begun
from lorax_proxy.client import Client
from lorax_proxy.config import Settings
from lorax_proxy.core.choice_reader import ChoiceChunks, ChoiceReader
from lorax_proxy.core.selection import Whole, count_generated, count_prompts, select, unasked
from lorax_proxy.core.short_prompts import may_be_few_tokens
from lorax_proxy.core.stream import Finished, Piece, Text
from lorax_proxy.errors import Lost, UpstreamError
from lorax_proxy.keep_alive import KeepAlive
from lorax_proxy.prepared_request import Headers, PreparedRequest
from lorax_proxy.wire.lorax import GenerateRequest
from lorax_proxy.wire.openai_replies import ChunkWriter, Usage, completion
from lorax_proxy.wire.sse import DONE

__all__ = ["Delivery"]

_STREAM_HEADERS = (
    ("content-type", "text/event-stream; charset=utf-8"),
    ("cache-control", "no-cache"),
    # nginx buffers a stream unless it is told not to
    ("x-accel-buffering", "no"),
)

_PLAIN = 8
_SCORED = 128
"""Bytes that a piece of an answer counts for, as work: one with 20 alternatives is expensive."""

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


class Delivery:
    """Carries plans out."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._cancellation = Cancellation(settings)

    async def deliver(self, client: Client, prepared: PreparedRequest) -> None:
        """Ask LoRAX and answer the client, whatever happens but its leaving.

        Raises:
            UpstreamError: `RENEWED`, before anything is sent to anybody: the plan was made for a
                server that may have been exchanged.
        """
        client.record.model = prepared.identity.model
        client.record.upstream = prepared.upstream.name
        client.record.stream = prepared.stream
        try:
            await (
                self._stream(client, prepared) if prepared.stream else self._whole(client, prepared)
            )
        except UpstreamError as error:
            if error.failure is Lost.RENEWED and not client.started:
                raise  # nothing was sent yet, and it may need another prompt
            await client.fail(prepared.failed(error.failure))

    async def aclose(self) -> None:
        """Let go of every request that nobody waits for any more."""
        await self._cancellation.aclose()

    async def _whole(self, client: Client, prepared: PreparedRequest) -> None:
        """Answer with one JSON document."""
        every = await self._every(prepared)
        returned = select(prepared.plan, every, prepared.bos)
        usage = await self._usage(prepared, [answer.end for answer in every])
        _record(client, prepared, [answer.end for answer in returned], usage)

        def folded() -> bytes:
            choices = [prepared.style.folded(i, answer.pieces) for i, answer in enumerate(returned)]
            return completion(prepared.identity, prepared.style.whole_object, choices, usage)

        weight = _PLAIN if prepared.plan.reading.logprobs is None else _SCORED
        size = weight * sum(len(answer.pieces) for answer in returned)
        await client.reply(
            await aside(size, folded), headers=(*prepared.headers, *_timing(returned[0].headers))
        )

    async def _every(self, prepared: PreparedRequest) -> list[Whole]:
        """Every whole answer, prompt by prompt."""
        plan = prepared.plan
        if not plan.requests:
            return unasked(plan)
        return await gather([self._one(prepared, request) for request in plan.requests])

    async def _one(self, prepared: PreparedRequest, request: GenerateRequest) -> Whole:
        """One LoRAX request and its whole answer."""
        plan = prepared.plan
        warm = prepared.upstream.is_warm(prepared.adapters)
        if plan.score or (warm and not plan.token_stream):
            return await self._cancellation.generate(prepared, request)
        reader = ChoiceReader(plan.reading, watched=_is_watched(prepared, request), whole=True)
        answer = await self._cancellation.open(prepared, request, reader)
        try:
            pieces = await self._first(prepared, answer)
            while not reader.finished:
                pieces += await answer.pieces()
            return Whole(
                pieces, answer.response.headers, mean_logprob=reader.logprob / reader.tokens
            )
        finally:
            await self._cancellation.let_go(prepared, answer)

    async def _first(self, prepared: PreparedRequest, answer: Answer[ChoiceReader]) -> list[Piece]:
        """The first pieces, within `first_event_timeout`."""
        try:
            async with asyncio.timeout(self._settings.first_event_timeout):
                pieces = await answer.pieces()
        except TimeoutError:
            raise UpstreamError(Lost.FIRST_EVENT_TIMEOUT) from None
        except UpstreamError as error:
            if answer.reader.begun:
                raise
            raise never_begun(error) from error
        self._cancellation.answered(prepared, answer.reader)
        return pieces

    async def _stream(self, client: Client, prepared: PreparedRequest) -> None:
        """Answer with a stream of chunks."""
        plan = prepared.plan
        style = prepared.style
        writer = ChunkWriter(
            prepared.identity, style.chunk_object, usage_asked=prepared.usage_asked
        )
        if plan.score or not plan.requests:
            await self._stream_whole(client, prepared, writer)
            return
        count = len(plan.requests)
        openings = b"".join(style.opening(writer, index) for index in range(count))
        if count > 1 and not openings and not plan.echo:
            # whichever answers first: a client sees choice 0 before choice 1
            openings = b"".join(style.chunk(writer, index, Text("")) for index in range(count))
        if plan.echo:
            echoes = enumerate(p for p in plan.prompts for _ in range(plan.choices))
            openings += b"".join(style.chunk(writer, i, Text(prompt)) for i, prompt in echoes)
        readers = [
            ChoiceChunks(plan.reading, style, writer, index, watched=_is_watched(prepared, request))
            for index, request in enumerate(plan.requests)
        ]
        opened: list[Answer[ChoiceChunks]] = []

        async def open_one(index: int) -> None:
            # kept, so that it is let go even if another one fails meanwhile
            answer = await self._cancellation.open(prepared, plan.requests[index], readers[index])
            opened.append(answer)

        async def begin(more: bytes = b"") -> None:
            timing = _timing(opened[0].response.headers)
            await client.start(200, (*_STREAM_HEADERS, *prepared.headers, *timing))
            client.write(openings + more)

        try:
            await gather([open_one(index) for index in range(count)])
            with KeepAlive(
                client,
                begin=begin,
                first=self._settings.status_wait,
                interval=self._settings.keepalive_interval,
            ) as keep_alive:
                await self._pass_on(client, prepared, opened, begin, keep_alive)
        finally:
            await self._let_go(prepared, opened)
        ends = [reader.end for reader in readers if reader.end is not None]
        await self._end_stream(client, prepared, writer, ends)

    async def _let_go(
        self, prepared: PreparedRequest, answers: Sequence[Answer[ChoiceChunks]]
    ) -> None:
        """Let each answer go, whatever happens while another one is."""
        if answers:
            try:
                await self._cancellation.let_go(prepared, answers[-1])
            finally:
                await self._let_go(prepared, answers[:-1])

    async def _pass_on(
        self,
        client: Client,
        prepared: PreparedRequest,
        answers: Sequence[Answer[ChoiceChunks]],
        begin: Callable[[bytes], Awaitable[None]],
        keep_alive: KeepAlive,
    ) -> None:
        """Write what answers bring, as it arrives, until all choices are complete."""
        record = client.record

        async def pass_one(answer: Answer[ChoiceChunks]) -> None:
            reader = answer.reader
            out = await answer.begin(reader.chunks)
            if record.first_token is None:
                record.first_token = client.elapsed()
                patience.reschedule(None)
            self._cancellation.answered(prepared, reader)
            if not client.started:
                await begin(out)
            elif out:
                keep_alive.write(out)

            def take(data: bytes) -> bool:
                out = reader.chunks(data)
                if out:
                    keep_alive.write(out)
                return not (reader.finished or reader.failure or client.is_slow)

            while not reader.finished:
                if reader.failure is not None:
                    raise reader.failure
                if client.is_slow:
                    await client.drain()
                await answer.response.pour(take)

        try:
            async with asyncio.timeout(self._settings.first_event_timeout) as patience:
                await gather([pass_one(answer) for answer in answers])
        except TimeoutError:
            raise UpstreamError(Lost.FIRST_EVENT_TIMEOUT) from None
        except UpstreamError as error:
            if any(answer.reader.begun for answer in answers):
                raise
            raise never_begun(error) from error

    async def _stream_whole(
        self, client: Client, prepared: PreparedRequest, writer: ChunkWriter
    ) -> None:
        """Answer with a stream of what is only known as a whole."""
        plan, style = prepared.plan, prepared.style

        async def begin(timing: Headers = ()) -> None:
            await client.start(200, (*_STREAM_HEADERS, *prepared.headers, *timing))

        with KeepAlive(
            client,
            begin=begin,
            first=self._settings.status_wait,
            interval=self._settings.keepalive_interval,
        ) as keep_alive:
            every = await self._every(prepared)
            returned = select(plan, every, prepared.bos)
            out = b"".join(style.opening(writer, index) for index in range(len(returned)))
            for index, answer in enumerate(returned):
                out += b"".join([style.chunk(writer, index, piece) for piece in answer.pieces])
            if not client.started:
                await begin(_timing(returned[0].headers))
            keep_alive.write(out)
        await self._end_stream(client, prepared, writer, [answer.end for answer in every])

    async def _end_stream(
        self,
        client: Client,
        prepared: PreparedRequest,
        writer: ChunkWriter,
        ends: Sequence[Finished],
    ) -> None:
        usage = await self._usage(prepared, ends) if prepared.usage_asked else None
        _record(client, prepared, ends, usage)
        client.end((writer.usage(usage) if usage else b"") + DONE)

    async def _usage(self, prepared: PreparedRequest, ends: Sequence[Finished]) -> Usage:
        """The counts of an answer: each prompt once, the tokens of every try."""
        plan = prepared.plan
        counts = [
            await self._count(prepared, prompt) if told is None else told
            for prompt, told in zip(plan.prompts, count_prompts(plan, ends), strict=True)
        ]
        return Usage(sum(counts), count_generated(plan, ends))

    async def _count(self, prepared: PreparedRequest, prompt: str) -> int:
        count = await prepared.upstream.count_tokens(prompt)
        kept = prepared.plan.truncate
        return count if kept is None else min(count, kept)


def _is_watched(prepared: PreparedRequest, request: GenerateRequest) -> bool:
    """Whether a request's prompt may be one after which LoRAX loses text.

    Under a tool grammar prompts are long, and texts begin with a bracket or a quote.
    """
    return prepared.plan.reading.grammar is None and may_be_few_tokens(request)


def _record(
    client: Client, prepared: PreparedRequest, ends: Sequence[Finished], usage: Usage | None
) -> None:
    record = client.record
    record.finish_reason = prepared.style.finish_reason(ends[0])
    record.completion_tokens = sum(end.completion_tokens for end in ends)
    if client.tap is not None:
        told = count_prompts(prepared.plan, ends)
        client.tap.recording.prompt_tokens = sum(filter(None, told)) if all(told) else None
    if usage is not None:
        record.prompt_tokens = usage.prompt_tokens
        record.completion_tokens = usage.completion_tokens


def _timing(headers: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Those of an upstream's headers that pass, if their values could be LoRAX's."""
    return tuple(
        (name, value)
        for name, value in headers
        if name in _TIMING and value.isascii() and value.isprintable()
    )
