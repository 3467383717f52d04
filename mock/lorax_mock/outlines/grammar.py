"""The shape of texts that a grammar admits, and how pieces of a regular expression are put together.

LoRAX's compiler spells expressions as text, so precedence is the parentheses that it writes. An
alternation without them (`Open`) takes in what is written beside it: `join` says how. What no text
matches is pruned: a branch that cannot be taken leaves the others, and where none is left, or where only
the empty text is, the compiler finds no way through its vocabulary.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, assert_never

from lorax_mock.outlines.patterns import Sampler

__all__ = [
    "ArrayOf",
    "Concatenation",
    "Literal",
    "MapOf",
    "Node",
    "Number",
    "OneOf",
    "Open",
    "Pattern",
    "Record",
    "Repeat",
    "Spelled",
    "Text",
    "any_of",
    "closed",
    "join",
    "map_of_open",
    "optional",
    "pruned",
    "record_of_open",
    "separated",
]


@dataclass(frozen=True, slots=True)
class Literal:
    """Fixed text."""

    text: str


@dataclass(frozen=True, slots=True)
class Text:
    """A string of `low` to `high` characters, quotes apart."""

    low: int = 0
    high: int | None = None


@dataclass(frozen=True, slots=True)
class Pattern:
    """Text that matches a pattern, quotes included."""

    sampler: Sampler
    like: str | None = None
    """What to write if it matches; None for words of the persona between quotes."""


@dataclass(frozen=True, slots=True)
class Number:
    """A number; the bounds are wishes, digits (least and most) are grammar."""

    whole: bool
    low: float | None = None
    high: float | None = None
    step: float | None = None
    digits: tuple[int, int | None] | None = None
    fraction: tuple[int, int | None] | None = None


@dataclass(frozen=True, slots=True)
class OneOf:
    """One of several."""

    options: "tuple[Node, ...]"


@dataclass(frozen=True, slots=True)
class Concatenation:
    """All of several, without anything between."""

    parts: "tuple[Node, ...]"


@dataclass(frozen=True, slots=True)
class Repeat:
    """Something several times in a row; from 0 to 1 times is something optional."""

    part: "Node"
    low: int
    high: int | None


@dataclass(frozen=True, slots=True)
class Record:
    """An object of known properties: whether required, then name, colon and value."""

    members: "tuple[tuple[bool, Node], ...]"


@dataclass(frozen=True, slots=True)
class MapOf:
    """An object of any names."""

    value: "Node"
    low: int
    high: int | None


@dataclass(frozen=True, slots=True)
class ArrayOf:
    """An array of alike items."""

    item: "Node"
    low: int
    high: int | None


Node = Literal | Text | Pattern | Number | OneOf | Concatenation | Repeat | Record | MapOf | ArrayOf


@dataclass(frozen=True, slots=True)
class Open:
    """Alternatives without parentheses around them; at least two."""

    options: tuple[Node, ...]


Spelled = Node | Open


def closed(spelled: Spelled) -> Node:
    """The node with parentheses around it."""
    return OneOf(spelled.options) if isinstance(spelled, Open) else spelled


def any_of(spelled: Iterable[Spelled]) -> Node:
    """An alternation of the parts, within parentheses."""
    options: list[Node] = []
    for one in spelled:
        options += one.options if isinstance(one, Open) else (one,)
    return OneOf(tuple(options)) if options else Literal("")


def join(*parts: Spelled) -> Spelled:
    """A concatenation as text: an open alternation's outer options take in their neighbours."""
    finished: list[Node] = []
    row: list[Node] = []
    for part in parts:
        if isinstance(part, Open):
            first, *middle, last = part.options
            finished += [_row([*row, first]), *middle]
            row = [last]
        else:
            row.append(part)
    return Open((*finished, _row(row))) if finished else _row(row)


def _row(parts: list[Node]) -> Node:
    return parts[0] if len(parts) == 1 else Concatenation(tuple(parts))


def optional(*parts: Spelled) -> Node:
    """The parts in parentheses, or nothing."""
    return Repeat(closed(join(*parts)), 0, 1)


def separated(opening: str, spelled: list[Spelled], closing: str) -> Spelled:
    """A list: brackets and commas."""
    parts: list[Spelled] = [Literal(opening)]
    for place, one in enumerate(spelled):
        parts += [one] if place == 0 else [Literal(", "), one]
    return join(*parts, Literal(closing))


def record_of_open(needed: list[bool], spelled: list[Spelled]) -> Spelled:
    """A record some of whose members are alternations without parentheses, comma by comma."""
    comma = Literal(", ")
    if any(needed):
        last = max(place for place, need in enumerate(needed) if need)
        row: list[Spelled] = []
        for place, member in enumerate(spelled):
            parts = (
                [member, comma] if place < last else [comma, member] if place > last else [member]
            )
            row += parts if needed[place] else [optional(*parts)]
        return join(Literal("{"), *row, Literal("}"))
    # Each may be the last that is there; those beside it are optional, and so is the whole.
    options = [
        join(
            *(optional(before, comma) for before in spelled[:place]),
            member,
            *(optional(comma, after) for after in spelled[place + 1 :]),
        )
        for place, member in enumerate(spelled)
    ]
    return Concatenation((Literal("{"), Repeat(any_of(options), 0, 1), Literal("}")))


def map_of_open(value: Open, low: int, high: int | None) -> Node:
    """An object of any names whose values are an alternation without parentheses."""
    member = (Text(), Literal(": "), value)
    more = Repeat(
        closed(join(Literal(", "), *member)), max(low - 1, 0), None if high is None else high - 1
    )
    inside = closed(join(*member, more))
    return Concatenation((Literal("{"), Repeat(inside, 0, 1) if low == 0 else inside, Literal("}")))


_IMPOSSIBLE: Final = OneOf(())


def pruned(node: Node) -> Node | None:
    """The node without what no text matches; None when nothing is left but the empty text."""
    kept, says = _kept(node)
    return kept if says else None


def _kept(node: Node) -> tuple[Node, bool]:
    """The node without branches that no text matches, and whether it may be more than the empty text."""
    match node:
        case Literal(text):
            return node, bool(text)
        case Text() | Number():
            return node, True
        case Pattern(sampler):
            return (node, True) if sampler.possible() else (_IMPOSSIBLE, False)
        case OneOf(options):
            pairs = [_kept(option) for option in options]
            left = tuple(one for one, _ in pairs if one != _IMPOSSIBLE)
            return OneOf(left), any(says for _, says in pairs)
        case Concatenation(parts):
            pairs = [_kept(part) for part in parts]
            if any(one == _IMPOSSIBLE for one, _ in pairs):
                return _IMPOSSIBLE, False
            return Concatenation(tuple(one for one, _ in pairs)), any(says for _, says in pairs)
        case Repeat(part, low, high):
            kept, says = _kept(part)
            if kept == _IMPOSSIBLE:
                return (Literal("") if low == 0 else _IMPOSSIBLE), False
            return Repeat(kept, low, high), says and high != 0
        case Record(members):
            return _kept_record(members)
        case MapOf(value, low, high) | ArrayOf(value, low, high):
            kept, _ = _kept(value)
            if kept == _IMPOSSIBLE:
                empty = Literal("{}" if isinstance(node, MapOf) else "[]")
                return (empty, True) if low == 0 else (_IMPOSSIBLE, False)
            return type(node)(kept, low, high), True
        case _:
            assert_never(node)


def _kept_record(members: tuple[tuple[bool, Node], ...]) -> tuple[Node, bool]:
    kept = [(required, _kept(member)[0]) for required, member in members]
    if any(required and member == _IMPOSSIBLE for required, member in kept):
        return _IMPOSSIBLE, False
    return Record(tuple(one for one in kept if one[1] != _IMPOSSIBLE)), True
