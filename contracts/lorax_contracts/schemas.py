"""Validation against the packaged schemas, with findings that a person can act on.

`jsonschema` reports the failure of an `anyOf` as one opaque sentence; what helps is the branch that
came closest, so each error is followed down to its deepest leaf. Key order, which JSON Schema
cannot say, is the order of a schema's `properties` and is judged by `misordered`.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from lorax_contracts import loader
from lorax_contracts.fitting import Fits, fitting

__all__ = ["Misfit", "misordered", "pointer", "validate", "validate_against"]

_SHOWN = 120


@dataclass(frozen=True, slots=True)
class Misfit:
    """One place where a value does not fit.

    Attributes:
        at: JSON pointer to it, "" for the whole value.
        rule: the schema keyword that failed (`type`, `required`, ...).
        message: what is wrong, in one line.
        seen: the value that does not fit; for a missing key the object that lacks it.
    """

    at: str
    rule: str
    message: str
    seen: Any = field(default=None, compare=False)


def pointer(path: "Mapping[Any, Any] | list[Any] | tuple[Any, ...]") -> str:
    """A JSON pointer (RFC 6901) of these keys and indexes."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


@dataclass(frozen=True, slots=True)
class _Schema:
    """A schema as both its readers have it: one says whether, the other why not."""

    fits: Fits | None
    validator: Draft202012Validator

    def misfits(self, value: Any) -> list[Misfit]:
        if self.fits is not None and self.fits(value):
            return []
        return _misfits(self.validator, value)


@cache
def _packaged(name: str) -> _Schema:
    schema = loader.schema(name)
    return _Schema(fitting(schema), Draft202012Validator(schema))


# One run's requests bring a few, with nearly every one of many replies.
@lru_cache(maxsize=64)
def _brought(text: str) -> _Schema:
    schema = json.loads(text)
    Draft202012Validator.check_schema(schema)
    return _Schema(fitting(schema), Draft202012Validator(schema))


def _failed(errors: list[ValidationError], branch: Any) -> list[ValidationError]:
    return [one for one in errors if one.schema_path and one.schema_path[0] == branch]


def _leaves(error: ValidationError) -> Iterator[ValidationError]:
    """The errors that help: inside a union, all of the branch that was meant.

    A union's own message only says that nothing fitted. The branch that was meant is one of the
    value's type, and of those the one with the fewest errors; "is not null" is what every optional
    part's other branch says.
    """
    if not error.context:
        yield error
        return
    errors = list(error.context)
    branches = [_failed(errors, at) for at in dict.fromkeys(one.schema_path[0] for one in errors)]
    typed = [
        branch
        for branch in branches
        if not any(one.validator == "type" and not one.path for one in branch)
    ]
    for one in min(typed or branches, key=len):
        yield from _leaves(one)


_KINDS = {
    "array": "a list",
    "boolean": "true or false",
    "integer": "a whole number",
    "null": "null",
    "number": "a number",
    "object": "an object",
    "string": "a string",
}


def _json(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN // 2 else f"{text[: _SHOWN // 2]}..."


def _words(error: ValidationError) -> str:
    """What is wrong, in JSON's own words: `null`, not `None`."""
    wanted: Any = error.validator_value
    match error.validator:
        case "type":
            kinds = [wanted] if isinstance(wanted, str) else list(wanted)
            named = " or ".join(_KINDS.get(str(kind), str(kind)) for kind in kinds)
            return f"{_json(error.instance)} is not {named}"
        case "enum" | "const":
            listed = wanted if error.validator == "enum" else [wanted]
            return f"{_json(error.instance)} is none of {', '.join(map(_json, listed))}"
        case "anyOf" | "oneOf":
            return f"{_json(error.instance)} has none of the published forms"
        case _:
            return error.message


def _says_more(other: ValidationError, error: ValidationError) -> bool:
    """Whether another error of the same value lists what it may be; its type is told by that."""
    return other.validator in {"enum", "const"} and other.absolute_path == error.absolute_path


def _misfits(validator: Draft202012Validator, value: Any) -> list[Misfit]:
    found: list[Misfit] = []
    errors = sorted(validator.iter_errors(value), key=lambda e: [str(p) for p in e.path])
    for leaf in (leaf for error in errors for leaf in _leaves(error)):
        at = list(leaf.absolute_path)
        rule = str(leaf.validator)
        if rule == "required" and isinstance(leaf.instance, Mapping):
            # One misfit for each missing key, pointed at the key: laws are chosen by place.
            wanted = leaf.validator_value if isinstance(leaf.validator_value, list) else []
            missing = next((k for k in wanted if f"{k!r} is a required" in leaf.message), None)
            if missing is not None:
                found.append(
                    Misfit(pointer([*at, missing]), rule, f"{missing} is missing", leaf.instance)
                )
                continue
        if rule == "type" and any(_says_more(one, leaf) for one in errors):
            continue
        message = _words(leaf)
        message = message if len(message) <= _SHOWN else message[:_SHOWN] + "..."
        found.append(Misfit(pointer(at), rule, message, leaf.instance))
    return found


def validate(name: str, value: Any) -> list[Misfit]:
    """Where the decoded JSON `value` does not fit the schema `name`; empty when it fits.

    Raises:
        UnknownName: no schema is called so.
    """
    return _packaged(name).misfits(value)


def validate_against(schema: Any, value: Any) -> list[Misfit]:
    """The same for a schema that a request brought along.

    Raises:
        jsonschema.SchemaError: it is no JSON Schema.
    """
    return _brought(json.dumps(schema)).misfits(value)


def misordered(name: str, value: Any) -> list[str]:
    """Pointers to objects in `value` whose keys come in another order than `name` lists them.

    Keys that the schema does not list are left out of account: `validate` has them.
    """
    root = loader.schema(name)
    wrong: list[str] = []

    def resolve(schema: Any) -> Any:
        while isinstance(schema, Mapping) and "$ref" in schema:
            schema = root["$defs"][str(schema["$ref"]).rsplit("/", 1)[1]]
        if isinstance(schema, Mapping) and "anyOf" in schema:
            inner = [s for s in schema["anyOf"] if s != {"type": "null"}]
            return resolve(inner[0])
        return schema

    def walk(schema: Any, part: Any, path: list[Any]) -> None:
        schema = resolve(schema)
        if isinstance(part, Mapping) and isinstance(schema, Mapping) and "properties" in schema:
            order = list(schema["properties"])
            known = [key for key in part if key in schema["properties"]]
            if known != sorted(known, key=order.index):
                wrong.append(pointer(path))
            for key in known:
                walk(schema["properties"][key], part[key], [*path, key])
        elif isinstance(part, list) and isinstance(schema, Mapping) and "items" in schema:
            for index, item in enumerate(part):
                walk(schema["items"], item, [*path, index])

    walk(root, value, [])
    return wrong
