"""Strings and numbers, lowered: what is said of one value that holds no others."""

from collections.abc import Callable
from typing import Any, Final

from lorax_proxy.core.schema.constants import judge_scalar
from lorax_proxy.core.schema.effort import Effort, Level
from lorax_proxy.core.schema.facts import numeric, sized, small_range
from lorax_proxy.core.schema.patterns import translate
from lorax_proxy.core.schema.sites import Impossible, SchemaRefused, Site
from lorax_proxy.core.schema.strings import FORMATS, counted

__all__ = ["number_form", "string_form"]

# In each place of a counted string nearly every token of the vocabulary fits, and LoRAX notes each
# of them: 64 places take six million notes.
MAX_LENGTH: Final = 16
# Integers in so small a range are written out as values, because bounds have no other form.
MAX_RANGE: Final = 32

Drop = Callable[[Site, str], None]
"""Takes note of a keyword that has no form."""


def number_form(name: str, sites: list[Site], path: str, drop: Drop) -> dict[str, Any]:
    """A number or an integer, as `name` says; the bounds of a small range become its values.

    Raises:
        Impossible: No integer lies between the bounds.
        SchemaRefused: A bound is no number, or the values past 64 bits.
    """
    bounds = numeric(sites)
    if any(keyword == "multipleOf" and bound == 1 for _, keyword, bound in bounds):
        name = "integer"
    values = small_range(bounds, MAX_RANGE) if name == "integer" else None
    if values is not None:
        if not values:
            raise Impossible(path, "no integer lies between its bounds")
        for value in values:
            judge_scalar(value, path)
        return {"enum": values}
    for site, keyword, bound in bounds:
        if not (keyword == "multipleOf" and bound == 1):
            drop(site, keyword)
    return {"type": name}


def string_form(sites: list[Site], level: Level, effort: Effort, drop: Drop) -> dict[str, Any]:
    """A string, by its pattern or format, else by its length.

    Raises:
        Impossible: Its lengths exclude one another.
        SchemaRefused: A keyword is malformed, or there is more to translate than may be.
    """
    longest = MAX_LENGTH if level.counts else 1
    pattern = _pattern(sites, level, effort, drop)
    least, most = 0, None
    for site, length in sized(sites, "minLength"):
        if pattern is None and length <= longest:
            least = max(least, length)
        elif length:
            least = max(least, 1)
            drop(site, "minLength")
    for site, length in sized(sites, "maxLength"):
        if length < least:
            raise Impossible(site.path, "maxLength is smaller than minLength")
        if pattern is None and length <= longest and level.counts:
            most = length if most is None else min(most, length)
        else:
            drop(site, "maxLength")
    if pattern is None:
        pattern = counted(least, most, level.spelling)
    return {"type": "string", "pattern": pattern}


def _pattern(sites: list[Site], level: Level, effort: Effort, drop: Drop) -> str | None:
    """The first pattern or format that has a form; the others are dropped."""
    kept: str | None = None
    for site in sites:
        for keyword in ("pattern", "format"):
            if keyword not in site.schema:
                continue
            value = site.schema[keyword]
            if not isinstance(value, str):
                raise SchemaRefused(f"{site.path}.{keyword}", "must be a string")
            if keyword == "pattern":
                effort.pay_for_translating(value, site.path)
            found = FORMATS.get(value) if keyword == "format" else translate(value)
            if kept is None and found is not None and level.counts:
                kept = found
            elif found is None or found != kept:
                drop(site, keyword)
    return kept
