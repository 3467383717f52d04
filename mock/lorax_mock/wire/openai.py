"""LoRAX's own `/v1` text endpoints, with every way in which they are not OpenAI's.

People migrate from these, so they are imitated to the letter (router/src/lib.rs:668-1500): an id that
is the string "null", `text_completion` as the object of a chat, the role in every chunk, usage unasked,
`content_filter` for a stop string, special tokens in streamed text, a `stop` that must be a list. The
requests become native ones; what has no native counterpart is parsed, checked for its type and dropped.
"""

from typing import Any, Final

import msgspec

from lorax_mock.serde.types import (
    Field,
    boolean,
    json_value,
    mapping,
    option,
    sequence,
    single,
    string,
    struct,
    unit_enum,
    untagged,
)
from lorax_mock.wire.native import (
    DEFAULT_SCHEMA,
    I32,
    RESPONSE_FORMAT_KINDS,
    U64,
    GenerateParameters,
    GenerateRequest,
    ResponseFormat,
)

__all__ = [
    "CHAT_REQUEST",
    "COMPLETION_REQUEST",
    "ChatRequest",
    "CompletionRequest",
    "Message",
    "Tool",
    "chat_to_native",
    "completion_to_native",
    "response_format_of",
]


class Tool(msgspec.Struct, frozen=True):
    """A tool as LoRAX reads it; `parameters` is required, whatever it is."""

    kind: str
    description: str | None
    name: str
    parameters: Any

    def as_json(self) -> dict[str, Any]:
        """As serde writes it into a prompt: the description even when there is none."""
        return {
            "type": self.kind,
            "function": {
                "description": self.description,
                "name": self.name,
                "parameters": self.parameters,
            },
        }


class _OpenAIFormat(msgspec.Struct, frozen=True):
    kind: str
    json_schema: Any = None
    schema: Any = None


class Message(msgspec.Struct, frozen=True):
    """A chat message: None, text, or parts already joined."""

    role: str
    content: str | tuple[str, ...] | None = None
    name: str | None = None


class ChatRequest(msgspec.Struct, frozen=True):
    """`POST /v1/chat/completions`; fields in the router's order."""

    model: str
    messages: tuple[Message, ...]
    temperature: float | None = None
    top_p: float | None = None
    n: int | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    stream: bool | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logit_bias: dict[str, float] | None = None
    user: str | None = None
    seed: int | None = None
    response_format: _OpenAIFormat | None = None
    tools: tuple[Tool, ...] | None = None
    tool_choice: str | None = None
    """None for any tool, "none", or "=" and a tool's name."""

    repetition_penalty: float | None = None
    top_k: int | None = None
    ignore_eos_token: bool | None = None
    adapter_source: str | None = None
    api_token: str | None = None
    tool_prompt: str | None = None
    guideline: str | None = None


class CompletionRequest(msgspec.Struct, frozen=True):
    """`POST /v1/completions`; fields in the router's order."""

    model: str
    prompt: str
    suffix: str | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    n: int | None = None
    stream: bool | None = None
    logprobs: int | None = None
    echo: bool | None = None
    stop: tuple[str, ...] = ()
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    best_of: int | None = None
    logit_bias: dict[str, float] | None = None
    user: str | None = None
    seed: int | None = None
    repetition_penalty: float | None = None
    top_k: int | None = None
    ignore_eos_token: bool | None = None
    adapter_source: str | None = None
    api_token: str | None = None


def _bare(name: str, kind: Any) -> Field:
    """An Option without `#[serde(default)]`: optional by key, not by position."""
    return Field(name, option(kind), None, positional=False)


def _tool(kind: str, function: tuple[str | None, str, Any]) -> Tool:
    return Tool(kind, *function)


_FUNCTION: Final = struct(
    "FunctionDefinition",
    [
        Field("description", option(string), None),
        Field("name", string),
        Field("parameters", json_value),
    ],
    lambda *values: values,
)
_TOOL: Final = struct("Tool", [Field("type", string), Field("function", _FUNCTION)], _tool)


def _content(value: Any) -> str | tuple[str, ...] | None:
    """A string, or parts of known types; anything else matches no variant (untagged in serde)."""
    if isinstance(value, str):
        return value
    parts: list[str] = []
    for part in value if isinstance(value, list) else [None]:
        match part:
            case {"type": "text", "text": str(text)}:
                parts.append(text)
            case {"type": "image_url", "image_url": {"url": str(url)}}:
                parts.append(f"![]({url})")
            case _:
                raise ValueError(part)
    return tuple(parts)


def _choice(value: Any) -> str | None:
    match value:
        case None | "auto":
            return None
        case "none":
            return "none"
        case str(name):
            return f"={name}"
        case {"Function": {"name": str(name)} | [str(name)]} if len(value) == 1:
            return f"={name}"
        case {"OneOf": None} if len(value) == 1:
            return None
        case {"NoTool": None} if len(value) == 1:
            return "none"
        case _:
            raise ValueError(value)


_MESSAGE: Final = struct(
    "Message",
    [
        Field("role", string),
        Field("content", option(untagged("MessageContent", _content)), None),
        Field("name", option(string), None),
    ],
    Message,
)
_JSON_SCHEMA: Final = struct(
    "JsonSchema",
    [
        _bare("description", string),
        Field("name", string),
        _bare("schema", json_value),
        _bare("strict", boolean),
    ],
    lambda _description, _name, schema, _strict: schema,
)
_FORMAT: Final = struct(
    "OpenAiResponseFormat",
    [
        Field("type", unit_enum(*RESPONSE_FORMAT_KINDS)),
        _bare("json_schema", _JSON_SCHEMA),
        Field("schema", option(json_value), DEFAULT_SCHEMA),
    ],
    _OpenAIFormat,
)

CHAT_REQUEST: Final = struct(
    "ChatCompletionRequest",
    [
        Field("model", string),
        Field("messages", sequence(_MESSAGE)),
        _bare("temperature", single),
        _bare("top_p", single),
        _bare("n", I32),
        _bare("max_tokens", I32),
        Field("stop", sequence(string), ()),
        _bare("stream", boolean),
        _bare("presence_penalty", single),
        _bare("frequency_penalty", single),
        _bare("logit_bias", mapping(single)),
        _bare("user", string),
        _bare("seed", U64),
        _bare("response_format", _FORMAT),
        Field("tools", option(sequence(_TOOL)), None),
        Field("tool_choice", untagged("ToolTypeDeserializer", _choice), None),
        _bare("repetition_penalty", single),
        _bare("top_k", I32),
        _bare("ignore_eos_token", boolean),
        _bare("adapter_source", string),
        _bare("api_token", string),
        Field("tool_prompt", option(string), None),
        Field("guideline", option(string), None),
    ],
    ChatRequest,
)

COMPLETION_REQUEST: Final = struct(
    "CompletionRequest",
    [
        Field("model", string),
        Field("prompt", string),
        _bare("suffix", string),
        _bare("max_tokens", I32),
        _bare("temperature", single),
        _bare("top_p", single),
        _bare("n", I32),
        _bare("stream", boolean),
        _bare("logprobs", I32),
        _bare("echo", boolean),
        Field("stop", sequence(string), ()),
        _bare("presence_penalty", single),
        _bare("frequency_penalty", single),
        _bare("best_of", I32),
        _bare("logit_bias", mapping(single)),
        _bare("user", string),
        _bare("seed", U64),
        _bare("repetition_penalty", single),
        _bare("top_k", I32),
        _bare("ignore_eos_token", boolean),
        _bare("adapter_source", string),
        _bare("api_token", string),
    ],
    CompletionRequest,
)


def _unsigned(value: int | None, bits: int) -> int | None:
    """Rust's `as` from a signed to an unsigned integer: -1 becomes the largest."""
    return None if value is None else value % 2**bits


def response_format_of(asked: ChatRequest) -> ResponseFormat | None:
    """What a chat's `response_format` constrains to; `text` to nothing (router/src/lib.rs:755)."""
    chosen = asked.response_format
    if chosen is None or chosen.kind == "text":
        return None
    schema = chosen.schema if chosen.kind == "json_object" else chosen.json_schema
    return ResponseFormat(chosen.kind, DEFAULT_SCHEMA if schema is None else schema)


def chat_to_native(
    asked: ChatRequest, model_id: str, inputs: str, response_format: ResponseFormat | None
) -> GenerateRequest:
    """The native request of a chat whose template is rendered: it samples unless told 0."""
    greedy = asked.temperature == 0.0
    adapter = "" if asked.model == model_id else asked.model
    parameters = GenerateParameters(
        adapter_id=adapter or None,
        adapter_source=asked.adapter_source,
        api_token=asked.api_token,
        best_of=_unsigned(asked.n, 64),
        temperature=None if greedy else asked.temperature,
        repetition_penalty=asked.repetition_penalty,
        frequency_penalty=asked.frequency_penalty,
        presence_penalty=asked.presence_penalty,
        top_k=asked.top_k,
        top_p=asked.top_p,
        do_sample=not greedy,
        max_new_tokens=_unsigned(asked.max_tokens, 32),
        stop=asked.stop,
        details=True,
        seed=asked.seed,
        ignore_eos_token=asked.ignore_eos_token or False,
        response_format=response_format,
    )
    return GenerateRequest(
        inputs, parameters, stream=asked.stream or False, add_special_tokens=False
    )


def completion_to_native(asked: CompletionRequest, model_id: str) -> GenerateRequest:
    """The native request of a completion: the mere presence of `n` makes it sample."""
    parameters = GenerateParameters(
        adapter_id="" if asked.model == model_id else asked.model,
        adapter_source=asked.adapter_source,
        api_token=asked.api_token,
        best_of=_unsigned(asked.best_of, 64),
        temperature=asked.temperature,
        repetition_penalty=asked.repetition_penalty,
        frequency_penalty=asked.frequency_penalty,
        presence_penalty=asked.presence_penalty,
        top_k=asked.top_k,
        top_p=asked.top_p,
        do_sample=asked.n is not None,
        max_new_tokens=_unsigned(asked.max_tokens, 32),
        ignore_eos_token=asked.ignore_eos_token or False,
        return_full_text=asked.echo,
        stop=asked.stop,
        details=True,
        decoder_input_details=asked.logprobs is not None,
        seed=asked.seed,
    )
    return GenerateRequest(asked.prompt, parameters, stream=asked.stream or False)
