"""LoRAX's own /v1, deviation by deviation."""

import re
from collections.abc import Callable
from typing import Any

from tests.contracts.planted.deviation import (
    GH,
    Deviation,
    assign,
    calls_of,
    choice,
    chunk,
    completion,
    completion_chunks,
    delta,
    ended,
    errors,
    forget,
    is_chat,
    is_text,
    refusal,
    refuse,
    reply,
)
from tests.contracts.reference import Asked, Said

__all__ = ["DEVIATIONS"]


def _keep_stop(asked: Asked, said: Said) -> None:
    stop = asked.document.get("stop") if is_chat(asked) else None
    if stop and said.status == 200 and said.chunks is None:
        first = stop if isinstance(stop, str) else stop[-1]
        for one in said.document["choices"]:
            if one["finish_reason"] == "stop" and not one["message"].get("tool_calls"):
                one["message"]["content"] += first


def _stop_reason(reason: str) -> Callable[[Asked, Said], None]:
    def say(asked: Asked, said: Said) -> None:
        if is_chat(asked) and asked.document.get("stop") and said.status == 200:
            for event in said.chunks or [said.document]:
                for one in event["choices"]:
                    ended(one, "stop", reason)

    return say


def _runs_past(asked: Asked) -> None:
    # Matches only where a token ends: here, never inside a word.
    stop = asked.document.get("stop") if is_chat(asked) else None
    if stop:
        listed = [stop] if isinstance(stop, str) else stop
        kept = [one for one in listed if not re.fullmatch(r"\w+", one)]
        asked.document["stop"] = kept or None


def _in_stream(asked: Asked, said: Said) -> Said | None:
    if is_chat(asked) and said.status >= 400 and asked.document.get("stream") is True:
        return Said(200, {"content-type": "text/event-stream"}, None, [said.document], done=False)
    return None


def _as_content(asked: Asked, said: Said) -> None:
    if is_chat(asked) and said.chunks is not None:
        for event in said.chunks:
            for one in event["choices"]:
                for call in one["delta"].pop("tool_calls", []):
                    one["delta"]["content"] = call["function"].get("arguments", "")
                ended(one, "tool_calls", "stop")


def _usage_unasked(asked: Asked, said: Said) -> None:
    if is_chat(asked) and said.chunks and not asked.document.get("stream_options"):
        said.chunks[-1]["usage"] = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}


def _named_back(asked: Asked, said: Said) -> None:
    if is_chat(asked) and said.status == 200:
        for event in said.chunks or [said.document]:
            event["model"] = "acme/base"


def _leak_end(asked: Asked, said: Said) -> None:
    if is_chat(asked) and said.status == 200 and said.chunks is None:
        for one in said.document["choices"]:
            if one["finish_reason"] == "length" and one["message"]["content"]:
                one["message"]["content"] += "</s>"


def _plain_text(said: Said) -> None:
    said.headers["content-type"] = "text/plain; charset=utf-8"
    said.raw = b"Failed to deserialize the JSON body into the target type"


def _flat(said: Said) -> None:
    said.document = {"error": "Input validation error", "error_type": "validation"}


def _unknown_as(status: int) -> Callable[[Asked, Said], Said | None]:
    def say(asked: Asked, said: Said) -> Said | None:
        return refusal(status) if is_chat(asked) and said.status == 404 else None

    return say


def _no_models(asked: Asked) -> Said | None:
    return refusal(404) if "/models" in asked.path else None


def _one_prompt(asked: Asked) -> Said | None:
    listed = is_text(asked) and isinstance(asked.document.get("prompt"), list)
    return refusal(422) if listed else None


def _no_text_logprobs(asked: Asked) -> None:
    if is_text(asked):
        asked.document.pop("logprobs", None)


def _zero_usage(events: list[Any]) -> None:
    for event in events:
        if not event.get("usage"):
            event["usage"] = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}


def _lorax_embeddings(asked: Asked, said: Said) -> None:
    if asked.path.endswith("/embeddings") and said.status == 200:
        said.document = {"embeddings": said.document["data"]}


def _with_roles(one: Any, part: Any) -> None:
    part["role"] = "assistant"


def _listed(asked: Asked, said: Said) -> None:
    if is_chat(asked) and said.status == 200 and said.chunks is None:
        said.document = [said.document]


LORAX_ID = "LoRAX router/src/lib.rs:1420"
ADAPTER = "LoRAX router/src/server.rs:400-406: the base model's name whatever adapter answered"
CHUNK = "LoRAX router/src/lib.rs:1460-1463"

DEVIATIONS: tuple[Deviation, ...] = (
    Deviation("id is the text null", "OAI-CHAT-003", LORAX_ID, say=reply(assign(id="null"))),
    Deviation(
        "object of text completions",
        "OAI-CHAT-002",
        "LoRAX router/src/lib.rs:1421",
        say=reply(assign(object="text_completion")),
    ),
    Deviation(
        "the base model's name for an adapter's",
        "OAI-CHAT-005",
        ADAPTER,
        say=_named_back,
        also={"OAI-STREAM-008": "in streams too"},
    ),
    Deviation("stream id is the text null", "OAI-STREAM-021", CHUNK, say=chunk(assign(id="null"))),
    Deviation("stream created is 0", "OAI-STREAM-007", CHUNK, say=chunk(assign(created=0))),
    Deviation(
        "stream model is the text null", "OAI-STREAM-008", CHUNK, say=chunk(assign(model="null"))
    ),
    Deviation(
        "role in every chunk",
        "OAI-STREAM-010",
        "LoRAX router/src/lib.rs:1467; " + GH + "BerriAI/litellm/pull/9986",
        say=delta(_with_roles),
    ),
    Deviation(
        "usage in a stream that did not ask",
        "OAI-STREAM-013",
        "LoRAX router/src/lib.rs:1441, 1477; " + GH + "nguyenphutrong/quotio/issues/460",
        say=_usage_unasked,
    ),
    Deviation(
        "content_filter for a stop string",
        "OAI-FINISH-004",
        "LoRAX router/src/lib.rs:1487",
        say=_stop_reason("content_filter"),
    ),
    Deviation(
        "stop string kept in the text",
        "OAI-STOP-001",
        "LoRAX server/lorax_server/utils/tokens.py:150; "
        + GH
        + "huggingface/text-generation-inference/issues/1724",
        say=_keep_stop,
    ),
    Deviation(
        "stop string missed inside a token",
        "OAI-STOP-001",
        "LoRAX server/lorax_server/utils/tokens.py:150-158",
        ask=_runs_past,
    ),
    Deviation(
        "stop as a string refused",
        "OAI-ACCEPT-001",
        "LoRAX router/src/lib.rs:676",
        ask=refuse(lambda d: isinstance(d.get("stop"), str)),
    ),
    Deviation(
        "stop null refused",
        "OAI-ACCEPT-001",
        "LoRAX router/src/lib.rs:676",
        ask=refuse(lambda d: "stop" in d and d["stop"] is None),
    ),
    Deviation(
        "tool_choice object refused",
        "OAI-ACCEPT-004",
        "LoRAX router/src/lib.rs:888-893; "
        + GH
        + "huggingface/text-generation-inference/pull/2645",
        ask=refuse(lambda d: isinstance(d.get("tool_choice"), dict)),
    ),
    Deviation(
        "tool_choice required refused",
        "OAI-ACCEPT-008",
        "LoRAX router/src/lib.rs:896-905",
        ask=refuse(lambda d: d.get("tool_choice") == "required"),
    ),
    Deviation(
        "functions without parameters refused",
        "OAI-ACCEPT-005",
        "LoRAX router/src/lib.rs:946",
        ask=refuse(
            lambda d: any(
                "parameters" not in one["function"]
                for one in d.get("tools") or []
                if isinstance(one, dict)
            )
        ),
    ),
    Deviation(
        "logprobs ignored",
        "OAI-LOGP-001",
        "LoRAX router/src/lib.rs:1369",
        ask=forget("logprobs", "top_logprobs"),
    ),
    Deviation(
        "max_completion_tokens ignored",
        "OAI-FINISH-002",
        "LoRAX router/src/lib.rs:674; " + GH + "ggml-org/llama.cpp/issues/13700",
        ask=forget("max_completion_tokens"),
    ),
    Deviation(
        "tool calls finish with stop",
        "OAI-FINISH-005",
        "LoRAX router/src/lib.rs:1482; " + GH + "openvinotoolkit/model_server/issues/3927",
        say=choice(lambda one: ended(one, "tool_calls", "stop")),
    ),
    Deviation(
        "every tool call has the id 0",
        "OAI-TOOL-004",
        "LoRAX router/src/server.rs:382",
        say=choice(lambda one: [call.update(id="0") for call in calls_of(one)]),
    ),
    Deviation(
        "streamed tool calls come as content",
        "OAI-TOOL-003",
        "LoRAX router/src/server.rs:284-288; "
        + GH
        + "huggingface/text-generation-inference/issues/2794",
        say=_as_content,
    ),
    Deviation(
        "n refused in streams",
        "OAI-ACCEPT-007",
        "LoRAX router/src/server.rs:1031-1036: an error event",
        ask=refuse(lambda d: d.get("stream") and (d.get("n") or 1) != 1),
    ),
    Deviation(
        "n refused with a seed",
        "OAI-ACCEPT-007",
        "LoRAX router/src/validation.rs:194-424",
        ask=refuse(lambda d: d.get("seed") is not None and (d.get("n") or 1) != 1),
    ),
    Deviation("errors are flat", "OAI-ERR-001", "LoRAX router/src/lib.rs:511", say=errors(_flat)),
    Deviation(
        "errors are plain text",
        "OAI-ERR-001",
        "LoRAX, axum 0.7.7 Json rejections",
        say=errors(_plain_text),
    ),
    Deviation(
        "errors of streams are 200 and an event",
        "OAI-STREAM-017",
        "LoRAX router/src/server.rs:927-975; " + GH + "openclaw/clawrouter/issues/101",
        say=_in_stream,
    ),
    Deviation(
        "no model list", "OAI-MODELS-001", "LoRAX router/src/server.rs:1623-1653", ask=_no_models
    ),
    Deviation(
        "an unknown model is 424",
        "OAI-ERR-005",
        "LoRAX router/src/server.rs:1737-1739",
        say=_unknown_as(424),
    ),
    Deviation(
        "EOS spelled out at the budget",
        "OAI-TEXT-001",
        "LoRAX router/src/lib.rs:1460-1477; server/lorax_server/utils/tokens.py:191-197",
        say=_leak_end,
    ),
    Deviation(
        "tool results refused",
        "OAI-ACCEPT-006",
        "LoRAX router/src/lib.rs:599-650: tool_calls and tool_call_id are dropped; others refuse them",
        ask=refuse(
            lambda d: any(
                one.get("role") == "tool"
                for one in d.get("messages") or []
                if isinstance(one, dict)
            )
        ),
    ),
    Deviation(
        "a list of prompts refused", "OAI-COMP-006", "LoRAX router/src/lib.rs:974", ask=_one_prompt
    ),
    Deviation(
        "completion model is the text null",
        "OAI-COMP-003",
        "LoRAX router/src/lib.rs:1299-1302",
        say=completion(assign(model="null", id="null", created=0)),
        also={"OAI-COMP-012": "created is 1", "OAI-COMP-013": "the model is null too"},
    ),
    Deviation(
        "completion logprobs ignored",
        "OAI-COMP-008",
        "LoRAX router/src/lib.rs:1306",
        ask=_no_text_logprobs,
    ),
    Deviation(
        "zero usage in every completion event",
        "OAI-COMP-010",
        "LoRAX router/src/lib.rs:1353",
        say=completion_chunks(_zero_usage),
        also={"OAI-COMP-011": "it is not null", "OAI-USAGE-003": "it is zero"},
    ),
    Deviation(
        "embeddings under another key",
        "OAI-EMB-001",
        "LoRAX router/src/lib.rs:1202",
        say=_lorax_embeddings,
    ),
    Deviation(
        "the reply in a list",
        "OAI-CHAT-001",
        GH + "predibase/lorax/issues/272",
        say=_listed,
    ),
)
