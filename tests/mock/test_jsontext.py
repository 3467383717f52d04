"""Texts and numbers below the types."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorax_mock.jsontext import Fault, Reader, number_seen


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b"0", 0),
        (b"-0", -0.0),
        (b"18446744073709551615", 2**64 - 1),
        (b"18446744073709551616", 1.8446744073709552e19),
        (b"-9223372036854775808", -(2**63)),
        (b"-9223372036854775809", -9.223372036854775808e18),
        (b"1e2", 100.0),
        (b"1.5E+1", 15.0),
    ],
)
def test_numbers_are_integers_within_64_bits(body: bytes, value: float) -> None:
    """Outside they become doubles, and a negative zero is one as well."""
    read = Reader(body).number()
    assert (read, type(read)) == (value, type(value))


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"-", "EOF while parsing a value"),
        (b"-x", "invalid number"),
        (b"1.", "EOF while parsing a value"),
        (b"1.x", "invalid number"),
        (b"1e", "EOF while parsing a value"),
        (b"1e+", "EOF while parsing a value"),
        (b"1ex", "invalid number"),
        (b"00", "invalid number"),
    ],
)
def test_broken_numbers_say_where(body: bytes, text: str) -> None:
    """Running out of text is not the same as a wrong letter."""
    with pytest.raises(Fault) as caught:
        Reader(body).number()
    assert caught.value.text == text


@pytest.mark.law
@given(st.text())
def test_the_careful_walk_reads_what_the_fast_one_reads(text: str) -> None:
    """Both ways through a string end in the same place."""
    body = json.dumps(text).encode()
    fast, careful = Reader(body), Reader(body.replace(b"\\", b"\\"))
    assert fast.text() == text
    assert careful.walk_text() == text
    assert fast.at == careful.at == len(body)


@pytest.mark.parametrize(
    ("body", "seen"),
    [
        (b'"a\\"\\n\\u0007"', 'string "a\\"\\n\\u{7}"'),
        (b"[1]", "sequence"),
        (b"{}", "map"),
        (b"null", "null"),
        (b"true", "boolean `true`"),
        (b"false", "boolean `false`"),
        (b"-1", "integer `-1`"),
    ],
)
def test_unexpected_values_are_shown_as_rust_shows_them(body: bytes, seen: str) -> None:
    """Strings with their escapes, brackets by kind."""
    fault = Reader(body).unexpected("u32")
    assert fault.text == f"invalid type: {seen}, expected u32"


def test_numbers_are_named_by_kind() -> None:
    """As serde's `Unexpected` does."""
    assert number_seen(1) == "integer `1`"
    assert number_seen(1.0) == "floating point `1.0`"
