"""Everything a mock has, and what a request gets of it: sequences, and their way through the shard.

* A concurrency permit is taken without waiting and held until the answer or stream has ended.
* What is said is decided at once; when it is said is the shard's business (`batching`), or a script's.
"""

import json
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

from lorax_mock.errors import FatalRequest, LoraxRefusal, Refusal, generation, overloaded
from lorax_mock.files.script import ScriptFile
from lorax_mock.hashing import digest
from lorax_mock.http.axum import ClientLeft, Exchange
from lorax_mock.model.adapters import Catalogue, identity_of
from lorax_mock.model.engine import divided, generate, request_key, server_seed
from lorax_mock.model.personas import Persona
from lorax_mock.prompt.tokenizer import Tokenizer
from lorax_mock.router.health import Health
from lorax_mock.router.metrics import Metrics
from lorax_mock.router.validation import Valid, validate
from lorax_mock.scripting.admission import Asked, ask
from lorax_mock.scripting.faults import Fault, effect_of
from lorax_mock.scripting.journal import Journal
from lorax_mock.scripting.rulebook import Rulebook
from lorax_mock.server.batching import Batcher
from lorax_mock.server.clock import Watch, aside, clock, pause
from lorax_mock.server.meeting import Meeting, read_meeting
from lorax_mock.server.ticket import Ticket, Work
from lorax_mock.settings import Settings
from lorax_mock.shard.timing import Timing, timing_of
from lorax_mock.wire.native import Generated, GenerateParameters, GenerateRequest
from lorax_mock.wire.replies import encode_error

__all__ = ["Generating", "Ran"]

_OCCURRENCES: Final = 100_000
"""Sampled requests whose repetitions are counted; then counting starts anew."""


@dataclass(slots=True)
class Ran:
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


class Generating:
    """What a mock has and knows."""

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

    async def run(self, asked: Asked, count: int = 1) -> Ran:
        """Sequences, and their way through the shard begun."""
        request = asked.request
        parameters = request.parameters
        valid = await aside(
            len(request.inputs), lambda: validate(request, self.settings.limits, self.tokenizer)
        )
        self._validated(valid)
        identity, persona = await self._adapter(asked, parameters)
        key = self._key(valid, identity, persona)
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
        self._check_pass()
        try:
            sequences = [
                generate(valid, persona, self.tokenizer, key, seed=seed, reply=reply)
                for seed in seeds
            ]
            self.catalogue.check_pass(parameters)
        except LoraxRefusal as refusal:
            await self._fail_in_its_pass(asked, key, identity, valid, refusal)
            raise
        if asked.has_pace:
            costs = asked.costs(self.settings.costs)
            times = [
                Timing(0.0, 0.0, costs.first, costs.first + costs.step * (len(one.tokens) - 1))
                for one in sequences
            ]
            return Ran(sequences, [], times)
        schema = b"" if valid.schema is None else digest("schema", json.dumps(valid.schema))
        meeting = _meeting(asked, key)
        # Only those who asked to meet: others meet by chance, and chance must not choose an answer.
        warm = meeting is not None and parameters.temperature not in (None, 0.0, 1.0)
        zero = meeting is not None and parameters.temperature == 0.0
        zero = zero and valid.schema is None and reply is None
        works = [
            Work(
                identity,
                len(valid.prompt),
                max(valid.max_new_tokens, len(one.tokens)),
                len(one.tokens),
                schema,
                session=asked.entry.session,
                warm=warm,
                retell=partial(self._divided, one, valid) if zero else None,
            )
            for one in sequences
        ]
        return Ran(sequences, self.batcher.submit(works, meeting), [])

    def _divided(self, answer: Generated, valid: Valid, start: int) -> Generated:
        return divided(answer, start, valid, self.tokenizer)

    async def _adapter(self, asked: Asked, parameters: GenerateParameters) -> tuple[str, Persona]:
        """Who answers; raises LoraxRefusal when a download or load has failed, after its time."""
        identity = identity_of(parameters)
        idle = self.batcher.shard.sent_away(identity)
        token = asked.exchange.download_token(parameters.api_token)
        try:
            return self.catalogue.open(parameters, token, idle=idle)
        except LoraxRefusal as refusal:
            await self.batcher.fail(identity, loading=refusal.counted_as == "load_adapter")
            raise

    def _key(self, valid: Valid, identity: str, persona: Persona) -> bytes:
        """What the answer depends on; an adapter whose weights have no layer changes nothing."""
        voice = "" if persona is self.catalogue.base else identity
        return request_key(valid, voice, self.settings.seed)

    async def _fail_in_its_pass(
        self, asked: Asked, key: bytes, identity: str, valid: Valid, refusal: LoraxRefusal
    ) -> None:
        """Raises what the shard raises when the request's turn has come; returns if it has none there."""
        if asked.has_pace:
            self.metrics.batch_failed("prefill")
            return
        work = Work(
            *(identity, len(valid.prompt), valid.max_new_tokens, 1),
            error=refusal,
            session=asked.entry.session,
        )
        await self.batcher.submit([work], _meeting(asked, key))[0].whole()

    def _validated(self, valid: Valid) -> None:
        counted = self.settings.limits.fast_tokenizer
        self.metrics.validated(valid.input_length if counted else None, valid.max_new_tokens)

    def _check_pass(self) -> None:
        """Raises LoraxRefusal where no forward pass can succeed, after it has failed."""
        refusal = self.health.refusal()
        if refusal is None and self.settings.kind != "generate":
            refusal = generation("Server error: This model does not support text generation")
        if refusal is not None:
            self.metrics.batch_failed("prefill")
            raise refusal

    async def start_up(self) -> None:
        """The startup probe's own request, past the journal; raises LoraxRefusal (router/src/server.rs:488)."""
        with self.permits(1):
            if self.settings.kind != "generate":
                self._embed_at_start()
                return
            request = GenerateRequest("Who?", GenerateParameters(max_new_tokens=1))
            valid = validate(request, self.settings.limits, self.tokenizer)
            self._validated(valid)
            idle = self.batcher.shard.sent_away("")
            identity, persona = self.catalogue.open(request.parameters, None, idle=idle)
            key = self._key(valid, identity, persona)
            self._check_pass()
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

    async def finished(self, ran: Ran, exchange: Exchange) -> list[Timing]:
        """When all sequences are done, how long they took; raises ClientLeft."""
        if not ran.tickets:
            await pause(max(one.total for one in ran.times) / 1000, exchange)
            return ran.times
        # Without a pace an answer is there before its client can think of leaving.
        watch = Watch(exchange) if self.settings.costs.paced or not ran.entered else None
        if watch is not None:
            watch.when_gone(ran.drop)
        ended = [await ticket.whole() for ticket in ran.tickets]
        if watch is not None:
            watch.close()
        for place, ticket in enumerate(ran.tickets):
            ran.sequences[place] = ticket.retold or ran.sequences[place]
        times = [timing_of(one) for one in ended if one is not None]
        if len(times) < len(ended):
            raise ClientLeft
        return times

    def fail_by(self, fault: Fault) -> None:
        """An error that was asked for is a forward pass that failed."""
        refusal = effect_of(fault).refusal
        if refusal is not None and refusal.counted_as == "generation":
            self.metrics.batch_failed("decode" if fault.place else "prefill")


def _meeting(asked: Asked, key: bytes) -> Meeting | None:
    """Whom a request says it waits for; raises LoraxRefusal (400)."""
    return read_meeting(
        asked.exchange.header(b"x-lorax-mock-together"),
        asked.exchange.header(b"x-lorax-mock-at"),
        session=asked.entry.session,
        key=key,
    )
