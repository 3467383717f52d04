r"""JSON read a piece at a time, as a model writes it.

Two machines, both fed with a text and the place to go on from, both answering where they stopped:

- `StringReader` decodes one JSON string. Every character is given out as soon as it is sure: only
  an escape in progress is held back, and after the escape of a high surrogate the one that may
  complete the pair. A surrogate without its partner becomes U+FFFD, because no answer could carry
  it: UTF-8 has no bytes for it.
- `ObjectScanner` finds the end of one JSON object and judges every character on the way, so that
  whoever passes the text on knows that it is valid JSON, and passes none of what follows it.

Both accept exactly RFC 8259: raw control characters inside a string are malformed. Neither raises;
`malformed` says that the text left the grammar, and from there on nothing more is read.
"""

import re
from enum import Enum, auto
from typing import Final

__all__ = ["WHITESPACE", "ObjectScanner", "StringReader"]

WHITESPACE: Final = " \t\n\r"

_PLAIN: Final = re.compile(r'[^"\\\x00-\x1f]*')
_SPACE: Final = re.compile(r"[ \t\n\r]*")
_HEX: Final = frozenset("0123456789abcdefABCDEF")
_ESCAPES: Final = {
    '"': '"',
    "\\": "\\",
    "/": "/",
    "b": "\b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
}
_REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"


class StringReader:
    """Decodes the inside of one JSON string; the opening quote is already behind it.

    Attributes:
        closed: The closing quote has been read.
        malformed: The text is no JSON string; nothing more is read.
    """

    __slots__ = ("_digits", "_escape", "_high", "closed", "malformed")

    def __init__(self) -> None:
        self.closed = False
        self.malformed = False
        # The escape in progress, a backslash or \u, and the digits of the latter.
        self._escape = ""
        self._digits = ""
        # A high surrogate whose partner may still come.
        self._high = ""

    def feed(self, text: str, at: int = 0) -> tuple[str, int]:
        """Read `text` from `at` on: what it decodes to, and the place behind what was read."""
        decoded: list[str] = []
        while at < len(text) and not (self.closed or self.malformed):
            if self._escape:
                at = self._feed_escape(text, at, decoded)
                continue
            end = _plain_end(text, at)
            if end > at:
                self._flush(decoded)
                decoded.append(text[at:end])
                at = end
                continue
            match text[at]:
                case '"':
                    self._flush(decoded)
                    self.closed = True
                case "\\":
                    self._escape = "\\"
                case _:
                    self.malformed = True
                    break
            at += 1
        return "".join(decoded), at

    def finish(self) -> str:
        """What was held back, when no more text will come."""
        held = _REPLACEMENT if self._high else ""
        self._high = ""
        return held

    def _feed_escape(self, text: str, at: int, decoded: list[str]) -> int:
        character = text[at]
        if self._escape == "\\":
            if character == "u":
                self._escape = "\\u"
            elif character in _ESCAPES:
                self._flush(decoded)
                decoded.append(_ESCAPES[character])
                self._escape = ""
            else:
                self.malformed = True
                return at
        elif character in _HEX:
            self._digits += character
            if len(self._digits) == 4:
                self._take_unit(int(self._digits, 16), decoded)
                self._escape = self._digits = ""
        else:
            self.malformed = True
            return at
        return at + 1

    def _take_unit(self, unit: int, decoded: list[str]) -> None:
        if 0xDC00 <= unit <= 0xDFFF and self._high:
            high = ord(self._high)
            decoded.append(chr(0x10000 + ((high - 0xD800) << 10) + (unit - 0xDC00)))
            self._high = ""
            return
        self._flush(decoded)
        if 0xD800 <= unit <= 0xDBFF:
            self._high = chr(unit)
        elif 0xDC00 <= unit <= 0xDFFF:
            decoded.append(_REPLACEMENT)
        else:
            decoded.append(chr(unit))

    def _flush(self, decoded: list[str]) -> None:
        if self._high:
            decoded.append(_REPLACEMENT)
            self._high = ""


class _Want(Enum):
    """What may come next, whitespace apart. Inside tokens it is what the token still lacks."""

    OBJECT = auto()
    FIRST_KEY = auto()
    KEY = auto()
    COLON = auto()
    VALUE = auto()
    FIRST_ITEM = auto()
    AFTER_VALUE = auto()
    STRING = auto()
    ESCAPE = auto()
    HEX = auto()
    LITERAL = auto()
    NUMBER = auto()


# A number's progress, and where each kind of character takes it; missing means malformed.
_NUMBER: Final[dict[str, dict[str, str]]] = {
    "minus": {"0": "zero", "1": "integer"},
    "zero": {".": "point", "e": "exponent"},
    "integer": {"0": "integer", "1": "integer", ".": "point", "e": "exponent"},
    "point": {"0": "fraction", "1": "fraction"},
    "fraction": {"0": "fraction", "1": "fraction", "e": "exponent"},
    "exponent": {"0": "power", "1": "power", "+": "sign", "-": "sign"},
    "sign": {"0": "power", "1": "power"},
    "power": {"0": "power", "1": "power"},
}
_NUMBER_MAY_END: Final = frozenset({"zero", "integer", "fraction", "power"})
_NUMBER_KIND: Final = {
    "0": "0",
    **dict.fromkeys("123456789", "1"),
    ".": ".",
    "e": "e",
    "E": "e",
    "+": "+",
    "-": "-",
}
_LITERALS: Final = {"t": "true", "f": "false", "n": "null"}


class ObjectScanner:
    """Walks over one JSON object, from its opening brace to its closing one.

    Attributes:
        done: The closing brace has been read.
        malformed: The text is no JSON object; nothing more is read.
    """

    __slots__ = ("_hex", "_is_key", "_number", "_open", "_rest", "_want", "done", "malformed")

    def __init__(self) -> None:
        self.done = False
        self.malformed = False
        self._want = _Want.OBJECT
        # The closing bracket of everything that is open, innermost last.
        self._open: list[str] = []
        # Of the token that is being read, each set where one begins that needs it.
        self._is_key: bool
        self._hex: int
        self._rest: str
        self._number: str

    def feed(self, text: str, at: int = 0) -> int:
        """Read `text` from `at` on; gives the place behind the last character that belongs."""
        while at < len(text) and not self.done:
            moved = self._step(text, at)
            if moved is None:
                self.malformed = True
                break
            at = moved
        return at

    def _step(self, text: str, at: int) -> int | None:
        """One token, or as much of it as there is; None where it is malformed."""
        match self._want:
            case _Want.STRING:
                return self._in_string(text, at)
            case _Want.ESCAPE:
                return self._in_escape(text[at], at)
            case _Want.HEX:
                if text[at] not in _HEX:
                    return None
                self._hex -= 1
                if not self._hex:
                    self._want = _Want.STRING
                return at + 1
            case _Want.LITERAL:
                if text[at] != self._rest[0]:
                    return None
                self._rest = self._rest[1:]
                if not self._rest:
                    self._want = _Want.AFTER_VALUE
                return at + 1
            case _Want.NUMBER:
                return self._in_number(text[at], at)
            case _:
                spaced = _space_end(text, at)
                # Before its first character the object has not begun: that space is not its own.
                if spaced > at and self._want is not _Want.OBJECT:
                    return spaced
                return at + 1 if self._at_token(text[at]) else None

    def _in_string(self, text: str, at: int) -> int | None:
        end = _plain_end(text, at)
        if end == len(text):
            return end
        if text[end] == "\\":
            self._want = _Want.ESCAPE
        elif text[end] == '"':
            self._want = _Want.COLON if self._is_key else _Want.AFTER_VALUE
        else:
            return None
        return end + 1

    def _in_escape(self, character: str, at: int) -> int | None:
        if character == "u":
            self._want, self._hex = _Want.HEX, 4
        elif character in _ESCAPES:
            self._want = _Want.STRING
        else:
            return None
        return at + 1

    def _in_number(self, character: str, at: int) -> int | None:
        kind = _NUMBER_KIND.get(character)
        if kind is not None:
            progress = _NUMBER[self._number].get(kind)
            if progress is None:
                return None
            self._number = progress
            return at + 1
        if self._number not in _NUMBER_MAY_END:
            return None
        self._want = _Want.AFTER_VALUE
        return at

    def _at_token(self, character: str) -> bool:
        """Take the first character of a token; False where it may not stand."""
        match self._want:
            case _Want.OBJECT:
                return character == "{" and self._enter("}", _Want.FIRST_KEY)
            case _Want.FIRST_KEY if character == "}":
                return self._leave()
            case _Want.FIRST_KEY | _Want.KEY:
                self._want, self._is_key = _Want.STRING, True
                return character == '"'
            case _Want.COLON:
                self._want = _Want.VALUE
                return character == ":"
            case _Want.FIRST_ITEM if character == "]":
                return self._leave()
            case _Want.FIRST_ITEM | _Want.VALUE:
                return self._begin_value(character)
            case _:
                if character == self._open[-1]:
                    return self._leave()
                self._want = _Want.KEY if self._open[-1] == "}" else _Want.VALUE
                return character == ","

    def _begin_value(self, character: str) -> bool:
        match character:
            case "{":
                return self._enter("}", _Want.FIRST_KEY)
            case "[":
                return self._enter("]", _Want.FIRST_ITEM)
            case '"':
                self._want, self._is_key = _Want.STRING, False
            case "-":
                self._want, self._number = _Want.NUMBER, "minus"
            case "0":
                self._want, self._number = _Want.NUMBER, "zero"
            case _ if character in "123456789":
                self._want, self._number = _Want.NUMBER, "integer"
            case _ if character in _LITERALS:
                self._want, self._rest = _Want.LITERAL, _LITERALS[character][1:]
            case _:
                return False
        return True

    def _enter(self, closing: str, want: _Want) -> bool:
        self._open.append(closing)
        self._want = want
        return True

    def _leave(self) -> bool:
        self._open.pop()
        self._want = _Want.AFTER_VALUE
        self.done = not self._open
        return True


def _plain_end(text: str, at: int) -> int:
    """The place behind the characters of a JSON string that stand for themselves."""
    found = _PLAIN.match(text, at)
    return found.end() if found else at


def _space_end(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at
