"""Whether a value fits a schema: yes or no, by functions that are made once.

Nearly all that a check looks at fits, and `jsonschema` takes as long to say so as to say what is
wrong: for each part of each value it makes an object. So a schema is made into functions first, and
only what these refuse is shown to `jsonschema`.

They know the keywords of the packaged schemas, as draft 2020-12 means them; a schema with any other
gets no function, so that no demand is left out. jsonschema-rs does the same, and more, for 15 MB in
every installation; fastjsonschema reads draft 7.
"""

from collections.abc import Callable, Mapping
from types import NoneType
from typing import Any

__all__ = ["Fits", "fitting"]

Fits = Callable[[Any], bool]
"""Whether a decoded JSON value fits."""

# `format` and the like demand nothing unless somebody asks for it; `$defs` is read through `$ref`.
_NOTES = frozenset(
    {"$comment", "$defs", "contentEncoding", "default", "deprecated", "description"}
    | {"examples", "format", "title"}
)
_ROOT = frozenset({"$id", "$schema"})
_DRAFT = "https://json-schema.org/draft/2020-12/schema"
_DEFINITION = "#/$defs/"
_OBJECT = frozenset({"required", "properties", "additionalProperties"})
_CLASSES: Mapping[str, frozenset[type]] = {
    "array": frozenset({list}),
    "boolean": frozenset({bool}),
    "integer": frozenset({int}),
    "null": frozenset({NoneType}),
    "number": frozenset({int, float}),
    "object": frozenset({dict}),
    "string": frozenset({str}),
}


class _UnknownError(Exception):
    """A keyword, or a form of one, that no function is made for."""


def fitting(schema: Mapping[str, Any]) -> Fits | None:
    """A function that tells whether a value fits the schema, which is known to be one.

    None when the schema says what no function is made for.
    """
    if schema.get("$schema", _DRAFT) != _DRAFT:
        return None
    try:
        return _Maker(schema).make({key: part for key, part in schema.items() if key not in _ROOT})
    except _UnknownError:
        return None


def _anything(_: Any) -> bool:
    return True


def _nothing(_: Any) -> bool:
    return False


class _Maker:
    """Makes the functions of one schema."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._definitions: dict[str, Fits] = {}

    def make(self, schema: Any) -> Fits:
        if isinstance(schema, bool):
            return _anything if schema else _nothing
        parts = [
            self._part(keyword, wanted)
            for keyword, wanted in schema.items()
            if keyword not in _NOTES | _OBJECT
        ]
        if not _OBJECT.isdisjoint(schema):
            parts.append(self._object(schema))
        if len(parts) == 1:
            return parts[0]
        return _all(parts)

    def _part(self, keyword: str, wanted: Any) -> Fits:
        numbers = _CLASSES["number"]
        match keyword:
            case "type":
                return _typed([wanted] if isinstance(wanted, str) else wanted)
            case "enum":
                return _listed(wanted)
            case "minimum":
                return lambda value: type(value) not in numbers or not value < wanted
            case "maximum":
                return lambda value: type(value) not in numbers or not value > wanted
            case "maxLength":
                return lambda value: type(value) is not str or len(value) <= wanted
            case "minItems":
                return lambda value: type(value) is not list or len(value) >= wanted
            case "maxItems":
                return lambda value: type(value) is not list or len(value) <= wanted
            case "items":
                item = self.make(wanted)
                return lambda value: type(value) is not list or all(map(item, value))
            case "allOf":
                return _all([self.make(branch) for branch in wanted])
            case "anyOf":
                branches = [self.make(branch) for branch in wanted]
                return lambda value: any(fits(value) for fits in branches)
            case "oneOf":
                rivals = [self.make(branch) for branch in wanted]
                return lambda value: sum(fits(value) for fits in rivals) == 1
            case "$ref":
                return self._definition(wanted)
            case _:
                raise _UnknownError(keyword)

    def _definition(self, ref: str) -> Fits:
        """By name when it is called: a definition may hold itself."""
        name = ref.removeprefix(_DEFINITION)
        parts = self._root.get("$defs", {})
        # Other names may be spelled with escapes.
        if name == ref or name not in parts or not name.isidentifier():
            raise _UnknownError(ref)
        definitions = self._definitions
        if name not in definitions:
            definitions[name] = _nothing
            definitions[name] = self.make(parts[name])
        return lambda value: definitions[name](value)  # noqa: PLW0108 - it may not be made yet

    def _object(self, schema: Mapping[str, Any]) -> Fits:
        required = tuple(schema.get("required", ()))
        known = {key: self.make(part) for key, part in schema.get("properties", {}).items()}
        other = self.make(schema.get("additionalProperties", True))

        def fits(value: Any) -> bool:
            if type(value) is not dict:
                return True
            for key in required:
                if key not in value:
                    return False
            return all(known.get(key, other)(part) for key, part in value.items())

        return fits


def _all(parts: list[Fits]) -> Fits:
    return lambda value: all(fits(value) for fits in parts)


def _typed(kinds: list[str]) -> Fits:
    classes = frozenset[type]().union(*(_CLASSES[kind] for kind in kinds))
    if "integer" in kinds:
        # JSON knows one kind of number: 1.0 is whole.
        return lambda value: type(value) in classes or (type(value) is float and value.is_integer())
    return lambda value: type(value) in classes


def _listed(values: list[Any]) -> Fits:
    # What else may be listed is not alike in Python and JSON: 1 is true, and 1.0 is 1.
    if not all(one is None or isinstance(one, str) for one in values):
        raise _UnknownError("enum")
    listed = frozenset(values)
    return lambda value: type(value) in {str, NoneType} and value in listed
