"""What a lowered schema costs LoRAX to compile, estimated without compiling it.

The compiler spells the schema out as a regular expression and builds an automaton from it, group by
group, from the inside out. Every group, alternative and repetition walks all states built below it
once more, and looks each state up in a list: the time of one walk grows with the square of its
states, and the whole with the nesting. Arrays and free objects spell their contents twice, an
object whose properties are all optional spells each of n properties n times. So a schema that reads
harmlessly can hold every request of a server up for minutes.

Then the automaton is reduced, and for each state that is left the whole vocabulary is tried: there
each part of a schema counts once, however often it was spelled.

The estimate mirrors both in numbers. Its constants were measured with outlines-core 0.1.14 and
interegular 0.3.3; it is in seconds of one common server core and for a vocabulary of 32,000 tokens
(one of 128,000 takes four times as long to try), right within a factor of about three, which is
what a limit needs.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

from lorax_proxy.core.regex_tree import (
    Alternatives,
    Branch,
    Characters,
    Node,
    Repeated,
    Sequence,
    parse,
    positions,
)

__all__ = ["compile_cost"]

# Seconds for one symbol tried in one state, and for one entry passed in the list of states.
_TRY: Final = 0.7e-6
_PASS: Final = 27e-9
# Seconds to try the vocabulary in one state.
_STATE: Final = 4e-3
# Character classes beside the letters of names: quotes, brackets, escapes, digits and all others.
_CLASSES: Final = 14


@dataclass(frozen=True, slots=True)
class _Part:
    """States, transitions, and the seconds it took to build them."""

    states: int
    moves: int
    seconds: float


@dataclass(frozen=True, slots=True)
class _Estimate:
    """The walks over a schema whose regular expression tells so many classes of symbols apart."""

    classes: int
    known: dict[int, _Part] = field(default_factory=dict)

    def walked(self, states: int, moves: int, seconds: float) -> _Part:
        walk = states * self.classes * _TRY + moves * states / 2 * _PASS
        return _Part(states, moves, seconds + walk)

    def joined(self, parts: Iterable[_Part]) -> _Part:
        """A sequence or a choice of parts, which is one walk over all of them."""
        known = list(parts)
        return self.walked(
            sum(part.states for part in known),
            sum(part.moves for part in known),
            sum(part.seconds for part in known),
        )

    def group(self, parts: Iterable[_Part]) -> _Part:
        """Parts in brackets: one walk for the sequence, one for the brackets."""
        inside = self.joined(parts)
        return self.walked(inside.states, inside.moves, inside.seconds)

    def repeated(self, part: _Part, least: int, most: int | None) -> _Part:
        """A part with a quantifier: the required copies, then the optional ones."""
        copies = max(1, least if most is None else most)
        whole = self.walked(part.states * copies, part.moves * copies, part.seconds)
        return self.walked(whole.states, whole.moves, whole.seconds)

    def text(self, length: int) -> _Part:
        return _Part(length + 1, length, length * self.classes * _TRY)

    def schema(self, schema: Mapping[str, Any]) -> _Part:
        """A lowered schema.

        Parts of it that are one object are estimated once: the compiler writes them out wherever
        they stand, and they can be exponentially many.
        """
        if id(schema) not in self.known:
            self.known[id(schema)] = self.form(schema)
        return self.known[id(schema)]

    def form(self, schema: Mapping[str, Any]) -> _Part:
        if "properties" in schema:
            return self.object(schema)
        if "anyOf" in schema:
            return self.group(self.schema(each) for each in schema["anyOf"])
        if "prefixItems" in schema:
            return self.joined(
                [self.text(2), *(self.schema(each) for each in schema["prefixItems"])]
            )
        if "enum" in schema:
            return self.enumeration(schema["enum"])
        match schema["type"]:
            case "object":
                return self.free_object(schema)
            case "array":
                return self.array(schema)
            case "string":
                return self.string(schema["pattern"])
            case "number":
                return self.walked(14, 90, 1e-3)
            case _:
                return self.walked(6, 30, 5e-4)

    def enumeration(self, values: list[Any]) -> _Part:
        # Every step of the choice asks every value.
        choice = self.group(self.text(len(str(value)) + 2) for value in values)
        asked = choice.states * self.classes * len(values) * _TRY / 50
        return _Part(choice.states, choice.moves, choice.seconds + asked)

    def string(self, pattern: str) -> _Part:
        branches = _read(pattern)
        spelled = self.group(self.node(branch.inner) for branch in branches)
        return self.group([_QUOTE, spelled, _QUOTE])

    def node(self, node: Node) -> _Part:
        """A part of a pattern, walked as its brackets and quantifiers will be."""
        match node:
            case Characters(points, negated):
                moves = self.classes - len(points) if negated else len(points)
                return _Part(2, max(1, min(moves, self.classes)), self.classes * _TRY)
            case Sequence(parts):
                return self.joined(map(self.node, parts))
            case Alternatives(options):
                return self.group(map(self.node, options))
            case Repeated(inner, least, most):
                return self.repeated(self.node(inner), least, most)

    def object(self, schema: Mapping[str, Any]) -> _Part:
        required = set(schema["required"])
        members = {
            name: self.joined([self.text(len(name) + 6), self.schema(each)])
            for name, each in schema["properties"].items()
        }
        parts = [
            part if name in required else self.repeated(self.group([part]), 0, 1)
            for name, part in members.items()
        ]
        return self.joined([self.text(3), *parts])

    def free_object(self, schema: Mapping[str, Any]) -> _Part:
        key = self.repeated(_Part(4, 2 * self.classes, 1e-3), 0, None)
        member = self.joined([key, self.text(4), self.schema(schema["additionalProperties"])])
        more = self.repeated(self.group([member]), 0, None)
        return self.joined([self.text(4), self.repeated(self.group([member, more]), 0, 1)])

    def array(self, schema: Mapping[str, Any]) -> _Part:
        if schema.get("maxItems") == 0:
            return self.text(3)
        item = self.group([self.schema(schema["items"])])
        more = self.repeated(
            self.group([self.text(2), item]),
            max(0, schema.get("minItems", 0) - 1),
            schema["maxItems"] - 1 if "maxItems" in schema else None,
        )
        inside = self.group([item, more])
        if not schema.get("minItems"):
            inside = self.repeated(inside, 0, 1)
        return self.joined([self.text(4), inside])


_QUOTE: Final = _Part(2, 1, 0.0)


@lru_cache(maxsize=256)
def _read(pattern: str) -> list[Branch]:
    """A pattern of ours, which is always one that can be read."""
    branches = parse(pattern)
    if branches is None:
        raise ValueError(f"not a pattern of a lowered schema: {pattern!r}")
    return branches


def compile_cost(schema: Mapping[str, Any]) -> float:
    """Seconds that LoRAX stands still to compile a lowered schema, roughly.

    Args:
        schema: One of the forms of `core.schemas`.
    """
    walks = _Estimate(_CLASSES + len(_letters(schema))).schema(schema).seconds
    return walks + _Remaining().states(schema) * _STATE


class _Remaining:
    """States of the reduced automaton: parts that are one object are reached once."""

    def __init__(self) -> None:
        self.seen: set[int] = set()

    def states(self, schema: Mapping[str, Any]) -> int:
        """The states of what has not been counted before."""
        if id(schema) in self.seen:
            return 0
        self.seen.add(id(schema))
        match schema:
            case {"properties": members}:
                return 4 + sum(
                    len(name) + 5 + self.states(each)
                    for name, each in members.items()
                    if id(each) not in self.seen
                )
            case {"anyOf": members} | {"prefixItems": members}:
                return 3 + sum(map(self.states, members))
            case {"enum": values}:
                # Values that begin alike share their beginnings.
                texts = [str(value) for value in values]
                return 2 + len({text[:end] for text in texts for end in range(len(text))})
            case {"type": "string", "pattern": pattern}:
                return 2 + sum(positions(branch.inner) for branch in _read(pattern))
            case {"type": "object", "additionalProperties": value}:
                return 12 + self.states(value)
            case {"type": "array", "items": item}:
                copies: int = max(1, schema.get("minItems", 0), schema.get("maxItems", 0))
                return 3 + self.states(item) * copies
            case _:
                return 9


def _letters(schema: Mapping[str, Any]) -> set[str]:
    """The characters of names and values, each of which is a class of its own."""
    letters: set[str] = set()
    seen: set[int] = set()
    waiting = [schema]
    while waiting:
        each = waiting.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        for name, member in each.get("properties", {}).items():
            letters |= set(name)
            waiting.append(member)
        for value in each.get("enum", ()):
            letters |= set(str(value))
        letters |= {letter for letter in each.get("pattern", "") if not letter.isascii()}
        for keyword in ("anyOf", "prefixItems"):
            waiting.extend(each.get(keyword, ()))
        for keyword in ("items", "additionalProperties"):
            if each.get(keyword):
                waiting.append(each[keyword])
    return letters
