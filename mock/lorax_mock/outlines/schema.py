"""The grammar that LoRAX's compiler makes of a JSON schema: one keyword decides, the others are ignored.

LoRAX's image installs outlines 0.1.1 (server/requirements.txt:88, Dockerfile:229). Its own Python spells
the schema as a regular expression, looking for keywords in a fixed order and taking the first
(server/lorax_server/utils/logits_process.py:571, outlines/fsm/json_schema.py); interegular parses that,
and outlines-core 0.1.14 makes it an automaton over tokens. Here the same walk gives a small tree
instead, and the same faults, whose texts reach clients as 424: the walk's come before the parser's,
and those before the automaton's. Consequences that look wrong and are right:

* `properties` beats `type`; properties come in schema order; those not in `required` may be absent.
* With nothing required the names are not escaped: they are patterns, and `$` in one is a fault.
* `{}` and a pattern's `|` are alternations without parentheses, so they take in what stands beside
  them: a required property of the schema `{}` gives `{"a": true` or a bare `null` (see `grammar.join`).
* `allOf` with several members writes them one after the other, which is not JSON.
* An array without `items` is never empty; more `minItems` than `maxItems` is a fault of the automaton.
* A nested `true` is a fault: the walk asks whether a keyword is *in* it.
* Every branch is compiled, so a fault in a branch that is never taken is still a fault.

Bounds that the grammar does not know (minimum, multipleOf, uniqueItems) are kept in the tree all the
same: a text may obey more than it must, and clients validate what they get.
"""

import contextlib
import json
import re
from typing import Any, Final

from lorax_mock.outlines.grammar import (
    ArrayOf,
    Literal,
    MapOf,
    Node,
    Number,
    OneOf,
    Open,
    Pattern,
    Record,
    Spelled,
    Text,
    any_of,
    closed,
    join,
    map_of_open,
    pruned,
    record_of_open,
    separated,
)
from lorax_mock.outlines.patterns import MOST_STATES, NOTHING, alternatives, too_large
from lorax_mock.outlines.regex import PatternError

__all__ = ["SchemaError", "compile_schema"]


class SchemaError(Exception):
    """The compiler raises; the text is Python's `str` of its exception."""


_KEYWORDS: Final = (
    "properties",
    "allOf",
    "anyOf",
    "oneOf",
    "prefixItems",
    "enum",
    "const",
    "$ref",
    "type",
)
"""In the order of the walk."""

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
_TOO_DEEP: Final = "maximum recursion depth exceeded while calling a Python object"
"""Where exactly Python notices varies, and with it the end of the text."""

_SCALARS_OF_MAPS: Final = ("string", "number", "boolean", "null")
_SCALARS: Final = ("boolean", "null", "number", "integer", "string")
_OBJECT_DEPTH: Final = 2
_DIGIT_KEYWORDS: Final = ("Integer", "Fraction", "Exponent")
_EMPTY_ARRAY: Final = Literal("[]")
_EMPTY_OBJECT: Final = Literal("{}")
_NAME_IS_TEXT: Final = re.compile(r"[^\\.^$*+?{}\[\]()|]*")
_BOUNDS: Final = re.compile(r"[0-9]*,[0-9]*", re.ASCII)


def compile_schema(schema: Any) -> Node:
    """The grammar of a schema; raises SchemaError with the compiler's words."""
    if isinstance(schema, (str, int, float, list)) and not isinstance(schema, bool):
        raise SchemaError(f"'{_python_name(schema)}' object has no attribute 'get'")
    compiler = _Compiler(schema)
    try:
        node = closed(compiler.node(schema, 0))
    except RecursionError:
        raise SchemaError(_TOO_DEEP) from None
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        # The walk stumbled over a value of the wrong type, as Python's own words tell.
        raise SchemaError(f"{error}") from None
    for faults in (compiler.unreadable, compiler.impossible):
        if faults:
            raise SchemaError(faults[0])
    possible = pruned(node)
    if possible is None:
        raise SchemaError(NOTHING)
    return possible


def _python_name(value: Any) -> str:
    return type(value).__name__


class _Compiler:
    """One schema and its references."""

    def __init__(self, root: Any) -> None:
        self._root = root
        self._nodes = 0
        self._resolver: Any = None
        self.unreadable: list[str] = []
        """Faults that the parser of the expression finds, once all of it is spelled."""

        self.impossible: list[str] = []
        """Faults of the automaton, once all of it is parsed."""

        self._resolve_start()

    def _resolve_start(self) -> None:
        if isinstance(self._root, dict) and not isinstance(self._root.get("$id", ""), str):
            name = _python_name(self._root["$id"])
            if name != "NoneType":
                raise SchemaError(f"'{name}' object has no attribute 'rstrip'")

    def node(self, instance: Any, depth: int) -> Spelled:
        self._nodes += 1
        if depth > _DEEPEST or self._nodes > _MOST_NODES:
            raise SchemaError(_TOO_DEEP)
        if isinstance(instance, dict):
            return self._from_keywords(instance, depth + 1)
        if not isinstance(instance, (str, list)):
            name = _python_name(instance)
            raise SchemaError(f"argument of type '{name}' is not iterable")
        if any(keyword in instance for keyword in _KEYWORDS):
            if isinstance(instance, str):
                raise SchemaError("string indices must be integers")
            raise SchemaError("list indices must be integers or slices, not str")
        raise SchemaError(_untranslatable(instance))

    def _all(self, instances: Any, depth: int) -> list[Spelled]:
        return [self.node(instance, depth) for instance in instances]

    def _from_keywords(self, instance: dict[str, Any], depth: int) -> Spelled:
        if not instance:
            kinds = (*_SCALARS, "array", "object")
            return Open(tuple(closed(self._typed({"type": kind}, depth)) for kind in kinds))
        if "properties" in instance:
            return self._record(instance, depth)
        if "allOf" in instance:
            return closed(join(Literal(""), *self._all(instance["allOf"], depth)))
        for keyword in ("anyOf", "oneOf"):
            if keyword in instance:
                return any_of(self._all(instance[keyword], depth))
        if "prefixItems" in instance:
            return separated("[", self._all(instance["prefixItems"], depth), "]")
        if "enum" in instance:
            return any_of(_constant(value, "enum") for value in instance["enum"])
        if "const" in instance:
            return _constant(instance["const"], "const")
        if "$ref" in instance:
            return self.node(self._resolve(f"{instance['$ref']}"), depth)
        if "type" in instance:
            return self._typed(instance, depth)
        raise SchemaError(_untranslatable(instance))

    def _resolve(self, reference: str) -> Any:
        # Imported here: most runs never see a schema, and start-up is counted in milliseconds.
        from referencing import Registry  # noqa: PLC0415 - see above
        from referencing.exceptions import Unresolvable  # noqa: PLC0415 - see above
        from referencing.jsonschema import DRAFT202012  # noqa: PLC0415 - see above

        if self._resolver is None:
            resource = DRAFT202012.create_resource(self._root)
            # The resolver starts at "", so `$id` hides the schema from its own references.
            self._resolver = Registry().with_resource(resource.id() or "", resource).resolver()
        try:
            return self._resolver.lookup(reference).contents
        except Unresolvable as error:
            raise SchemaError(f"{error}") from None

    def _record(self, instance: dict[str, Any], depth: int) -> Spelled:
        properties = instance["properties"]
        required = instance.get("required", [])
        needed = [name in required for name in properties]
        spelled = [
            join(
                Literal(f'"{name}"') if any(needed) else self._name(name),
                Literal(": "),
                self.node(value, depth),
            )
            for name, value in properties.items()
        ]
        members = [one for one in spelled if not isinstance(one, Open)]
        if len(members) == len(spelled):
            return Record(tuple(zip(needed, members, strict=True)))
        return record_of_open(needed, spelled)

    def _name(self, name: str) -> Spelled:
        """An unescaped name: a pattern."""
        written = f'"{name}"'
        return (
            Literal(written) if _NAME_IS_TEXT.fullmatch(name) else self._pattern(written, written)
        )

    def _pattern(self, pattern: str, like: str | None = None) -> Spelled:
        """A pattern and its quotes, as what it is outside all parentheses."""
        try:
            samplers = alternatives(pattern)
            for sampler in samplers:
                sampler.check()
        except PatternError as error:
            (self.impossible if error.late else self.unreadable).append(f"{error}")
            return Literal("")
        options = tuple(Pattern(sampler, like) for sampler in samplers)
        return options[0] if len(options) == 1 else Open(options)

    def _typed(self, instance: dict[str, Any], depth: int) -> Spelled:
        match instance["type"]:
            case "string":
                return self._string(instance)
            case "number":
                return self._number(instance)
            case "integer":
                return self._integer(instance)
            case "boolean":
                return OneOf((Literal("true"), Literal("false")))
            case "null":
                return Literal("null")
            case "array":
                return self._array(instance, depth)
            case "object":
                return self._object(instance, depth)
            case list() as kinds:
                # A list of types leaves objects out: the walk would not know their shape.
                return any_of(
                    self.node({"type": kind}, depth) for kind in kinds if kind != "object"
                )
            case _:
                raise SchemaError(_untranslatable(instance))

    def _string(self, instance: dict[str, Any]) -> Spelled:
        if "maxLength" in instance or "minLength" in instance:
            least, most = instance.get("minLength", ""), instance.get("maxLength", "")
            low, high = self._bounds(least, most)
            return Text(low, high)
        if "pattern" in instance:
            pattern = instance["pattern"]
            if pattern[0] == "^" and pattern[-1] == "$":
                pattern = pattern[1:-1]
            return closed(self._pattern(f'"{pattern}"'))
        if "format" in instance:
            wanted = instance["format"]
            if not isinstance(wanted, str) or wanted not in _FORMATS:
                raise SchemaError(f"Format {wanted} is not supported by Outlines")
            return self._pattern(f'"{_FORMATS[wanted]}"')
        return Text()

    def _bounds(self, least: Any, most: Any) -> tuple[int, int | None]:
        """`{least,most}` as it stands in the expression, whatever the two are."""
        # A value of a wrong type is a TypeError; a text that is no number stays to be looked at below.
        with contextlib.suppress(ValueError):
            _ = int(most), int(least)
        if not _BOUNDS.fullmatch(f"{least},{most}"):
            self.unreadable.append("")
            return 0, None
        low, high = int(least or 0), None if most == "" else int(most)
        self._check_range(low, high)
        return low, high

    def _check_range(self, low: int, high: int | None) -> None:
        if low > MOST_STATES:
            self.impossible.append(too_large(low))
        if high is not None and high < low:
            self.impossible.append(f"Can't multiply an FSM by {high - low}")

    def _digits(
        self, instance: dict[str, Any], part: str, start: int
    ) -> tuple[int, int | None] | None:
        """How many digits `minDigits` and `maxDigits` of a part allow; None when they say nothing."""
        least, most = instance.get(f"minDigits{part}"), instance.get(f"maxDigits{part}")
        low = None if least is None else int(least) - start
        high = None if most is None else int(most) - start
        if low is None and high is None:
            return None
        if low is not None and high is not None and high < low:
            raise SchemaError("max bound must be greater than or equal to min bound")
        if min(low or 0, high or 0) < 0:
            self.unreadable.append("")  # a minus sign inside braces
            return None
        self._check_range(low or 0, high)
        return (low or 0) + start, None if high is None else high + start

    def _integer(self, instance: dict[str, Any]) -> Node:
        return _wished(instance, whole=True, digits=self._digits(instance, "", 1))

    def _number(self, instance: dict[str, Any]) -> Node:
        digits, fraction, _ = (
            self._digits(instance, part, 1 if part == "Integer" else 0) for part in _DIGIT_KEYWORDS
        )
        return _wished(instance, whole=False, digits=digits, fraction=fraction)

    def _array(self, instance: dict[str, Any], depth: int) -> Node:
        counts = self._counts(instance, "minItems", "maxItems")
        if counts is None:
            return _EMPTY_ARRAY
        low, high = counts
        if "items" in instance:
            return ArrayOf(closed(self.node(instance["items"], depth)), low, high)
        # The `?` that should allow none stands behind a repetition, where it means "lazy".
        inner = self._inner(instance, _SCALARS, depth)
        return ArrayOf(inner, max(low, 1), high)

    def _object(self, instance: dict[str, Any], depth: int) -> Node:
        counts = self._counts(instance, "minProperties", "maxProperties")
        if counts is None:
            return _EMPTY_OBJECT
        low, high = counts
        values = instance.get("additionalProperties")
        if values is None or values is True:
            return MapOf(self._inner(instance, _SCALARS_OF_MAPS, depth), low, high)
        value = self.node(values, depth)
        if isinstance(value, Open):
            return map_of_open(value, low, high)
        return MapOf(value, low, high)

    def _counts(
        self, instance: dict[str, Any], least: str, most: str
    ) -> tuple[int, int | None] | None:
        """Least and most; None when the expression leaves room for none at all."""
        low = int(instance.get(least) or 0)
        high = None if instance.get(most) is None else int(instance[most])
        if high is not None and high < 1:
            return None
        # None is refused here and was welcome above; a negative one takes the emptiness away.
        if int(instance.get(least, 0)) != 0:
            low = max(low, 1)
        self._check_range(max(low - 1, 0), None if high is None else high - 1)
        return low, high

    def _inner(self, instance: dict[str, Any], scalars: tuple[str, ...], depth: int) -> Node:
        """Any scalar, and objects and arrays down to a depth."""
        left = instance.get("depth", _OBJECT_DEPTH)
        kinds: list[dict[str, Any]] = [{"type": kind} for kind in scalars]
        if left > 0:
            kinds += [{"type": kind, "depth": left - 1} for kind in ("object", "array")]
        return any_of(self.node(kind, depth) for kind in kinds)


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


def _wished(
    instance: dict[str, Any],
    *,
    whole: bool,
    digits: tuple[int, int | None] | None,
    fraction: tuple[int, int | None] | None = None,
) -> Number:
    """A number that also keeps the bounds that the grammar does not know."""
    return Number(
        whole,
        _bound(instance, "minimum", "exclusiveMinimum", 1.0),
        _bound(instance, "maximum", "exclusiveMaximum", -1.0),
        _real(instance.get("multipleOf")),
        digits,
        fraction,
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
