"""Chats into prompts."""

import pytest

from lorax_mock.errors import LoraxRefusal
from lorax_mock.prompt.chat import TemplateFault, check_template, prepare
from lorax_mock.serde.types import read
from lorax_mock.settings import LLAMA_3_TEMPLATE
from lorax_mock.wire.native import ResponseFormat
from lorax_mock.wire.openai import CHAT_REQUEST, ChatRequest, Message, Tool

_TOOL = Tool("function", None, "f", {"type": "object", "properties": {}})


def _prepare(
    asked: ChatRequest, template: str | None = LLAMA_3_TEMPLATE
) -> tuple[str, ResponseFormat | None, bool]:
    return prepare(asked, template, bos="<B>", eos="<E>")


def test_the_template_sees_role_and_content() -> None:
    """A template sees role and content, and always a generation prompt."""
    asked = ChatRequest("m", (Message("user", "hi"), Message("assistant", ("a", "b"))))
    assert _prepare(asked)[0] == (
        "<B><|start_header_id|>user<|end_header_id|>\n\nhi<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\nab<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n"
    )
    named = ChatRequest("m", (Message("user", "hi", "bob"),))
    assert _prepare(named, "{{ messages[0] | tojson }}")[0] == '{"content":"hi","role":"user"}'


def test_tools_are_lost_on_a_plain_string() -> None:
    """Tools are added to a message's parts and to null, and are lost on a plain string."""
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


def test_tools_without_a_grammar_are_still_prompted() -> None:
    """With the choice `none` or no tools the tools' text is still added, the way out in it."""
    template = "{{ messages[-1].content }}"
    away = ChatRequest("m", (Message("user", ("hi",)),), tools=(_TOOL,), tool_choice="none")
    rendered, form, calls = _prepare(away, template)
    assert (form, calls) == (None, False)
    assert '"name":"f"' in rendered
    assert '"name":"no_tool"' in rendered
    none = ChatRequest("m", (Message("user", ("hi",)),), tools=(), tool_prompt="")
    rendered, form, calls = _prepare(none, template)
    assert (form, calls) == (None, False)
    assert rendered.startswith("hi\n---\n[]\n\nGiven the functions available")


def test_a_template_that_uses_tools_gets_only_the_prompt_added() -> None:
    """A template that uses tools gets their list, the way out in it, and the tool prompt."""
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
        (
            ChatRequest("m", (Message("user", "a"), Message("user", "b"))),
            (
                "{% for m in messages %}\n\n{% if loop.index == 2 %}\n{{ raise_exception('roles') }}\n"
                "{% endif %}{% endfor %}"
            ),
            "Failed applying chat template to inputs: syntax error: roles (in <string>:4)",
        ),
        (ChatRequest("m", ()), "{{ guideline }}", "Missing template vatiable: guideline"),
        (
            ChatRequest("m", ()),
            "a\n{{ strftime_now('%Y') }}",
            (
                "Failed applying chat template to inputs: "
                "unknown function: strftime_now is unknown (in <string>:2)"
            ),
        ),
        (
            ChatRequest("m", ()),
            "{{ nobody.name }}",
            "Failed applying chat template to inputs: undefined value (in <string>:1)",
        ),
        (
            ChatRequest("m", ()),
            "{{ 1 + 'a' }}",
            "Failed applying chat template to inputs: invalid operation: ",
        ),
        (
            ChatRequest("m", ()),
            None,
            "Failed applying chat template to inputs: template not found",
        ),
    ],
)
def test_template_faults_are_422(asked: ChatRequest, template: str | None, message: str) -> None:
    """A template that fails is a 422 with its line, before any stream has begun."""
    with pytest.raises(LoraxRefusal) as caught:
        _prepare(asked, template)
    assert caught.value.status == 422
    assert caught.value.message.startswith(message)


def test_only_a_missing_template_is_not_counted() -> None:
    """A missing template is not counted as a failure, and other template errors are."""
    for template, counted in ((None, ""), ("{{ raise_exception('no') }}", "template")):
        with pytest.raises(LoraxRefusal) as caught:
            _prepare(ChatRequest("m", ()), template)
        assert caught.value.counted_as == counted


def test_what_minijinja_writes_otherwise_than_jinja() -> None:
    """Maps are sorted, JSON is compact and safe in HTML, and values print as in minijinja."""
    tool = Tool("function", "<é'>", "f", {"type": "object", "b": 1.0, "a": [None, True]})
    asked = ChatRequest("m", (Message("user", "hi"),), tools=(tool,))
    function = (
        '{"description":"\\u003cé\\u0027\\u003e","name":"f",'
        '"parameters":{"a":[null,true],"b":1.0,"type":"object"}}'
    )
    assert _prepare(asked, "{{ tools[0] | tojson }}")[0] == (
        f'{{"function":{function},"type":"function"}}'
    )
    assert _prepare(asked, "{{ tools[0].function.parameters.a | tojson(indent=1) }}")[0] == (
        "[\n null,\n true\n]"
    )
    assert _prepare(asked, "{{ tools[0].function.parameters }}{{ bos_token is none }}")[0] == (
        '{"a": [none, true], "b": 1.0, "type": "object"}false'
    )
    assert _prepare(asked, "{{ none }}{{ nobody }}|{{ 1 == 1 }}")[0] == "none|true"


def test_a_template_that_does_not_parse_is_told_before_anybody_asks() -> None:
    """A template that does not parse is refused at the start."""
    assert check_template("{{ messages }}") == "{{ messages }}"
    with pytest.raises(TemplateFault, match="line 2: "):
        check_template("\n{% if %}")


def test_tools_and_a_format_exclude_each_other() -> None:
    """Tools, even an empty list, and a response format exclude each other; a text format is none."""
    body = '{"model":"m","messages":[],"tools":[],"response_format":{"type":"%s"}}'
    with pytest.raises(LoraxRefusal, match="Response format and tools are mutually exclusive"):
        _prepare(read((body % "json_object").encode(), CHAT_REQUEST))
    assert _prepare(read((body % "text").encode(), CHAT_REQUEST))[1:] == (None, False)
