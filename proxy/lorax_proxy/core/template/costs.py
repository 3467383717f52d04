"""What each operation of the template language costs, told to the meter before it runs.

A price need not be exact: it must never be smaller than the real cost by more than a constant
factor, and for what honest templates do it must stay linear. Where an operation takes a number
that scales its result (`center(10**9)`, `"%9999999d"`, `indent(10**6)`, `to_bytes`), the number
itself is the price; that is also the rule for every operation not named here.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from lorax_proxy.core.template.budget import Meter

__all__ = ["charge_binary", "charge_compare", "charge_filter", "charge_format", "charge_method"]

_DIGITS = re.compile(r"\d+")

# Filters that look at no more than the outside of their input.
_FREE_FILTERS = frozenset(
    {"abs", "attr", "count", "d", "default", "first", "items", "last", "length", "float", "random"}
)
# Filters that hand their input on item by item, for a step each.
_LAZY_FILTERS = frozenset(
    {"map", "reject", "rejectattr", "select", "selectattr", "list", "reverse"}
)
# Filters that print, hash, compare or flatten everything inside their input.
_DEEP_FILTERS = frozenset(
    {"groupby", "join", "max", "min", "sort", "sum", "unique", "dictsort", "batch", "slice"}
)


def charge_filter(meter: Meter, name: str, values: list[Any], named: Mapping[str, Any]) -> None:
    """Pay for the filter `name` on `values[0]`; an iterator that must be read becomes a list."""
    meter.step()
    if name in _FREE_FILTERS or not values:
        return
    subject = values[0]
    if name in _LAZY_FILTERS:
        meter.spend(_outside(subject))
        return
    rest = [*values[1:], *named.values()]
    if name in _DEEP_FILTERS:
        subject = values[0] = _drawn(meter, subject)
        count = _outside(subject)
        weight = meter.weigh(subject)
        passes = count.bit_length() + 1 if name != "sum" else max(1, _members(subject))
        meter.spend(weight * passes + count * _scale(meter, rest))
        return
    weight = meter.weigh(subject)
    match name:
        case "tojson":
            meter.spend(weight * (6 + _nesting(meter, subject, rest)))
        case "replace":
            meter.spend(_replaced(subject, rest))
        case "format":
            charge_format(meter, subject, rest)
        case "indent":
            lines = subject.count("\n") + 1 if isinstance(subject, str) else weight
            meter.spend(weight + lines * _scale(meter, rest))
        case "wordwrap":
            width = next((abs(n) for n in rest if isinstance(n, int)), 79)
            meter.spend(weight * (1 + _scale(meter, rest)) + weight * weight // max(width, 1))
        case "striptags" | "urlize":
            tags = subject.count("<") if isinstance(subject, str) else weight
            meter.spend(weight * (8 + tags) + _scale(meter, rest))
        case _:
            meter.spend(weight * 9 + _scale(meter, rest))


def charge_method(
    meter: Meter, owner: Any, name: str, values: list[Any], named: Mapping[str, Any]
) -> None:
    """Pay for `owner.name(*values, **named)` where `owner` is a value of a built-in type."""
    rest = [*values, *named.values()]
    if isinstance(owner, str | bytes):
        match name:
            case "join" if values:
                values[0] = _drawn(meter, values[0])
                meter.spend(meter.weigh(values[0]) + len(owner) * _outside(values[0]))
            case "replace":
                meter.spend(_replaced(owner, rest))
            case "expandtabs":
                tab: Any = "\t" if isinstance(owner, str) else b"\t"
                meter.spend(len(owner) + owner.count(tab) * (8 + _scale(meter, rest)))
            case "translate":
                meter.spend(len(owner) * (1 + sum(meter.weigh(value) for value in rest)))
            case _:
                meter.spend(3 * len(owner) + _scale(meter, rest))
    elif isinstance(owner, Mapping) and name in {"get", "items", "keys", "values"}:
        if rest and isinstance(rest[0], tuple):
            meter.spend(meter.weigh(rest[0]))
    else:
        meter.spend(_outside(owner) * (1 + sum(meter.weigh(value) for value in rest)))
        meter.spend(_scale(meter, rest))


def charge_binary(meter: Meter, operator: str, left: Any, right: Any) -> None:
    """Pay for `left operator right`."""
    if operator == "%" and isinstance(left, str | bytes):
        charge_format(meter, left, list(right) if isinstance(right, tuple) else [right])
    elif operator == "*" and isinstance(left, int) != isinstance(right, int):
        times, sequence = (left, right) if isinstance(left, int) else (right, left)
        meter.spend(_outside(sequence) * max(times, 0))
    elif isinstance(left, int) and isinstance(right, int):
        # Long numbers multiply and divide in more than linear time.
        bits = left.bit_length() * max(right, 1) if operator == "**" else left.bit_length()
        meter.spend(bits * max(bits if operator == "**" else right.bit_length(), 1) // 64)
    else:
        meter.spend(_outside(left) + _outside(right))


def charge_compare(meter: Meter, operator: str, left: Any, right: Any) -> None:
    """Pay for a comparison; only containers and long strings cost more than nothing."""
    if operator in {"in", "notin"}:
        if isinstance(right, str | bytes):
            meter.spend(len(right))
        elif isinstance(right, Mapping):
            meter.spend(_compared(meter, left))
        else:
            # Each member is compared by Python, which takes longer than moving it.
            meter.step(_outside(right) // 16)
            meter.spend(_outside(right) * _compared(meter, left))
    elif isinstance(left, str):
        if isinstance(right, str) and len(left) == len(right):
            meter.spend(len(left))
    elif isinstance(left, list | tuple | Mapping) and type(left) is type(right):
        meter.spend(min(_compared(meter, left), _compared(meter, right)))


def charge_format(meter: Meter, template: Any, values: list[Any]) -> None:
    """Pay for printf- or brace-formatting: every number in it may be a width."""
    text = template if isinstance(template, str) else str(template)
    weight = sum(meter.weigh(value) for value in values)
    widths = sum(int(run[:20]) for run in _DIGITS.findall(text))
    if "*" in text or re.search(r"\{[^}]*\{", text):
        widths += sum(_integers(meter, value) for value in values)
    meter.spend(len(text) * 2 + widths + weight * (1 + text.count("%") + text.count("{")))


def _scale(meter: Meter, values: list[Any]) -> int:
    """The sum of the numbers among `values`, and the length of the texts."""
    return sum(abs(v) if isinstance(v, int) else meter.weigh(v) for v in values)


def _compared(meter: Meter, value: Any) -> int:
    return meter.weigh(value) if isinstance(value, list | tuple | Mapping) else 1


def _outside(value: Any) -> int:
    """The length of a container or text, or the words of a number: what copying it costs."""
    if isinstance(value, int):
        return value.bit_length() // 8 + 1
    try:
        return len(value)
    except TypeError:
        return 1


def _members(value: Any) -> int:
    """How often a sum of lists copies what it has so far: once an item, unless these are numbers."""
    if isinstance(value, list | tuple) and not all(isinstance(v, int | float) for v in value):
        return len(value)
    return 1


def _drawn(meter: Meter, value: Any) -> Any:
    """`value`, or the list of its items if it is an iterator that would be used up by measuring."""
    return list(meter.paced(value)) if isinstance(value, Iterator) else value


def _replaced(subject: Any, values: list[Any]) -> int:
    if (
        not isinstance(subject, str | bytes)
        or len(values) < 2
        or type(values[0]) is not type(subject)
    ):
        lengths = [len(v) if isinstance(v, str) else 8 for v in values]
        return (len(str(subject)) + 1) * (1 + sum(lengths))
    old: Any = values[0]
    return len(subject) + (subject.count(old) + 1) * len(str(values[1]))


def _nesting(meter: Meter, value: Any, options: list[Any]) -> int:
    """Characters of layout that `tojson` may put before one member: indent times depth."""
    depth, level = 0, [value]
    while level and depth < 1_000:
        depth += 1
        deeper: list[Any] = []
        for item in level:
            members = item.values() if isinstance(item, Mapping) else item
            if isinstance(item, Mapping | list | tuple):
                meter.step(len(item))
                deeper.extend(m for m in members if isinstance(m, Mapping | list | tuple))
        level = deeper
    widths: Callable[[Any], int] = lambda o: (  # noqa: E731 - one expression, used once below
        0 if isinstance(o, bool) else abs(o) if isinstance(o, int) else _outside(o)
    )
    return depth * sum(map(widths, options))


def _integers(meter: Meter, value: Any) -> int:
    total, pending = 0, [value]
    while pending:
        item = pending.pop()
        meter.step()
        if isinstance(item, int):
            total += abs(item)
        elif isinstance(item, Mapping):
            pending.extend(item.values())
        elif isinstance(item, list | tuple):
            pending.extend(item)
    return total
