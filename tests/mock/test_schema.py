"""Schemas as the compiler walks them."""

import pytest

from lorax_mock.schema import Choice, Literal, Record, SchemaError, Text, compile_schema


def test_the_first_keyword_decides() -> None:
    """`properties` beats `type`, as in the compiler."""
    assert compile_schema({"type": "string", "properties": {"a": {"const": 1}}}) == Record(
        (("a", False, Literal("1")),)
    )


def test_a_list_of_types_leaves_objects_out() -> None:
    """Their shape is not given."""
    assert compile_schema({"type": ["object", "string", "null"]}) == Choice(
        (Text(), Literal("null"))
    )


def test_references_may_point_into_lists_and_escaped_names() -> None:
    """JSON pointers, wherever they lead inside the schema."""
    schema = {"anyOf": [{"$ref": "#/x~1y/1"}], "x/y": [{}, {"const": "here"}]}
    assert compile_schema(schema) == Choice((Literal('"here"'),))


@pytest.mark.parametrize("schema", [{"type": "string", "minLength": 4, "maxLength": 2}])
def test_a_range_that_is_empty_is_refused(schema: object) -> None:
    """The regular expression behind it would not parse."""
    with pytest.raises(SchemaError):
        compile_schema(schema)


def test_a_schema_that_unfolds_without_end_is_refused_in_time() -> None:
    """References that double at every level stop at a number of nodes."""
    definitions = {
        f"d{level}": {"anyOf": [{"$ref": f"#/$defs/d{level + 1}"}] * 10} for level in range(20)
    }
    definitions["d20"] = {"anyOf": []}
    with pytest.raises(SchemaError, match="recursion"):
        compile_schema({"$ref": "#/$defs/d0", "$defs": definitions})
