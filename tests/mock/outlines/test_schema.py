"""Schemas as the compiler walks them."""

import pytest

from lorax_mock.outlines.grammar import (
    Concatenation,
    Literal,
    Node,
    OneOf,
    Record,
    Repeat,
    Text,
)
from lorax_mock.outlines.schema import SchemaError, compile_schema


def _member(name: str, value: Node) -> Node:
    return Concatenation((Literal(f'"{name}"'), Literal(": "), value))


def test_the_first_keyword_decides() -> None:
    """`properties` decides over `type`, as in the compiler."""
    assert compile_schema({"type": "string", "properties": {"a": {"const": 1}}}) == Record(
        ((False, _member("a", Literal("1"))),)
    )


def test_a_list_of_types_leaves_objects_out() -> None:
    """A list of types has no object in it, whose shape is not given."""
    assert compile_schema({"type": ["object", "string", "null"]}) == OneOf(
        (Text(), Literal("null"))
    )


def test_references_may_point_into_lists_and_escaped_names() -> None:
    """A reference may point anywhere in the schema, through lists and escaped names."""
    schema = {"anyOf": [{"$ref": "#/x~1y/1"}], "x/y": [{}, {"const": "here"}]}
    assert compile_schema(schema) == OneOf((Literal('"here"'),))


def test_an_alternation_without_parentheses_takes_its_neighbours_in() -> None:
    """The empty schema of a required property puts its brackets on its outer branches alone."""
    compiled = compile_schema({"properties": {"a": {}}, "required": ["a"]})
    assert isinstance(compiled, OneOf)
    first, null, *_ = compiled.options
    truth = OneOf((Literal("true"), Literal("false")))
    start = Concatenation((Literal('"a"'), Literal(": "), truth))
    assert first == Concatenation((Literal("{"), start))
    assert null == Literal("null")
    assert isinstance(compiled.options[-1], Concatenation)
    assert compiled.options[-1].parts[-1] == Literal("}")


def test_what_is_optional_keeps_an_alternation_to_itself() -> None:
    """An alternation in an optional property is in parentheses."""
    compiled = compile_schema({"properties": {"a": {}, "b": {"const": 1}}, "required": ["b"]})
    assert isinstance(compiled, Concatenation)
    assert [type(part) for part in compiled.parts] == [Literal, Repeat, Concatenation, Literal]


@pytest.mark.parametrize("schema", [{"type": "string", "minLength": 4, "maxLength": 2}])
def test_a_range_that_is_empty_is_refused(schema: object) -> None:
    """An empty range is refused, because its automaton cannot be built."""
    with pytest.raises(SchemaError, match="Can't multiply an FSM by -2"):
        compile_schema(schema)


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"prefixItems": [{"pattern": "(?<=a)", "type": "string"}, {"type": "x"}]}, "Could not"),
        (
            {
                "prefixItems": [
                    {"pattern": "(?<=a)", "type": "string"},
                    {"type": "string", "pattern": "^"},
                ]
            },
            "'^'",
        ),
    ],
)
def test_the_walks_faults_come_first_and_the_automatons_last(schema: object, text: str) -> None:
    """Errors of the schema come before those of expressions, and these before those of automata."""
    with pytest.raises(SchemaError) as caught:
        compile_schema(schema)
    assert str(caught.value).startswith(text)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "minLength": 10**9},
        {"type": "array", "items": {"type": "null"}, "minItems": 10**9},
        {"type": "object", "minProperties": 10**9},
        {"type": "integer", "minDigits": 10**9},
        {"type": "number", "minDigitsFraction": 10**9},
        {"type": "string", "pattern": "a{1000000000}"},
    ],
)
def test_a_text_without_end_is_refused_in_time(schema: object) -> None:
    """A schema whose automaton is huge is refused at once."""
    with pytest.raises(SchemaError, match="lorax-mock builds no automaton"):
        compile_schema(schema)


def test_a_schema_that_unfolds_without_end_is_refused_in_time() -> None:
    """A schema whose references double at every level is refused at a number of nodes."""
    definitions = {
        f"d{level}": {"anyOf": [{"$ref": f"#/$defs/d{level + 1}"}] * 10} for level in range(20)
    }
    definitions["d20"] = {"anyOf": []}
    with pytest.raises(SchemaError, match="recursion"):
        compile_schema({"$ref": "#/$defs/d0", "$defs": definitions})
