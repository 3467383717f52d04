"""The survivors that nobody needs to kill, each with the reason why not: `argued.toml`."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.mutants.making import Name

__all__ = ["ARGUED", "loaded"]

ARGUED: Final = Path(__file__).with_name("argued.toml")

_KEYS: Final = frozenset({"module", "where", "was", "now", "nth", "because"})


def loaded(text: str) -> Mapping[Name, str]:
    """Each argued mutant with its reason.

    Raises:
        ValueError: For an entry without a reason, with another key, or there twice.
    """
    reasons: dict[Name, str] = {}
    for entry in tomllib.loads(text).get("argued", []):
        if unknown := entry.keys() - _KEYS:
            raise ValueError(f"unknown key {min(unknown)!r} in {entry}")
        if missing := {"module", "was", "now", "because"} - entry.keys():
            raise ValueError(f"no {min(missing)!r} in {entry}")
        name = Name(
            entry["module"], entry.get("where", ""), entry["was"], entry["now"], entry.get("nth", 0)
        )
        if name in reasons:
            raise ValueError(f"argued twice: {name}")
        reasons[name] = entry["because"]
    return reasons
