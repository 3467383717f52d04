"""Plain chat replies: finish reasons, budgets, identity, usage."""

from typing import Any

from tests.contracts.planted.deviation import (
    GH,
    Deviation,
    assign,
    choice,
    delta,
    ended,
    forget,
    is_chat,
    reply,
    without,
)
from tests.contracts.reference import Asked, Said

__all__ = ["DEVIATIONS"]


def _trim(asked: Asked, said: Said) -> None:
    if is_chat(asked) and asked.document.get("stop") and said.status == 200 and not said.chunks:
        for one in said.document["choices"]:
            if one["message"]["content"]:
                one["message"]["content"] = one["message"]["content"][:-1]


def _prompt_times_n(asked: Asked, said: Said) -> None:
    if is_chat(asked) and said.status == 200 and said.chunks is None:
        usage = said.document["usage"]
        usage["prompt_tokens"] *= len(said.document["choices"])
        usage["total_tokens"] = usage["prompt_tokens"] + usage["completion_tokens"]


def _one_over(asked: Asked) -> None:
    if is_chat(asked):
        for name in ("max_tokens", "max_completion_tokens"):
            if isinstance(asked.document.get(name), int) and asked.document[name] >= 0:
                asked.document[name] += 1


def _no_reason(one: Any, part: Any) -> None:
    one["finish_reason"] = None


def _length_as_stop(one: Any, part: Any) -> None:
    ended(one, "length", "stop")


def _calls_as_stop(one: Any, part: Any) -> None:
    ended(one, "tool_calls", "stop")


def _eos_reason(one: Any, part: Any) -> None:
    ended(one, "stop", "eos_token")


def _empty_calls(one: Any) -> None:
    if one["finish_reason"] == "tool_calls":
        one["message"].update(tool_calls=[], content="")


def _streams_always(asked: Asked) -> None:
    if is_chat(asked) and "stream" not in asked.document:
        asked.document["stream"] = True


def _done_behind(asked: Asked, said: Said) -> None:
    if is_chat(asked) and said.status == 200 and said.chunks is None:
        said.raw = said.body() + b"data: [DONE]\n\n"


def _one_uncounted(document: Any) -> None:
    if any(one["finish_reason"] == "length" for one in document["choices"]):
        document["usage"]["completion_tokens"] -= 1
        document["usage"]["total_tokens"] -= 1


def _untraced(_: Asked, said: Said) -> None:
    said.headers.pop("x-request-id")


DEVIATIONS: tuple[Deviation, ...] = (
    Deviation(
        "no x-request-id",
        "OAI-HTTP-003",
        "OpenAI API reference, Debugging requests: x-request-id",
        say=_untraced,
        strict=True,
    ),
    Deviation(
        "length reported as stop",
        "OAI-FINISH-001",
        GH + "mudler/LocalAI/issues/3533",
        say=choice(lambda one: ended(one, "length", "stop")),
        also={"OAI-STREAM-025": "streams say length"},
    ),
    Deviation(
        "length reported as stop, streamed",
        "OAI-FINISH-001",
        GH + "llm-d/llm-d-inference-sim/issues/29",
        say=delta(_length_as_stop),
        also={"OAI-STREAM-025": "plain answers say length"},
    ),
    Deviation(
        "stop reported as length",
        "OAI-FINISH-003",
        "OpenAPI document 2.3.0, finish_reason",
        say=choice(lambda one: ended(one, "stop", "length")),
        also={"OAI-FINISH-004": "behind a stop string too", "OAI-STREAM-025": "streams say stop"},
    ),
    Deviation(
        "finish reason lost in streams",
        "OAI-STREAM-005",
        GH + "abetlen/llama-cpp-python/issues/735",
        say=delta(_no_reason),
    ),
    Deviation(
        "finish reason of another wire",
        "OAI-CHAT-007",
        GH + "huggingface/text-generation-inference/issues/1724",
        say=choice(lambda one: ended(one, "stop", "eos_token")),
    ),
    Deviation(
        "finish reason of another wire, streamed",
        "OAI-STREAM-022",
        GH + "spring-projects/spring-ai/pull/4900",
        say=delta(_eos_reason),
    ),
    Deviation(
        "tool calls finish with stop, streamed",
        "OAI-FINISH-005",
        GH + "vllm-project/vllm/pull/9209",
        say=delta(_calls_as_stop),
    ),
    Deviation(
        "tool_calls without a call",
        "OAI-FINISH-006",
        "OpenAPI document 2.3.0, finish_reason",
        say=choice(_empty_calls),
    ),
    Deviation(
        "one token over the budget",
        "OAI-FINISH-002",
        GH + "vllm-project/vllm-omni/issues/445",
        ask=_one_over,
    ),
    Deviation(
        "one id for all",
        "OAI-CHAT-011",
        "OpenAPI document 2.3.0, id",
        say=reply(assign(id="chatcmpl-1")),
    ),
    Deviation(
        "created in milliseconds",
        "OAI-CHAT-004",
        "OpenAPI document 2.3.0, created",
        say=reply(lambda d: d.update(created=d["created"] * 1000)),
    ),
    Deviation(
        "no refusal key",
        "OAI-CHAT-010",
        GH + "inferencerlabs/inferencer-feedback/issues/42",
        say=choice(lambda one: one["message"].pop("refusal")),
    ),
    Deviation(
        "no content key",
        "OAI-CHAT-009",
        "OpenAPI document 2.3.0, ChatCompletionResponseMessage",
        say=choice(lambda one: one["message"].pop("content")),
    ),
    Deviation(
        "no role",
        "OAI-CHAT-008",
        "OpenAPI document 2.3.0, ChatCompletionResponseMessage",
        say=choice(lambda one: one["message"].pop("role")),
    ),
    Deviation(
        "n ignored",
        "OAI-CHAT-006",
        "OpenAPI document 2.3.0, n",
        ask=forget("n"),
        also={"OAI-STREAM-018": "in streams too", "OAI-ERR-004": "n = 0 is taken too"},
    ),
    Deviation(
        "no usage", "OAI-USAGE-001", "OpenAPI document 2.3.0, usage", say=reply(without("usage"))
    ),
    Deviation(
        "one completion token whatever was said",
        "OAI-STREAM-026",
        GH + "abetlen/llama-cpp-python/issues/1344",
        say=reply(
            lambda d: d["usage"].update(
                completion_tokens=1, total_tokens=d["usage"]["prompt_tokens"] + 1
            )
        ),
        also={"OAI-FINISH-003": "length after one token of many"},
    ),
    Deviation(
        "total without the prompt",
        "OAI-USAGE-002",
        "OpenAPI document 2.3.0, CompletionUsage",
        say=reply(lambda d: d["usage"].update(total_tokens=d["usage"]["completion_tokens"])),
    ),
    Deviation(
        "the prompt counted n times",
        "OAI-USAGE-004",
        "OpenAPI document 2.3.0, CompletionUsage",
        say=_prompt_times_n,
    ),
    Deviation(
        "text trimmed before the stop string",
        "OAI-STOP-002",
        "OpenAPI document 2.3.0, StopConfiguration",
        say=_trim,
    ),
    Deviation(
        "streams unless told not to",
        "OAI-STREAM-027",
        GH + "unslothai/unsloth/issues/5047",
        ask=_streams_always,
    ),
    Deviation(
        "[DONE] behind a plain reply",
        "OAI-HTTP-001",
        GH + "decolua/9router/issues/3492",
        say=_done_behind,
    ),
    Deviation(
        "the last token of a cut answer uncounted",
        "OAI-USAGE-003",
        GH + "lmstudio-ai/lmstudio-bug-tracker/issues/2335",
        say=reply(_one_uncounted),
        also={
            "OAI-FINISH-003": "length with one token left",
            "OAI-STREAM-026": "streams count all",
        },
    ),
)
