"""What is known of each LoRAX server: read from `/info` and `/tokenize`, and watched.

Until the facts of an upstream are known, nothing can be translated for it: its base model's name,
its limits and whether it puts BOS before a prompt all shape a request. They are asked for at start
and, while unknown, by each request that needs them, one question at a time.

What was known stays in use until something else is known: a request that fails makes nobody wait.
That the server is another one now is noticed in three ways:

- a request that finds no connection open (`upstream.transport`, epochs) is not sent before `/info`
  has been asked again (`renew`);
- a failed request has it asked in the background (`doubt`), and so does `/ready`;
- a watch asks now and then (`watch`).
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from enum import Enum

from lorax_proxy.answers import refused
from lorax_proxy.config import UpstreamSettings
from lorax_proxy.core.bos import Bos, bos_of
from lorax_proxy.core.plan import Facts
from lorax_proxy.core.routing import Kind
from lorax_proxy.errors import Failure, Lost, Refused, UpstreamError
from lorax_proxy.upstream.transport import Transport, read_all
from lorax_proxy.wire.lorax import (
    Info,
    SimpleToken,
    Unreadable,
    decode_info,
    decode_tokens,
    encode_tokenize,
)

__all__ = ["News", "Upstream", "cause"]

_ANSWER_WAIT = 10.0
"""Seconds for `/info` and `/tokenize`, which take no permit and no GPU (router/src/server.rs)."""

_RETRY = 1.0
"""Seconds between two questions of the watch, while the server does not answer them."""

_CHECK = 10.0
"""Seconds between two questions of the watch to a server that answers: one `/info` costs it and us
less than any request."""


class News(Enum):
    """What a question brought that was not known before."""

    READY = "ready"
    CHANGED = "changed"
    LOST = "lost"
    BACK = "back"


class Upstream:
    """One LoRAX server: its transport, and what is known of it.

    Attributes:
        name: What the configuration calls it.
        kind: Whether it generates or embeds.
        facts: None until `/info` has answered.
        info: What it answered.
        epoch: The transport's epoch in which it answered.
        answers: Whether the last question was answered.
        tell: Called with what a question brought, and the cause if it failed.
    """

    def __init__(
        self,
        settings: UpstreamSettings,
        transport: Transport,
        *,
        vocabulary_size: int | None = None,
    ) -> None:
        self.settings = settings
        self._vocabulary_size = settings.vocabulary_size or vocabulary_size
        self.name = settings.name
        self.kind = Kind(settings.kind)
        self.transport = transport
        self.facts: Facts | None = None
        self.epoch = transport.epoch
        self.answers = False
        self._warm: set[tuple[str, ...]] = set()
        self.tell: Callable[[Upstream, News, str], None] = lambda _upstream, _news, _cause: None
        self._breaks = transport.breaks
        self.info: Info | None = None
        self._failed = False
        self._doubted = asyncio.Event()
        self._asking: asyncio.Task[Facts] | None = None

    @property
    def is_new(self) -> bool:
        """Whether no question has brought an answer or a failure yet."""
        return self.facts is None and not self._failed

    async def ready(self) -> Facts:
        """The facts, asked for now if they are unknown.

        Raises:
            UpstreamError: What a gateway before it answered in its place (401, a redirect, 503);
                else `NOT_READY`.
        """
        return self.facts if self.facts is not None else await self.ask()

    async def renew(self) -> None:
        """Have the facts asked for in the transport's present epoch.

        Raises:
            UpstreamError: `NOT_READY` when the server does not tell them.
        """
        if self.epoch != self.transport.epoch:
            await self.ask()
        if self.epoch != self.transport.epoch:
            # the question was under way when the epoch began
            await self.ask()

    async def ask(self) -> Facts:
        """Ask for the facts, or wait with whoever asks already.

        Raises:
            UpstreamError: `NOT_READY` when the server does not tell them.
        """
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask())
            self._asking.add_done_callback(self._asked)
        try:
            # shielded: a client that leaves must not take the question away from the others
            return await asyncio.shield(self._asking)
        except (UpstreamError, Unreadable) as error:
            if isinstance(error, UpstreamError) and _is_word(error.failure):
                raise
            raise UpstreamError(Lost.NOT_READY) from error

    def doubt(self) -> None:
        """A request failed on its way: have the watch ask soon whether the server is still there."""
        self._doubted.set()

    async def watch(self, pause: Callable[[float], Awaitable[None]]) -> None:
        """Ask again and again: soon while nothing answers or something failed, else now and then.

        Args:
            pause: How to wait some seconds.
        """
        while True:
            self._doubted.clear()
            with contextlib.suppress(UpstreamError):
                await self.ask()
            # however many requests fail meanwhile
            await pause(_RETRY)
            if self.answers and not self._doubted.is_set():
                await _first(pause(_CHECK), self._doubted.wait())

    def is_warm(self, adapters: tuple[str, ...]) -> bool:
        """Whether adapters have produced a token since LoRAX may have restarted; the base always has."""
        return not adapters or adapters in self._warm

    def has_answered(self, adapters: tuple[str, ...]) -> None:
        """Take note of adapters that produced a token."""
        self._warm.add(adapters)

    async def count_tokens(self, text: str) -> int:
        """How many tokens LoRAX counts in a prompt; 0 when it has no fast tokenizer."""
        return len(await self.tokenize(text) or ())

    async def tokenize(self, text: str, *, special: bool = True) -> tuple[SimpleToken, ...] | None:
        """The tokens of a text; None when the server cannot tell (router/src/server.rs:2042).

        Raises:
            UpstreamError: When there is no answer, or it is not LoRAX's.
        """
        try:
            body = await self.fetch("POST", "/tokenize", encode_tokenize(text, special=special))
            return decode_tokens(body)
        except Unreadable as error:
            raise UpstreamError(Lost.UNREADABLE) from error
        except UpstreamError as error:
            if isinstance(error.failure, Refused) and error.failure.status == 404:
                return None
            raise

    async def aclose(self) -> None:
        """Close every connection; a question under way is given up."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)
        await self.transport.aclose()

    async def fetch(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        silence: float = _ANSWER_WAIT,
        epoch: int | None = None,
        transport: Transport | None = None,
    ) -> bytes:
        """One short request and its whole answer.

        Args:
            method: The HTTP method.
            path: The path, from the server's root.
            body: A JSON document.
            silence: Seconds without a byte after which it is given up.
            epoch: The epoch that it was made for (`upstream.transport`).
            transport: Another way to it than its own.

        Raises:
            UpstreamError: When there is none, or its status is not 200.
        """
        way = transport or self.transport
        response = await way.send(method, path, body, silence=silence, epoch=epoch)
        try:
            answer = await read_all(response)
        finally:
            await response.close()
        if response.status != 200:
            raise UpstreamError(refused(response.status, response.headers, answer))
        return answer

    def _asked(self, task: "asyncio.Task[Facts]") -> None:
        self._asking = None
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            self.answers = False
            if not self._failed:
                self._failed = True
                self.tell(self, News.LOST, cause(error))
            return
        before, self.facts = self.facts, task.result()
        self.answers, failed, self._failed = True, self._failed, False
        if before is None:
            self.tell(self, News.READY, "")
        elif before != self.facts:
            self._warm.clear()
            self.tell(self, News.CHANGED, before.model_id)
        elif failed:
            self.tell(self, News.BACK, "")

    async def _ask(self) -> Facts:
        info = decode_info(await self.fetch("GET", "/info"))
        epoch = self.transport.epoch
        if self.facts is not None and epoch == self.epoch and info == self.info:
            return self.facts
        facts = await self._understood(info)
        breaks = self.transport.breaks
        if epoch != self.epoch and breaks != self._breaks:
            # it may have restarted; where only we hung up, it hardly has since
            self._warm.clear()
        self.epoch, self._breaks, self.info = epoch, breaks, info
        return facts

    async def _understood(self, info: Info) -> Facts:
        """What `/info` and `/tokenize` tell together."""
        bos = await self._bos() if self.kind is Kind.GENERATE else Bos("", appends_eos=False)
        settings = self.settings
        return Facts(
            model_id=info.model_id,
            fingerprint=_fingerprint(info),
            max_stop_sequences=info.max_stop_sequences,
            bos=_unknown_bos(settings) if bos is None else bos.spelling,
            appends_eos=bos is not None and bos.appends_eos,
            # the hub's tag, when LoRAX reached the hub at start (router/src/main.rs)
            text_only=info.model_pipeline_tag == "text-generation"
            if settings.text_only is None
            else settings.text_only,
            default_max_tokens=settings.default_max_tokens,
            vocabulary_size=self._vocabulary_size,
        )

    async def _bos(self) -> Bos | None:
        """What `/generate` adds, by comparing a text's tokens with and without it."""
        with_special = await self.tokenize("a")
        without = await self.tokenize("a", special=False)
        if with_special is None or without is None:
            return None
        return bos_of(with_special, without)


def _is_word(failure: Failure) -> bool:
    """Whether somebody said what to do about it; any other 5xx is a server that is not there yet."""
    return isinstance(failure, Refused) and (failure.status < 500 or failure.status == 503)


async def _first(*waits: Awaitable[object]) -> None:
    """Wait for one of several; the others are given up."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def cause(error: BaseException) -> str:
    """Why a question was not answered, in words."""
    if not isinstance(error, UpstreamError):
        return str(error)
    failure = error.failure
    return failure.value if isinstance(failure, Lost) else f"answered {failure.status}"


def _unknown_bos(settings: UpstreamSettings) -> str | None:
    return None if settings.adds_bos else ""


def _fingerprint(info: Info) -> str:
    """`system_fingerprint`: what answers, so that a client can tell when it changed."""
    return f"lorax-{info.version}-{info.docker_label or (info.sha or 'native')[:12]}"
