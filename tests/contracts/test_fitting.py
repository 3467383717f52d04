"""What fits is told without jsonschema, and never otherwise than by it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from lorax_contracts import loader, strategies
from lorax_contracts.fitting import fitting
from tests.contracts import samples

_KINDS = ("array", "boolean", "integer", "null", "number", "object", "string")
_WHOLE, _ONE = {"type": "integer"}, {"$ref": "#/$defs/one"}
SCHEMAS: tuple[dict[str, Any], ...] = (
    *({"type": kind} for kind in _KINDS),
    *(
        {"type": kinds}
        for kinds in (["integer", "number"], ["string", "null"], ["integer", "null"])
    ),
    *({"enum": ["a", ""]}, {"enum": ["a", None]}),
    *({"minimum": 1}, {"maximum": 1}, {"maxLength": 1}, {"minItems": 1}, {"maxItems": 1}),
    *({"items": _WHOLE}, {"items": False}, {"required": ["a"]}, {"properties": {"a": _WHOLE}}),
    {"properties": {"a": True}, "additionalProperties": False},
    {"properties": {"a": False}, "additionalProperties": _WHOLE, "required": []},
    {"type": "object", "properties": {"a": _WHOLE}, "required": ["a", "b"]},
    {"allOf": [{"minimum": 1}, {"maximum": 1}, {"type": "number"}]},
    {"anyOf": [{"type": "string"}, {"type": "object", "required": ["a"]}]},
    {"oneOf": [_WHOLE, {"type": "number"}, {"type": "null"}]},
    {"oneOf": [{"type": "string"}, {"maxLength": 1}]},
    {**_ONE, "maxItems": 1, "$defs": {"one": {"type": "array", "items": _ONE}}},
    {"items": _ONE, "$defs": {"one": {"properties": {"a": _ONE}, "maxLength": 1}}},
    {"title": "a", "format": "date", "default": 1, "examples": [1], "$comment": "b"},
)
_LARGE = 10**400
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, 2, -1, 0.5, 1.0, 2.0, float("nan"), float("inf"), _LARGE, -_LARGE),
    *("", "a", "b", "aa", "\ud83d", [], [1], [1.0], [True], ["a"], [1, "a"], [1, 2], [[]]),
    *([[], []], [[[], []]], [[], 1], ["aa"], [{"a": "aa"}], [{"a": {"a": "a"}}]),
    *({}, {"a": 1}, {"a": "x"}, {"a": True}, {"b": 1}, {"b": "x"}, {"a": 1, "b": None}),
)


@pytest.mark.parametrize("schema", SCHEMAS, ids=str)
def test_what_fits_is_what_jsonschema_admits(schema: dict[str, Any]) -> None:
    """Both ways: a fault that is passed over is lost, and `oneOf` counts what does not fit."""
    fits = fitting(schema)
    assert fits is not None
    admits = Draft202012Validator(schema).is_valid
    assert [fits(value) for value in VALUES] == [admits(value) for value in VALUES]


def _changed(document: Any, at: int, value: Any) -> Any:
    """The document with its part of that number, in order, replaced."""
    left = at

    def walk(part: Any) -> Any:
        nonlocal left
        left -= 1
        if left < 0 <= left + 1:
            return value
        if isinstance(part, dict):
            return {key: walk(inner) for key, inner in part.items()}
        return [walk(inner) for inner in part] if isinstance(part, list) else part

    return walk(document)


_PUBLISHED = st.one_of(
    st.tuples(
        st.just("openai/chat_completion_request"),
        strategies.chat_requests(models=["m"], tools=True),
    ),
    st.tuples(st.just("lorax/generate_request"), strategies.generate_requests(adapters=["a"])),
    st.tuples(
        st.just("openai/chat_completion"),
        st.sampled_from(["chat_plain", "chat_tool_named", "chat_logprobs"]).map(
            lambda name: json.loads(samples.golden(name).body)
        ),
    ),
    st.tuples(
        st.just("openai/chat_completion_chunk"),
        st.sampled_from(samples.events(samples.golden("chat_stream_usage"))[:-1]),
    ),
)


@pytest.mark.property
@given(_PUBLISHED, st.integers(0, 40), st.sampled_from(VALUES))
def test_the_packaged_schemas_admit_what_they_say(
    published: tuple[str, Any], at: int, value: Any
) -> None:
    """What is valid, and the same with one part replaced."""
    name, document = published
    changed = _changed(document, at, value)
    fits = fitting(loader.schema(name))
    assert fits is not None
    assert fits(document)
    assert fits(changed) == Draft202012Validator(loader.schema(name)).is_valid(changed)


@pytest.mark.parametrize("name", loader.schema_names())
def test_every_packaged_schema_has_its_function(name: str) -> None:
    """Without one a check takes several times as long, and says the same."""
    assert fitting(loader.schema(name)) is not None


@pytest.mark.parametrize(
    "demand",
    [
        {"pattern": "^a"},
        {"not": {"type": "string"}},
        {"prefixItems": [{"type": "string"}]},
        {"enum": [1]},
        {"const": "a"},
        {"$ref": "#"},
        {"$ref": "https://example.org/x"},
        {"$ref": "#/$defs/missing"},
        {"$ref": "#/$defs/a%20b"},
        {"$id": "https://example.org/x"},
    ],
    ids=str,
)
def test_a_demand_that_is_not_known_is_not_left_out(demand: dict[str, Any]) -> None:
    """There is no function then, wherever the demand stands."""
    assert fitting({"anyOf": [demand], "$defs": {"a%20b": True}}) is None
    assert fitting({"$defs": {"one": demand, "a%20b": True}, "$ref": "#/$defs/one"}) is None
    assert fitting({"properties": {"a": {"items": demand}}}) is None


def test_another_draft_has_no_function() -> None:
    """Its keywords may mean something else."""
    assert fitting({"$schema": "http://json-schema.org/draft-07/schema#", "type": "null"}) is None
