"""Numbers against what serde_json 1.0.132 made of them."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorax_mock.serde.numbers import BrokenNumber, read_number, skip_number


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("-0", -0.0),
        ("18446744073709551615", 2**64 - 1),
        ("18446744073709551616", 1.8446744073709552e19),
        ("-9223372036854775808", -(2**63)),
        ("-9223372036854775809", -9.223372036854775808e18),
        ("-18446744073709551615", -1.8446744073709552e19),
        ("1e2", 100.0),
        ("1.5E+1", 15.0),
        ("1e-400", 0.0),
        ("0e99999999999", 0.0),
        ("-5e-99999999999", -0.0),
    ],
)
def test_numbers_are_integers_within_64_bits(text: str, value: float) -> None:
    """Integers beyond 64 bits, and a negative zero, are doubles."""
    read, end = read_number(text.encode(), 0)
    assert (repr(read), end) == (repr(value), len(text))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("123456789012345678901234567890", 1.2345678901234568e29),
        ("1234567890123456789012345678", 1.2345678901234567e27),
        ("184467440737095516169.75", 1.844674407370955e20),
        ("0.12345678901234567890123", 0.12345678901234568),
    ],
)
def test_digits_beyond_64_bits_only_move_the_point(text: str, value: float) -> None:
    """Digits beyond 64 bits only move the point, so the last digit may differ from an exact reader's."""
    assert read_number(text.encode(), 0) == (value, len(text))


@pytest.mark.parametrize(
    ("text", "why", "at"),
    [
        ("-", "EOF while parsing a value", 1),
        ("-x", "invalid number", 2),
        ("1.", "EOF while parsing a value", 2),
        ("1.x", "invalid number", 3),
        ("1e", "EOF while parsing a value", 2),
        ("1e+", "EOF while parsing a value", 3),
        ("1ex", "invalid number", 3),
        ("00", "invalid number", 2),
        ("1e999", "number out of range", 5),
        ("1e99999999999999999999", "number out of range", 12),
        ("1e30000000000", "number out of range", 12),
    ],
)
def test_broken_numbers_say_where(text: str, why: str, at: int) -> None:
    """A broken number says whether text ran out or a letter is wrong, and where."""
    with pytest.raises(BrokenNumber) as caught:
        read_number(text.encode(), 0)
    assert (caught.value.text, caught.value.at) == (why, at)


@pytest.mark.parametrize(
    ("text", "at"),
    [("-", 1), ("-x", 2), ("1.", 2), ("1.x", 3), ("1e", 2), ("1e+", 3), ("1ex", 3), ("00", 2)],
)
def test_a_skipped_number_is_invalid_wherever_it_breaks(text: str, at: int) -> None:
    """A broken number that is skipped is invalid, whether text ran out or a letter is wrong."""
    with pytest.raises(BrokenNumber) as caught:
        skip_number(text.encode(), 0)
    assert (caught.value.text, caught.value.at) == ("invalid number", at)


def test_a_skipped_number_is_never_too_large() -> None:
    """A skipped number of any size is no error."""
    assert skip_number(b"-1.5e999999999999,", 0) == 17


@pytest.mark.property
@given(st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_is_read_nearly_as_json_reads_it(number: float) -> None:
    """A number is within one rounding of Python's, and is skipped to the same place."""
    text = json.dumps(number).encode()
    read, end = read_number(text + b" ", 0)
    assert end == skip_number(text + b" ", 0) == len(text)
    assert math.isclose(read, number, rel_tol=1e-14)
    if isinstance(read, int):
        assert read == number
