"""OpenAI's request types, as far as they change what we ask of LoRAX.

Source: OpenAI's published OpenAPI document 2.3.0; each class names its schema there.
`core.parameters` has a table of every parameter that OpenAI publishes; those that are accepted
without effect are typed here all the same, since a wrong type is a client's bug wherever it stands.
Types are strict (a number sent as a string is refused, as OpenAI does) and a key that nobody knows
is refused, except inside messages, where templates may read keys of their own.
"""

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

__all__ = [
    "MAX_TOKENS",
    "AllowedTools",
    "AllowedToolsChoice",
    "AssistantMessage",
    "AudioPart",
    "ChatRequest",
    "CompletionRequest",
    "CustomCall",
    "CustomTool",
    "CustomToolChoice",
    "DeveloperMessage",
    "EmbeddingRequest",
    "FilePart",
    "FunctionCall",
    "FunctionCallOption",
    "FunctionMessage",
    "FunctionObject",
    "FunctionTool",
    "ImagePart",
    "JsonObjectFormat",
    "JsonSchemaFormat",
    "JsonSchemaObject",
    "MergedAdaptersRequest",
    "Message",
    "NamedToolChoice",
    "Part",
    "PredictionContent",
    "PromptCacheOptions",
    "RefusalPart",
    "SamplingRequest",
    "StreamOptions",
    "SystemMessage",
    "TextFormat",
    "TextPart",
    "ToolCall",
    "ToolMessage",
    "UserMessage",
]

MAX_STOPS = 64
"""OpenAI allows 4. Each costs us a step per character, and LoRAX gets as many as it takes."""

MAX_TOKENS = 2**31 - 1
"""LoRAX reads 32 unsigned bits, and without a fast tokenizer it adds prompt and budget in as many
(router/src/validation.rs:182): a sum that wraps is allowed there, and no shard has memory for it."""


_T = TypeVar("_T")

Many = Annotated[list[_T], Field(fail_fast=True)]
"""A list that is given up at its first wrong item: a million of them would each become an error,
and keep the event loop for seconds."""


def _turn(item: object) -> object:
    """The item as it is.

    A call of Python is where pydantic lets the event loop have its turn. Without one it holds the
    interpreter for the whole list: 50 ms for 20,000 messages.
    """
    return item


Objects = Annotated[list[Annotated[_T, BeforeValidator(_turn)]], Field(fail_fast=True)]
"""As `Many`, of what takes a microsecond and more each."""


class _Strict(BaseModel):
    """A closed object: unknown keys are refused by name."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class _Open(BaseModel):
    """A message or a part of one: keys that we do not know reach the chat template."""

    model_config = ConfigDict(strict=True, extra="allow", frozen=True)


class TextPart(_Open):
    """ChatCompletionRequestMessageContentPartText."""

    type: Literal["text"]
    text: str


class RefusalPart(_Open):
    """ChatCompletionRequestMessageContentPartRefusal."""

    type: Literal["refusal"]
    refusal: str


class ImagePart(_Open):
    """ChatCompletionRequestMessageContentPartImage; read so that it can be refused by name."""

    type: Literal["image_url"]


class AudioPart(_Open):
    """ChatCompletionRequestMessageContentPartAudio; read so that it can be refused by name."""

    type: Literal["input_audio"]


class FilePart(_Open):
    """ChatCompletionRequestMessageContentPartFile; read so that it can be refused by name."""

    type: Literal["file"]


Part = Annotated[
    TextPart | RefusalPart | ImagePart | AudioPart | FilePart, Field(discriminator="type")
]


class FunctionCall(_Open):
    """The `function` of ChatCompletionMessageToolCall, and the legacy `function_call`."""

    name: str
    arguments: str


class CustomCall(_Open):
    """The `custom` of ChatCompletionMessageCustomToolCall."""

    name: str
    input: str


class ToolCall(_Open):
    """ChatCompletionMessageToolCall, or a custom tool's call, which is refused by name."""

    id: str
    type: Literal["function", "custom"] = "function"
    function: FunctionCall | None = None
    custom: CustomCall | None = None


class DeveloperMessage(_Open):
    """ChatCompletionRequestDeveloperMessage."""

    role: Literal["developer"]
    content: str | Objects[Part]
    name: str | None = None


class SystemMessage(_Open):
    """ChatCompletionRequestSystemMessage."""

    role: Literal["system"]
    content: str | Objects[Part]
    name: str | None = None


class UserMessage(_Open):
    """ChatCompletionRequestUserMessage."""

    role: Literal["user"]
    content: str | Objects[Part]
    name: str | None = None


class AssistantMessage(_Open):
    """ChatCompletionRequestAssistantMessage."""

    role: Literal["assistant"]
    content: str | Objects[Part] | None = None
    refusal: str | None = None
    name: str | None = None
    tool_calls: Objects[ToolCall] | None = None
    function_call: FunctionCall | None = None


class ToolMessage(_Open):
    """ChatCompletionRequestToolMessage."""

    role: Literal["tool"]
    content: str | Objects[Part]
    tool_call_id: str


class FunctionMessage(_Open):
    """ChatCompletionRequestFunctionMessage."""

    role: Literal["function"]
    content: str | None = None
    name: str


Message = Annotated[
    DeveloperMessage
    | SystemMessage
    | UserMessage
    | AssistantMessage
    | ToolMessage
    | FunctionMessage,
    Field(discriminator="role"),
]


class StreamOptions(_Strict):
    """ChatCompletionStreamOptions."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class FunctionObject(_Strict):
    """FunctionObject, and ChatCompletionFunctions of the legacy form."""

    name: str = Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class FunctionTool(_Strict):
    """ChatCompletionTool."""

    type: Literal["function"]
    function: FunctionObject


class CustomTool(_Open):
    """CustomToolChatCompletions; read so that it can be refused by name."""

    type: Literal["custom"]


Tool = Annotated[FunctionTool | CustomTool, Field(discriminator="type")]


class FunctionCallOption(_Strict):
    """ChatCompletionFunctionCallOption."""

    name: str


class NamedToolChoice(_Strict):
    """ChatCompletionNamedToolChoice."""

    type: Literal["function"]
    function: FunctionCallOption


class AllowedTools(_Strict):
    """ChatCompletionAllowedTools."""

    mode: Literal["auto", "required"]
    tools: Objects[dict[str, Any]]


class AllowedToolsChoice(_Strict):
    """ChatCompletionAllowedToolsChoice."""

    type: Literal["allowed_tools"]
    allowed_tools: AllowedTools


class CustomToolChoice(_Open):
    """ChatCompletionNamedToolChoiceCustom; read so that it can be refused by name."""

    type: Literal["custom"]


ToolChoiceObject = Annotated[
    NamedToolChoice | AllowedToolsChoice | CustomToolChoice, Field(discriminator="type")
]


class TextFormat(_Strict):
    """ResponseFormatText; clients with one class for all formats send the others' keys as null."""

    type: Literal["text"]
    json_schema: None = None


class JsonObjectFormat(_Strict):
    """ResponseFormatJsonObject, and what people who come from LoRAX send under the same type.

    `schema` is LoRAX's own (router/src/lib.rs, `ResponseFormat`); `value`, also under the type
    `json`, is huggingface_hub's `ChatCompletionInputGrammarType`. Each is a JSON schema.
    """

    type: Literal["json_object", "json"]
    json_schema: None = None
    schema_: dict[str, Any] | None = Field(None, alias="schema")
    value: dict[str, Any] | None = None


class JsonSchemaObject(_Strict):
    """The `json_schema` of ResponseFormatJsonSchema."""

    name: str
    description: str | None = None
    schema_: dict[str, Any] | None = Field(None, alias="schema")
    strict: bool | None = None


class JsonSchemaFormat(_Strict):
    """ResponseFormatJsonSchema."""

    type: Literal["json_schema"]
    json_schema: JsonSchemaObject


ResponseFormat = Annotated[
    TextFormat | JsonObjectFormat | JsonSchemaFormat, Field(discriminator="type")
]


class MergedAdaptersRequest(_Strict):
    """LoRAX's `merged_adapters` (router/src/lib.rs:83), with the values that cannot kill it.

    An unknown strategy or sign method panics the router (router/src/lib.rs:106), and a length
    mismatch is refused by it; `density` 0 prunes everything, so it must be said for the
    strategies that read it.
    """

    ids: Many[str] = Field(min_length=1, max_length=16)
    weights: Many[float] | None = None
    merge_strategy: Literal["linear", "ties", "dare_linear", "dare_ties"] | None = None
    density: float | None = Field(None, ge=0, le=1)
    majority_sign_method: Literal["total", "frequency"] | None = None


class PredictionContent(_Open):
    """PredictionContent."""

    type: Literal["content"]
    content: str | Annotated[Objects[TextPart], Field(min_length=1)]


class PromptCacheOptions(_Open):
    """PromptCacheOptionsParam; its words are newer than most clients, and change nothing here."""

    ttl: str | None = None
    mode: str | None = None


class SamplingRequest(_Strict):
    """What chat and legacy completions share, LoRAX's own parameters included."""

    model: str
    user: str | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: int | None = Field(None, ge=1, le=128)
    # the published minimum is -(2**63) as a double prints it
    seed: int | None = Field(None, ge=-9223372036854776000, le=2**64 - 1)
    stop: str | Annotated[Many[str], Field(max_length=MAX_STOPS)] | None = None
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, ge=0, le=1)
    frequency_penalty: float | None = Field(None, ge=-2, le=2)
    presence_penalty: float | None = Field(None, ge=-2, le=2)
    # LoRAX's own, under the names that `extra_body` users know
    top_k: int | None = Field(None, ge=-1, le=2**31 - 1)
    typical_p: float | None = Field(None, gt=0, le=1)
    repetition_penalty: float | None = Field(None, gt=0)
    truncate: int | None = Field(None, ge=1, le=MAX_TOKENS)
    watermark: bool | None = None
    ignore_eos_token: bool | None = None
    ignore_eos: bool | None = None
    adapter_source: str | None = None
    merged_adapters: MergedAdaptersRequest | None = None
    return_k_alternatives: int | None = Field(None, ge=1, le=64)


class ChatRequest(SamplingRequest):
    """CreateChatCompletionRequest."""

    messages: Objects[Message] = Field(min_length=1)
    max_tokens: int | None = Field(None, ge=0, le=MAX_TOKENS)
    max_completion_tokens: int | None = Field(None, ge=0, le=MAX_TOKENS)
    logprobs: bool | None = None
    top_logprobs: int | None = Field(None, ge=0, le=20)
    response_format: ResponseFormat | None = None
    tools: Objects[Tool] | None = Field(None, max_length=128)
    tool_choice: Literal["none", "auto", "required"] | ToolChoiceObject | None = None
    parallel_tool_calls: bool | None = None
    functions: Objects[FunctionObject] | None = Field(None, min_length=1, max_length=128)
    function_call: Literal["none", "auto"] | FunctionCallOption | None = None
    # what vLLM's and SGLang's users send for the template
    guideline: str | None = None
    chat_template_kwargs: dict[str, Any] | None = Field(None, max_length=1_000)
    add_generation_prompt: bool | None = None
    continue_final_message: bool | None = None
    documents: Objects[dict[str, Any]] | None = None
    # accepted without effect
    safety_identifier: str | None = Field(None, max_length=64)
    prompt_cache_key: str | None = None
    # with a hyphen it was published first
    prompt_cache_retention: Literal["in_memory", "in-memory", "24h"] | None = None
    prompt_cache_options: PromptCacheOptions | None = None
    # "set of 16 key-value pairs": Metadata
    metadata: Annotated[dict[str, str], Field(max_length=16)] | None = None
    store: bool | None = None
    service_tier: Literal["auto", "default", "flex", "scale", "priority", "fast"] | None = None
    prediction: PredictionContent | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = (
        None
    )
    verbosity: Literal["low", "medium", "high"] | None = None
    # what SGLang's router adds to every request
    separate_reasoning: bool | None = None
    stream_reasoning: bool | None = None
    include_reasoning: bool | None = None


class CompletionRequest(SamplingRequest):
    """CreateCompletionRequest; lists of token numbers are read so that they can be refused."""

    prompt: str | Many[str] | Many[int] | Many[Many[int]] | None = None
    best_of: int | None = Field(None, ge=0, le=20)
    echo: bool | None = None
    logprobs: int | None = Field(None, ge=0, le=5)
    max_tokens: int | None = Field(None, ge=0, le=MAX_TOKENS)


class EmbeddingRequest(_Strict):
    """CreateEmbeddingRequest; lists of token numbers are read so that they can be refused."""

    model: str
    input: (
        str
        | Annotated[Many[str], Field(min_length=1, max_length=2048)]
        | Annotated[Many[int], Field(min_length=1)]
        | Annotated[Many[Many[int]], Field(min_length=1)]
    )
    encoding_format: Literal["float", "base64"] | None = None
    user: str | None = None
    adapter_source: str | None = None
