"""Refusals: the place, OpenAI's code, and what would have been right."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorax_proxy.core.parsing import read_document, read_request
from lorax_proxy.core.refusals import nearest
from lorax_proxy.errors import RequestRefused
from lorax_proxy.wire.openai_requests import ChatRequest, CompletionRequest, EmbeddingRequest
from tests.strategies import chat_requests, json_documents

PLAIN: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


def refused(body: bytes, kind: Any = ChatRequest) -> RequestRefused:
    """The refusal of a body."""
    with pytest.raises(RequestRefused) as caught:
        read_request(kind, read_document(body))
    assert caught.value.status == 400
    assert caught.value.type == "invalid_request_error"
    return caught.value


def attempt(body: bytes, kind: Any) -> RequestRefused | None:
    """The refusal of a body, if it is refused."""
    try:
        read_request(kind, read_document(body))
    except RequestRefused as error:
        return error
    return None


def refused_chat(**parameters: Any) -> RequestRefused:
    """The refusal of a chat request with these parameters."""
    return refused(json.dumps(PLAIN | parameters).encode())


@pytest.mark.parametrize(
    ("parameters", "param", "code", "message"),
    [
        ({"model": 5}, "model", "invalid_type", "expected a string, but got an integer instead."),
        ({"model": None}, "model", "invalid_type", "expected a string, but got null instead."),
        ({"messages": {}}, "messages", "invalid_type", "expected an array, but got an object"),
        ({"messages": []}, "messages", "array_below_min_length", "Expected at least 1, but got 0"),
        ({"messages": ["hi"]}, "messages[0]", "invalid_type", "expected an object, but got a st"),
        ({"messages": [{}]}, "messages[0].role", "missing_required_parameter", "Missing required"),
        ({"messages": [{"role": "bot"}]}, "messages[0].role", "invalid_value", "'developer', 'sys"),
        (
            {"messages": [{"role": 5}]},
            "messages[0].role",
            "invalid_value",
            "Supported values are: 'dev",
        ),
        (
            {"messages": [{"role": "user"}]},
            "messages[0].content",
            "missing_required_parameter",
            "Missing required parameter: 'messages[0].content'.",
        ),
        (
            {"messages": [{"role": "user", "content": 5}]},
            "messages[0].content",
            "invalid_type",
            "expected a string or an array, but got an integer instead.",
        ),
        (
            {"messages": [{"role": "user", "user": {"content": 1}, "content": None}]},
            "messages[0].content",
            "invalid_type",
            "but got null instead.",
        ),
        (
            {"messages": [{"role": "user", "content": {"str": 1}}]},
            "messages[0].content",
            "invalid_type",
            "but got an object instead.",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": 5}]}]},
            "messages[0].content[0].text",
            "invalid_type",
            "expected a string",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "video"}]}]},
            "messages[0].content[0].type",
            "invalid_value",
            "'text', 'refusal', 'image_url', 'input_audio', 'file'",
        ),
        (
            {"messages": [{"role": "tool", "content": "x"}]},
            "messages[0].tool_call_id",
            "missing_required_parameter",
            "",
        ),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{"id": "x", "function": {}}]}]},
            "messages[0].tool_calls[0].function.name",
            "missing_required_parameter",
            "",
        ),
        ({"stream": "yes"}, "stream", "invalid_type", "expected a boolean, but got a string"),
        ({"stream": 1}, "stream", "invalid_type", "expected a boolean, but got an integer"),
        (
            {"stream_options": {"includ_usage": True}},
            "stream_options.includ_usage",
            "unknown_parameter",
            "Did you mean 'stream_options.include_usage'?",
        ),
        ({"n": 0}, "n", "below_min_value", "Expected a value >= 1, but got 0 instead."),
        ({"n": 129}, "n", "above_max_value", "Expected a value <= 128, but got 129 instead."),
        ({"n": 1.5}, "n", "invalid_type", "expected an integer, but got a number instead."),
        ({"n": True}, "n", "invalid_type", "expected an integer, but got a boolean instead."),
        ({"n": "1"}, "n", "invalid_type", "expected an integer, but got a string instead."),
        ({"temperature": 2.1}, "temperature", "above_max_value", "<= 2.0, but got 2.1 instead."),
        ({"temperature": -0.1}, "temperature", "below_min_value", ">= 0.0, but got -0.1 instead."),
        ({"temperature": "1"}, "temperature", "invalid_type", "expected a number, but got a st"),
        ({"temperature": 10**400}, "temperature", "above_max_value", "too large for a number."),
        ({"temperature": -(10**400)}, "temperature", "below_min_value", "too small for a number."),
        ({"top_p": 1.01}, "top_p", "above_max_value", ""),
        ({"typical_p": 0}, "typical_p", "below_min_value", "Expected a value > 0.0"),
        ({"top_k": 2**31}, "top_k", "above_max_value", ""),
        ({"frequency_penalty": -3}, "frequency_penalty", "below_min_value", ""),
        ({"presence_penalty": 3}, "presence_penalty", "above_max_value", ""),
        ({"repetition_penalty": 0}, "repetition_penalty", "below_min_value", ""),
        ({"seed": 2**64}, "seed", "above_max_value", ""),
        ({"seed": 10**400}, "seed", "above_max_value", "..."),
        ({"stop": 5}, "stop", "invalid_type", "expected a string or an array, but got an integer"),
        ({"stop": ["a", 5]}, "stop[1]", "invalid_type", "expected a string, but got an integer"),
        ({"stop": ["a"] * 65}, "stop", "array_above_max_length", "at most 64, but got 65 instead."),
        ({"max_tokens": -1}, "max_tokens", "below_min_value", ""),
        ({"max_completion_tokens": 2**32}, "max_completion_tokens", "above_max_value", ""),
        ({"top_logprobs": 21}, "top_logprobs", "above_max_value", ""),
        ({"return_k_alternatives": 0}, "return_k_alternatives", "below_min_value", ""),
        (
            {"response_format": {"type": "xml"}},
            "response_format.type",
            "invalid_value",
            "Supported values are: 'text', 'json_object', 'json', 'json_schema'.",
        ),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schem": {}}}},
            "response_format.json_schema.schem",
            "unknown_parameter",
            "Did you mean 'response_format.json_schema.schema'?",
        ),
        (
            {"tools": [{"type": "function", "function": {"name": "no spaces"}}]},
            "tools[0].function.name",
            "invalid_value",
            "does not match the pattern '^[a-zA-Z0-9_-]{1,64}$'.",
        ),
        (
            {"tools": [{"type": "function", "function": {"name": "f", "parametrs": {}}}]},
            "tools[0].function.parametrs",
            "unknown_parameter",
            "Did you mean 'tools[0].function.parameters'?",
        ),
        (
            {"tool_choice": "any"},
            "tool_choice",
            "invalid_value",
            "'none', 'auto' or 'required'.",
        ),
        (
            {"tool_choice": 5},
            "tool_choice",
            "invalid_type",
            "expected a string or an object, but got an integer instead.",
        ),
        ({"tool_choice": {}}, "tool_choice.type", "missing_required_parameter", ""),
        (
            {"tool_choice": {"type": "function", "function": {"nam": "f"}}},
            "tool_choice.function.name",
            "missing_required_parameter",
            "",
        ),
        ({"merged_adapters": {"ids": []}}, "merged_adapters.ids", "array_below_min_length", ""),
        (
            {"merged_adapters": {"ids": ["a"], "merge_strategy": "magic"}},
            "merged_adapters.merge_strategy",
            "invalid_value",
            "'linear', 'ties', 'dare_linear' or 'dare_ties'.",
        ),
        ({"documents": ["x"]}, "documents[0]", "invalid_type", "expected an object"),
    ],
)
def test_refusals(parameters: dict[str, Any], param: str, code: str, message: str) -> None:
    """The place, OpenAI's code, and what would have been right."""
    error = refused_chat(**parameters)
    assert (error.param, error.code) == (param, code)
    assert param in error.message
    assert message in error.message


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        # a name of another format, and nothing that is near
        (
            {"response_format": {"type": "text", "schema": {}}},
            "Unknown parameter: 'response_format.schema'.",
        ),
        (
            {"response_format": {"type": "json_object", "strict": True}},
            "Unknown parameter: 'response_format.strict'.",
        ),
        # names that stand a level too high
        (
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "a"},
                    "strict": True,
                }
            },
            (
                "Unknown parameter: 'response_format.strict'. "
                "Did you mean 'response_format.json_schema.strict'?"
            ),
        ),
        (
            {"tools": [{"type": "function", "function": {"name": "f"}, "name": "f"}]},
            "Unknown parameter: 'tools[0].name'. Did you mean 'tools[0].function.name'?",
        ),
        (
            {
                "tool_choice": {
                    "type": "allowed_tools",
                    "allowed_tools": {"mode": "auto", "tools": [], "tols": []},
                }
            },
            (
                "Unknown parameter: 'tool_choice.allowed_tools.tols'. "
                "Did you mean 'tool_choice.allowed_tools.tools'?"
            ),
        ),
        ({"stream_options": {"system": 1}}, "Unknown parameter: 'stream_options.system'."),
    ],
)
def test_a_hint_is_a_whole_path_or_none(parameters: dict[str, Any], message: str) -> None:
    """What is said to be meant can be written as it stands."""
    assert refused_chat(**parameters).message == message


def test_a_crowd_of_unknown_keys_is_refused_without_looking_at_each() -> None:
    """An error takes a hundred times the bytes of its key."""
    crowd = {f"k{number}": 1 for number in range(2_000)}
    error = refused_chat(stream_options=crowd)
    assert (error.param, error.code) == ("stream_options", "unknown_parameter")
    assert "over 1000 unknown keys" in error.message
    tool = {"type": "function", "function": {"name": "f", **crowd}}
    assert refused_chat(tools=[tool]).param == "tools"


def test_long_values_are_not_repeated_whole() -> None:
    """A refusal quotes enough to recognise the value."""
    error = refused_chat(tool_choice="x" * 10_000)
    assert len(error.message) < 300


@pytest.mark.parametrize(
    ("kind", "document", "param", "code"),
    [
        (CompletionRequest, {"model": "m", "prompt": {}}, "prompt", "invalid_type"),
        (CompletionRequest, {"model": "m", "prompt": ["a", 1]}, "prompt[1]", "invalid_type"),
        (CompletionRequest, {"model": "m", "best_of": 21}, "best_of", "above_max_value"),
        (CompletionRequest, {"model": "m", "logprobs": 6}, "logprobs", "above_max_value"),
        (CompletionRequest, {"model": "m", "logprobs": True}, "logprobs", "invalid_type"),
        (EmbeddingRequest, {"model": "m"}, "input", "missing_required_parameter"),
        (EmbeddingRequest, {"model": "m", "input": []}, "input", "array_below_min_length"),
        (
            EmbeddingRequest,
            {"model": "m", "input": "x", "encoding_format": "hex"},
            "encoding_format",
            "invalid_value",
        ),
        (
            EmbeddingRequest,
            {"model": "m", "input": "x", "encoding_format": 5},
            "encoding_format",
            "invalid_type",
        ),
    ],
)
def test_refusals_of_the_other_endpoints(
    kind: Any, document: dict[str, Any], param: str, code: str
) -> None:
    """Completions and embeddings are refused in the same words."""
    error = refused(json.dumps(document).encode(), kind)
    assert (error.param, error.code) == (param, code)


@pytest.mark.property
@pytest.mark.parametrize("kind", [ChatRequest, CompletionRequest, EmbeddingRequest])
@given(data=st.data())
def test_any_document_is_a_request_or_refused(kind: Any, data: st.DataObject) -> None:
    """Known keys with any values: a request, or a refusal with a message and a place."""
    names = st.sampled_from(sorted(kind.model_fields)) | st.text(max_size=5)
    values = st.dictionaries(names, json_documents | _near_misses, max_size=5)
    document = data.draw(values | chat_requests.map(lambda r: r | {"n": []}))
    error = attempt(json.dumps(document).encode(), kind)
    if error is None:
        return
    assert error.status == 400
    assert error.message
    missing = error.code == "missing_required_parameter"
    assert missing or error.param is None or error.param.startswith(tuple(document) or ("",))


_near_misses = st.sampled_from(
    [
        [{"role": "user", "content": []}],
        [{"role": "assistant", "tool_calls": [{"id": 1}]}],
        [[1], ["a"]],
        {"type": "function", "function": {}},
        {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [1]}},
        [{"type": "function"}, {"type": "custom"}, {"type": None}],
        {"str": 1, "int": [], "list[str]": {}},
        {"type": {"type": {}}},
        10**400,
        -(2**70),
        1e308,
    ]
)


def test_the_nearest_name() -> None:
    """Near enough to help, and silent otherwise."""
    assert nearest("temprature", ["temperature", "top_p"]) == "temperature"
    assert nearest("zzz", ["temperature", "top_p"]) is None
