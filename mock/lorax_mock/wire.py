"""LoRAX's native wire: what a request may hold, and replies byte for byte.

Requests are read by `serde` into the records below, field for field and in the order of the
router's structs (router/src/lib.rs:87-345): the order matters, because arrays are read as fields.
Replies are joined from fragments rather than encoded from objects: a stream event is a few
concatenations, its key order is fixed here, and its floats are already spelled as 32-bit ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

import msgspec

from lorax_mock.floats import spell_f32
from lorax_mock.serde import (
    Field,
    Kind,
    boolean,
    integer,
    json_value,
    option,
    sequence,
    single,
    string,
    struct,
    unit_enum,
)

__all__ = [
    "COMPAT_GENERATE_REQUEST",
    "DEFAULT_SCHEMA",
    "GENERATE_REQUEST",
    "NO_PARAMETERS",
    "TOKENIZE_REQUEST",
    "Alternative",
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
    "encode_error",
    "encode_generate",
    "encode_stream_event",
    "encode_text",
    "encode_token",
    "encode_tokenize",
    "sse",
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
"""What `response_format` means without a `schema` key (router/src/lib.rs:487)."""


class MergedAdapters(msgspec.Struct, frozen=True):
    """`merged_adapters`; the id list is required by the parser, all else has defaults."""

    ids: tuple[str, ...]
    weights: tuple[float, ...] = ()
    merge_strategy: str | None = None
    density: float = 0.0
    majority_sign_method: str | None = None


class ResponseFormat(msgspec.Struct, frozen=True):
    """`response_format`; only `schema` has an effect, `None` means unconstrained."""

    kind: str
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


def _optional(name: str, kind: Kind) -> Field:
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

RESPONSE_FORMAT_KIND: Final = unit_enum(
    {
        "Text": "text",
        "text": "text",
        "JsonObject": "json_object",
        "json_object": "json_object",
        "JsonSchema": "json_schema",
        "json_schema": "json_schema",
    },
    # A refusal lists the variants by their own names, not by the aliases that people use.
    ["Text", "JsonObject", "JsonSchema"],
)

RESPONSE_FORMAT: Final = struct(
    "ResponseFormat",
    [Field("type", RESPONSE_FORMAT_KIND), Field("schema", option(json_value), DEFAULT_SCHEMA)],
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


class Token(msgspec.Struct, frozen=True):
    """One generated token; `text` may be empty while a character is incomplete."""

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


_json: Final = msgspec.json.Encoder().encode
_BOOL: Final = {True: b"true", False: b"false"}
_LOGPROBS: dict[float, bytes] = {}
_TOKEN_HEADS: dict[tuple[int, str], bytes] = {}
_CACHE_LIMIT: Final = 200_000
"""Entries; the built-in vocabulary and its logprobs need a tenth of it."""


def encode_text(text: str) -> bytes:
    """A JSON string as serde_json writes it: only quotes, backslashes and controls escaped."""
    return _json(text)


def _logprob(value: float | None) -> bytes:
    if value is None:
        return b"null"
    spelled = _LOGPROBS.get(value)
    if spelled is None:
        if len(_LOGPROBS) > _CACHE_LIMIT:
            _LOGPROBS.clear()
        spelled = _LOGPROBS[value] = spell_f32(value).encode()
    return spelled


def encode_token(token: Token) -> bytes:
    """`{"id","text","logprob","special","alternative_tokens"?,"skipped"}`."""
    key = (token.id, token.text)
    head = _TOKEN_HEADS.get(key)
    if head is None:
        if len(_TOKEN_HEADS) > _CACHE_LIMIT:
            _TOKEN_HEADS.clear()
        head = b'{"id":%d,"text":%b,"logprob":' % (token.id, _json(token.text))
        _TOKEN_HEADS[key] = head
    if token.alternatives is None and not token.skipped:
        tail = b',"special":true,"skipped":false}' if token.special else _PLAIN_TAIL
        return head + _logprob(token.logprob) + tail
    alternatives = b""
    if token.alternatives is not None:
        listed = b",".join(
            b'{"id":%d,"text":%b,"logprob":%b}'
            % (option_.id, _json(option_.text), _logprob(option_.logprob))
            for option_ in token.alternatives
        )
        alternatives = b',"alternative_tokens":[' + listed + b"]"
    return b'%b%b,"special":%b%b,"skipped":%b}' % (
        head,
        _logprob(token.logprob),
        _BOOL[token.special],
        alternatives,
        _BOOL[token.skipped],
    )


_PLAIN_TAIL: Final = b',"special":false,"skipped":false}'


def _prefill(tokens: tuple[PrefillToken, ...]) -> bytes:
    return b",".join(
        b'{"id":%d,"text":%b,"logprob":%b}' % (token.id, _json(token.text), _logprob(token.logprob))
        for token in tokens
    )


def _seed(seed: int | None) -> bytes:
    return b"null" if seed is None else b"%d" % seed


def encode_generate(
    best: Generated, *, details: bool, others: tuple[Generated, ...] | None = None, prompt: str = ""
) -> bytes:
    """A GenerateResponse; `prompt` is set in front of the text, `others` are best_of's losers."""
    text = _json(prompt + best.text)
    if not details:
        return b'{"generated_text":' + text + b"}"
    losers = b""
    if others is not None:
        losers = b',"best_of_sequences":[%b]' % b",".join(
            b'{"generated_text":%b,"finish_reason":"%b","generated_tokens":%d,"seed":%b,'
            b'"prefill":[%b],"tokens":[%b]}'
            % (
                _json(prompt + other.text),
                other.finish_reason.value.encode(),
                len(other.tokens),
                _seed(other.seed),
                _prefill(other.prefill),
                b",".join(map(encode_token, other.tokens)),
            )
            for other in others
        )
    return (
        b'{"generated_text":%b,"details":{"finish_reason":"%b","prompt_tokens":%d,'
        b'"generated_tokens":%d,"skipped_tokens":%d,"seed":%b,"prefill":[%b],"tokens":[%b]%b}}'
        % (
            text,
            best.finish_reason.value.encode(),
            best.prompt_tokens,
            len(best.tokens),
            sum(token.skipped for token in best.tokens),
            _seed(best.seed),
            _prefill(best.prefill),
            b",".join(map(encode_token, best.tokens)),
            losers,
        )
    )


def encode_stream_event(
    token: Token, end: Generated | None = None, *, details: bool = False, prompt: str = ""
) -> bytes:
    """One framed event; with `end` the final one, which alone holds text and details."""
    if end is None:
        return b'data: {"token":%b,"generated_text":null,"details":null}\n\n' % encode_token(token)
    told = b"null"
    if details:
        told = b'{"finish_reason":"%b","prompt_tokens":%d,"generated_tokens":%d,"seed":%b}' % (
            end.finish_reason.value.encode(),
            end.prompt_tokens,
            len(end.tokens),
            _seed(end.seed),
        )
    return b'data: {"token":%b,"generated_text":%b,"details":%b}\n\n' % (
        encode_token(token),
        _json(prompt + end.text),
        told,
    )


def encode_error(message: str, error_type: str) -> bytes:
    """LoRAX's flat envelope."""
    return b'{"error":%b,"error_type":%b}' % (_json(message), _json(error_type))


def encode_tokenize(tokens: Sequence[SimpleToken]) -> bytes:
    """The reply of `/tokenize`: a bare list."""
    return b"[%b]" % b",".join(
        b'{"id":%d,"text":%b,"start":%d,"stop":%d}'
        % (token.id, _json(token.text), token.start, token.stop)
        for token in tokens
    )


def sse(payload: bytes) -> bytes:
    """One event as axum frames it: a single data line and a blank one."""
    return b"data: " + payload + b"\n\n"
