"""Numbers in JSON text, with the values and the errors that serde_json gives them.

Not those of an exact reader (serde_json 1.0.132, src/de.rs, without its feature `float_roundtrip`): digits
are gathered into 64 bits, what does not fit any more only moves the point, and one multiplication or
division makes the double. So a long number may come out a hair off, and that is what a refusal shows.
An exponent beyond 32 bits is refused at the digit that makes it so, unless the number is zero or tiny.

Numbers under unknown keys are not computed, only passed: there no number is too large, and a text that
ends too soon is an invalid number.
"""

import math
import re
from typing import Final

__all__ = ["BrokenNumber", "read_number", "skip_number"]

_WHOLE: Final = re.compile(rb"0|[1-9][0-9]*")
_DIGITS: Final = re.compile(rb"[0-9]+")
_SIGN: Final = re.compile(rb"[eE][+-]?")
_U64: Final = 2**64 - 1
_I64_MIN: Final = -(2**63)
_I32: Final = 2**31 - 1
_SAFE_DIGITS: Final = 19
"""Any number of so many digits fits into 64 bits."""

_POWERS: Final = [float(f"1e{power}") for power in range(309)]
_MINUS: Final = 0x2D


class BrokenNumber(Exception):
    """The text is no number: why, and how many bytes serde_json would count."""

    def __init__(self, text: str, at: int) -> None:
        super().__init__(text)
        self.text = text
        self.at = at


def read_number(data: bytes, at: int) -> tuple[int | float, int]:
    """The number at `at` and the place behind it: int within 64 bits, else float; raises BrokenNumber."""
    negative = data[at] == _MINUS
    at += negative
    match = _WHOLE.match(data, at)
    if match is None:
        if at >= len(data):
            raise BrokenNumber("EOF while parsing a value", at)
        raise BrokenNumber("invalid number", at + 1)
    whole, at = match[0], match.end()
    if whole == b"0" and _DIGITS.match(data, at):
        raise BrokenNumber("invalid number", at + 1)
    fraction = b""
    if data[at : at + 1] == b".":
        match = _DIGITS.match(data, at + 1)
        if match is None:
            raise _nothing_behind_the_point(data, at + 1)
        fraction, at = match[0], match.end()
    sign = _SIGN.match(data, at)
    if not fraction and not sign:
        exact = -int(whole) if negative else int(whole)
        if _I64_MIN <= exact <= _U64 and (exact or not negative):
            return exact, at
    significand, power = _significand(whole, fraction)
    if sign:
        exponent, at = _exponent(data, sign, significand)
        if exponent is None:
            return -0.0 if negative else 0.0, at
        power += exponent
    value = _scaled(significand, power)
    if math.isinf(value):
        raise BrokenNumber("number out of range", at)
    return -value if negative else value, at


def skip_number(data: bytes, at: int) -> int:
    """The place behind a number whose value is not needed; raises BrokenNumber."""
    at += data[at] == _MINUS
    match = _WHOLE.match(data, at)
    if match is None:
        raise BrokenNumber("invalid number", min(at + 1, len(data)))
    at = match.end()
    if match[0] == b"0" and _DIGITS.match(data, at):
        raise BrokenNumber("invalid number", at + 1)
    if data[at : at + 1] == b".":
        match = _DIGITS.match(data, at + 1)
        if match is None:
            raise BrokenNumber("invalid number", min(at + 2, len(data)))
        at = match.end()
    sign = _SIGN.match(data, at)
    if sign is None:
        return at
    match = _DIGITS.match(data, sign.end())
    if match is None:
        raise BrokenNumber("invalid number", min(sign.end() + 1, len(data)))
    return match.end()


def _nothing_behind_the_point(data: bytes, at: int) -> BrokenNumber:
    if at >= len(data):
        return BrokenNumber("EOF while parsing a value", at)
    return BrokenNumber("invalid number", at + 1)


def _significand(whole: bytes, fraction: bytes) -> tuple[int, int]:
    """As many leading digits as 64 bits hold, and the power of ten that they count in."""
    if len(whole) + len(fraction) <= _SAFE_DIGITS:
        return int(whole + fraction), -len(fraction)
    value = 0
    for place, digit in enumerate(whole):
        if value * 10 + digit - 0x30 > _U64:
            power = len(whole) - place
            break
        value = value * 10 + digit - 0x30
    else:
        power = 0
    for digit in fraction:
        if value * 10 + digit - 0x30 > _U64:
            break
        value = value * 10 + digit - 0x30
        power -= 1
    return value, power


def _exponent(data: bytes, sign: re.Match[bytes], significand: int) -> tuple[int | None, int]:
    """The exponent and the place behind it; None for one so small that only zero is left."""
    at = sign.end()
    match = _DIGITS.match(data, at)
    if match is None:
        if at >= len(data):
            raise BrokenNumber("EOF while parsing a value", at)
        raise BrokenNumber("invalid number", at + 1)
    negative = sign[0].endswith(b"-")
    value = 0
    for place, digit in enumerate(match[0], at + 1):
        value = value * 10 + digit - 0x30
        if value > _I32:
            if significand and not negative:
                raise BrokenNumber("number out of range", place)
            return None, match.end()
    return -value if negative else value, match.end()


def _scaled(significand: int, power: int) -> float:
    """The double that one multiplication or division makes; an infinity beyond the range."""
    value = float(significand)
    while abs(power) >= len(_POWERS):
        if value == 0.0:
            return value
        if power > 0:
            return math.inf
        value /= 1e308
        power += 308
    return value * _POWERS[power] if power >= 0 else value / _POWERS[-power]
