"""Text that LoRAX's shard loses after prompts of up to four tokens, and how it is got back.

The shard decodes each token in a window that begins five tokens before the end of the prompt
(server/lorax_server/models/flash_causal_lm.py:265). Before a shorter prompt that place is negative,
and Python counts it from the end of a list that grows: while a character is incomplete the window
moves along, and what it has passed is lost. So an answer whose first character is split over tokens
begins too late, sometimes with U+FFFD. `generated_text` is decoded afresh from all tokens
(flash_causal_lm.py:2033) and has everything; but it is empty when the answer ends inside a
character, and it lacks a space that a special token hides. So it counts only after such a prompt,
and only where it has what the tokens do not have.

A whole answer is read with the texts that its tokens should have had. A stream has been read by
then: what is missing at its end is sent, and what is missing before is a failure, since an answer
with a hole must not look like one without. So it is, whole or streamed, when the answer ends inside
a character and the first one is known to be lost. Only streams that begin with an incomplete character
are watched; and since the prompt's length in tokens is told at the end, only after short texts.
"""

from collections.abc import Sequence

import msgspec

from lorax_proxy.core.stream import (
    Choice,
    Piece,
    Reading,
    Text,
    TokenLogprob,
    ends_unseen,
)
from lorax_proxy.errors import Lost, Refused, UpstreamError
from lorax_proxy.wire.lorax import Event, GenerateRequest, StreamDetails, Token

__all__ = ["WatchedChoice", "may_be_few_tokens", "mended"]

_FEW_TOKENS = 4
"""The longest prompt before which the shard's window begins at a negative place."""

_LONGEST_CHARACTER = 4
"""Tokens that a character can be split into, one for each of its bytes in UTF-8."""

_SHORT = 64
"""Characters of a text that may be so few tokens; runs of blanks and dashes apart, words that have
one token each are far shorter."""


def may_be_few_tokens(request: GenerateRequest) -> bool:
    """Whether a request's prompt may be one that the shard trips over."""
    truncate = request.parameters.truncate
    return len(request.inputs) <= _SHORT or (truncate is not None and truncate <= _FEW_TOKENS)


def mended(tokens: Sequence[Token], details: StreamDetails, generated_text: str) -> Sequence[Token]:
    """The tokens of a whole answer with the texts that they stand for.

    Args:
        tokens: As LoRAX sent them, the last one included.
        details: What it says of the prompt and the end.
        generated_text: The whole text, as the shard decoded it at the end.

    Raises:
        UpstreamError: When text is lost that is nowhere else.
    """
    # 0: a model that does not count (causal_lm.py:689)
    if details.prompt_tokens > _FEW_TOKENS:
        return tokens
    if not generated_text:
        if details.prompt_tokens and _is_torn(tokens, details.prompt_tokens):
            raise UpstreamError(Lost.TORN)
        return tokens
    last = tokens[-1]
    if ends_unseen(last, details) and not last.special:
        # skipping special tokens does not skip this end token, before which a text may be torn
        spelling = last.text
        while not generated_text.endswith(spelling):
            spelling = spelling[1:]
        generated_text = generated_text.removesuffix(spelling)
    places = [
        place
        for place, token in enumerate(tokens)
        if not token.special and not (token is last and ends_unseen(last, details))
    ]
    texts = [tokens[place].text for place in places]
    if not texts or "".join(texts).endswith(generated_text):
        return tokens
    right = dict(zip(places, _shared_out(texts, generated_text), strict=True))
    return [
        msgspec.structs.replace(token, text=right[place]) if place in right else token
        for place, token in enumerate(tokens)
    ]


def _is_torn(tokens: Sequence[Token], prompt_tokens: int) -> bool:
    """Whether the window moved past an answer's first tokens before they were a text.

    It is as many tokens long as the prompt is shorter than five (flash_causal_lm.py:265). An
    answer of nothing but the beginning of one character has lost nothing that could be told.
    """
    waited = next((place for place, token in enumerate(tokens) if token.text), len(tokens))
    if waited <= _FEW_TOKENS - prompt_tokens:
        return False
    told = any(token.text and not token.special for token in tokens[waited:])
    return told or waited >= _LONGEST_CHARACTER


def _shared_out(texts: Sequence[str], whole: str) -> list[str]:
    """As many texts as there are, which join to `whole`: those that fit from either end stay."""
    begin, start = 0, 0
    while begin < len(texts) and whole.startswith(texts[begin], start):
        start += len(texts[begin])
        begin += 1
    end, stop = len(texts), len(whole)
    while end > begin and whole.endswith(texts[end - 1], start, stop):
        stop -= len(texts[end - 1])
        end -= 1
    middle = [""] * (end - begin)
    if middle:
        middle[-1] = whole[start:stop]
        return [*texts[:begin], *middle, *texts[end:]]
    # every text fits, and something is missing between two: it belongs to those that were empty
    shared = list(texts)
    at = max(begin - 1, 0)
    shared[at] = shared[at] + whole[start:stop] if begin else whole[start:stop] + shared[at]
    return shared


class WatchedChoice:
    """A `Choice` after a short prompt: the same machine, until its first text was held back.

    Attributes:
        finished: As a choice's.
        ended: As a choice's.
        tokens: As a choice's.
        logprob: As a choice's.
    """

    __slots__ = (
        "_choice",
        "_doubt",
        "_given",
        "_reading",
        "_tokens",
        "_untold",
        "_whole",
        "finished",
    )

    def __init__(self, reading: Reading, *, whole: bool) -> None:
        """Watch one choice.

        Args:
            reading: How its events are read.
            whole: Whether nobody sees its pieces before the last one is here.
        """
        self._reading = reading
        self._whole = whole
        self._choice = Choice(reading)
        self._tokens: list[Token] = []
        self._given: list[Piece] = []
        self._untold: tuple[TokenLogprob, ...] = ()
        self._doubt = True
        self.finished = False

    @property
    def plain(self) -> Choice | None:
        """The machine inside, once it needs no watching: it is as far as this one."""
        return None if self._doubt or self._whole else self._choice

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

    def feed(self, event: Event) -> list[Piece]:
        """Take the next event.

        Raises:
            UpstreamError: As `Choice.feed` does, and when a stream's text has a hole.
        """
        if self.finished:
            return []
        if not self._doubt and not self._whole:
            return self._plainly(event)
        token = event.token
        if token is None:
            raise UpstreamError(Refused(200, event.error_type, event.error or ""))
        if not self._tokens and token.text:
            # its first text came at once, so the window stands where it belongs
            self._doubt = False
            if not self._whole:
                return self._plainly(event)
        self._tokens.append(token)
        if event.generated_text is not None:
            return self._end(event.generated_text, event.details)
        pieces = self._choice.feed(event)
        # a stop string in what may have a hole ends nothing yet: LoRAX's end will tell
        if self._whole:
            self._given += pieces
            self.finished = self._choice.finished and not self._doubt
            return self._given if self.finished else []
        pieces = self._with_text(pieces)
        self._given += pieces
        return pieces

    def pass_on(self, token: Token) -> None:
        """Nothing is passed on while the choice is watched."""
        raise NotImplementedError

    def _with_text(self, pieces: Sequence[Piece]) -> list[Piece]:
        """The texts among pieces; tokens without one come with the next, or may have got one by then."""
        texts: list[Piece] = []
        for piece in pieces:
            if isinstance(piece, Text):
                self._untold += piece.logprobs
                if piece.text:
                    texts.append(Text(piece.text, self._untold))
                    self._untold = ()
        return texts

    def finish(self) -> list[Piece]:
        """The upstream's body has ended; raises as `Choice.finish` does."""
        if not self.finished:
            raise UpstreamError(Lost.CUT)
        return []

    def _plainly(self, event: Event) -> list[Piece]:
        pieces = self._choice.feed(event)
        self.finished = self._choice.finished
        return pieces

    def _end(self, generated_text: str, details: StreamDetails | None) -> list[Piece]:
        """The answer anew, with the texts that its tokens should have had."""
        if details is None:
            raise UpstreamError(Lost.UNREADABLE)
        self._choice = Choice(self._reading)
        pieces = self._choice.feed_all(mended(self._tokens, details, generated_text), details)
        self._choice.ended = True
        pieces = pieces if self._whole else self._rest(pieces)
        self.finished = True
        return pieces

    def _rest(self, right: Sequence[Piece]) -> list[Piece]:
        """Of the right pieces those that a stream's reader does not have yet."""
        given, text = _text(self._given), _text(right)
        if not text.startswith(given):
            raise UpstreamError(Lost.GARBLED)
        rest = text[len(given) :]
        # a token is told with the text that completes it, so those that wait are the rest's
        tokens = _tokens(right)[len(_tokens(self._given)) :]
        end = right[-1]
        return [Text(rest, tuple(tokens)), end] if rest or tokens else [end]


def _text(pieces: Sequence[Piece]) -> str:
    return "".join([piece.text for piece in pieces if isinstance(piece, Text)])


def _tokens(pieces: Sequence[Piece]) -> list[TokenLogprob]:
    return [token for piece in pieces if isinstance(piece, Text) for token in piece.logprobs]
