"""Text to tokens and back, as the router and the shard do it.

Two directions with different rules:

* *In*: special-token spellings inside a prompt become their special ids, wherever they stand;
  the rest is cut into words and each word into the longest vocabulary entries from the left.
* *Out*: as the shard decodes (`decoding`): a stream shows text late.

The one vocabulary serves limits, counts, `/tokenize` and events alike.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from lorax_mock.prompt.decoding import UNFINISHED, Decode, Decoder, Window
from lorax_mock.prompt.vocabulary import SPECIAL, piece_of, vocabulary
from lorax_mock.wire.native import SimpleToken

__all__ = ["BuiltinTokenizer", "Tokenizer", "builtin"]

_WORD = re.compile(
    r"(?i:'(?:s|t|re|ve|m|ll|d))\b"
    r"|[^\r\n\w]?[^\W\d_]+"
    r"|\d{1,3}"
    r"| ?[^\s\w]+[\r\n]*"
    r"|_+"
    r"|\s*[\r\n]+"
    r"|\s+(?!\S)"
    r"|\s+"
)
"""How a text falls into words; every character belongs to exactly one alternative."""

_LOGITS: Final = 128_256
"""`vocab_size` in the configuration of Llama 3.1, whose special tokens the built-in vocabulary has."""

_WORD_CACHE_LIMIT: Final = 65_536
_WORD_CACHE_LENGTH: Final = 32
"""Longer words are seldom seen twice and would let a client fill the memory."""


class Tokenizer(Protocol):
    """The interface of a tokenizer."""

    bos: int | None
    """Id that `/generate` puts in front; None when the model has none."""

    eos: int
    """Id that an answer of the mock's own ends with."""

    ends: frozenset[int]
    """Every id that ends an answer: those of the generation config if it lists several."""

    def encode(self, text: str, *, special: bool = True) -> list[int]:
        """Ids of a text; `special` adds what the post-processor adds."""
        ...

    def encode_plain(self, text: str) -> list[int]:
        """Ordinary ids of a text, special spellings included: all that a grammar's vocabulary has.

        outlines leaves special tokens out of it (server/lorax_server/utils/logits_process.py:586,
        outlines-core 0.1.14 fsm/regex.py).
        """
        ...

    def is_special(self, token: int) -> bool:
        """Whether an id is among the tokenizer's special ones."""
        ...

    def decode(self, tokens: Sequence[int], *, skip_special: bool = False) -> str:
        """Text of ids; bytes that are no text become U+FFFD."""
        ...

    def tokenize(self, text: str, *, special: bool = True) -> list[SimpleToken]:
        """As `/tokenize` shows a text: pieces with character offsets."""
        ...

    def decoder(self, prompt: Sequence[int]) -> Decoder:
        """Turns the ids generated after a prompt into event texts."""
        ...

    def size(self) -> int:
        """The number of ordinary ids, which are 0 up to here."""
        ...

    def logits(self) -> int:
        """The model's `vocab_size`: how many logits it has, all ids being below."""
        ...


class _Plain(Window):
    """A decoder that gives the texts of `Window`, without decoding tokens that are whole characters."""

    __slots__ = ("_plain",)

    def __init__(self, plain: Mapping[int, str], decode: Decode, prompt: Sequence[int]) -> None:
        super().__init__(decode, prompt)
        self._plain = plain

    def feed(self, token: int) -> str:
        """The event text of the next token."""
        at = len(self._ids)
        text = self._plain.get(token) if self._read == at else None
        if text is None:
            return super().feed(token)
        self._ids.append(token)
        self._prefix, self._read = at, at + 1
        return text

    def feed_all(self, tokens: Sequence[int]) -> list[str]:
        """The event texts of the next tokens."""
        at = len(self._ids)
        texts = [self._plain.get(token) for token in tokens]
        whole = [text for text in texts if text is not None]
        if self._read != at or not whole or len(whole) < len(texts):
            return super().feed_all(tokens)
        self._ids.extend(tokens)
        self._read = len(self._ids)
        self._prefix = self._read - 1
        return whole

    def peek(self, token: int) -> str:
        """What the event text would be, were this the next token."""
        text = self._plain.get(token) if self._read == len(self._ids) else None
        return super().peek(token) if text is None else text


class BuiltinTokenizer:
    """The built-in vocabulary with Llama 3.1's special tokens."""

    def __init__(self) -> None:
        self._bytes = vocabulary()
        self._ids = {entry: token for token, entry in enumerate(self._bytes)}
        self._reach = [0] * 256
        """By first byte, the longest entry's length: most bytes begin short ones only."""

        for entry in self._bytes:
            self._reach[entry[0]] = max(self._reach[entry[0]], len(entry))
        self._special_names = {token: name for name, token in SPECIAL.items()}
        self._split_special = re.compile("|".join(map(re.escape, SPECIAL)))
        self._spelled = dict(enumerate(self._bytes))
        self._spelled |= {token: name.encode() for name, token in SPECIAL.items()}
        """The bytes of each token; a special token's are its spelling."""

        texts = {token: _as_text(entry) for token, entry in self._spelled.items()}
        self._plain = {token: text for token, text in texts.items() if text is not None}
        self._words: dict[str, tuple[int, ...]] = {}
        self.bos: int | None = SPECIAL["<|begin_of_text|>"]
        self.eos = SPECIAL["<|eot_id|>"]
        # As the generation config of Llama 3.1 lists them.
        self.ends = frozenset(
            SPECIAL[name] for name in ("<|end_of_text|>", "<|eom_id|>", "<|eot_id|>")
        )

    def size(self) -> int:
        """The number of ordinary ids, which are 0 up to here."""
        return len(self._bytes)

    def logits(self) -> int:
        """The `vocab_size` of Llama 3.1; most of these ids stand for no text of the built-in vocabulary."""
        return _LOGITS

    def is_special(self, token: int) -> bool:
        """Whether an id is among the special ones."""
        return token in self._special_names

    def encode(self, text: str, *, special: bool = True) -> list[int]:
        """Ids of a text, BOS first if `special`; special spellings become special ids."""
        out: list[int] = []
        if special and self.bos is not None:
            out.append(self.bos)
        start = 0
        if "<|" in text:
            for match in self._split_special.finditer(text):
                self._encode_plain(text[start : match.start()], out)
                out.append(SPECIAL[match[0]])
                start = match.end()
        self._encode_plain(text[start:] if start else text, out)
        return out

    def encode_plain(self, text: str) -> list[int]:
        """Ordinary ids of a text, special spellings included."""
        out: list[int] = []
        self._encode_plain(text, out)
        return out

    def _encode_plain(self, text: str, out: list[int]) -> None:
        words = self._words
        for word in _WORD.findall(text):
            tokens = words.get(word)
            out += self._encode_word(word) if tokens is None else tokens

    def _encode_word(self, word: str) -> tuple[int, ...]:
        data = word.encode()
        whole = self._ids.get(data)
        if whole is not None:
            tokens: tuple[int, ...] = (whole,)
        else:
            found: list[int] = []
            ids, reach = self._ids, self._reach
            at = 0
            while at < len(data):
                stop = min(at + reach[data[at]], len(data))
                while (token := ids.get(data[at:stop])) is None:
                    stop -= 1
                found.append(token)
                at = stop
            tokens = tuple(found)
        if len(word) <= _WORD_CACHE_LENGTH:
            if len(self._words) >= _WORD_CACHE_LIMIT:
                self._words.clear()
            self._words[word] = tokens
        return tokens

    def spell(self, token: int) -> bytes:
        """The bytes of one token; a special token's are its spelling."""
        return self._spelled[token]

    def decode(self, tokens: Sequence[int], *, skip_special: bool = False) -> str:
        """Text of ids; bytes that are no text become U+FFFD."""
        if skip_special:
            names = self._special_names
            tokens = [token for token in tokens if token not in names]
        return b"".join([self._spelled[token] for token in tokens]).decode("utf-8", "replace")

    def tokenize(self, text: str, *, special: bool = True) -> list[SimpleToken]:
        """Pieces with character offsets; a part of a character spans the whole character."""
        tokens = self.encode(text, special=special)
        char_of_byte: list[int] = []
        for place, char in enumerate(text):
            char_of_byte += [place] * len(char.encode())
        out: list[SimpleToken] = []
        at = 0
        for number, token in enumerate(tokens):
            name = self._special_names.get(token)
            if number == 0 and special and token == self.bos:
                out.append(SimpleToken(token, name or "", 0, 0))
                continue
            spelled = self.spell(token)
            start = char_of_byte[at]
            at += len(spelled)
            stop = char_of_byte[at - 1] + 1
            piece = piece_of(spelled) if name is None else name
            out.append(SimpleToken(token, piece, start, stop))
        return out

    def decoder(self, prompt: Sequence[int]) -> Decoder:
        """Turns the ids generated after a prompt into event texts."""
        return _Plain(self._plain, self.decode, prompt)


def _as_text(entry: bytes) -> str | None:
    """A token's text when it is whole characters and none of them U+FFFD at the end."""
    try:
        text = entry.decode()
    except UnicodeDecodeError:
        return None
    return None if text.endswith(UNFINISHED) else text


_BUILTIN: list[BuiltinTokenizer] = []


def builtin() -> BuiltinTokenizer:
    """The built-in tokenizer, made once a process."""
    if not _BUILTIN:
        _BUILTIN.append(BuiltinTokenizer())
    return _BUILTIN[0]
