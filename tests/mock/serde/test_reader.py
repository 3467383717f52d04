"""Texts and numbers below the types."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorax_mock.serde.reader import Reader, SerdeError, number_seen


def test_numbers_come_with_their_place() -> None:
    """The reader stands behind a number that was read or skipped, and a broken one is a syntax error."""
    reader = Reader(b"1.5 -x")
    assert (reader.number(), reader.at) == (1.5, 3)
    reader.at = 0
    reader.skip_number()
    assert reader.at == 3
    reader.at = 4
    with pytest.raises(SerdeError, match="invalid number") as caught:
        reader.number()
    assert (caught.value.syntax, caught.value.at) == (True, 6)
    with pytest.raises(SerdeError, match="invalid number"):
        reader.skip_number()


def test_the_path_of_a_fault_is_serde_path_to_errors() -> None:
    """An error's path has dots between keys, brackets for places, and `?` for an unreadable key."""
    error = SerdeError("bad", syntax=True)
    assert str(error) == "bad"
    error.path += [None]
    assert str(error) == "bad"
    error.path += [1, "a", "", 0]
    assert str(error) == "[0]..a[1].?: bad"


@pytest.mark.property
@given(st.text())
def test_the_careful_walk_reads_what_the_fast_one_reads(text: str) -> None:
    """Both ways of reading a string give the same text and end in the same place."""
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
    """Unexpected values are shown as Rust shows them, strings with escapes and brackets by kind."""
    error = Reader(body).unexpected("u32")
    assert error.text == f"invalid type: {seen}, expected u32"


def test_numbers_are_named_by_kind() -> None:
    """Unexpected numbers are named as serde's `Unexpected` names them."""
    assert number_seen(1) == "integer `1`"
    assert number_seen(1.0) == "floating point `1.0`"
