"""Grammars for tools, through LoRAX's compiler and back through our reader."""

import json
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lorax_proxy.core.schema.cost import compile_cost
from lorax_proxy.core.schema.lowered import MOST, SchemaRefused
from lorax_proxy.core.tools.grammar import (
    Allowed,
    ArgumentsDelta,
    Auto,
    CallStarted,
    Choice,
    FunctionTool,
    Named,
    Required,
    TextDelta,
    ToolReader,
    tool_grammar,
)
from tests.compat.outlines.judging import PROPERTY_SECONDS, Compiler, complaint, promised
from tests.compat.outlines.real import Options, Owner
from tests.compat.outlines.test_lowering import SCHEMAS, SEEDS

pytestmark = [pytest.mark.compat, pytest.mark.timeout(PROPERTY_SECONDS)]

WEATHER: dict[str, Any] = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
        "days": {"type": "integer", "minimum": 1, "maximum": 7},
    },
    "required": ["city"],
}
NOTHING = {"type": "object", "maxProperties": 0}
TOOLS = [
    FunctionTool("get_weather", None, WEATHER, strict=False),
    FunctionTool("now", None, None, strict=False),
    FunctionTool("anything", None, {}, strict=False),
    FunctionTool("owner", None, Owner.model_json_schema(), strict=True),
    FunctionTool("options", None, Options.model_json_schema(), strict=False),
]
CHOICES: list[tuple[Choice, bool]] = [
    (choice, parallel)
    for choice in (
        Auto(),
        Required(),
        Named("get_weather"),
        Named("now"),
        Allowed(("now", "owner"), "auto"),
        Allowed(("options",), "required"),
    )
    for parallel in (True, False)
]


def calls_of(text: str, reader: ToolReader) -> tuple[str, list[tuple[str, Any]]]:
    """The text and the calls that a generated document amounts to, read character by character."""
    content = ""
    calls: list[tuple[str, str]] = []
    for delta in [delta for character in text for delta in reader.feed(character)]:
        match delta:
            case TextDelta(more):
                content += more
            case CallStarted(index, name):
                assert index == len(calls)
                calls.append((name, ""))
            case ArgumentsDelta(index, fragment):
                assert index == len(calls) - 1
                calls[index] = (calls[index][0], calls[index][1] + fragment)
    assert reader.finish() == []
    assert reader.complete, text
    assert not reader.malformed
    return content, [(name, json.loads(arguments)) for name, arguments in calls]


@pytest.mark.parametrize(("choice", "parallel"), CHOICES)
def test_samples_come_back_as_valid_calls(
    compiler: Compiler, choice: Choice, parallel: bool
) -> None:
    """Everything the grammar lets a model write is read back, and its arguments are valid."""
    grammar = tool_grammar(TOOLS, choice, parallel=parallel)
    assert grammar is not None
    answer = compiler.ask(grammar.schema, seeds=list(range(120)))
    assert "error" not in answer, answer
    schemas = {
        tool.name: promised(
            NOTHING if tool.parameters is None else tool.parameters,
            [each for each in grammar.dropped if each.startswith(f"tools[{index}].")],
            f"tools[{index}].function.parameters",
        )
        for index, tool in enumerate(TOOLS)
    }
    seen: set[str] = set()
    most = 0
    for text in answer["samples"]:
        content, calls = calls_of(text, ToolReader(grammar))
        assert not (content and calls)
        most = max(most, len(calls))
        for name, arguments in calls:
            seen.add(name)
            assert complaint(schemas[name], arguments) is None, (name, arguments)
        assert calls or grammar.form.text
    assert seen <= grammar.form.names
    assert (
        grammar.form.names
        == {
            "Auto": {tool.name for tool in TOOLS},
            "Required": {tool.name for tool in TOOLS},
            "Named": {getattr(choice, "name", "")},
            "Allowed": set(getattr(choice, "names", ())),
        }[type(choice).__name__]
    )
    assert most > 1 if grammar.form.parallel else most == 1
    assert grammar.form.parallel == parallel


# What is written -> whether auto, required and a named function's single call admit it.
LIMITS: dict[str, tuple[bool, bool, bool]] = {
    '"plain \\n text"': (True, False, False),
    '[{"name": "now", "arguments": {}}]': (True, True, True),
    '[{"name": "now", "arguments": {}}, {"name": "now", "arguments": {}}]': (True, True, False),
    '[{"name": "get_weather", "arguments": {"city": "Oslo"}}]': (True, True, False),
    '[{"name": "get_weather", "arguments": {}}]': (False, False, False),
    '[{"name": "other", "arguments": {}}]': (False, False, False),
    "[]": (False, False, False),
    "plain": (False, False, False),
    '[{"arguments": {}, "name": "now"}]': (False, False, False),
}


def test_the_choice_limits_what_can_be_written(compiler: Compiler) -> None:
    """Text only under auto, several calls only where they are allowed, only the named function."""
    grammars = [
        tool_grammar(TOOLS[:2], Auto(), parallel=True),
        tool_grammar(TOOLS[:2], Required(), parallel=True),
        tool_grammar(TOOLS[:2], Named("now"), parallel=False),
    ]
    verdicts = [
        compiler.ask(grammar.schema, texts=list(LIMITS))["accepted"]
        for grammar in grammars
        if grammar
    ]
    assert dict(zip(LIMITS, zip(*verdicts, strict=True), strict=True)) == LIMITS


# The schemas themselves have their property in test_lowering.
@pytest.mark.property
@settings(max_examples=settings().max_examples * 2 // 5)
@given(schema=SCHEMAS, seeds=SEEDS, strict=st.booleans(), parallel=st.booleans())
def test_any_parameters_give_valid_arguments(
    compiler: Compiler, schema: dict[str, Any], seeds: list[int], strict: bool, parallel: bool
) -> None:
    """Whatever a function's schema says, what comes back satisfies it, or is at least an object."""
    tools = [FunctionTool("f", None, schema, strict), FunctionTool("g", None, None, strict)]
    try:
        grammar = tool_grammar(tools, Required(), parallel=parallel)
    except SchemaRefused as refused:
        assert strict
        assert refused.path.startswith("tools[0].")  # noqa: PT017 - right where strict
        assume(False)
        raise
    assert grammar is not None
    assert MOST.covers(compile_cost(grammar.schema))
    answer = compiler.ask(grammar.schema, seeds=seeds)
    assert "error" not in answer, answer
    left = (
        {"type": "object"}
        if "tools[0].function.parameters" in grammar.dropped
        else promised(schema, grammar.dropped, "tools[0].function.parameters")
    )
    for text in answer["samples"]:
        for name, arguments in calls_of(text, ToolReader(grammar))[1]:
            assert isinstance(arguments, dict)
            assert complaint(left if name == "f" else NOTHING, arguments) is None
