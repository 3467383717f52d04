"""`lorax_proxy.core.schema_facts`: one keyword read from several schemas at once."""

from typing import Any

import pytest

from lorax_proxy.core.schema_facts import (
    free_members,
    is_of,
    items,
    judge_name,
    judge_scalar,
    member_sites,
    numeric,
    properties,
    required_names,
    sized,
    small_range,
    types_of,
    values_of,
)
from lorax_proxy.core.schema_sites import SchemaRefused, Site


def sites(*schemas: Any) -> list[Site]:
    """Schemas that must all hold."""
    return [Site(schema, f"s{number}") for number, schema in enumerate(schemas)]


@pytest.mark.parametrize(
    ("schemas", "types"),
    [
        ([{}], None),
        ([{"type": "string"}], {"string"}),
        ([{"type": "number"}, {"type": "integer"}], {"integer"}),
        ([{"type": "string", "nullable": True}, {"type": ["null", "object"]}], {"null"}),
        ([{"minLength": 1}, {"required": ["a"]}], {"string", "object"}),
        ([{"type": "null"}, {"minLength": 1}], {"null"}),
    ],
)
def test_types_are_intersected_or_implied(schemas: list[Any], types: set[str] | None) -> None:
    """A written type counts; without any, the other keywords tell."""
    assert types_of(sites(*schemas)) == types


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


def test_names_are_judged_by_their_spelling() -> None:
    """Punctuation and letters of any script pass; what JSON escapes does not."""
    for name in ["", "a.b", "$(x)|[y]*+?{}^#&-~", "ü", "a b", "'"]:
        judge_name(name, "s")
    for name in ['"', "\\", "\n", "\x00", "\x7f", "\udfff"]:
        with pytest.raises(SchemaRefused, match="cannot be enforced"):
            judge_name(name, "s")


def test_sizes_are_whole_numbers() -> None:
    """A whole fraction is one, a boolean is none."""
    assert [size for _, size in sized(sites({"minItems": 2.0}, {"minItems": 1}), "minItems")] == [
        2,
        1,
    ]
    for bad in (True, 1.5, -1, "1", None):
        with pytest.raises(SchemaRefused, match=r"s0\.minItems: must be a whole number"):
            sized(sites({"minItems": bad}), "minItems")


def test_bounds_of_draft_4_count_too() -> None:
    """There an exclusive bound is a flag beside the plain one."""
    found = numeric(sites({"minimum": 1, "exclusiveMinimum": True, "maximum": 4}))
    assert small_range(found, 10) == [2, 3, 4]
    assert small_range(numeric(sites({"minimum": 1, "exclusiveMinimum": False})), 10) is None
    with pytest.raises(SchemaRefused):
        numeric(sites({"multipleOf": True}))


@pytest.mark.parametrize(
    ("schema", "values"),
    [
        ({"minimum": 0.5, "maximum": 3}, [1, 2, 3]),
        ({"exclusiveMinimum": 0, "exclusiveMaximum": 3}, [1, 2]),
        ({"minimum": 0, "maximum": 9}, list(range(10))),
        ({"minimum": 0, "maximum": 10}, None),
        ({"minimum": 0}, None),
        ({"minimum": 2, "maximum": 1}, []),
        ({"minimum": 1, "maximum": 9, "multipleOf": 4}, [4, 8]),
    ],
)
def test_small_ranges_are_written_out(schema: Any, values: list[int] | None) -> None:
    """Up to so many values, and only where both ends are known."""
    assert small_range(numeric(sites(schema)), 10) == values


def test_items_meet_their_neighbours() -> None:
    """Where one schema has a tuple, the other's items hold for each place of it."""
    leading, rest = items(
        sites({"prefixItems": [{"a": 1}], "items": {"b": 1}}, {"items": {"c": 1}})
    )
    assert [[each.path for each in place] for place in leading] == [
        ["s0.prefixItems[0]", "s1.items"]
    ]
    assert [each.path for each in rest] == ["s0.items", "s1.items"]
    leading, rest = items(sites({"items": [{}], "additionalItems": False}))
    assert [[each.path for each in place] for place in leading] == [["s0.items[0]"]]
    assert [each.path for each in rest] == ["s0.additionalItems"]


def test_properties_meet_what_others_say_of_them() -> None:
    """A name that one schema declares is additional in the other."""
    both = sites(
        {"properties": {"b": {}, "a": {}}, "required": ["a"]},
        {"properties": {"a": {}}, "required": ["c", "a"], "additionalProperties": False},
    )
    assert properties(both) == ["b", "a"]
    assert required_names(both) == ["a", "c"]
    assert [each.path for each in member_sites(both, "a")] == ["s0.properties.a", "s1.properties.a"]
    assert [each.path for each in member_sites(both, "b")] == [
        "s0.properties.b",
        "s1.additionalProperties",
    ]
    assert properties(sites({})) is None


def test_patterned_properties_hold_for_every_name() -> None:
    """Names are free, so a value must suit whatever its name would match."""
    found = free_members(sites({"patternProperties": {"^a": {}}, "additionalProperties": False}))
    assert [each.path for each in found] == ["s0.patternProperties.^a"]
    found = free_members(sites({"patternProperties": {"^a": {}}}, {}))
    assert [each.path for each in found] == [
        "s0.patternProperties.^a",
        "s0.additionalProperties",
        "s1.additionalProperties",
    ]
