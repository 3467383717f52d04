"""`GET /info`: the limits that are enforced, in the router's key order (router/src/lib.rs:38-80)."""

import msgspec

from lorax_mock.floats import spell_f32
from lorax_mock.hashing import digest
from lorax_mock.settings import Settings

__all__ = ["encode_info"]


def encode_info(settings: Settings) -> bytes:
    """The whole body; every key is always present."""
    limits = settings.limits
    pairs: list[tuple[str, object]] = [
        ("model_id", settings.model_id),
        # Told together with the tag, by the hub (router/src/main.rs:305): both, or neither.
        ("model_sha", digest("model-sha", settings.model_id).hex()[:40]),
        ("model_dtype", "torch.float16"),
        ("model_device_type", "cuda"),
        ("model_pipeline_tag", "text-generation"),
        ("max_concurrent_requests", limits.max_concurrent_requests),
        ("max_best_of", limits.max_best_of),
        ("max_stop_sequences", limits.max_stop_sequences),
        ("max_input_length", limits.max_input_length),
        ("max_total_tokens", limits.max_total_tokens),
        ("waiting_served_ratio", msgspec.Raw(spell_f32(limits.waiting_served_ratio).encode())),
        ("max_batch_total_tokens", limits.max_batch_total_tokens),
        ("max_waiting_tokens", limits.max_waiting_tokens),
        ("validation_workers", limits.validation_workers),
        ("eager_prefill", True),
        ("version", "0.1.0"),
        ("sha", None),
        ("docker_label", None),
        ("request_logger_url", None),
    ]
    return msgspec.json.encode(dict(pairs))
