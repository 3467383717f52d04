"""Making a request's sequences and sending them through the shard.

What is said is decided at once; when it is said is the shard's business (`batcher`), or a script's.
LoRAX's counterpart is `Infer` (router/src/infer.rs).
"""

import json
from dataclasses import dataclass
from functools import partial
from typing import Final

from lorax_mock.errors import LoraxRefusal, generation
from lorax_mock.hashing import digest
from lorax_mock.http.axum import ClientLeft, Exchange
from lorax_mock.model.adapter_catalogue import identity_of
from lorax_mock.model.engine import divided, generate, request_key, server_seed
from lorax_mock.model.personas import Persona
from lorax_mock.router.validation import Valid, validate
from lorax_mock.scripting.script import Reply
from lorax_mock.scripting.scripted_request import ScriptedRequest
from lorax_mock.server.clock import Watch, aside
from lorax_mock.server.meeting import Meeting, read_meeting
from lorax_mock.server.state import State
from lorax_mock.server.ticket import Ticket, Work
from lorax_mock.shard.timing import Timing, timing_of
from lorax_mock.wire.native import Generated, GenerateParameters, GenerateRequest

__all__ = ["Inference", "Run"]


_REMEMBERED: Final = 256
_SHORT: Final = 512
_SHORT_PROMPT: Final = 4096
"""Sequences that are remembered, and the most tokens of each and characters of its prompt: some 10 MB."""


@dataclass(slots=True)
class Run:
    """The sequences of a request, and their tickets: of the shard, or of a script's pace."""

    sequences: list[Generated]
    tickets: list[Ticket]

    @property
    def timing(self) -> Timing:
        """The times of the first sequence, which is done."""
        done = self.tickets[0].done
        assert done is not None  # noqa: S101 - its last token was sent
        return timing_of(done)

    @property
    def entered(self) -> bool:
        """Whether all sequences are on the shard, so that none waits for a meeting or by a script's pace."""
        return all(ticket.entered for ticket in self.tickets)

    def drop(self) -> None:
        """Tell the shard that the client has left."""
        for ticket in self.tickets:
            ticket.drop()


class Inference:
    """Makes the sequences of requests and sends them through the shard."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._last: dict[tuple[bytes, int, GenerateRequest], Generated] = {}
        """Sequences by what they depend on, the one that was asked for last at the end."""

    async def start(self, scripted: ScriptedRequest, count: int = 1) -> Run:
        """The request's run, whose sequences are made and on their way to the shard; raises LoraxRefusal."""
        request = scripted.request
        parameters = request.parameters
        valid = await aside(
            len(request.inputs),
            lambda: validate(request, self._state.settings.limits, self._state.tokenizer),
        )
        self._validated(valid)
        identity, persona = await self._adapter(scripted, parameters)
        key = self._key(valid, identity, persona)
        if not valid.samples:
            seeds = [0] * count
        elif parameters.seed is not None:
            seeds = [parameters.seed]
        else:
            first = self._state.occurrences.add(scripted.entry.session, key, count)
            seeds = [server_seed(key, valid, first + place) for place in range(count)]
        reply = scripted.action.reply
        self._check_pass()
        try:
            sequences = [self._made(valid, persona, key, seed, reply) for seed in seeds]
            self._state.catalogue.check_pass(parameters)
        except LoraxRefusal as refusal:
            await self._fail_in_its_pass(scripted, key, identity, valid, refusal)
            raise
        if scripted.has_pace:
            costs = scripted.costs(self._state.settings.costs)
            pacer = self._state.pacer
            return Run(
                sequences,
                [pacer.start(len(one.tokens), costs.first, costs.step) for one in sequences],
            )
        schema = b"" if valid.schema is None else digest("schema", json.dumps(valid.schema))
        meeting = _meeting(scripted, key)
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
                serial=scripted.entry.serial,
                session=scripted.entry.session,
                warm=warm,
                retell=partial(self._divided, one, valid) if zero else None,
            )
            for one in sequences
        ]
        return Run(sequences, self._state.batcher.submit(works, meeting))

    def _made(
        self, valid: Valid, persona: Persona, key: bytes, seed: int, reply: Reply | None
    ) -> Generated:
        """One sequence: what was made for an equal request, if it was among the last and is not long."""
        request = valid.request
        asked = request.parameters
        large = (
            asked.response_format is not None
            or asked.return_k_alternatives is not None
            or len(request.inputs) > _SHORT_PROMPT
        )
        if reply is not None or large:
            return generate(valid, persona, self._state.tokenizer, key, seed=seed, reply=reply)
        name = (key, seed, request)
        made = self._last.pop(name, None)
        if made is None:
            made = generate(valid, persona, self._state.tokenizer, key, seed=seed)
        if len(made.tokens) <= _SHORT and len(made.prefill) <= _SHORT:
            if len(self._last) >= _REMEMBERED:
                del self._last[next(iter(self._last))]
            self._last[name] = made
        return made

    def _divided(self, answer: Generated, valid: Valid, start: int) -> Generated:
        return divided(answer, start, valid, self._state.tokenizer)

    async def _adapter(
        self, scripted: ScriptedRequest, parameters: GenerateParameters
    ) -> tuple[str, Persona]:
        """The adapter's identity and persona; raises LoraxRefusal when a download or load fails, after its time."""
        identity = identity_of(parameters)
        idle = self._state.batcher.shard.sent_away(identity)
        token = scripted.exchange.download_token(parameters.api_token)
        try:
            return self._state.catalogue.open(parameters, token, idle=idle)
        except LoraxRefusal as refusal:
            await self._state.batcher.fail(identity, loading=refusal.counted_as == "load_adapter")
            raise

    def _key(self, valid: Valid, identity: str, persona: Persona) -> bytes:
        """The hash of what the answer depends on; an adapter whose weights have no layer changes nothing."""
        voice = "" if persona is self._state.catalogue.base else identity
        return request_key(valid, voice, self._state.settings.seed)

    async def _fail_in_its_pass(
        self,
        scripted: ScriptedRequest,
        key: bytes,
        identity: str,
        valid: Valid,
        refusal: LoraxRefusal,
    ) -> None:
        """Raise the shard's error when the request's turn has come; return if a script's pace keeps it off the shard."""
        if scripted.has_pace:
            self._state.metrics.batch_failed("prefill")
            return
        work = Work(
            *(identity, len(valid.prompt), valid.max_new_tokens, 1),
            error=refusal,
            serial=scripted.entry.serial,
            session=scripted.entry.session,
        )
        await self._state.batcher.submit([work], _meeting(scripted, key))[0].whole()

    def _validated(self, valid: Valid) -> None:
        counted = self._state.settings.limits.fast_tokenizer
        self._state.metrics.validated(valid.input_length if counted else None, valid.max_new_tokens)

    def _check_pass(self) -> None:
        """Raise LoraxRefusal where no forward pass can succeed, and count that it failed."""
        refusal = self._state.health.refusal()
        if refusal is None and self._state.settings.kind != "generate":
            refusal = generation("Server error: This model does not support text generation")
        if refusal is not None:
            self._state.metrics.batch_failed("prefill")
            raise refusal

    async def start_up(self) -> None:
        """Run the startup probe's request, without a journal entry; raises LoraxRefusal (router/src/server.rs:488)."""
        with self._state.permits.hold(1):
            if self._state.settings.kind != "generate":
                self._embed_at_start()
                return
            request = GenerateRequest("Who?", GenerateParameters(max_new_tokens=1))
            valid = validate(request, self._state.settings.limits, self._state.tokenizer)
            self._validated(valid)
            idle = self._state.batcher.shard.sent_away("")
            identity, persona = self._state.catalogue.open(request.parameters, None, idle=idle)
            key = self._key(valid, identity, persona)
            self._check_pass()
            sequence = generate(valid, persona, self._state.tokenizer, key, seed=0, reply=None)
            await self._state.batcher.submit([Work(identity, len(valid.prompt), 1, 1)])[0].whole()
        if not sequence.text:
            raise LoraxRefusal(500, "failed healthcheck", "Empty generation", "")

    def _embed_at_start(self) -> None:
        methods = ("classify", "embed") if self._state.settings.kind == "classify" else ("embed",)
        for method in methods:
            unwell = self._state.health.refusal()
            if unwell is not None:
                self._state.metrics.batch_failed(method)
                raise unwell
            self._state.metrics.batch(method)

    async def finished(self, run: Run, exchange: Exchange) -> list[Timing]:
        """The times of all sequences, once they are done; raises ClientLeft."""
        # Without a pace an answer is there before its client can think of leaving.
        watch = Watch(exchange) if self._state.settings.costs.paced or not run.entered else None
        if watch is not None:
            watch.when_gone(run.drop)
        ended = [await ticket.whole() for ticket in run.tickets]
        if watch is not None:
            watch.close()
        for place, ticket in enumerate(run.tickets):
            run.sequences[place] = ticket.retold or run.sequences[place]
        times = [timing_of(one) for one in ended if one is not None]
        if len(times) < len(ended):
            raise ClientLeft
        return times


def _meeting(scripted: ScriptedRequest, key: bytes) -> Meeting | None:
    """The meeting that a request asks for in its headers; raises LoraxRefusal (400)."""
    return read_meeting(
        scripted.exchange.header(b"x-lorax-mock-together"),
        scripted.exchange.header(b"x-lorax-mock-at"),
        session=scripted.entry.session,
        key=key,
    )
