"""Requests to LoRAX, and how each is ended when its client leaves.

A client that leaves ends its request at once, so that the GPU stops. There is one exception: while
an adapter's first load fails, a request that goes away kills LoRAX (router/src/loader.rs:293). So
until an adapter has produced a token, a request for it that loses its client is kept until its
first event (`on_cold_cancel`), bounded in number (`max_drains`) and time (`first_event_timeout`).
"""

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any, TypeVar

from lorax_proxy.answers import Answer, generate
from lorax_proxy.config import Settings
from lorax_proxy.core.choice_reader import ChoiceReader
from lorax_proxy.core.selection import Whole
from lorax_proxy.errors import Lost, UpstreamError
from lorax_proxy.prepared_request import PreparedRequest
from lorax_proxy.wire.lorax import GenerateRequest

__all__ = ["Cancellation", "never_begun"]

_Reader = TypeVar("_Reader", bound=ChoiceReader)


class Cancellation:
    """Sends requests to LoRAX, and ends them as their rule says."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._drains: set[asyncio.Task[None]] = set()

    async def aclose(self) -> None:
        """Let go of every request that nobody waits for any more."""
        for task in self._drains:
            task.cancel()
        await asyncio.gather(*self._drains, return_exceptions=True)

    def answered(self, prepared: PreparedRequest, reader: ChoiceReader) -> None:
        """Take note of a first event: its adapter is warm once it has produced a token."""
        if reader.tokens:
            prepared.upstream.has_answered(prepared.adapters)

    async def open(
        self, prepared: PreparedRequest, request: GenerateRequest, reader: _Reader
    ) -> Answer[_Reader]:
        """Send one request; if its client leaves meanwhile, it is let go as its rule says."""
        warm = prepared.upstream.is_warm(prepared.adapters)
        coming = Answer.open(
            prepared.transport,
            request,
            reader,
            silence=self._settings.idle_timeout,
            cold=not warm,
            epoch=prepared.epoch,
        )
        if warm:
            # cancelled wherever it is, it ends at once: no task has to outlive this one
            try:
                return await coming
            except UpstreamError as error:
                raise never_begun(error) from error
        opening = asyncio.create_task(coming)
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            if self._must_stay(prepared):
                self._background(self._drain_later(prepared, opening))
            else:
                opening.cancel()
                (answer,) = await asyncio.gather(opening, return_exceptions=True)
                if isinstance(answer, Answer):
                    await answer.close()
            raise
        except UpstreamError as error:
            raise never_begun(error) from error

    async def generate(self, prepared: PreparedRequest, request: GenerateRequest) -> Whole:
        """One `/generate` request; if its client leaves meanwhile, it is let go as its rule says.

        Cold adapters come here for their prompt's logprobs alone, which streams do not tell.
        """
        if prepared.upstream.is_warm(prepared.adapters):
            # as `open`
            try:
                return await self._generate(prepared, request)
            except UpstreamError as error:
                raise never_begun(error) from error
        asking = asyncio.create_task(self._generate(prepared, request))
        try:
            whole = await asyncio.shield(asking)
        except asyncio.CancelledError:
            if self._must_stay(prepared):
                self._background(self._outlast(prepared, asking))
            else:
                asking.cancel()
                await asyncio.gather(asking, return_exceptions=True)
            raise
        except UpstreamError as error:
            raise never_begun(error) from error
        prepared.upstream.has_answered(prepared.adapters)
        return whole

    def _generate(
        self, prepared: PreparedRequest, request: GenerateRequest
    ) -> Coroutine[Any, Any, Whole]:
        return generate(
            prepared.transport,
            request,
            prepared.plan.reading,
            silence=self._settings.first_event_timeout,
            epoch=prepared.epoch,
        )

    def _must_stay(self, prepared: PreparedRequest) -> bool:
        """Whether leaving now could kill LoRAX, and there is room for one more that stays."""
        return (
            not prepared.upstream.is_warm(prepared.adapters)
            and self._settings.on_cold_cancel == "drain"
            and len(self._drains) < self._settings.max_drains
        )

    async def _outlast(self, prepared: PreparedRequest, asking: "asyncio.Task[Whole]") -> None:
        """Wait for the end of a request that nobody waits for."""
        with contextlib.suppress(UpstreamError, TimeoutError):
            async with asyncio.timeout(self._settings.first_event_timeout):
                await asking
            prepared.upstream.has_answered(prepared.adapters)

    async def _drain_later(
        self, prepared: PreparedRequest, opening: "asyncio.Task[Answer[_Reader]]"
    ) -> None:
        try:
            answer = await opening
        except UpstreamError:
            return
        await self._drain(prepared, answer)

    async def let_go(self, prepared: PreparedRequest, answer: Answer[_Reader]) -> None:
        """End one request: at once, unless that could kill LoRAX."""
        if not answer.reader.begun and answer.reader.failure is None and self._must_stay(prepared):
            self._background(self._drain(prepared, answer))
        else:
            await answer.close()

    async def _drain(self, prepared: PreparedRequest, answer: Answer[_Reader]) -> None:
        """Wait for the first event of a request that nobody waits for, then end it."""
        try:
            async with asyncio.timeout(self._settings.first_event_timeout):
                await answer.pieces()
            self.answered(prepared, answer.reader)
        except (UpstreamError, TimeoutError):
            pass
        finally:
            await answer.close()

    def _background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._drains.add(task)
        task.add_done_callback(self._drains.discard)


def never_begun(error: UpstreamError) -> UpstreamError:
    """Silence before the first event is a failure of its own."""
    if error.failure is Lost.IDLE_TIMEOUT:
        return UpstreamError(Lost.FIRST_EVENT_TIMEOUT)
    return error
