"""The `x-*` headers of an answer, in the router's order (router/src/server.rs:773-843, 974-1015).

A stream sends only what is known before it starts; those headers echo the request and prove
nothing about the adapter. The rest tells counts and whole milliseconds, cut, not rounded.
"""

from lorax_mock.errors import FatalRequest
from lorax_mock.http.axum import Headers
from lorax_mock.router.validation import adapter_ids
from lorax_mock.settings import Settings
from lorax_mock.shard.timing import Timing
from lorax_mock.wire.native import Generated, GenerateRequest

__all__ = ["of_stream", "of_whole"]

_COMPUTE_TYPE = (b"x-compute-type", b"gpu+optimized")


def of_stream(request: GenerateRequest, settings: Settings) -> Headers:
    """What the request alone decides; raises FatalRequest for ids that no header can hold."""
    return [
        _COMPUTE_TYPE,
        (b"x-compute-characters", b"%d" % len(request.inputs)),
        (b"x-accel-buffering", b"no"),
        *_adapter(request, settings),
        (b"x-model-id", _value(settings.model_id)),
    ]


def of_whole(
    request: GenerateRequest, settings: Settings, best: Generated, timing: Timing
) -> Headers:
    """What the request decides and generation showed, with best_of the winner's; raises FatalRequest."""
    generated = len(best.tokens)
    decoding = timing.inference - timing.first_token
    figures = [
        (b"x-compute-time", timing.total),
        (b"x-compute-characters", len(request.inputs)),
        (b"x-total-time", timing.total),
        (b"x-prompt-tokens", best.prompt_tokens),
        (b"x-generated-tokens", generated),
        (b"x-skipped-tokens", sum(token.skipped for token in best.tokens)),
        (b"x-total-tokens", best.prompt_tokens + generated),
        (b"x-validation-time", timing.validation),
        (b"x-queue-time", timing.queue),
        (b"x-inference-time", timing.inference),
        (b"x-time-per-token", timing.inference / generated),
        (b"x-time-to-first-token", timing.first_token),
        (b"x-time-per-output-token", decoding / max(generated - 1, 1)),
    ]
    return [
        _COMPUTE_TYPE,
        *[(name, b"%d" % value) for name, value in figures],
        (b"x-model-id", _value(settings.model_id)),
        *_adapter(request, settings),
    ]


def _adapter(request: GenerateRequest, settings: Settings) -> Headers:
    """Which adapter was asked for; nothing for the base model."""
    ids = ",".join(adapter_ids(request.parameters))
    if not ids:
        return []
    source = request.parameters.adapter_source
    if source is None:
        source = settings.default_adapter_source
    return [(b"x-adapter-id", _value(ids)), (b"x-adapter-source", _value(source))]


def _value(text: str) -> bytes:
    """Bytes for a header; control characters make the router's `parse().unwrap()` panic."""
    value = text.encode()
    if any((byte < 0x20 and byte != 0x09) or byte == 0x7F for byte in value):
        raise FatalRequest(
            f"a control character in {text!r} cannot be put into a header",
            "router/src/server.rs:1011",
        )
    return value
