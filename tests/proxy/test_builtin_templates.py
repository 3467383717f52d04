"""The built-in templates, each against the exact prompt that its model's publisher documents."""

from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorax_proxy.core.template.chat_template import ChatTemplate, TemplateError, TemplateRefused
from lorax_proxy.core.tools.prompt import fit_messages
from lorax_proxy.template_files import builtin_names, load_template

TEXTS = st.text("ab \n<|>{}", max_size=12)
TURNS = st.lists(
    st.builds(
        lambda role, content: {"role": role, "content": content},
        st.sampled_from(["system", "user", "assistant", "tool", "other"]),
        TEXTS,
    ),
    max_size=6,
)

NOW = datetime(2026, 1, 2)  # noqa: DTZ001 - templates print local time
TEMPLATES = {name: load_template(name) for name in builtin_names()}

CHAT: list[dict[str, Any]] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Hello."},
    {"role": "user", "content": "Rain?"},
]
CALL = {
    "id": "call_123456789",
    "type": "function",
    "function": {"name": "weather", "arguments": {"city": "Oslo"}},
}
CALLED: list[dict[str, Any]] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Rain?"},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "call_123456789", "content": "yes"},
]
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
TOOL_JSON = (
    '{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}'
)
TOOL_INDENTED = """{
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {
            "type": "object"
        }
    }
}"""

LLAMA_3 = (
    "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\n{system}Be brief.<|eot_id|>"
    "<|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\nHello.<|eot_id|>"
    "<|start_header_id|>user<|end_header_id|>\n\nRain?<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\n"
)
CHATML = (
    "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
    "<|im_start|>assistant\nHello.<|im_end|>\n<|im_start|>user\nRain?<|im_end|>\n"
    "<|im_start|>assistant\n"
)
MISTRAL = "<s>[INST] Be brief.\n\nHi [/INST] Hello.</s>[INST] Rain? [/INST]"

PROMPTS = {
    "chatml": CHATML,
    "gemma-it": "<bos><start_of_turn>user\nBe brief.\n\nHi<end_of_turn>\n"
    "<start_of_turn>model\nHello.<end_of_turn>\n"
    "<start_of_turn>user\nRain?<end_of_turn>\n<start_of_turn>model\n",
    "llama-2-chat": "<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\nHi [/INST] Hello. </s>"
    "<s>[INST] Rain? [/INST]",
    "llama-3": LLAMA_3.replace("{system}", ""),
    "llama-3.1": LLAMA_3.replace(
        "{system}", "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n"
    ),
    "llama-3.2": LLAMA_3.replace(
        "{system}", "Cutting Knowledge Date: December 2023\nToday Date: 02 Jan 2026\n\n"
    ),
    "mistral-instruct": MISTRAL,
    "mistral-instruct-v0.3": "<s>[INST] Hi[/INST] Hello.</s>[INST] Be brief.\n\nRain?[/INST]",
    "mixtral": MISTRAL,
    "phi-3": "<|system|>\nBe brief.<|end|>\n<|user|>\nHi<|end|>\n<|assistant|>\nHello.<|end|>\n"
    "<|user|>\nRain?<|end|>\n<|assistant|>\n",
    "plain": "Be brief.\n\nUser: Hi\nAssistant: Hello.\nUser: Rain?\nAssistant:",
    "qwen2": CHATML,
    "qwen2.5": CHATML,
    "zephyr": "<|system|>\nBe brief.</s>\n<|user|>\nHi</s>\n<|assistant|>\nHello.</s>\n"
    "<|user|>\nRain?</s>\n<|assistant|>\n",
}

LLAMA_TOOLS = (
    "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nEnvironment: ipython\n"
    "Cutting Knowledge Date: December 2023\nToday Date: {date}\n\nBe brief.<|eot_id|>"
    "<|start_header_id|>user<|end_header_id|>\n\n"
    "Given the following functions, please respond with a JSON for a function call with its "
    "proper arguments that best answers the given prompt.\n\n"
    'Respond in the format {"name": function name, "parameters": dictionary of argument name and '
    f"its value}}.Do not use variables.\n\n{TOOL_INDENTED}\n\nRain?<|eot_id|>"
    '<|start_header_id|>assistant<|end_header_id|>\n\n{"name": "weather", "parameters": '
    '{"city": "Oslo"}}<|eot_id|>'
    '<|start_header_id|>ipython<|end_header_id|>\n\n"yes"<|eot_id|>'
    "<|start_header_id|>assistant<|end_header_id|>\n\n"
)
TOOL_PROMPTS = {
    "llama-3.1": LLAMA_TOOLS.replace("{date}", "26 Jul 2024"),
    "llama-3.2": LLAMA_TOOLS.replace("{date}", "02 Jan 2026"),
    "mistral-instruct-v0.3": f"<s>[AVAILABLE_TOOLS] [{TOOL_JSON}][/AVAILABLE_TOOLS]"
    "[INST] Be brief.\n\nRain?[/INST]"
    '[TOOL_CALLS] [{"name": "weather", "arguments": {"city": "Oslo"}, "id": "123456789"}]</s>'
    '[TOOL_RESULTS] {"content": "yes", "call_id": "123456789"}[/TOOL_RESULTS]',
    "qwen2.5": "<|im_start|>system\nBe brief.\n\n# Tools\n\nYou may call one or more functions to "
    "assist with the user query.\n\nYou are provided with function signatures within "
    f"<tools></tools> XML tags:\n<tools>\n{TOOL_JSON}\n</tools>\n\nFor each function call, return a "
    "json object with function name and arguments within <tool_call></tool_call> XML tags:\n"
    '<tool_call>\n{"name": <function-name>, "arguments": <args-json-object>}\n</tool_call>'
    "<|im_end|>\n<|im_start|>user\nRain?<|im_end|>\n<|im_start|>assistant\n<tool_call>\n"
    '{"name": "weather", "arguments": {"city": "Oslo"}}\n</tool_call><|im_end|>\n'
    "<|im_start|>user\n<tool_response>\nyes\n</tool_response><|im_end|>\n<|im_start|>assistant\n",
}


def test_every_built_in_is_written_down_here() -> None:
    """No template without its prompt, and no prompt without its template."""
    assert set(PROMPTS) == set(builtin_names())
    assert set(TOOL_PROMPTS) == {name for name, t in TEMPLATES.items() if t.takes_tools}


@pytest.mark.parametrize("name", PROMPTS)
def test_a_conversation_is_written_as_published(name: str) -> None:
    """System message, two questions, and the answer opened."""
    assert TEMPLATES[name].render(CHAT, now=NOW) == PROMPTS[name]


@pytest.mark.parametrize("name", TOOL_PROMPTS)
def test_tools_are_written_as_published(name: str) -> None:
    """The tool, its call and its result."""
    template = TEMPLATES[name]
    assert template.takes_tool_calls
    assert template.takes_tool_messages
    assert template.render(CALLED, tools=[TOOL], now=NOW) == TOOL_PROMPTS[name]


@pytest.mark.parametrize(
    ("name", "opening"),
    [
        ("chatml", "<|im_start|>user\nHi"),
        (
            "qwen2",
            "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\nHi",
        ),
        (
            "qwen2.5",
            (
                "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful "
                "assistant.<|im_end|>\n<|im_start|>user\nHi"
            ),
        ),
        ("llama-3", "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nHi"),
        ("llama-3.1", "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nCutting"),
        ("llama-2-chat", "<s>[INST] Hi [/INST]"),
        ("mistral-instruct-v0.3", "<s>[INST] Hi[/INST]"),
        ("plain", "User: Hi\n"),
    ],
)
def test_a_missing_system_message_is_what_the_model_was_taught(name: str, opening: str) -> None:
    """Qwen's models have one of their own; the others none."""
    assert TEMPLATES[name].render(CHAT[1:2], now=NOW).startswith(opening)


@pytest.mark.parametrize("name", ["llama-3.1", "llama-3.2"])
def test_the_date_can_be_given(name: str) -> None:
    """By the argument that Meta's own templates read."""
    prompt = TEMPLATES[name].render(CHAT, kwargs={"date_string": "1 May 2025"}, now=NOW)
    assert "Today Date: 1 May 2025\n" in prompt


@pytest.mark.parametrize(
    "name", ["llama-2-chat", "mistral-instruct", "mistral-instruct-v0.3", "mixtral", "gemma-it"]
)
def test_two_questions_in_a_row_are_refused_where_turns_must_alternate(name: str) -> None:
    """With the model's name in the reason."""
    with pytest.raises(TemplateRefused, match="in turn"):
        TEMPLATES[name].render([CHAT[1], CHAT[3]], now=NOW)


@pytest.mark.parametrize("name", ["phi-3", "zephyr", "plain"])
def test_roles_that_the_model_does_not_know_are_refused(name: str) -> None:
    """Rather than written into a tag that it never saw."""
    with pytest.raises(TemplateRefused, match="system, user and assistant"):
        TEMPLATES[name].render([{"role": "tool", "content": "x"}], now=NOW)


@pytest.mark.parametrize("name", PROMPTS)
def test_every_built_in_can_serve_a_conversation_with_tools(name: str) -> None:
    """By itself, or with the tools put into words."""
    template = TEMPLATES[name]
    fitted = fit_messages(template, CALLED, [TOOL])
    prompt = template.render(fitted.messages, tools=fitted.tools, now=NOW)
    for part in ("Be brief.", '"weather"', '{"city": "Oslo"}', "Rain?", "yes"):
        assert part in prompt


OPENINGS: dict[str, list[dict[str, Any]]] = {
    "a question": [CHAT[1]],
    "a system message": [CHAT[0], CHAT[1]],
    "two system messages": [CHAT[0], {"role": "system", "content": "It is late."}, CHAT[1]],
    "a greeting by the assistant": [{"role": "assistant", "content": "Good day."}, CHAT[1]],
    "a system message and a greeting": [
        CHAT[0],
        {"role": "assistant", "content": "Good day."},
        CHAT[1],
    ],
    "a system message in between": [CHAT[1], {"role": "system", "content": "It is late."}],
    "only a system message": [CHAT[0]],
    "only a greeting": [{"role": "assistant", "content": "Good day."}],
    "a call that nobody asked for": [
        {"role": "assistant", "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "call_123456789", "content": "no"},
        CHAT[3],
    ],
}


@pytest.mark.parametrize("opening", OPENINGS)
@pytest.mark.parametrize("name", PROMPTS)
def test_a_conversation_that_is_taken_is_taken_with_tools(name: str, opening: str) -> None:
    """Whoever speaks first: with tools too everything that is said is in the prompt, once."""
    template, messages = TEMPLATES[name], OPENINGS[opening]
    plain = fit_messages(template, messages, None)
    try:
        template.render(plain.messages, now=NOW)
    except TemplateRefused:
        return
    fitted = fit_messages(template, messages, [TOOL])
    prompt = template.render(fitted.messages, tools=fitted.tools, now=NOW)
    said = [message["content"] for message in messages if "content" in message]
    for text in ("parameters", *said):
        assert text in prompt
    alone = template.render(plain.messages, now=NOW)
    assert all(text in alone for text in said)
    assert all(prompt.count(text) == 1 for text in said if len(text) > 5)


ALONE = {
    "gemma-it": "<bos><start_of_turn>user\nBe brief.<end_of_turn>\n<start_of_turn>model\n",
    "llama-2-chat": "<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\n [/INST]",
    "mistral-instruct": "<s>[INST] Be brief. [/INST]",
    "mistral-instruct-v0.3": "<s>[INST] Be brief.[/INST]",
    "mixtral": "<s>[INST] Be brief. [/INST]",
}


@pytest.mark.parametrize("name", ALONE)
def test_a_system_message_alone_is_a_question(name: str) -> None:
    """Where the model has no system turn: what was said would be lost without a word."""
    assert TEMPLATES[name].render(CHAT[:1], now=NOW) == ALONE[name]


@pytest.mark.parametrize("name", ["llama-3.1", "llama-3.2"])
def test_tools_stand_in_the_first_user_turn_wherever_it_is(name: str) -> None:
    """Or, where the user has said nothing, in one of their own behind the system turn."""
    given = "Given the following functions"
    user = "<|start_header_id|>user<|end_header_id|>\n\n"
    for opening, messages in OPENINGS.items():
        prompt = TEMPLATES[name].render(messages, tools=[TOOL], now=NOW)
        assert prompt.count(given) == prompt.count(user + given) == 1, opening
        asked = [each["content"] for each in messages if each["role"] == "user"]
        turns = prompt.split(user)[1:]
        assert len(turns) == max(1, len(asked))
        assert (
            turns[0]
            .partition("<|eot_id|>")[0]
            .endswith(f"{TOOL_INDENTED}\n\n{asked[0] if asked else ''}")
        )


@pytest.mark.parametrize("name", ["llama-3.1", "llama-3.2", "qwen2.5", "mistral-instruct-v0.3"])
def test_parallel_calls_are_all_written(name: str) -> None:
    """Two calls and two results, each there."""
    second = {**CALL, "id": "call_abcdefghi", "function": {"name": "f", "arguments": {"n": 2}}}
    messages = [
        CALLED[1],
        {"role": "assistant", "tool_calls": [CALL, second]},
        CALLED[3],
        {"role": "tool", "tool_call_id": "call_abcdefghi", "content": "no"},
    ]
    prompt = TEMPLATES[name].render(messages, tools=[TOOL], now=NOW)
    for part in ('{"city": "Oslo"}', '{"n": 2}', "yes", "no"):
        assert part in prompt


@pytest.mark.property
@given(
    st.sampled_from(sorted(PROMPTS)),
    st.lists(st.text(st.sampled_from("ab \n<é")).map(str.strip), min_size=1, max_size=5),
)
def test_contents_stand_in_the_prompt_in_order(name: str, texts: list[str]) -> None:
    """Whatever is said, each turn's text follows the one before."""
    roles = ("user", "assistant")
    messages = [{"role": roles[i % 2], "content": f"<{i}>{t}"} for i, t in enumerate(texts)]
    template: ChatTemplate = TEMPLATES[name]
    prompt, place = template.render(messages, now=NOW), 0
    for message in messages:
        place = prompt.index(message["content"], place) + len(message["content"])


@pytest.mark.property
@given(st.sampled_from(sorted(PROMPTS)), st.text(st.sampled_from("ab \n"), min_size=1))
def test_an_answer_can_be_continued(name: str, start: str) -> None:
    """The prompt ends with what the assistant had begun to say."""
    messages = [CHAT[1], {"role": "assistant", "content": f"Well{start}"}]
    prompt = TEMPLATES[name].render(messages, continue_final_message=True, now=NOW)
    assert prompt.endswith((f"Well{start}", f"Well{start}".rstrip()))


def told(template: ChatTemplate, **given: Any) -> str:
    """The prompt, or the refusal."""
    try:
        return template.render(**given, now=NOW)
    except TemplateError as error:
        return f"{type(error).__name__}: {error}"


@pytest.mark.property
@given(st.sampled_from(sorted(TEMPLATES)), TURNS, st.booleans(), st.booleans())
def test_what_is_not_counted_is_rendered_the_same(
    name: str, turns: list[dict[str, Any]], tools: bool, thinking: bool
) -> None:
    """The prompt and the refusal of a small input are those of the metered template."""
    given = {
        "messages": turns,
        "tools": [TOOL] if tools else None,
        "kwargs": {"enable_thinking": thinking},
    }
    template = TEMPLATES[name]
    assert told(template, counted=False, **given) == told(template, counted=True, **given)
