"""LoRAX's events to the pieces of one OpenAI choice.

There is one machine a choice, the same for a stream and for an answer that is folded from it. The
way of a token through it:

    event -> visible text -> (tool reader) -> stop cutter -> piece, with the logprobs it releases

What each step answers on LoRAX's side:

- *Visible text*: events carry every token, the end token with its literal spelling included
  (server/lorax_server/utils/tokens.py); special ones and the one that ended generation are dropped.
  A character that is split over tokens arrives as empty texts, then whole
  (server/lorax_server/models/model.py:195).
- *Finish reasons*: `length` beats `eos_token` beats `stop_sequence` on one token
  (server/lorax_server/utils/tokens.py:191-212). OpenAI's `stop` is for a model that "hit a natural
  stop point or a provided stop sequence", `length` for a budget that cut it: so an end token that
  takes the last of the budget is a `stop`, and so is a stop string that we matched.
- *The end*: the final event is the one whose `generated_text` is not null. A stream that ends
  before it was cut off, whatever it looks like, and nothing is invented. It counts the tokens
  (router/src/infer.rs:1510: one event for each that the shard counted, accepted ones of speculation
  too), so events that were lost or doubled on the way show.
- *Documents*: text under a schema that LoRAX ends by itself is a whole JSON document, or the answer
  is a failure, with tools and without.
- *Usage*: LoRAX's counts (the end token included) when it came to its end; what was streamed when
  we stopped it.

Pieces carry no identity and no index: the shell adds those, so equal events give equal pieces. They are
msgspec's structs: a frozen dataclass takes eight times as long to make, and there is one a token.
"""

import json
from collections import deque
from collections.abc import Sequence
from typing import Literal

import msgspec

from lorax_proxy.core.stops import StopCutter
from lorax_proxy.core.tools.grammar import (
    ArgumentsDelta,
    CallStarted,
    TextDelta,
    ToolGrammar,
    ToolReader,
)
from lorax_proxy.errors import Lost, Refused, UpstreamError
from lorax_proxy.wire.lorax import Event, ScoredToken, StreamDetails, Token

__all__ = [
    "END_TOKENS",
    "NO_LOGPROB",
    "Choice",
    "FinishReason",
    "Finished",
    "Piece",
    "Reading",
    "Text",
    "TokenLogprob",
    "ends_unseen",
]

FinishReason = Literal["stop", "length", "tool_calls"]

NO_LOGPROB = -9999.0
"""What OpenAI documents for a token that is not among the likeliest; LoRAX sends null for NaN and
infinities, which JSON cannot hold."""


END_TOKENS = frozenset(
    {
        *(
            "</s>",
            "<eos>",
            "<|endoftext|>",
            "<|end_of_text|>",
            "<\uff5cend\u2581of\u2581sentence\uff5c>",
        ),
        *("<|eot_id|>", "<|eom_id|>", "<|im_end|>", "<end_of_turn>", "<|end|>", "<|end_of_turn|>"),
        *("<|END_OF_TURN_TOKEN|>", "<|return|>"),
    }
)
"""How the families that LoRAX serves spell the special tokens that end a turn or a text: what the
`eos_token_id` of their published `generation_config.json` name."""


class Reading(msgspec.Struct, frozen=True):
    """How one choice's events are to be read.

    Attributes:
        stops: The client's stop strings, none empty.
        logprobs: How many alternatives each token is to have; None when none were asked for.
        grammar: The tool grammar that LoRAX was told to keep to, if any.
        document: Whether LoRAX was told a schema for the visible text.
        ends: The spellings of tokens that end a turn; none when the client has them ignored.
        ranked: Whether whole answers are compared by their tokens' log probabilities.
    """

    stops: tuple[str, ...] = ()
    logprobs: int | None = None
    grammar: ToolGrammar | None = None
    document: bool = False
    ends: frozenset[str] = END_TOKENS
    ranked: bool = False


class TokenLogprob(msgspec.Struct, frozen=True, gc=False):
    """A token that the client sees, its log probability, and the likeliest in its place.

    `text` is what is certain with this token: empty while a character is incomplete, the whole
    character with the token that completes it. In an echoed prompt `top` is None, and so is the
    first token's `logprob`: nothing came before it.
    """

    text: str
    logprob: float | None
    top: tuple[tuple[str, float], ...] | None = ()


class Text(msgspec.Struct, frozen=True, gc=False):
    """The next visible text, and the tokens that it completes.

    Under a tool grammar the first one is empty: the answer is a text, and no call will come. So it
    is with an answer that was cut before the model had begun either.
    """

    text: str
    logprobs: tuple[TokenLogprob, ...] = ()


class Finished(msgspec.Struct, frozen=True, gc=False):
    """The choice is complete; the upstream may be closed.

    `prompt_tokens` is None when LoRAX did not say (we stopped it, or its model does not count).
    """

    reason: FinishReason
    completion_tokens: int
    prompt_tokens: int | None


Piece = Text | CallStarted | ArgumentsDelta | Finished


class _LogprobQueue:
    """Tokens whose text is not released yet, in order."""

    __slots__ = ("_alternatives", "_credit", "_waiting")

    def __init__(self, alternatives: int) -> None:
        self._alternatives = alternatives
        self._waiting: deque[TokenLogprob] = deque()
        self._credit = 0

    def push(self, token: Token) -> None:
        logprob = NO_LOGPROB if token.logprob is None else token.logprob
        # LoRAX decodes alternatives as if they followed the chosen token (flash_causal_lm.py:1993):
        # the text of the chosen one among them is known better
        chosen = token.id if isinstance(token, ScoredToken) else None
        top = tuple(
            (token.text, logprob)
            if chosen is not None and other.id == chosen
            else (other.text, NO_LOGPROB if other.logprob is None else other.logprob)
            for other in (token.alternative_tokens or ())[: self._alternatives]
        )
        self._waiting.append(TokenLogprob(token.text, logprob, top))

    def release(self, characters: int, *, cut: bool) -> tuple[TokenLogprob, ...]:
        """The tokens that the next released characters complete; at a cut, the part of one too."""
        credit = self._credit + characters
        waiting = self._waiting
        done: list[TokenLogprob] = []
        while waiting and (size := len(waiting[0].text)) <= credit:
            credit -= size
            done.append(waiting.popleft())
        if cut and credit:
            token = waiting.popleft()
            done.append(TokenLogprob(token.text[:credit], token.logprob, token.top))
        self._credit = credit
        return tuple(done)


class Choice:
    """Events of one LoRAX request in, pieces of one choice out.

    Attributes:
        finished: Whether the choice is complete; further events are ignored.
        ended: Whether LoRAX came to its end by itself: its final event is here.
        tokens: How many tokens have arrived.
        logprob: The sum of their log probabilities, by which `best_of` chooses; of a whole answer only if
            it is ranked.
    """

    __slots__ = (
        "_by_token",
        "_document",
        "_ends",
        "_logprobs",
        "_plain",
        "_ranked",
        "_reader",
        "_stops",
        "ended",
        "finished",
        "logprob",
        "tokens",
    )

    def __init__(self, reading: Reading) -> None:
        # where a token ends shows in logprobs, and in the usage of a text that we cut: nowhere else
        self._by_token = bool(reading.stops) or reading.logprobs is not None
        self._stops = StopCutter(reading.stops)
        self._reader = None if reading.grammar is None else ToolReader(reading.grammar)
        self._logprobs = None if reading.logprobs is None else _LogprobQueue(reading.logprobs)
        self._ends = reading.ends
        self._ranked = reading.ranked
        # what is to be a JSON document, when no tool grammar reads it
        self._document: list[str] = []
        self._plain = reading.grammar is None and not reading.document
        self.finished = False
        self.ended = False
        self.tokens = 0
        self.logprob = 0.0

    def feed(self, event: Event) -> list[Piece]:
        """Take the next event.

        Raises:
            UpstreamError: When the event is an error, or no event that LoRAX sends.
        """
        if self.finished:
            return []
        token = event.token
        if token is None:
            # LoRAX reports failures inside a stream with HTTP status 200 (router/src/server.rs:930)
            raise UpstreamError(Refused(200, event.error_type, event.error or ""))
        self.tokens += 1
        self.logprob += NO_LOGPROB if token.logprob is None else token.logprob
        details = event.details
        if event.generated_text is None:
            return [] if token.special else self._text(token, None)
        self.ended = True
        if details is None:
            # asked for in every request, so whoever leaves it out does not speak LoRAX's protocol
            raise UpstreamError(Lost.UNREADABLE)
        if details.generated_tokens != self.tokens:
            raise UpstreamError(Lost.MISCOUNTED)
        pieces = [] if ends_unseen(token, details) else self._text(token, details)
        # nothing more when its text held a stop string
        return pieces if self._stops.stopped else pieces + self._close(token, details)

    def pass_on(self, token: Token) -> None:
        """Take note of a token whose text needs nothing of this machine (`core.choice_reader`)."""
        self.tokens += 1
        self.logprob += NO_LOGPROB if token.logprob is None else token.logprob

    def feed_all(self, tokens: Sequence[Token], details: StreamDetails) -> list[Piece]:
        """Take a whole answer: what `feed` makes of its tokens one by one, in as few pieces as can be.

        Raises:
            UpstreamError: When there is no token, not as many as LoRAX counted, or no end that the
                format allows.
        """
        if not tokens:
            raise UpstreamError(Lost.CUT)
        if details.generated_tokens != len(tokens):
            raise UpstreamError(Lost.MISCOUNTED)
        if self._by_token:
            pieces = [piece for token in tokens[:-1] for piece in self.feed(Event(token))]
            return pieces + self.feed(Event(tokens[-1], "", details))
        self.ended = True
        self.tokens = len(tokens)
        if self._ranked:
            self.logprob = sum([NO_LOGPROB if t.logprob is None else t.logprob for t in tokens])
        seen = tokens[:-1] if ends_unseen(tokens[-1], details) else tokens
        text = "".join([token.text for token in seen if not token.special])
        return self._read(text, None) + self._close(tokens[-1], details)

    def finish(self) -> list[Piece]:
        """The upstream's body has ended.

        Raises:
            UpstreamError: When that was before the final event: a cut is never a clean end.
        """
        if not self.finished:
            raise UpstreamError(Lost.CUT)
        return []

    def _text(self, token: Token, details: StreamDetails | None) -> list[Piece]:
        """One visible token, through tool reader and stop cutter."""
        if self._logprobs is not None:
            self._logprobs.push(token)
        return self._read(token.text, details)

    def _read(self, text: str, details: StreamDetails | None) -> list[Piece]:
        if not text:
            return []
        if self._plain:
            return self._visible(text, details)
        if self._reader is None:
            self._document.append(text)
            return self._visible(text, details)
        pieces: list[Piece] = []
        for delta in self._reader.feed(text):
            if not isinstance(delta, TextDelta):
                pieces.append(delta)
            elif not delta.text:
                pieces.append(Text(""))
            else:
                pieces += self._visible(delta.text, details)
        return pieces

    def _visible(self, text: str, details: StreamDetails | None) -> list[Piece]:
        """Text that the client may see unless a stop string is in it."""
        released = self._stops.feed(text)
        pieces = self._release(released)
        if self._stops.stopped:
            self.finished = True
            prompt_tokens = details.prompt_tokens if details else 0
            pieces.append(Finished("stop", self.tokens, prompt_tokens or None))
        return pieces

    def _release(self, text: str) -> list[Piece]:
        if self._logprobs is None:
            return [Text(text)] if text else []
        logprobs = self._logprobs.release(len(text), cut=self._stops.stopped)
        return [Text(text, logprobs)] if text or logprobs else []

    def _close(self, last: Token, details: StreamDetails) -> list[Piece]:
        pieces: list[Piece] = []
        budget_cut = details.finish_reason == "length" and not (
            last.special and last.text in self._ends
        )
        reason: FinishReason = "length" if budget_cut else "stop"
        if self._reader is not None:
            held = "".join([delta.text for delta in self._reader.finish()])
            pieces = self._visible(held, details)
            if self.finished:
                return pieces
            if self._reader.malformed or (reason == "stop" and not self._reader.complete):
                # LoRAX was told a grammar and did not keep to it, or ended where the grammar does
                # not: nothing in it can be trusted
                raise UpstreamError(Lost.OFF_FORMAT)
            if self._reader.calls and reason == "stop":
                reason = "tool_calls"
            elif self._reader.undecided:
                # cut before anything was chosen: a message without calls has a text, though empty
                pieces = [Text("")]
        # a stop string of the client's may cut a document, also when LoRAX found it
        elif (
            not self._plain
            and not budget_cut
            and details.finish_reason != "stop_sequence"
            and not _is_json("".join(self._document))
        ):
            raise UpstreamError(Lost.OFF_FORMAT)
        pieces += self._release(self._stops.finish())
        self.finished = True
        pieces.append(Finished(reason, details.generated_tokens, details.prompt_tokens or None))
        return pieces


def ends_unseen(last: Token, details: StreamDetails) -> bool:
    """Whether the last token is no text: the end token's spelling, special to its tokenizer or not."""
    return last.special or details.finish_reason == "eos_token"


def _no_json(constant: str) -> None:
    raise ValueError(constant)


_DOCUMENT = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=_no_json)
"""As RFC 8259 says: without Python's NaN and Infinity, and with numbers of any length."""


def _is_json(text: str) -> bool:
    try:
        _DOCUMENT.decode(text)
    except (ValueError, RecursionError):
        return False
    return True
