"""JSON that obeys a schema: the text a constrained model would produce, in a persona's words.

Spaces stand where people put them and the grammar admits one. A text that the grammar allows but the
schema as a whole does not (two branches of a oneOf at once, items that should differ) is drawn anew a
few times; if none conforms the grammar has the last word, as it does in a real LoRAX.
"""

import json
import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, assert_never

from lorax_mock.errors import generation
from lorax_mock.hashing import Draws
from lorax_mock.patterns import PatternError
from lorax_mock.schema import (
    ArrayOf,
    Choice,
    Concatenation,
    Literal,
    MapOf,
    Node,
    Number,
    Pattern,
    Record,
    SchemaError,
    Text,
    Tuple,
    compile_schema,
)

__all__ = ["compose"]

_ATTEMPTS: Final = 40
_MOST_EXTRA_ITEMS: Final = 3
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
        return bool(validator.is_valid(json.loads(text)))
    except json.JSONDecodeError:
        return False
    except (Malformed, Unresolvable, ValueError, TypeError, AttributeError, RecursionError):
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
            case Pattern(sampler):
                return f'"{sampler.sample(self._draws, _plain(self._words()))}"'
            case Number():
                return self._number(node)
            case Choice(options):
                return self.write(options[self._draws.below(len(options))]) if options else ""
            case Concatenation(parts):
                return "".join(map(self.write, parts))
            case Record(properties):
                members = [
                    f'"{name}": {self.write(value)}'
                    for name, required, value in properties
                    if required or self._draws.byte() < 192
                ]
                return "{" + ", ".join(members) + "}"
            case MapOf(value, low, high):
                members = [
                    f'"{self._name(place)}": {self.write(value)}'
                    for place in range(self._count(low, high))
                ]
                return "{" + ", ".join(members) + "}"
            case ArrayOf(item, low, high):
                return f"[{', '.join(self.write(item) for _ in range(self._count(low, high)))}]"
            case Tuple(items):
                return f"[{', '.join(map(self.write, items))}]"
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

    def _number(self, node: Number) -> str:
        if node.digits is not None:
            digits = node.digits[0] + self._draws.below(node.digits[1] - node.digits[0] + 1)
            rest = "".join(str(self._draws.byte() % 10) for _ in range(digits - 1))
            return f"{1 + self._draws.byte() % 9}{rest}"
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
