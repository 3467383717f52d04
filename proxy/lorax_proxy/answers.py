"""LoRAX's answers under way: open requests, read their pieces, and end them in every case.

`Answer` is one LoRAX request whose tokens are read as they come; `gather` and `interleave` are
what several choices need. One failure fails them all: the rest is cancelled.
"""

import asyncio
import contextlib
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from lorax_proxy.aside import aside
from lorax_proxy.core.failures import Lost, Refused, retry_after
from lorax_proxy.core.selection import Whole
from lorax_proxy.core.short_prompts import WatchedChoice, may_be_few_tokens, mended
from lorax_proxy.core.stream import Choice, Piece, Reading
from lorax_proxy.errors import UpstreamError
from lorax_proxy.upstream.transport import Exchange, Transport, read_all
from lorax_proxy.wire.lorax import (
    GenerateRequest,
    StreamDetails,
    Unreadable,
    decode_error,
    decode_event,
    decode_generation,
    decode_scored_event,
    decode_scored_generation,
    encode,
)
from lorax_proxy.wire.sse import EventTooLarge, SseDecoder

__all__ = ["Alone", "Answer", "Interleaved", "gather", "generate", "refused"]

_T = TypeVar("_T")

_CHEAPER = 8
"""How much cheaper a byte of an answer is to read than one of a request."""

_END_WAIT = 0.1
"""Seconds for the last bytes of a body whose final event is here: they come with it, or next."""

_AHEAD = 4
"""Batches of pieces that one choice may be ahead of the others: bounds what a slow client holds."""


class Answer:
    """One `/generate_stream` request whose events become the pieces of one choice.

    Attributes:
        exchange: The request under way.
        begun: Whether an event has arrived: LoRAX is past loading the adapter.
    """

    def __init__(
        self, exchange: Exchange, reading: Reading, watched: WatchedChoice | None = None
    ) -> None:
        self.exchange = exchange
        self.begun = False
        self._watched = watched
        self._choice: Choice | WatchedChoice = watched or Choice(reading)
        # tokens' numbers are worth their time only where alternatives are told
        self._decode = decode_scored_event if reading.logprobs else decode_event
        self._decoder = SseDecoder()
        self._failure: UpstreamError | None = None
        self._reading: asyncio.Future[bytes] | None = None

    @classmethod
    async def open(
        cls,
        transport: Transport,
        request: GenerateRequest,
        reading: Reading,
        *,
        silence: float,
        whole: bool = False,
        epoch: int | None = None,
    ) -> "Answer":
        """Send the request; LoRAX's status and headers come at once, before any work.

        Args:
            transport: Where to send it.
            request: What to ask.
            reading: How the answer is read.
            silence: Seconds without a byte after which it is given up.
            whole: Whether nobody sees a piece before the last one is here.
            epoch: The epoch that it was made for (`upstream.transport`).

        Raises:
            UpstreamError: When it is refused or cannot be sent.
        """
        exchange = await transport.send(
            "POST", "/generate_stream", encode(request), silence=silence, epoch=epoch
        )
        if exchange.status != 200:
            raise await _refused(exchange)
        # under a tool grammar prompts are long, and texts begin with a bracket or a quote
        if reading.grammar is None and may_be_few_tokens(request):
            return cls(exchange, reading, WatchedChoice(reading, whole=whole))
        return cls(exchange, reading)

    @property
    def finished(self) -> bool:
        """Whether the choice is complete."""
        return self._choice.finished

    @property
    def failed(self) -> bool:
        """Whether LoRAX failed, or the answer broke off."""
        return self._failure is not None

    @property
    def tokens(self) -> int:
        """How many tokens have arrived."""
        return self._choice.tokens

    @property
    def logprob(self) -> float:
        """The sum of their log probabilities."""
        return self._choice.logprob

    async def pieces(self) -> list[Piece]:
        """What the next events bring: nothing, while text is held back.

        Everything that arrived in one read is returned at once, so that it can leave in one write.

        Raises:
            UpstreamError: When LoRAX failed or the answer broke off; pieces that came with the
                failure are returned first.
        """
        if self._failure is not None:
            raise self._failure
        pieces: list[Piece] = []
        try:
            while True:
                data = await self._read()
                if not data:
                    self._decoder.finish()
                    return self._choice.finish()
                events = self._decoder.feed(data)
                for event in events:
                    self.begun = True
                    pieces += self._choice.feed(self._decode(event))
                    if self._choice.finished:
                        break
                if events:
                    if self._watched is not None and self._watched.plain is not None:
                        # nothing is in doubt any more, and nothing more need be paid for it
                        self._choice, self._watched = self._watched.plain, None
                    return pieces
        except (Unreadable, EventTooLarge) as error:
            self._fail(UpstreamError(Lost.UNREADABLE), error, pieces)
        except UpstreamError as error:
            self._fail(error, None, pieces)
        return pieces

    async def _read(self) -> bytes:
        """The next bytes. Until LoRAX has begun, a caller that is cancelled leaves the read alone.

        A cancelled read breaks the connection, and breaking it while an adapter's first load fails
        kills LoRAX (router/src/loader.rs:293): whoever waits next goes on with the same read.
        """
        if self.begun:
            return await self.exchange.read()
        if self._reading is None:
            self._reading = asyncio.ensure_future(self.exchange.read())
        try:
            return await asyncio.shield(self._reading)
        finally:
            if self._reading.done():
                self._reading = None

    async def close(self) -> None:
        """End the request, if it has not ended; keep its connection, if it has."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        if self._choice.ended:
            # LoRAX is done: only the mark of the body's end can be missing, without which the
            # connection would be given up
            with contextlib.suppress(UpstreamError, TimeoutError):
                async with asyncio.timeout(_END_WAIT):
                    await self.exchange.read()
        await self.exchange.close()

    def _fail(self, error: UpstreamError, cause: Exception | None, pieces: Sequence[Piece]) -> None:
        """Raise now, or after the pieces that came before the failure are out."""
        self._failure = error
        if not pieces:
            raise error from cause


async def generate(
    transport: Transport,
    request: GenerateRequest,
    reading: Reading,
    *,
    silence: float,
    epoch: int | None = None,
) -> Whole:
    """One `/generate` request and its whole answer.

    Raises:
        UpstreamError: When it is refused, cannot be sent, breaks off or is no answer.
    """
    exchange = await transport.send(
        "POST", "/generate", encode(request), silence=silence, epoch=epoch
    )
    try:
        if exchange.status != 200:
            raise await _refused(exchange)
        body = await read_all(exchange)
    finally:
        await exchange.close()
    try:
        return await aside(len(body) // _CHEAPER, _whole, body, reading, exchange.headers)
    except Unreadable as error:
        raise UpstreamError(Lost.UNREADABLE) from error


def _whole(body: bytes, reading: Reading, headers: Sequence[tuple[str, str]]) -> Whole:
    """What a whole answer says.

    Raises:
        Unreadable: When it is none.
    """
    decode = decode_scored_generation if reading.logprobs else decode_generation
    generation = decode(body)
    # `generated_text` is read after short prompts only: it is empty when generation ended inside a
    # character, and keeps stop strings (server/lorax_server/models/model.py:195)
    details = generation.details
    end = StreamDetails(details.finish_reason, details.generated_tokens, details.prompt_tokens)
    choice = Choice(reading)
    pieces = choice.feed_all(mended(details.tokens, end, generation.generated_text), end)
    return Whole(pieces, headers, details.prefill, choice.logprob / choice.tokens)


class Interleaved:
    """The pieces of several answers, in the order in which they arrive."""

    def __init__(self, answers: Sequence[Answer]) -> None:
        self._queue: asyncio.Queue[tuple[int, list[Piece] | Exception | None]] = asyncio.Queue(
            maxsize=_AHEAD * len(answers)
        )
        self._left = len(answers)
        self._tasks = [
            asyncio.create_task(self._read(index, answer)) for index, answer in enumerate(answers)
        ]

    async def pieces(self) -> list[tuple[int, Piece]] | None:
        """The next pieces with their choice's index; None when all choices are complete.

        Raises:
            UpstreamError: When one answer failed.
        """
        while self._left:
            index, pieces = await self._queue.get()
            if isinstance(pieces, Exception):
                raise pieces
            if pieces is not None:
                return [(index, piece) for piece in pieces]
            self._left -= 1
        return None

    async def close(self) -> None:
        """Stop reading."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _read(self, index: int, answer: Answer) -> None:
        try:
            while not answer.finished:
                await self._queue.put((index, await answer.pieces()))
            await self._queue.put((index, None))
        except Exception as error:  # noqa: BLE001 - raised where the pieces are waited for
            await self._queue.put((index, error))


class Alone:
    """The pieces of one answer, with no queue and no task between."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    async def pieces(self) -> list[tuple[int, Piece]] | None:
        """The next pieces with their choice's index; None when the choice is complete.

        Raises:
            UpstreamError: When the answer failed.
        """
        if self._answer.finished:
            return None
        return [(0, piece) for piece in await self._answer.pieces()]

    async def close(self) -> None:
        """Nothing is under way."""


async def gather(work: Sequence[Coroutine[Any, Any, _T]]) -> list[_T]:
    """Do all at once; the first failure cancels the rest and is raised as it is."""
    if len(work) == 1:
        return [await work[0]]
    tasks = [asyncio.create_task(each) for each in work]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _refused(exchange: Exchange) -> UpstreamError:
    """The failure that a status other than 200 says."""
    try:
        body = await read_all(exchange)
    finally:
        await exchange.close()
    return UpstreamError(refused(exchange.status, exchange.headers, body))


def refused(status: int, headers: Sequence[tuple[str, str]], body: bytes) -> Refused:
    """What an answer says that is an error: LoRAX's envelope, or somebody else's words."""
    wait = retry_after(headers)
    envelope = decode_error(body)
    if envelope is not None:
        return Refused(status, envelope.error_type, envelope.error, wait)
    return Refused(status, None, body[:2000].decode(errors="replace"), wait)
