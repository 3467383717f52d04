"""The forms that lowered schemas are built from: the only ones that LoRAX's compiler is ever sent.

What is notable about the compiler (outlines 0.1.1, outlines/fsm/json_schema.py) stands beside the
form that answers it; later ones, whose speller is in outlines-core, read every form alike. Every
form is also true as plain JSON schema: no value that it lets a
model write is one that a validator would refuse, escapes in patterns apart (`core.schema.strings`).
"""

from collections.abc import Mapping
from typing import Any, Final

from lorax_proxy.core.schema.patterns import literal
from lorax_proxy.core.schema.strings import Spelling, free

__all__ = [
    "FREE_OBJECT",
    "JSON_OBJECT",
    "any_of",
    "any_value",
    "closed_object",
    "constants",
    "empty_array",
    "tuple_of",
]


def any_value(nesting: int, spelling: Spelling = Spelling.SHORT) -> dict[str, Any]:
    """Any JSON value, with so many levels of arrays and objects.

    The compiler doubles what an array or object holds, so each level costs four times the last.
    """
    alternatives: list[dict[str, Any]] = [
        {"type": "string", "pattern": free(spelling)},
        {"type": "number"},
        {"type": "boolean"},
        {"type": "null"},
    ]
    if nesting:
        inner = any_value(nesting - 1, spelling)
        alternatives += [
            {"type": "array", "items": inner},
            {"type": "object", "additionalProperties": inner},
        ]
    return {"anyOf": alternatives}


# Any JSON object with three levels of nesting, its own included: what `{"type": "object"}` alone
# gives with LoRAX's compiler (at the same cost), but with strings that may hold line breaks.
JSON_OBJECT: Final[Mapping[str, Any]] = {
    "type": "object",
    "additionalProperties": any_value(2),
}
# The same with one level less, for places that are compiled more than once.
FREE_OBJECT: Final[Mapping[str, Any]] = {
    "type": "object",
    "additionalProperties": any_value(1),
}


def empty_array() -> dict[str, Any]:
    """An array without items."""
    return {"type": "array", "maxItems": 0}


def closed_object(lowered: dict[str, Any], required: list[str]) -> dict[str, Any]:
    """An object with these properties and no others.

    Where all properties are optional, the compiler writes their names without escaping them: `$id`
    ends the whole batch, `a.b` admits a quote in place of its dot. And it spells each property as
    the last that is there with all others around it, optional again, and its automaton follows all
    of these rows at once (3.5 s for eight strings). One alternative for each first property says
    the same in half the space, and its first name tells the alternatives apart.
    """
    if required or not lowered:
        return _object_with(lowered, required)
    names = list(lowered)
    return {
        "anyOf": [
            *(
                _object_with({name: lowered[name] for name in names[first:]}, [names[first]])
                for first in range(len(names))
            ),
            _object_with({}, []),
        ]
    }


def _object_with(lowered: dict[str, Any], required: list[str]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": lowered,
        "required": required,
        "additionalProperties": False,
    }


def constants(values: list[Any]) -> dict[str, Any]:
    r"""One of these scalars.

    The compiler writes what is not ASCII as ``\u`` escapes, and a model that must tell words apart by
    their code points is lost; later compilers write it as it is. A pattern says the latter to all.
    """
    plain = [value for value in values if not isinstance(value, str) or _is_plain(value)]
    others = [value for value in values if isinstance(value, str) and not _is_plain(value)]
    results: list[dict[str, Any]] = [{"enum": plain}] if plain else []
    if others:
        results.append({"type": "string", "pattern": f"^(?:{'|'.join(map(literal, others))})$"})
    return any_of(results)


def _is_plain(text: str) -> bool:
    return text.isascii() and "\x7f" not in text


def tuple_of(members: list[dict[str, Any]]) -> dict[str, Any]:
    """An array of exactly these; the compiler writes all of them, whatever else is said."""
    if not members:
        return empty_array()
    return {"type": "array", "prefixItems": members, "items": False, "minItems": len(members)}


def any_of(results: list[dict[str, Any]]) -> dict[str, Any]:
    """One of these, each once, without an `anyOf` directly inside another."""
    flat: list[dict[str, Any]] = []
    for result in results:
        for alternative in result["anyOf"] if set(result) == {"anyOf"} else [result]:
            if alternative not in flat:
                flat.append(alternative)
    return flat[0] if len(flat) == 1 else {"anyOf": flat}
