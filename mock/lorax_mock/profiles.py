"""Latency profiles: what passes and tokens take on real GPUs, from published measurements.

All are of one harness, AccelMark's scenario "interactive": one request at a time, in bfloat16, on vLLM 0.7.3, 500
conversational prompts with a median of some 280 tokens. It publishes medians of the time to the first token (TTFT) and of
the time per output token (TPOT). What the mock takes from them:

* a decode step takes the TPOT;
* a prefill takes a TPOT, which no pass can be faster than, and the rest of the TTFT evenly over the prompt's tokens, so
  that a prompt of 280 tokens has its first token after the TTFT.

Adapters' downloads and loads have no published figure that names its hardware, so a profile leaves them as they are.

Source: https://github.com/FreedomIntelligence/AccelMark at 5797fc42745be2494e6213938d9e5afa0c6c5bef, `results/verified/`
and `datasets/sharegpt_standard_v1/README.md`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

from lorax_mock.settings import Costs

__all__ = ["PROFILES", "PROMPT_TOKENS", "Profile", "ProfileName", "with_profile"]

ProfileName = Literal["llama-3-8b-l4", "llama-3-8b-a100", "llama-3-8b-h100", "llama-3-70b-8xa100"]

PROMPT_TOKENS: Final = 280
"""The median length of the measured prompts."""


@dataclass(frozen=True, slots=True)
class Profile:
    """Published medians, in milliseconds."""

    model: str
    gpus: str
    ttft: float
    tpot: float
    result: str
    """The folder of the measurement."""


PROFILES: Final[Mapping[ProfileName, Profile]] = {
    "llama-3-8b-l4": Profile(
        *("meta-llama/Meta-Llama-3-8B-Instruct", "1 x NVIDIA L4", 161.63, 61.2),
        "nvidia_l4x1_suite_A_nvidia_vllm_47f5d58e_b991b4c1",
    ),
    "llama-3-8b-a100": Profile(
        *("meta-llama/Meta-Llama-3-8B-Instruct", "1 x NVIDIA A100-SXM4-40GB", 39.8, 14.27),
        "nvidia_a100_sxm4_40gbx1_suite_A_nvidia_vllm_47f5d58e_b4a92b30",
    ),
    "llama-3-8b-h100": Profile(
        *("meta-llama/Meta-Llama-3-8B-Instruct", "1 x NVIDIA H100 80GB HBM3", 20.08, 7.74),
        "nvidia_h100_80gb_hbm3x1_suite_A_nvidia_vllm_47f5d58e_831c95a7",
    ),
    "llama-3-70b-8xa100": Profile(
        *("meta-llama/Meta-Llama-3-70B-Instruct", "8 x NVIDIA A100-SXM4-40GB", 81.65, 20.93),
        "nvidia_a100_sxm4_40gbx8_suite_B_nvidia_vllm_47f5d58e_14410aea",
    ),
}
"""By the name that `--profile` takes."""


def with_profile(costs: Costs, name: ProfileName) -> Costs:
    """The costs, with those of a profile in them."""
    known = PROFILES[name]
    rest = (known.ttft - known.tpot) / PROMPT_TOKENS
    return replace(costs, first=known.tpot, prefill_token=round(rest, 6), step=known.tpot)
