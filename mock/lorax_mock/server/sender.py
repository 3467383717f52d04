"""Sending a stream's events as its tokens come.

Whoever gives a token (the shard, or a script's pace) sends its event in the same turn, and tokens that came together
in one write. With hundreds of streams, each step of the shard walks over all of them, whose objects are no
longer in the processor's caches; so the bytes of all events are made when the stream begins, and a
step touches as little of a stream as can be: its ticket, this sender, its connection.

A task of the stream's own waits for what cannot be done in that turn: the last event, a client that is behind
(everything is then sent in the task's time), a stream whose neighbours have changed it, and servers that cannot write
at once.
"""

from collections.abc import Callable

from lorax_mock.http.axum import Exchange
from lorax_mock.server.clock import Silence, Watch
from lorax_mock.server.ticket import Ticket
from lorax_mock.wire.native import Generated, Token

__all__ = ["EncodeEvent", "Sender"]

EncodeEvent = Callable[[Token, Generated | None], bytes]
"""A token, with the whole at the last one, into a framed event."""


class Sender:
    """Sends the events of one stream."""

    __slots__ = (
        "_encode",
        "_exchange",
        "_frames",
        "_last",
        "_offer",
        "_sequence",
        "_ticket",
        "sent",
    )

    def __init__(
        self, exchange: Exchange, sequence: Generated, ticket: Ticket, encode: EncodeEvent
    ) -> None:
        self._exchange = exchange
        self._sequence = sequence
        self._ticket = ticket
        self._encode = encode
        self.sent = 0
        """How many events were sent."""

        self._last = len(sequence.tokens) - 1
        self._frames: list[bytes] = []
        outlet = exchange.outlet
        if outlet is not None:
            frame = outlet.frame
            self._frames = [frame(encode(token, None)) for token in sequence.tokens[:-1]]
            self._offer = outlet.offer

    def take(self, there: int) -> bool:
        """Send the events of the first `there` tokens, but for the last; False if the task is to send any."""
        sent = self.sent
        ready = min(there, self._last)
        frames = self._frames
        data = frames[sent] if ready - sent == 1 else b"".join(frames[sent:ready])
        if not self._offer(data):
            return False
        self.sent = ready
        return there == ready

    async def run(self, watch: Watch, *, paced: bool) -> Generated:
        """Send all events, or until the client leaves; returns the sequence as its neighbours left it.

        A paced stream gets axum's keep-alive comments when nothing was sent for 15 seconds.
        """
        ticket, exchange = self._ticket, self._exchange
        watch.when_gone(ticket.drop)
        take = self.take if self._frames else None
        silence = Silence(exchange, lambda: self.sent) if paced else None
        try:
            while self.sent <= self._last and not watch.gone:
                ticket.deliver(take)
                there = await ticket.more(self.sent)
                ticket.deliver(None)
                if ticket.retold is not None:
                    take, self._sequence = None, ticket.retold
                    self._last = len(self._sequence.tokens) - 1
                while self.sent < there and not watch.gone:
                    whole = self._sequence if self.sent == self._last else None
                    token = self._sequence.tokens[self.sent]
                    await exchange.chunk(self._encode(token, whole))
                    self.sent += 1
        finally:
            if silence is not None:
                silence.close()
        return self._sequence
