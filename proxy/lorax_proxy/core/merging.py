"""A client's `merged_adapters`: several adapters as one, with numbers that LoRAX can compute with.

Sources: `AdapterParameters` (router/src/lib.rs:83) and the shard's merging
(server/lorax_server/utils/merges/). Names are judged by their type in `wire.openai_requests`: an
unknown strategy panics the router (router/src/lib.rs:106).
"""

from lorax_proxy.core.routing import Merge
from lorax_proxy.errors import RequestRefused
from lorax_proxy.wire.lorax import as_f32
from lorax_proxy.wire.openai_requests import MergedAdaptersRequest

__all__ = ["MAX_WEIGHT", "merge_of"]

MAX_WEIGHT = 100.0
"""The shard multiplies both matrices of an adapter by its weight and stores them in 16-bit floats,
which end at 65504 (utils/merges/strategies.py:24-35): far larger ones make it answer NaN."""


def merge_of(merge: MergedAdaptersRequest, source: str | None) -> Merge:
    """What is asked of LoRAX; weights default to one each.

    Raises:
        RequestRefused: 400 for weights that do not fit the ids or LoRAX's floats, and for a density
            that leaves nothing of an adapter.
    """
    weights = merge.weights if merge.weights is not None else [1.0] * len(merge.ids)
    if len(weights) != len(merge.ids):
        raise RequestRefused(
            f"Invalid 'merged_adapters.weights': {len(merge.ids)} ids need as many weights.",
            param="merged_adapters.weights",
            code="invalid_value",
        )
    for index, weight in enumerate(weights):
        if abs(weight) > MAX_WEIGHT:
            raise RequestRefused(
                f"Invalid 'merged_adapters.weights[{index}]': {weight!r} is outside "
                f"{-MAX_WEIGHT:g} to {MAX_WEIGHT:g}, and LoRAX's 16-bit floats overflow.",
                param=f"merged_adapters.weights[{index}]",
                code="above_max_value" if weight > 0 else "below_min_value",
            )
    if merge.merge_strategy not in (None, "linear") and not as_f32(merge.density or 0):
        raise RequestRefused(
            f"Invalid 'merged_adapters.density': strategy '{merge.merge_strategy}' needs one "
            "above 0 as a 32-bit float; LoRAX's default of 0 prunes every weight.",
            param="merged_adapters.density",
            code="invalid_value",
        )
    return Merge(
        ids=tuple(merge.ids),
        weights=tuple(weights),
        strategy=merge.merge_strategy,
        density=merge.density,
        majority_sign_method=merge.majority_sign_method,
        source=source,
    )
