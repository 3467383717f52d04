"""JSON text as serde_json reads it: positions, numbers, strings, and the errors it finds.

Errors found by looking ahead count the byte looked at, errors found by consuming count the bytes
consumed (serde_json 1.0.132, src/de.rs and src/read.rs). Strings are recognised by a
regular expression; only one that it turns down is walked byte by byte, to find out where and why.
"""

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from lorax_mock.serde.floats import spell_f64
from lorax_mock.serde.numbers import BrokenNumber, read_number, skip_number

__all__ = ["ESCAPES", "STRING", "Reader", "SerdeError", "number_seen", "quoted"]

_SPACE = re.compile(rb"[ \n\t\r]*")
STRING = re.compile(rb'"[^"\\\x00-\x1f]*(?:\\.[^"\\\x00-\x1f]*)*"', re.DOTALL)
_DEPTH_LIMIT: Final = 128

ESCAPES: Final[Mapping[int, bytes]] = {
    0x22: b'"',
    0x5C: b"\\",
    0x2F: b"/",
    0x62: b"\b",
    0x66: b"\f",
    0x6E: b"\n",
    0x72: b"\r",
    0x74: b"\t",
}


class SerdeError(Exception):
    """Why a body was not accepted; `str()` is the detail that axum appends."""

    def __init__(self, text: str, *, syntax: bool, at: int | None = None) -> None:
        super().__init__(text)
        self.text = text
        self.syntax = syntax
        self.at = at
        self.path: list[str | int | None] = []
        """From the inside out; None is an object's key that could not be read."""

        self.where = ""

    def __str__(self) -> str:
        if all(segment is None for segment in self.path):
            return f"{self.text}{self.where}"
        path = ""
        separator = ""
        for segment in reversed(self.path):
            if isinstance(segment, int):
                path += f"[{segment}]"
            else:
                path += separator + ("?" if segment is None else segment)
            separator = "."
        return f"{path}: {self.text}{self.where}"


class Reader:
    """A position in a body, and serde_json's checks of what comes next."""

    __slots__ = ("at", "data", "depth")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0
        self.depth = _DEPTH_LIMIT

    def peek(self) -> int:
        """The next byte that is not white space; -1 at the end."""
        match = _SPACE.match(self.data, self.at)
        if match:
            self.at = match.end()
        return self.data[self.at] if self.at < len(self.data) else -1

    def here(self, text: str) -> SerdeError:
        """A syntax error at the bytes consumed."""
        return SerdeError(text, syntax=True, at=self.at)

    def ahead(self, text: str) -> SerdeError:
        """A syntax error at the byte looked at."""
        return SerdeError(text, syntax=True, at=min(len(self.data), self.at + 1))

    def enter(self) -> None:
        """Move past an opening bracket; raises SerdeError for the 128th level."""
        self.depth -= 1
        if self.depth == 0:
            raise self.ahead("recursion limit exceeded")
        self.at += 1

    def literal(self, rest: bytes) -> None:
        """Move past the remaining letters of `null`, `true` or `false`."""
        for letter in rest:
            if self.at >= len(self.data):
                raise self.here("EOF while parsing a value")
            self.at += 1
            if self.data[self.at - 1] != letter:
                raise self.here("expected ident")

    def text(self) -> str:
        """A string whose opening quote is the next byte."""
        match = STRING.match(self.data, self.at)
        if match:
            try:
                value: str = msgspec.json.decode(match[0], type=str)
            except (msgspec.DecodeError, UnicodeDecodeError):
                return self.walk_text()
            self.at = match.end()
            return value
        return self.walk_text()

    def walk_text(self) -> str:
        """The same, byte by byte: slower, and it knows what is wrong and where."""
        data, size = self.data, len(self.data)
        self.at += 1
        out = bytearray()
        while True:
            start = self.at
            while self.at < size and data[self.at] not in b'"\\' and data[self.at] >= 0x20:
                self.at += 1
            out += data[start : self.at]
            if self.at == size:
                raise self.here("EOF while parsing a string")
            byte = data[self.at]
            self.at += 1
            if byte == 0x22:
                break
            if byte != 0x5C:
                raise self.here("control character (\\u0000-\\u001F) found while parsing a string")
            out += self._escape()
        try:
            return out.decode()
        except UnicodeDecodeError:
            raise self.here("invalid unicode code point") from None

    def _escape(self) -> bytes:
        if self.at >= len(self.data):
            raise self.here("EOF while parsing a string")
        letter = self.data[self.at]
        self.at += 1
        if letter == 0x75:
            return self._unicode_escape().encode()
        plain = ESCAPES.get(letter)
        if plain is None:
            raise self.here("invalid escape")
        return plain

    def _unicode_escape(self) -> str:
        first = self.hex4()
        if 0xDC00 <= first <= 0xDFFF:
            raise self.here("lone leading surrogate in hex escape")
        if not 0xD800 <= first <= 0xDBFF:
            return chr(first)
        for expected in b"\\u":
            if self.at >= len(self.data):
                raise self.here("EOF while parsing a string")
            self.at += 1
            if self.data[self.at - 1] != expected:
                raise self.here("unexpected end of hex escape")
        second = self.hex4()
        if not 0xDC00 <= second <= 0xDFFF:
            raise self.here("lone leading surrogate in hex escape")
        return chr(0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00))

    def hex4(self) -> int:
        """The four digits of an escape."""
        digits = self.data[self.at : self.at + 4]
        if len(digits) < 4:
            self.at = len(self.data)
            raise self.here("EOF while parsing a string")
        self.at += 4
        if not all(digit in b"0123456789abcdefABCDEF" for digit in digits):
            raise self.here("invalid escape")
        return int(digits, 16)

    def number(self) -> int | float:
        """A number whose first byte is next: int within 64 bits, float for all others."""
        try:
            value, self.at = read_number(self.data, self.at)
        except BrokenNumber as broken:
            raise SerdeError(broken.text, syntax=True, at=broken.at) from None
        return value

    def skip_number(self) -> None:
        """Move past a number whose first byte is next."""
        try:
            self.at = skip_number(self.data, self.at)
        except BrokenNumber as broken:
            raise SerdeError(broken.text, syntax=True, at=broken.at) from None

    def unexpected(self, expected: str) -> SerdeError:
        """`invalid type` for whatever comes next, which scalars consume and brackets do not."""
        byte = self.peek()
        if byte == 0x6E:
            self.at += 1
            self.literal(b"ull")
            seen = "null"
        elif byte == 0x74:
            self.at += 1
            self.literal(b"rue")
            seen = "boolean `true`"
        elif byte == 0x66:
            self.at += 1
            self.literal(b"alse")
            seen = "boolean `false`"
        elif byte == 0x22:
            seen = f"string {quoted(self.text())}"
        elif byte == 0x5B:
            seen = "sequence"
        elif byte == 0x7B:
            seen = "map"
        elif byte >= 0 and byte in b"-0123456789":
            seen = number_seen(self.number())
        else:
            return self.ahead("expected value")
        return SerdeError(f"invalid type: {seen}, expected {expected}", syntax=False, at=self.at)

    def colon(self) -> None:
        """Move past the colon after a key; raises SerdeError."""
        byte = self.peek()
        if byte == 0x3A:
            self.at += 1
        elif byte == -1:
            raise self.ahead("EOF while parsing an object")
        else:
            raise self.ahead("expected `:`")

    def key(self, *, first: bool) -> str | None:
        """An object's next key; None when the object is over."""
        try:
            return self.text() if self._another_key(first=first) else None
        except SerdeError as error:
            error.path.append(None)
            raise

    def _another_key(self, *, first: bool) -> bool:
        """Whether an object goes on; positions the reader on the key's quote."""
        byte = self.peek()
        if byte == 0x7D:
            return False
        if byte == -1:
            raise self.ahead("EOF while parsing an object")
        if first:
            if byte != 0x22:
                raise self.ahead("key must be a string")
            return True
        if byte != 0x2C:
            raise self.ahead("expected `,` or `}`")
        self.at += 1
        byte = self.peek()
        if byte == 0x22:
            return True
        if byte == 0x7D:
            raise self.ahead("trailing comma")
        raise self.ahead("EOF while parsing a value" if byte == -1 else "key must be a string")

    def another_element(self, *, first: bool) -> bool:
        """Whether an array goes on; positions the reader on the element."""
        byte = self.peek()
        if byte == 0x5D:
            return False
        if byte == -1:
            raise self.ahead("EOF while parsing a list")
        if first:
            return True
        if byte != 0x2C:
            raise self.ahead("expected `,` or `]`")
        self.at += 1
        byte = self.peek()
        if byte == 0x5D:
            raise self.ahead("trailing comma")
        if byte == -1:
            raise self.ahead("EOF while parsing a value")
        return True

    def end_map(self) -> None:
        """Move past the bracket that closes an object; raises SerdeError."""
        self.depth += 1
        byte = self.peek()
        if byte == 0x7D:
            self.at += 1
        elif byte == 0x2C:
            raise self.ahead("trailing comma")
        elif byte == -1:
            raise self.ahead("EOF while parsing an object")
        else:
            raise self.ahead("trailing characters")

    def end_list(self) -> None:
        """Move past the bracket that closes an array; raises SerdeError."""
        self.depth += 1
        byte = self.peek()
        if byte == 0x5D:
            self.at += 1
        elif byte == 0x2C:
            self.at += 1
            closing = self.peek() == 0x5D
            raise self.ahead("trailing comma" if closing else "trailing characters")
        elif byte == -1:
            raise self.ahead("EOF while parsing a list")
        else:
            raise self.ahead("trailing characters")


def quoted(text: str) -> str:
    """Rust's `{:?}` of a string, which is what serde shows of unexpected ones."""
    out = ['"']
    for char in text:
        match char:
            case '"' | "\\":
                out.append("\\" + char)
            case "\n":
                out.append("\\n")
            case "\r":
                out.append("\\r")
            case "\t":
                out.append("\\t")
            case "\0":
                out.append("\\0")
            case _ if char.isprintable() or char == " ":
                out.append(char)
            case _:
                out.append(f"\\u{{{ord(char):x}}}")
    return "".join(out) + '"'


def number_seen(value: float) -> str:
    """A number as serde names it in a refusal."""
    if isinstance(value, int):
        return f"integer `{value}`"
    return f"floating point `{spell_f64(value)}`"
