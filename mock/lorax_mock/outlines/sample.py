"""JSON that obeys a schema: the text a constrained model would produce, in a persona's words.

Spaces stand where people put them and the grammar admits one. A text that the grammar allows but the
schema as a whole does not (two branches of a oneOf at once, items that should differ) is drawn anew a
few times; if none conforms the grammar has the last word, as it does in a real LoRAX.
"""

import json
import math
import re
import warnings
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, assert_never

from lorax_mock.errors import generation
from lorax_mock.hashing import Draws
from lorax_mock.outlines.grammar import (
    ArrayOf,
    Concatenation,
    Literal,
    MapOf,
    Node,
    Number,
    OneOf,
    Pattern,
    Record,
    Repeat,
    Text,
)
from lorax_mock.outlines.patterns import Sampler
from lorax_mock.outlines.regex import PatternError
from lorax_mock.outlines.schema import SchemaError, compile_schema

__all__ = ["compose"]

_ATTEMPTS: Final = 40
_MOST_EXTRA_ITEMS: Final = 3
_OFTEN: Final = 192
"""Of 256: how often an optional property is there."""

_PLAIN_STRING: Final = 60
"""Characters of a string without a length rule, at most."""


def compose(schema: Any, draws: Draws, words: Callable[[], str]) -> str:
    """A conforming text; raises LoraxRefusal (424) when LoRAX's compiler would not take the schema."""
    try:
        grammar = _compiled(json.dumps(schema))
        first = ""
        for _ in range(_ATTEMPTS):
            text = _Writer(draws, words).write(grammar)
            first = first or text
            if _conforms(schema, text):
                return text
    except (SchemaError, PatternError) as error:
        raise generation(f"Server error: {error}") from None
    return first


@lru_cache(maxsize=32)
def _compiled(schema: str) -> Node:
    """As many as LoRAX's own cache holds."""
    return compile_schema(json.loads(schema))


def _conforms(schema: Any, text: str) -> bool:
    # Imported here: most runs never see a schema, and this import is a quarter of the start-up.
    from jsonschema import Draft202012Validator  # noqa: PLC0415 - see above
    from jsonschema.exceptions import SchemaError as Malformed  # noqa: PLC0415 - see above
    from referencing import Registry  # noqa: PLC0415 - see above
    from referencing.exceptions import Unresolvable  # noqa: PLC0415 - see above

    try:
        validator = Draft202012Validator(schema, registry=Registry())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python's opinion of somebody's pattern
            return bool(validator.is_valid(json.loads(text)))
    except json.JSONDecodeError:
        return False
    except (
        *(Malformed, Unresolvable, ValueError, TypeError, AttributeError, LookupError),
        *(RecursionError, re.error),
    ):
        return True  # a schema that no validator can apply has nothing to say


class _Writer:
    """Writes one text."""

    def __init__(self, draws: Draws, words: Callable[[], str]) -> None:
        self._draws = draws
        self._words = words

    def write(self, node: Node) -> str:
        match node:
            case Literal(text):
                return text
            case Text(low, high):
                return f'"{self._string(low, high)}"'
            case Pattern(sampler, like):
                readable = (like,) if like is not None else self._readable()
                return sampler.sample(self._draws, *readable)
            case Number():
                return self._number(node)
            case OneOf(options):
                return self.write(options[self._draws.below(len(options))])
            case Concatenation(parts):
                return "".join(map(self.write, parts))
            case Repeat(part, low, high):
                times = self._count(low, 1 if high is None and low == 0 else high)
                return "".join(self.write(part) for _ in range(times))
            case Record(members):
                written = [
                    self.write(member)
                    for required, member in members
                    if required or self._draws.byte() < _OFTEN
                ]
                return "{" + ", ".join(written) + "}"
            case MapOf(value, low, high):
                written = [
                    f'"{self._name(place)}": {self.write(value)}'
                    for place in range(self._count(low, high))
                ]
                return "{" + ", ".join(written) + "}"
            case ArrayOf(item, low, high):
                return f"[{', '.join(self.write(item) for _ in range(self._count(low, high)))}]"
            case _:
                assert_never(node)

    def _count(self, low: int, high: int | None) -> int:
        most = low + _MOST_EXTRA_ITEMS if high is None else min(high, low + _MOST_EXTRA_ITEMS)
        return low + self._draws.byte() % (most - low + 1) if most > low else min(low, most)

    def _name(self, place: int) -> str:
        names = ("name", "kind", "size", "color", "place", "note")
        name = names[(self._draws.byte() + place) % len(names)]
        return name if place == 0 else f"{name}_{place + 1}"

    def _string(self, low: int, high: int | None) -> str:
        text = _plain(self._words())
        while len(text) < low:
            text += " " + (_plain(self._words()) or "and")
        longest = max(low, _PLAIN_STRING) if high is None else min(high, max(low, _PLAIN_STRING))
        text = text[:longest]
        # A cut may leave a space at the end; a space it stays if the length is due.
        return text.rstrip() if len(text.rstrip()) >= low else text

    def _readable(self) -> tuple[str, ...]:
        """What a pattern may be written as, if it matches."""
        return tuple(f'"{text}"' for text in Sampler.shortened(_plain(self._words())))

    def _digits(self, bounds: tuple[int, int | None]) -> str:
        low, high = bounds
        count = low + self._draws.below((low + 2 if high is None else high) - low + 1)
        return "".join(str(self._draws.byte() % 10) for _ in range(count))

    def _spelled_number(self, node: Number) -> str:
        """A number whose digits are counted."""
        low, high = (1, 2) if node.digits is None else node.digits
        first = str(1 + self._draws.byte() % 9)
        text = first + self._digits((max(low - 1, 0), None if high is None else max(high - 1, 0)))
        if node.fraction is None or node.whole:
            return text
        return f"{text}.{self._digits(node.fraction)}"

    def _number(self, node: Number) -> str:
        if node.digits is not None or node.fraction is not None:
            return self._spelled_number(node)
        low, high = _interval(node)
        if node.step:
            first, last = math.ceil(low / node.step), math.floor(high / node.step)
            value = (first + self._draws.below(max(last - first, 0) + 1)) * node.step
        elif node.whole:
            first, last = math.ceil(low), math.floor(high)
            value = first + self._draws.below(max(last - first, 0) + 1)
        else:
            value = min(high, max(low, round(low + (high - low) * self._draws.fraction(), 2)))
        if node.whole:
            return str(int(value))
        return json.dumps(round(value, 10) if node.step else value)


def _interval(node: Number) -> tuple[float, float]:
    """Bounds to draw between; a missing one is near the other, and both near zero."""
    span = 100.0 * max(1.0, abs(node.step or 1.0))
    if node.low is not None:
        return node.low, node.low + span if node.high is None else node.high
    if node.high is not None:
        return node.high - span, node.high
    return 0.0, span


def _plain(text: str) -> str:
    """Only what the grammar's strings admit unescaped."""
    return "".join(
        char
        for char in text
        if char not in '"\\' and ord(char) >= 0x20 and not 0x7F <= ord(char) < 0xA0
    )
