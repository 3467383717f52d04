"""Lowered schemas with models' own vocabularies: what can be written, and what it costs LoRAX."""

import base64
import json
from collections.abc import Mapping
from typing import Any

import pytest

from lorax_proxy.core.schema.cost import compile_cost
from lorax_proxy.core.schema.lowered import JSON_OBJECT, lower
from lorax_proxy.core.schema.strings import FORMATS
from lorax_proxy.core.tools.grammar import Auto, FunctionTool, tool_grammar
from tests.compat.outlines.judging import Compiler, complaint, promised
from tests.compat.outlines.real import REAL

pytestmark = [pytest.mark.compat, pytest.mark.timeout(600)]

# The machine is not the one that the estimate's constants were measured on, and may be busy.
MOST_TIMES_OVER = 4


def lowered(schema: Any) -> Mapping[str, Any]:
    """What is sent."""
    return lower(schema, path="s", strict=False).schema


def strings(count: int, **more: Any) -> dict[str, Any]:
    """An object of so many strings."""
    names = [f"field_{number}" for number in range(count)]
    value = {"type": "string", **more}
    return {"type": "object", "properties": dict.fromkeys(names, value), "required": names}


def tools(count: int, width: int) -> Mapping[str, Any]:
    """The grammar of so many functions with so many strings each."""
    functions = [
        FunctionTool(f"tool_{number}", None, strings(width), strict=False)
        for number in range(count)
    ]
    grammar = tool_grammar(functions, Auto(), parallel=True)
    assert grammar
    return grammar.schema


@pytest.mark.parametrize("vocabulary", ["small", "large"])
@pytest.mark.parametrize("name", ["strict", "optional", "constants"])
def test_what_a_model_writes_is_valid(compiler: Compiler, vocabulary: str, name: str) -> None:
    """Token by token from the state that LoRAX starts in, whatever fits, to the end."""
    schema = REAL[name][0]
    sent = lower(schema, path="s", strict=True)
    answer = compiler.ask(sent.schema, vocabulary=vocabulary, seeds=list(range(60)))
    assert "error" not in answer, answer
    # In no state is a model left without a token.
    assert answer["stuck"] == 0
    left = promised(schema, sent.dropped, "s")
    for written in map(base64.b64decode, answer["samples"]):
        # Half a character may stand in it, as in everything that a model writes.
        text = written.decode("utf-8", "replace")
        assert complaint(left, json.loads(text)) is None, text


SIZES: dict[str, Mapping[str, Any]] = {
    "json": JSON_OBJECT,
    "strings": lowered(strings(10)),
    "counted": lowered(strings(2, maxLength=16)),
    "tools": tools(3, 3),
    "date": lowered({"type": "string", "format": "date-time"}),
    "patterns": lowered({"type": "string", "pattern": "^[^,]{1,9},é+$"}),
    "items": lowered({"type": "array", "items": {"type": "string"}, "maxItems": 8}),
    **{name: lowered(schema) for name, (schema, _, _) in REAL.items()},
    **{name: lowered({"type": "string", "format": name}) for name in FORMATS},
}


@pytest.mark.parametrize("name", SIZES)
def test_states_are_estimated(compiler: Compiler, name: str) -> None:
    """There are never over twice as many as estimated, nor under a fifth."""
    answer = compiler.ask(SIZES[name], vocabulary="small")
    assert "error" not in answer, answer
    cost = compile_cost(SIZES[name])
    assert answer["states"] / 2 <= cost.states + 3
    assert cost.states <= 5 * answer["states"]
    assert answer["wide"] / 2 <= cost.wide + 1


def test_a_large_vocabulary_takes_what_was_estimated(compiler: Compiler) -> None:
    """Seconds and memory for an ordinary schema of five strings."""
    schema = lowered(strings(5))
    # What the vocabulary itself takes is not the schema's.
    compiler.ask({"type": "null"}, vocabulary="large")
    answer = compiler.ask(schema, vocabulary="large")
    cost = compile_cost(schema)
    assert answer["seconds"] + answer["index_seconds"] < MOST_TIMES_OVER * cost.seconds
    assert answer["megabytes"] < 2 * cost.megabytes
    assert answer["wide"] == cost.wide == 5
