"""Generating and sending: whole answers, streams, and what faults make of both.

* A stream's status line and headers leave before anything is checked (router/src/server.rs:930), so
  refusals become events.
* A concurrency permit is taken without waiting and held until the answer or stream has ended.
* A client that leaves is noticed between events, and its sequence leaves the shard with its next token.
* What is said is decided at once; when it is said is the shard's business (`batching`), or a script's.
"""

import json
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, assert_never

from lorax_mock.adapters import Catalogue
from lorax_mock.asked import Asked, ask
from lorax_mock.axum import JSON, ClientLeft, Exchange, Header
from lorax_mock.batching import Batcher, Ticket, Work, read_meeting
from lorax_mock.engine import generate, pick_best, request_key, server_seed
from lorax_mock.errors import FatalRequest, LoraxRefusal, Refusal, generation, overloaded
from lorax_mock.faults import Act, Close, Fault, Send, Stall, mangle
from lorax_mock.hashing import digest
from lorax_mock.headers import echoed, measured
from lorax_mock.health import Health
from lorax_mock.journal import Journal
from lorax_mock.metrics import Metrics
from lorax_mock.pace import Silence, Watch, aside, breathe, clock, pause
from lorax_mock.replies import encode_error, sse
from lorax_mock.rulebook import Rulebook
from lorax_mock.script_file import ScriptFile
from lorax_mock.settings import Costs, Settings
from lorax_mock.timing import Timing, timing_of
from lorax_mock.tokenizer import Tokenizer
from lorax_mock.validation import Valid, adapter_ids, check_before_permit, validate
from lorax_mock.wire import Generated, GenerateParameters, GenerateRequest, Token

__all__ = ["Answering", "Encode", "EncodeEvent"]

_OCCURRENCES: Final = 100_000
"""Sampled requests whose repetitions are counted; then counting starts anew."""

_EVENT_STREAM: Final[tuple[Header, ...]] = (
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
)

_CUTTING: Final = frozenset({"cut", "reset", "nofinal", "error", "incomplete"})
"""Faults after which a stream may lack its final event."""

Encode = Callable[[Generated, tuple[Generated, ...]], bytes]
"""The winner and the losers of a request into a body; may raise LoraxRefusal."""

EncodeEvent = Callable[[Token, Generated | None], bytes]
"""A token, with the whole at the last one, into a framed event."""


@dataclass(slots=True)
class _Ran:
    """What a request gets, and when: by the shard (`tickets`), or as a script says (`times`)."""

    sequences: list[Generated]
    tickets: list[Ticket]
    times: list[Timing]

    @property
    def timing(self) -> Timing:
        """Of the first sequence, which is done."""
        if self.times:
            return self.times[0]
        done = self.tickets[0].done
        assert done is not None  # noqa: S101 - its last token was sent
        return timing_of(done)

    @property
    def entered(self) -> bool:
        """Whether the shard knows them, and they wait for nobody else."""
        return all(ticket.entered for ticket in self.tickets)

    def drop(self) -> None:
        """The client has left."""
        for ticket in self.tickets:
            ticket.drop()


class Answering:
    """What a mock has and knows, and how it answers."""

    def __init__(self, settings: Settings, tokenizer: Tokenizer) -> None:
        self.settings = settings
        self.tokenizer = tokenizer
        self.catalogue = Catalogue(settings)
        self.journal = Journal()
        self.health = Health()
        self.metrics = Metrics(settings.limits, self.health)
        self.rulebook = Rulebook()
        self.script_file: ScriptFile | None = None
        self._permits = settings.limits.max_concurrent_requests
        self._occurrences: dict[tuple[str, bytes], int] = {}
        """How often a session asked the same without a seed."""

        self.batcher = Batcher(settings, self.metrics)

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

    def renew(self, session: str) -> None:
        """As new: a session's rules, calls and entries; or everything, with a shard that has done nothing."""
        self.rulebook.reset(session)
        self.journal.clear(session)
        if session:
            for place in [place for place in self._occurrences if place[0] == session]:
                del self._occurrences[place]
            return
        self._occurrences.clear()
        self.health.inference, self.health.shard = False, "well"
        if self.batcher.renew():
            self.catalogue = Catalogue(self.settings)

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

    async def _run(self, asked: Asked, count: int = 1) -> "_Ran":
        """Sequences, and their way through the shard begun."""
        request = asked.request
        parameters = request.parameters
        valid = await aside(
            len(request.inputs), lambda: validate(request, self.settings.limits, self.tokenizer)
        )
        self._validated(valid)
        token = asked.exchange.download_token(parameters.api_token)
        try:
            identity, persona = self.catalogue.open(parameters, token)
        except LoraxRefusal as refusal:
            loading = refusal.counted_as == "load_adapter"
            await self.batcher.fail(",".join(adapter_ids(parameters)), loading=loading)
            raise
        key = request_key(valid, identity, self.settings.seed)
        if not valid.samples:
            seeds = [0] * count
        elif parameters.seed is not None:
            seeds = [parameters.seed]
        else:
            if len(self._occurrences) >= _OCCURRENCES:
                self._occurrences.clear()
            first = self._occurrences.get((asked.entry.session, key), 0)
            self._occurrences[asked.entry.session, key] = first + count
            seeds = [server_seed(key, valid, first + place) for place in range(count)]
        reply = asked.action.reply
        with self._prefill():
            if self.settings.kind != "generate":
                raise generation("Server error: This model does not support text generation")
            sequences = [
                generate(valid, persona, self.tokenizer, key, seed=seed, reply=reply)
                for seed in seeds
            ]
        if asked.has_pace:
            costs = asked.costs(self.settings.costs)
            times = [
                Timing(0.0, 0.0, costs.first, costs.first + costs.step * (len(one.tokens) - 1))
                for one in sequences
            ]
            return _Ran(sequences, [], times)
        meeting = read_meeting(
            asked.exchange.header(b"x-lorax-mock-together"),
            asked.exchange.header(b"x-lorax-mock-at"),
            session=asked.entry.session,
            key=key,
        )
        schema = b"" if valid.schema is None else digest("schema", json.dumps(valid.schema))
        works = [
            Work(
                identity,
                len(valid.prompt),
                max(valid.max_new_tokens, len(one.tokens)),
                len(one.tokens),
                schema,
            )
            for one in sequences
        ]
        return _Ran(sequences, self.batcher.submit(works, meeting), [])

    def _validated(self, valid: Valid) -> None:
        counted = self.settings.limits.fast_tokenizer
        self.metrics.validated(valid.input_length if counted else None, valid.max_new_tokens)

    @contextmanager
    def _prefill(self) -> Generator[None]:
        """What a refusal in here fails; it is refused itself while the shard is not well."""
        try:
            unwell = self.health.refusal()
            if unwell is not None:
                raise unwell
            yield
        except LoraxRefusal:
            self.metrics.batch_failed("prefill")
            raise

    async def start_up(self) -> None:
        """The startup probe's own request, past the journal; raises LoraxRefusal (router/src/server.rs:488)."""
        with self.permits(1):
            if self.settings.kind != "generate":
                self._embed_at_start()
                return
            request = GenerateRequest("Who?", GenerateParameters(max_new_tokens=1))
            valid = validate(request, self.settings.limits, self.tokenizer)
            self._validated(valid)
            identity, persona = self.catalogue.open(request.parameters, None)
            key = request_key(valid, identity, self.settings.seed)
            with self._prefill():
                sequence = generate(valid, persona, self.tokenizer, key, seed=0, reply=None)
            await self.batcher.submit([Work(identity, len(valid.prompt), 1, 1)])[0].whole()
        if not sequence.text:
            raise LoraxRefusal(500, "failed healthcheck", "Empty generation", "")

    def _embed_at_start(self) -> None:
        methods = ("classify", "embed") if self.settings.kind == "classify" else ("embed",)
        for method in methods:
            unwell = self.health.refusal()
            if unwell is not None:
                self.metrics.batch_failed(method)
                raise unwell
            self.metrics.batch(method)

    async def _all(self, ran: "_Ran", exchange: Exchange, costs: Costs) -> list[Timing]:
        """When all sequences are done, how long they took; raises ClientLeft."""
        if not ran.tickets:
            await pause(max(one.total for one in ran.times) / 1000, exchange)
            return ran.times
        # Without a pace an answer is there before its client can think of leaving.
        watch = Watch(exchange) if costs.paced or not ran.entered else None
        if watch is not None:
            watch.when_gone(ran.drop)
        ended = [await ticket.whole() for ticket in ran.tickets]
        if watch is not None:
            watch.close()
        times = [timing_of(one) for one in ended if one is not None]
        if len(times) < len(ended):
            raise ClientLeft
        return times

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
            self._fail_by(fault)
            raise refusal
        return False

    def _fail_by(self, fault: Fault) -> None:
        """An error that was asked for is a forward pass that failed."""
        refusal = fault.refusal
        if refusal is not None and refusal.counted_as == "generation":
            self.metrics.batch_failed("decode" if fault.place else "prefill")

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
                ran = await self._run(asked, count)
                times = await self._all(ran, exchange, self.settings.costs)
                best, others = pick_best(ran.sequences)
                timing = times[next(n for n, one in enumerate(ran.sequences) if one is best)]
            headers = [*echoed(request, self.settings), *measured(best, timing)]
            # A tool answer is parsed after it was counted (router/src/server.rs:338, 846).
            self.metrics.answered(best, timing)
            body = encode(best, others)
        except Refusal as refusal:
            entry.refused(refusal)
            raise
        except ClientLeft:
            entry.left(0)
            raise
        entry.answered(best)
        if asked.fault is None:
            await exchange.reply(200, body, [JSON, *headers])
            return
        length = (b"content-length", b"%d" % len(body))
        await exchange.start(200, _retyped([JSON, *headers, length], asked.fault))
        if await self._perform(asked, mangle(asked.fault, [body]), Watch(exchange)):
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
                ran = await self._run(asked)
                whole = await self._send_events(asked, ran, encode, done)
        except Refusal as refusal:
            asked.entry.refused(refusal)
            await exchange.chunk(sse(self.spoken(refusal)[1]))
            whole = True
        if whole:
            await exchange.end()

    async def _send_events(
        self, asked: Asked, ran: "_Ran", encode: EncodeEvent, done: bytes
    ) -> bool:
        """Send what there is to send; False when the connection is not to be used any more."""
        exchange, entry, sequence = asked.exchange, asked.entry, ran.sequences[0]
        watch = Watch(exchange)
        last = len(sequence.tokens) - 1
        if asked.fault is not None:
            events = [
                encode(token, sequence if place == last else None)
                for place, token in enumerate(sequence.tokens)
            ]
            acts = mangle(asked.fault, [*events, done] if done else events)
            return await self._perform(asked, acts, watch, ran)
        if ran.tickets:
            sent = await self._send_as_they_come(exchange, watch, ran, encode)
        else:
            sent = await self._send_at_its_pace(asked, watch, sequence, encode)
        if sent <= last:
            entry.left(sent)
            return False
        if done:
            await exchange.chunk(done)
        self.metrics.answered(sequence, ran.timing)
        entry.answered(sequence)
        return True

    async def _send_as_they_come(
        self, exchange: Exchange, watch: Watch, ran: "_Ran", encode: EncodeEvent
    ) -> int:
        """Events of the tokens that the shard gives; how many were sent before the client left."""
        sequence, ticket = ran.sequences[0], ran.tickets[0]
        tokens = sequence.tokens
        last = len(tokens) - 1
        watch.when_gone(ticket.drop)
        silence = Silence(exchange) if self.settings.costs.paced else None
        place = 0
        try:
            while place <= last:
                there = await ticket.more(place)
                if watch.gone:
                    break
                while place < there and not watch.gone:
                    whole = sequence if place == last else None
                    await exchange.chunk(encode(tokens[place], whole))
                    place += 1
                if silence is not None:
                    silence.broken()
        finally:
            if silence is not None:
                silence.close()
        return place

    async def _send_at_its_pace(
        self, asked: Asked, watch: Watch, sequence: Generated, encode: EncodeEvent
    ) -> int:
        """Events as the script times them; how many were sent before the client left."""
        costs = asked.costs(self.settings.costs)
        last = len(sequence.tokens) - 1
        for place, token in enumerate(sequence.tokens):
            await watch.wait((costs.step if place else costs.first) / 1000)
            if watch.gone:
                return place
            await asked.exchange.chunk(encode(token, sequence if place == last else None))
        return last + 1

    async def _perform(
        self, asked: Asked, acts: list[Act], watch: Watch, ran: "_Ran | None" = None
    ) -> bool:
        """Do what a fault makes of an answer; False when the connection is not to be used any more.

        A stream (`ran`) starts when its first token is there and then goes on at its pace, act by act.
        """
        exchange, entry = asked.exchange, asked.entry
        costs = asked.costs(self.settings.costs)
        paced = asked.paced(costs) and ran is not None
        if ran is not None and asked.fault is not None:
            entry.cut = _cut(asked.fault, acts, ran.sequences[0])
        if ran is not None and ran.tickets:
            watch.when_gone(ran.drop)
            await ran.tickets[0].more(0)
        for place, act in enumerate(acts):
            match act:
                case Send(data):
                    if paced:
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
        if ran is not None and asked.fault is not None and asked.fault.refusal is not None:
            self._fail_by(asked.fault)
            self.metrics.failed(asked.fault.refusal.counted_as)
        return True


def _cut(fault: Fault, acts: list[Act], sequence: Generated) -> str | None:
    """The text that is sent of a stream when the fault leaves its final event out."""
    if fault.kind not in _CUTTING:
        return None
    sent = b"".join(act.data for act in acts if isinstance(act, Send))
    *whole, _ = sent.split(b"\n\n")
    count = sum(
        event.startswith(b"data: {") and not event.startswith(b'data: {"error"') for event in whole
    )
    if count >= len(sequence.tokens):
        return None
    return "".join(token.text for token in sequence.tokens[:count])


def _retyped(headers: list[Header], fault: Fault | None) -> list[Header]:
    """The headers, with another content type if that is the fault."""
    if fault is None or fault.kind != "mime":
        return headers
    kind = (b"content-type", (fault.value or "").encode())
    return [kind, *(header for header in headers if header[0] != b"content-type")]
