"""Embedding and classifying models: what `/embed` and `/classify` answer.

Vectors mean something: each word has a fixed direction, a text is the sum of its words, so texts that
share words are near and a client's ranking can be tested. Entities are capitalised words; how they are
grouped follows the router to its oddities (router/src/infer.rs:1765): after the first entity, runs of
plain words are entities of group "0", and the first entity's score forgets its first token.
"""

import hashlib
import math
import re
from dataclasses import dataclass
from typing import Final

from lorax_mock.hashing import digest
from lorax_mock.serde.floats import f32, spell_f32
from lorax_mock.wire.replies import encode_text

__all__ = ["Entity", "embedding", "encode_embedding", "encode_entities", "entities", "logits"]

_DIMENSIONS: Final = 384
_WORD = re.compile(r"\w+|[^\w\s]+")
_LABELS: Final = ("PER", "LOC", "ORG", "MISC")


def embedding(text: str, adapter: str, seed: int) -> list[float]:
    """A unit vector of 384 single-precision numbers; another adapter, another space."""
    total = [0.0] * _DIMENSIONS
    for word in _WORD.findall(text.lower()) or [""]:
        direction = hashlib.shake_128(digest("embed", seed, adapter, word)).digest(_DIMENSIONS)
        for place, byte in enumerate(direction):
            total[place] += byte - 127.5
    length = math.sqrt(sum(value * value for value in total))
    return [f32(value / length) for value in total]


def logits(text: str, tokens: int, seed: int) -> list[float]:
    """What a classifier answers to `/embed`: a number for each label of each token, cut off."""
    count = min(tokens * (2 * len(_LABELS) + 1), _DIMENSIONS)
    drawn = hashlib.shake_128(digest("logits", seed, text)).digest(count)
    return [f32((byte - 127.5) / 16) for byte in drawn]


def encode_embedding(values: list[float]) -> bytes:
    """A bare list of numbers."""
    return f"[{','.join(map(spell_f32, values))}]".encode()


@dataclass(frozen=True, slots=True)
class Entity:
    """One entity; start and end count bytes of the input."""

    entity_group: str
    score: float
    word: str
    start: int
    end: int


def entities(text: str, seed: int) -> list[Entity]:
    """What the classifier found, as the router groups it."""
    data = text.encode()
    found: list[Entity] = []
    current: tuple[str, float, int, int] | None = None
    scores: list[float] = []
    previous = "O"
    at = 0
    for match in _WORD.finditer(text):
        start = at + len(text[_chars(text, at, data) : match.start()].encode())
        end = start + len(match[0].encode())
        at = end
        label = _label(match[0], previous, seed)
        previous = label
        begins, _, group = label.partition("-")
        group = group or "0"
        score = f32(0.5 + digest("score", seed, match[0])[0] / 512)
        if begins == "B" or (current is not None and group != current[0]):
            if current is not None:
                found.append(_finished(current, data))
                scores = [score]
            current = (group, score, start, end)
        elif current is not None:
            scores.append(score)
            current = (current[0], f32(sum(scores) / len(scores)), current[2], end)
    if current is not None:
        found.append(_finished(current, data))
    return found


def _chars(text: str, at: int, data: bytes) -> int:
    """The character place of a byte offset; equal for ASCII, and words always end at characters."""
    return at if text.isascii() else len(data[:at].decode())


def _label(word: str, previous: str, seed: int) -> str:
    if not word[0].isupper():
        return "O"
    if previous != "O":
        return f"I-{previous[2:]}"
    return f"B-{_LABELS[digest('label', seed, word)[0] % len(_LABELS)]}"


def _finished(current: tuple[str, float, int, int], data: bytes) -> Entity:
    group, score, start, end = current
    word = data[start:end].decode()
    lowered = "".join(char.lower() if char.isascii() else char for char in word)
    return Entity(group, score, lowered, start, end)


def encode_entities(found: list[Entity]) -> bytes:
    """A list of Entity objects."""
    return b"[%b]" % b",".join(
        b'{"entity_group":%b,"score":%b,"word":%b,"start":%d,"end":%d}'
        % (
            encode_text(entity.entity_group),
            spell_f32(entity.score).encode(),
            encode_text(entity.word),
            entity.start,
            entity.end,
        )
        for entity in found
    )
