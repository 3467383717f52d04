"""OpenAI's messages as chat templates read them: every role, and every form of content."""

import json
from typing import Any

import pytest
from hypothesis import given
from pydantic import TypeAdapter

from lorax_proxy.core.messages import conversation
from lorax_proxy.errors import RequestRefused
from lorax_proxy.wire.openai_requests import Message
from tests.strategies import messages as drawn

_adapter: TypeAdapter[list[Message]] = TypeAdapter(list[Message])


def rendered(*sent: dict[str, Any]) -> list[dict[str, Any]]:
    """The messages as a template gets them."""
    return conversation(_adapter.validate_python(list(sent)))


def call(name: str = "f", arguments: str = "{}", id_: str = "call_1") -> dict[str, Any]:
    """A tool call as OpenAI writes it."""
    return {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}}


PARTS = [{"type": "text", "text": "a"}, {"type": "text", "text": ""}, {"type": "text", "text": "b"}]


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ({"role": "user", "content": "hi"}, {"role": "user", "content": "hi"}),
        ({"role": "user", "content": PARTS}, {"role": "user", "content": "ab"}),
        (
            {"role": "user", "content": "hi", "name": "ann"},
            {"role": "user", "content": "hi", "name": "ann"},
        ),
        ({"role": "user", "content": "hi", "name": None}, {"role": "user", "content": "hi"}),
        ({"role": "system", "content": PARTS}, {"role": "system", "content": "ab"}),
        (
            {"role": "developer", "content": "d", "name": "x"},
            {"role": "system", "content": "d", "name": "x"},
        ),
        ({"role": "assistant", "content": "hi"}, {"role": "assistant", "content": "hi"}),
        ({"role": "assistant"}, {"role": "assistant", "content": ""}),
        ({"role": "assistant", "content": None}, {"role": "assistant", "content": ""}),
        (
            {"role": "assistant", "refusal": "no"},
            {"role": "assistant", "content": "no"},
        ),
        (
            {"role": "assistant", "content": "yes", "refusal": "no"},
            {"role": "assistant", "content": "yes"},
        ),
        (
            {
                "role": "assistant",
                "content": [
                    {"type": "text", "text": "I "},
                    {"type": "refusal", "refusal": "won't"},
                ],
            },
            {"role": "assistant", "content": "I won't"},
        ),
        (
            {"role": "assistant", "content": "x", "audio": {"id": "a"}, "reasoning": "r"},
            {"role": "assistant", "content": "x", "audio": {"id": "a"}, "reasoning": "r"},
        ),
        (
            {"role": "assistant", "tool_calls": [call(arguments='{"a": [1, 2.5]}')]},
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [
                    {
                        "id": "call_1",
                        "type": "function",
                        "function": {"name": "f", "arguments": {"a": [1, 2.5]}},
                    }
                ],
            },
        ),
        (
            {"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}},
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [
                    {
                        "id": "call_function",
                        "type": "function",
                        "function": {"name": "f", "arguments": {}},
                    }
                ],
            },
        ),
        ({"role": "assistant", "tool_calls": []}, {"role": "assistant", "content": ""}),
        (
            {"role": "tool", "content": "42", "tool_call_id": "other"},
            {"role": "tool", "content": "42", "tool_call_id": "other"},
        ),
        (
            {"role": "tool", "content": PARTS, "tool_call_id": "other", "name": "own"},
            {"role": "tool", "content": "ab", "tool_call_id": "other", "name": "own"},
        ),
        (
            {"role": "function", "name": "f", "content": None},
            {"role": "tool", "name": "f", "content": "", "tool_call_id": "call_function"},
        ),
        (
            {"role": "function", "name": "f", "content": "42"},
            {"role": "tool", "name": "f", "content": "42", "tool_call_id": "call_function"},
        ),
    ],
)
def test_each_form(sent: dict[str, Any], expected: dict[str, Any]) -> None:
    """One message in, the dictionary that a template reads out."""
    assert rendered(sent) == [expected]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("", {}),
        ("  \n", {}),
        ('{"a": "é"}', {"a": "é"}),
        ("[1]", "[1]"),
        ('"x"', '"x"'),
        ("{", "{"),
        ("not json", "not json"),
        ('{"a": 1e999}', '{"a": 1e999}'),
        ('{"a":' * 100 + "1" + "}" * 100, '{"a":' * 100 + "1" + "}" * 100),
        ('{"a":' * 100_000, '{"a":' * 100_000),
    ],
    ids=lambda value: str(value)[:20],
)
def test_arguments(arguments: str, expected: object) -> None:
    """An object where the text is one, `{}` where it is blank, and else the text as it is."""
    (message,) = rendered({"role": "assistant", "tool_calls": [call(arguments=arguments)]})
    assert message["tool_calls"][0]["function"]["arguments"] == expected


def test_a_result_carries_its_tool_s_name() -> None:
    """Some templates print it; OpenAI sends the call's id only."""
    result = rendered(
        {"role": "assistant", "tool_calls": [call("f", id_="1"), call("g", id_="2")]},
        {"role": "tool", "tool_call_id": "2", "content": "x"},
        {"role": "tool", "tool_call_id": "1", "content": "y"},
        {"role": "tool", "tool_call_id": "3", "content": "z"},
    )
    assert [message.get("name") for message in result[1:]] == ["g", "f", None]


@pytest.mark.parametrize("role", ["user", "system", "developer", "assistant"])
@pytest.mark.parametrize("kind", ["image_url", "input_audio", "file"])
def test_what_is_not_text_is_refused_by_name(role: str, kind: str) -> None:
    """These models read text: the part is named by its path."""
    with pytest.raises(RequestRefused) as caught:
        rendered(
            {"role": "user", "content": "first"},
            {"role": role, "content": [{"type": "text", "text": "a"}, {"type": kind, kind: {}}]},
        )
    error = caught.value
    assert (error.status, error.code) == (400, "unsupported_content")
    assert error.param == "messages[1].content[1]"
    assert f"'{kind}'" in error.message


def test_custom_tools_calls_are_refused_by_name() -> None:
    """A custom tool's call has an input instead of arguments: no template knows it."""
    custom = {"id": "1", "type": "custom", "custom": {"name": "c", "input": "x"}}
    with pytest.raises(RequestRefused) as caught:
        rendered({"role": "assistant", "tool_calls": [call(), custom]})
    assert caught.value.param == "messages[0].tool_calls[1]"


@pytest.mark.property
@given(drawn)
def test_every_published_message_becomes_one_for_templates(sent: list[dict[str, Any]]) -> None:
    """One for one, in order, with text for content and every key that the client sent by itself."""
    result = rendered(*sent)
    assert len(result) == len(sent)
    for before, after in zip(sent, result, strict=True):
        expected = {"developer": "system", "function": "tool"}.get(before["role"], before["role"])
        assert after["role"] == expected
        assert isinstance(after["content"], str)
        content = before.get("content")
        if isinstance(content, list):
            assert after["content"] == "".join(part["text"] for part in content)
        elif content is not None:
            assert after["content"] == content
        json.dumps(after)
