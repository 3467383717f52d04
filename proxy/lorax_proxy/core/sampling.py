"""How to sample: OpenAI's parameters to LoRAX's, and the values that would poison a batch.

LoRAX samples only when something says so (server/lorax_server/utils/tokens.py:313-338): a
temperature of 1 counts as unset there, so OpenAI's default, sampling at 1, needs `do_sample`. A
temperature of 0 is divided by when it shares a batch, so greedy is asked for by leaving everything
out. Each test is made on the 32-bit float that LoRAX will see.
"""

from dataclasses import dataclass

from lorax_proxy.errors import RequestRefused
from lorax_proxy.wire.lorax import as_f32
from lorax_proxy.wire.openai_requests import SamplingRequest

__all__ = ["Sampling", "sampling", "upstream_seed"]

_GREEDY_BELOW = 1e-3
"""LoRAX divides logits by the temperature in the model's type (logits_process.py:203). In 16-bit
floats a logit of 60 over 0.001 is the last that is finite; below it probabilities turn to NaN, and
greedy is what such a temperature means."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """The sampling part of LoRAX's parameters; None is left out."""

    do_sample: bool
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    typical_p: float | None = None
    repetition_penalty: float | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    watermark: bool = False


def sampling(request: SamplingRequest) -> Sampling:
    """Translate the sampling parameters.

    Raises:
        RequestRefused: When a value is zero or infinite as a 32-bit float and may not be.
    """
    temperature = 1.0 if request.temperature is None else as_f32(request.temperature)
    top_p = 1.0 if request.top_p is None else as_f32(request.top_p)
    typical_p = 1.0 if request.typical_p is None else as_f32(request.typical_p)
    if typical_p == 0:
        raise RequestRefused(
            "Invalid 'typical_p': it is zero as a 32-bit float, and must be above zero.",
            param="typical_p",
            code="below_min_value",
        )
    repetition = _repetition(request.repetition_penalty)
    frequency = as_f32(request.frequency_penalty or 0.0) or None
    presence = as_f32(request.presence_penalty or 0.0) or None
    if temperature < _GREEDY_BELOW or top_p == 0:
        # nothing that LoRAX takes for sampling: it would win over greedy (tokens.py:313-338)
        return Sampling(
            do_sample=False,
            repetition_penalty=repetition,
            frequency_penalty=frequency,
            presence_penalty=presence,
            watermark=bool(request.watermark),
        )
    return Sampling(
        do_sample=True,
        temperature=None if temperature == 1 else temperature,
        top_p=None if top_p == 1 else top_p,
        # 0 and -1 are what vLLM's and Hugging Face's users write for "off"
        top_k=request.top_k if request.top_k and request.top_k > 0 else None,
        typical_p=None if typical_p >= 1 else typical_p,
        repetition_penalty=repetition,
        frequency_penalty=frequency,
        presence_penalty=presence,
        watermark=bool(request.watermark),
    )


def upstream_seed(seed: int | None, choice: int) -> int | None:
    """The seed of one of `n` choices, in LoRAX's unsigned 64 bits."""
    return None if seed is None else (seed + choice) % 2**64


def _repetition(penalty: float | None) -> float | None:
    if penalty is None:
        return None
    seen = as_f32(penalty)
    if seen == 0 or seen == float("inf"):
        raise RequestRefused(
            f"Invalid 'repetition_penalty': {penalty!r} is {'zero' if seen == 0 else 'infinite'} "
            "as a 32-bit float.",
            param="repetition_penalty",
            code="invalid_value",
        )
    return None if seen == 1 else seen
