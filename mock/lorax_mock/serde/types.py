"""Typed values out of JSON, as a Rust type under serde and serde_path_to_error reads them.

Rules that other JSON readers break, and that this one keeps:

* Types are checked while the bytes are read, so the first error in the body decides: a wrong type
  before a missing brace is a *data* error (422), after it a *syntax* error (400).
* An error carries line and column (in bytes) of the reader's position, and the path of the value
  that was being read; at the top level there is no path.
* Unknown keys are skipped but must be JSON; a known key twice is an error; `null` suits options
  alone; an array is read as a struct's fields in their order.
* Reading stops after the first value: what follows it is never looked at.

An error without a position gets one from the innermost structure around it, after that structure
has looked for its closing bracket: serde_json evaluates `end_map` before it reports.
"""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from lorax_mock.serde.floats import f32
from lorax_mock.serde.reader import Reader, SerdeError, number_seen
from lorax_mock.serde.skipping import skip

__all__ = [
    "REQUIRED",
    "Deserializer",
    "Field",
    "Reader",
    "SerdeError",
    "boolean",
    "integer",
    "json_value",
    "mapping",
    "option",
    "read",
    "sequence",
    "single",
    "string",
    "struct",
    "unit_enum",
    "untagged",
]

Deserializer = Callable[[Reader], Any]
"""Reads a value as serde reads it into one Rust type; raises SerdeError."""


def _place(reader: Reader, error: SerdeError) -> SerdeError:
    if error.at is None:
        error.at = reader.at
    return error


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


def integer(name: str, low: int, high: int) -> Deserializer:
    """Rust's integer type `name` with the bounds given, both included."""

    def read_integer(reader: Reader) -> int:
        byte = _need(reader)
        if byte not in b"-0123456789":
            raise reader.unexpected(name)
        value = reader.number()
        if isinstance(value, float):
            text = f"invalid type: {number_seen(value)}, expected {name}"
            raise SerdeError(text, syntax=False, at=reader.at)
        if not low <= value <= high:
            text = f"invalid value: integer `{value}`, expected {name}"
            raise SerdeError(text, syntax=False, at=reader.at)
        return value

    return read_integer


def single(reader: Reader) -> float:
    """Rust's `f32`; integers are welcome."""
    if _need(reader) not in b"-0123456789":
        raise reader.unexpected("f32")
    return f32(float(reader.number()))


def option(inner: Deserializer) -> Deserializer:
    """Rust's `Option`: null, or the inner type."""

    def read_option(reader: Reader) -> Any:
        if reader.peek() == 0x6E:
            reader.at += 1
            reader.literal(b"ull")
            return None
        return inner(reader)

    return read_option


def sequence(inner: Deserializer) -> Deserializer:
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
                except SerdeError as error:
                    error.path.append(len(out))
                    raise
        except SerdeError as error:
            _leave(reader, error, reader.end_list)
            raise
        reader.end_list()
        return tuple(out)

    return read_sequence


def _leave(reader: Reader, error: SerdeError, end: Callable[[], None]) -> None:
    """serde_json looks for the closing bracket first, then reports the error it already had."""
    with contextlib.suppress(SerdeError):
        end()
    _place(reader, error)


def unit_enum(variants: Mapping[str, Any], shown: Sequence[str]) -> Deserializer:
    """An enum of names; `variants` maps every accepted spelling, `shown` is what a refusal lists."""

    def read_enum(reader: Reader) -> Any:
        byte = _need(reader)
        if byte == 0x7B:
            reader.enter()
            if _need(reader) != 0x22:
                raise reader.unexpected("variant identifier")
            spelled, name = pick(reader)
            reader.colon()
            try:
                if _need(reader) != 0x6E:
                    raise reader.unexpected("unit")
                reader.at += 1
                reader.literal(b"ull")
            except SerdeError as error:
                error.path.append(spelled)
                raise
            closing = reader.peek()
            if closing != 0x7D:
                at_end = closing == -1
                raise reader.here("EOF while parsing an object" if at_end else "expected value")
            reader.at += 1
            reader.depth += 1
            return name
        if byte != 0x22:
            raise reader.ahead("expected value")
        return pick(reader)[1]

    def pick(reader: Reader) -> tuple[str, Any]:
        name = reader.text()
        if name not in variants:
            listed = ", ".join(f"`{variant}`" for variant in shown)
            one_of = f"one of {listed}" if len(shown) > 2 else " or ".join(listed.split(", "))
            raise SerdeError(
                f"unknown variant `{name}`, expected {one_of}", syntax=False, at=reader.at
            )
        return name, variants[name]

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
    try:
        while (key := reader.key(first=not out)) is not None:
            reader.colon()
            try:
                out[key] = json_value(reader)
            except SerdeError as error:
                error.path.append(key)
                raise
    except SerdeError as error:
        _leave(reader, error, reader.end_map)
        raise
    reader.end_map()
    return out


def mapping(inner: Deserializer) -> Deserializer:
    """Rust's `HashMap<String, _>`; the last of equal keys wins."""

    def read_mapping(reader: Reader) -> dict[str, Any]:
        if _need(reader) != 0x7B:
            raise reader.unexpected("a map")
        reader.enter()
        out: dict[str, Any] = {}
        try:
            while (key := reader.key(first=not out)) is not None:
                reader.colon()
                try:
                    out[key] = inner(reader)
                except SerdeError as error:
                    error.path.append(key)
                    raise
        except SerdeError as error:
            _leave(reader, error, reader.end_map)
            raise
        reader.end_map()
        return out

    return read_mapping


def untagged(name: str, pick: Callable[[Any], Any]) -> Deserializer:
    """An untagged enum: the value is read whole, then `pick` finds a variant or raises ValueError.

    The error has no position of its own: it gets that of the structure around it.
    """

    def read_untagged(reader: Reader) -> Any:
        value = json_value(reader)
        try:
            return pick(value)
        except ValueError:
            text = f"data did not match any variant of untagged enum {name}"
            raise SerdeError(text, syntax=False) from None

    return read_untagged


REQUIRED: Final = object()
"""A field without a default: its absence is an error."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a struct.

    `default` stands in when the key is absent; `positional` says that an array may end before the
    field (serde's `#[serde(default)]`; a bare `Option` is optional by key only).
    """

    name: str
    read: Deserializer
    default: Any = REQUIRED
    positional: bool = True


def struct(
    name: str, fields: Sequence[Field], build: Callable[..., Any], expecting: str = ""
) -> Deserializer:
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
            except SerdeError as error:
                _leave(reader, error, reader.end_map)
                raise
            reader.end_map()
            return build(*values)
        if byte == 0x5B:
            reader.enter()
            try:
                values = by_position(reader)
            except SerdeError as error:
                _leave(reader, error, reader.end_list)
                raise
            reader.end_list()
            return build(*values)
        raise reader.unexpected(wanted)

    def by_key(reader: Reader) -> list[Any]:
        values = blank.copy()
        seen = 0
        first = True
        while (key := reader.key(first=first)) is not None:
            first = False
            known = index.get(key)
            if known is None:
                reader.colon()
                try:
                    skip(reader)
                except SerdeError as error:
                    error.path.append(key)
                    raise
                continue
            number, read_value = known
            if seen >> number & 1:
                raise SerdeError(f"duplicate field `{key}`", syntax=False)
            seen |= 1 << number
            reader.colon()
            try:
                values[number] = read_value(reader)
            except SerdeError as error:
                error.path.append(key)
                raise
        for field, value in zip(fields, values, strict=True):
            if value is REQUIRED:
                raise SerdeError(f"missing field `{field.name}`", syntax=False)
        return values

    def by_position(reader: Reader) -> list[Any]:
        values: list[Any] = []
        more = True
        for number, field in enumerate(fields):
            more = more and reader.another_element(first=number == 0)
            if more:
                try:
                    values.append(field.read(reader))
                except SerdeError as error:
                    error.path.append(number)
                    raise
            elif field.default is REQUIRED or not field.positional:
                raise SerdeError(f"invalid length {number}, expected {size}", syntax=False)
            else:
                values.append(field.default)
        return values

    return read_struct


def read(body: bytes, kind: Deserializer) -> Any:
    """The first value of `body` as `kind`; raises SerdeError, whose text holds path, line and column."""
    reader = Reader(body)
    try:
        return kind(reader)
    except SerdeError as error:
        at = reader.at if error.at is None else error.at
        start = body.rfind(b"\n", 0, at) + 1
        line = body.count(b"\n", 0, start) + 1
        error.where = f" at line {line} column {at - start}"
        raise
