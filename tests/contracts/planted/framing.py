"""Chat streams: their frame, whatever is in it."""

from collections.abc import Callable

from lorax_contracts.exchange import End
from tests.contracts.planted.deviation import GH, Deviation, chunk, is_chat, raw
from tests.contracts.reference import Asked, Said

__all__ = ["DEVIATIONS"]


def _idle(asked: Asked, said: Said) -> None:
    if is_chat(asked) and said.chunks is not None:
        said.end = End.IDLE


def _reset(asked: Asked, said: Said) -> None:
    if is_chat(asked) and said.chunks is not None:
        body = said.body()
        said.raw, said.end = body[: len(body) * 2 // 3], End.CUT


def _typed(kind: str) -> Callable[[Asked, Said], None]:
    def say(asked: Asked, said: Said) -> None:
        if is_chat(asked) and said.chunks is not None:
            said.headers["content-type"] = kind

    return say


def _never_streams(asked: Asked) -> None:
    if is_chat(asked) and asked.document.get("stream") is True:
        asked.document.pop("stream")
        asked.document.pop("stream_options", None)


def _end_early(body: bytes) -> bytes:
    frames = body.split(b"\n\n")
    return b"\n\n".join(frames[: len(frames) // 2]) + b"\n\n"


def _error_as_text(body: bytes) -> bytes:
    frames = body.split(b"\n\n")
    return b"\n\n".join(frames[:-3]) + b'\n\ndata: {"error": "out of memory"}\n\n'


def _done_after_error(body: bytes) -> bytes:
    frames = body.split(b"\n\n")
    error = b'data: {"error":{"message":"m","type":"server_error","param":null,"code":null}}'
    return b"\n\n".join([*frames[:-3], error, b"data: [DONE]", b""])


DEVIATIONS: tuple[Deviation, ...] = (
    Deviation(
        "no [DONE]",
        "OAI-STREAM-003",
        GH + "huggingface/text-generation-inference/pull/2221",
        say=raw(lambda body: body.replace(b"data: [DONE]\n\n", b"")),
    ),
    Deviation(
        "[DONE] twice",
        "OAI-STREAM-003",
        "OpenAPI document 2.3.0, stream",
        say=raw(lambda body: body + b"data: [DONE]\n\n"),
    ),
    Deviation(
        "a stream that ends early and cleanly",
        "OAI-STREAM-005",
        GH + "gethnet/litellm-connector-copilot/issues/97",
        say=raw(_end_early),
    ),
    Deviation("a stream that is reset", "OAI-HTTP-004", "RFC 9112, section 8", say=_reset),
    Deviation(
        "the last event is not ended",
        "OAI-STREAM-002",
        "WHATWG HTML, server-sent events, 9.2.6",
        say=raw(lambda body: body.replace(b"\n\ndata: [DONE]", b"\ndata: [DONE]")),
    ),
    Deviation("open after [DONE]", "OAI-STREAM-024", "OpenAPI document 2.3.0, stream", say=_idle),
    Deviation(
        "an error event that is text",
        "OAI-STREAM-016",
        "OpenAPI document 2.3.0, ErrorResponse",
        say=raw(_error_as_text),
    ),
    Deviation(
        "[DONE] after an error",
        "OAI-STREAM-004",
        "vLLM, vllm/entrypoints/openai/serving_chat.py:942-948 (2025-08)",
        say=raw(_done_after_error),
        strict=True,
    ),
    Deviation(
        "streams typed as JSON",
        "OAI-HTTP-002",
        "WHATWG HTML, server-sent events, 9.2.5",
        say=_typed("application/json"),
    ),
    Deviation(
        "streams never come",
        "OAI-STREAM-027",
        "OpenAPI document 2.3.0, stream",
        ask=_never_streams,
    ),
    Deviation(
        "events without an empty line between",
        "OAI-STREAM-002",
        GH + "ggml-org/llama.cpp/issues/14268",
        say=raw(lambda body: body.replace(b"\n\ndata: {", b"\ndata: {", 1)),
    ),
    Deviation(
        "data: twice before each event",
        "OAI-STREAM-002",
        GH + "openclaw/openclaw/pull/97474",
        say=raw(lambda body: body.replace(b"data: {", b"data: data: {")),
    ),
    Deviation(
        "line separators as they are",
        "OAI-STREAM-023",
        "our promise; httpx's line decoder splits there",
        say=chunk(lambda event: event.update(system_fingerprint="fp\u2028")),
        strict=True,
    ),
)
