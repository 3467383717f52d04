"""What a conjunction of schemas says, keyword by keyword; the lowering decides what comes of it.

Each function reads the same thing from every schema that must hold and joins the answers: types are
intersected, enums too, required names united, bounds collected with the place they stand.
"""

from collections.abc import Mapping
from math import ceil, floor, isfinite
from typing import Any, Final

from lorax_proxy.core.schema.patterns import fits
from lorax_proxy.core.schema.sites import SchemaRefused, Site
from lorax_proxy.core.schema.strings import is_text

__all__ = [
    "TYPES",
    "free_members",
    "items",
    "judge_name",
    "member_sites",
    "numeric",
    "patterned",
    "properties",
    "required_names",
    "sized",
    "small_range",
    "types_of",
]

TYPES: Final = ("object", "array", "string", "number", "integer", "boolean", "null")

# What a schema without a type means by its other keywords.
_HINTS: Final = {
    "object": (
        "properties",
        "required",
        "additionalProperties",
        "patternProperties",
        "minProperties",
        "maxProperties",
        "propertyNames",
    ),
    "array": ("items", "prefixItems", "minItems", "maxItems", "uniqueItems", "contains"),
    "string": ("pattern", "format", "minLength", "maxLength"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
}
_SPELLED_BADLY: Final = frozenset({'"', "\\", *map(chr, range(0x20)), "\x7f"})


def types_of(sites: list[Site]) -> frozenset[str] | None:
    """The types that a value may have; None: any."""
    types: frozenset[str] | None = None
    for site in sites:
        if "type" in site.schema:
            found = _written_types(site)
            types = found if types is None else types & found
    if types is None:
        hinted = {
            name
            for name, keywords in _HINTS.items()
            if any(keyword in site.schema for site in sites for keyword in keywords)
        }
        return frozenset(hinted) or None
    return types


def _written_types(site: Site) -> frozenset[str]:
    written = site.schema["type"]
    names = written if isinstance(written, list) else [written]
    for name in names:
        if name not in TYPES:
            raise SchemaRefused(
                f"{site.path}.type", f"{name!r} is no type; types are {', '.join(TYPES)}"
            )
    found = set(names)
    if "number" in found:
        # So that an intersection with integer leaves integer.
        found.add("integer")
    if site.schema.get("nullable") is True:
        found.add("null")
    return frozenset(found)


def judge_name(name: str, path: str) -> None:
    """Refuse a property name that LoRAX's compiler would spell as invalid JSON.

    Raises:
        SchemaRefused: It holds a quote, a backslash, a control character or half a surrogate pair.
    """
    if _SPELLED_BADLY.isdisjoint(name) and is_text(name):
        return
    raise SchemaRefused(
        path,
        f"the property name {name!r} cannot be enforced: LoRAX does not escape quotes, "
        "backslashes and control characters in names; rename it",
    )


def sized(sites: list[Site], keyword: str) -> list[tuple[Site, int]]:
    """A keyword whose value is a size, wherever it stands."""
    found: list[tuple[Site, int]] = []
    for site in sites:
        if keyword in site.schema:
            size = site.schema[keyword]
            if isinstance(size, float) and size.is_integer():
                size = int(size)
            if not isinstance(size, int) or isinstance(size, bool) or size < 0:
                raise SchemaRefused(f"{site.path}.{keyword}", "must be a whole number, 0 or more")
            found.append((site, size))
    return found


def numeric(sites: list[Site]) -> list[tuple[Site, str, float]]:
    """The numeric bounds; draft 4's boolean exclusive bounds count as the plain ones they modify."""
    found: list[tuple[Site, str, float]] = []
    for site in sites:
        for keyword in _HINTS["number"]:
            if keyword not in site.schema:
                continue
            bound = site.schema[keyword]
            if isinstance(bound, bool) and keyword.startswith("exclusive"):
                if not bound:
                    continue
                bound = site.schema.get(keyword.replace("exclusiveM", "m"))
            if isinstance(bound, bool) or not isinstance(bound, int | float):
                raise SchemaRefused(f"{site.path}.{keyword}", "must be a number")
            # An integer of any length is one; to ask whether it is finite makes a float of it.
            if isinstance(bound, float) and not isfinite(bound):
                raise SchemaRefused(f"{site.path}.{keyword}", "must be a number")
            found.append((site, keyword, bound))
    return found


def small_range(bounds: list[tuple[Site, str, float]], most: int) -> list[int] | None:
    """The integers that bounds leave; None where they leave too many to write out."""
    least: int | None = None
    greatest: int | None = None
    for _, keyword, bound in bounds:
        match keyword:
            case "minimum" | "exclusiveMinimum":
                low = ceil(bound) if keyword == "minimum" else floor(bound) + 1
                least = low if least is None else max(least, low)
            case "maximum" | "exclusiveMaximum":
                high = floor(bound) if keyword == "maximum" else ceil(bound) - 1
                greatest = high if greatest is None else min(greatest, high)
            case _:
                pass
    if least is None or greatest is None or greatest - least >= most:
        return None
    steps = [bound for _, keyword, bound in bounds if keyword == "multipleOf"]
    return [
        value
        for value in range(least, greatest + 1)
        if all(step and value % step == 0 for step in steps)
    ]


def items(sites: list[Site]) -> tuple[list[list[Site]], list[Site]]:
    """What the leading items of an array must satisfy, each, and what the others must."""
    tuples = [_tuple_members(site) for site in sites]
    leading: list[list[Site]] = []
    for index in range(max(map(len, tuples), default=0)):
        leading.append(
            [
                each
                for site, members in zip(sites, tuples, strict=True)
                for each in ([members[index]] if index < len(members) else _other_items(site))
            ]
        )
    others = [each for site in sites for each in _other_items(site)]
    return leading, others or _never(sites, "unevaluatedItems")


def _tuple_members(site: Site) -> list[Site]:
    # Drafts before 2020-12 write a tuple as a list under `items`.
    keyword = "items" if isinstance(site.schema.get("items"), list) else "prefixItems"
    return site.listed(keyword) if site.schema.get(keyword, []) != [] else []


def _other_items(site: Site) -> list[Site]:
    keyword = "additionalItems" if isinstance(site.schema.get("items"), list) else "items"
    return [site.under(keyword, site.schema[keyword])] if keyword in site.schema else []


def required_names(sites: list[Site]) -> list[str]:
    """The names that must be there, each once, in order."""
    found: dict[str, None] = {}
    for site in sites:
        names = site.schema.get("required", [])
        # Draft 3 and some generators write a boolean; it says nothing about this object.
        if isinstance(names, bool):
            continue
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise SchemaRefused(f"{site.path}.required", "must be a list of property names")
        found.update(dict.fromkeys(names))
    return list(found)


def properties(sites: list[Site]) -> list[str] | None:
    """The declared names, each once, in order; None: none of the schemas declares any."""
    found: dict[str, None] | None = None
    for site in sites:
        if "properties" in site.schema:
            found = {**(found or {}), **dict.fromkeys(_schemas_by_name(site, "properties"))}
    return None if found is None else list(found)


def member_sites(sites: list[Site], name: str) -> list[Site]:
    """What a property must satisfy: all that is said of its name, else of additional ones.

    A pattern that cannot be judged is taken to match: a value that satisfies its schema too is
    never wrong.
    """
    found: list[Site] = []
    for site in sites:
        own = [
            site.under("patternProperties", schema, pattern)
            for pattern, schema in patterned(site).items()
            if fits(pattern, name) is not False
        ]
        declared = _schemas_by_name(site, "properties")
        if name in declared:
            own.append(site.under("properties", declared[name], name))
        if not own and "additionalProperties" in site.schema:
            own.append(site.under("additionalProperties", site.schema["additionalProperties"]))
        found += own
    return found or _never(sites, "unevaluatedProperties")


def _never(sites: list[Site], keyword: str) -> list[Site]:
    """What may not be there because nothing else is said of it."""
    return [site.under(keyword, False) for site in sites if site.schema.get(keyword) is False]


def patterned(site: Site) -> Mapping[str, Any]:
    """The schemas of names that match a pattern."""
    return _schemas_by_name(site, "patternProperties")


def _schemas_by_name(site: Site, keyword: str) -> Mapping[str, Any]:
    found = site.schema.get(keyword, {})
    if not isinstance(found, Mapping):
        raise SchemaRefused(f"{site.path}.{keyword}", "must be an object of schemas")
    return found


def free_members(sites: list[Site]) -> list[Site]:
    """What every property of an object without declared names must satisfy.

    A single pattern's schema holds for all of them: a name that does not match it would be
    additional, and a value that satisfies both is never wrong.
    """
    found: list[Site] = []
    said = {keyword for site in sites for keyword in site.schema}
    if said.isdisjoint(("additionalProperties", "patternProperties")):
        found += _never(sites, "unevaluatedProperties")
    for site in sites:
        patterns = patterned(site)
        found += [
            site.under("patternProperties", schema, pattern) for pattern, schema in patterns.items()
        ]
        additional = site.schema.get("additionalProperties", True)
        if not patterns or additional is not False:
            found.append(site.under("additionalProperties", additional))
    return found
