r"""Regular expressions as trees: the part of the syntax that means the same everywhere.

JSON Schema means ECMA-262's expressions, Python's frameworks write Python's, Pydantic validates
with Rust's, LoRAX compiles with a fourth. What they agree on is read here: literals, escapes,
classes, groups, alternatives, counted and uncounted repetition, and ``^`` and ``$`` at the ends of
the whole expression or of one of its alternatives. ``\d``, ``\w`` and ``\s`` are ECMA-262's without
its white space beyond ASCII. Look-around, back references, word boundaries, flags and property
classes are not read: `parse` gives None, which is an answer and no error.

The trees also say how large an automaton gets: `positions` before, `states` after it is made
deterministic, which can take exponentially many (``(a|b)*a(a|b){20}``).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Final

__all__ = [
    "Alternatives",
    "Branch",
    "Characters",
    "Node",
    "Repeated",
    "Sequence",
    "matches",
    "parse",
    "positions",
    "states",
]


@dataclass(frozen=True, slots=True)
class Characters:
    """One character: one of these code points, or with `negated` any other."""

    points: frozenset[int]
    negated: bool = False

    def __or__(self, other: "Characters") -> "Characters":
        match self.negated, other.negated:
            case False, False:
                return Characters(self.points | other.points)
            case True, True:
                return Characters(self.points & other.points, negated=True)
            case True, False:
                return Characters(self.points - other.points, negated=True)
            case _:
                return Characters(other.points - self.points, negated=True)

    def inverted(self) -> "Characters":
        """Every other character."""
        return Characters(self.points, not self.negated)

    def has(self, point: int) -> bool:
        """Whether a code point is one of them."""
        return (point in self.points) is not self.negated


@dataclass(frozen=True, slots=True)
class Sequence:
    """One after the other."""

    parts: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Alternatives:
    """One of them."""

    options: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Repeated:
    """So many times; `most` None: without end."""

    inner: "Node"
    least: int
    most: int | None


Node = Characters | Sequence | Alternatives | Repeated


@dataclass(frozen=True, slots=True)
class Branch:
    """One alternative of a whole expression, and which of its ends are anchored."""

    inner: Node
    at_start: bool
    at_end: bool


# Larger counts exist in the wild, and no automaton of that size is wanted anyway.
_MOST_TIMES: Final = 1000
# A class such as [一-龥] names each of its characters.
_MOST_POINTS: Final = 300

_DIGITS: Final = Characters(frozenset(range(0x30, 0x3A)))
_WORD: Final = Characters(
    frozenset(map(ord, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"))
)
_SPACES: Final = Characters(frozenset(map(ord, " \t\n\r\f\v")))
_CLASSES: Final = {
    "d": _DIGITS,
    "D": _DIGITS.inverted(),
    "w": _WORD,
    "W": _WORD.inverted(),
    "s": _SPACES,
    "S": _SPACES.inverted(),
}
_CONTROLS: Final = {"t": "\t", "n": "\n", "r": "\r", "f": "\f", "v": "\v"}
_DOT: Final = Characters(frozenset(map(ord, "\n\r")), negated=True)
_COUNT: Final = re.compile(r"\{(\d{1,4})(,(\d{0,4}))?\}")
_GROUP: Final = re.compile(r"\((?:\?:|\?P?<[A-Za-z_]\w*>|(?!\?))")


class _Unread(Exception):
    """The expression is outside of what is read here."""


def parse(expression: str) -> list[Branch] | None:
    """Read an expression; None if it is malformed or uses more than is read here."""
    reader = _Reader(expression)
    try:
        branches = [reader.branch()]
        while reader.take("|"):
            branches.append(reader.branch())
        reader.expect_end()
    except _Unread:
        return None
    return branches


class _Reader:
    """Recursive descent over one expression."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.depth = 0

    def peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def next(self) -> str:
        if self.at >= len(self.text):
            raise _Unread
        self.at += 1
        return self.text[self.at - 1]

    def take(self, spelling: str) -> bool:
        if self.text.startswith(spelling, self.at):
            self.at += len(spelling)
            return True
        return False

    def expect_end(self) -> None:
        if self.at < len(self.text):
            raise _Unread

    def branch(self) -> Branch:
        at_start = self.take("^")
        inner = self.sequence()
        return Branch(inner, at_start, self.take("$"))

    def sequence(self) -> Node:
        parts: list[Node] = []
        while self.peek() not in ("", "|", ")", "$"):
            parts.append(self.quantified(self.atom()))
        return parts[0] if len(parts) == 1 else Sequence(tuple(parts))

    def atom(self) -> Node:
        group = _GROUP.match(self.text, self.at)
        if group:
            self.at = group.end()
            return self.group()
        match self.next():
            case ".":
                return _DOT
            case "[":
                return self.bracketed()
            case "\\":
                return self.escaped()
            case "^" | "*" | "+" | "?" | "(" | "{" | "}" | "]":
                raise _Unread
            case character:
                return _one(character)

    def group(self) -> Node:
        self.depth += 1
        if self.depth > 20:
            raise _Unread
        options = [self.sequence()]
        while self.take("|"):
            options.append(self.sequence())
        if not self.take(")"):
            raise _Unread
        self.depth -= 1
        return options[0] if len(options) == 1 else Alternatives(tuple(options))

    def quantified(self, atom: Node) -> Node:
        match self.peek():
            case "*":
                least, most = 0, None
            case "+":
                least, most = 1, None
            case "?":
                least, most = 0, 1
            case "{":
                return self.counted(atom)
            case _:
                return atom
        self.at += 1
        return self.repeated(atom, least, most)

    def counted(self, atom: Node) -> Node:
        count = _COUNT.match(self.text, self.at)
        if not count:
            raise _Unread
        self.at = count.end()
        least = int(count[1])
        most = least if count[2] is None else int(count[3]) if count[3] else None
        if least > _MOST_TIMES or (most is not None and (most > _MOST_TIMES or most < least)):
            raise _Unread
        return self.repeated(atom, least, most)

    def repeated(self, atom: Node, least: int, most: int | None) -> Node:
        # Lazy or not, the same strings match.
        self.take("?")
        if self.peek() in ("*", "+", "?", "{"):
            raise _Unread
        return Repeated(atom, least, most)

    def escaped(self) -> Characters:
        character = self.next()
        if character in _CLASSES:
            return _CLASSES[character]
        return _one(self.escaped_character(character))

    def escaped_character(self, character: str) -> str:
        if character in _CONTROLS:
            return _CONTROLS[character]
        if character in "xu":
            width = 2 if character == "x" else 4
            digits = self.text[self.at : self.at + width]
            if not re.fullmatch(f"[0-9a-fA-F]{{{width}}}", digits):
                raise _Unread
            self.at += width
            return chr(int(digits, 16))
        if character.isalnum():
            raise _Unread
        return character

    def bracketed(self) -> Characters:
        inverted = self.take("^")
        found = Characters(frozenset())
        while not self.take("]"):
            low = self.member()
            if self.peek() == "-" and self.text[self.at + 1 : self.at + 2] not in ("]", ""):
                self.at += 1
                high = self.member()
                low = _range(low, high)
            found |= low
        if not found.points and not found.negated:
            raise _Unread
        if len(found.points) > _MOST_POINTS:
            raise _Unread
        return found.inverted() if inverted else found

    def member(self) -> Characters:
        match self.next():
            case "\\" if self.peek() == "b":
                self.at += 1
                return _one("\b")
            case "\\":
                return self.escaped()
            case "[":
                # Python warns of it, Rust nests classes: no two agree.
                raise _Unread
            case character:
                return _one(character)


def _one(character: str) -> Characters:
    if "\ud800" <= character <= "\udfff":
        raise _Unread
    return Characters(frozenset((ord(character),)))


def _range(low: Characters, high: Characters) -> Characters:
    if low.negated or high.negated or len(low.points) != 1 or len(high.points) != 1:
        raise _Unread
    first, last = min(low.points), max(high.points)
    if last < first or last - first > _MOST_POINTS:
        raise _Unread
    return Characters(frozenset(range(first, last + 1)))


def positions(node: Node) -> int:
    """How many characters of an expression there are when repetition is spelled out."""
    match node:
        case Characters():
            return 1
        case Sequence(parts):
            return sum(map(positions, parts))
        case Alternatives(options):
            return sum(map(positions, options))
        case Repeated(inner, least, most):
            return positions(inner) * max(1, least if most is None else most)


def matches(branches: list[Branch], text: str) -> bool:
    """Whether an expression matches somewhere in a text, as JSON Schema's ``pattern`` asks.

    Every place of the expression is followed at once, so no expression takes longer than its
    `positions` times the text.
    """
    return any(_matches(branch, text) for branch in branches)


def _matches(branch: Branch, text: str) -> bool:
    automaton = _Positions()
    whole = automaton.add(branch.inner)
    if whole.empty and not (branch.at_start and branch.at_end and text):
        return True
    following: set[int] = set(whole.first)
    for index, character in enumerate(text, 1):
        matched = [place for place in following if automaton.characters[place].has(ord(character))]
        if not whole.last.isdisjoint(matched) and (index == len(text) or not branch.at_end):
            return True
        following = set(() if branch.at_start else whole.first)
        following.update(chain.from_iterable(automaton.after[place] for place in matched))
    return False


def states(node: Node, limit: int, looks: int) -> tuple[int | None, int]:
    """How many states a deterministic automaton of the expression has, and the looks that it took.

    The states are None past a limit.

    Args:
        node: An expression of not too many `positions`.
        limit: When to stop counting.
        looks: How many characters may be held against a place of the expression meanwhile.
    """
    automaton = _Positions()
    whole = automaton.add(node)
    symbols = _symbols(automaton.characters)
    # A state is the set of positions that may match next, and whether the expression may end.
    start = (whole.first, whole.empty)
    seen = {start}
    waiting = [start]
    taken = 0
    while waiting:
        following, _ = waiting.pop()
        taken += len(following) * len(symbols)
        if taken > looks:
            return None, looks
        for symbol in symbols:
            matched = [place for place in following if automaton.characters[place].has(symbol)]
            if not matched:
                continue
            state = (
                frozenset(chain.from_iterable(automaton.after[place] for place in matched)),
                not whole.last.isdisjoint(matched),
            )
            if state not in seen:
                if len(seen) >= limit:
                    return None, taken
                seen.add(state)
                waiting.append(state)
    return len(seen), taken


def _symbols(characters: list[Characters]) -> list[int]:
    """One code point for each class of those that the expression does not tell apart."""
    mentioned = frozenset(chain.from_iterable(each.points for each in characters))
    other = next(point for point in range(0x110000) if point not in mentioned)
    classes: dict[tuple[bool, ...], int] = {}
    distinct = list(dict.fromkeys(characters))
    for point in (other, *mentioned):
        classes.setdefault(tuple(each.has(point) for each in distinct), point)
    return list(classes.values())


@dataclass(frozen=True, slots=True)
class _Ends:
    """Where a part of an expression can begin and end, and whether it can be empty."""

    first: frozenset[int]
    last: frozenset[int]
    empty: bool


_NOTHING: Final = _Ends(frozenset(), frozenset(), empty=True)


class _Positions:
    """Glushkov's automaton: each character of the expression, and those that can follow it."""

    def __init__(self) -> None:
        self.characters: list[Characters] = []
        self.after: list[set[int]] = []

    def add(self, node: Node) -> _Ends:
        match node:
            case Characters():
                place = frozenset((len(self.characters),))
                self.characters.append(node)
                self.after.append(set())
                return _Ends(place, place, empty=False)
            case Sequence(parts):
                return self.chained(self.add(part) for part in parts)
            case Alternatives(options):
                found = [self.add(option) for option in options]
                return _Ends(
                    frozenset().union(*(each.first for each in found)),
                    frozenset().union(*(each.last for each in found)),
                    empty=any(each.empty for each in found),
                )
            case Repeated(inner, least, most):
                return self.chained(self.copies(inner, least, most))

    def chained(self, parts: Iterator[_Ends]) -> _Ends:
        whole = _NOTHING
        for part in parts:
            for place in whole.last:
                self.after[place] |= part.first
            whole = _Ends(
                whole.first | part.first if whole.empty else whole.first,
                whole.last | part.last if part.empty else part.last,
                empty=whole.empty and part.empty,
            )
        return whole

    def copies(self, inner: Node, least: int, most: int | None) -> Iterator[_Ends]:
        count = max(1, least) if most is None else most
        for number in range(count):
            ends = self.add(inner)
            if most is None and number == count - 1:
                for place in ends.last:
                    self.after[place] |= ends.first
            yield _Ends(ends.first, ends.last, empty=ends.empty or number >= least)
