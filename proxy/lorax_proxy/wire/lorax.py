"""LoRAX's wire as the proxy speaks it: a strict writer of requests, a tolerant reader of answers.

Sources: router/src/lib.rs (request and answer types), router/src/server.rs:1736 (error envelope).
The reader takes what LoRAX may send and ignores what it does not know; a document that means
nothing to it is `Unreadable`, never another exception.

Floats are 32-bit on LoRAX's side (router/src/lib.rs:168-299), so `as_f32` is how the proxy looks at
a number before it decides anything about it: 1e-50 is a temperature of zero there.

What arrives by the hundred (tokens, events) cannot be part of a cycle and is kept out of the garbage
collector's sight (`gc=False`).
"""

import struct
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from lorax_proxy.errors import ProxyError

__all__ = [
    "Alternative",
    "ErrorBody",
    "Event",
    "FinishReason",
    "GenerateParameters",
    "GenerateRequest",
    "Generation",
    "GenerationDetails",
    "Info",
    "MergedAdapters",
    "PrefillToken",
    "ResponseFormat",
    "ScoredToken",
    "SimpleToken",
    "StreamDetails",
    "Token",
    "Unreadable",
    "as_f32",
    "decode_embedding",
    "decode_error",
    "decode_event",
    "decode_generation",
    "decode_info",
    "decode_scored_event",
    "decode_scored_generation",
    "decode_tokens",
    "encode",
    "encode_embed",
    "encode_tokenize",
]

_T = TypeVar("_T")

FinishReason = Literal["length", "eos_token", "stop_sequence"]
"""router/src/lib.rs, `FinishReason`: tested in this order on each token, the first that holds wins."""


Count = Annotated[int, msgspec.Meta(ge=0, lt=2**32)]
"""A number of tokens: u32 (router/src/lib.rs). A larger or negative one is no answer of LoRAX's."""


class Unreadable(ProxyError):
    """The upstream's answer is not what LoRAX sends: no JSON, or JSON of another shape."""


class MergedAdapters(msgspec.Struct, frozen=True, omit_defaults=True):
    """Several adapters as one (`AdapterParameters`, router/src/lib.rs:83)."""

    ids: tuple[str, ...]
    weights: tuple[float, ...]
    merge_strategy: str | None = None
    density: float = 0.0
    majority_sign_method: str | None = None


class ResponseFormat(msgspec.Struct, frozen=True):
    """Constrained decoding: LoRAX reads the top-level `schema` alone, whatever `type` says."""

    type: Literal["json_object"]
    schema: Any


class GenerateParameters(msgspec.Struct, frozen=True, omit_defaults=True):
    """What to generate and how (`GenerateParameters`, router/src/lib.rs:168); defaults stay unsent."""

    adapter_id: str | None = None
    adapter_source: str | None = None
    merged_adapters: MergedAdapters | None = None
    api_token: str | None = None
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
    stop: tuple[str, ...] = ()
    truncate: int | None = None
    watermark: bool = False
    details: bool = False
    decoder_input_details: bool = False
    return_k_alternatives: int | None = None
    seed: int | None = None
    response_format: ResponseFormat | None = None


class GenerateRequest(msgspec.Struct, frozen=True):
    """The body of `/generate` and `/generate_stream`."""

    inputs: str
    parameters: GenerateParameters


class Alternative(msgspec.Struct, frozen=True, gc=False):
    """One of the `return_k_alternatives` most likely tokens; NaN and infinities arrive as null."""

    text: str
    logprob: float | None = None
    id: int | None = None


class Token(msgspec.Struct, frozen=True, gc=False):
    """One generated token; `text` is empty while a character is incomplete."""

    text: str
    logprob: float | None = None
    special: bool = False
    alternative_tokens: tuple[Alternative, ...] | None = None


class ScoredToken(Token, frozen=True, gc=False):
    """One that is read for its log probabilities: with the number that alternatives know it by."""

    id: int | None = None


class PrefillToken(msgspec.Struct, frozen=True, gc=False):
    """One token of the prompt; the first has no logprob."""

    text: str
    logprob: float | None = None


class StreamDetails(msgspec.Struct, frozen=True, gc=False):
    """The `details` of the final event, sent when the request asked for them."""

    finish_reason: FinishReason
    generated_tokens: Count
    prompt_tokens: Count = 0


class Event(msgspec.Struct, frozen=True, gc=False):
    """One event of `/generate_stream`: a token, or an error with HTTP status 200.

    The final event is the one whose `generated_text` is not null (router/src/server.rs:1110).
    """

    token: Token | None = None
    generated_text: str | None = None
    details: StreamDetails | None = None
    error: str | None = None
    error_type: str | None = None


class _ScoredEvent(Event, frozen=True, gc=False):
    token: ScoredToken | None = None


class GenerationDetails(msgspec.Struct, frozen=True):
    """The `details` of `/generate`."""

    finish_reason: FinishReason
    generated_tokens: Count
    prompt_tokens: Count = 0
    prefill: tuple[PrefillToken, ...] = ()
    tokens: tuple[Token, ...] = ()


class Generation(msgspec.Struct, frozen=True):
    """The answer of `/generate`; the proxy always asks for details."""

    generated_text: str
    details: GenerationDetails


class _ScoredDetails(GenerationDetails, frozen=True):
    tokens: tuple[ScoredToken, ...] = ()


class _ScoredGeneration(Generation, frozen=True):
    details: _ScoredDetails


class ErrorBody(msgspec.Struct, frozen=True):
    """LoRAX's flat error envelope (router/src/server.rs:1736)."""

    error: str
    error_type: str


class Info(msgspec.Struct, frozen=True):
    """What the proxy needs of `/info` (router/src/lib.rs:38)."""

    model_id: str
    max_input_length: int
    max_total_tokens: int
    max_stop_sequences: int = 4
    max_best_of: int = 2
    max_concurrent_requests: int = 0
    model_pipeline_tag: str | None = None
    version: str = ""
    sha: str | None = None
    docker_label: str | None = None


class SimpleToken(msgspec.Struct, frozen=True):
    """One token of `/tokenize`: `text` is the raw vocabulary piece."""

    id: int
    text: str


_F32_MAX = 3.4028234663852886e38
_F32 = Annotated[float, msgspec.Meta(ge=-_F32_MAX, le=_F32_MAX)]


class _Embedding(msgspec.Struct, frozen=True):
    embeddings: tuple[_F32, ...]


_encoder = msgspec.json.Encoder()
_event = msgspec.json.Decoder(Event)
_scored_event = msgspec.json.Decoder(_ScoredEvent)
_generation = msgspec.json.Decoder(Generation)
_scored_generation = msgspec.json.Decoder(_ScoredGeneration)
_error = msgspec.json.Decoder(ErrorBody)
_info = msgspec.json.Decoder(Info)
_tokens = msgspec.json.Decoder(tuple[SimpleToken, ...])
_embedding = msgspec.json.Decoder(_Embedding)


def as_f32(number: float) -> float:
    """The number as LoRAX's 32-bit float will hold it; infinite when it is too large for one."""
    try:
        return float(struct.unpack("f", struct.pack("f", number))[0])
    except (OverflowError, struct.error):  # the second for an integer beyond any double
        return float("inf") if number > 0 else float("-inf")


def encode(request: GenerateRequest) -> bytes:
    """The request as compact JSON."""
    return _encoder.encode(request)


def encode_embed(text: str, parameters: Mapping[str, Any]) -> bytes:
    """The body of `/embed` (router/src/lib.rs, `EmbedRequest`); null parameters stay unsent."""
    given = {name: value for name, value in parameters.items() if value is not None}
    return _encoder.encode({"inputs": text, **({"parameters": given} if given else {})})


def encode_tokenize(text: str, *, special: bool) -> bytes:
    """The body of `/tokenize` (router/src/server.rs:2042)."""
    return _encoder.encode({"inputs": text, "add_special_tokens": special})


def _decode(decoder: msgspec.json.Decoder[_T], body: bytes, what: str) -> _T:
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise Unreadable(f"{what} that LoRAX does not send: {error}") from error


def decode_event(data: bytes) -> Event:
    """Read one stream event.

    Raises:
        Unreadable: When it is not JSON of the shape above, or neither a token nor an error.
    """
    event = _decode(_event, data, "an event")
    if event.token is None and event.error is None:
        raise Unreadable("an event with neither a token nor an error")
    return event


def decode_scored_event(data: bytes) -> Event:
    """Read one stream event with its token's number; raises as `decode_event` does."""
    event = _decode(_scored_event, data, "an event")
    if event.token is None and event.error is None:
        raise Unreadable("an event with neither a token nor an error")
    return event


def decode_generation(body: bytes) -> Generation:
    """Read the answer of `/generate`; raises `Unreadable` when it is none."""
    return _decode(_generation, body, "an answer")


def decode_scored_generation(body: bytes) -> Generation:
    """Read the answer of `/generate` with its tokens' numbers; raises as `decode_generation` does."""
    return _decode(_scored_generation, body, "an answer")


def decode_error(body: bytes) -> ErrorBody | None:
    """Read LoRAX's error envelope; None when the body is something else, such as axum's text."""
    try:
        return _decode(_error, body, "an error")
    except Unreadable:
        return None


def decode_info(body: bytes) -> Info:
    """Read `/info`; raises `Unreadable` when it is none."""
    return _decode(_info, body, "an /info")


def decode_tokens(body: bytes) -> tuple[SimpleToken, ...]:
    """Read the answer of `/tokenize`; raises `Unreadable` when it is none."""
    return _decode(_tokens, body, "a token list")


def decode_embedding(body: bytes) -> tuple[float, ...]:
    """Read the answer of `/embed`; raises `Unreadable` when it is none."""
    return _decode(_embedding, body, "an embedding").embeddings
