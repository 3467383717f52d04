"""Spelling of floats against Rust's."""

import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorax_mock.serde.floats import f32, spell_f32, spell_f64


@pytest.mark.parametrize(
    ("value", "spelled"),
    [
        (-0.342773437, "-0.34277344"),
        (0.0, "0.0"),
        (-0.0, "-0.0"),
        (1e-7, "1e-7"),
        (1.5e-7, "1.5e-7"),
        (0.00001, "0.00001"),
        (5.9115346e-6, "0.0000059115346"),
        (1e-6, "0.000001"),
        (9.9e-7, "9.9e-7"),
        (-12.0, "-12.0"),
        (1.2, "1.2"),
        (1e13, "1e13"),
        (9.9e12, "9900000000000.0"),
        (3.4028235e38, "3.4028235e38"),
        (math.inf, "null"),
        (math.nan, "null"),
        (1e39, "null"),
    ],
)
def test_singles_are_spelled_as_ryu_does(value: float, spelled: str) -> None:
    """A single has the shortest digits, plain in ryu's range, and is null where it is no number."""
    assert spell_f32(value) == spelled


def test_doubles_have_their_own_threshold() -> None:
    """A double stays in plain notation up to sixteen digits."""
    assert spell_f64(1e15) == "1000000000000000.0"
    assert spell_f64(1e20) == "1e20"
    assert spell_f64(0.1) == "0.1"
    assert spell_f64(1e-5) == "0.00001"
    assert spell_f64(9e-6) == "9e-6"


@pytest.mark.property
@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_a_spelling_reads_back_as_the_same_single(value: float) -> None:
    """Every single reads back from its spelling, of nine digits at most."""
    spelled = spell_f32(value)
    assert struct.pack("<f", f32(float(spelled))) == struct.pack("<f", value)
    assert "." in spelled or "e" in spelled
