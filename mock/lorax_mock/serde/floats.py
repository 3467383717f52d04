"""Rust's shortest spelling of floats, which is what a LoRAX reply carries.

serde_json prints floats with ryu: the fewest digits that read back as the same number of the same
width, plain notation between 1e-6 and 1e13 (f32) or 1e-5 and 1e16 (f64), always with a fraction or an
exponent, and `null` for what JSON cannot say. Python prints only f64, with other thresholds.
"""

import math
import struct

__all__ = ["f32", "spell_f32", "spell_f64"]

_F32_PLAIN = range(-5, 14)
_F64_PLAIN = range(-4, 17)
"""Places of the decimal point, counted from the first digit, that need no exponent."""


def f32(value: float) -> float:
    """The nearest 32-bit float; beyond its range an infinity, as Rust's `as f32` gives."""
    try:
        return float(struct.unpack("<f", struct.pack("<f", value))[0])
    except OverflowError:
        return math.copysign(math.inf, value)


def spell_f32(value: float) -> str:
    """`value`, rounded to 32 bits, as serde_json writes an f32."""
    single = f32(value)
    if not math.isfinite(single):
        return "null"
    for precision in range(9):
        text = f"{single:.{precision}e}"
        if f32(float(text)) == single:
            return _plain(text, _F32_PLAIN)
    raise AssertionError(value)  # nine significant digits always tell two f32 apart


def spell_f64(value: float) -> str:
    """`value` as serde_json writes an f64."""
    if not math.isfinite(value):
        return "null"
    digits = repr(value)
    for precision in range(17):
        text = f"{value:.{precision}e}"
        if float(text) == value:
            return _plain(text, _F64_PLAIN)
    return digits


def _plain(scientific: str, plain: range) -> str:
    """`d.ddde±xx` in ryu's layout."""
    mantissa, _, power = scientific.partition("e")
    sign = "-" if mantissa.startswith("-") else ""
    digits = mantissa.lstrip("-").replace(".", "")
    digits = digits.rstrip("0") or "0"
    point = int(power) + 1  # digits before the decimal point
    if digits == "0":
        return f"{sign}0.0"
    if point in plain and len(digits) <= point:
        return f"{sign}{digits}{'0' * (point - len(digits))}.0"
    if point in plain and 0 < point < len(digits):
        return f"{sign}{digits[:point]}.{digits[point:]}"
    if point in plain and point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    fraction = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{fraction}e{point - 1}"
