"""Subschemas that remember where they stand, and what they refer to.

A *site* is a subschema with its path in the request and the references that led to it. Lowering
works on *conjunctions* of sites (``allOf``, ``$ref`` beside other keywords, the same property in
two merged schemas: a value must satisfy them all), so merging never has to invent a schema that
nobody wrote, and every refusal names the place its author can mend.

References are followed inside the schema only. The list of references that led to a site belongs to
the site: a schema that refers to itself is found when its own reference comes up again below it.
LoRAX's compiler would follow it until its process dies, and it has no form for recursion anyway.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import unquote

from lorax_proxy.errors import ProxyError

__all__ = ["Choice", "Conjunction", "Impossible", "SchemaRefused", "Site", "flatten"]

# A reference may lead to the next, each with its own keywords; nobody chains this many by hand.
_MOST_SITES: Final = 200
# It may quote a name, a value or a reference, which may have any length.
_LONGEST_REASON: Final = 400
# More alternatives or items than are ever lowered (`core.schema.lowering`).
_MOST_LISTED: Final = 500


class SchemaRefused(ProxyError):
    """A schema, or the choice of tools around it, that no grammar can be made of.

    Attributes:
        path: The place in the request, such as ``tools[0].function.parameters.properties.a``.
        reason: What is wrong there and what would do.
    """

    def __init__(self, path: str, reason: str) -> None:
        if len(reason) > _LONGEST_REASON:
            reason = f"{reason[: _LONGEST_REASON // 2]}…{reason[-_LONGEST_REASON // 2 :]}"
        super().__init__(f"{path}: {reason}" if path else reason)
        self.path = path
        self.reason = reason


class Impossible(Exception):
    """No value satisfies this conjunction.

    Inside ``anyOf`` the alternative falls away, an optional property is never written; where
    neither is at hand the schema is refused at `path`.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path)
        self.path = path
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Site:
    """A subschema and where it stands.

    Attributes:
        schema: What is written there; any JSON value, until it is looked at.
        path: The place in the request.
        references: The references that led here, outermost first.
    """

    schema: Any
    path: str
    references: tuple[str, ...] = ()

    def under(self, keyword: str, schema: Any, key: str | int | None = None) -> "Site":
        """The subschema below one of this schema's keywords."""
        path = f"{self.path}.{keyword}"
        match key:
            case int():
                path = f"{path}[{key}]"
            case str():
                path = f"{path}.{key}"
            case None:
                pass
        return replace(self, schema=schema, path=path)

    def listed(self, keyword: str) -> list["Site"]:
        """The subschemas in the list that is a keyword's value.

        Raises:
            SchemaRefused: It is no list of schemas.
        """
        members = self.schema[keyword]
        if not isinstance(members, list) or not members:
            raise SchemaRefused(f"{self.path}.{keyword}", "must be a list of at least one schema")
        if len(members) > _MOST_LISTED:
            raise SchemaRefused(f"{self.path}.{keyword}", f"more than {_MOST_LISTED} schemas")
        return [self.under(keyword, member, index) for index, member in enumerate(members)]


@dataclass(frozen=True, slots=True)
class Choice:
    """An ``anyOf`` or ``oneOf``.

    Attributes:
        alternatives: The schemas to choose from.
        exclusive: The place of a ``oneOf``, where no second one may match; else empty.
    """

    alternatives: list[Site]
    exclusive: str = ""


@dataclass(frozen=True, slots=True)
class Conjunction:
    """What remains of sites when references and ``allOf`` are resolved: all of it must hold.

    Attributes:
        sites: Schemas without ``$ref``, ``allOf``, ``anyOf`` and ``oneOf``.
        choices: One alternative of each must hold.
    """

    sites: list[Site]
    choices: list[Choice]


def flatten(sites: list[Site], root: Site, *, references_alone: bool = False) -> Conjunction:
    """Resolve references and ``allOf`` until neither is left.

    Args:
        sites: What must hold.
        root: The whole schema, which references point into.
        references_alone: Leave out what stands beside a ``$ref``, as drafts before 2019-09 do: of
            what is left every validator says that it must hold.

    Raises:
        SchemaRefused: Something is no schema, or a reference is recursive, remote or dangling.
        Impossible: One of the sites is the schema ``false``.
    """
    waiting = list(sites)
    flat: list[Site] = []
    choices: list[Choice] = []
    while waiting:
        if len(flat) > _MOST_SITES:
            raise SchemaRefused(sites[0].path, "too many references and allOf in one place")
        site = waiting.pop(0)
        if site.schema is True:
            continue
        if site.schema is False:
            raise Impossible(site.path, "no value satisfies the schema false")
        if not isinstance(site.schema, Mapping):
            raise SchemaRefused(site.path, "a schema is an object, true or false")
        rest = dict(site.schema)
        reference = rest.pop("$ref", None)
        if reference is not None:
            waiting.append(_follow(site, reference, root))
            if references_alone:
                continue
        for keyword in ("$dynamicRef", "$recursiveRef"):
            if keyword in rest:
                raise SchemaRefused(
                    f"{site.path}.{keyword}", "only $ref into the same schema is supported"
                )
        if rest.pop("allOf", None) is not None:
            waiting.extend(site.listed("allOf"))
        for keyword in ("anyOf", "oneOf"):
            if rest.pop(keyword, None) is not None:
                exclusive = f"{site.path}.oneOf" if keyword == "oneOf" else ""
                choices.append(Choice(site.listed(keyword), exclusive))
        flat.append(replace(site, schema=rest))
    return Conjunction(flat, choices)


def _follow(site: Site, reference: Any, root: Site) -> Site:
    path = f"{site.path}.$ref"
    if not isinstance(reference, str):
        raise SchemaRefused(path, "must be a string such as '#/$defs/name'")
    if reference in site.references:
        raise SchemaRefused(
            path,
            f"{reference!r} refers to itself; recursive schemas cannot be enforced: "
            "write the levels that are needed one inside the other",
        )
    if reference != "#" and not reference.startswith("#/"):
        raise SchemaRefused(
            path, f"{reference!r} is not inside this schema; use '#/$defs/name' or '#'"
        )
    found, place = root.schema, root.path
    for part in reference.split("/")[1:]:
        key = unquote(part).replace("~1", "/").replace("~0", "~")
        if isinstance(found, Mapping) and key in found:
            found, place = found[key], f"{place}.{key}"
        elif isinstance(found, list) and key.isdecimal() and len(key) < 6 and int(key) < len(found):
            found, place = found[int(key)], f"{place}[{key}]"
        else:
            raise SchemaRefused(path, f"{reference!r} does not exist: there is no {key!r}")
    return Site(found, place, (*site.references, reference))
