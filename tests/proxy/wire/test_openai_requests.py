"""OpenAI's request types: what the published schemas allow is read, and lists cost what they hold."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given
from pydantic import BaseModel, ValidationError

from lorax_contracts import loader
from lorax_contracts.schemas import validate
from lorax_proxy.core.parameters import TABLE, Endpoint, Treatment, sort_parameters
from lorax_proxy.core.parsing import read_document, read_request
from lorax_proxy.errors import RequestRefused
from lorax_proxy.wire.openai_requests import (
    MAX_TOKENS,
    AssistantMessage,
    ChatRequest,
    CompletionRequest,
    CustomTool,
    EmbeddingRequest,
    FunctionMessage,
    FunctionTool,
)
from tests.strategies import chat_requests, messages

MINIMAL: Mapping[Endpoint, dict[str, Any]] = {
    Endpoint.CHAT: {"model": "m", "messages": [{"role": "user", "content": "hi"}]},
    Endpoint.COMPLETIONS: {"model": "m", "prompt": "hi"},
    Endpoint.EMBEDDINGS: {"model": "m", "input": "hi"},
}
TYPES: Mapping[Endpoint, type[BaseModel]] = {
    Endpoint.CHAT: ChatRequest,
    Endpoint.COMPLETIONS: CompletionRequest,
    Endpoint.EMBEDDINGS: EmbeddingRequest,
}
SCHEMAS: Mapping[Endpoint, str] = {
    Endpoint.CHAT: "openai/chat_completion_request",
    Endpoint.COMPLETIONS: "openai/completion_request",
    Endpoint.EMBEDDINGS: "openai/embedding_request",
}


def published(endpoint: Endpoint) -> dict[str, Mapping[str, Any]]:
    """Every parameter of an endpoint with its schema, `allOf` and references followed."""
    document = loader.schema(SCHEMAS[endpoint])

    def properties(schema: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
        if "$ref" in schema:
            yield from properties(document["$defs"][schema["$ref"].rpartition("/")[2]])
        yield from schema.get("properties", {}).items()
        for part in schema.get("allOf", ()):
            yield from properties(part)

    return dict(properties(document))


def accepted(endpoint: Endpoint, document: dict[str, Any]) -> BaseModel:
    """The request as its type, through the table and the reader."""
    body = read_document(json.dumps(document).encode())
    kept = sort_parameters(body, endpoint, ignore_unsupported=False).document
    return read_request(TYPES[endpoint], kept)


@pytest.mark.parametrize("endpoint", Endpoint)
def test_the_least_request_is_read(endpoint: Endpoint) -> None:
    """What is required is enough, and the published schema agrees."""
    assert validate(SCHEMAS[endpoint], MINIMAL[endpoint]) == []
    accepted(endpoint, MINIMAL[endpoint])


@pytest.mark.parametrize(
    ("endpoint", "name"),
    [
        (endpoint, name)
        for endpoint in Endpoint
        for name in published(endpoint)
        if name not in ("model", "messages", "prompt", "input")
    ],
)
def test_a_null_is_never_refused(endpoint: Endpoint, name: str) -> None:
    """Clients send null for what they leave out, whether or not the schema says so."""
    accepted(endpoint, MINIMAL[endpoint] | {name: None})


@pytest.mark.parametrize(
    ("endpoint", "name", "default"),
    [
        (endpoint, name, schema["default"])
        for endpoint in Endpoint
        for name, schema in published(endpoint).items()
        if "default" in schema
    ],
)
def test_a_published_default_is_never_refused(endpoint: Endpoint, name: str, default: Any) -> None:
    """SDKs that fill in OpenAI's defaults ask for nothing."""
    accepted(endpoint, MINIMAL[endpoint] | {name: default})


TYPED = [5, 1.5, "words", "auto", "low", "24h", True, [], ["a"], {}, {"a": "b"}, {"a": 5}]


@pytest.mark.parametrize(
    ("endpoint", "name"),
    [
        (endpoint, row.name)
        for endpoint in Endpoint
        for row in TABLE
        if row.treatment is Treatment.ACCEPTED and row.name in published(endpoint)
    ],
)
def test_what_is_accepted_without_effect_is_typed_as_published(
    endpoint: Endpoint, name: str
) -> None:
    """A wrong type is the client's bug wherever it stands: refused by its name, as OpenAI does."""
    words = published(endpoint)[name]
    listed = (
        loader.schema(SCHEMAS[endpoint])
        .get("$defs", {})
        .get(str(words.get("$ref", "")).rpartition("/")[2], words)
    )
    for value in [*TYPED, *every_word(listed)]:
        document = MINIMAL[endpoint] | {name: value}
        if validate(SCHEMAS[endpoint], document) == []:
            accepted(endpoint, document)
        else:
            with pytest.raises(RequestRefused) as caught:
                accepted(endpoint, document)
            assert str(caught.value.param).partition(".")[0] == name


def every_word(schema: Any) -> Iterator[Any]:
    """The values of each `enum` in a schema."""
    if isinstance(schema, Mapping):
        yield from schema.get("enum", ())
        for value in schema.values():
            yield from every_word(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from every_word(value)


@pytest.mark.parametrize(
    ("endpoint", "name", "bound"),
    [
        (endpoint, name, schema[end])
        for endpoint in Endpoint
        for name, schema in published(endpoint).items()
        for end in ("minimum", "maximum")
        if end in schema and name != "dimensions"
    ],
)
def test_published_bounds_are_within_ours(endpoint: Endpoint, name: str, bound: Any) -> None:
    """The least and the greatest value that the schema allows are read."""
    document = MINIMAL[endpoint] | {name: bound}
    assert validate(SCHEMAS[endpoint], document) == []
    assert getattr(accepted(endpoint, document), name) == bound


@pytest.mark.property
@given(chat_requests)
def test_what_the_schema_allows_is_read_or_refused_by_name(document: dict[str, Any]) -> None:
    """Of the published parameters, only those that the table refuses are refused, by their name."""
    # nulls are more than the schema allows everywhere, and never refused
    stated = {name: value for name, value in document.items() if value is not None}
    assert validate(SCHEMAS[Endpoint.CHAT], stated) == []
    refused = {
        name
        for name in ("logit_bias", "modalities")
        if document.get(name) and document[name] != ["text"] and document[name] != {"0": 0}
    }
    if isinstance(document.get("logit_bias"), dict) and not any(document["logit_bias"].values()):
        refused.discard("logit_bias")
    # no model has as many, and LoRAX counts in 32 bits
    budgets = ("max_tokens", "max_completion_tokens")
    too_large = {name for name in budgets if (document.get(name) or 0) > MAX_TOKENS}
    allowed = {"above_max_value": too_large, "unsupported_parameter": refused}
    try:
        accepted(Endpoint.CHAT, document)
    except RequestRefused as error:
        told: tuple[str | None, str | None] | None = error.code, error.param
    else:
        told = None
    if told is None:
        assert not refused | too_large
    else:
        code, param = told
        assert param in allowed[str(code)]


@pytest.mark.property
@given(messages)
def test_every_published_message_is_read(conversation: list[dict[str, Any]]) -> None:
    """Each role and content form keeps what it says."""
    request = accepted(Endpoint.CHAT, MINIMAL[Endpoint.CHAT] | {"messages": conversation})
    assert isinstance(request, ChatRequest)
    assert [message.role for message in request.messages] == [m["role"] for m in conversation]
    for message, sent in zip(request.messages, conversation, strict=True):
        assert message.model_dump(exclude_unset=True) == sent


def test_keys_of_a_template_s_own_are_kept() -> None:
    """A message may carry what only its template reads."""
    sent = {"role": "assistant", "content": "a", "reasoning_content": "because"}
    request = accepted(Endpoint.CHAT, {"model": "m", "messages": [sent]})
    assert isinstance(request, ChatRequest)
    (message,) = request.messages
    assert isinstance(message, AssistantMessage)
    assert message.model_extra == {"reasoning_content": "because"}


def test_what_is_refused_by_name_later_is_read() -> None:
    """Images, custom tools and token numbers reach the code that names them."""
    parts = [
        {"type": "image_url", "image_url": {"url": "http://x"}},
        {"type": "input_audio", "input_audio": {"data": "", "format": "wav"}},
        {"type": "file", "file": {}},
    ]
    request = accepted(
        Endpoint.CHAT,
        {
            "model": "m",
            "messages": [
                {"role": "user", "content": parts},
                {"role": "function", "name": "f", "content": None},
            ],
            "tools": [
                {"type": "custom", "custom": {"name": "c"}},
                {"type": "function", "function": {"name": "f", "parameters": {}}},
            ],
            "tool_choice": {"type": "custom", "custom": {"name": "c"}},
        },
    )
    assert isinstance(request, ChatRequest)
    assert isinstance(request.messages[1], FunctionMessage)
    assert request.tools is not None
    assert [type(tool) for tool in request.tools] == [CustomTool, FunctionTool]
    for prompt in ([1, 2], [[1], [2]]):
        read = accepted(Endpoint.COMPLETIONS, {"model": "m", "prompt": prompt})
        assert isinstance(read, CompletionRequest)
        assert read.prompt == prompt


@pytest.mark.parametrize("name", ["json_schema", "schema"])
def test_a_schema_keeps_its_published_name(name: str) -> None:
    """`schema` is pydantic's word too; on the wire it is OpenAI's alone."""
    document = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
    request = accepted(Endpoint.CHAT, MINIMAL[Endpoint.CHAT] | {"response_format": document})
    assert isinstance(request, ChatRequest)
    assert request.response_format is not None
    assert name in request.response_format.model_dump_json(by_alias=True)


WRONG = 5_000


@pytest.mark.parametrize(
    ("endpoint", "parameters"),
    [
        (Endpoint.CHAT, {"messages": [1] * WRONG}),
        (Endpoint.CHAT, {"messages": [{"role": "user", "content": [1] * WRONG}]}),
        (Endpoint.CHAT, {"messages": [{"role": "assistant", "tool_calls": [1] * WRONG}]}),
        (Endpoint.CHAT, {"documents": [1] * WRONG}),
        (Endpoint.CHAT, {"stop": [1] * WRONG}),
        (Endpoint.CHAT, {"tools": [1] * WRONG}),
        (Endpoint.CHAT, {"functions": [1] * WRONG}),
        (Endpoint.CHAT, {"merged_adapters": {"ids": [1] * WRONG, "weights": ["x"] * WRONG}}),
        (
            Endpoint.CHAT,
            {
                "tool_choice": {
                    "type": "allowed_tools",
                    "allowed_tools": {"mode": "auto", "tools": [1] * WRONG},
                }
            },
        ),
        (Endpoint.COMPLETIONS, {"prompt": [1] * WRONG + ["x"]}),
        (Endpoint.COMPLETIONS, {"prompt": [[1]] * WRONG + ["x"]}),
        (Endpoint.COMPLETIONS, {"prompt": ["x"] * WRONG + [1]}),
        (Endpoint.EMBEDDINGS, {"input": [True] * WRONG}),
    ],
    ids=str,
)
def test_a_list_is_given_up_at_its_first_wrong_item(
    endpoint: Endpoint, parameters: dict[str, Any]
) -> None:
    """A million wrong items are one error a branch: the event loop is not kept for seconds."""
    with pytest.raises(ValidationError) as caught:
        TYPES[endpoint].model_validate(MINIMAL[endpoint] | parameters)
    assert caught.value.error_count() <= 4
