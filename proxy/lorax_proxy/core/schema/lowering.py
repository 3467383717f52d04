"""One schema on its way down to the forms of `core.schema.forms`, at one level of exactness.

Everything is a conjunction of sites (`core.schema.sites`): resolve it, read its facts
(`core.schema.facts`), write the form. What no form can express is dropped, by path.
"""

from itertools import product
from math import prod
from typing import Any, Final

from lorax_proxy.core.schema.constants import (
    is_of,
    judge_array,
    judge_object,
    judge_scalar,
    unjudged,
    values_of,
)
from lorax_proxy.core.schema.effort import Effort, Level, looks
from lorax_proxy.core.schema.exclusion import Exclusion
from lorax_proxy.core.schema.facts import (
    TYPES,
    free_members,
    items,
    judge_name,
    member_sites,
    patterned,
    properties,
    required_names,
    sized,
    types_of,
)
from lorax_proxy.core.schema.forms import (
    any_of,
    any_value,
    closed_object,
    constants,
    empty_array,
    tuple_of,
)
from lorax_proxy.core.schema.patterns import fits
from lorax_proxy.core.schema.scalars import number_form, string_form
from lorax_proxy.core.schema.sites import (
    Choice,
    Conjunction,
    Impossible,
    SchemaRefused,
    Site,
    flatten,
)

__all__ = ["MAX_NODES", "Lowering"]

# Deeper nesting than OpenAI's own limit for strict schemas (10 levels) with room to spare; every
# level of arrays or free objects doubles the compiler's work.
MAX_DEPTH: Final = 16
# OpenAI allows 5000 properties in a strict schema; a tenth of that is past what compiles in time.
MAX_NODES: Final = 500
# LoRAX compiles some hundred in time, if all are required and short; of optional ones a few dozen.
MAX_PROPERTIES: Final = 200
# Alternatives multiply when several anyOf must hold at once.
MAX_ALTERNATIVES: Final = 64
# OpenAI's limit for the values of all enums together is 1000.
MAX_ENUM: Final = 500
# OpenAI's limit for the texts of an enum of many values.
MAX_ENUM_LETTERS: Final = 15_000
# Repetition is spelled out copy by copy, and the copies are alive as long as the schema is.
MAX_ITEMS: Final = 16


# Dropped, or with strict refused: each of them can forbid whole shapes of a value.
_SHAPES: Final = (
    "not",
    "if",
    "then",
    "else",
    "dependentRequired",
    "dependentSchemas",
    "dependencies",
    "unevaluatedItems",
    "unevaluatedProperties",
    "propertyNames",
    "contains",
    "minContains",
    "maxContains",
)


class Lowering:
    """One schema on its way down, at one level."""

    def __init__(self, root: Site, level: Level, effort: Effort, *, strict: bool) -> None:
        self.root = root
        self.level = level
        self.effort = effort
        self.strict = strict
        # In order, each once.
        self.dropped: dict[str, None] = {}
        self.exclusion = Exclusion(root)
        self.nodes = 0

    def conjunction(self, sites: list[Site], depth: int) -> dict[str, Any]:
        """Lower what must all hold.

        Raises:
            Impossible: No value satisfies it.
            SchemaRefused: As `lower`.
        """
        self.nodes += 1
        if depth > MAX_DEPTH:
            raise SchemaRefused(sites[0].path, f"nested deeper than {MAX_DEPTH} levels")
        if self.nodes > MAX_NODES:
            raise SchemaRefused(self.root.path, f"more than {MAX_NODES} subschemas")
        flat = flatten(sites, self.root)
        self.effort.pay(looks(flat.sites), sites[0].path)
        if not flat.choices:
            return self._typed(flat.sites, sites[0].path, depth)
        if prod(len(choice.alternatives) for choice in flat.choices) > MAX_ALTERNATIVES:
            raise SchemaRefused(
                sites[0].path, f"more than {MAX_ALTERNATIVES} combinations of alternatives"
            )
        return self._alternatives(flat, depth)

    def _alternatives(self, flat: Conjunction, depth: int) -> dict[str, Any]:
        results: list[dict[str, Any]] = []
        impossible: Impossible | None = None
        for chosen in product(*(choice.alternatives for choice in flat.choices)):
            sites = [*flat.sites, *chosen]
            try:
                results.append(self._alone(sites, flat.choices, chosen, depth + 1))
            except Impossible as found:
                impossible = impossible or found
        if not results and impossible:
            raise impossible
        return any_of(results)

    def _alone(
        self, sites: list[Site], choices: list[Choice], chosen: tuple[Site, ...], depth: int
    ) -> dict[str, Any]:
        """One combination of alternatives, so that nothing else of a ``oneOf`` matches it too."""
        exclusive = [pair for pair in zip(choices, chosen, strict=True) if pair[0].exclusive]
        others = [
            each for choice, mine in exclusive for each in choice.alternatives if each is not mine
        ]
        if not others:
            return self.conjunction(sites, depth)
        narrowings = self.exclusion.narrowings(flatten(sites, self.root), others)
        if narrowings is not None:
            narrow = [Site(each, sites[0].path) for each in narrowings]
            try:
                return self.conjunction([*sites, *narrow], depth)
            except Impossible:
                if not narrowings:
                    raise
        lowered = self.conjunction(sites, depth)
        self.dropped.update((choice.exclusive, None) for choice, _ in exclusive)
        return lowered

    def _typed(self, sites: list[Site], path: str, depth: int) -> dict[str, Any]:
        for site in sites:
            self._judge_shapes(site)
        types = types_of(sites)
        values = values_of(sites)
        if values is not None:
            # Types that other keywords only imply do not rule out a value that is written.
            written = any("type" in site.schema for site in sites)
            return self._enumeration(values, sites, types if written else None, path, depth)
        if types is None:
            return any_value(self.level.nesting)
        results: list[dict[str, Any]] = []
        impossible: Impossible | None = None
        for name in TYPES:
            if name not in types or (name == "integer" and "number" in types):
                continue
            try:
                results.append(self._of_type(name, sites, path, depth))
            except Impossible as found:
                impossible = impossible or found
        if not results:
            raise impossible or Impossible(path, "its types exclude one another")
        return any_of(results)

    def _judge_shapes(self, site: Site) -> None:
        for keyword in _SHAPES:
            if keyword not in site.schema:
                continue
            if keyword.startswith("unevaluated") and site.schema[keyword] is False:
                # Nothing is ever written that is not declared.
                continue
            if self.strict:
                raise SchemaRefused(
                    f"{site.path}.{keyword}",
                    f"{keyword!r} cannot be enforced; leave it out, or set strict to false",
                )
            self._drop(site, keyword)

    def _of_type(self, name: str, sites: list[Site], path: str, depth: int) -> dict[str, Any]:
        match name:
            case "object":
                return self._object(sites, path, depth)
            case "array":
                return self._array(sites, path, depth)
            case "string":
                return string_form(sites, self.level, self.effort, self._drop)
            case "number" | "integer":
                return number_form(name, sites, path, self._drop)
            case _:
                return {"type": name}

    # Values

    def _enumeration(
        self,
        values: list[Any],
        sites: list[Site],
        types: frozenset[str] | None,
        path: str,
        depth: int,
    ) -> dict[str, Any]:
        """The values that all other keywords leave."""
        fitting = [value for value in values if types is None or is_of(value, types)]
        if not fitting:
            raise Impossible(path, "no value of its enum or const is of its type")
        if len(fitting) > MAX_ENUM:
            raise SchemaRefused(path, f"more than {MAX_ENUM} values in one enum")
        letters = sum(len(value) for value in fitting if isinstance(value, str))
        if letters > MAX_ENUM_LETTERS:
            raise SchemaRefused(path, f"more than {MAX_ENUM_LETTERS} characters in one enum")
        patterns = [site.schema.get("pattern") for site in sites]
        self.effort.pay_for_patterns(patterns, letters, path)
        scalars: list[Any] = []
        containers: list[dict[str, Any]] = []
        impossible: Impossible | None = None
        for value in fitting:
            try:
                match value:
                    case dict():
                        containers.append(self._constant_object(value, sites, path, depth))
                    case list():
                        containers.append(self._constant_array(value, sites, path, depth))
                    case _:
                        judge_scalar(value, path)
                        for site, keyword in unjudged(value, sites):
                            self._drop(site, keyword)
                        scalars.append(value)
            except Impossible as found:
                impossible = impossible or found
        if impossible and not scalars and not containers:
            raise impossible
        return any_of([*([constants(scalars)] if scalars else []), *containers])

    def _constant_object(
        self, value: dict[str, Any], sites: list[Site], path: str, depth: int
    ) -> dict[str, Any]:
        """A value spelled out: the compiler knows no objects and arrays as constants."""
        judge_object(value, sites, path)
        self._pay_for_names(list(value), sites, path)
        for name in value:
            judge_name(name, path)
        members = {
            name: [*member_sites(sites, name), Site({"const": member}, path)]
            for name, member in value.items()
        }
        self._drop_patterns(sites)
        return closed_object(
            {name: self.conjunction(each, depth + 1) for name, each in members.items()},
            list(members),
        )

    def _constant_array(
        self, value: list[Any], sites: list[Site], path: str, depth: int
    ) -> dict[str, Any]:
        judge_array(value, sites, path)
        leading, rest = items(sites)
        leading += [rest] * (len(value) - len(leading))
        return tuple_of(
            [
                self.conjunction([*each, Site({"const": member}, path)], depth + 1)
                for each, member in zip(leading, value, strict=False)
            ]
        )

    # Containers

    def _array(self, sites: list[Site], path: str, depth: int) -> dict[str, Any]:
        least = max((size for _, size in sized(sites, "minItems")), default=0)
        most = min((size for _, size in sized(sites, "maxItems")), default=None)
        if most is not None and least > most:
            raise Impossible(path, "minItems is larger than maxItems")
        for site in sites:
            if site.schema.get("uniqueItems") is True:
                self._drop(site, "uniqueItems")
        leading, rest = items(sites)
        if leading:
            return self._tuple(leading, rest, (least, most), path, depth)
        if most == 0:
            return empty_array()
        try:
            item = self.conjunction(rest, depth + 1) if rest else any_value(self.level.nesting)
        except Impossible:
            if least:
                raise
            return empty_array()
        array: dict[str, Any] = {"type": "array", "items": item}
        limit = MAX_ITEMS if self.level.counts else 1
        for site, size in sized(sites, "minItems"):
            if size > limit:
                self._drop(site, "minItems")
        for site, size in sized(sites, "maxItems"):
            if size > limit:
                self._drop(site, "maxItems")
        if least:
            array["minItems"] = least if least <= limit else 1
        if most is not None and most <= limit:
            array["maxItems"] = most
        return array

    def _tuple(
        self,
        leading: list[list[Site]],
        rest: list[Site],
        sizes: tuple[int, int | None],
        path: str,
        depth: int,
    ) -> dict[str, Any]:
        """All leading items, and no more than are asked for: a tuple is written whole."""
        least, most = sizes
        if least > len(leading) + MAX_ITEMS:
            raise SchemaRefused(path, f"minItems asks for over {MAX_ITEMS} items past prefixItems")
        length = max(least, len(leading) if most is None else min(most, len(leading)))
        members = [*leading, *([rest] * (length - len(leading)))][:length]
        return tuple_of(
            [
                self.conjunction(member, depth + 1) if member else any_value(self.level.nesting)
                for member in members
            ]
        )

    def _object(self, sites: list[Site], path: str, depth: int) -> dict[str, Any]:
        required = required_names(sites)
        declared = properties(sites)
        if declared is None and not required:
            return self._free_object(sites, path, depth)
        names = list(dict.fromkeys([*(declared or ()), *required]))
        if len(names) > MAX_PROPERTIES:
            raise SchemaRefused(path, f"more than {MAX_PROPERTIES} properties in one object")
        self._pay_for_names(names, sites, path)
        self._drop_counts(sites, len(required), len(names))
        self._drop_patterns(sites)
        lowered: dict[str, Any] = {}
        for name in names:
            judge_name(name, path)
            members = member_sites(sites, name)
            try:
                lowered[name] = (
                    self.conjunction(members, depth + 1)
                    if members
                    else any_value(self.level.nesting)
                )
            except Impossible as impossible:
                if name in required:
                    raise Impossible(
                        impossible.path, f"{name!r} is required, but {impossible.reason}"
                    ) from impossible
        return closed_object(lowered, [name for name in lowered if name in required])

    def _free_object(self, sites: list[Site], path: str, depth: int) -> dict[str, Any]:
        """An object whose property names are not known."""
        least = max((size for _, size in sized(sites, "minProperties")), default=0)
        for site, size in sized(sites, "minProperties"):
            if size > 1:
                self._drop(site, "minProperties")
        most = min((size for _, size in sized(sites, "maxProperties")), default=None)
        for site, size in sized(sites, "maxProperties"):
            if size:
                self._drop(site, "maxProperties")
        for site in sites:
            if site.schema.get("patternProperties"):
                self._drop(site, "patternProperties")
        if most == 0:
            return self._no_properties(least, path)
        values = free_members(sites)
        try:
            value = self.conjunction(values, depth + 1) if values else any_value(self.level.nesting)
        except Impossible:
            return self._no_properties(least, path)
        lowered: dict[str, Any] = {"type": "object", "additionalProperties": value}
        if least:
            lowered["minProperties"] = 1
        return lowered

    def _no_properties(self, least: int, path: str) -> dict[str, Any]:
        if least:
            raise Impossible(path, "it must have properties, but none is allowed")
        return closed_object({}, [])

    def _pay_for_names(self, names: list[str], sites: list[Site], path: str) -> None:
        patterns = [pattern for site in sites for pattern in patterned(site)]
        self.effort.pay_for_patterns(patterns, sum(map(len, names)), path)

    def _drop_patterns(self, sites: list[Site]) -> None:
        """Of names that are known it is known which patterns they match, where one can be read."""
        for site in sites:
            if any(fits(pattern, "") is None for pattern in patterned(site)):
                self._drop(site, "patternProperties")

    def _drop_counts(self, sites: list[Site], least: int, most: int) -> None:
        for site, size in sized(sites, "minProperties"):
            if size > least:
                self._drop(site, "minProperties")
        for site, size in sized(sites, "maxProperties"):
            if size < least:
                raise Impossible(site.path, "maxProperties is smaller than the list of required")
            if size < most:
                self._drop(site, "maxProperties")

    def _drop(self, site: Site, keyword: str) -> None:
        self.dropped[f"{site.path}.{keyword}"] = None
