"""A client's merge: numbers that LoRAX computes with, and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorax_proxy.core.merging import merge_of
from lorax_proxy.core.routing import Merge
from lorax_proxy.errors import RequestRefused
from lorax_proxy.wire.lorax import as_f32
from lorax_proxy.wire.openai_requests import MergedAdaptersRequest


def test_what_is_left_out_has_loraxs_meaning() -> None:
    """Weights of one, which LoRAX wants spelled out; the rest stays unsaid."""
    merge = merge_of(MergedAdaptersRequest.model_validate({"ids": ["a", "b"]}), "hub")
    assert merge == Merge(("a", "b"), (1.0, 1.0), None, None, None, "hub")


@pytest.mark.parametrize(
    ("document", "param", "code"),
    [
        ({"weights": [1.0]}, "merged_adapters.weights", "invalid_value"),
        ({"weights": [1.0, 100.5]}, "merged_adapters.weights[1]", "above_max_value"),
        ({"weights": [-1e300, 1.0]}, "merged_adapters.weights[0]", "below_min_value"),
        ({"merge_strategy": "ties"}, "merged_adapters.density", "invalid_value"),
        ({"merge_strategy": "ties", "density": 0.0}, "merged_adapters.density", "invalid_value"),
        ({"merge_strategy": "dare_ties", "density": 1e-50}, "merged_adapters.density", "invalid_value"),
    ],
)  # fmt: skip
def test_what_lorax_cannot_compute_with(document: dict[str, object], param: str, code: str) -> None:
    """Refused, with the place."""
    request = MergedAdaptersRequest.model_validate({"ids": ["a", "b"], **document})
    with pytest.raises(RequestRefused) as caught:
        merge_of(request, None)
    assert (caught.value.status, caught.value.param, caught.value.code) == (400, param, code)


@pytest.mark.property
@given(
    st.lists(st.floats(allow_nan=False, allow_infinity=False) | st.floats(-101, 101), max_size=3),
    st.none() | st.floats(0, 1),
    st.sampled_from([None, "linear", "ties", "dare_linear", "dare_ties"]),
)
def test_whatever_a_client_sends_the_shard_merges(
    weights: list[float], density: float | None, strategy: str | None
) -> None:
    """Refused, or within docs/evidence/shield.md's ranges."""
    ids = [f"a{number}" for number in range(len(weights) or 1)]
    request = MergedAdaptersRequest.model_validate(
        {"ids": ids, "weights": weights, "density": density, "merge_strategy": strategy}
    )
    try:
        merge = merge_of(request, None)
    except RequestRefused as error:
        assert str(error.param).startswith("merged_adapters.")  # noqa: PT017 - either is right
        return
    assert len(merge.weights) == len(merge.ids)
    assert all(abs(weight) <= 100 for weight in merge.weights)
    assert strategy in (None, "linear") or 0 < as_f32(merge.density or 0) <= 1
