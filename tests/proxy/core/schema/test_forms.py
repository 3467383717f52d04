"""`lorax_proxy.core.schema.forms`: the forms that are sent, and what each is for."""

from typing import Any

import jsonschema
import pytest

from lorax_proxy.core.schema.forms import (
    FREE_OBJECT,
    JSON_OBJECT,
    any_of,
    any_value,
    closed_object,
    constants,
    empty_array,
    tuple_of,
)

NULL: dict[str, Any] = {"type": "null"}
INTEGER: dict[str, Any] = {"type": "integer"}


def accepts(schema: Any, value: Any) -> bool:
    """What a plain validator says."""
    return jsonschema.Draft202012Validator(schema).is_valid(value)


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        (any_value(0), [1, "a", None, True, 1.5], [[], {}]),
        (any_value(1), [[], {}, [1], {"a": "b"}], [[[]], {"a": {}}]),
        (FREE_OBJECT, [{}, {"a": [1]}], [1, [], {"a": [[]]}]),
        (JSON_OBJECT, [{}, {"a": {"b": [1]}}], ["a", [], {"a": {"b": {"c": {}}}}]),
        (closed_object({"a": NULL}, ["a"]), [{"a": None}], [{}, {"a": 1}, {"a": None, "b": 1}]),
        (closed_object({}, []), [{}], [{"a": 1}]),
        (closed_object({"$id": NULL}, []), [{}, {"$id": None}], [{"a": 1}]),
        (constants(["a", 1, "é", "a.b"]), ["a", 1, "é", "a.b"], ["e", "aéb", 2]),
        (
            closed_object({"a": NULL, "b": INTEGER, "c": NULL}, []),
            [{}, {"a": None}, {"b": 1}, {"c": None}, {"a": None, "c": None}],
            [{"b": None}, {"d": 1}],
        ),
        (tuple_of([NULL, INTEGER]), [[None, 1]], [[None], [1, None], [None, 1, 1], []]),
        (tuple_of([]), [[]], [[1]]),
        (empty_array(), [[]], [[1]]),
    ],
)
def test_a_form_says_the_same_to_a_validator(schema: Any, good: list[Any], bad: list[Any]) -> None:
    """What the compiler would let a model write, any reader of the schema accepts."""
    assert [value for value in good if not accepts(schema, value)] == []
    assert [value for value in bad if accepts(schema, value)] == []


def test_optional_properties_are_told_apart_by_the_first_one() -> None:
    """Each alternative requires its first property and leaves out those before it."""
    alternatives = closed_object({"a": NULL, "b": NULL}, [])["anyOf"]
    assert [each["required"] for each in alternatives] == [["a"], ["b"], []]
    assert [list(each["properties"]) for each in alternatives] == [["a", "b"], ["b"], []]


def test_no_object_has_only_optional_properties() -> None:
    """LoRAX's compiler would not escape their names, and `$id` would end a batch."""
    for names in (["$id"], ["a.b", "(c|"], ["a", "b", "c"]):
        for each in closed_object(dict.fromkeys(names, NULL), [])["anyOf"]:
            assert bool(each["properties"]) == bool(each["required"])


def test_alternatives_stand_once_and_in_one_row() -> None:
    """Nested choices are one choice; a single alternative is no choice."""
    assert any_of([NULL, {"anyOf": [INTEGER, NULL]}]) == {"anyOf": [NULL, INTEGER]}
    assert any_of([NULL, dict(NULL)]) == NULL
