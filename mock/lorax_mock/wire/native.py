"""LoRAX's native wire as values: what a request may hold, and what a reply is made of.

Requests are read by `serde.types` into the records below, field for field and in the order of the
router's structs (router/src/lib.rs:82-363): the order matters, because arrays are read as fields.
`replies` turns results into bytes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

import msgspec

from lorax_mock.serde.types import (
    Deserializer,
    Field,
    boolean,
    integer,
    json_value,
    option,
    sequence,
    single,
    string,
    struct,
    unit_enum,
    untagged,
)

__all__ = [
    "CLASSIFY_BATCH_REQUEST",
    "CLASSIFY_REQUEST",
    "COMPAT_EMBED_REQUEST",
    "COMPAT_GENERATE_REQUEST",
    "DEFAULT_SCHEMA",
    "EMBED_REQUEST",
    "GENERATE_REQUEST",
    "I32",
    "NO_PARAMETERS",
    "RESPONSE_FORMAT_KINDS",
    "TOKENIZE_REQUEST",
    "U64",
    "Alternative",
    "EmbedRequest",
    "FinishReason",
    "GenerateParameters",
    "GenerateRequest",
    "Generated",
    "MergedAdapters",
    "PrefillToken",
    "ResponseFormat",
    "SimpleToken",
    "Token",
    "TokenizeRequest",
]

U32: Final = integer("u32", 0, 2**32 - 1)
U64: Final = integer("u64", 0, 2**64 - 1)
USIZE: Final = integer("usize", 0, 2**64 - 1)
I32: Final = integer("i32", -(2**31), 2**31 - 1)

DEFAULT_SCHEMA: Final[dict[str, Any]] = {
    "additionalProperties": {
        "type": ["object", "string", "integer", "number", "boolean", "null"],
    },
    "title": "ArbitraryJsonModel",
    "type": "object",
}
"""What `response_format` means without a `schema` key (router/src/lib.rs:545)."""


class MergedAdapters(msgspec.Struct, frozen=True):
    """`merged_adapters`; the id list is required by the parser, all else has defaults."""

    ids: tuple[str, ...]
    weights: tuple[float, ...] = ()
    merge_strategy: str | None = None
    density: float = 0.0
    majority_sign_method: str | None = None


class ResponseFormat(msgspec.Struct, frozen=True):
    """`response_format`; only `schema` has an effect, `None` means unconstrained."""

    kind: str = msgspec.field(name="type")
    schema: Any = None


# msgspec's structs rather than dataclasses: a frozen dataclass of 25 fields costs six times as
# much to build, and one is built for every request.
class GenerateParameters(msgspec.Struct, frozen=True):
    """Everything under `parameters`, unchecked."""

    adapter_id: str | None = None
    adapter_source: str | None = None
    merged_adapters: MergedAdapters | None = None
    api_token: str | None = None
    best_of: int | None = None
    temperature: float | None = None
    repetition_penalty: float | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    typical_p: float | None = None
    do_sample: bool = False
    max_new_tokens: int | None = None
    ignore_eos_token: bool = False
    return_full_text: bool | None = None
    stop: tuple[str, ...] = ()
    truncate: int | None = None
    watermark: bool = False
    details: bool = False
    decoder_input_details: bool = False
    return_k_alternatives: int | None = None
    apply_chat_template: bool = False
    seed: int | None = None
    response_format: ResponseFormat | None = None


NO_PARAMETERS: Final = GenerateParameters()


class GenerateRequest(msgspec.Struct, frozen=True):
    """A native request; `stream` is heeded on `/` and `/invocations` alone."""

    inputs: str
    parameters: GenerateParameters = NO_PARAMETERS
    stream: bool = False
    add_special_tokens: bool = True
    """Never read from a body: the chat endpoint turns it off."""


class TokenizeRequest(msgspec.Struct, frozen=True):
    """`POST /tokenize`."""

    inputs: str
    add_special_tokens: bool | None = None


def _optional(name: str, kind: Deserializer) -> Field:
    return Field(name, option(kind), None)


MERGED_ADAPTERS: Final = struct(
    "AdapterParameters",
    [
        Field("ids", sequence(string)),
        Field("weights", sequence(single), ()),
        _optional("merge_strategy", string),
        Field("density", single, 0.0),
        _optional("majority_sign_method", string),
    ],
    MergedAdapters,
)

RESPONSE_FORMAT_KINDS: Final[tuple[dict[str, str], list[str]]] = (
    {
        "Text": "text",
        "text": "text",
        "JsonObject": "json_object",
        "json_object": "json_object",
        "JsonSchema": "json_schema",
        "json_schema": "json_schema",
    },
    # A refusal lists each variant's own name and then its alias (serde_derive 1.0.215).
    ["Text", "text", "JsonObject", "json_object", "JsonSchema", "json_schema"],
)

RESPONSE_FORMAT: Final = struct(
    "ResponseFormat",
    [
        Field("type", unit_enum(*RESPONSE_FORMAT_KINDS)),
        Field("schema", option(json_value), DEFAULT_SCHEMA),
    ],
    ResponseFormat,
)

PARAMETERS: Final = struct(
    "GenerateParameters",
    [
        _optional("adapter_id", string),
        _optional("adapter_source", string),
        # No `#[serde(default)]` here (router/src/lib.rs:180): an array must reach it.
        Field("merged_adapters", option(MERGED_ADAPTERS), None, positional=False),
        _optional("api_token", string),
        _optional("best_of", USIZE),
        _optional("temperature", single),
        _optional("repetition_penalty", single),
        _optional("frequency_penalty", single),
        _optional("presence_penalty", single),
        _optional("top_k", I32),
        _optional("top_p", single),
        _optional("typical_p", single),
        Field("do_sample", boolean, default=False),
        _optional("max_new_tokens", U32),
        Field("ignore_eos_token", boolean, default=False),
        _optional("return_full_text", boolean),
        Field("stop", sequence(string), ()),
        _optional("truncate", USIZE),
        Field("watermark", boolean, default=False),
        Field("details", boolean, default=False),
        Field("decoder_input_details", boolean, default=False),
        _optional("return_k_alternatives", I32),
        Field("apply_chat_template", boolean, default=False),
        _optional("seed", U64),
        _optional("response_format", RESPONSE_FORMAT),
    ],
    GenerateParameters,
)

GENERATE_REQUEST: Final = struct(
    "GenerateRequest",
    [Field("inputs", string), Field("parameters", PARAMETERS, NO_PARAMETERS)],
    GenerateRequest,
)

COMPAT_GENERATE_REQUEST: Final = struct(
    "CompatGenerateRequest",
    [
        Field("inputs", string),
        Field("parameters", PARAMETERS, NO_PARAMETERS),
        Field("stream", boolean, default=False),
    ],
    GenerateRequest,
)

TOKENIZE_REQUEST: Final = struct(
    "TokenizeRequest",
    [Field("inputs", string), Field("add_special_tokens", option(boolean), None, positional=False)],
    TokenizeRequest,
)


class EmbedRequest(msgspec.Struct, frozen=True):
    """`POST /embed` and `/v1/embeddings`; the latter's other fields have no effect."""

    inputs: str | tuple[str, ...]
    parameters: GenerateParameters = NO_PARAMETERS
    """Only the adapter fields are ever set."""


def _embed_parameters(*values: Any) -> GenerateParameters:
    return GenerateParameters(*values)


def _embed(inputs: Any, parameters: GenerateParameters | None) -> EmbedRequest:
    return EmbedRequest(inputs, parameters or NO_PARAMETERS)


def _compat_embed(inputs: Any, *ignored: Any) -> EmbedRequest:
    return _embed(inputs, ignored[-1])


def _only(value: Any) -> Any:
    return value


def _string_or_list(value: Any) -> str | tuple[str, ...]:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return tuple(value)
    raise ValueError(value)


_EMBED_PARAMETERS: Final = struct(
    "EmbedParameters",
    [
        _optional("adapter_id", string),
        _optional("adapter_source", string),
        Field("merged_adapters", option(MERGED_ADAPTERS), None, positional=False),
        _optional("api_token", string),
    ],
    _embed_parameters,
)

EMBED_REQUEST: Final = struct(
    "EmbedRequest",
    [Field("inputs", string), _optional("parameters", _EMBED_PARAMETERS)],
    _embed,
)

COMPAT_EMBED_REQUEST: Final = struct(
    "CompatEmbedRequest",
    [
        Field("input", untagged("StringOrVec", _string_or_list)),
        Field("model", string),
        Field("encoding_format", option(string), None, positional=False),
        Field("dimensions", option(I32), None, positional=False),
        Field("user", option(string), None, positional=False),
        _optional("parameters", _EMBED_PARAMETERS),
    ],
    _compat_embed,
)

CLASSIFY_REQUEST: Final = struct("ClassifyRequest", [Field("inputs", string)], _only)

CLASSIFY_BATCH_REQUEST: Final = struct(
    "BatchClassifyRequest", [Field("inputs", sequence(string))], _only
)


class FinishReason(Enum):
    """Why a generation ended; when several hold on one token the earlier member wins."""

    LENGTH = "length"
    EOS = "eos_token"
    STOP = "stop_sequence"


@dataclass(frozen=True, slots=True)
class Alternative:
    """One of the top k; `logprob` None stands for a masked token's -inf."""

    id: int
    text: str
    logprob: float | None


class Token(msgspec.Struct, frozen=True, gc=False):
    """One generated token; `text` may be empty while a character is incomplete.

    Nothing that it holds can point back to it, so the garbage collector need not look at it.
    """

    id: int
    text: str
    logprob: float | None
    special: bool
    alternatives: tuple[Alternative, ...] | None = None
    skipped: bool = False


@dataclass(frozen=True, slots=True)
class PrefillToken:
    """One token of the prompt; the first has no logprob."""

    id: int
    text: str
    logprob: float | None


@dataclass(frozen=True, slots=True)
class Generated:
    """One finished generation as the router sees it."""

    text: str
    finish_reason: FinishReason
    prompt_tokens: int
    seed: int | None
    prefill: tuple[PrefillToken, ...]
    tokens: Sequence[Token]


@dataclass(frozen=True, slots=True)
class SimpleToken:
    """One token of `/tokenize`: the raw vocabulary piece and its character offsets."""

    id: int
    text: str
    start: int
    stop: int
