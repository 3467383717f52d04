"""LoRAX's answers under way: open requests, read their pieces, and end them in every case.

`Answer` is one LoRAX request whose tokens are read as they come; `gather` is what several choices need.
One failure fails them all: the rest is cancelled.
"""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Generic, TypeVar

from lorax_proxy.aside import aside
from lorax_proxy.core.choice_reader import ChoiceReader
from lorax_proxy.core.failures import retry_after
from lorax_proxy.core.selection import Whole
from lorax_proxy.core.short_prompts import mended
from lorax_proxy.core.stream import Choice, Piece, Reading
from lorax_proxy.errors import Lost, Refused, UpstreamError
from lorax_proxy.upstream.transport import Response, Transport, read_all
from lorax_proxy.wire.lorax import (
    GenerateRequest,
    StreamDetails,
    Unreadable,
    decode_error,
    decode_generation,
    decode_scored_generation,
    encode,
)

__all__ = ["Answer", "gather", "generate", "refused"]

_T = TypeVar("_T")

_CHEAPER = 8
"""How much cheaper a byte of an answer is to read than one of a request."""

_END_WAIT = 0.1
"""Seconds for the last bytes of a body whose final event is here: they come with it, or next."""

_Reader = TypeVar("_Reader", bound=ChoiceReader)


class Answer(Generic[_Reader]):
    """One `/generate_stream` request under way, and what reads its body.

    Attributes:
        response: LoRAX's, under way.
        reader: What its bytes become.
    """

    def __init__(self, response: Response, reader: _Reader, *, cold: bool = True) -> None:
        """Take a request under way.

        Args:
            response: LoRAX's, under way.
            reader: What reads the answer.
            cold: Whether it may be the first of an adapter, which must not be broken off.
        """
        self.response = response
        self.reader = reader
        self._cold = cold
        self._first_read: asyncio.Future[bytes] | None = None

    @classmethod
    async def open(
        cls,
        transport: Transport,
        request: GenerateRequest,
        reader: _Reader,
        *,
        silence: float,
        cold: bool = True,
        epoch: int | None = None,
    ) -> "Answer[_Reader]":
        """Send the request; LoRAX's status and headers come at once, before any work.

        Args:
            transport: Where to send it.
            request: What to ask.
            reader: What reads the answer.
            silence: Seconds without a byte after which it is given up.
            cold: Whether it may be the first of an adapter, which must not be broken off.
            epoch: The epoch that it was made for (`upstream.transport`).

        Raises:
            UpstreamError: When it is refused or cannot be sent.
        """
        response = await transport.send(
            "POST", "/generate_stream", encode(request), silence=silence, epoch=epoch
        )
        if response.status != 200:
            raise await _refused(response)
        return cls(response, reader, cold=cold)

    async def begin(self, take: Callable[[bytes], _T]) -> _T:
        """What the reader makes of everything up to the first event, or of the body's end.

        Args:
            take: The reader's way of taking bytes.

        Raises:
            UpstreamError: When LoRAX failed or the answer broke off.
        """
        while True:
            try:
                data = await self._read_first()
            except UpstreamError as error:
                self.reader.fail(error)
                raise
            taken = take(data)
            if self.reader.begun:
                return taken

    async def pieces(self) -> list[Piece]:
        """What the next events bring: nothing, while text is held back.

        Everything that arrived in one read is returned at once, so that it can leave in one write.

        Raises:
            UpstreamError: When LoRAX failed or the answer broke off; pieces that came with the
                failure are returned first.
        """
        reader = self.reader
        if not reader.begun:
            return await self.begin(reader.feed)
        if reader.failure is not None:
            raise reader.failure
        try:
            return reader.feed(await self.response.read())
        except UpstreamError as error:
            reader.fail(error)
            raise

    async def _read_first(self) -> bytes:
        """The next bytes before LoRAX has begun; who is cancelled leaves a cold adapter's read alone.

        A cancelled read breaks the connection, and breaking it while an adapter's first load fails
        kills LoRAX (router/src/loader.rs:293): whoever waits next goes on with the same read.
        """
        if not self._cold:
            return await self.response.read()
        if self._first_read is None:
            self._first_read = asyncio.ensure_future(self.response.read())
        try:
            return await asyncio.shield(self._first_read)
        finally:
            if self._first_read.done():
                self._first_read = None

    async def close(self) -> None:
        """End the request, if it has not ended; keep its connection, if it has."""
        try:
            if self._first_read is not None:
                self._first_read.cancel()
                await asyncio.gather(self._first_read, return_exceptions=True)
            if self.reader.ended:
                # LoRAX is done: only the mark of the body's end can be missing, without which the
                # connection would be given up
                with contextlib.suppress(UpstreamError, TimeoutError):
                    async with asyncio.timeout(_END_WAIT):
                        await self.response.read()
        finally:
            await self.response.close()


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
    response = await transport.send(
        "POST", "/generate", encode(request), silence=silence, epoch=epoch
    )
    try:
        if response.status != 200:
            raise await _refused(response)
        body = await read_all(response)
    finally:
        await response.close()
    try:
        return await aside(len(body) // _CHEAPER, _whole, body, reading, response.headers)
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


async def _refused(response: Response) -> UpstreamError:
    """The failure that a status other than 200 says."""
    try:
        body = await read_all(response)
    finally:
        await response.close()
    return UpstreamError(refused(response.status, response.headers, body))


def refused(status: int, headers: Sequence[tuple[str, str]], body: bytes) -> Refused:
    """What an answer says that is an error: LoRAX's envelope, or somebody else's words."""
    wait = retry_after(headers)
    envelope = decode_error(body)
    if envelope is not None:
        return Refused(status, envelope.error_type, envelope.error, wait)
    return Refused(status, None, body[:2000].decode(errors="replace"), wait)
