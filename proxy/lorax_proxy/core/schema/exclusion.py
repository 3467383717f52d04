"""Whether a value written for one schema is rejected by another: what makes ``oneOf`` an ``anyOf``.

LoRAX's compiler writes one of several alternatives and never looks whether another would match the
value as well. Where it can be shown that none does, ``oneOf`` says no more than ``anyOf``. Shown it
is by what is surely enforced of the written schema, and by what every validator reads alike of the
other one:

- they have no type in common, or one names its values and the other rejects each of them;
- for objects: a property that is surely there must be something else; a name that is required is
  never written; a name that is always written is forbidden.

Where only a name lacks, a *narrowing* makes up for it: of two groups of parameters that must not
come together, ``{"required": ["radius"]}`` beside ``{"required": ["side"]}``, the one is written
without the other's name, and a union's ``kind`` that has a default is written all the same.

The proof may fail where the schemas do exclude each other; then ``oneOf`` is named as not enforced.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from lorax_proxy.core.schema.constants import is_of, judge_object, unjudged, values_of
from lorax_proxy.core.schema.effort import looks
from lorax_proxy.core.schema.facts import (
    TYPES,
    member_sites,
    patterned,
    properties,
    required_names,
    types_of,
)
from lorax_proxy.core.schema.patterns import fits
from lorax_proxy.core.schema.sites import Conjunction, Impossible, Site, flatten

__all__ = ["Exclusion", "Narrowing"]

# A union's tag is a property of its members, or of an object in them.
_DEEPEST: Final = 3
# Names and values that are held against each other for one schema: a union of ten classes of ten
# properties takes some thousand.
_MOST_STEPS: Final = 20_000

Narrowing = Mapping[str, Any]
"""A schema of one keyword that is added to what is written."""


@dataclass(slots=True)
class Exclusion:
    """Proofs about the parts of one schema.

    Attributes:
        root: The whole schema, which references point into.
        steps: How much more may be compared; when nothing is left, nothing more is shown.
    """

    root: Site
    steps: int = _MOST_STEPS
    _known: dict[int, tuple[Site, list[Site] | None]] = field(default_factory=dict)

    def narrowings(self, written: Conjunction, others: list[Site]) -> list[Narrowing] | None:
        """What must be added to a conjunction so that all others reject what is written for it.

        None where that cannot be shown of one of them.
        """
        found: list[Narrowing] = []
        for other in others:
            narrowing = self._rejected(written, other, _DEEPEST)
            if narrowing is None:
                return None
            if narrowing and narrowing not in found:
                found.append(narrowing)
        forbidden = {name for each in found for name in each.get("properties", ())}
        demanded = {name for each in found for name in each.get("required", ())}
        return None if forbidden & demanded else found

    def _rejected(self, written: Conjunction, other: Site, depth: int) -> Narrowing | None:
        """The narrowing, empty if none is needed, with which `other` rejects what is written."""
        said = self._said(other)
        if said is None:
            return {}
        sites = written.sites
        if not self._pay(looks(said) + looks(sites)):
            return None
        types = types_of(sites)
        values = self._values(sites)
        if values is not None:
            if self._values(said) is not None:
                values = values_of([*sites, *said]) or []
            # types that other keywords only imply do not rule out a value that is written
            accepted = _accepted_types(sites)
            kept = [value for value in values if is_of(value, accepted)]
            return {} if all(_rejects(said, value) for value in kept) else None
        accepted = _accepted_types(said)
        listed = self._values(said)
        if types is None or self.steps <= 0:
            # Values that could not be afforded may be of any type.
            return None
        narrowing: Narrowing = {}
        for name in TYPES:
            if name not in types or name not in accepted:
                continue
            if listed is not None and all(
                _rejects(sites, value) for value in listed if is_of(value, frozenset({name}))
            ):
                continue
            if name != "object":
                return None
            found = self._object_rejected(written, said, depth)
            if found is None:
                return None
            narrowing = found
        return narrowing

    def _object_rejected(
        self, written: Conjunction, said: list[Site], depth: int
    ) -> Narrowing | None:
        sites = written.sites
        present = set(required_names(sites))
        declared = properties(sites)
        demanded = required_names(said)
        names = dict.fromkeys([*(declared or ()), *present])
        if not names or not self._pay(len(names) * (1 + len(said))):
            # An object of free names may hold any, and be empty.
            return None
        makeshift: list[Narrowing] = []
        for name in names:
            if not self._differs(sites, said, name, depth):
                continue
            if name in present or name in demanded:
                return {}
            makeshift.append({"required": [name]})
        for name in demanded:
            if name in present:
                continue
            if name not in names and not written.choices:
                return {}
            makeshift.append({"properties": {name: False}})
        return makeshift[0] if makeshift else None

    def _differs(self, sites: list[Site], said: list[Site], name: str, depth: int) -> bool:
        """Whether a property that is written for `sites` is always rejected."""
        theirs = _surely_said_of(said, name)
        if not theirs:
            return False
        if any(site.schema is False for site in theirs):
            return True
        ours = member_sites(sites, name)
        if not depth or not ours:
            return False
        try:
            written = flatten(ours, self.root)
        except Impossible:
            return True
        return any(self._rejected(written, site, depth - 1) == {} for site in theirs)

    def _said(self, site: Site) -> list[Site] | None:
        """What surely holds of a value that a schema accepts; None: it accepts none."""
        if id(site) not in self._known:
            try:
                plain: list[Site] | None = flatten([site], self.root, references_alone=True).sites
            except Impossible:
                plain = None
            # the site is kept too: another one must not get its identity
            self._known[id(site)] = (site, plain)
        return self._known[id(site)][1]

    def _values(self, sites: list[Site]) -> list[Any] | None:
        """The named values, if there are some and comparing them can be afforded."""
        named = [
            site.schema[keyword]
            for site in sites
            for keyword in ("enum", "const")
            if keyword in site.schema
        ]
        size = sum(len(str(each)) for each in named)
        return values_of(sites) if named and self._pay(size) else None

    def _pay(self, steps: int) -> bool:
        self.steps -= steps
        return self.steps > 0


def _accepted_types(sites: list[Site]) -> frozenset[str]:
    """The types that are not forbidden; what other keywords imply forbids none."""
    typed = [site for site in sites if "type" in site.schema]
    return types_of(typed) or frozenset() if typed else frozenset(TYPES)


def _rejects(sites: list[Site], value: Any) -> bool:
    """Whether a value is surely rejected, by its type or by what else is said beside it."""
    if not is_of(value, _accepted_types(sites)):
        return True
    try:
        if isinstance(value, dict):
            judge_object(value, sites, "")
        else:
            unjudged(value, sites)
    except Impossible:
        return True
    return False


def _surely_said_of(sites: list[Site], name: str) -> list[Site]:
    """What every validator holds a property against."""
    found: list[Site] = []
    for site in sites:
        matched = [(pattern, fits(pattern, name)) for pattern in patterned(site)]
        own = [
            site.under("patternProperties", patterned(site)[pattern], pattern)
            for pattern, fit in matched
            if fit
        ]
        declared = site.schema.get("properties")
        if isinstance(declared, Mapping) and name in declared:
            own.append(site.under("properties", declared[name], name))
        sure = not own and all(fit is False for _, fit in matched)
        if sure and "additionalProperties" in site.schema:
            own.append(site.under("additionalProperties", site.schema["additionalProperties"]))
        found += own
    return found
