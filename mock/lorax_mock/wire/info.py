"""`GET /info`: the limits that are enforced, in the router's key order (router/src/lib.rs:38-80)."""

from typing import Final

import msgspec

from lorax_mock.hashing import digest
from lorax_mock.serde.floats import spell_f32
from lorax_mock.settings import Settings

__all__ = ["encode_info"]

_ROUTER: Final = "a7394ba386ece427d5a6125b419aa38b46d966dc"
"""The commit that the router was built from, which its build tells it (router/build.rs, server.rs:1595)."""


def encode_info(settings: Settings) -> bytes:
    """The whole body; every key is always present."""
    limits = settings.limits
    # The hub tells both, or neither: it knows nothing of a folder (router/src/main.rs:262, 305).
    on_hub = not settings.model_folder
    commit = digest("model-sha", settings.model_id).hex()[:40]
    pairs: list[tuple[str, object]] = [
        ("model_id", settings.model_id),
        ("model_sha", commit if on_hub else None),
        ("model_dtype", "torch.float16"),
        ("model_device_type", "cuda"),
        ("model_pipeline_tag", "text-generation" if on_hub else None),
        ("max_concurrent_requests", limits.max_concurrent_requests),
        ("max_best_of", limits.max_best_of),
        ("max_stop_sequences", limits.max_stop_sequences),
        ("max_input_length", limits.max_input_length),
        ("max_total_tokens", limits.max_total_tokens),
        ("waiting_served_ratio", msgspec.Raw(spell_f32(limits.waiting_served_ratio).encode())),
        ("max_batch_total_tokens", limits.max_batch_total_tokens),
        ("max_waiting_tokens", limits.max_waiting_tokens),
        ("validation_workers", limits.validation_workers),
        ("eager_prefill", limits.eager_prefill),
        ("version", "0.1.0"),
        ("sha", _ROUTER),
        ("docker_label", None),
        ("request_logger_url", None),
    ]
    return msgspec.json.encode(dict(pairs))
