"""What names a completion: id, created, model, and places in a schema that have their own law."""

import re
from typing import Any

from lorax_contracts import schemas
from lorax_contracts.exchange import Exchange, Finding
from lorax_contracts.judge.report import Report, shown

__all__ = ["Places", "bad_created", "bad_id", "bad_model", "fit", "misnamed", "timed"]

Places = tuple[tuple[re.Pattern[str], str], ...]
"""Where in a schema which law is broken: a pattern for the pointer and, after a space, the rule.

A law stands here only for the very place that its sentence speaks of; a part of it that does not fit
is a matter of the law of shape.
"""

_NOBODY = frozenset({"", "null", "none", "nil", "undefined", "0"})
# 2001 in seconds; and past the year 5000 it must be milliseconds.
_EARLIEST, _LATEST = 1_000_000_000, 100_000_000_000
_DAY = 86_400
# What `chunks` and `completions` say of it.
_TIMED = frozenset({"created changes", "created is not as in the first event"})


def fit(
    schema: str, document: Any, places: Places, default: str, report: Report, *, at: str = ""
) -> frozenset[str]:
    """Reports every misfit under the law of its place, or under `default`; gives the places.

    What is missing, or of another type, is said by this; other rules are silent about that place.
    """
    misfits = schemas.validate(schema, document)
    for misfit in misfits:
        place = f"{misfit.at} {misfit.rule}"
        law = next((law for pattern, law in places if pattern.search(place)), default)
        report.add(law, misfit.message, at=f"{at}{misfit.at}", seen=misfit.seen)
    return frozenset(misfit.at for misfit in misfits)


def bad_id(value: Any) -> bool:
    """Whether an id identifies nothing."""
    return not isinstance(value, str) or value.strip().casefold() in _NOBODY


def bad_created(value: Any, exchange: Exchange) -> bool:
    """Whether a time is no Unix time in seconds, or a day away from when the reply came."""
    if not isinstance(value, int) or not _EARLIEST < value < _LATEST:
        return True
    return exchange.at is not None and abs(value - exchange.at) > _DAY


def bad_model(value: Any, exchange: Exchange) -> bool:
    """Whether `model` is not the one that was asked for, nor a dated snapshot of it."""
    asked = exchange.asked.get("model")
    if not isinstance(value, str) or value.strip().casefold() in _NOBODY:
        return True
    if not isinstance(asked, str) or not asked or value == asked:
        return False
    # A snapshot: the words of the name, all or fewer, and a date; `latest` and `preview` go.
    said, given = re.split(r"[-@:]", value), re.split(r"[-@:]", asked)
    dated = [word for word in said if word.isdecimal() and word not in given]
    kept = {word for word in given if word.isdecimal()} <= set(said)
    date = any(len(word) >= 4 for word in dated) and kept
    return not date or not set(said) - set(dated) <= set(given)


def timed(finding: Finding) -> bool:
    """Whether it shows only where a second turns within a reply: a time that each event takes anew."""
    return finding.message in _TIMED


def misnamed(exchange: Exchange) -> str:
    """What is wrong with a `model` that is another than was asked for, in words."""
    asked = exchange.asked.get("model")
    return "model names nothing" if asked is None else f"model is not {shown(asked)}"
