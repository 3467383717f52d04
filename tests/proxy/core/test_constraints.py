"""Tools and formats as one schema: which choice allows what, and what is refused by name."""

from typing import Any

import pytest

from lorax_proxy.core.constraints import Constraints, constraints_of, header_names, is_expensive
from lorax_proxy.core.parsing import read_request
from lorax_proxy.core.schema.lowered import JSON_OBJECT
from lorax_proxy.errors import RequestRefused
from lorax_proxy.wire.openai_requests import ChatRequest

F = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
G = {"type": "function", "function": {"name": "g"}}
LEGACY = [{"name": "f"}, {"name": "g"}]
BOTH = frozenset({"f", "g"})


def request(**given: Any) -> ChatRequest:
    """A chat request with these parameters."""
    return read_request(
        ChatRequest, {"model": "m", "messages": [{"role": "user", "content": "hi"}], **given}
    )


def constraints(**given: Any) -> Constraints:
    """The constraints of a request with these parameters."""
    return constraints_of(request(**given))


@pytest.mark.parametrize(
    ("given", "names", "text", "parallel"),
    [
        ({"tools": [F, G]}, BOTH, True, True),
        ({"tools": [F, G], "tool_choice": "auto"}, BOTH, True, True),
        ({"tools": [F, G], "tool_choice": "required"}, BOTH, False, True),
        ({"tools": [F, G], "parallel_tool_calls": False}, BOTH, True, False),
        (
            {"tools": [F, G], "tool_choice": {"type": "function", "function": {"name": "g"}}},
            {"g"},
            False,
            False,
        ),
        (
            {
                "tools": [F, G],
                "tool_choice": {"type": "function", "function": {"name": "g"}},
                "parallel_tool_calls": True,
            },
            {"g"},
            False,
            True,
        ),
        (
            {
                "tools": [F, G],
                "tool_choice": {
                    "type": "allowed_tools",
                    "allowed_tools": {
                        "mode": "required",
                        "tools": [{"type": "function", "function": {"name": "f"}}],
                    },
                },
            },
            {"f"},
            False,
            True,
        ),
        ({"functions": LEGACY}, BOTH, True, False),
        ({"functions": LEGACY, "function_call": {"name": "f"}}, {"f"}, False, False),
    ],
)
def test_what_a_choice_allows(
    given: dict[str, Any], names: set[str], *, text: bool, parallel: bool
) -> None:
    """Which functions, whether text, whether more than one call."""
    found = constraints(**given)
    assert found.grammar is not None
    assert found.grammar.form.names == names
    assert found.grammar.form.text is text
    assert found.grammar.form.parallel is parallel
    assert found.schema == found.grammar.schema
    assert [tool["function"]["name"] for tool in found.tools or ()] == ["f", "g"]


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"tools": []},
        {"tools": [F], "tool_choice": "none"},
        {"functions": LEGACY, "function_call": "none"},
        {"response_format": {"type": "text"}},
    ],
)
def test_nothing_to_enforce(given: dict[str, Any]) -> None:
    """No tool may be called and no format is asked for: nothing is sent, nothing is told."""
    assert constraints(**given) == Constraints()


def test_formats() -> None:
    """A JSON object, and a schema of the client's, unwrapped."""
    assert constraints(response_format={"type": "json_object"}).schema == JSON_OBJECT
    wanted = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    found = constraints(
        response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": wanted}}
    )
    assert found.schema is not None
    assert list(found.schema["properties"]) == ["a"]
    bare = constraints(response_format={"type": "json_schema", "json_schema": {"name": "n"}})
    assert bare.schema == JSON_OBJECT


@pytest.mark.parametrize(
    ("given", "place"),
    [
        ({"type": "json_object", "schema": ...}, "response_format.schema"),
        ({"type": "json_object", "value": ...}, "response_format.value"),
        ({"type": "json", "value": ...}, "response_format.value"),
        ({"type": "json_object", "value": ..., "json_schema": None}, "response_format.value"),
    ],
)
def test_a_schema_in_the_form_of_lorax_or_hugging_face(given: dict[str, Any], place: str) -> None:
    """What people who move from LoRAX's own endpoint send means the same, by its own place."""
    wanted = {"type": "object", "properties": {"late": {"type": "boolean"}}, "required": ["late"]}
    form = {key: wanted if value is ... else value for key, value in given.items()}
    found = constraints(response_format=form)
    assert found.schema == {**wanted, "additionalProperties": False}
    assert is_expensive(request(response_format=form))
    bad = {key: {"$ref": "#/x"} if value is ... else value for key, value in given.items()}
    with pytest.raises(RequestRefused) as caught:
        constraints(response_format=bad)
    assert caught.value.param == f"{place}.$ref"


def test_two_schemas_in_one_format_are_refused() -> None:
    """Nobody can know which of them is meant; null is none."""
    both = {"type": "json_object", "schema": {}, "value": {}}
    with pytest.raises(RequestRefused) as caught:
        constraints(response_format=both)
    assert caught.value.param == "response_format.value"
    assert constraints(response_format={**both, "value": None}).schema is not None
    assert constraints(response_format={"type": "text", "json_schema": None}) == Constraints()


def test_what_is_long_is_not_remembered() -> None:
    """Memory is for what clients send with every turn, and not theirs to fill."""
    long = {**F, "function": {"name": "f", "description": "a" * 200_000}}
    assert constraints(tools=[long]).grammar is not constraints(tools=[long]).grammar


def test_what_cannot_be_enforced_is_named() -> None:
    """By its place in the request, for formats and for functions."""
    age = {"type": "object", "properties": {"age": {"type": "integer", "minimum": 0}}}
    wanted = {"type": "json_schema", "json_schema": {"name": "n", "schema": age}}
    format_path = "response_format.json_schema.schema.properties.age.minimum"
    assert constraints(response_format=wanted).dropped == (format_path,)
    tool = {"type": "function", "function": {"name": "f", "parameters": age}}
    tool_path = "tools[0].function.parameters.properties.age.minimum"
    assert constraints(tools=[tool]).dropped == (tool_path,)
    assert constraints(response_format={"type": "json_object"}).dropped == ()


def test_names_of_any_spelling_fit_a_header() -> None:
    """Nothing in a property's name ends a header or its list, and no schema fills it."""
    assert header_names(["tools[0].function.parameters.properties.a.minimum"]) == (
        "tools[0].function.parameters.properties.a.minimum",
    )
    (name,) = header_names(["s.properties.é\r\nx: 1, y.format"])
    assert name == "s.properties.%C3%A9%0D%0Ax%3A%201%2C%20y.format"
    (name,) = header_names(["s" * 5000 + ".format"])
    assert len(name) < 250
    assert name.endswith(".format")
    many = header_names([f"s.properties.a{number}.format" for number in range(100)])
    assert len(many) == 17
    assert many[-1] == "and 84 more"
    assert header_names([]) == ()


def test_a_format_with_tools_that_may_not_be_called() -> None:
    """`tool_choice: none` leaves the one schema to the format."""
    found = constraints(tools=[F], tool_choice="none", response_format={"type": "json_object"})
    assert found.schema == JSON_OBJECT


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({"tools": [F], "response_format": {"type": "json_object"}}, "response_format"),
        ({"tools": [{"type": "custom", "custom": {"name": "c"}}]}, "tools[0].type"),
        (
            {"tools": [F], "tool_choice": {"type": "custom", "custom": {"name": "c"}}},
            "tool_choice.type",
        ),
        (
            {"tools": [F], "tool_choice": {"type": "function", "function": {"name": "x"}}},
            "tool_choice.function.name",
        ),
        (
            {
                "tools": [F],
                "tool_choice": {
                    "type": "allowed_tools",
                    "allowed_tools": {"mode": "auto", "tools": [{"type": "function"}]},
                },
            },
            "tool_choice.allowed_tools.tools[0]",
        ),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"functions": LEGACY, "function_call": {"name": "x"}}, "function_call.function.name"),
        ({"functions": LEGACY, "tools": [F]}, "functions"),
        (
            {
                "tools": [
                    {
                        "type": "function",
                        "function": {
                            "name": "f",
                            "strict": True,
                            "parameters": {
                                "$ref": "#/$defs/a",
                                "$defs": {"a": {"$ref": "#/$defs/a"}},
                            },
                        },
                    }
                ]
            },
            "tools[0].function.parameters",
        ),
        (
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "n", "strict": True, "schema": {"not": {}}},
                }
            },
            "response_format.json_schema.schema",
        ),
    ],
)
def test_what_cannot_be_enforced_is_refused_by_name(given: dict[str, Any], param: str) -> None:
    """The place in the request stands in `param`."""
    with pytest.raises(RequestRefused) as caught:
        constraints(**given)
    assert caught.value.status == 400
    assert (caught.value.param or "").startswith(param)


def test_equal_tools_share_one_grammar() -> None:
    """What lowering found is remembered: clients send the same tools with every turn."""
    first, second = constraints(tools=[F, G]), constraints(tools=[F, G])
    assert first.grammar is second.grammar
    assert constraints(tools=[G, F]).grammar is not first.grammar


def test_only_tools_and_schemas_are_dear() -> None:
    """A plain request is planned without a thread."""
    assert is_expensive(request(tools=[F]))
    assert is_expensive(request(functions=LEGACY))
    schema = {"type": "json_schema", "json_schema": {"name": "n", "schema": {}}}
    assert is_expensive(request(response_format=schema))
    assert not is_expensive(request(response_format={"type": "json_object"}))
    assert not is_expensive(request())
