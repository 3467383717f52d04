"""Sending: whole answers, streams, and what faults make of both.

* A stream's status line and headers leave before anything is checked (router/src/server.rs:930), so
  refusals become events.
* A client that leaves is noticed between events, and its sequence leaves the shard with its next token.
"""

from collections.abc import Callable
from typing import Final, assert_never

from lorax_mock.errors import FatalRequest, Refusal
from lorax_mock.http.axum import JSON, ClientLeft, Exchange, Header
from lorax_mock.model.engine import pick_best
from lorax_mock.router.headers import of_stream, of_whole
from lorax_mock.router.validation import check_before_permit
from lorax_mock.scripting.admission import Asked
from lorax_mock.scripting.faults import Act, Close, Effect, Send, Stall, effect_of
from lorax_mock.server.clock import Silence, Watch, breathe
from lorax_mock.server.generating import Generating, Ran
from lorax_mock.wire.native import Generated, GenerateRequest, Token
from lorax_mock.wire.replies import sse

__all__ = ["Answering", "Encode", "EncodeEvent"]

_EVENT_STREAM: Final[tuple[Header, ...]] = (
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache"),
)

Encode = Callable[[Generated, tuple[Generated, ...]], bytes]
"""The winner and the losers of a request into a body; may raise LoraxRefusal."""

EncodeEvent = Callable[[Token, Generated | None], bytes]
"""A token, with the whole at the last one, into a framed event."""


class Answering(Generating):
    """How a mock answers."""

    async def _fails_first(self, asked: Asked, *, stream: bool) -> bool:
        """Faults that come instead of an answer; raises Refusal, or says that all is said."""
        fault, exchange = asked.fault, asked.exchange
        if fault is None:
            return False
        effect = effect_of(fault)
        if effect.hangs_up:
            asked.entry.outcome = "fault"
            exchange.abort(reset=True)
            return True
        if effect.page is not None:
            asked.entry.outcome, asked.entry.status = "fault", effect.page
            page = f"<html><body><h1>{effect.page}</h1></body></html>\r\n".encode()
            await exchange.reply(asked.entry.status, page, [(b"content-type", b"text/html")])
            return True
        refusal = effect.refusal
        if refusal is not None and not (stream and fault.place is not None):
            self.fail_by(fault)
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
                ran = await self.run(asked, count)
                times = await self.finished(ran, exchange)
                best, others = pick_best(ran.sequences)
                timing = times[next(n for n, one in enumerate(ran.sequences) if one is best)]
            headers = of_whole(request, self.settings, best, timing)
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
        effect = effect_of(asked.fault)
        acts = effect.acts([body])
        length = (b"content-length", b"%d" % _promised(acts, body))
        await exchange.start(200, _retyped([JSON, *headers, length], effect))
        if await self._perform(asked, acts, Watch(exchange)):
            await exchange.end()

    async def stream(
        self, exchange: Exchange, request: GenerateRequest, encode: EncodeEvent, done: bytes = b""
    ) -> None:
        """Headers first, then events; `done` follows a stream that ended well."""
        asked = self.ask(exchange, request, stream=True)
        try:
            headers = of_stream(request, self.settings)
        except FatalRequest as refusal:
            asked.entry.refused(refusal)
            raise
        effect = Effect() if asked.fault is None else effect_of(asked.fault)
        if effect.hangs_up or effect.page is not None:
            await self._fails_first(asked, stream=True)
            return
        await exchange.start(200, _retyped([*_EVENT_STREAM, *headers], effect))
        try:
            check_before_permit(request.parameters, self.settings.limits, stream=True)
            with self.permits(1):
                await self._fails_first(asked, stream=True)
                ran = await self.run(asked)
                whole = await self._send_events(asked, ran, encode, done)
        except Refusal as refusal:
            asked.entry.refused(refusal)
            await exchange.chunk(sse(self.spoken(refusal)[1]))
            whole = True
        if whole:
            await exchange.end()

    async def _send_events(self, asked: Asked, ran: Ran, encode: EncodeEvent, done: bytes) -> bool:
        """Send what there is to send; False when the connection is not to be used any more."""
        exchange, entry, sequence = asked.exchange, asked.entry, ran.sequences[0]
        watch = Watch(exchange)
        last = len(sequence.tokens) - 1
        if asked.fault is not None:
            events = [
                encode(token, sequence if place == last else None)
                for place, token in enumerate(sequence.tokens)
            ]
            acts = effect_of(asked.fault).acts([*events, done] if done else events)
            return await self._perform(asked, acts, watch, ran)
        if ran.tickets:
            sent = await self._send_as_they_come(exchange, watch, ran, encode)
        else:
            sent = await self._send_at_its_pace(asked, watch, sequence, encode)
        sequence = ran.sequences[0]
        if sent < len(sequence.tokens):
            entry.left(sent)
            return False
        if done:
            await exchange.chunk(done)
        self.metrics.answered(sequence, ran.timing)
        entry.answered(sequence)
        return True

    async def _send_as_they_come(
        self, exchange: Exchange, watch: Watch, ran: Ran, encode: EncodeEvent
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
                if ticket.retold is not None:
                    sequence = ran.sequences[0] = ticket.retold
                    tokens, last = sequence.tokens, len(sequence.tokens) - 1
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
        self, asked: Asked, acts: list[Act], watch: Watch, ran: Ran | None = None
    ) -> bool:
        """Do what a fault makes of an answer; False when the connection is not to be used any more.

        A stream (`ran`) starts when its first token is there and then goes on at its pace, act by act.
        """
        exchange, entry = asked.exchange, asked.entry
        costs = asked.costs(self.settings.costs)
        paced = asked.paced(costs) and ran is not None
        effect = Effect() if asked.fault is None else effect_of(asked.fault)
        if ran is not None and effect.cuts:
            entry.cut = _cut(acts, ran.sequences[0])
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
        if ran is not None and asked.fault is not None and effect.refusal is not None:
            self.fail_by(asked.fault)
            self.metrics.failed(effect.refusal.counted_as)
        return True


def _promised(acts: list[Act], body: bytes) -> int:
    """The length that a whole answer tells: what is sent, but of one that is cut off the whole of it."""
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
    """The headers, with another content type if that is the fault."""
    if effect.content_type is None:
        return headers
    kind = (b"content-type", effect.content_type)
    return [kind, *(header for header in headers if header[0] != b"content-type")]
