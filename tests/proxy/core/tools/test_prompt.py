"""Tools in words: what a template that knows none is given instead."""

import json
import time
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorax_proxy.core.tools.prompt import (
    CALL_FORM,
    fit_messages,
    with_tool_prompt,
)

WEATHER = {
    "type": "function",
    "function": {"name": "weather", "description": "In a city.", "parameters": {"type": "object"}},
}
PROMPT = (
    "You can call these functions. Each is given with the JSON schema of its arguments:\n"
    '{"name": "weather", "description": "In a city.", "parameters": {"type": "object"}}\n'
    + CALL_FORM
)
CALL = {
    "id": "c1",
    "type": "function",
    "function": {"name": "weather", "arguments": {"city": "Oslo"}},
}
CONVERSATION: list[dict[str, Any]] = [
    {"role": "user", "content": "Rain?"},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "c1", "content": "yes"},
]


@dataclass(frozen=True)
class Knows:
    """What a template takes."""

    takes_system: bool = True
    takes_tools: bool = False
    takes_tool_calls: bool = False
    takes_tool_messages: bool = False


def test_tools_join_the_system_message() -> None:
    """Below what the operator or client wrote there."""
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    told = with_tool_prompt(messages, [WEATHER], takes_system=True)
    assert told == [{"role": "system", "content": f"Be brief.\n\n{PROMPT}"}, messages[1]]


def test_tools_bring_a_system_message() -> None:
    """Where there is none yet."""
    told = with_tool_prompt([{"role": "user", "content": "Hi"}], [WEATHER], takes_system=True)
    assert told == [{"role": "system", "content": PROMPT}, {"role": "user", "content": "Hi"}]


def test_tools_stand_before_the_first_question_where_there_is_no_system_role() -> None:
    """Gemma's early templates and Mistral's refuse a system message."""
    messages = [{"role": "user", "content": "Hi"}, {"role": "user", "content": "Ho"}]
    told = with_tool_prompt(messages, [WEATHER], takes_system=False)
    assert told == [{"role": "user", "content": f"{PROMPT}\n\nHi"}, messages[1]]


def test_tools_ask_themselves_where_nobody_asked() -> None:
    """A conversation without a user message gets one."""
    told = with_tool_prompt([{"role": "assistant", "content": "x"}], [WEATHER], takes_system=False)
    assert told == [{"role": "user", "content": PROMPT}, {"role": "assistant", "content": "x"}]


def test_calls_and_results_become_text() -> None:
    """In the form that the tool prompt asks for, the result naming its function."""
    fitted = fit_messages(Knows(), CONVERSATION, None)
    assert fitted.messages == [
        {"role": "user", "content": "Rain?"},
        {"role": "assistant", "content": '[{"name": "weather", "arguments": {"city": "Oslo"}}]'},
        {"role": "user", "content": "The function weather returned:\nyes"},
    ]


def test_results_and_the_next_question_are_one_user_message() -> None:
    """Templates without tools insist that user and assistant alternate."""
    more = [
        *CONVERSATION,
        {"role": "tool", "tool_call_id": "?", "content": "no"},
        {"role": "user", "content": "So?"},
    ]
    fitted = fit_messages(Knows(), more, None)
    assert [m["role"] for m in fitted.messages] == ["user", "assistant", "user"]
    assert fitted.messages[-1]["content"] == (
        "The function weather returned:\nyes\n\nThe function returned:\nno\n\nSo?"
    )


def test_arguments_that_are_text_are_written_as_they_are() -> None:
    """A call that was cut short is no object."""
    call = {"id": "c", "function": {"name": "f", "arguments": '{"a": '}}
    fitted = fit_messages(
        Knows(), [{"role": "assistant", "content": "x", "tool_calls": [call]}], None
    )
    assert fitted.messages[0]["content"] == 'x\n\n[{"name": "f", "arguments": {"a": }]'


def test_what_the_template_takes_is_left_to_it() -> None:
    """A template for tools gets tools, calls and results as they are."""
    knows = Knows(takes_tools=True, takes_tool_calls=True, takes_tool_messages=True)
    fitted = fit_messages(knows, CONVERSATION, [WEATHER])
    assert fitted.messages == CONVERSATION
    assert fitted.tools == [WEATHER]


def test_told_tools_are_not_given_twice() -> None:
    """Tools in the text are not a variable any more."""
    fitted = fit_messages(Knows(), CONVERSATION, [WEATHER])
    assert fitted.tools is None
    assert fitted.messages[0] == {"role": "system", "content": PROMPT}


def test_no_tools_change_nothing() -> None:
    """An ordinary conversation passes as it is, with none or no tools."""
    messages = [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]
    assert fit_messages(Knows(), messages, None).messages == messages
    assert fit_messages(Knows(), messages, []).messages == messages


@pytest.mark.property
@given(st.dictionaries(st.text(), st.integers() | st.text()))
def test_a_written_call_can_be_read_back(arguments: dict[str, Any]) -> None:
    """The text of a call is the JSON that the tool prompt asks for."""
    call = {"id": "c", "function": {"name": 'f"', "arguments": arguments}}
    fitted = fit_messages(Knows(), [{"role": "assistant", "tool_calls": [call]}], None)
    assert json.loads(fitted.messages[0]["content"]) == [{"name": 'f"', "arguments": arguments}]


def test_many_results_are_joined_in_one_go() -> None:
    """Each of them once: joined one by one, these would move 50 GB."""
    results = [{"role": "tool", "tool_call_id": "c", "content": "x" * 400}] * 16_000
    began = time.process_time()
    (told,) = fit_messages(Knows(), results, None).messages
    assert time.process_time() - began < 1
    assert told["content"].count("x" * 400) == 16_000
