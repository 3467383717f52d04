"""What a misspelt name was probably meant to be."""

from collections.abc import Collection
from difflib import get_close_matches
from typing import Final

__all__ = ["nearest_hint"]

_NEAR: Final = 0.5
"""How alike two names are, from 0 to 1, of which one may be meant by the other: `at` and `att` are (0.8)."""


def nearest_hint(name: str, known: Collection[str]) -> str:
    """The end of a message about an unknown name: the known one nearest to it, or all if none is near."""
    near = get_close_matches(name, known, n=1, cutoff=_NEAR)
    return f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
