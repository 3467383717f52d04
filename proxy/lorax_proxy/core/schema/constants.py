"""Values that a schema names, by ``enum`` and ``const``, and what else the schema says of them.

A value that is known needs no form for what is said beside it: it keeps a bound or it does not.
"""

import json
from decimal import Decimal
from fractions import Fraction
from typing import Any

from lorax_proxy.core.schema.facts import numeric, required_names, sized
from lorax_proxy.core.schema.patterns import fits
from lorax_proxy.core.schema.sites import Impossible, SchemaRefused, Site
from lorax_proxy.core.schema.strings import is_text

__all__ = ["is_of", "judge_array", "judge_object", "judge_scalar", "unjudged", "values_of"]


def values_of(sites: list[Site]) -> list[Any] | None:
    """The values that enum and const leave, each once, in order; None: no such keyword."""
    values: dict[str, Any] | None = None
    for site in sites:
        written: list[list[Any]] = []
        if "enum" in site.schema:
            listed = site.schema["enum"]
            if not isinstance(listed, list):
                raise SchemaRefused(f"{site.path}.enum", "must be a list of values")
            written.append(listed)
        if "const" in site.schema:
            written.append([site.schema["const"]])
        for found in written:
            keyed = {_identity(value): value for value in found}
            values = keyed if values is None else {k: v for k, v in values.items() if k in keyed}
    return None if values is None else list(values.values())


def _identity(value: Any) -> str:
    """A text that two values have in common if they are one in JSON.

    1 and true are equal in Python and not in JSON; 1 and 1.0 are one number there.
    """
    return json.dumps(_whole(value), sort_keys=True)


def _whole(value: Any) -> Any:
    match value:
        case float() if value.is_integer():
            return int(value)
        case list():
            return [_whole(member) for member in value]
        case dict():
            return {name: _whole(member) for name, member in value.items()}
        case _:
            return value


def is_of(value: Any, types: frozenset[str]) -> bool:
    """Whether a value is of one of these types."""
    match value:
        case None:
            return "null" in types
        case bool():
            return "boolean" in types
        case int():
            return bool(types & {"number", "integer"})
        case float():
            return "number" in types or ("integer" in types and value.is_integer())
        case str():
            return "string" in types
        case list():
            return "array" in types
        case _:
            return "object" in types


def judge_scalar(value: Any, path: str) -> None:
    """Refuse a constant that would not reach LoRAX as it is.

    Raises:
        SchemaRefused: Its JSON reader has 64-bit integers and no lone surrogates, and gets the
            last digit of long fractions wrong (serde_json without its `float_roundtrip`).
    """
    match value:
        case str() if not is_text(value):
            raise SchemaRefused(path, f"{value!r} has half a surrogate pair, which is no text")
        case int() if not isinstance(value, bool) and not -(2**63) <= value < 2**64:
            raise SchemaRefused(path, f"{value} does not fit into 64 bits")
        case float() if not _is_short(value):
            raise SchemaRefused(
                path, f"{value} cannot be written exactly: over 15 digits, or past 1e22 or 1e-22"
            )
        case _:
            pass


def _is_short(value: float) -> bool:
    """Whether every JSON reader, hasty ones included, reads this number as it is."""
    _, digits, exponent = Decimal(repr(value)).as_tuple()
    return len(digits) <= 15 and isinstance(exponent, int) and abs(exponent) <= 22


def _within(value: float, keyword: str, bound: float) -> bool:
    """Whether a number keeps one of `numeric`'s bounds."""
    match keyword:
        case "minimum":
            return value >= bound
        case "exclusiveMinimum":
            return value > bound
        case "maximum":
            return value <= bound
        case "exclusiveMaximum":
            return value < bound
        case _:
            # As decimal numbers, as they are written: 0.3 is a multiple of 0.1.
            return bool(bound) and Fraction(repr(value)) % Fraction(repr(bound)) == 0


def unjudged(value: Any, sites: list[Site]) -> list[tuple[Site, str]]:
    """Judge a scalar by what is said beside it, and name the keywords that cannot be judged.

    Raises:
        Impossible: It breaks one of them.
        SchemaRefused: One of them is malformed.
    """
    if isinstance(value, str):
        return _unjudged_text(value, sites)
    if isinstance(value, int | float) and not isinstance(value, bool):
        for site, keyword, bound in numeric(sites):
            if not _within(value, keyword, bound):
                raise Impossible(f"{site.path}.{keyword}", f"{value} does not keep it")
    return []


def _unjudged_text(value: str, sites: list[Site]) -> list[tuple[Site, str]]:
    _judge_size(len(value), sites, "Length")
    found: list[tuple[Site, str]] = []
    for site in sites:
        if "format" in site.schema:
            found.append((site, "format"))
        pattern = site.schema.get("pattern")
        if pattern is None:
            continue
        if not isinstance(pattern, str):
            raise SchemaRefused(f"{site.path}.pattern", "must be a string")
        match fits(pattern, value):
            case None:
                found.append((site, "pattern"))
            case False:
                raise Impossible(f"{site.path}.pattern", f"{value!r} does not match it")
            case True:
                pass
    return found


def judge_object(value: dict[str, Any], sites: list[Site], path: str) -> None:
    """Judge an object by the number of its properties, and by those it must have.

    Raises:
        Impossible: It has too many or too few, or not all.
    """
    _judge_size(len(value), sites, "Properties")
    for name in required_names(sites):
        if name not in value:
            raise Impossible(path, f"{name!r} is required, but a constant does not have it")


def judge_array(value: list[Any], sites: list[Site], path: str) -> None:
    """Judge an array by the number of its items, and by whether they may be alike.

    Raises:
        Impossible: It has too many or too few, or the same twice.
    """
    _judge_size(len(value), sites, "Items")
    unique = any(site.schema.get("uniqueItems") is True for site in sites)
    if unique and len(set(map(_identity, value))) < len(value):
        raise Impossible(path, "the items of a constant are not unique")


def _judge_size(size: int, sites: list[Site], what: str) -> None:
    for site, least in sized(sites, f"min{what}"):
        if size < least:
            raise Impossible(f"{site.path}.min{what}", "a constant is smaller")
    for site, most in sized(sites, f"max{what}"):
        if size > most:
            raise Impossible(f"{site.path}.max{what}", "a constant is larger")
