"""`lorax_proxy.core.schema.lowered`: what a client's schema becomes, and what is refused or dropped."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorax_proxy.core.schema.cost import compile_cost
from lorax_proxy.core.schema.forms import any_value
from lorax_proxy.core.schema.lowered import (
    JSON_OBJECT,
    LEVELS,
    MOST,
    Effort,
    SchemaRefused,
    lower,
    lower_at,
)
from lorax_proxy.core.schema.strings import FORMATS, Spelling, counted, free

FREE = {"type": "string", "pattern": free(Spelling.FULL)}
NULL = {"type": "null"}
INTEGER = {"type": "integer"}


def lowered(schema: Any, *, strict: bool = True) -> Any:
    """The lowered schema."""
    return lower(schema, path="s", strict=strict).schema


def closed(properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    """The form of an object."""
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


# schema -> what it becomes
FORMS: list[tuple[Any, Any]] = [
    ({"type": "string"}, FREE),
    ({"type": "string", "title": "T", "description": "D", "default": "x"}, FREE),
    ({"type": "boolean"}, {"type": "boolean"}),
    ({"type": "number"}, {"type": "number"}),
    ({"type": ["string", "null"]}, {"anyOf": [FREE, NULL]}),
    ({"type": ["integer", "number"]}, {"type": "number"}),
    ({"type": "integer", "nullable": True}, {"anyOf": [INTEGER, NULL]}),
    ({"type": "number", "multipleOf": 1}, INTEGER),
    ({"type": "integer", "minimum": 1, "maximum": 3}, {"enum": [1, 2, 3]}),
    (
        {"type": "integer", "exclusiveMinimum": 0, "exclusiveMaximum": 11, "multipleOf": 5},
        {"enum": [5, 10]},
    ),
    ({"enum": ["a", 1, None]}, {"enum": ["a", 1, None]}),
    ({"type": "string", "enum": ["a", 1]}, {"enum": ["a"]}),
    ({"const": True}, {"enum": [True]}),
    ({"const": "é"}, {"type": "string", "pattern": "^(?:é)$"}),
    (
        {"enum": ["a", "中文\n", 1, "\x7f|"]},
        {
            "anyOf": [
                {"enum": ["a", 1]},
                {"type": "string", "pattern": r"^(?:中文\x5Cn|\x7F\x7C)$"},
            ]
        },
    ),
    ({"enum": ["a", "bb"], "minLength": 2}, {"enum": ["bb"]}),
    ({"enum": [1, "a"], "minLength": 1}, {"enum": [1, "a"]}),
    (
        {"const": {"a": [1, 2]}, "properties": {"a": {"items": {"enum": [2, 1]}}}},
        closed(
            {
                "a": {
                    "type": "array",
                    "prefixItems": [{"enum": [1]}, {"enum": [2]}],
                    "items": False,
                    "minItems": 2,
                }
            },
            ["a"],
        ),
    ),
    (
        {"enum": [{"a": 1}, {"a": "x"}], "required": ["a"], "additionalProperties": INTEGER},
        closed({"a": {"enum": [1]}}, ["a"]),
    ),
    (
        {"enum": [[1, 1], [1, 2.0], {}], "uniqueItems": True, "required": ["a"]},
        {
            "type": "array",
            "prefixItems": [{"enum": [1]}, {"enum": [2.0]}],
            "items": False,
            "minItems": 2,
        },
    ),
    (
        {
            "properties": {"xa": {}, "a": {"type": "null"}},
            "patternProperties": {"^x": {"type": "integer"}},
            "required": ["xa", "a"],
        },
        closed({"xa": INTEGER, "a": NULL}, ["xa", "a"]),
    ),
    ({"type": "object", "unevaluatedProperties": False}, closed({}, [])),
    ({"type": "array", "unevaluatedItems": False}, {"type": "array", "maxItems": 0}),
    (
        {"const": {"é": "é"}},
        closed({"é": {"type": "string", "pattern": "^(?:é)$"}}, ["é"]),
    ),
    ({"enum": [1, True]}, {"enum": [1, True]}),
    ({"const": {"a": 1}}, closed({"a": {"enum": [1]}}, ["a"])),
    (
        {"const": [1, []]},
        {
            "type": "array",
            "prefixItems": [{"enum": [1]}, {"type": "array", "maxItems": 0}],
            "items": False,
            "minItems": 2,
        },
    ),
    ({}, any_value(1)),
    (True, any_value(1)),
    ({"type": "object"}, {"type": "object", "additionalProperties": any_value(1)}),
    (
        {"type": "object", "additionalProperties": {"type": "integer"}},
        {"type": "object", "additionalProperties": INTEGER},
    ),
    (
        {"type": "object", "additionalProperties": {"type": "integer"}, "minProperties": 1},
        {"type": "object", "additionalProperties": INTEGER, "minProperties": 1},
    ),
    ({"type": "object", "additionalProperties": False}, closed({}, [])),
    ({"type": "object", "maxProperties": 0}, closed({}, [])),
    ({"type": "object", "properties": {}}, closed({}, [])),
    (
        {"properties": {"a": {"type": "integer"}}},
        {"anyOf": [closed({"a": INTEGER}, ["a"]), closed({}, [])]},
    ),
    (
        {"type": "object", "properties": {"b": {"type": "null"}, "a": {"type": "integer"}}},
        {
            "anyOf": [
                closed({"b": NULL, "a": INTEGER}, ["b"]),
                closed({"a": INTEGER}, ["a"]),
                closed({}, []),
            ]
        },
    ),
    (
        {"type": "object", "properties": {"a": {"type": "null"}}, "required": ["z", "a"]},
        closed({"a": NULL, "z": any_value(1)}, ["a", "z"]),
    ),
    (
        {"properties": {"a": False, "b": {"type": "null"}}, "required": ["b"]},
        closed({"b": NULL}, ["b"]),
    ),
    (
        {"type": "array", "items": {"type": "null"}, "minItems": 1, "maxItems": 3},
        {"type": "array", "items": NULL, "minItems": 1, "maxItems": 3},
    ),
    ({"type": "array", "items": False}, {"type": "array", "maxItems": 0}),
    ({"type": "array"}, {"type": "array", "items": any_value(1)}),
    (
        {"prefixItems": [{"type": "null"}], "items": {"type": "integer"}, "minItems": 2},
        {"type": "array", "prefixItems": [NULL, INTEGER], "items": False, "minItems": 2},
    ),
    (
        {"type": "array", "items": [{"type": "null"}], "additionalItems": False},
        {"type": "array", "prefixItems": [NULL], "items": False, "minItems": 1},
    ),
    ({"anyOf": [{"type": "null"}, {"type": "integer"}]}, {"anyOf": [NULL, INTEGER]}),
    ({"oneOf": [{"type": "null"}, False]}, NULL),
    ({"anyOf": [False, {"type": "null"}]}, NULL),
    ({"allOf": [{"type": "integer"}], "description": "D"}, INTEGER),
    (
        {
            "allOf": [{"properties": {"a": {}}}, {"properties": {"a": {"type": "null"}}}],
            "required": ["a"],
        },
        closed({"a": NULL}, ["a"]),
    ),
    (
        {
            "type": "object",
            "properties": {"a": {"type": "null"}, "b": {"type": "integer"}},
            "anyOf": [{"required": ["a"]}, {"required": ["b"]}],
        },
        {
            "anyOf": [
                closed({"a": NULL, "b": INTEGER}, ["a"]),
                closed({"a": NULL, "b": INTEGER}, ["b"]),
            ]
        },
    ),
    (
        {"$ref": "#/$defs/x~1y", "$defs": {"x/y": {"$ref": "#/$defs/z"}, "z": {"type": "null"}}},
        NULL,
    ),
    (
        {
            "properties": {"a": {"$ref": "#/definitions/N", "description": "sibling"}},
            "required": ["a"],
            "definitions": {"N": {"type": "null"}},
        },
        closed({"a": NULL}, ["a"]),
    ),
    (
        {"type": "string", "minLength": 1},
        {"type": "string", "pattern": counted(1, None, Spelling.FULL)},
    ),
    (
        {"type": "string", "minLength": 2, "maxLength": 4},
        {"type": "string", "pattern": counted(2, 4, Spelling.FULL)},
    ),
    ({"type": "string", "format": "date"}, {"type": "string", "pattern": FORMATS["date"]}),
    ({"type": "string", "pattern": "^a+$"}, {"type": "string", "pattern": "^(?:a+)$"}),
]


@pytest.mark.parametrize(("schema", "form"), FORMS, ids=lambda value: json.dumps(value)[:60])
def test_a_schema_becomes_its_form(schema: Any, form: Any) -> None:
    """Each published keyword becomes what the compiler knows, with nothing dropped."""
    result = lower(schema, path="s", strict=True)
    assert result.schema == form
    assert result.dropped == ()


# schema -> the path and the beginning of the reason
REFUSALS: list[tuple[Any, str, str]] = [
    ({"$ref": "#"}, "s.$ref", "'#' refers to itself"),
    (
        {"$ref": "#/$defs/N", "$defs": {"N": {"properties": {"n": {"$ref": "#/$defs/N"}}}}},
        "s.$defs.N.properties.n.$ref",
        "'#/$defs/N' refers to itself",
    ),
    ({"properties": {"a": {"items": {"$ref": "#/properties/a"}}}}, "s.properties.a.items.$ref", ""),
    ({"$ref": "https://example.com/s.json"}, "s.$ref", "'https://example.com/s.json' is not"),
    ({"$ref": "#name"}, "s.$ref", "'#name' is not inside this schema"),
    ({"$ref": "#/$defs/none"}, "s.$ref", "'#/$defs/none' does not exist: there is no '$defs'"),
    ({"$ref": 1}, "s.$ref", "must be a string"),
    ({"$dynamicRef": "#x"}, "s.$dynamicRef", "only $ref"),
    ({"properties": {'a"b': {}}}, "s", "the property name 'a\"b' cannot be enforced"),
    ({"properties": {"a\\b": {}}}, "s", "the property name"),
    ({"properties": {"a\nb": {}}}, "s", "the property name"),
    ({"properties": {"a\x00": {}}}, "s", "the property name"),
    ({"properties": {"\ud800": {}}}, "s", "the property name"),
    ({"const": {'"': 1}}, "s", "the property name"),
    ({"enum": ["\ud800"]}, "s", "'\\ud800' has half a surrogate pair"),
    ({"enum": [2**64]}, "s", f"{2**64} does not fit into 64 bits"),
    ({"const": 0.12345678901234567}, "s", "0.12345678901234566 cannot be written exactly"),
    (False, "s", "no value satisfies the schema false"),
    ({"properties": {"a": False}, "required": ["a"]}, "s.properties.a", "'a' is required, but"),
    ({"properties": {}, "required": ["a"], "additionalProperties": False}, "s.additionalProp", ""),
    ({"type": "integer", "minimum": 3, "maximum": 2}, "s", "no integer lies between"),
    ({"allOf": [{"type": "null"}, {"type": "string"}]}, "s", "its types exclude one another"),
    ({"type": "string", "enum": [1]}, "s", "no value of its enum or const is of its type"),
    ({"anyOf": [{"enum": [1]}, {"enum": ["a"]}], "maximum": 0, "type": "integer"}, "s.maximum", ""),
    ({"const": [], "minItems": 1}, "s.minItems", "a constant is smaller"),
    ({"minItems": 2, "maxItems": 1}, "s", "minItems is larger than maxItems"),
    ({"required": ["a"], "maxProperties": 0}, "s", "maxProperties is smaller than the list"),
    ({"minLength": 2, "maxLength": 1}, "s", "maxLength is smaller than minLength"),
    ({"type": "strng"}, "s.type", "'strng' is no type; types are object"),
    ({"properties": []}, "s.properties", "must be an object of schemas"),
    ({"properties": None, "const": {"a": 1}}, "s.properties", "must be an object of schemas"),
    ({"patternProperties": 1, "const": {}}, "s.patternProperties", "must be an object of schemas"),
    ({"properties": {"a": 1}}, "s.properties.a", "a schema is an object, true or false"),
    ({"anyOf": []}, "s.anyOf", "must be a list of at least one schema"),
    ({"enum": "a"}, "s.enum", "must be a list of values"),
    ({"required": ["a", 1]}, "s.required", "must be a list of property names"),
    ({"minLength": -1}, "s.minLength", "must be a whole number"),
    ({"minimum": "1"}, "s.minimum", "must be a number"),
    ({"pattern": 1}, "s.pattern", "must be a string"),
    ({"enum": list(range(501))}, "s", "more than 500 values"),
]


@pytest.mark.parametrize(("schema", "path", "reason"), REFUSALS, ids=lambda value: repr(value)[:50])
def test_what_cannot_be_lowered_is_refused_by_path(schema: Any, path: str, reason: str) -> None:
    """A refusal names the place and what is wrong there, strict or not."""
    for strict in (True, False):
        with pytest.raises(SchemaRefused) as refused:
            lower(schema, path="s", strict=strict)
        assert refused.value.path.startswith(path)
        assert refused.value.reason.startswith(reason)
        assert str(refused.value) == f"{refused.value.path}: {refused.value.reason}"


@pytest.mark.parametrize(
    "keyword",
    [
        "not",
        "if",
        "dependentRequired",
        "dependentSchemas",
        "dependencies",
        "contains",
        "propertyNames",
    ],
)
def test_keywords_that_change_a_shape_are_refused_when_strict(keyword: str) -> None:
    """Strict promises the shape, so it is refused; otherwise the keyword is dropped."""
    schema = {"type": "object", "properties": {"a": {"type": "null"}}, keyword: {}}
    with pytest.raises(SchemaRefused) as refused:
        lower(schema, path="s", strict=True)
    assert refused.value.path == f"s.{keyword}"
    assert lower(schema, path="s", strict=False).dropped == (f"s.{keyword}",)


# schema -> what is left out, strict or not
DROPPED: list[tuple[Any, tuple[str, ...]]] = [
    ({"type": "integer", "minimum": 0}, ("s.minimum",)),
    ({"type": "number", "minimum": 0, "maximum": 1}, ("s.minimum", "s.maximum")),
    ({"type": "integer", "multipleOf": 5}, ("s.multipleOf",)),
    ({"properties": {"a": {}}, "required": ["b"], "maxProperties": 1}, ("s.maxProperties",)),
    ({"enum": ["a"], "pattern": "(?=a)", "format": "date"}, ("s.format", "s.pattern")),
    ({"properties": {"a": {}}, "patternProperties": {"^x": {}}}, ()),
    ({"properties": {"a": {}}, "patternProperties": {"(?=x)": {}}}, ("s.patternProperties",)),
    ({"properties": {"a": {}}, "required": ["b"], "maxProperties": 2}, ()),
    ({"type": "string", "format": "uri"}, ("s.format",)),
    ({"type": "string", "pattern": "(?=a)"}, ("s.pattern",)),
    ({"type": "string", "pattern": "^a$", "format": "date"}, ("s.format",)),
    ({"type": "string", "pattern": "^a$", "maxLength": 3}, ("s.maxLength",)),
    ({"type": "string", "minLength": 100}, ("s.minLength",)),
    ({"type": "string", "maxLength": 100}, ("s.maxLength",)),
    ({"type": "array", "items": {}, "uniqueItems": True}, ("s.uniqueItems",)),
    ({"type": "array", "items": INTEGER, "maxItems": 1000}, ("s.maxItems",)),
    ({"type": "object", "minProperties": 2}, ("s.minProperties",)),
    ({"type": "object", "maxProperties": 2}, ("s.maxProperties",)),
    ({"type": "object", "patternProperties": {"^x": INTEGER}}, ("s.patternProperties",)),
    ({"properties": {"a": INTEGER, "b": INTEGER}, "maxProperties": 1}, ("s.maxProperties",)),
    (
        {"items": {"$ref": "#/$defs/N"}, "$defs": {"N": {"type": "number", "minimum": 0}}},
        ("s.$defs.N.minimum",),
    ),
]


@pytest.mark.parametrize(("schema", "dropped"), DROPPED, ids=lambda value: repr(value)[:50])
def test_what_has_no_form_is_dropped_by_path(schema: Any, dropped: tuple[str, ...]) -> None:
    """What cannot be expressed is left out and named where it stands."""
    assert lower(schema, path="s", strict=True).dropped == dropped


def test_a_dropped_minimum_still_means_not_empty() -> None:
    """A length or count too large to spell out leaves at least one."""
    assert lowered({"minLength": 100})["pattern"] == counted(1, None, Spelling.FULL)
    assert lowered({"type": "array", "items": INTEGER, "minItems": 100})["minItems"] == 1


def test_names_keep_their_order() -> None:
    """A model writes properties in the schema's order, and only so."""
    names = ["zebra", "apple", "m", "a.b", "x y"]
    schema = {"type": "object", "properties": dict.fromkeys(names, INTEGER), "required": names}
    assert list(lowered(schema)["properties"]) == names


def test_a_large_schema_loses_rare_escapes_first() -> None:
    """Levels are tried from the most exact, and nothing is dropped for a cheaper spelling."""
    names = [f"property_{number}" for number in range(20)]
    schema = {
        "type": "object",
        "properties": {name: {"type": "string"} for name in names},
        "required": names,
    }
    result = lower(schema, path="s", strict=True)
    pattern = result.schema["properties"]["property_0"]["pattern"]
    assert pattern == free(Spelling.SHORT)
    assert result.dropped == ()
    assert MOST.covers(compile_cost(result.schema))
    exact = lower_at(schema, path="s", strict=True, level=LEVELS[0], effort=Effort()).schema
    assert compile_cost(exact).seconds > 1.5 * compile_cost(result.schema).seconds


def test_a_schema_too_large_at_every_level_is_refused() -> None:
    """Nesting of optional objects multiplies until nobody would wait for it."""
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(6):
        schema = {"type": "object", "properties": {f"p{number}": schema for number in range(2)}}
        schema = {"type": "array", "items": schema}
    with pytest.raises(SchemaRefused, match="too large to enforce"):
        lower(schema, path="s", strict=False)


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {f"p{number}": {} for number in range(600)}},
        {"allOf": [{"anyOf": [{}] * 9}] * 3},
    ],
)
def test_schemas_beyond_the_caps_are_refused(schema: dict[str, Any]) -> None:
    """Counts of subschemas and of combined alternatives end before memory does."""
    with pytest.raises(SchemaRefused, match="more than"):
        lower(schema, path="s", strict=False)


def test_deep_nesting_is_refused() -> None:
    """Depth ends at a number and not at the interpreter's stack."""
    schema: dict[str, Any] = {"type": "null"}
    for _ in range(400):
        schema = {"type": "array", "items": schema}
    with pytest.raises(SchemaRefused, match="nested deeper than 16 levels"):
        lower(schema, path="s", strict=False)


def test_json_mode_nests_and_compiles_in_time() -> None:
    """Any object, three levels deep, at the price of LoRAX's own default."""
    assert {"type": "object", "additionalProperties": any_value(2)} == JSON_OBJECT
    assert MOST.covers(compile_cost(JSON_OBJECT))


KEYWORDS = st.sampled_from(
    [
        "type",
        "properties",
        "required",
        "additionalProperties",
        "items",
        "prefixItems",
        "minItems",
        "maxItems",
        "minLength",
        "maxLength",
        "pattern",
        "format",
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "multipleOf",
        "enum",
        "const",
        "anyOf",
        "oneOf",
        "allOf",
        "$ref",
        "$defs",
        "not",
        "nullable",
        "patternProperties",
        "minProperties",
        "maxProperties",
        "title",
    ]
)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.sampled_from(["string", "object", "array", "integer", "#", "#/$defs/a", "date", "^a"])
    | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(KEYWORDS | st.text(max_size=2), inner, max_size=4)
    ),
    max_leaves=12,
)


@pytest.mark.property
@given(st.dictionaries(KEYWORDS, JSON, max_size=5), st.sampled_from([True, False]))
def test_any_document_is_lowered_or_refused(schema: dict[str, Any], strict: Any) -> None:
    """Nothing that calls itself a schema raises anything but a refusal, or changes the original."""
    before = json.dumps(schema)
    try:
        result = lower(schema, path="s", strict=strict)
    except SchemaRefused as refused:
        assert refused.path.startswith("s")  # noqa: PT017 - a refusal is one of two right answers
    else:
        assert MOST.covers(compile_cost(result.schema))
        assert result == lower(schema, path="s", strict=strict)
        # It goes to LoRAX as JSON, in UTF-8.
        json.dumps(result.schema, ensure_ascii=False, allow_nan=False).encode()
    assert json.dumps(schema) == before


HUGE = [10**400, -(10**400), 10**4299]


@pytest.mark.parametrize("number", HUGE, ids=["1e400", "-1e400", "1e4299"])
@pytest.mark.parametrize(
    "keyword",
    ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"],
)
def test_a_bound_may_be_an_integer_of_any_length(keyword: str, number: int) -> None:
    """JSON has no largest number: a bound that no double holds is dropped as others are."""
    for kind in ("integer", "number"):
        lowered = lower({"type": kind, keyword: number}, path="s", strict=True)
        assert lowered.dropped == (f"s.{keyword}",)
        value = {"const": 5, keyword: number}
        fits = keyword != "multipleOf" and (number > 0) == keyword.lower().endswith("maximum")
        if fits:
            assert lower(value, path="s", strict=True).schema == {"enum": [5]}
        else:
            with pytest.raises(SchemaRefused, match="does not keep it"):
                lower(value, path="s", strict=True)


@pytest.mark.parametrize("number", HUGE, ids=["1e400", "-1e400", "1e4299"])
def test_integers_that_lorax_cannot_read_are_never_sent(number: int) -> None:
    """As values, and as the few that two bounds leave; as sizes they are sizes."""
    for schema in (
        {"const": number},
        {"enum": [number, 1.5]},
        {"type": "integer", "minimum": number, "maximum": number + 3},
    ):
        with pytest.raises(SchemaRefused, match="64 bits"):
            lower(schema, path="s", strict=False)
    for keyword in ("maxLength", "maxItems", "maxProperties"):
        lower({"type": ["string", "array", "object"], keyword: abs(number)}, path="s", strict=False)
    for keyword in ("minLength", "minItems", "minProperties"):
        lower({"type": ["string", "array", "object"], keyword: abs(number)}, path="s", strict=False)
