"""Text that a regular expression matches, drawn from hashed bytes.

An unbounded repetition is repeated a few times; a class yields a letter when it can. A look-ahead is kept by
drawing until a text obeys it. Matching follows all ways at once, so that no pattern keeps it busy for long.
"""

from collections.abc import Callable
from typing import Final

from lorax_mock.hashing import Draws
from lorax_mock.outlines.regex import (
    Alternation,
    Class,
    Expression,
    Look,
    PatternError,
    Quantified,
    Sequence,
    inner,
    parse,
)

__all__ = ["MOST_STATES", "NOTHING", "Sampler", "alternatives", "too_large"]

_PREFERRED: Final = "etaoinsrhldcumfpgwybvkxjqz0123456789ETAOINSRHLDCUMFPGWYBVKXJQZ _-./:@+,"
_EXTRA_REPEATS: Final = 3
_LONGEST_TRIED: Final = 24
"""Characters of a readable candidate."""

MOST_STATES: Final = 50_000
"""States of an automaton that a text must pass, counted roughly: more would keep the shard busy for hours."""

_ATTEMPTS: Final = 300
"""Draws for a text that obeys its look-aheads."""

NOTHING: Final = "The vocabulary does not allow us to build a sequence that matches the input regex"
"""What the compiler says of an expression that no text matches."""


_BEYOND: Final = "Group can not have lookbacks/lookaheads that go beyond the group bounds."


def too_large(states: int) -> str:
    """The words for an automaton that is too large to build."""
    return f"lorax-mock builds no automaton of {states} states; a real LoRAX would try"


class Sampler:
    """A compiled pattern that texts are drawn from; raises PatternError when it cannot be compiled."""

    __slots__ = ("_looks", "_node")

    def __init__(self, pattern: "str | Expression") -> None:
        self._node = parse(pattern) if isinstance(pattern, str) else pattern
        self._looks = _looks(self._node)

    def check(self) -> None:
        """Raises a late PatternError for what the parser takes and no automaton can be."""
        _check(self._node)
        size = _size(self._node)
        if size > MOST_STATES:
            raise PatternError(too_large(size), late=True)

    def possible(self) -> bool:
        """Whether any text matches, look-aheads apart."""
        return _possible(self._node)

    def matches(self, text: str) -> bool:
        """Whether the whole text matches; the text should be short."""
        return len(text) in _ends(self._node, text, frozenset({0}))

    def sample(self, draws: Draws, *readable: str) -> str:
        """The first of the readable texts that matches, else letters."""
        for candidate in readable:
            if self.matches(candidate):
                return candidate
        for _ in range((_ATTEMPTS if self._looks else 1) if self.possible() else 0):
            out: list[str] = []
            _draw(self._node, draws, out)
            text = "".join(out)
            if not self._looks or self.matches(text):
                return text
        raise PatternError(NOTHING, late=True)

    @staticmethod
    def shortened(readable: str) -> tuple[str, str]:
        """A text's first words, and its first word: what may stand for it where room is scarce."""
        words = readable[:_LONGEST_TRIED].split(" ")
        if len(readable) > _LONGEST_TRIED and len(words) > 1:
            words.pop()  # a word that the limit cut in two
        return " ".join(words), words[0]


def alternatives(pattern: str) -> tuple[Sampler, ...]:
    """A pattern as the alternatives that it has outside all parentheses; raises PatternError."""
    node = parse(pattern)
    return tuple(map(Sampler, node.options if isinstance(node, Alternation) else (node,)))


def _looks(node: Expression) -> bool:
    return isinstance(node, Look) or any(map(_looks, inner(node)))


def _check(node: Expression) -> None:
    """Raises a late PatternError, the first that building the automaton from outside in meets."""
    if isinstance(node, Sequence):
        _check_looks(node.parts)
    for part in inner(node):
        _check(part)
        if isinstance(part, Look) and part.behind:
            raise PatternError("lookbacks are not implemented", late=True)
    if isinstance(node, Quantified) and node.high is not None and node.high < node.low:
        raise PatternError(f"Can't multiply an FSM by {node.high - node.low}", late=True)


def _check_looks(parts: tuple[Expression, ...]) -> None:
    """Looks must end where their group does, and one behind has one length."""
    beyond, before = False, 0
    for part in parts:
        if isinstance(part, Look) and part.behind:
            low, high = _lengths(part.part)
            if low != high:
                raise PatternError(f"lookbacks have to have fixed length {low, high}", late=True)
            beyond |= low > before
        before += _lengths(part)[0]
    after = 0
    for part in reversed(parts):
        if isinstance(part, Look) and not part.behind:
            low, high = _lengths(part.part)
            beyond |= (low if high is None else high) > after
        after += _lengths(part)[0]
    if beyond:
        raise PatternError(_BEYOND, late=True)


def _lengths(node: Expression) -> tuple[int, int | None]:
    """Of the shortest and the longest text that matches; None when there is no longest."""
    match node:
        case Class():
            return 1, 1
        case Look():
            return 0, 0
        case Quantified(part, low, high):
            shortest, longest = _lengths(part)
            return shortest * low, None if high is None or longest is None else longest * high
        case Sequence(parts):
            each = [_lengths(part) for part in parts]
            return sum(low for low, _ in each), _joined(sum, [high for _, high in each])
        case Alternation(options):
            each = [_lengths(option) for option in options]
            return min(low for low, _ in each), _joined(max, [high for _, high in each])


def _joined(how: Callable[[list[int]], int], longest: list[int | None]) -> int | None:
    known = [each for each in longest if each is not None]
    return how(known) if len(known) == len(longest) else None


def _size(node: Expression) -> int:
    size = 1 + sum(map(_size, inner(node)))
    return size * max(node.low, 1) if isinstance(node, Quantified) else size


def _possible(node: Expression) -> bool:
    match node:
        case Class():
            return node.negated or bool(node.ranges)
        case Sequence(parts):
            return all(map(_possible, parts))
        case Alternation(options):
            return any(map(_possible, options))
        case Quantified(part, low):
            return low == 0 or _possible(part)
        case Look():
            return True


def _ends(node: Expression, text: str, starts: frozenset[int]) -> frozenset[int]:
    """Where a match may end that begins at one of `starts`: no backtracking, whatever the pattern."""
    match node:
        case Class():
            return frozenset(at + 1 for at in starts if at < len(text) and node.holds(text[at]))
        case Sequence(parts):
            for part in parts:
                starts = _ends(part, text, starts)
            return starts
        case Alternation(options):
            return frozenset().union(*(_ends(option, text, starts) for option in options))
        case Quantified(part, low, high):
            return _repeated_ends(part, text, starts, low, high)
        case Look(part, behind, negated):
            held = frozenset(
                at for at in starts if bool(_ends(part, text, frozenset({at}))) != negated
            )
            return starts if behind else held


def _repeated_ends(
    part: Expression, text: str, starts: frozenset[int], low: int, high: int | None
) -> frozenset[int]:
    reached = starts if low == 0 else frozenset[int]()
    count = 0
    while starts and (high is None or count < high):
        after = _ends(part, text, starts)
        count += 1
        if count >= low:
            if after <= reached:
                break
            reached |= after
        elif after == starts:
            return after  # it matches nothing at all, however often
        starts = after
    return reached


def _draw(node: Expression, draws: Draws, out: list[str]) -> None:
    match node:
        case Class():
            choices = _choices(node)
            out.append(choices[draws.byte() % len(choices)])
        case Sequence(parts):
            for part in parts:
                _draw(part, draws, out)
        case Alternation(options):
            some = [option for option in options if _possible(option)]
            _draw(some[draws.byte() % len(some)], draws, out)
        case Quantified(part) if not _possible(part):
            pass
        case Quantified(part, low, high):
            most = low + _EXTRA_REPEATS if high is None else min(high, low + _EXTRA_REPEATS)
            for _ in range(low + draws.byte() % (most - low + 1)):
                _draw(part, draws, out)
        case Look():
            pass


def _choices(node: Class) -> str:
    preferred = "".join(char for char in _PREFERRED if node.holds(char))
    if preferred:
        return preferred
    if not node.negated:
        return "".join(chr(low) for low, _ in node.ranges)
    rest = (chr(code) for code in range(0x20, 0x3000) if not 0x7F <= code < 0xA0)
    return "".join(char for char in rest if node.holds(char))[:32]
