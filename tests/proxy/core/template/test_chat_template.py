"""One chat template and its renderings: what a template sees, and who is told what when it fails."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorax_proxy.core.template.budget import Limits
from lorax_proxy.core.template.chat_template import (
    ChatTemplate,
    SpecialTokens,
    TemplateExhausted,
    TemplateFailed,
    TemplateInvalid,
    TemplateRefused,
    strip_leading_bos,
)
from lorax_proxy.errors import ProxyError

NOW = datetime(2026, 1, 2, 3, 4, 5)  # noqa: DTZ001 - templates print local time
TOKENS = SpecialTokens("<s>", "</s>", {"pad_token": "<pad>"})
HELLO = [{"role": "user", "content": "Hello"}]
TURNS = "{% for m in messages %}<{{ m.role }}>{{ m.content }}</{{ m.role }}>{% endfor %}"


def compiled(source: str, tool_use: str | None = None) -> ChatTemplate:
    """A template called mine."""
    return ChatTemplate.compile(source, "mine", TOKENS, tool_use)


def rendered(source: str, messages: Sequence[Mapping[str, Any]] = HELLO, **given_: Any) -> str:
    """The prompt of a template, for a greeting unless other messages are given."""
    return compiled(source).render(messages, now=NOW, **given_)


def test_a_prompt_is_what_the_template_prints() -> None:
    """Messages, special tokens and the wish for an answer are variables."""
    source = (
        "{{ bos_token }}" + TURNS + "{{ pad_token }}{% if add_generation_prompt %}<a>{% endif %}"
    )
    assert rendered(source) == "<s><user>Hello</user><pad><a>"


def test_the_generation_prompt_can_be_left_out() -> None:
    """It is opened by default, unless the client says no or continues a message."""
    source = "{{ add_generation_prompt }}"
    continued = "{{ messages[0].content }}{{ add_generation_prompt }}"
    assert rendered(source) == "True"
    assert rendered(source, add_generation_prompt=False) == "False"
    assert rendered(continued, continue_final_message=True) == "Hello"


def test_a_token_that_the_model_lacks_is_undefined() -> None:
    """Templates ask whether `bos_token is defined`; an empty token is none."""
    template = ChatTemplate.compile("{{ bos_token is defined }}", "x", SpecialTokens())
    assert template.render(HELLO, now=NOW) == "False"


def test_the_clients_arguments_are_variables() -> None:
    """`chat_template_kwargs`, beside the special tokens."""
    assert rendered("{{ bos_token }}{{ mood }}", kwargs={"mood": "calm"}) == "<s>calm"


@pytest.mark.parametrize(
    "name",
    [
        *("messages", "tools", "documents", "add_generation_prompt", "continue_final_message"),
        *("bos_token", "eos_token", "pad_token", "mask_token"),
        *("raise_exception", "strftime_now", "namespace", "range"),
    ],
)
def test_the_clients_arguments_replace_nothing_of_ours(name: str) -> None:
    """The conversation, the tokens that open and close it, and what the language is made of."""
    with pytest.raises(TemplateRefused, match=f"must not set '{name}'"):
        rendered(TURNS, kwargs={name: []})


def test_a_models_own_special_tokens_are_reserved_too() -> None:
    """Whatever names its configuration gives them."""
    tokens = SpecialTokens(others={"image_token": "<i>"})
    template = ChatTemplate.compile("{{ image_token }}", "t", tokens)
    assert template.is_reserved("image_token")
    assert not template.is_reserved("mood")


def test_null_keys_of_a_message_are_absent() -> None:
    """OpenAI's null content is no `None` in the prompt."""
    message = {"role": "assistant", "content": None}
    assert rendered("{{ messages[0].content is defined }}", [message]) == "False"


@pytest.mark.parametrize("key", ["reasoning_content", "thinking", "reasoning"])
def test_reasoning_reaches_the_template_under_the_names_that_templates_read(key: str) -> None:
    """Whatever the client calls it, `reasoning_content` and `thinking` hold it."""
    source = "{{ messages[0].reasoning_content }}|{{ messages[0].thinking }}"
    assert rendered(source, [{"role": "assistant", "content": "x", key: "hm"}]) == "hm|hm"


def test_tools_choose_the_tool_use_template() -> None:
    """A model's template for tools is used when there are tools, even none of them."""
    template = compiled("default", "tool_use {{ tools | length }}")
    assert template.render(HELLO, now=NOW) == "default"
    assert template.render(HELLO, tools=[], now=NOW) == "tool_use 0"
    assert template.takes_tools


def test_what_a_template_takes_is_read_from_its_source() -> None:
    """Variables and names in the syntax tree say whether tools, calls and documents have a place."""
    plain = compiled(TURNS)
    assert (plain.takes_tools, plain.takes_documents) == (False, False)
    assert (plain.takes_tool_calls, plain.takes_tool_messages) == (False, False)
    rich = compiled(
        "{{ tools }}{{ documents }}{% for m in messages if m.role == 'tool' or m.tool_calls %}"
        "{% endfor %}"
    )
    assert (rich.takes_tools, rich.takes_documents) == (True, True)
    assert (rich.takes_tool_calls, rich.takes_tool_messages) == (True, True)
    assert compiled("{{ messages[0]['tool_calls'] }}").takes_tool_calls


@pytest.mark.parametrize(
    ("source", "takes"),
    [
        (TURNS, True),
        ("{% if messages[0].role == 'system' %}{{ raise_exception('no') }}{% endif %}", False),
        ("{% for m in messages if m.role != 'system' %}{{ m.content }}{% endfor %}", False),
    ],
)
def test_whether_a_system_message_is_printed_is_found_by_trying(source: str, takes: bool) -> None:
    """A template that refuses or drops the system message has no system role."""
    assert compiled(source).takes_system is takes


@pytest.mark.parametrize(
    ("content", "source", "prompt"),
    [
        ("So far", TURNS, "<user>So far"),
        ("So far ", TURNS, "<user>So far "),
        ("So far ", "[{{ messages[0].content | trim }}]", "[So far"),
        ([{"type": "text", "text": "A"}, {"type": "text", "text": "B"}], "-{{ messages[0].content[1].text }}-", "-B"),
    ],
)  # fmt: skip
def test_a_final_message_can_be_left_open(content: Any, source: str, prompt: str) -> None:
    """What the template closes a message with is not in the prompt."""
    messages = [{"role": "user", "content": content}]
    assert rendered(source, messages, continue_final_message=True) == prompt


@pytest.mark.parametrize(
    ("source", "message", "why"),
    [
        (TURNS, {"role": "user"}, "has no content"),
        (TURNS, {"role": "user", "content": []}, "no text to continue"),
        ("{{ messages[0].role }}", {"role": "user", "content": "x"}, "does not print contents"),
        ("{{ messages[0].content | upper }}", {"role": "user", "content": "x"}, "as it is"),
    ],
)
def test_a_final_message_that_cannot_be_continued_is_refused(
    source: str, message: dict[str, Any], why: str
) -> None:
    """No text, or a template that changes it: the client is told which."""
    with pytest.raises(TemplateRefused, match=why):
        rendered(source, [message], continue_final_message=True)


def test_continuing_and_opening_a_turn_contradict_each_other() -> None:
    """Asking for both is refused."""
    with pytest.raises(TemplateRefused, match="contradict"):
        rendered(TURNS, continue_final_message=True, add_generation_prompt=True)


def test_an_empty_conversation_is_refused() -> None:
    """As transformers refuses it."""
    with pytest.raises(TemplateRefused, match="no message"):
        rendered(TURNS, [])


def test_the_clients_messages_are_not_changed() -> None:
    """The mark of a continued message goes into a copy."""
    messages = [{"role": "user", "content": [{"type": "text", "text": "A"}]}]
    rendered("{{ messages[0].content[0].text }}", messages, continue_final_message=True)
    assert messages == [{"role": "user", "content": [{"type": "text", "text": "A"}]}]


@pytest.mark.parametrize(
    ("source", "error", "text"),
    [
        ("\n\n{% if %}", TemplateInvalid, "chat template mine, line 3: "),
        ("\n{{ x | nope }}", TemplateInvalid, "chat template mine, line 2: No filter named 'nope'."),
        ("{% for a in [1] %}" * 25 + "{% endfor %}" * 25, TemplateInvalid, "does not compile: SyntaxError"),
        ("x" * 1_000_001, TemplateInvalid, "1000001 characters, at most 1000000"),
        ("\n\n{{ a.b }}", TemplateFailed, "chat template mine, line 3: UndefinedError: 'a' is undefined"),
        ("\n{{ 'a' + 1 }}", TemplateFailed, "chat template mine, line 2: TypeError"),
        ("\n{% macro f() %}\n{{ a.b }}{% endmacro %}\n\n{{ f() }}", TemplateFailed, "line 3"),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", TemplateFailed, "recurses too deeply"),
        ("\n{{ raise_exception('Only users, ' ~ messages[0].content) }}", TemplateRefused, "chat template mine, line 2: Only users, Hello"),
        ("\n{{ 'a' * 10 ** 7 }}", TemplateExhausted, "chat template mine: its prompt is longer"),
    ],
)  # fmt: skip
def test_every_failure_names_the_template_the_line_and_the_reason(
    source: str, error: type[ProxyError], text: str
) -> None:
    """One class for each person who can mend it."""
    with pytest.raises(error) as caught:
        rendered(source)
    assert text in str(caught.value)
    assert type(caught.value) is error


def test_the_templates_own_words_are_kept_apart() -> None:
    """The client is told what the template said."""
    with pytest.raises(TemplateRefused) as caught:
        rendered("{{ raise_exception('Users first.') }}")
    assert caught.value.message == "Users first."
    assert (caught.value.name, caught.value.line) == ("mine", 1)


def test_a_long_reason_is_cut() -> None:
    """An error message is no way to send a megabyte back."""
    with pytest.raises(TemplateRefused) as caught:
        rendered("{{ raise_exception('a' * 10000) }}")
    assert len(str(caught.value)) < 500


def test_the_failing_variant_is_named() -> None:
    """Of two templates, the error names the one that failed."""
    with pytest.raises(TemplateFailed, match=r"mine \(tool_use\), line 1"):
        compiled("", "{{ a.b }}").render(HELLO, tools=[], now=NOW)


def test_messages_nested_beyond_the_stack_are_refused() -> None:
    """Not a crash of the proxy."""
    deep: Any = []
    for _ in range(5_000):
        deep = [deep]
    with pytest.raises(TemplateRefused, match="nested too deeply"):
        rendered(TURNS, [{"role": "user", "content": deep}])


def test_clients_text_is_never_template_source() -> None:
    """Jinja in a message is text."""
    attack = "{{ 7 * 7 }}{% for x in range(9) %}{% endfor %}{# c #}"
    assert rendered("{{ messages[0].content }}", [{"role": "user", "content": attack}]) == attack


def test_the_output_is_bounded_by_the_inputs_size() -> None:
    """The same template passes with a conversation that is worth it."""
    limits = Limits(output=10, output_per_input=2)
    template = ChatTemplate.compile("{{ messages[0].content * 3 }}", "x", TOKENS, limits=limits)
    assert template.render([{"role": "user", "content": "abcd"}], now=NOW) == "abcd" * 3
    with pytest.raises(TemplateExhausted, match="prompt is longer"):
        template.render([{"role": "user", "content": "a" * 100}], now=NOW)


def test_a_long_conversation_renders() -> None:
    """Two thousand messages, collected in a variable that is copied for each, are no attack."""
    source = (
        "{% set ns = namespace(text='') %}{% for m in messages %}"
        "{% if messages | selectattr('role', 'equalto', 'system') | list | length == 0 %}"
        "{% set ns.text = ns.text ~ m.content ~ '\\n' %}{% endif %}{% endfor %}{{ ns.text }}"
    )
    messages = [{"role": "user", "content": "word " * 20}] * 300
    assert rendered(source, messages) == ("word " * 20 + "\n") * 300


@pytest.mark.property
@given(st.text(max_size=9), st.sampled_from(["<s>", "<|begin_of_text|>", "<bos>"]))
def test_one_leading_bos_is_stripped(prompt: str, bos: str) -> None:
    """Exactly one, and only in front."""
    assert strip_leading_bos(bos + prompt, bos) == prompt
    assert strip_leading_bos(bos + bos + prompt, bos) == bos + prompt
    if not prompt.startswith(bos):
        assert strip_leading_bos(prompt, bos) == prompt
    assert strip_leading_bos(prompt, "") == prompt


@pytest.mark.property
@given(
    st.lists(
        st.fixed_dictionaries(
            {"role": st.sampled_from(["user", "assistant", "system"]), "content": st.text()}
        ),
        min_size=1,
    )
)
def test_equal_conversations_give_equal_prompts(messages: list[dict[str, str]]) -> None:
    """And a template that prints contents prints them as they are."""
    template = compiled("{% for m in messages %}{{ m.content }}{% endfor %}")
    prompt = template.render(messages, now=NOW)
    assert prompt == template.render(messages, now=NOW) == "".join(m["content"] for m in messages)
