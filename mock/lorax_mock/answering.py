"""Generating and sending: whole answers, streams, and what faults make of both.

* A stream's status line and headers leave before anything is checked (router/src/server.rs:930), so
  refusals become events.
* A concurrency permit is taken without waiting and held until the answer or stream has ended.
* A client that leaves is noticed between events, and ends its own generation.
"""

from collections import deque
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Final, assert_never

from lorax_mock.adapters import Catalogue
from lorax_mock.asked import Asked, ask
from lorax_mock.axum import JSON, ClientLeft, Exchange, Header
from lorax_mock.engine import generate, pick_best, request_key, server_seed
from lorax_mock.errors import FatalRequest, LoraxRefusal, Refusal, generation, overloaded
from lorax_mock.faults import Act, Close, Fault, Send, Stall, mangle
from lorax_mock.headers import echoed, measured
from lorax_mock.journal import Journal
from lorax_mock.metrics import Metrics
from lorax_mock.pace import Watch, breathe, clock, pause
from lorax_mock.replies import encode_error, sse
from lorax_mock.rulebook import Rulebook
from lorax_mock.scheduler import Done, Job, Shard
from lorax_mock.script_file import ScriptFile
from lorax_mock.settings import Settings
from lorax_mock.timing import Timing, timing_of
from lorax_mock.tokenizer import Tokenizer
from lorax_mock.validation import Valid, adapter_ids, check_before_permit, validate
from lorax_mock.wire import Generated, GenerateRequest, Token

__all__ = ["Answering", "Encode", "EncodeEvent"]

_FAIRNESS: Final = 64
"""Events after which an unpaced stream lets others have the loop."""

_OCCURRENCES: Final = 100_000
"""Sampled requests whose repetitions are counted; then counting starts anew."""

_DONE: Final = 2_000
"""Finished jobs that the schedule shows."""

_EVENT_STREAM: Final[tuple[Header, ...]] = (
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
)

Encode = Callable[[Generated, tuple[Generated, ...]], bytes]
"""The winner and the losers of a request into a body; may raise LoraxRefusal."""

EncodeEvent = Callable[[Token, Generated | None], bytes]
"""A token, with the whole at the last one, into a framed event."""


class Answering:
    """What a mock has and knows, and how it answers."""

    def __init__(self, settings: Settings, tokenizer: Tokenizer) -> None:
        self.settings = settings
        self.tokenizer = tokenizer
        self.catalogue = Catalogue(settings)
        self.journal = Journal()
        self.metrics = Metrics(settings.limits)
        self.rulebook = Rulebook()
        self.script_file: ScriptFile | None = None
        self._permits = settings.limits.max_concurrent_requests
        self._occurrences: dict[bytes, int] = {}
        self.shard = Shard(
            settings.limits, settings.costs, memory=settings.memory, loads=settings.loads
        )
        self.done: deque[Done] = deque(maxlen=_DONE)
        self._jobs = 0

    def spoken(self, refusal: Refusal) -> tuple[int, bytes]:
        """Status and JSON of a refusal, counted."""
        match refusal:
            case LoraxRefusal(status=status, message=message, error_type=error_type):
                if refusal.counted_as:
                    self.metrics.failed(refusal.counted_as)
                return status, encode_error(message, error_type)
            case FatalRequest(reason=reason, source=source):
                text = f"lorax-mock refuses what would end a real LoRAX ({source}): {reason}"
                return 500, encode_error(text, "mock_refusal")
            case _:
                raise refusal

    def ask(self, exchange: Exchange, request: GenerateRequest, *, stream: bool) -> Asked:
        """A request enters the journal and meets the script; raises LoraxRefusal."""
        self.metrics.asked()
        if self.script_file is not None:
            self.script_file.refresh(self.rulebook, self.journal)
        return ask(
            exchange,
            request,
            stream=stream,
            journal=self.journal,
            rulebook=self.rulebook,
            now=clock(),
        )

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

    def _run(self, asked: Asked, count: int = 1) -> list[tuple[Generated, Timing]]:
        request = asked.request
        parameters = request.parameters
        valid = validate(request, self.settings.limits, self.tokenizer)
        if self.settings.kind != "generate":
            raise generation("Server error: This model does not support text generation")
        self.metrics.validated(valid.input_length, valid.max_new_tokens)
        token = asked.exchange.download_token(parameters.api_token)
        try:
            identity, persona = self.catalogue.open(parameters, token)
        except LoraxRefusal:
            self.shard.fail(",".join(adapter_ids(parameters)))
            raise
        key = request_key(valid, identity, self.settings.seed)
        if not valid.samples:
            seeds = [0] * count
        elif parameters.seed is not None:
            seeds = [parameters.seed]
        else:
            if len(self._occurrences) >= _OCCURRENCES:
                self._occurrences.clear()
            first = self._occurrences.get(key, 0)
            self._occurrences[key] = first + count
            seeds = [server_seed(key, valid, first + place) for place in range(count)]
        reply = asked.action.reply
        sequences = [
            generate(valid, persona, self.tokenizer, key, seed=seed, reply=reply) for seed in seeds
        ]
        return list(zip(sequences, self._schedule(asked, identity, valid, sequences), strict=True))

    def _schedule(
        self, asked: Asked, identity: str, valid: Valid, sequences: list[Generated]
    ) -> list[Timing]:
        """What these sequences would have taken, arriving together at the shard's now."""
        if asked.has_pace:
            costs = asked.costs(self.settings.costs)
            own = [costs.step * (len(one.tokens) - 1) for one in sequences]
            return [Timing(0.0, 0.0, costs.first, costs.first + steps) for steps in own]
        arrived = self.shard.now
        done: list[Done] = []
        for one in sequences:
            self._jobs += 1
            job = Job(
                self._jobs,
                arrived,
                identity,
                len(valid.prompt),
                max(valid.max_new_tokens, len(one.tokens)),
                len(one.tokens),
            )
            done += self.shard.feed(job)
        done += self.shard.finish()
        done.sort(key=_number)
        self.done.extend(done)
        self.metrics.batch("prefill")
        self.metrics.batch("decode", max(len(one.tokens) for one in sequences) - 1)
        return [timing_of(one) for one in done]

    async def _fails_first(self, asked: Asked, *, stream: bool) -> bool:
        """Faults that come instead of an answer; raises Refusal, or says that all is said."""
        fault, exchange = asked.fault, asked.exchange
        if fault is None:
            return False
        if fault.kind == "reset" and fault.place == 0:
            asked.entry.outcome = "fault"
            exchange.abort(reset=True)
            return True
        if fault.kind == "status":
            asked.entry.outcome, asked.entry.status = "fault", int(fault.value or 503)
            page = f"<html><body><h1>{fault.value}</h1></body></html>\r\n".encode()
            await exchange.reply(asked.entry.status, page, [(b"content-type", b"text/html")])
            return True
        refusal = fault.refusal
        if refusal is not None and not (stream and fault.place is not None):
            raise refusal
        return False

    async def answer(self, exchange: Exchange, request: GenerateRequest, encode: Encode) -> None:
        """Generate, then reply whole; raises Refusal before anything was sent."""
        asked = self.ask(exchange, request, stream=False)
        entry = asked.entry
        count = max(request.parameters.best_of or 1, 1)
        try:
            check_before_permit(request.parameters, self.settings.limits, stream=False)
            with self.permits(count):
                if await self._fails_first(asked, stream=False):
                    return
                ran = self._run(asked, count)
                best, others = pick_best([sequence for sequence, _ in ran])
                timing = next(times for sequence, times in ran if sequence is best)
                if asked.paced(self.settings.costs):
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
        if asked.fault is None:
            await exchange.reply(200, body, [JSON, *headers])
            return
        length = (b"content-length", b"%d" % len(body))
        await exchange.start(200, _retyped([JSON, *headers, length], asked.fault))
        if await self._perform(asked, mangle(asked.fault, [body])):
            await exchange.end()

    async def stream(
        self, exchange: Exchange, request: GenerateRequest, encode: EncodeEvent, done: bytes = b""
    ) -> None:
        """Headers first, then events; `done` follows a stream that ended well."""
        asked = self.ask(exchange, request, stream=True)
        try:
            headers = echoed(request, self.settings)
        except FatalRequest as refusal:
            asked.entry.refused(refusal)
            raise
        fault = asked.fault
        if fault is not None and (fault.kind == "status" or str(fault) == "reset@0"):
            await self._fails_first(asked, stream=True)
            return
        await exchange.start(200, _retyped([*_EVENT_STREAM, *headers], fault))
        try:
            check_before_permit(request.parameters, self.settings.limits, stream=True)
            with self.permits(1):
                await self._fails_first(asked, stream=True)
                sequence, timing = self._run(asked)[0]
                whole = await self._send_events(asked, sequence, timing, encode, done)
        except Refusal as refusal:
            asked.entry.refused(refusal)
            await exchange.chunk(sse(self.spoken(refusal)[1]))
            whole = True
        if whole:
            await exchange.end()

    async def _send_events(
        self,
        asked: Asked,
        sequence: Generated,
        timing: Timing,
        encode: EncodeEvent,
        done: bytes,
    ) -> bool:
        """Send what there is to send; False when the connection is not to be used any more."""
        costs = asked.costs(self.settings.costs)
        paced = asked.paced(costs)
        exchange, entry = asked.exchange, asked.entry
        last = len(sequence.tokens) - 1
        if asked.fault is not None:
            events = [
                encode(token, sequence if place == last else None)
                for place, token in enumerate(sequence.tokens)
            ]
            acts = mangle(asked.fault, [*events, done] if done else events)
            return await self._perform(asked, acts, sequence)
        watch = Watch(exchange)
        for place, token in enumerate(sequence.tokens):
            if paced:
                idle = costs.step if place else timing.queue + timing.first_token
                await watch.wait(idle / 1000)
            elif place % _FAIRNESS == _FAIRNESS - 1:
                await breathe()
            if watch.gone:
                self.metrics.failed("dropped")
                entry.left(place)
                return False
            await exchange.chunk(encode(token, sequence if place == last else None))
        if done:
            await exchange.chunk(done)
        self.metrics.answered(sequence, timing)
        entry.answered(sequence)
        return True

    async def _perform(
        self, asked: Asked, acts: list[Act], sequence: Generated | None = None
    ) -> bool:
        """Do what a fault makes of an answer; False when the connection is not to be used any more."""
        exchange, entry = asked.exchange, asked.entry
        costs = asked.costs(self.settings.costs)
        watch = Watch(exchange)
        for place, act in enumerate(acts):
            match act:
                case Send(data):
                    if asked.paced(costs) and sequence is not None:
                        await watch.wait(costs.step / 1000)
                    await breathe()
                    await exchange.chunk(data)
                case Stall(seconds):
                    await watch.stall(seconds)
                case Close(reset=reset):
                    await breathe()
                    entry.outcome = "fault"
                    exchange.abort(reset=reset)
                    return False
                case _:
                    assert_never(act)
            if watch.gone and place < len(acts) - 1:
                entry.left(place)
                return False
        entry.outcome = "fault"
        return True


def _number(one: Done) -> int:
    return one.job.id


def _retyped(headers: list[Header], fault: Fault | None) -> list[Header]:
    """The headers, with another content type if that is the fault."""
    if fault is None or fault.kind != "mime":
        return headers
    kind = (b"content-type", (fault.value or "").encode())
    return [kind, *(header for header in headers if header[0] != b"content-type")]
