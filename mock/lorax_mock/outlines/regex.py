r"""Regular expressions as the automaton behind LoRAX's grammars reads them (interegular 0.3.3).

Faults included, because a client meets them as 424: `^` and `$` are refused inside a pattern, so are
`\b`, back-references and look-behind; a flag is taken, a look-ahead too; `{x}` is a broken quantifier and
`[]a]` is the empty class followed by text. Many faults have no words at all.
"""

from dataclasses import dataclass
from typing import Final

__all__ = [
    "Alternation",
    "Class",
    "Expression",
    "Look",
    "PatternError",
    "Quantified",
    "Sequence",
    "inner",
    "parse",
]

_LETTERS: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_DIGITS: Final = frozenset("0123456789")
_OCTAL: Final = frozenset("01234567")
_HEXADECIMAL: Final = frozenset("0123456789abcdefABCDEF")
_NAME: Final = _LETTERS | _DIGITS | {"_"}
_FLAGS: Final = "aiLmsux"


class PatternError(Exception):
    """The pattern is no expression of this dialect (`late` False), or has no automaton (True)."""

    def __init__(self, text: str = "", *, late: bool = False) -> None:
        super().__init__(text)
        self.late = late


@dataclass(frozen=True, slots=True)
class Class:
    """One character of some ranges, or of none of them."""

    ranges: tuple[tuple[int, int], ...]
    negated: bool = False

    def holds(self, char: str) -> bool:
        """Whether it may be this one."""
        inside = any(low <= ord(char) <= high for low, high in self.ranges)
        return inside != self.negated


@dataclass(frozen=True, slots=True)
class Sequence:
    """All parts in a row."""

    parts: "tuple[Expression, ...]"


@dataclass(frozen=True, slots=True)
class Alternation:
    """One of several."""

    options: "tuple[Expression, ...]"


@dataclass(frozen=True, slots=True)
class Quantified:
    """A part several times, without end when `high` is None."""

    part: "Expression"
    low: int
    high: int | None


@dataclass(frozen=True, slots=True)
class Look:
    """A look ahead or behind, which takes nothing."""

    part: "Expression"
    behind: bool
    negated: bool


Expression = Class | Sequence | Alternation | Quantified | Look

_DIGIT: Final = ((0x30, 0x39),)
_WORD: Final = (*_DIGIT, (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A))
_BLANK: Final = ((0x09, 0x0D), (0x20, 0x20))
_ESCAPES: Final = {
    "d": Class(_DIGIT),
    "D": Class(_DIGIT, negated=True),
    "w": Class(_WORD),
    "W": Class(_WORD, negated=True),
    "s": Class(_BLANK),
    "S": Class(_BLANK, negated=True),
    **{
        letter: Class(((code, code),)) for letter, code in zip("abtnvfr", range(7, 14), strict=True)
    },
}


class _Parser:
    """Recursive descent over one pattern, left to right; the first error decides."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0
        self._hollow = False

    def whole(self) -> Expression:
        node = self._choice()
        if self._at < len(self._pattern):
            raise PatternError
        if self._hollow:
            # A comment, or `(?P` and neither `<` nor `=`, leaves a hole in the tree there.
            raise PatternError("'NoneType' object has no attribute 'simplify'")
        return node

    def _peek(self) -> str:
        return self._pattern[self._at : self._at + 1]

    def _take(self) -> str:
        char = self._peek()
        if not char:
            raise PatternError
        self._at += 1
        return char

    def _taken(self, char: str) -> bool:
        if self._peek() != char:
            return False
        self._at += 1
        return True

    def _expect(self, char: str) -> None:
        if self._take() != char:
            raise PatternError

    def _run(self, chars: frozenset[str], least: int, most: int | None = None) -> str | None:
        """As many of `chars` as there are; None (and nothing taken) when they are too few."""
        end = self._at
        while end < len(self._pattern) and self._pattern[end] in chars and end - self._at != most:
            end += 1
        if end - self._at < least:
            return None
        text = self._pattern[self._at : end]
        self._at = end
        return text

    def _choice(self) -> Expression:
        options = [self._sequence()]
        while self._taken("|"):
            options.append(self._sequence())
        return options[0] if len(options) == 1 else Alternation(tuple(options))

    def _sequence(self) -> Expression:
        parts: list[Expression] = []
        while self._peek() not in ("", "|", ")"):
            parts.append(self._object())
        return Sequence(tuple(parts))

    def _object(self) -> Expression:
        if not self._taken("("):
            # Once more than an atom itself, as there: `a{2}{3}` is a repetition of a repetition.
            return self._repeated(self._atom())
        if self._taken("?"):
            return self._extension()
        return self._repeated(self._group())

    def _group(self) -> Expression:
        node = self._choice()
        self._expect(")")
        return node

    def _extension(self) -> Expression:
        kind = self._take()
        match kind:
            case ":":
                return self._repeated(self._group())
            case "P" if self._taken("<"):
                if self._run(_NAME, 1) is None:
                    raise PatternError
                self._expect(">")
                return self._repeated(self._group())
            case "P" if self._taken("="):
                raise PatternError("Group references are not implemented")
            case "#":
                while self._take() != ")":
                    pass
            case "=" | "!":
                return Look(self._group(), behind=False, negated=kind == "!")
            case "<":
                kind = self._take()
                if kind in "=!":
                    return Look(self._group(), behind=True, negated=kind == "!")
            case "(":
                raise PatternError("Conditional matching is not implemented")
            case _ if kind in f"{_FLAGS}-":
                self._at -= 1
                return self._flagged()
            case "P":
                pass
            case _:
                context = self._pattern[max(self._at - 3, 0) : self._at + 5]
                raise PatternError(f"Unknown group-extension: {kind!r} (Context: {context!r}")
        self._hollow = True
        return Sequence(())

    def _flagged(self) -> Expression:
        """Flags change which texts match beside the plain ones; the plain ones are what we draw."""
        added = self._run(frozenset(_FLAGS), 0) or ""
        removed = ""
        if self._taken("-"):
            found = self._run(frozenset(_FLAGS), 1)
            if found is None:
                raise PatternError
            removed = found
        if self._taken(":"):
            node = self._choice()
            self._check_flags(added + removed)
            self._expect(")")
            return self._repeated(node)
        if removed:
            raise PatternError
        self._expect(")")
        self._check_flags(added)
        return Sequence(())

    @staticmethod
    def _check_flags(flags: str) -> None:
        for flag in flags:
            if flag not in "ims":
                raise PatternError(f"Flag {flag} is not implemented")

    def _atom(self) -> Expression:
        char = self._take()
        match char:
            case "[":
                return self._repeated(self._class())
            case "\\":
                return self._repeated(self._escape(inner=False))
            case ".":
                return self._repeated(Class(((0x0A, 0x0A),), negated=True))
            case "$" | "^":
                raise PatternError(f"'{char}'")
            case "*" | "+" | "?" | ")" | "|":
                raise PatternError
            case _:
                return self._repeated(Class(((ord(char), ord(char)),)))

    def _repeated(self, part: Expression) -> Expression:
        match self._peek():
            case "*":
                low, high = 0, None
            case "+":
                low, high = 1, None
            case "?":
                low, high = 0, 1
            case "{":
                self._at += 1
                low = int(self._run(_DIGITS, 1) or 0)
                high = low
                if self._taken(","):
                    most = self._run(_DIGITS, 1)
                    high = None if most is None else int(most)
                self._expect("}")
                self._at -= 1
            case _:
                return part
        self._at += 1
        self._taken("?")  # lazy ones match the same texts
        return Quantified(part, low, high)

    def _escape(self, *, inner: bool) -> Class:
        if self._taken("x"):
            return self._coded(self._run(_HEXADECIMAL, 2, 2), 16)
        if self._taken("0"):
            return self._coded(self._run(_OCTAL, 1, 2), 8)
        char = self._peek()
        if char and char in "NpPuU":
            raise PatternError("regex module unicode properties are not supported.")
        octal = self._run(_OCTAL, 1, 3) if inner else self._run(_OCTAL, 3, 3)
        if octal is not None:
            return self._coded(octal, 8)
        if not inner:
            if self._run(_DIGITS, 1, 2) is not None:
                raise PatternError("Group references are not implemented")
            if char and char in "AZbB":
                raise PatternError(f"Escape \\{char} is not implemented")
        char = self._take()
        if char in _ESCAPES:
            return _ESCAPES[char]
        if char.isalpha():
            raise PatternError
        return Class(((ord(char), ord(char)),))

    @staticmethod
    def _coded(digits: str | None, base: int) -> Class:
        if digits is None:
            raise PatternError
        code = int(digits, base)
        return Class(((code, code),))

    def _class(self) -> Class:
        negated = self._taken("^")
        members: list[Class] = []
        while self._peek() not in ("]", ""):
            members.append(self._member())
        self._expect("]")
        if len(members) == 1:
            return Class(members[0].ranges, negated != members[0].negated)
        plain = [one for member in members for one in _plain_ranges(member)]
        return Class(tuple(plain), negated)

    def _member(self) -> Class:
        start = self._at
        base = self._member_char()
        if not self._taken("-"):
            return base
        if self._peek() == "]":
            return Class((*_plain_ranges(base), (0x2D, 0x2D)))
        end = self._member_char()
        low, high = _single(base), _single(end)
        if low is None or high is None or low > high:
            text = self._pattern[start : self._at]
            raise PatternError(f"Invalid Character-range: {text}")
        return Class(((low, high),))

    def _member_char(self) -> Class:
        char = self._take()
        if char == "\\":
            return self._escape(inner=True)
        if char == "]":
            raise PatternError
        return Class(((ord(char), ord(char)),))


def _single(member: Class) -> int | None:
    """The code of a class of one character; the automaton's does not ask whether it is negated."""
    if len(member.ranges) == 1 and member.ranges[0][0] == member.ranges[0][1]:
        return member.ranges[0][0]
    return None


def _plain_ranges(member: Class) -> tuple[tuple[int, int], ...]:
    """The ranges of a class inside a class; what a negated one leaves is spelled out."""
    if not member.negated:
        return member.ranges
    out: list[tuple[int, int]] = []
    first = 0
    for low, high in sorted(member.ranges):
        if low > first:
            out.append((first, low - 1))
        first = max(first, high + 1)
    return (*out, (first, 0x10FFFF))


def parse(pattern: str) -> Expression:
    """The whole pattern; raises PatternError in the parser's words."""
    return _Parser(pattern).whole()


def inner(node: Expression) -> "tuple[Expression, ...]":
    """The parts of an expression."""
    match node:
        case Class():
            return ()
        case Sequence(parts) | Alternation(parts):
            return parts
        case Quantified(part) | Look(part):
            return (part,)
