"""The router's checks, in its order and its words.

The first check that fails decides (router/src/validation.rs:194-424). Checks that LoRAX makes
before it takes a concurrency permit are separate, because a full server answers 429 between them:
`check_before_permit` (router/src/infer.rs, router/src/server.rs:1032), then `validate`.
"""

from dataclasses import dataclass
from typing import Any

from lorax_mock.errors import FatalRequest, validation
from lorax_mock.prompt.tokenizer import Tokenizer
from lorax_mock.settings import Limits
from lorax_mock.wire.native import GenerateParameters, GenerateRequest

__all__ = [
    "BASE_MODEL",
    "Valid",
    "adapter_ids",
    "check_before_permit",
    "check_input_length",
    "check_survivable",
    "samples",
    "validate",
]

BASE_MODEL = "__base_model__"
"""How LoRAX names the absence of an adapter (router/src/adapter.rs:10)."""

_MERGE_STRATEGIES = frozenset({"LINEAR", "TIES", "DARE_LINEAR", "DARE_TIES"})
_SIGN_METHODS = frozenset({"TOTAL", "FREQUENCY"})


@dataclass(frozen=True, slots=True)
class Valid:
    """A request that passed, with what LoRAX derived from it."""

    request: GenerateRequest
    prompt: tuple[int, ...]
    """Token ids after `truncate`: what the shard sees and reports."""

    input_length: int
    """Tokens that the router counted, before `truncate`; what it has to assume if it cannot count."""

    max_new_tokens: int
    samples: bool
    schema: Any
    """JSON schema to obey; None when unconstrained."""


def adapter_ids(parameters: GenerateParameters) -> tuple[str, ...]:
    """The adapter's ids, without the base model's own; empty for the base model."""
    if parameters.merged_adapters is not None:
        ids = parameters.merged_adapters.ids
    else:
        ids = (parameters.adapter_id or BASE_MODEL,)
    return tuple(one for one in ids if one != BASE_MODEL)


def check_before_permit(parameters: GenerateParameters, limits: Limits, *, stream: bool) -> None:
    """What LoRAX refuses before it asks whether there is room."""
    best_of = parameters.best_of
    if stream:
        if best_of not in (None, 1):
            raise validation("`best_of` != 1 is not supported when streaming tokens")
        if parameters.decoder_input_details:
            raise validation(
                "`decoder_input_details` == true is not supported when streaming tokens"
            )
    elif best_of is not None and best_of > 1:
        # Alone among refusals these two are not counted (router/src/infer.rs:1007).
        if limits.max_best_of == 1:
            raise validation("`best_of` != 1 is not allowed for this endpoint", "")
        if best_of > limits.max_best_of:
            raise validation(
                f"`best_of` must be > 0 and <= {limits.max_best_of}. Given: {best_of}", ""
            )


def validate(request: GenerateRequest, limits: Limits, tokenizer: Tokenizer) -> Valid:
    """All other checks; raises LoraxRefusal, or FatalRequest for what LoRAX would not survive."""
    parameters = request.parameters
    _check_adapters(parameters)
    count = 1 if parameters.best_of is None else parameters.best_of
    _check_sampling(parameters, count)
    _check_lengths(parameters, limits)
    if parameters.seed is not None and count > 1:
        raise validation("`seed` must not be set when `best_of` > 1")
    if not request.inputs:
        raise validation("`inputs` cannot be empty")
    truncate = parameters.truncate
    if truncate is not None and (truncate == 0 or truncate > limits.max_input_length):
        raise validation(
            "`truncate` must be strictly positive and less than "
            f"{limits.max_input_length}. Given: {truncate}"
        )
    tokens = tokenizer.encode(request.inputs, special=request.add_special_tokens)
    if limits.fast_tokenizer:
        length = len(tokens)
        budget = check_input_length(length, parameters.max_new_tokens, limits)
    else:
        truncate = truncate or limits.max_input_length
        length = truncate
        budget = _check_uncounted(length, parameters.max_new_tokens, limits)
    check_survivable(parameters)
    kept = tokens if truncate is None else tokens[-truncate:]
    chosen_format = parameters.response_format
    return Valid(
        request,
        tuple(kept),
        length,
        budget,
        samples(parameters),
        None if chosen_format is None else chosen_format.schema,
    )


def check_input_length(length: int, max_new_tokens: int | None, limits: Limits) -> int:
    """The budget for a prompt of `length` tokens; the untruncated prompt is what counts."""
    if max_new_tokens is not None and length + max_new_tokens > limits.max_total_tokens:
        raise validation(
            f"`inputs` tokens + `max_new_tokens` must be <= {limits.max_total_tokens}. "
            f"Given: {length} `inputs` tokens and {max_new_tokens} `max_new_tokens`"
        )
    if length > limits.max_input_length:
        raise validation(
            f"`inputs` must have less than {limits.max_input_length} tokens. Given: {length}"
        )
    return limits.max_total_tokens - length if max_new_tokens is None else max_new_tokens


def _check_uncounted(length: int, max_new_tokens: int | None, limits: Limits) -> int:
    """The budget when the router knows only what the shard will cut a prompt to."""
    if max_new_tokens is not None and length + max_new_tokens > limits.max_total_tokens:
        allowed = limits.max_total_tokens - limits.max_input_length
        raise validation(f"`max_new_tokens` must be <= {allowed}. Given: {max_new_tokens}")
    return limits.max_total_tokens - length if max_new_tokens is None else max_new_tokens


def samples(parameters: GenerateParameters) -> bool:
    """Whether the shard samples (server/lorax_server/utils/tokens.py:313): 1.0 counts as unset."""
    return (
        parameters.do_sample
        or parameters.temperature not in (None, 0.0, 1.0)
        or parameters.top_k is not None
        or (parameters.top_p is not None and parameters.top_p < 1.0)
        or (parameters.typical_p is not None and parameters.typical_p < 1.0)
    )


def _check_adapters(parameters: GenerateParameters) -> None:
    merged = parameters.merged_adapters
    if merged is None:
        return
    if parameters.adapter_id is not None:
        raise validation("at most one of `adapter_id` or `adapters` may be provided")
    if not merged.ids:
        raise validation("at least one adapter ID must be provided when setting `adapters`")
    if len(merged.ids) != len(merged.weights):
        raise validation("number of adapter IDs must match number of adapter weights")


def _check_sampling(parameters: GenerateParameters, best_of: int) -> None:
    asked_to_sample = parameters.do_sample or any(
        value is not None
        for value in (
            parameters.temperature,
            parameters.top_k,
            parameters.top_p,
            parameters.typical_p,
        )
    )
    if best_of > 1 and not asked_to_sample:
        raise validation("you must use sampling when `best_of` is > 1")
    if parameters.temperature is not None and parameters.temperature < 0.0:
        raise validation("`temperature` must be non-negative")
    if parameters.repetition_penalty is not None and parameters.repetition_penalty <= 0.0:
        raise validation("`repetition_penalty` must be strictly positive")
    if not -2.0 <= (parameters.frequency_penalty or 0.0) <= 2.0:
        raise validation("`frequency_penalty` must be >= -2.0 and <= 2.0")
    if not -2.0 <= (parameters.presence_penalty or 0.0) <= 2.0:
        raise validation("`presence_penalty` must be >= -2.0 and <= 2.0")
    if parameters.top_p is not None and not 0.0 < parameters.top_p <= 1.0:
        raise validation("`top_p` must be > 0.0 and < 1.0")
    if parameters.typical_p is not None and not 0.0 < parameters.typical_p < 1.0:
        raise validation("`typical_p` must be > 0.0 and < 1.0")
    if parameters.top_k is not None and parameters.top_k <= 0:
        raise validation("`top_k` must be strictly positive")
    alternatives = parameters.return_k_alternatives
    if alternatives is not None and alternatives <= 0:
        raise validation("`return_k_alternatives` must be strictly positive")


def _check_lengths(parameters: GenerateParameters, limits: Limits) -> None:
    if parameters.max_new_tokens == 0:
        raise validation("`max_new_tokens` must be strictly positive")
    if len(parameters.stop) > limits.max_stop_sequences:
        raise validation(
            f"`stop` supports up to {limits.max_stop_sequences} stop sequences. "
            f"Given: {len(parameters.stop)}"
        )


def check_survivable(parameters: GenerateParameters) -> None:
    """Raises FatalRequest for what LoRAX's loader would not survive (router/src/lib.rs:106)."""
    merged = parameters.merged_adapters
    if merged is None:
        return
    strategy = merged.merge_strategy or "linear"
    if strategy.upper() not in _MERGE_STRATEGIES:
        raise FatalRequest(
            f"merge_strategy {strategy!r} is none of linear, ties, dare_linear, dare_ties",
            "router/src/lib.rs:106",
        )
    method = merged.majority_sign_method or "total"
    if method.upper() not in _SIGN_METHODS:
        raise FatalRequest(
            f"majority_sign_method {method!r} is neither total nor frequency",
            "router/src/lib.rs:115",
        )
