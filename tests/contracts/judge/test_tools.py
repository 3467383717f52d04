"""Tool calls and structured output, broken in one place at a time."""

from collections.abc import Callable
from typing import Any

import pytest

from lorax_contracts.exchange import Exchange
from tests.contracts import samples
from tests.contracts.judge.cases import Case, each_case

CASES: tuple[Case, ...] = (
    (
        "OAI-TOOL-001",
        "an empty id",
        lambda: samples.edit(
            samples.tool_chat(), lambda d: d["choices"][0]["message"]["tool_calls"][0].update(id="")
        ),
    ),
    (
        "OAI-TOOL-001",
        "another type",
        lambda: samples.edit(
            samples.tool_chat(),
            lambda d: d["choices"][0]["message"]["tool_calls"][0].update(type="tool"),
        ),
    ),
    (
        "OAI-TOOL-001",
        "not offered",
        lambda: samples.edit(
            samples.tool_chat(),
            lambda d: d["choices"][0]["message"]["tool_calls"][0]["function"].update(name="launch"),
        ),
    ),
    (
        "OAI-TOOL-002",
        "not JSON",
        lambda: samples.edit(
            samples.tool_chat(),
            lambda d: d["choices"][0]["message"]["tool_calls"][0]["function"].update(
                arguments="{city}"
            ),
        ),
    ),
    (
        "OAI-TOOL-002",
        "an object instead of a string",
        lambda: samples.edit(
            samples.tool_chat(),
            lambda d: d["choices"][0]["message"]["tool_calls"][0]["function"].update(
                arguments={"city": "Paris"}
            ),
        ),
    ),
    (
        "OAI-TOOL-003",
        "in spite of none",
        lambda: samples.asking(samples.tool_chat(), tool_choice="none"),
    ),
    (
        "OAI-TOOL-003",
        "another than named",
        lambda: samples.asking(
            samples.tool_chat(), tool_choice={"type": "function", "function": {"name": "now"}}
        ),
    ),
    (
        "OAI-TOOL-003",
        "none in spite of required",
        lambda: samples.asking(
            samples.golden("chat_plain"), tools=samples.TOOLS, tool_choice="required"
        ),
    ),
    (
        "OAI-TOOL-003",
        "two in spite of parallel_tool_calls",
        lambda: samples.asking(
            samples.edit(
                samples.tool_chat(),
                lambda d: d["choices"][0]["message"]["tool_calls"].append(
                    {**d["choices"][0]["message"]["tool_calls"][0], "id": "call_2"}
                ),
            ),
            parallel_tool_calls=False,
        ),
    ),
    (
        "OAI-TOOL-004",
        "an id twice",
        lambda: samples.edit(
            samples.tool_chat(),
            lambda d: d["choices"][0]["message"]["tool_calls"].append(
                d["choices"][0]["message"]["tool_calls"][0]
            ),
        ),
    ),
    (
        "OAI-TOOL-005",
        "not its schema",
        lambda: samples.edit(
            samples.tool_chat(),
            lambda d: d["choices"][0]["message"]["tool_calls"][0]["function"].update(
                arguments='{"town":"Paris"}'
            ),
        ),
    ),
    (
        "OAI-TOOL-002",
        "the old form, not JSON",
        lambda: samples.edit(
            samples.golden("chat_plain"),
            lambda d: d["choices"][0]["message"].update(
                function_call={"name": "now", "arguments": "-"}
            ),
        ),
    ),
    (
        "OAI-JSON-001",
        "text",
        lambda: samples.asking(
            samples.edit(
                samples.golden("chat_plain"),
                lambda d: d["choices"][0]["message"].update(content="Hello"),
            ),
            response_format={"type": "json_object"},
        ),
    ),
    (
        "OAI-JSON-001",
        "a list",
        lambda: samples.asking(
            samples.edit(
                samples.golden("chat_plain"),
                lambda d: d["choices"][0]["message"].update(content="[1]"),
            ),
            response_format={"type": "json_object"},
        ),
    ),
    (
        "OAI-JSON-002",
        "not JSON",
        lambda: samples.asking(
            samples.edit(
                samples.golden("chat_plain"),
                lambda d: d["choices"][0]["message"].update(content='{"a":'),
            ),
            response_format={
                "type": "json_schema",
                "json_schema": {"name": "a", "strict": True, "schema": {"type": "object"}},
            },
        ),
    ),
    (
        "OAI-JSON-002",
        "not the schema",
        lambda: samples.asking(
            samples.edit(
                samples.golden("chat_plain"),
                lambda d: d["choices"][0]["message"].update(content="{}"),
            ),
            response_format={
                "type": "json_schema",
                "json_schema": {
                    "name": "a",
                    "strict": True,
                    "schema": {"type": "object", "required": ["a"]},
                },
            },
        ),
    ),
)


@each_case(CASES)
def test_one_broken_promise_is_found_under_its_law(
    law: str, what: str, broken: Callable[[], Exchange]
) -> None:
    """The law is named when, and only because, its promise is broken."""
    assert samples.found(broken(), strict=True) - {"OAI-HTTP-003"} == {law}, what


@pytest.mark.parametrize("right", [samples.tool_chat])
def test_a_right_answer_breaks_no_law(right: Callable[[], Exchange]) -> None:
    """No false alarm where every promise is kept."""
    assert samples.found(right(), strict=True) <= {"OAI-HTTP-003"}


def test_calls_cut_by_the_budget_are_no_fault() -> None:
    """Half an argument under length is what there is."""

    def cut(document: Any) -> None:
        choice = document["choices"][0]
        choice["finish_reason"] = "length"
        choice["message"]["tool_calls"][0]["function"]["arguments"] = '{"ci'

    assert samples.found(samples.edit(samples.tool_chat(), cut)) == set()


def test_a_forced_function_may_finish_with_stop() -> None:
    """OpenAI itself says stop when one function was forced by name."""
    named = {"type": "function", "function": {"name": "weather"}}
    exchange = samples.edit(
        samples.tool_chat(), lambda d: d["choices"][0].update(finish_reason="stop")
    )
    assert samples.found(samples.asking(exchange, tool_choice=named)) == set()
