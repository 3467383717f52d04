"""`lorax_proxy.core.schema.facts`: one keyword read from several schemas at once."""

from typing import Any

import pytest

from lorax_proxy.core.schema.facts import (
    free_members,
    items,
    judge_name,
    member_sites,
    numeric,
    properties,
    required_names,
    sized,
    small_range,
    types_of,
)
from lorax_proxy.core.schema.sites import SchemaRefused, Site


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


def test_a_known_name_meets_the_patterns_that_match_it() -> None:
    """And those that nobody can read; additional properties are those that nothing names."""
    schema = {
        "properties": {"xa": {}},
        "patternProperties": {"^x": {}, "y$": {}, "(?=z)": {}},
        "additionalProperties": False,
    }
    found = {
        name: [each.path.removeprefix("s0.") for each in member_sites(sites(schema), name)]
        for name in ("xa", "y", "a")
    }
    assert found == {
        "xa": ["patternProperties.^x", "patternProperties.(?=z)", "properties.xa"],
        "y": ["patternProperties.y$", "patternProperties.(?=z)"],
        "a": ["patternProperties.(?=z)"],
    }
    del schema["patternProperties"]
    assert [each.path for each in member_sites(sites(schema), "a")] == ["s0.additionalProperties"]


def test_what_nobody_evaluates_is_not_there() -> None:
    """`unevaluatedProperties: false` closes an object of which nothing else is said."""
    closed = {"unevaluatedProperties": False, "unevaluatedItems": False}
    assert [each.schema for each in free_members(sites(closed))] == [False, True]
    assert [each.schema for each in member_sites(sites(closed), "a")] == [False]
    assert [each.schema for each in items(sites(closed))[1]] == [False]
    beside = sites(closed, {"additionalProperties": {}, "items": {}})
    assert False not in [each.schema for each in free_members(beside)]
    assert [each.schema for each in items(beside)[1]] == [{}]


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
