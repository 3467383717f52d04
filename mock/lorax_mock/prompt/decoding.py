"""Ids to text as the shard does it: event texts by a window, the whole text afresh.

A token's event text is what the decoded text grew by (server/lorax_server/models/model.py:195-219). Both
decodes start at a place before the token, because real tokenizers add and drop spaces by what stands
around one. Text that ends in U+FFFD counts as unfinished, and then the window stays where it is: the
first bytes of a character give "", its last byte the character.

The window starts five tokens before the end of the prompt: `prompt_length - 5`, whatever the length
(server/lorax_server/models/flash_causal_lm.py:265). For a prompt of fewer tokens that place is negative, and
Python counts it from the end of what is there so far: the window moves on with each token that it waits for,
and the first bytes of a character of several tokens fall out of it. So after a prompt of two to four tokens
a stream may lose what such an answer begins with; from the first text that it shows on it loses nothing, and
the whole text has everything.

The whole text is decoded anew, with the prompt's last token before it and special tokens left out; it is
empty when it ends inside a character.
"""

from collections.abc import Callable, Sequence
from typing import Final, Protocol

__all__ = ["UNFINISHED", "Decode", "Decoder", "Window", "whole_text"]

UNFINISHED: Final = "\ufffd"
_WINDOW: Final = 5

Decode = Callable[[Sequence[int]], str]


class Decoder(Protocol):
    """Turns generated ids into event texts, one by one."""

    def feed(self, token: int) -> str:
        """The event text of the next token."""
        ...

    def feed_all(self, tokens: Sequence[int]) -> list[str]:
        """The event texts of the next tokens."""
        ...

    def peek(self, token: int) -> str:
        """What the event text would be, were this the next token."""
        ...


class Window:
    """The shard's own way, for any tokenizer."""

    __slots__ = ("_decode", "_ids", "_prefix", "_read")

    def __init__(self, decode: Decode, prompt: Sequence[int]) -> None:
        self._decode = decode
        self._ids = list(prompt)
        self._read = len(prompt)
        # Not below 0 would be right, and is not what LoRAX does: see above.
        self._prefix = self._read - _WINDOW

    def feed(self, token: int) -> str:
        """The event text of the next token."""
        self._ids.append(token)
        text = self._grown()
        if text:
            self._prefix, self._read = self._read, len(self._ids)
        return text

    def feed_all(self, tokens: Sequence[int]) -> list[str]:
        """The event texts of the next tokens."""
        return [self.feed(token) for token in tokens]

    def peek(self, token: int) -> str:
        """What the event text would be, were this the next token."""
        self._ids.append(token)
        text = self._grown()
        self._ids.pop()
        return text

    def _grown(self) -> str:
        before = self._decode(self._ids[self._prefix : self._read])
        return _added(before, self._decode(self._ids[self._prefix :]))


def whole_text(decode: Decode, prompt: Sequence[int], tokens: Sequence[int]) -> str:
    """The text of an answer; `decode` leaves special tokens out."""
    last = list(prompt[-1:])
    return _added(decode(last), decode([*last, *tokens]))


def _added(before: str, now: str) -> str:
    """By how much a text grew; nothing while it ends inside a character."""
    if len(now) <= len(before) or now.endswith(UNFINISHED):
        return ""
    return now[len(before) :]
