"""Sending whole answers and streams, with the faults that were asked for.

* A stream's status line and headers leave before anything is checked (router/src/server.rs:930), so
  refusals become events.
* A client that leaves is noticed between events, and its sequence leaves the shard with its next token.
"""

import logging
from collections.abc import Callable
from typing import Final, assert_never

from lorax_mock.errors import FatalRequest, Refusal
from lorax_mock.http.axum import JSON, ClientLeft, Exchange, Header
from lorax_mock.model.engine import pick_best
from lorax_mock.router.headers import of_stream, of_whole
from lorax_mock.router.validation import check_before_permit
from lorax_mock.scripting.faults import Act, Close, Effect, Fault, Send, Stall, effect_of
from lorax_mock.scripting.scripted_request import ScriptedRequest, begin
from lorax_mock.server.clock import Watch, breathe, clock
from lorax_mock.server.inference import Inference, Run
from lorax_mock.server.sender import EncodeEvent, Sender
from lorax_mock.server.state import State
from lorax_mock.wire.native import Generated, GenerateRequest
from lorax_mock.wire.replies import sse

__all__ = ["Encode", "Responder"]

_EVENT_STREAM: Final[tuple[Header, ...]] = (
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache"),
)

_log = logging.getLogger("lorax_mock")

_HINTS: Final = 100
"""Hints that are logged, each once; a load test must not fill the terminal."""

Encode = Callable[[Generated, tuple[Generated, ...]], bytes]
"""The winner and the losers of a request into a body; may raise LoraxRefusal."""


class Responder:
    """Sends what requests get, whole or as a stream."""

    def __init__(self, state: State, inference: Inference) -> None:
        self._state = state
        self._inference = inference
        self._hinted: set[str] = set()

    def _begin(
        self, exchange: Exchange, request: GenerateRequest, *, stream: bool
    ) -> ScriptedRequest:
        """The request in the journal, with what the script says of it; raises LoraxRefusal."""
        state = self._state
        state.metrics.asked()
        if state.script_file is not None:
            state.script_file.refresh(state.rulebook, state.journal)
        scripted = begin(
            exchange,
            request,
            stream=stream,
            journal=state.journal,
            rulebook=state.rulebook,
            now=clock(),
        )
        exchange.entry = scripted.entry
        if (hint := state.catalogue.hint(request.parameters)) is not None:
            exchange.extra.append((b"x-lorax-mock-hint", hint.encode("ascii", "replace")))
            scripted.entry.notes.append(hint)
            if hint not in self._hinted and len(self._hinted) < _HINTS:
                self._hinted.add(hint)
                _log.warning("lorax-mock: %s", hint)
        if state.watching.open:
            state.watching.began(scripted.entry)
        return scripted

    async def _start(self, scripted: ScriptedRequest, count: int = 1) -> Run:
        """The request's run; raises LoraxRefusal."""
        run = await self._inference.start(scripted, count)
        watching = self._state.watching
        if watching.open:
            watching.answering(
                scripted.entry.serial, run.sequences, run.tickets, scripted=scripted.has_pace
            )
        return run

    def _count_pass(self, fault: Fault) -> None:
        """Count a failed forward pass for a fault that is an error of the shard."""
        refusal = effect_of(fault).refusal
        if refusal is not None and refusal.counted_as == "generation":
            self._state.metrics.batch_failed("decode" if fault.place else "prefill")

    async def _fails_first(self, scripted: ScriptedRequest, *, stream: bool) -> bool:
        """Send the fault that replaces an answer; returns whether there was one. Raises Refusal."""
        fault, exchange = scripted.fault, scripted.exchange
        if fault is None:
            return False
        effect = effect_of(fault)
        if effect.hangs_up:
            scripted.entry.outcome = "fault"
            exchange.abort(reset=True)
            return True
        if effect.page is not None:
            scripted.entry.outcome, scripted.entry.status = "fault", effect.page
            page = f"<html><body><h1>{effect.page}</h1></body></html>\r\n".encode()
            await exchange.reply(scripted.entry.status, page, [(b"content-type", b"text/html")])
            return True
        refusal = effect.refusal
        if refusal is not None and not (stream and fault.place is not None):
            self._count_pass(fault)
            raise refusal
        return False

    async def answer(self, exchange: Exchange, request: GenerateRequest, encode: Encode) -> None:
        """Send a request's answer whole; raises Refusal before anything was sent."""
        scripted = self._begin(exchange, request, stream=False)
        entry = scripted.entry
        count = max(request.parameters.best_of or 1, 1)
        try:
            check_before_permit(request.parameters, self._state.settings.limits, stream=False)
            with self._state.permits.hold(count):
                if await self._fails_first(scripted, stream=False):
                    return
                run = await self._start(scripted, count)
                times = await self._inference.finished(run, exchange)
                best, others = pick_best(run.sequences)
                timing = times[next(n for n, one in enumerate(run.sequences) if one is best)]
            headers = of_whole(request, self._state.settings, best, timing)
            # A tool answer is parsed after it was counted (router/src/server.rs:338, 846).
            self._state.metrics.answered(best, timing)
            body = encode(best, others)
        except Refusal as refusal:
            entry.refused(refusal)
            raise
        except ClientLeft:
            entry.left(0)
            raise
        entry.answered(best)
        if scripted.fault is None:
            await exchange.reply(200, body, [JSON, *headers])
            return
        effect = effect_of(scripted.fault)
        acts = effect.acts([body])
        length = (b"content-length", b"%d" % _promised(acts, body))
        await exchange.start(200, _retyped([JSON, *headers, length], effect))
        if await self._perform(scripted, acts, Watch(exchange)):
            await exchange.end()

    async def stream(
        self, exchange: Exchange, request: GenerateRequest, encode: EncodeEvent, done: bytes = b""
    ) -> None:
        """Send a request's answer as a stream: headers, then events, then `done` if it ended well."""
        scripted = self._begin(exchange, request, stream=True)
        try:
            headers = of_stream(request, self._state.settings)
        except FatalRequest as refusal:
            scripted.entry.refused(refusal)
            raise
        effect = Effect() if scripted.fault is None else effect_of(scripted.fault)
        if effect.hangs_up or effect.page is not None:
            await self._fails_first(scripted, stream=True)
            return
        await exchange.start(200, _retyped([*_EVENT_STREAM, *headers], effect))
        try:
            check_before_permit(request.parameters, self._state.settings.limits, stream=True)
            with self._state.permits.hold(1):
                await self._fails_first(scripted, stream=True)
                run = await self._start(scripted)
                whole = await self._send_events(scripted, run, encode, done)
        except Refusal as refusal:
            scripted.entry.refused(refusal)
            await exchange.chunk(sse(self._state.spoken(refusal)[1]))
            whole = True
        if whole:
            await exchange.end()

    async def _send_events(
        self, scripted: ScriptedRequest, run: Run, encode: EncodeEvent, done: bytes
    ) -> bool:
        """Send a stream's events; returns False when the connection is not to be used any more."""
        exchange, entry, sequence = scripted.exchange, scripted.entry, run.sequences[0]
        watch = Watch(exchange)
        last = len(sequence.tokens) - 1
        if scripted.fault is not None:
            events = [
                encode(token, sequence if place == last else None)
                for place, token in enumerate(sequence.tokens)
            ]
            acts = effect_of(scripted.fault).acts([*events, done] if done else events)
            return await self._perform(scripted, acts, watch, run)
        sender = Sender(exchange, sequence, run.tickets[0], encode)
        sequence = await sender.run(
            watch, paced=scripted.paced(scripted.costs(self._state.settings.costs))
        )
        if sender.sent < len(sequence.tokens):
            entry.left(sender.sent)
            return False
        if done:
            await exchange.chunk(done)
        self._state.metrics.answered(sequence, run.timing)
        entry.answered(sequence)
        return True

    async def _perform(
        self, scripted: ScriptedRequest, acts: list[Act], watch: Watch, run: Run | None = None
    ) -> bool:
        """Do a fault's acts; returns False when the connection is not to be used any more.

        A stream (`run`) starts when its first token is there and then goes on at its pace, act by act.
        """
        exchange, entry = scripted.exchange, scripted.entry
        costs = scripted.costs(self._state.settings.costs)
        paced = scripted.paced(costs) and run is not None
        effect = Effect() if scripted.fault is None else effect_of(scripted.fault)
        if run is not None and effect.cuts:
            entry.cut = _cut(acts, run.sequences[0])
        if run is not None:
            watch.when_gone(run.drop)
            await run.tickets[0].more(0)
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
        if run is not None and scripted.fault is not None and effect.refusal is not None:
            self._count_pass(scripted.fault)
            self._state.metrics.failed(effect.refusal.counted_as)
        return True


def _promised(acts: list[Act], body: bytes) -> int:
    """The content-length of a whole answer: of what is sent, or of the whole body if it is cut off."""
    if any(isinstance(act, Close) for act in acts):
        return len(body)
    return sum(len(act.data) for act in acts if isinstance(act, Send))


def _cut(acts: list[Act], sequence: Generated) -> str | None:
    """The text that is sent of a stream when the fault leaves its final event out."""
    sent = b"".join(act.data for act in acts if isinstance(act, Send))
    *whole, _ = sent.split(b"\n\n")
    count = sum(
        event.startswith(b"data: {") and not event.startswith(b'data: {"error"') for event in whole
    )
    if count >= len(sequence.tokens):
        return None
    return "".join(token.text for token in sequence.tokens[:count])


def _retyped(headers: list[Header], effect: Effect) -> list[Header]:
    """The headers, with the fault's content type if it has one."""
    if effect.content_type is None:
        return headers
    kind = (b"content-type", effect.content_type)
    return [kind, *(header for header in headers if header[0] != b"content-type")]
