"""`lorax_proxy.core.schema.sites`: references and conjunctions, with the places they stand."""

from typing import Any

import pytest

from lorax_proxy.core.schema.sites import Impossible, SchemaRefused, Site, flatten


def flat(
    schema: Any, root: Any = None
) -> tuple[list[tuple[Any, str]], list[tuple[list[str], str]]]:
    """The remaining schemas with their paths, and the paths of the choices."""
    site = Site(schema, "s")
    found = flatten([site], site if root is None else Site(root, "s"))
    return (
        [(each.schema, each.path) for each in found.sites],
        [
            ([each.path for each in choice.alternatives], choice.exclusive)
            for choice in found.choices
        ],
    )


def test_references_and_conjunctions_are_resolved_in_place() -> None:
    """What remains has neither, and everything knows where it stands."""
    schema = {
        "title": "T",
        "$ref": "#/$defs/a",
        "allOf": [{"type": "object"}, {"$ref": "#/allOf/0"}],
        "$defs": {"a": {"required": ["x"]}},
    }
    assert flat(schema)[0] == [
        ({"title": "T", "$defs": schema["$defs"]}, "s"),
        ({"required": ["x"]}, "s.$defs.a"),
        ({"type": "object"}, "s.allOf[0]"),
        ({}, "s.allOf[1]"),
        ({"type": "object"}, "s.allOf[0]"),
    ]


def test_choices_are_kept_apart() -> None:
    """Alternatives wait for whoever combines them."""
    assert flat({"anyOf": [True, {}], "oneOf": [{}]}) == (
        [({}, "s")],
        [(["s.anyOf[0]", "s.anyOf[1]"], ""), (["s.oneOf[0]"], "s.oneOf")],
    )


def test_true_says_nothing_and_false_says_never() -> None:
    """Boolean schemas are what they are."""
    assert flat(True) == ([], [])
    with pytest.raises(Impossible) as impossible:
        flat({"allOf": [False]})
    assert impossible.value.path == "s.allOf[0]"


@pytest.mark.parametrize("pointer", ["#/$defs/a~1b~0c%20d", "#/$defs/list/1"])
def test_pointers_are_decoded(pointer: str) -> None:
    """Slashes, tildes, percent signs and places in lists."""
    root = {"$defs": {"a/b~c d": {"type": "null"}, "list": [{}, {"type": "null"}]}}
    assert flat({"$ref": pointer}, root)[0][1][0] == {"type": "null"}


def test_a_reference_used_twice_is_no_cycle() -> None:
    """Only a reference below itself is one."""
    schema = {"allOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/a"}], "$defs": {"a": {}}}
    assert len(flat(schema)[0]) == 5


def test_a_chain_that_grows_without_end_is_refused() -> None:
    """References that double at each step are stopped by their number."""
    definitions: dict[str, Any] = {"d0": {}}
    for number in range(1, 12):
        reference = {"$ref": f"#/$defs/d{number - 1}"}
        definitions[f"d{number}"] = {"allOf": [reference, reference]}
    with pytest.raises(SchemaRefused, match="too many references"):
        flat({"$ref": "#/$defs/d11", "$defs": definitions})


def test_a_refusal_without_a_place_is_only_its_reason() -> None:
    """Callers with a schema of their own give no path."""
    assert str(SchemaRefused("", "why")) == "why"
