"""The language model of the correct server: it recites, and stops where it is told to.

What it says depends on the prompt and the seed alone, so equal requests have equal answers, a larger
budget goes on where a smaller one stopped, and a longer prompt counts more tokens. Long words are two
tokens, so that a stop string may begin inside one.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

__all__ = ["Spoken", "count", "identity", "recite", "speak", "value"]

_WORDS = [
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "fifteen",
    "twenty",
    "thirty",
    "forty",
    "hundred",
    "thousand",
    "naïve",
    "日本",
    "😀",
    "river",
    "mountain",
    "window",
    "garden",
    "silver",
    "quickly",
    "bright",
]


@dataclass(slots=True)
class Spoken:
    """One choice, as tokens and how they end."""

    tokens: list[str]
    finish: str
    spent: int
    call: tuple[str, str] | None = None


def speak(tokens: Sequence[str], request: Mapping[str, Any], budget: int | None) -> Spoken:
    """Cuts what the model would say at the stop strings, the budget, or its own end."""
    stop = request.get("stop")
    stops = [stop] if isinstance(stop, str) else stop or []
    kept: list[str] = []
    text = ""
    for spent, token in enumerate(tokens):
        if budget is not None and spent >= budget:
            return Spoken(kept, "length", spent)
        before = len(text)
        text += token
        hits = [text.index(one) for one in stops if one in text]
        if hits:
            cut = min(hits)
            joined, kept = "".join(kept), list(kept)
            if cut >= before:
                return Spoken(
                    [*kept, token[: cut - before]] if cut > before else kept, "stop", spent + 1
                )
            return Spoken(_cut(kept, len(joined) - cut), "stop", spent + 1)
        kept.append(token)
    if budget is not None and len(tokens) >= budget:
        return Spoken(kept, "length", len(tokens))
    return Spoken(kept, "stop", len(tokens) + 1)


def _cut(tokens: list[str], characters: int) -> list[str]:
    tokens = list(tokens)
    while characters and tokens:
        last = tokens.pop()
        if len(last) > characters:
            tokens.append(last[:-characters])
            break
        characters -= len(last)
    return tokens


def identity(*parts: Any) -> int:
    """A number that depends on these parts and nothing else."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:8], "big")


# Every planted server is asked the same, and 1, 1.0 and true are three seeds.
@lru_cache(maxsize=4096, typed=True)
def recite(prompt: str, seed: Any, index: int) -> tuple[str, ...]:
    """The tokens that the model would go on to say: 20 to 50 words, some split in two."""
    tokens: list[str] = []
    for place in range(20 + identity(prompt, seed, index, "length") % 30):
        word = _WORDS[identity(prompt, seed, index, place) % len(_WORDS)]
        spaced = (" " if tokens else "") + word
        if len(word) > 5 and word.isascii():
            tokens += [spaced[:4], spaced[4:]]
        else:
            tokens.append(spaced)
    return tuple(tokens)


def count(text: str) -> int:
    """How many tokens a prompt has."""
    return max(1, (len(text) + 3) // 4)


def value(schema: Mapping[str, Any], key: int) -> Any:
    """A value that fits a simple schema."""
    if "enum" in schema:
        return schema["enum"][key % len(schema["enum"])]
    match schema.get("type", "object"):
        case "string":
            return _WORDS[key % 12]
        case "integer" | "number":
            return key % 100
        case "boolean":
            return bool(key % 2)
        case "array":
            return [value(schema.get("items", {}), key)]
        case _:
            properties = schema.get("properties", {"answer": {"type": "string"}})
            return {
                name: value(inner, key + place)
                for place, (name, inner) in enumerate(properties.items())
            }
