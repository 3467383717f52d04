"""How to sample: OpenAI's parameters to LoRAX's, and the values that would poison a batch.

LoRAX samples only when something says so (server/lorax_server/utils/tokens.py:313-338): a
temperature of 1 counts as unset there, so OpenAI's default, sampling at 1, needs `do_sample`. A
temperature of 0 is divided by when it shares a batch, so greedy is asked for by leaving everything
out. Each test is made on the 32-bit float that LoRAX will see.

LoRAX does not check its parameters against the model, and an exception in the shard fails every
request of the batch and can end the router (router/src/infer.rs:1490). So what is sent stays in
ranges in which the shard neither raises nor makes NaN of probabilities; docs/evidence/shield.md has them all.
"""

from msgspec.structs import replace

from lorax_proxy.errors import RequestRefused
from lorax_proxy.wire.lorax import GenerateParameters, as_f32
from lorax_proxy.wire.openai_requests import SamplingRequest

__all__ = ["sampling", "upstream_seed"]

_GREEDY_BELOW = 1e-2
"""LoRAX divides logits by the temperature in the model's type (logits_process.py:203-206). 16-bit floats
end at 65504, and some families' logits reach hundreds; below this they overflow and probabilities
turn to NaN. Greedy is what such a temperature means; vLLM draws the line here too."""

_TYPICAL_MOST = 0.95
"""The sum of all probabilities, made in 16 bits, can stay below 1; one that stays below `typical_p`
makes an index that is out of bounds (logits_process.py:398-409), which on a GPU ends the shard.
huggingface/transformers#26579 saw it at 0.99 in bfloat16; the same line was mended there."""

_TOP_K_MOST = 1000
"""For a vocabulary whose size is not known: `top_k` above it is an index that is out of bounds
(logits_process.py:315-323). The families that LoRAX serves have 32,000 tokens (Llama 2) and more,
small models of the same architectures 1,000 and more, and nobody samples from so many."""

_REPETITION_LEAST, _REPETITION_MOST = 1e-2, 1e2
"""Logits are divided by the penalty, or multiplied, in the model's type (logits_process.py:130): the
same overflow as with temperatures."""


def sampling(request: SamplingRequest, vocabulary_size: int | None = None) -> GenerateParameters:
    """LoRAX's parameters as far as they say how to sample.

    Args:
        request: The validated request.
        vocabulary_size: How many tokens the model chooses from, if that is known.

    Raises:
        RequestRefused: When LoRAX cannot compute with a value.
    """
    temperature = 1.0 if request.temperature is None else as_f32(request.temperature)
    top_p = 1.0 if request.top_p is None else as_f32(request.top_p)
    typical_p = 1.0 if request.typical_p is None else as_f32(request.typical_p)
    if typical_p == 0 or _TYPICAL_MOST < typical_p < 1:
        raise RequestRefused(
            f"Invalid 'typical_p': {request.typical_p!r} is "
            f"{'zero as a 32-bit float' if typical_p == 0 else f'above {_TYPICAL_MOST}'}; "
            f"LoRAX computes with values above 0 and up to {_TYPICAL_MOST}, and 1 switches it off.",
            param="typical_p",
            code="above_max_value" if typical_p else "below_min_value",
        )
    top_k = _top_k(request.top_k, vocabulary_size)
    repetition = _repetition(request.repetition_penalty)
    frequency = as_f32(request.frequency_penalty) or None if request.frequency_penalty else None
    presence = as_f32(request.presence_penalty) or None if request.presence_penalty else None
    always = GenerateParameters(
        repetition_penalty=repetition,
        frequency_penalty=frequency,
        presence_penalty=presence,
        watermark=bool(request.watermark),
    )
    if temperature < _GREEDY_BELOW or top_p == 0:
        # nothing that LoRAX takes for sampling: it would win over greedy (tokens.py:313-338)
        return always
    return replace(
        always,
        do_sample=True,
        temperature=None if temperature == 1 else temperature,
        top_p=None if top_p == 1 else top_p,
        top_k=top_k,
        typical_p=None if typical_p >= 1 else typical_p,
    )


def upstream_seed(seed: int | None, choice: int) -> int | None:
    """The seed of one of `n` choices, in LoRAX's unsigned 64 bits."""
    return None if seed is None else (seed + choice) % 2**64


def _top_k(top_k: int | None, vocabulary_size: int | None) -> int | None:
    # 0 and -1 are what vLLM's and Hugging Face's users write for "off"
    if top_k is None or top_k <= 0:
        return None
    if vocabulary_size is not None:
        # the whole vocabulary is no restriction
        return top_k if top_k < vocabulary_size else None
    if top_k > _TOP_K_MOST:
        raise RequestRefused(
            f"Invalid 'top_k': {top_k} is above {_TOP_K_MOST}, up to which every model's vocabulary "
            "is known to reach; leave it out for no limit. This server's operator can set the "
            "upstream's 'vocabulary_size'.",
            param="top_k",
            code="above_max_value",
        )
    return top_k


def _repetition(penalty: float | None) -> float | None:
    if penalty is None:
        return None
    seen = as_f32(penalty)
    if not _REPETITION_LEAST <= seen <= _REPETITION_MOST:
        raise RequestRefused(
            f"Invalid 'repetition_penalty': {penalty!r} is outside {_REPETITION_LEAST} to "
            f"{_REPETITION_MOST:g}, and LoRAX's 16-bit floats overflow.",
            param="repetition_penalty",
            code="above_max_value" if seen > 1 else "below_min_value",
        )
    return None if seen == 1 else seen
