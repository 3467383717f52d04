"""`lorax_proxy.core.schema.constants`: values that are known, and what else is said of them."""

from typing import Any

import pytest

from lorax_proxy.core.schema.constants import (
    is_of,
    judge_array,
    judge_object,
    judge_scalar,
    unjudged,
    values_of,
)
from lorax_proxy.core.schema.sites import Impossible, SchemaRefused, Site


def sites(*schemas: Any) -> list[Site]:
    """Schemas that must all hold."""
    return [Site(schema, f"s{number}") for number, schema in enumerate(schemas)]


def test_values_are_intersected_in_order() -> None:
    """By their JSON spelling, in which 1 and true differ."""
    assert values_of(sites({"enum": [3, 1, True]}, {"enum": [True, 1]})) == [1, True]
    assert values_of(sites({"enum": [1, 2]}, {"const": 2})) == [2]
    assert values_of(sites({})) is None


@pytest.mark.parametrize(
    ("value", "types"),
    [
        (None, {"null"}),
        (True, {"boolean"}),
        (1, {"integer", "number"}),
        (1.0, {"integer", "number"}),
        (1.5, {"number"}),
        ("a", {"string"}),
        ([], {"array"}),
        ({}, {"object"}),
    ],
)
def test_values_know_their_types(value: Any, types: set[str]) -> None:
    """As JSON Schema has them: a whole fraction is an integer."""
    every = ("object", "array", "string", "number", "integer", "boolean", "null")
    assert {name for name in every if is_of(value, frozenset({name}))} == types


@pytest.mark.parametrize("value", ["\ud800", 2**64, -(2**63) - 1, float("inf"), 1e300, 0.1 + 0.2])
def test_constants_that_would_change_on_the_way_are_refused(value: Any) -> None:
    """LoRAX's reader is 64-bit, strict about text and hasty about fractions."""
    with pytest.raises(SchemaRefused):
        judge_scalar(value, "s")


@pytest.mark.parametrize("value", ["é😀\n", 2**64 - 1, -(2**63), 0.1, 1e22, True, None])
def test_other_constants_pass(value: Any) -> None:
    """What arrives as it is may be sent."""
    judge_scalar(value, "s")


def test_one_number_has_two_spellings() -> None:
    """1 and 1.0 are one value in JSON, deep inside of others too."""
    assert values_of(sites({"enum": [{"a": [1.0]}, 2]}, {"const": {"a": [1]}})) == [{"a": [1.0]}]


@pytest.mark.parametrize(
    ("value", "schema", "kept"),
    [
        ("ab", {"minLength": 2, "maxLength": 2, "pattern": "b"}, True),
        ("ab", {"minLength": 3}, False),
        ("ab", {"maxLength": 1}, False),
        ("ab", {"pattern": "^b"}, False),
        ("ab", {"minimum": 3, "minItems": 1}, True),
        (3, {"minimum": 3, "maximum": 3, "multipleOf": 1.5, "minLength": 9}, True),
        (3, {"minimum": 3.5}, False),
        (3, {"exclusiveMinimum": 3}, False),
        (3, {"exclusiveMaximum": 3}, False),
        (3, {"maximum": 2}, False),
        (0.3, {"multipleOf": 0.1}, True),
        (0.35, {"multipleOf": 0.1}, False),
        (1e22, {"multipleOf": 1e-300}, True),
        (3, {"multipleOf": 0}, False),
        (True, {"minimum": 3}, True),
        (None, {"minimum": 3}, True),
    ],
)
def test_a_scalar_keeps_what_is_said_of_its_type(value: Any, schema: Any, *, kept: bool) -> None:
    """And what is said of other types does not concern it."""
    if kept:
        assert unjudged(value, sites(schema)) == []
    else:
        with pytest.raises(Impossible):
            unjudged(value, sites(schema))


def test_what_cannot_be_judged_is_named() -> None:
    """Formats, and patterns that are not read; a pattern must be a text."""
    schema = {"format": "date", "pattern": "(?=a)"}
    assert [keyword for _, keyword in unjudged("a", sites(schema))] == ["format", "pattern"]
    assert unjudged(1, sites(schema)) == []
    with pytest.raises(SchemaRefused, match="must be a string"):
        unjudged("a", sites({"pattern": 1}))


@pytest.mark.parametrize(
    "schema",
    [{"required": ["a", "b"]}, {"minProperties": 2}, {"maxProperties": 0}],
)
def test_an_object_has_what_it_must_have(schema: Any) -> None:
    """Its required names, not too few and not too many."""
    judge_object({"a": 1}, sites({"required": ["a"], "minProperties": 1, "maxProperties": 1}), "s")
    with pytest.raises(Impossible):
        judge_object({"a": 1}, sites(schema), "s")


@pytest.mark.parametrize("schema", [{"uniqueItems": True}, {"minItems": 3}, {"maxItems": 1}])
def test_an_array_has_what_it_must_have(schema: Any) -> None:
    """As many items as it may have, and each once where that is said."""
    judge_array([1, True], sites({"uniqueItems": True, "minItems": 2, "maxItems": 2}), "s")
    with pytest.raises(Impossible):
        judge_array([1, 1.0], sites(schema), "s")
