"""Text that a regular expression matches, drawn from hashed bytes.

Covers what the schema compiler's regex parser accepts: classes, groups, alternation, quantifiers and
the usual escapes. Look-around and back-references have no finite automaton there either; they are
refused. An unbounded repetition is repeated a few times; a class yields a letter when it can.
"""

import re
from dataclasses import dataclass
from typing import Final

from lorax_mock.hashing import Draws

__all__ = ["PatternError", "Sampler"]

_PREFERRED: Final = "etaoinsrhldcumfpgwybvkxjqz0123456789ETAOINSRHLDCUMFPGWYBVKXJQZ _-./:@+,"
_EXTRA_REPEATS: Final = 3
_MOST_REPEATS: Final = 10_000
_LONGEST_TRIED: Final = 24
"""Characters of a readable candidate: a hostile pattern may backtrack on every one of them."""


class PatternError(Exception):
    """The pattern is no regular expression, or one without an automaton."""


@dataclass(frozen=True, slots=True)
class _Class:
    ranges: tuple[tuple[int, int], ...]
    negated: bool = False

    def holds(self, char: str) -> bool:
        inside = any(low <= ord(char) <= high for low, high in self.ranges)
        return inside != self.negated

    def choices(self) -> str:
        preferred = "".join(char for char in _PREFERRED if self.holds(char))
        if preferred:
            return preferred
        if not self.negated:
            return "".join(chr(low) for low, _ in self.ranges)
        rest = (chr(code) for code in range(0x20, 0x3000) if not 0x7F <= code < 0xA0)
        return "".join(char for char in rest if self.holds(char))[:32]


@dataclass(frozen=True, slots=True)
class _Sequence:
    parts: "tuple[_Node, ...]"


@dataclass(frozen=True, slots=True)
class _Choice:
    options: "tuple[_Node, ...]"


@dataclass(frozen=True, slots=True)
class _Repeat:
    part: "_Node"
    low: int
    high: int | None


_Node = _Class | _Sequence | _Choice | _Repeat

_DIGIT: Final = ((0x30, 0x39),)
_WORD: Final = (*_DIGIT, (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A))
_BLANK: Final = ((0x09, 0x0D), (0x20, 0x20))
_SETS: Final = {"d": _DIGIT, "w": _WORD, "s": _BLANK}
_CONTROLS: Final = {"n": "\n", "r": "\r", "t": "\t", "f": "\f", "v": "\v", "0": "\0"}
_QUANTIFIER: Final = re.compile(r"\{(\d*)(,?)(\d*)\}")


class _Parser:
    """Recursive descent over one pattern."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0

    def whole(self) -> _Node:
        node = self._choice()
        if self._at < len(self._pattern):
            raise PatternError(f"unbalanced parenthesis in pattern {self._pattern!r}")
        return node

    def _peek(self) -> str:
        return self._pattern[self._at : self._at + 1]

    def _take(self) -> str:
        char = self._peek()
        if not char:
            raise PatternError(f"unexpected end of pattern {self._pattern!r}")
        self._at += 1
        return char

    def _choice(self) -> _Node:
        options = [self._sequence()]
        while self._peek() == "|":
            self._take()
            options.append(self._sequence())
        return options[0] if len(options) == 1 else _Choice(tuple(options))

    def _sequence(self) -> _Node:
        parts: list[_Node] = []
        while self._peek() not in ("", "|", ")"):
            part = self._atom()
            if part is not None:
                parts.append(self._repeated(part))
        return _Sequence(tuple(parts))

    def _repeated(self, part: _Node) -> _Node:
        while True:
            char = self._peek()
            bounds = _QUANTIFIER.match(self._pattern, self._at)
            if char == "*":
                low, high = 0, None
            elif char == "+":
                low, high = 1, None
            elif char == "?":
                low, high = 0, 1
            elif bounds and (bounds[1] or bounds[3]):
                low = int(bounds[1] or 0)
                high = int(bounds[3]) if bounds[3] else (None if bounds[2] else low)
                self._at = bounds.end() - 1
            else:
                return part
            self._at += 1
            if self._peek() in ("?", "+"):
                self._at += 1  # lazy and possessive match the same texts
            if max(low, high or 0) > _MOST_REPEATS or (high is not None and high < low):
                raise PatternError(f"quantifier out of range in pattern {self._pattern!r}")
            part = _Repeat(part, low, high)

    def _atom(self) -> _Node | None:
        char = self._take()
        if char == "(":
            if self._peek() == "?":
                self._take()
                kind = self._take()
                if kind == "P" and self._peek() == "<":
                    while self._take() != ">":
                        pass
                elif kind != ":":
                    raise PatternError(f"group (?{kind} is not supported: {self._pattern!r}")
            node = self._choice()
            if self._take() != ")":
                raise PatternError(f"missing ) in pattern {self._pattern!r}")
            return node
        if char == "[":
            return self._class()
        if char == ".":
            return _Class(((0x0A, 0x0A),), negated=True)
        if char in "^$":
            return None
        if char in "*+?":
            raise PatternError(f"nothing to repeat in pattern {self._pattern!r}")
        if char == "\\":
            return self._escape(self._take())
        return _Class(((ord(char), ord(char)),))

    def _escape(self, char: str) -> _Class | None:
        if char in "bBAZ":
            return None
        if char.lower() in _SETS:
            return _Class(_SETS[char.lower()], negated=char.isupper())
        code = ord(self._escaped_char(char))
        return _Class(((code, code),))

    def _escaped_char(self, char: str) -> str:
        if char in "xuU":
            size = {"x": 2, "u": 4, "U": 8}[char]
            digits = self._pattern[self._at : self._at + size]
            self._at += size
            try:
                return chr(int(digits, 16))
            except (ValueError, OverflowError):
                raise PatternError(f"bad escape in pattern {self._pattern!r}") from None
        if char in _CONTROLS:
            return _CONTROLS[char]
        if char.isalnum():
            raise PatternError(f"escape \\{char} is not supported: {self._pattern!r}")
        return char

    def _class(self) -> _Class:
        negated = self._peek() == "^"
        if negated:
            self._take()
        ranges: list[tuple[int, int]] = []
        first = True
        while first or self._peek() != "]":
            first = False
            low = self._class_char(ranges)
            if low is None:
                continue
            high = low
            if self._peek() == "-" and self._pattern[self._at + 1 : self._at + 2] not in ("]", ""):
                self._take()
                high = self._class_char(ranges) or low
            if high < low:
                raise PatternError(f"bad range in pattern {self._pattern!r}")
            ranges.append((ord(low), ord(high)))
        self._take()
        return _Class(tuple(ranges), negated)

    def _class_char(self, ranges: list[tuple[int, int]]) -> str | None:
        """One character of a class, or None after adding a whole set to `ranges`."""
        char = self._take()
        if char != "\\":
            return char
        char = self._take()
        if char in _SETS:
            ranges += _SETS[char]
            return None
        if char.lower() in _SETS:
            raise PatternError(f"\\{char} inside a class is not supported: {self._pattern!r}")
        return "\b" if char == "b" else self._escaped_char(char)


class Sampler:
    """A pattern, ready to be drawn from; raises PatternError when it cannot be read."""

    def __init__(self, pattern: str) -> None:
        self._tree = _Parser(pattern).whole()
        try:
            self._regex: re.Pattern[str] | None = re.compile(pattern)
        except (re.error, OverflowError):
            self._regex = None

    def sample(self, draws: Draws, readable: str) -> str:
        """A matching text: `readable` or its first words when they match, else letters."""
        words = readable[:_LONGEST_TRIED].split(" ")
        if len(readable) > _LONGEST_TRIED and len(words) > 1:
            words.pop()  # a word that the limit cut in two
        if self._regex is not None:
            for candidate in (" ".join(words), words[0]):
                if self._regex.fullmatch(candidate):
                    return candidate
        out: list[str] = []
        _draw(self._tree, draws, out)
        return "".join(out)


def _draw(node: _Node, draws: Draws, out: list[str]) -> None:
    match node:
        case _Class():
            choices = node.choices()
            if not choices:
                raise PatternError("a class of the pattern holds no character")
            out.append(choices[draws.byte() % len(choices)])
        case _Sequence(parts):
            for part in parts:
                _draw(part, draws, out)
        case _Choice(options):
            _draw(options[draws.byte() % len(options)], draws, out)
        case _Repeat(part, low, high):
            most = low + _EXTRA_REPEATS if high is None else min(high, low + _EXTRA_REPEATS)
            for _ in range(low + draws.byte() % (most - low + 1)):
                _draw(part, draws, out)
