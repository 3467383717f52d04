"""What a lowered schema costs LoRAX to compile, estimated without compiling it.

The compiler spells the schema out as a regular expression and builds an automaton from it, group by
group, from the inside out. Every group, alternative and repetition walks all states built below it
once more, and looks each state up in a list: the time of one walk grows with the square of its
states, and the whole with the nesting. Arrays and free objects spell their contents twice, an
object whose properties are all optional spells each of n properties n times. So a schema that reads
harmlessly can hold every request of a server up for minutes.

The estimate mirrors that construction in numbers: states, transitions, and the time of each walk.
Its constants were measured with outlines-core 0.1.14 and interegular 0.3.3; it is in seconds of one
common server core, right within a factor of about three, which is what a limit needs.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["BUDGET", "compile_cost"]

# Seconds. LoRAX's own default schema costs two; each schema is compiled once and kept, with 31
# others, so this is what one client may take from all others at its first request.
BUDGET: Final = 4.0

# Seconds for one symbol tried in one state, and for one entry passed in the list of states.
_TRY: Final = 0.7e-6
_PASS: Final = 27e-9
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
    classes: int

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
        asked = choice.states * self.classes * len(values) * _TRY / 10
        return _Part(choice.states, choice.moves, choice.seconds + asked)

    def string(self, pattern: str) -> _Part:
        # A class of plain characters is what has many transitions; copies are written as {n,m}.
        copies = 1
        states = len(pattern) // 8 + 2
        head, brace, tail = pattern.rpartition("{")
        if brace and tail.endswith("}$"):
            copies = max((int(part) for part in tail[:-2].split(",") if part), default=1)
            states = 4 * copies if "|" in head else copies
        wide = self.classes * (3 + copies)
        return self.repeated(self.group([_Part(states, wide + 8 * states, 1e-3)]), 0, None)

    def object(self, schema: Mapping[str, Any]) -> _Part:
        required = set(schema["required"])
        members = {
            name: self.joined([self.text(len(name) + 6), self.schema(each)])
            for name, each in schema["properties"].items()
        }
        if not required:
            # Each may be the first that is there, so the whole list is written once for each.
            row = self.joined(self.repeated(self.group([part]), 0, 1) for part in members.values())
            return self.joined(
                [self.text(3), self.repeated(self.group([row] * len(members)), 0, 1)]
            )
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


def compile_cost(schema: Mapping[str, Any]) -> float:
    """Seconds that LoRAX stands still to compile a lowered schema, roughly.

    Args:
        schema: One of the forms of `core.schemas`.
    """
    return _Estimate(_CLASSES + len(_letters(schema))).schema(schema).seconds


def _letters(schema: Mapping[str, Any]) -> set[str]:
    """The characters of names and values, each of which is a class of its own."""
    found: set[str] = set()
    for name, each in schema.get("properties", {}).items():
        found |= set(name) | _letters(each)
    for value in schema.get("enum", ()):
        found |= set(str(value))
    for keyword in ("anyOf", "prefixItems"):
        for each in schema.get(keyword, ()):
            found |= _letters(each)
    for keyword in ("items", "additionalProperties"):
        if schema.get(keyword):
            found |= _letters(schema[keyword])
    return found
