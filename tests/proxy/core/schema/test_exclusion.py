"""`oneOf`: enforced where alternatives can be told apart, named where they cannot."""

import json
from itertools import product
from typing import Any

import jsonschema
import pytest
from hypothesis import event, example, given
from hypothesis import strategies as st

from lorax_proxy.core.schema.exclusion import Exclusion
from lorax_proxy.core.schema.lowered import lower
from lorax_proxy.core.schema.sites import SchemaRefused, Site, flatten

NUMBER = {"type": "number"}
SIDES = {"radius": NUMBER, "length": NUMBER, "width": NUMBER}
TAGGED = [
    {"type": "object", "properties": {"kind": {"const": kind}, "n": NUMBER}, "required": ["kind"]}
    for kind in ("a", "b")
]
TAG_WITH_DEFAULT = [
    {"type": "object", "properties": {"kind": {"const": kind}, "n": NUMBER}} for kind in ("a", "b")
]
REFERRED = {
    "oneOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/b"}],
    "$defs": dict(zip("ab", TAGGED, strict=True)),
}


def closed(**properties: Any) -> dict[str, Any]:
    """An object with no other properties."""
    return {"type": "object", "properties": properties, "additionalProperties": False}


ENFORCED = [
    {"oneOf": [{"type": "string"}, {"type": "null"}]},
    {"oneOf": [{"type": ["string", "integer"]}, {"type": "array"}]},
    {"oneOf": [{"enum": ["a", 1]}, {"const": "b"}]},
    {"oneOf": [{"enum": ["a", "b"]}, {"type": "string", "pattern": "^[0-9]+$"}]},
    {"oneOf": [{"const": 3}, {"type": "integer", "minimum": 5, "maximum": 9}]},
    {"oneOf": [{"const": {"a": 1}}, {"required": ["b"]}]},
    {"oneOf": [False, {"type": "string"}]},
    {"oneOf": TAGGED},
    {"oneOf": TAG_WITH_DEFAULT},
    REFERRED,
    {"oneOf": [closed(a=NUMBER), closed(b=NUMBER)]},
    {"oneOf": [{**closed(a=NUMBER), "required": ["a"]}, {**closed(b=NUMBER), "required": ["b"]}]},
    {
        "type": "object",
        "properties": SIDES,
        "oneOf": [{"required": ["radius"]}, {"required": ["length", "width"]}],
    },
    {
        "oneOf": [
            {"type": "object", "properties": {"in": each}, "required": ["in"]} for each in TAGGED
        ]
    },
    {"oneOf": [{"type": "string"}]},
]
NAMED = [
    {"oneOf": [{"type": "integer"}, NUMBER]},
    {"oneOf": [{"type": "string"}, {"enum": ["a"]}]},
    {"oneOf": [{"type": "null"}, {"type": "null"}]},
    {"oneOf": [{"type": "string"}, {}]},
    {"oneOf": [{"type": "object"}, {"required": ["a"]}]},
    {"oneOf": [{"type": "array"}, {"type": "array", "minItems": 1}]},
    {"type": "object", "oneOf": [{"properties": {"a": NUMBER}}, {"properties": {"b": NUMBER}}]},
    {"type": "string", "oneOf": [{"format": "date-time"}, {"enum": ["latest"]}]},
    {
        "type": "object",
        "properties": SIDES,
        "required": list(SIDES),
        "oneOf": [{"required": ["radius"]}, {"required": ["length"]}],
    },
]


@pytest.mark.parametrize("schema", ENFORCED)
def test_alternatives_that_exclude_each_other_are_enforced(schema: dict[str, Any]) -> None:
    """Nothing is named: no second alternative matches what is written for one."""
    assert lower(schema, path="s", strict=True).dropped == ()


@pytest.mark.parametrize("schema", NAMED)
def test_alternatives_that_may_meet_are_named(schema: dict[str, Any]) -> None:
    """By the place of the keyword, and the answer is one of them all the same."""
    assert "s.oneOf" in lower(schema, path="s", strict=False).dropped


def test_one_place_is_named_and_another_is_not() -> None:
    """Each `oneOf` is judged by itself, where it stands."""
    schema = {
        "type": "object",
        "properties": {"good": {"oneOf": TAGGED}, "bad": {"oneOf": [NUMBER, NUMBER]}},
        "required": ["good", "bad"],
    }
    assert lower(schema, path="s", strict=False).dropped == ("s.properties.bad.oneOf",)


def test_what_stands_beside_a_reference_proves_nothing() -> None:
    """Drafts before 2019-09 leave it out, so a validator may not see the difference."""
    beside = {"$ref": "#/$defs/any", "required": ["tag"]}
    schema = {
        "type": "object",
        "properties": {"tag": NUMBER, "n": NUMBER},
        "oneOf": [{"required": ["n"]}, beside],
        "$defs": {"any": {"type": "object"}},
    }
    assert lower(schema, path="s", strict=False).dropped == ("s.oneOf",)


def test_narrowings_that_contradict_one_another_are_not_made() -> None:
    """Forbidding one name and demanding it would leave nothing to write."""
    schema = {
        "type": "object",
        "properties": {"a": {"enum": [1, 2]}, "b": NUMBER},
        "oneOf": [{"properties": {"a": {"const": 1}}}, {"properties": {"a": {"const": 2}}}],
        "allOf": [{"oneOf": [{"required": ["b"]}, {"required": ["a"]}]}],
    }
    # demanding `a` for the first choice and forbidding it for the second
    lowered = lower(schema, path="s", strict=False)
    assert lowered.dropped == ("s.oneOf", "s.allOf[0].oneOf")


def test_proofs_end_when_their_steps_are_spent() -> None:
    """Long names and many values cost, and what cannot be afforded is not shown."""
    texts = [{"enum": [letter * 90]} for letter in "ab"]
    root = Site({"oneOf": texts}, "s")
    choice = flatten([root], root).choices[0]
    written = flatten(choice.alternatives[:1], root)
    assert Exclusion(root, 150).narrowings(written, choice.alternatives[1:]) is None
    assert Exclusion(root).narrowings(written, choice.alternatives[1:]) == []


# --- the property: what a lowered schema admits, the original admits, or a keyword is named

NAMES = ("a", "b", "c")
VALUES: tuple[Any, ...] = ("x", "y", "", 1, 1.5, True, None, [], [1], {})
OBJECTS = [
    {name: value for name, value in zip(NAMES, values, strict=True) if value is not ...}
    for values in product((..., "x", "y", 1), repeat=3)
]
INNER = [{"a": {"a": "x"}}, {"a": {"a": "y"}}, {"a": {}, "b": {"a": "x", "b": 1}}]
CANDIDATES: list[Any] = [*VALUES, *OBJECTS, *INNER]

LEAVES = st.sampled_from(
    [
        {"type": "string"},
        {"type": ["string", "null"]},
        {"type": "integer"},
        {"type": "number"},
        {"const": "x"},
        {"enum": ["y", 1]},
        {"pattern": "^x"},
        {"minLength": 1},
        {"type": "boolean"},
        {},
        False,
    ]
)


def objects(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Objects with few names, so that they meet."""
    keywords = {
        "type": st.just("object"),
        "properties": st.dictionaries(st.sampled_from(NAMES), inner, max_size=3),
        "required": st.lists(st.sampled_from(NAMES), max_size=2, unique=True),
        "additionalProperties": st.sampled_from([True, False, {"type": "string"}]),
        "patternProperties": st.dictionaries(
            st.sampled_from(["^a", "b|c", "(?=a)"]), inner, max_size=1
        ),
    }
    return st.fixed_dictionaries({}, optional=keywords)


def unions(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """`oneOf`, alone and beside other keywords and choices."""
    members = st.lists(inner, min_size=1, max_size=3)
    return st.builds(
        lambda beside, one, more: {**(beside if isinstance(beside, dict) else {}), **more, **one},
        inner,
        members.map(lambda each: {"oneOf": each}),
        st.just({}) | members.map(lambda each: {"anyOf": each}),
    )


SCHEMAS = st.recursive(
    LEAVES, lambda inner: objects(inner) | unions(objects(inner) | LEAVES), max_leaves=8
)


@pytest.mark.property
@given(unions(SCHEMAS))
@example(REFERRED)
@example({"oneOf": TAG_WITH_DEFAULT})
@example({"const": "x", "properties": {}, "oneOf": [{}, {}]})
def test_what_is_written_matches_exactly_one_or_something_is_named(schema: Any) -> None:
    """Judged by a validator, over every small value."""
    try:
        lowered = lower(schema, path="s", strict=False)
    except SchemaRefused:
        event("refused")
        return
    if lowered.dropped:
        event("named")
        return
    event("enforced")
    # the compiler knows of a value what stands in it, so that 1 is no boolean for it either
    admits = jsonschema.Draft202012Validator(json.loads(json.dumps(lowered.schema))).is_valid
    original = jsonschema.Draft202012Validator(schema).is_valid
    for value in CANDIDATES:
        if admits(value):
            assert original(value), (value, lowered.schema)
