"""JSON as the router reads it: serde_json under serde_path_to_error, text for text.

Rules that other JSON readers break, and that this one keeps:

* Types are checked while the bytes are read, so the first fault in the body decides: a wrong type
  before a missing brace is a *data* fault (422), after it a *syntax* fault (400).
* A fault carries line and column (in bytes) of the reader's position, and the path of the value
  that was being read; at the top level there is no path.
* Unknown keys are skipped but must be JSON; a known key twice is a fault; `null` suits options
  alone; an array is read as a struct's fields in their order.
* Reading stops after the first value: what follows it is never looked at.

Positions follow serde_json's two kinds: faults found by looking ahead count the byte looked at,
faults raised by a type count the bytes consumed (serde_json 1.0.132, src/de.rs and src/read.rs).
A fault without a position gets one from the innermost structure around it, after that structure
has looked for its closing bracket: serde_json evaluates `end_map` before it reports.
"""

import contextlib
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from lorax_mock.floats import f32, spell_f64

__all__ = [
    "REQUIRED",
    "Fault",
    "Field",
    "Reader",
    "boolean",
    "integer",
    "json_value",
    "option",
    "read",
    "sequence",
    "single",
    "string",
    "struct",
    "unit_enum",
]

_SPACE = re.compile(rb"[ \n\t\r]*")
_STRING = re.compile(rb'"[^"\\\x00-\x1f]*(?:\\.[^"\\\x00-\x1f]*)*"', re.DOTALL)
_NUMBER = re.compile(rb"(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_DEPTH_LIMIT: Final = 128
_U64: Final = 2**64 - 1
_I64_MIN: Final = -(2**63)

type_of_read = Callable[["Reader"], Any]


class Fault(Exception):  # noqa: N818 - serde's word for it would be Error, which reads as ours
    """Why a body was not accepted; `str()` is the detail that axum appends."""

    def __init__(self, text: str, *, syntax: bool, at: int | None = None) -> None:
        super().__init__(text)
        self.text = text
        self.syntax = syntax
        self.at = at
        self.path: list[str | int] = []
        self.where = ""

    def __str__(self) -> str:
        path = ""
        for segment in reversed(self.path):
            if isinstance(segment, int):
                path += f"[{segment}]"
            else:
                path += f".{segment}" if path else segment
        return f"{path}: {self.text}{self.where}" if path else f"{self.text}{self.where}"


class Reader:
    """A position in a body, and serde_json's small questions about what comes next."""

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

    def here(self, text: str) -> Fault:
        """A syntax fault at the bytes consumed."""
        return Fault(text, syntax=True, at=self.at)

    def ahead(self, text: str) -> Fault:
        """A syntax fault at the byte looked at."""
        return Fault(text, syntax=True, at=min(len(self.data), self.at + 1))

    def enter(self) -> None:
        """One bracket deeper; serde_json refuses the 128th."""
        self.depth -= 1
        if self.depth == 0:
            raise self.ahead("recursion limit exceeded")
        self.at += 1

    def literal(self, rest: bytes) -> None:
        """The remaining letters of `null`, `true` or `false`."""
        for letter in rest:
            if self.at >= len(self.data):
                raise self.here("EOF while parsing a value")
            self.at += 1
            if self.data[self.at - 1] != letter:
                raise self.here("expected ident")

    def text(self) -> str:
        """A string whose opening quote is the next byte."""
        match = _STRING.match(self.data, self.at)
        if match:
            try:
                value: str = msgspec.json.decode(match[0], type=str)
            except (msgspec.DecodeError, UnicodeDecodeError):
                return self._careful_text()
            self.at = match.end()
            return value
        return self._careful_text()

    def _careful_text(self) -> str:
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
        plain = _ESCAPES.get(letter)
        if plain is None:
            raise self.here("invalid escape")
        return plain

    def _unicode_escape(self) -> str:
        first = self._hex4()
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
        second = self._hex4()
        if not 0xDC00 <= second <= 0xDFFF:
            raise self.here("lone leading surrogate in hex escape")
        return chr(0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00))

    def _hex4(self) -> int:
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
        negative = self.data[self.at] == 0x2D
        if negative:
            self.at += 1
            if self.at >= len(self.data):
                raise self.here("EOF while parsing a value")
        match = _NUMBER.match(self.data, self.at)
        if not match:
            self.at += 1
            raise self.here("invalid number")
        self.at = match.end()
        self._check_number_end(match)
        value: int | float
        if match[1] is None and match[2] is None:
            value = -int(match[0]) if negative else int(match[0])
            if value == 0 and negative:
                return -0.0
            if _I64_MIN <= value <= _U64:
                return value
            return float(value)
        value = float(match[0])
        if math.isinf(value):
            raise self.here("number out of range")
        return -value if negative else value

    def _check_number_end(self, match: re.Match[bytes]) -> None:
        following = self.data[self.at] if self.at < len(self.data) else -1
        if match[0] == b"0" and following in b"0123456789" and following >= 0:
            raise self.ahead("invalid number")
        if following == 0x2E and match[1] is None and match[2] is None:
            self.at += 1
            at_end = self.at >= len(self.data)
            raise self.ahead("EOF while parsing a value" if at_end else "invalid number")
        if following >= 0 and following in b"eE" and match[2] is None:
            self.at += 1
            if self.at < len(self.data) and self.data[self.at] in b"+-":
                self.at += 1
            if self.at >= len(self.data):
                raise self.here("EOF while parsing a value")
            self.at += 1
            raise self.here("invalid number")

    def unexpected(self, expected: str) -> Fault:
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
            seen = f"string {_debug(self.text())}"
        elif byte == 0x5B:
            seen = "sequence"
        elif byte == 0x7B:
            seen = "map"
        elif byte >= 0 and byte in b"-0123456789":
            seen = _number_seen(self.number())
        else:
            return self.ahead("expected value")
        return Fault(f"invalid type: {seen}, expected {expected}", syntax=False, at=self.at)

    def skip(self) -> None:
        """A value nobody asked for: it must be JSON, its depth and its surrogates do not matter."""
        closers: list[int] = []
        while True:
            byte = self.peek()
            if byte == -1:
                raise self.ahead("EOF while parsing a value")
            if byte == 0x22:
                self._skip_text()
            elif byte in b"-0123456789":
                self.number()
            elif byte in b"ntf":
                self.at += 1
                self.literal({0x6E: b"ull", 0x74: b"rue", 0x66: b"alse"}[byte])
            elif byte in b"[{":
                self.at += 1
                closers.append(0x5D if byte == 0x5B else 0x7D)
                if self.peek() != closers[-1]:
                    if byte == 0x7B:
                        self._skip_key()
                    continue
                self.at += 1
                closers.pop()
            else:
                raise self.ahead("expected value")
            if not self._close(closers):
                return

    def _close(self, closers: list[int]) -> bool:
        """After a skipped value: leave finished brackets; whether another value follows."""
        while closers:
            byte = self.peek()
            if byte == closers[-1]:
                self.at += 1
                closers.pop()
                continue
            in_list = closers[-1] == 0x5D
            if byte == -1:
                raise self.ahead(f"EOF while parsing {'a list' if in_list else 'an object'}")
            if byte != 0x2C:
                raise self.ahead(f"expected `,` or `{']' if in_list else '}'}`")
            self.at += 1
            if not in_list:
                self._skip_key()
            return True
        return False

    def _skip_key(self) -> None:
        byte = self.peek()
        if byte == -1:
            raise self.ahead("EOF while parsing an object")
        if byte != 0x22:
            raise self.ahead("key must be a string")
        self._skip_text()
        self.colon()

    def _skip_text(self) -> None:
        match = _STRING.match(self.data, self.at)
        if match and b"\\" not in match[0]:
            self.at = match.end()
        else:
            self._careful_skip()

    def _careful_skip(self) -> None:
        self.at += 1
        while True:
            if self.at >= len(self.data):
                raise self.here("EOF while parsing a string")
            byte = self.data[self.at]
            self.at += 1
            if byte == 0x22:
                return
            if byte == 0x5C:
                if self.at >= len(self.data):
                    raise self.here("EOF while parsing a string")
                letter = self.data[self.at]
                self.at += 1
                if letter == 0x75:
                    self._hex4()
                elif letter not in _ESCAPES:
                    raise self.here("invalid escape")
            elif byte < 0x20:
                raise self.here("control character (\\u0000-\\u001F) found while parsing a string")

    def colon(self) -> None:
        """The colon after a key."""
        byte = self.peek()
        if byte == 0x3A:
            self.at += 1
        elif byte == -1:
            raise self.ahead("EOF while parsing an object")
        else:
            raise self.ahead("expected `:`")

    def another_key(self, *, first: bool) -> bool:
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
        """The bracket that closes an object."""
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
        """The bracket that closes an array."""
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


_ESCAPES: Final[Mapping[int, bytes]] = {
    0x22: b'"',
    0x5C: b"\\",
    0x2F: b"/",
    0x62: b"\b",
    0x66: b"\f",
    0x6E: b"\n",
    0x72: b"\r",
    0x74: b"\t",
}


def _debug(text: str) -> str:
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


def _number_seen(value: float) -> str:
    if isinstance(value, int):
        return f"integer `{value}`"
    return f"floating point `{spell_f64(value)}`"


def _place(reader: Reader, fault: Fault) -> Fault:
    if fault.at is None:
        fault.at = reader.at
    return fault


def _need(reader: Reader) -> int:
    byte = reader.peek()
    if byte == -1:
        raise reader.ahead("EOF while parsing a value")
    return byte


def string(reader: Reader) -> str:
    """Rust's `String`."""
    if _need(reader) != 0x22:
        raise reader.unexpected("a string")
    return reader.text()


def boolean(reader: Reader) -> bool:
    """Rust's `bool`; null is refused."""
    byte = _need(reader)
    if byte == 0x74:
        reader.at += 1
        reader.literal(b"rue")
        return True
    if byte == 0x66:
        reader.at += 1
        reader.literal(b"alse")
        return False
    raise reader.unexpected("a boolean")


def integer(name: str, low: int, high: int) -> type_of_read:
    """Rust's integer type `name` with the bounds given, both included."""

    def read_integer(reader: Reader) -> int:
        byte = _need(reader)
        if byte not in b"-0123456789":
            raise reader.unexpected(name)
        value = reader.number()
        if isinstance(value, float):
            text = f"invalid type: {_number_seen(value)}, expected {name}"
            raise Fault(text, syntax=False, at=reader.at)
        if not low <= value <= high:
            text = f"invalid value: integer `{value}`, expected {name}"
            raise Fault(text, syntax=False, at=reader.at)
        return value

    return read_integer


def single(reader: Reader) -> float:
    """Rust's `f32`; integers are welcome."""
    if _need(reader) not in b"-0123456789":
        raise reader.unexpected("f32")
    return f32(float(reader.number()))


def option(inner: type_of_read) -> type_of_read:
    """Rust's `Option`: null, or the inner type."""

    def read_option(reader: Reader) -> Any:
        if reader.peek() == 0x6E:
            reader.at += 1
            reader.literal(b"ull")
            return None
        return inner(reader)

    return read_option


def sequence(inner: type_of_read) -> type_of_read:
    """Rust's `Vec`."""

    def read_sequence(reader: Reader) -> tuple[Any, ...]:
        if _need(reader) != 0x5B:
            raise reader.unexpected("a sequence")
        reader.enter()
        out: list[Any] = []
        try:
            while reader.another_element(first=not out):
                try:
                    out.append(inner(reader))
                except Fault as fault:
                    fault.path.append(len(out))
                    raise
        except Fault as fault:
            _leave(reader, fault, reader.end_list)
            raise
        reader.end_list()
        return tuple(out)

    return read_sequence


def _leave(reader: Reader, fault: Fault, end: Callable[[], None]) -> None:
    """serde_json looks for the closing bracket first, then reports the fault it already had."""
    with contextlib.suppress(Fault):
        end()
    _place(reader, fault)


def unit_enum(variants: Mapping[str, Any], shown: Sequence[str]) -> type_of_read:
    """An enum of names; `variants` maps every accepted spelling, `shown` is what a refusal lists."""

    def read_enum(reader: Reader) -> Any:
        byte = _need(reader)
        if byte == 0x7B:
            reader.enter()
            if reader.peek() != 0x22:
                raise reader.ahead("key must be a string")
            name = pick(reader)
            reader.colon()
            if reader.peek() != 0x6E:
                raise reader.unexpected("unit")
            reader.at += 1
            reader.literal(b"ull")
            if reader.peek() != 0x7D:
                raise reader.here("expected value")
            reader.at += 1
            reader.depth += 1
            return name
        if byte != 0x22:
            raise reader.ahead("expected value")
        return pick(reader)

    def pick(reader: Reader) -> Any:
        name = reader.text()
        if name not in variants:
            listed = ", ".join(f"`{variant}`" for variant in shown)
            one_of = f"one of {listed}" if len(shown) > 2 else " or ".join(listed.split(", "))
            raise Fault(f"unknown variant `{name}`, expected {one_of}", syntax=False, at=reader.at)
        return variants[name]

    return read_enum


def json_value(reader: Reader) -> Any:
    """serde_json's `Value`: any JSON; objects become dicts, where the last of equal keys wins."""
    byte = _need(reader)
    if byte == 0x22:
        return reader.text()
    if byte in b"-0123456789":
        return reader.number()
    if byte in b"ntf":
        reader.at += 1
        letters, value = {
            0x6E: (b"ull", None),
            0x74: (b"rue", True),
            0x66: (b"alse", False),
        }[byte]
        reader.literal(letters)
        return value
    if byte == 0x5B:
        return list(sequence(json_value)(reader))
    if byte != 0x7B:
        raise reader.ahead("expected value")
    reader.enter()
    out: dict[str, Any] = {}
    first = True
    try:
        while reader.another_key(first=first):
            first = False
            key = reader.text()
            try:
                reader.colon()
                out[key] = json_value(reader)
            except Fault as fault:
                fault.path.append(key)
                raise
    except Fault as fault:
        _leave(reader, fault, reader.end_map)
        raise
    reader.end_map()
    return out


REQUIRED: Final = object()
"""A field without a default: its absence is a fault."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a struct.

    `default` stands in when the key is absent; `positional` says that an array may end before the
    field (serde's `#[serde(default)]`; a bare `Option` is optional by key only).
    """

    name: str
    read: type_of_read
    default: Any = REQUIRED
    positional: bool = True


def struct(
    name: str, fields: Sequence[Field], build: Callable[..., Any], expecting: str = ""
) -> type_of_read:
    """A derived `Deserialize`: an object by keys, or an array by position."""
    index = {field.name: (number, field.read) for number, field in enumerate(fields)}
    blank = [field.default for field in fields]
    wanted = expecting or f"struct {name}"
    size = f"{wanted} with {len(fields)} element{'' if len(fields) == 1 else 's'}"

    def read_struct(reader: Reader) -> Any:
        byte = _need(reader)
        if byte == 0x7B:
            reader.enter()
            try:
                values = by_key(reader)
            except Fault as fault:
                _leave(reader, fault, reader.end_map)
                raise
            reader.end_map()
            return build(*values)
        if byte == 0x5B:
            reader.enter()
            try:
                values = by_position(reader)
            except Fault as fault:
                _leave(reader, fault, reader.end_list)
                raise
            reader.end_list()
            return build(*values)
        raise reader.unexpected(wanted)

    def by_key(reader: Reader) -> list[Any]:
        values = blank.copy()
        seen = 0
        first = True
        while reader.another_key(first=first):
            first = False
            key = reader.text()
            known = index.get(key)
            if known is None:
                try:
                    reader.colon()
                    reader.skip()
                except Fault as fault:
                    fault.path.append(key)
                    raise
                continue
            number, read_value = known
            if seen >> number & 1:
                raise Fault(f"duplicate field `{key}`", syntax=False)
            seen |= 1 << number
            try:
                reader.colon()
                values[number] = read_value(reader)
            except Fault as fault:
                fault.path.append(key)
                raise
        for field, value in zip(fields, values, strict=True):
            if value is REQUIRED:
                raise Fault(f"missing field `{field.name}`", syntax=False)
        return values

    def by_position(reader: Reader) -> list[Any]:
        values: list[Any] = []
        more = True
        for number, field in enumerate(fields):
            more = more and reader.another_element(first=number == 0)
            if more:
                try:
                    values.append(field.read(reader))
                except Fault as fault:
                    fault.path.append(number)
                    raise
            elif field.default is REQUIRED or not field.positional:
                raise Fault(f"invalid length {number}, expected {size}", syntax=False)
            else:
                values.append(field.default)
        return values

    return read_struct


def read(body: bytes, kind: type_of_read) -> Any:
    """The first value of `body` as `kind`; raises Fault, whose text holds path, line and column."""
    reader = Reader(body)
    try:
        return kind(reader)
    except Fault as fault:
        at = reader.at if fault.at is None else fault.at
        start = body.rfind(b"\n", 0, at) + 1
        line = body.count(b"\n", 0, start) + 1
        fault.where = f" at line {line} column {at - start}"
        raise
