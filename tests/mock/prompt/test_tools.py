"""Tools in, one call out."""

import json

import pytest

from lorax_mock.errors import LoraxRefusal
from lorax_mock.prompt.tools import NO_TOOL, message_of, tool_schema, with_no_tool
from lorax_mock.wire.openai import Tool

_WEATHER = Tool(
    "function",
    None,
    "weather",
    {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)


def test_the_grammar_is_any_of_the_tools_led_by_a_name() -> None:
    """The grammar is any of the tools, each led by its name, LoRAX's own way out among them."""
    schema = tool_schema(with_no_tool((_WEATHER,)), None)
    assert schema is not None
    assert schema["properties"]["function"]["anyOf"] == [
        {"$ref": "#/$functions/weather"},
        {"$ref": "#/$functions/no_tool"},
    ]
    assert schema["$functions"]["weather"] == {
        "description": "",
        "additionalProperties": False,
        "properties": {
            "_name": {"type": "string", "const": "weather"},
            "city": {"type": "string"},
        },
        "required": ["_name", "city"],
    }


@pytest.mark.parametrize(("given", "kept"), [(True, False), ("true", True), (None, False)])
def test_only_the_word_true_allows_more_properties(given: object, kept: object) -> None:
    """Only the string "true" allows additional properties, and JSON's own true does not."""
    tool = Tool("function", "about", "f", {"additionalProperties": given})
    schema = tool_schema((tool,), None)
    assert schema is not None
    assert schema["$functions"]["f"] == {
        "description": "about",
        "additionalProperties": kept,
        "properties": {"_name": {"type": "string", "const": "f"}},
        "required": ["_name"],
    }


def test_a_choice_narrows_or_lifts_the_grammar() -> None:
    """A named tool excludes the way out, and `none` or no tools constrain nothing."""
    tools = with_no_tool((_WEATHER,))
    named = tool_schema(tools, "=weather")
    assert named is not None
    assert list(named["$functions"]) == ["weather"]
    assert tool_schema(tools, "none") is None
    assert tool_schema(with_no_tool(()), None) is None
    with pytest.raises(LoraxRefusal, match="Tool error: Tool with name required not found"):
        tool_schema(tools, "=required")


def test_an_answer_becomes_a_call_or_content() -> None:
    """An answer becomes a call with id 0 and compact arguments, or content."""
    assert message_of('{"function": {"_name": "weather", "city": "Rome"}}') == (
        b'{"role":"assistant","tool_calls":[{"id":"0","type":"function","function":'
        b'{"description":null,"name":"weather","arguments":"{\\"city\\":\\"Rome\\"}"}}]}'
    )
    assert message_of('{"function": {"_name": "no_tool", "content": "Hi"}}') == (
        b'{"role":"assistant","content":"Hi"}'
    )


@pytest.mark.parametrize(
    ("written", "arguments"),
    [
        ('"_name": "f", "a": 1, "b": 2, "c": 3', '{"c":3,"a":1,"b":2}'),
        ('"a": 1, "_name": "f"', '{"a":1}'),
        ('"_name": "f", "a": 1', '{"a":1}'),
        ('"_name": "f"', "{}"),
        (
            '"_name": "f", "a": [1.50, 1e22, null, true, "é\\u000b"]',
            '{"a":[1.5,1e22,null,true,"é\\u000b"]}',
        ),
    ],
)
def test_the_last_argument_takes_the_place_of_the_name(written: str, arguments: str) -> None:
    """Without the name the last argument takes its place, as serde_json's map removes by swapping."""
    message = json.loads(message_of(f'{{"function": {{{written}}}}}'))
    assert message["tool_calls"][0]["function"]["arguments"] == arguments


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (
            '{"function": {"_na',
            (
                "Failed to parse generated text: EOF while parsing a string at line 1 column 18 "
                '"{\\"function\\": {\\"_na"'
            ),
        ),
        (
            '{"function": {"a": 1,',
            "Failed to parse generated text: EOF while parsing a value at line 1 column 21 ",
        ),
        (
            '{"function": {"a": 1',
            "Failed to parse generated text: EOF while parsing an object at line 1 column 20 ",
        ),
        ("", 'Failed to parse generated text: EOF while parsing a value at line 1 column 0 ""'),
        (
            "{}\ttail\x01",
            (
                "Failed to parse generated text: trailing characters at line 1 column 4 "
                '"{}\\ttail\\u{1}"'
            ),
        ),
        ('{"function": null}', "No _name found in generated text"),
        ("{}", "No function found in generated text"),
        ("[]", "No function found in generated text"),
        ('{"function": {}}', "No _name found in generated text"),
        ('{"function": {"_name": "no_tool"}}', "No `content` found in generated text"),
    ],
)
def test_what_is_wrong_with_an_answer_is_found_after_it_was_paid_for(text: str, error: str) -> None:
    """An answer that is no call is a 422 with LoRAX's words."""
    with pytest.raises(LoraxRefusal) as caught:
        message_of(text)
    assert (caught.value.status, caught.value.error_type) == (422, "tool_error")
    assert caught.value.message.startswith(f"Tool error: {error}")


def test_the_way_out_has_its_misspelt_description() -> None:
    """The way out has LoRAX's misspelt description, which reaches prompts."""
    assert NO_TOOL.description == "Open ened response with no specific tool selected"
