"""One `/generate_stream` body in, as it arrives; the pieces of its choice out, or their chunks' bytes.

This is everything between the two sockets of a stream: SSE, LoRAX's events, `core.stream`'s machine,
and the endpoint's way of writing. It comes in two forms that give the same bytes (a property test
holds them to it):

- *The machine.* Each event is understood (`wire.lorax`), becomes pieces (`Choice`), and each piece a
  chunk (`Style`).
- *The short way.* Where nothing is to be done with a text but to pass it on, an event that says only a
  visible text becomes that text between two halves of a chunk that were made once: a third of what the
  machine costs. Everything else (special and empty tokens, the end, failures) goes through the machine.

To copy a text's JSON out of the event as it stands was tried for the short way, and is slower: msgspec
reads and writes the text faster than anything finds out whether its JSON could stay.
"""

from collections.abc import Sequence

from lorax_proxy.core.short_prompts import WatchedChoice
from lorax_proxy.core.stream import Choice, Finished, Piece, Reading, Text
from lorax_proxy.core.style import Style
from lorax_proxy.errors import Lost, UpstreamError
from lorax_proxy.wire.lorax import Unreadable, decode_event, decode_scored_event
from lorax_proxy.wire.openai_replies import ChunkWriter, encode_json
from lorax_proxy.wire.sse import EventTooLarge, SseDecoder, escape_line_ends

__all__ = ["ChoiceChunks", "ChoiceReader"]


class ChoiceReader:
    """A body's bytes in, pieces out.

    Attributes:
        begun: Whether an event has arrived: LoRAX is past loading the adapter.
        failure: Why nothing more comes, once LoRAX failed or the answer broke off.
    """

    __slots__ = ("_choice", "_decode", "_decoder", "_watched", "begun", "failure")

    def __init__(self, reading: Reading, *, watched: bool = False, whole: bool = False) -> None:
        """Read one choice.

        Args:
            reading: How its events are read.
            watched: Whether its prompt may be so short that LoRAX loses text (`core.short_prompts`).
            whole: Whether nobody sees a piece before the last one is here.
        """
        self.begun = False
        self.failure: UpstreamError | None = None
        self._watched = WatchedChoice(reading, whole=whole) if watched else None
        self._choice: Choice | WatchedChoice = self._watched or Choice(reading)
        # tokens' numbers are worth their time only where alternatives are told
        self._decode = decode_scored_event if reading.logprobs else decode_event
        self._decoder = SseDecoder()

    @property
    def finished(self) -> bool:
        """Whether the choice is complete."""
        return self._choice.finished

    @property
    def ended(self) -> bool:
        """Whether LoRAX came to its end by itself."""
        return self._choice.ended

    @property
    def tokens(self) -> int:
        """How many tokens have arrived."""
        return self._choice.tokens

    @property
    def logprob(self) -> float:
        """The sum of their log probabilities."""
        return self._choice.logprob

    def feed(self, data: bytes) -> list[Piece]:
        """Take the next bytes of the body; none are its end.

        Raises:
            UpstreamError: When LoRAX failed or the answer broke off; pieces that came with the
                failure are returned first, and the next call raises.
        """
        pieces: list[Piece] = []
        try:
            for event in self._events(data):
                pieces += self._choice.feed(self._decode(event))
                if self._choice.finished:
                    break
        except (Unreadable, EventTooLarge, UpstreamError) as error:
            self._fail(error, raising=not pieces)
        if self._watched is not None:
            self._stop_watching()
        return pieces

    def _events(self, data: bytes) -> Sequence[bytes]:
        """The events that the next bytes complete.

        Raises:
            UpstreamError: When nothing more can come.
            EventTooLarge: When one is too large.
        """
        if self.failure is not None:
            raise self.failure
        if not data:
            self._decoder.finish()
            self._choice.finish()
            return ()
        events = self._decoder.feed(data)
        if events:
            self.begun = True
        return events

    def _stop_watching(self) -> None:
        assert self._watched is not None  # noqa: S101 - the caller looked
        if self._watched.plain is not None:
            # nothing is in doubt any more, and nothing more need be paid for it
            self._choice, self._watched = self._watched.plain, None

    def fail(self, error: UpstreamError) -> None:
        """The way to LoRAX failed: nothing more comes."""
        self._fail(error, raising=False)

    def _fail(self, error: Exception, *, raising: bool) -> None:
        """Take note of a failure, and raise it unless something is to be returned first."""
        if isinstance(error, UpstreamError):
            self.failure = error
        else:
            self.failure = UpstreamError(Lost.UNREADABLE)
            self.failure.__cause__ = error
        if raising:
            raise self.failure


class ChoiceChunks(ChoiceReader):
    """A body's bytes in, the bytes of chunks out.

    Attributes:
        end: What the choice ended with, once it did.
    """

    __slots__ = ("_after", "_before", "_framed", "_index", "_shortens", "_style", "_writer", "end")

    def __init__(
        self,
        reading: Reading,
        style: Style,
        writer: ChunkWriter,
        index: int,
        *,
        watched: bool = False,
        shortens: bool = True,
    ) -> None:
        """Read one choice.

        Args:
            reading: How its events are read.
            style: How its endpoint writes pieces.
            writer: What its stream's chunks share.
            index: The choice's.
            watched: As a `ChoiceReader`'s.
            shortens: Whether texts may go the short way; the machine alone gives the same bytes.
        """
        super().__init__(reading, watched=watched)
        self.end: Finished | None = None
        self._style = style
        self._writer = writer
        self._index = index
        self._before, self._after = style.frame(writer, index)
        # a text's log probabilities stand in its chunk
        self._framed = reading.logprobs is None
        self._shortens = (
            shortens and self._framed and not (reading.stops or reading.grammar or reading.document)
        )

    def chunks(self, data: bytes) -> bytes:
        """Take the next bytes of the body; none are its end.

        Raises:
            UpstreamError: As `feed`.
        """
        out: list[bytes] = []
        choice, before, after = self._choice, self._before, self._after
        shortens = self._shortens and self._watched is None
        try:
            for written in self._events(data):
                event = self._decode(written)
                token = event.token
                if (
                    shortens
                    and token is not None
                    and token.text
                    and not token.special
                    and event.generated_text is None
                ):
                    choice.pass_on(token)
                    text = encode_json(token.text)
                    out += (before, text if text.isascii() else escape_line_ends(text), after)
                    continue
                for piece in choice.feed(event):
                    if self._framed and isinstance(piece, Text):
                        out += (before, escape_line_ends(encode_json(piece.text)), after)
                        continue
                    out.append(self._style.chunk(self._writer, self._index, piece))
                    if isinstance(piece, Finished):
                        self.end = piece
                if choice.finished:
                    break
        except (Unreadable, EventTooLarge, UpstreamError) as error:
            self._fail(error, raising=not out)
        if self._watched is not None:
            self._stop_watching()
        return b"".join(out)
