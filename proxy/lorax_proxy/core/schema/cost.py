"""What a lowered schema costs LoRAX to compile, estimated without compiling it.

The compiler spells the schema out as a regular expression and builds an automaton from it, group by
group, from the inside out. Every group, alternative and repetition walks all states built below it
once more, and looks each state up in a list: the time of one walk grows with the square of its
states, and the whole with the nesting. Arrays and free objects spell their contents twice. So a
schema that reads harmlessly can hold every request of a server up for minutes.

Then the automaton is reduced, and in each state that is left the whole vocabulary is tried: there
each part of a schema counts once, however often it was spelled, and each letter of a name counts.
With most models this is the greater part. A vocabulary of 32,000 tokens takes 4 ms a state while it
stays in the processor's cache, and 12 beside busy neighbours; one of 131,072 does not fit there and
takes 50 to 70 ms: twelve times as long, not four.

Last, each token that fits in a state is noted with where it leads, in Python objects of about 95
bytes. In a *wide* state, inside of a string, nearly every token fits. LoRAX keeps these notes with
the last 32 schemas.

The estimate mirrors all three in numbers. Its constants were measured with outlines 0.1.1,
outlines-core 0.1.14 and interegular 0.3.3 on one common server core, with the vocabularies of two
models of Mistral's; it is right within a factor of about three, which is what a limit needs.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

from lorax_proxy.core.schema.patterns import wide_places
from lorax_proxy.core.schema.regex_tree import (
    Alternatives,
    Branch,
    Characters,
    Node,
    Repeated,
    Sequence,
    parse,
    positions,
)

__all__ = ["Budget", "Cost", "compile_cost"]

# Seconds for one symbol tried in one state, and for one entry passed in the list of states.
_TRY: Final = 0.7e-6
_PASS: Final = 27e-9
# Seconds to try a vocabulary of 131,072 tokens in one state, and to note them in a wide one.
_STATE: Final = 50e-3
_WIDE: Final = 0.1
# What these notes take.
_WIDE_MEGABYTES: Final = 12.5
# Character classes beside the letters of names: quotes, brackets, escapes, digits and all others.
_CLASSES: Final = 14


@dataclass(frozen=True, slots=True)
class Cost:
    """What compiling one schema takes.

    Attributes:
        building: Seconds until the automaton is there, whatever the model.
        states: The states that are left, roughly.
        wide: Those of them where nearly every token fits.
    """

    building: float
    states: int
    wide: int

    @property
    def seconds(self) -> float:
        """All of it, with a vocabulary of 131,072 tokens."""
        return self.building + self.states * _STATE + self.wide * _WIDE

    @property
    def megabytes(self) -> float:
        """What LoRAX keeps of it, with a vocabulary of 131,072 tokens."""
        return self.wide * _WIDE_MEGABYTES


@dataclass(frozen=True, slots=True)
class Budget:
    """What compiling one schema may take.

    Attributes:
        building: Seconds until the automaton is there, which every model pays.
        seconds: All of it with a large vocabulary.
        megabytes: What is kept of it with a large vocabulary.
    """

    building: float
    seconds: float
    megabytes: float

    def covers(self, cost: Cost) -> bool:
        """Whether a schema is not too expensive."""
        return (
            cost.building <= self.building
            and cost.seconds <= self.seconds
            and cost.megabytes <= self.megabytes
        )


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
    members: dict[tuple[str, int, bool], _Part] = field(default_factory=dict)

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
        parts = [
            self.member(name, each, required=name in required)
            for name, each in schema["properties"].items()
        ]
        return self.joined([self.text(3), *parts])

    def member(self, name: str, schema: Mapping[str, Any], *, required: bool) -> _Part:
        """A property, estimated once: where all are optional, each stands in many alternatives."""
        key = (name, id(schema), required)
        if key not in self.members:
            part = self.joined([self.text(len(name) + 6), self.schema(schema)])
            self.members[key] = part if required else self.repeated(self.group([part]), 0, 1)
        return self.members[key]

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


# Most are those of free strings and formats; a list of foreign words may be long, and a tree takes
# some hundred times what its pattern does.
_LONGEST_KNOWN: Final = 1_000


def _read(pattern: str) -> list[Branch]:
    """A pattern of ours, which is always one that can be read."""
    return _known(pattern) if len(pattern) <= _LONGEST_KNOWN else _parsed(pattern)


@lru_cache(maxsize=256)
def _known(pattern: str) -> list[Branch]:
    return _parsed(pattern)


def _parsed(pattern: str) -> list[Branch]:
    branches = parse(pattern)
    if branches is None:
        raise ValueError(f"not a pattern of a lowered schema: {pattern!r}")
    return branches


def compile_cost(schema: Mapping[str, Any]) -> Cost:
    """What LoRAX has to do to compile a lowered schema, roughly.

    Args:
        schema: One of the forms of `core.schema.lowered`.
    """
    walks = _Estimate(_CLASSES + len(_letters(schema))).schema(schema).seconds
    left = _Remaining().alone(schema)
    return Cost(walks, left.states, left.wide)


@dataclass(frozen=True, slots=True)
class _Left:
    """States of the reduced automaton, and how many of them are wide."""

    states: int = 0
    wide: int = 0

    def __add__(self, other: "_Left") -> "_Left":
        return _Left(self.states + other.states, self.wide + other.wide)

    def times(self, count: int) -> "_Left":
        return _Left(self.states * count, self.wide * count)


class _Remaining:
    """Counts what is left when the automaton is reduced.

    What is the same and goes on in the same way is one. So an object's properties count once in
    all of its alternatives; but an item of an array and a property's value go on differently.
    """

    def __init__(self) -> None:
        self.known: dict[int, _Left] = {}

    def alone(self, schema: Mapping[str, Any]) -> _Left:
        """A part that shares nothing with its neighbours."""
        if id(schema) not in self.known:
            self.known[id(schema)] = self.beside(schema, set())
        return self.known[id(schema)]

    def beside(self, schema: Mapping[str, Any], seen: set[int]) -> _Left:
        """A part, without what its neighbours have already reached."""
        if id(schema) in seen:
            return _Left()
        seen.add(id(schema))
        match schema:
            case {"properties": members}:
                left = _Left(4)
                for name, each in members.items():
                    if id(each) not in seen:
                        left += _Left(len(name.encode()) + 5) + self.beside(each, seen)
                return left
            case {"anyOf": members}:
                return sum((self.beside(each, seen) for each in members), _Left(3))
            case {"prefixItems": members}:
                return sum(map(self.alone, members), _Left(3))
            case {"enum": values}:
                return _Left(2 + _beginnings([str(value) for value in values]))
            case {"type": "string", "pattern": pattern}:
                return _left_of_string(pattern)
            case {"type": "object", "additionalProperties": value}:
                return _Left(15, 1) + self.alone(value)
            case {"type": "array", "items": item}:
                copies: int = max(1, schema.get("minItems", 0), schema.get("maxItems", 0))
                return _Left(3) + self.alone(item).times(copies)
            case _:
                return _Left(9)


def _beginnings(texts: list[str]) -> int:
    """How many different beginnings texts have, the whole of a text aside: they share states.

    In order, a text shares with those before it what it shares with the one right before it.
    """
    count = 0
    last = ""
    for text in sorted(texts):
        if text != last:
            # the whole of the last text is a beginning if, and only if, this one goes on from it
            both = zip(last, text, strict=False)
            shared = next((n for n, (one, other) in enumerate(both) if one != other), None)
            shared = min(len(last), len(text)) if shared is None else shared
            count += len(text) - shared - (shared < len(last) or not last)
            last = text
    return count + 1 if last else 0


def _left_of_string(pattern: str) -> _Left:
    inner = [branch.inner for branch in _read(pattern)]
    wide = sum(map(wide_places, inner))
    # A character beyond ASCII has up to four bytes, and a token may end inside of it.
    foreign = sum(not character.isascii() for character in pattern)
    return _Left(2 + sum(map(positions, inner)) + 3 * wide + 2 * foreign, wide)


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
