"""A JSON schema as LoRAX's grammar compiler understands it: one keyword decides, the rest is lost.

LoRAX hands the schema to outlines 0.1.1, which turns it into a regular expression by looking for
keywords in a fixed order and taking the first (server/lorax_server/utils/logits_process.py:532,
outlines/fsm/json_schema.py). Here the same walk gives a small tree instead, and the same faults,
whose texts reach clients as 424. Consequences that look wrong and are right:

* `properties` beats `type`; properties come in schema order; those not in `required` may be absent.
* `allOf` with several members writes them one after the other, which is not JSON.
* A nested `true` is a fault: the walk asks whether a keyword is *in* it.
* Every branch is compiled, so a fault in a branch that is never taken is still a fault.

Bounds that the grammar does not know (minimum, multipleOf, uniqueItems) are kept in the tree all the
same: a text may obey more than it must, and clients validate what they get.
"""

import json
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote

from lorax_mock.patterns import PatternError, Sampler

__all__ = [
    "ArrayOf",
    "Choice",
    "Concatenation",
    "Literal",
    "MapOf",
    "Node",
    "Number",
    "Pattern",
    "Record",
    "SchemaError",
    "Text",
    "Tuple",
    "compile_schema",
]


class SchemaError(Exception):
    """The compiler raises; the text is Python's `str` of its exception."""


@dataclass(frozen=True, slots=True)
class Literal:
    """Fixed text."""

    text: str


@dataclass(frozen=True, slots=True)
class Text:
    """A string of `low` to `high` characters."""

    low: int = 0
    high: int | None = None


@dataclass(frozen=True, slots=True)
class Pattern:
    """A string whose raw content matches."""

    sampler: Sampler


@dataclass(frozen=True, slots=True)
class Number:
    """A number; the bounds are wishes, `digits` (least and most) is grammar."""

    whole: bool
    low: float | None = None
    high: float | None = None
    step: float | None = None
    digits: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several."""

    options: "tuple[Node, ...]"


@dataclass(frozen=True, slots=True)
class Concatenation:
    """All of several, without anything between."""

    parts: "tuple[Node, ...]"


@dataclass(frozen=True, slots=True)
class Record:
    """An object of known properties: name, whether required, value."""

    properties: "tuple[tuple[str, bool, Node], ...]"


@dataclass(frozen=True, slots=True)
class MapOf:
    """An object of any names."""

    value: "Node"
    low: int
    high: int | None


@dataclass(frozen=True, slots=True)
class ArrayOf:
    """An array of alike items."""

    item: "Node"
    low: int
    high: int | None


@dataclass(frozen=True, slots=True)
class Tuple:
    """An array of given items."""

    items: "tuple[Node, ...]"


Node = Literal | Text | Pattern | Number | Choice | Concatenation | Record | MapOf | ArrayOf | Tuple

_FORMATS: Final = {
    "date-time": (
        r"(19|20)[0-9]{2}-(1[0-2]|0[1-9])-(0[1-9]|1[0-9]|2[0-8])"
        r"T(2[0-3]|[01][0-9]):([0-5][0-9]):([0-5][0-9])Z"
    ),
    "date": r"(19|20)[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])",
    "time": r"(2[0-3]|[01][0-9]):([0-5][0-9]):([0-5][0-9])Z",
    "uuid": r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
}
"""Formats that outlines knows, narrowed to what is valid in every month and with every validator."""

_DEEPEST: Final = 150
_MOST_NODES: Final = 100_000
_SCALARS: Final = ("boolean", "null", "number", "integer", "string")
_OBJECT_DEPTH: Final = 2


def compile_schema(schema: Any) -> Node:
    """The grammar of a schema; raises SchemaError with the compiler's words."""
    if isinstance(schema, (str, int, float, list)) and not isinstance(schema, bool):
        raise SchemaError(f"'{_python_name(schema)}' object has no attribute 'get'")
    return _Compiler(schema).node(schema, 0)


def _python_name(value: Any) -> str:
    return type(value).__name__


class _Compiler:
    """One schema and its references."""

    def __init__(self, root: Any) -> None:
        self._root = root
        self._nodes = 0

    def node(self, instance: Any, depth: int) -> Node:
        self._nodes += 1
        if depth > _DEEPEST or self._nodes > _MOST_NODES:
            raise SchemaError("maximum recursion depth exceeded")
        if instance is None or isinstance(instance, (bool, int, float)):
            name = _python_name(instance)
            raise SchemaError(f"argument of type '{name}' is not iterable")
        if not isinstance(instance, dict):
            raise SchemaError(_untranslatable(instance))
        return self._from_keywords(instance, depth + 1)

    def _all(self, instances: Any, depth: int) -> tuple[Node, ...]:
        return tuple(self.node(instance, depth) for instance in instances)

    def _from_keywords(self, instance: dict[str, Any], depth: int) -> Node:
        if not instance:
            return self._anything(_OBJECT_DEPTH, with_integer=True)
        if "properties" in instance:
            return self._record(instance, depth)
        if "allOf" in instance:
            return Concatenation(self._all(instance["allOf"], depth))
        for keyword in ("anyOf", "oneOf"):
            if keyword in instance:
                return Choice(self._all(instance[keyword], depth))
        if "prefixItems" in instance:
            return Tuple(self._all(instance["prefixItems"], depth))
        if "enum" in instance:
            return Choice(tuple(_constant(value, "enum") for value in instance["enum"]))
        if "const" in instance:
            return _constant(instance["const"], "const")
        if "$ref" in instance:
            return self.node(self._resolve(f"{instance['$ref']}"), depth)
        if "type" in instance:
            return self._typed(instance, depth)
        raise SchemaError(_untranslatable(instance))

    def _resolve(self, reference: str) -> Any:
        if not reference.startswith("#"):
            raise SchemaError(reference)
        found = self._root
        for part in unquote(reference[1:]).split("/")[1:]:
            key = part.replace("~1", "/").replace("~0", "~")
            try:
                found = found[int(key)] if isinstance(found, list) else found[key]
            except (KeyError, IndexError, ValueError, TypeError):
                raise SchemaError(f"{reference[1:]!r} does not exist within {self._root}") from None
        return found

    def _record(self, instance: dict[str, Any], depth: int) -> Node:
        required = instance.get("required", [])
        return Record(
            tuple(
                (name, name in required, self.node(value, depth))
                for name, value in instance["properties"].items()
            )
        )

    def _typed(self, instance: dict[str, Any], depth: int) -> Node:
        match instance["type"]:
            case "string":
                return _string(instance)
            case "number" | "integer" as kind:
                return _number(instance, whole=kind == "integer")
            case "boolean":
                return Choice((Literal("true"), Literal("false")))
            case "null":
                return Literal("null")
            case "array":
                return self._array(instance, depth)
            case "object":
                return self._object(instance, depth)
            case list() as kinds:
                # A list of types leaves objects out: the walk would not know their shape.
                return Choice(
                    tuple(self.node({"type": kind}, depth) for kind in kinds if kind != "object")
                )
            case _:
                raise SchemaError(_untranslatable(instance))

    def _array(self, instance: dict[str, Any], depth: int) -> Node:
        low, high = _counts(instance, "minItems", "maxItems")
        if "items" in instance:
            item = self.node(instance["items"], depth)
        else:
            item = self._anything(instance.get("depth", _OBJECT_DEPTH), with_integer=True)
        return ArrayOf(item, low, high)

    def _object(self, instance: dict[str, Any], depth: int) -> Node:
        low, high = _counts(instance, "minProperties", "maxProperties")
        values = instance.get("additionalProperties")
        if values is None or values is True:
            node = self._anything(instance.get("depth", _OBJECT_DEPTH), with_integer=False)
        else:
            node = self.node(values, depth)
        return MapOf(node, low, high)

    def _anything(self, depth: int, *, with_integer: bool) -> Node:
        kinds = [kind for kind in _SCALARS if with_integer or kind != "integer"]
        options = [self._typed({"type": kind}, 0) for kind in kinds]
        if depth > 0:
            inner = {"depth": depth - 1}
            options.append(self._typed({"type": "object", **inner}, 0))
            options.append(self._typed({"type": "array", **inner}, 0))
        return Choice(tuple(options))


def _untranslatable(instance: Any) -> str:
    return (
        f"Could not translate the instance {instance} to a\n"
        "    regular expression. Make sure it is valid to the JSON Schema specification. If\n"
        "    it is, please open an issue on the Outlines repository"
    )


def _constant(value: Any, keyword: str) -> Literal:
    if value is not None and not isinstance(value, (bool, int, float, str)):
        raise SchemaError(f"Unsupported data type in {keyword}: {type(value)}")
    return Literal(json.dumps(value))


def _whole(value: Any, otherwise: int) -> int:
    if value is None:
        return otherwise
    if isinstance(value, (list, dict)):
        raise SchemaError(
            "int() argument must be a string, a bytes-like object or a real number, "
            f"not '{_python_name(value)}'"
        )
    try:
        return int(value)
    except ValueError as error:
        raise SchemaError(f"{error}") from None


def _counts(instance: dict[str, Any], least: str, most: str) -> tuple[int, int | None]:
    low = _whole(instance.get(least), 0)
    high = None if instance.get(most) is None else _whole(instance[most], 0)
    return max(low, 0), None if high is None else max(high, 0)


def _string(instance: dict[str, Any]) -> Node:
    if "maxLength" in instance or "minLength" in instance:
        low = _whole(instance.get("minLength"), 0)
        high = None if "maxLength" not in instance else _whole(instance["maxLength"], 0)
        if high is not None and high < low:
            raise SchemaError(f"Invalid repetition: {{{low},{high}}}")
        return Text(low, high)
    if "pattern" in instance:
        pattern = instance["pattern"]
        if not isinstance(pattern, str) or not pattern:
            raise SchemaError("string index out of range")
        return _pattern(pattern)
    if "format" in instance:
        wanted = instance["format"]
        if wanted not in _FORMATS:
            raise SchemaError(f"Format {wanted} is not supported by Outlines")
        return _pattern(_FORMATS[wanted])
    return Text()


def _pattern(pattern: str) -> Node:
    if pattern[0] == "^" and pattern[-1] == "$":
        pattern = pattern[1:-1]
    try:
        return Pattern(Sampler(pattern))
    except PatternError as error:
        raise SchemaError(f"{error}") from None


def _number(instance: dict[str, Any], *, whole: bool) -> Node:
    suffix = "" if whole else "Integer"
    least, most = instance.get(f"minDigits{suffix}"), instance.get(f"maxDigits{suffix}")
    digits = None
    if least is not None or most is not None:
        low = _whole(least, 1)
        digits = (low, _whole(most, low + 2))
        if digits[1] < digits[0]:
            raise SchemaError("max bound must be greater than or equal to min bound")
    return Number(
        whole,
        _bound(instance, "minimum", "exclusiveMinimum", 1.0),
        _bound(instance, "maximum", "exclusiveMaximum", -1.0),
        _real(instance.get("multipleOf")),
        digits,
    )


def _real(value: Any) -> float | None:
    usable = isinstance(value, (int, float)) and not isinstance(value, bool)
    return value if usable else None


def _bound(instance: dict[str, Any], loose: str, tight: str, inward: float) -> float | None:
    """The tighter of two bounds; an exclusive one is moved inward by one step of its kind."""
    bounds: list[float] = []
    plain, exclusive = _real(instance.get(loose)), _real(instance.get(tight))
    if plain is not None:
        bounds.append(plain)
    if exclusive is not None:
        bounds.append(exclusive + inward * (1 if instance.get("type") == "integer" else 0.01))
    if not bounds:
        return None
    return max(bounds) if inward > 0 else min(bounds)
