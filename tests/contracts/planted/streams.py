"""Chat streams: their frame, their order, their sums."""

import re
from collections.abc import Callable
from copy import deepcopy
from typing import Any

from lorax_contracts.exchange import End
from tests.contracts.planted.deviation import (
    GH,
    Deviation,
    assign,
    chunk,
    chunks,
    delta,
    is_chat,
    raw,
)
from tests.contracts.reference import Asked, Said

__all__ = ["DEVIATIONS"]


def _dropped_index(asked: Asked, said: Said) -> None:
    if is_chat(asked) and said.chunks is not None:
        for event in said.chunks:
            for one in event["choices"]:
                for call in one["delta"].get("tool_calls", []):
                    call.pop("index", None)


def _named_again(asked: Asked, said: Said) -> None:
    if is_chat(asked) and said.chunks is not None:
        for event in said.chunks:
            for one in event["choices"]:
                for call in one["delta"].get("tool_calls", []):
                    call["function"].setdefault("name", "get_weather")


def _split_bytes(events: list[Any]) -> None:
    for event in events:
        for one in event["choices"]:
            content = one["delta"].get("content")
            if content and not content.isascii():
                one["delta"]["content"] = re.sub(r"[^\x00-\x7f]", "\ufffd\ufffd", content)


def _last_word_again(events: list[Any]) -> None:
    spoken = [e for e in events if e["choices"] and e["choices"][0]["delta"].get("content")]
    if spoken:
        at = next((n for n, e in enumerate(events) if not e["choices"]), len(events))
        events.insert(at, deepcopy(spoken[-1]))


def _usage_on_finish(events: list[Any]) -> None:
    if events and events[-1]["choices"] == []:
        events[-2]["usage"] = events.pop()["usage"]


def _no_usage(events: list[Any]) -> None:
    if events and events[-1]["choices"] == []:
        events.pop()


def _running_usage(events: list[Any]) -> None:
    if events and events[-1]["choices"] == []:
        for event in events[:-1]:
            event["usage"] = events[-1]["usage"]


def _fewer_in_streams(events: list[Any]) -> None:
    if events and events[-1]["choices"] == []:
        usage = events[-1]["usage"]
        usage["completion_tokens"] -= 1
        usage["total_tokens"] -= 1


def _no_usage_counts(events: list[Any]) -> None:
    if events and events[-1]["choices"] == []:
        events[-1]["usage"] = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}


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


def _stripped(events: list[Any]) -> None:
    for event in events:
        for one in event["choices"]:
            if one["delta"].get("content"):
                one["delta"]["content"] = one["delta"]["content"].strip()


def _number_ids(events: list[Any]) -> None:
    for number, event in enumerate(events):
        event["id"] = f"{event['id']}.{number}"


def _ticking(events: list[Any]) -> None:
    for number, event in enumerate(events):
        event["created"] += number


def _without_roles(one: Any, part: Any) -> None:
    part.pop("role", None)


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
        "another id in each chunk",
        "OAI-STREAM-006",
        GH + "BerriAI/litellm/issues/1571",
        say=chunks(_number_ids),
    ),
    Deviation(
        "another time in each chunk",
        "OAI-STREAM-007",
        GH + "raullenchai/Rapid-MLX/pull/752",
        say=chunks(_ticking),
    ),
    Deviation(
        "no role in the first chunk",
        "OAI-STREAM-009",
        GH + "BerriAI/litellm/pull/25638",
        say=delta(_without_roles),
    ),
    Deviation(
        "the last words again after the end",
        "OAI-STREAM-011",
        "OpenAPI document 2.3.0, CreateChatCompletionStreamResponse",
        say=chunks(_last_word_again),
    ),
    Deviation(
        "usage asked for and missing",
        "OAI-STREAM-014",
        GH + "abetlen/llama-cpp-python/issues/1082",
        say=chunks(_no_usage),
    ),
    Deviation(
        "usage on the finish chunk",
        "OAI-STREAM-014",
        GH + "router-for-me/CLIProxyAPI/pull/3077",
        say=chunks(_usage_on_finish),
    ),
    Deviation(
        "usage in every chunk",
        "OAI-STREAM-015",
        GH + "router-for-me/CLIProxyAPI/pull/3077",
        say=chunks(_running_usage),
    ),
    Deviation(
        "zero usage in streams",
        "OAI-USAGE-003",
        GH + "NadirRouter/NadirClaw/pull/33",
        say=chunks(_no_usage_counts),
    ),
    Deviation(
        "other usage in streams",
        "OAI-STREAM-026",
        "OpenAPI document 2.3.0, include_usage",
        say=chunks(_fewer_in_streams),
    ),
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
        "object of plain replies in chunks",
        "OAI-STREAM-019",
        "OpenAPI document 2.3.0, CreateChatCompletionStreamResponse.object",
        say=chunk(assign(object="chat.completion")),
    ),
    Deviation(
        "characters broken over chunks",
        "OAI-TEXT-002",
        GH + "Blaizzy/mlx-vlm/pull/1076",
        say=chunks(_split_bytes),
    ),
    Deviation(
        "spaces stripped from chunks",
        "OAI-STREAM-025",
        GH + "BerriAI/litellm/issues/14106",
        say=chunks(_stripped),
    ),
    Deviation(
        "a tool call without index",
        "OAI-STREAM-020",
        GH + "sgl-project/sglang/issues/5661",
        say=_dropped_index,
    ),
    Deviation(
        "the function's name in every fragment",
        "OAI-STREAM-020",
        GH + "vllm-project/vllm/pull/23522",
        say=_named_again,
    ),
)
