"""Chats into prompts."""

import pytest

from lorax_mock.chat import prepare
from lorax_mock.errors import LoraxRefusal
from lorax_mock.openai import CHAT_REQUEST, ChatRequest, Message, Tool
from lorax_mock.serde import read
from lorax_mock.settings import LLAMA_3_TEMPLATE
from lorax_mock.wire import ResponseFormat

_TOOL = Tool("function", None, "f", {"type": "object", "properties": {}})


def _prepare(
    asked: ChatRequest, template: str = LLAMA_3_TEMPLATE
) -> tuple[str, ResponseFormat | None, bool]:
    return prepare(asked, template, bos="<B>", eos="<E>")


def test_the_template_sees_role_and_content() -> None:
    """And a generation prompt, always."""
    asked = ChatRequest("m", (Message("user", "hi"), Message("assistant", ("a", "b"))))
    assert _prepare(asked)[0] == (
        "<B><|start_header_id|>user<|end_header_id|>\n\nhi<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\nab<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n"
    )


def test_tools_are_lost_on_a_plain_string() -> None:
    """The router means to add them and does not; lists and null take them."""
    template = "{{ messages[-1].content }}"
    lost = ChatRequest("m", (Message("user", "hi"),), tools=(_TOOL,))
    rendered, form, calls = _prepare(lost, template)
    assert (rendered, calls) == ("hi", True)
    assert form is not None
    for content in (("hi",), None):
        kept = ChatRequest("m", (Message("user", content),), tools=(_TOOL,), tool_prompt="TP")
        assert (
            '\n---\n[{"type":"function","function":{"description":null,"name":"f"'
            in (_prepare(kept, template)[0])
        )
        assert _prepare(kept, template)[0].endswith("]\nTP")


def test_a_template_that_uses_tools_gets_only_the_prompt_added() -> None:
    """And the list, with the way out in it."""
    asked = ChatRequest("m", (Message("user", ("hi",)),), tools=(_TOOL,), tool_prompt="TP")
    template = "{{ tools | length }}{{ messages[-1].content }}"
    assert _prepare(asked, template)[0] == "2hi\n---\nTP"


@pytest.mark.parametrize(
    ("asked", "template", "message"),
    [
        (
            ChatRequest("m", ()),
            "{{ raise_exception('no') }}",
            "Failed applying chat template to inputs: syntax error: no (in <string>:1)",
        ),
        (ChatRequest("m", ()), "{{ guideline }}", "Missing template vatiable: guideline"),
        (ChatRequest("m", ()), "{% if %}", "Failed applying chat template to inputs: "),
    ],
)
def test_template_faults_are_422(asked: ChatRequest, template: str, message: str) -> None:
    """Before any stream has begun."""
    with pytest.raises(LoraxRefusal) as caught:
        _prepare(asked, template)
    assert caught.value.status == 422
    assert caught.value.message.startswith(message)


def test_tools_and_a_format_exclude_each_other() -> None:
    """Even an empty list of tools; a text format is no format."""
    body = '{"model":"m","messages":[],"tools":[],"response_format":{"type":"%s"}}'
    with pytest.raises(LoraxRefusal, match="Response format and tools are mutually exclusive"):
        _prepare(read((body % "json_object").encode(), CHAT_REQUEST))
    assert _prepare(read((body % "text").encode(), CHAT_REQUEST))[1:] == (None, False)
