r"""How strings are spelled in a lowered schema: regular expressions over raw JSON text.

LoRAX's compiler puts a ``pattern`` between two quotes and matches it against the JSON text itself,
escapes and all, not against the string it stands for. Its own default string knows two escapes only
(``\"`` and ``\\``), so a model could write no line break. Every string of ours therefore carries a
pattern, and every pattern here admits raw characters other than quote, backslash and controls, and
escapes as far as `Spelling` says. Lone surrogates are never admitted: strict JSON readers reject
them.

The compiler wraps what stands between ``^`` and ``$`` in quotes without a group, so each pattern
here is one group: an alternative at its top would swallow a quote.

Its own formats are not used: ``time`` admits a backslash before the fraction (``12:00:00\5``),
``date`` has a 31st of February, ``date-time`` no offset.
"""

from enum import IntEnum
from typing import Final

__all__ = ["CHARACTER", "FORMATS", "RAW", "SIMPLE_ESCAPE", "Spelling", "counted", "free", "is_text"]

RAW: Final = r'[^"\\\x00-\x1F]'
SIMPLE_ESCAPE: Final = r'\\["\\/bfnrt]'
_HEX: Final = "[0-9a-fA-F]"
# Code units that stand alone, and pairs; the last two digits are written once for both.
_ALONE: Final = f"[0-9abcefABCEF]{_HEX}|[dD][0-7]"
_PAIR: Final = rf"[dD][89abAB]{_HEX}{_HEX}\\u[dD][c-fC-F]"


class Spelling(IntEnum):
    r"""Which escapes a free string may use; the fewer, the cheaper it is to compile."""

    FULL = 0  # all of JSON's, \u and surrogate pairs included
    PLANE = 1  # all of JSON's, \u outside the surrogates
    SHORT = 2  # the two-character ones, \n and the like: every character can still be written


CHARACTER: Final = {
    Spelling.FULL: rf'{RAW}|\\(?:["\\/bfnrt]|u(?:{_ALONE}|{_PAIR}){_HEX}{_HEX})',
    Spelling.PLANE: rf'{RAW}|\\(?:["\\/bfnrt]|u(?:{_ALONE}){_HEX}{_HEX})',
    Spelling.SHORT: f"{RAW}|{SIMPLE_ESCAPE}",
}


def free(spelling: Spelling) -> str:
    """Any string."""
    return f"^(?:{CHARACTER[spelling]})*$"


def counted(least: int, most: int | None, spelling: Spelling) -> str:
    r"""A string of so many characters.

    One that is counted past 1 is spelled out character by character, so it has the cheapest
    spelling; there a character is one code point, as the keywords count it.
    """
    if most is not None:
        return f"^(?:{CHARACTER[Spelling.SHORT]}){{{least},{most}}}$"
    if least > 1:
        # One spelling throughout: where two meet, the compiler cannot tell the counted part's end.
        return f"^(?:{CHARACTER[Spelling.SHORT]}){{{least},}}$"
    return f"^(?:{CHARACTER[spelling]}){'+' if least else '*'}$"


def is_text(text: str) -> bool:
    """Whether a text is Unicode: without half a surrogate pair."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


_YEAR: Final = "[1-9][0-9]{3}"
_LEAP: Final = "(?:[1-9][0-9](?:0[48]|[2468][048]|[13579][26])|(?:[2468][048]|[13579][26])00)"
_DATE: Final = (
    f"(?:{_YEAR}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"
    "|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))"
    f"|{_LEAP}-02-29)"
)
_TIME: Final = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,6})?"
_ZONE: Final = "(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
_LABEL: Final = "[a-z0-9](?:[a-z0-9-]{0,14}[a-z0-9])?"
_OCTET: Final = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_HEX4: Final = "[0-9a-f]{1,4}"

# Each one is narrower than its standard, never wider: what it admits, every validator accepts.
FORMATS: Final[dict[str, str]] = {
    "date": f"^{_DATE}$",
    "time": f"^(?:{_TIME}{_ZONE})$",
    "date-time": f"^(?:{_DATE}T{_TIME}{_ZONE})$",
    "duration": (
        "^(?:P(?:[0-9]{1,4}W|[0-9]{1,4}D(?:T[0-9]{1,4}H(?:[0-9]{1,4}M(?:[0-9]{1,4}S)?)?)?"
        "|T(?:[0-9]{1,4}H(?:[0-9]{1,4}M(?:[0-9]{1,4}S)?)?|[0-9]{1,4}M(?:[0-9]{1,4}S)?|[0-9]{1,4}S)))$"
    ),
    "uuid": "^(?:[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12})$",
    "email": r"^(?:[A-Za-z0-9_+-]+(?:\.[A-Za-z0-9_+-]+)*@[a-z0-9]+(?:-[a-z0-9]+)*(?:\.[a-z0-9]+)*\.[a-z]{2,8})$",
    "ipv4": rf"^(?:(?:{_OCTET}\.){{3}}{_OCTET})$",
    "ipv6": f"^(?:(?:{_HEX4}:){{7}}{_HEX4})$",
}
