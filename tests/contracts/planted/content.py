"""What an answer holds beside text: log probabilities, tool calls, structured output."""

from copy import deepcopy
from typing import Any

from tests.contracts.planted.deviation import (
    GH,
    Deviation,
    calls_of,
    choice,
    chunks,
    forget,
    is_chat,
    refuse,
)
from tests.contracts.reference import Asked, Said

__all__ = ["DEVIATIONS"]


def _fence(asked: Asked, said: Said) -> None:
    wanted = (asked.document.get("response_format") or {}) if is_chat(asked) else {}
    if isinstance(wanted, dict) and wanted.get("type") == "json_object" and said.status == 200:
        for one in said.document["choices"] if said.chunks is None else []:
            one["message"]["content"] = f"```json\n{one['message']['content']}\n```"


def _loose_schema(asked: Asked) -> None:
    wanted = asked.document.get("response_format") if is_chat(asked) else None
    if isinstance(wanted, dict) and wanted.get("type") == "json_schema":
        asked.document["response_format"] = {"type": "json_object"}


def _loose_arguments(one: Any) -> None:
    for call in calls_of(one):
        call["function"]["arguments"] = '{"town":"Paris"}'


def _ignore_none(asked: Asked) -> None:
    if is_chat(asked) and asked.document.get("tool_choice") == "none":
        asked.document["tool_choice"] = "auto"


def _two_calls(one: Any) -> None:
    if calls_of(one):
        second = deepcopy(calls_of(one)[0])
        second["id"] += "b"
        one["message"]["tool_calls"].append(second)


def _entries(one: Any) -> list[Any]:
    logprobs = one.get("logprobs") or {}
    found: list[Any] = logprobs.get("content") or []
    return found


def _bad_bytes(one: Any) -> None:
    for entry in _entries(one):
        entry["bytes"] = list(entry["token"].encode("latin-1", "replace"))


def _positive(one: Any) -> None:
    for entry in _entries(one):
        entry["logprob"] = 0.75


def _unsorted(one: Any) -> None:
    for entry in _entries(one):
        entry["top_logprobs"].reverse()


def _endless_tops(one: Any) -> None:
    for entry in _entries(one):
        entry["top_logprobs"] = [
            {"token": f"t{rank}", "logprob": -3.0 - rank, "bytes": None} for rank in range(9)
        ]


def _infinite(asked: Asked, said: Said) -> None:
    if is_chat(asked) and asked.document.get("logprobs") and said.status == 200 and not said.chunks:
        said.raw = said.body().replace(b"-0.25", b"-Infinity", 1)


def _logprobs_always(asked: Asked) -> None:
    if is_chat(asked):
        asked.document["logprobs"] = True


def _older_logprobs(one: Any) -> None:
    entries = _entries(one)
    if entries:
        one["logprobs"] = {
            "tokens": [entry["token"] for entry in entries],
            "token_logprobs": [entry["logprob"] for entry in entries],
            "top_logprobs": None,
            "text_offset": [0 for _ in entries],
        }


def _no_tops(one: Any) -> None:
    for entry in _entries(one):
        entry.pop("top_logprobs")


def _fragments(events: list[Any]) -> list[Any]:
    """The functions of all fragments that carry arguments, in order."""
    calls = [
        call
        for event in events
        for one in event["choices"]
        for call in one["delta"].get("tool_calls", [])
    ]
    return [call["function"] for call in calls if call["function"].get("arguments")]


def _last_lost(events: list[Any]) -> None:
    for function in _fragments(events)[-1:]:
        function["arguments"] = ""


def _all_lost(events: list[Any]) -> None:
    for function in _fragments(events):
        function["arguments"] = ""


def _same_place(events: list[Any]) -> None:
    mine = [e for e in events if e["choices"] and e["choices"][0]["delta"].get("tool_calls")]
    for number, event in enumerate(mine):
        again = deepcopy(event)
        call = again["choices"][0]["delta"]["tool_calls"][0]
        if "id" in call:
            call["id"] += "b"
        events.insert(events.index(mine[-1]) + 1 + number, again)


DEVIATIONS: tuple[Deviation, ...] = (
    Deviation(
        "-Infinity in JSON",
        "OAI-HTTP-001",
        GH + "vllm-project/vllm/issues/10234",
        say=_infinite,
    ),
    Deviation(
        "bytes in another encoding",
        "OAI-LOGP-002",
        "OpenAPI document 2.3.0, ChatCompletionTokenLogprob.bytes",
        say=choice(_bad_bytes),
    ),
    Deviation(
        "probabilities instead of logarithms",
        "OAI-LOGP-003",
        "OpenAPI document 2.3.0, ChatCompletionTokenLogprob.logprob",
        say=choice(_positive),
    ),
    Deviation(
        "alternatives least likely first",
        "OAI-LOGP-004",
        "OpenAPI document 2.3.0, top_logprobs",
        say=choice(_unsorted),
    ),
    Deviation(
        "alternatives without limit",
        "OAI-LOGP-004",
        "OpenAPI document 2.3.0, top_logprobs",
        say=choice(_endless_tops),
    ),
    Deviation(
        "logprobs unasked",
        "OAI-LOGP-005",
        "OpenAPI document 2.3.0, logprobs",
        ask=_logprobs_always,
    ),
    Deviation(
        "arguments as an object",
        "OAI-TOOL-002",
        GH + "ggml-org/llama.cpp/issues/20198",
        say=choice(lambda one: [call["function"].update(arguments={}) for call in calls_of(one)]),
    ),
    Deviation(
        "tool calls without id",
        "OAI-TOOL-001",
        GH + "sgl-project/sglang/issues/7048",
        say=choice(lambda one: [call.update(id="") for call in calls_of(one)]),
    ),
    Deviation(
        "tool_choice none ignored",
        "OAI-TOOL-003",
        "OpenAPI document 2.3.0, ChatCompletionToolChoiceOption",
        ask=_ignore_none,
    ),
    Deviation(
        "parallel_tool_calls ignored",
        "OAI-TOOL-003",
        "OpenAPI document 2.3.0, ParallelToolCalls",
        say=choice(_two_calls),
        also={"OAI-STREAM-025": "streams have one call"},
    ),
    Deviation(
        "strict arguments that do not conform",
        "OAI-TOOL-005",
        "OpenAPI document 2.3.0, FunctionObject.strict",
        say=choice(_loose_arguments),
    ),
    Deviation(
        "JSON in a code fence",
        "OAI-JSON-001",
        "OpenAPI document 2.3.0, ResponseFormatJsonObject",
        say=_fence,
    ),
    Deviation(
        "the schema ignored",
        "OAI-JSON-002",
        "OpenAPI document 2.3.0, ResponseFormatJsonSchema.strict",
        ask=_loose_schema,
    ),
    Deviation(
        "log probabilities of the older form",
        "OAI-LOGP-001",
        GH + "abetlen/llama-cpp-python/issues/1787",
        say=choice(_older_logprobs),
        also={"OAI-CHAT-001": "content and refusal are missing"},
    ),
    Deviation(
        "log probabilities without alternatives' key",
        "OAI-CHAT-001",
        GH + "SillyTavern/SillyTavern/pull/4680",
        say=choice(_no_tops),
    ),
    Deviation(
        "logprobs refused without top_logprobs",
        "OAI-LOGP-001",
        GH + "vllm-project/vllm/issues/4795",
        ask=refuse(lambda d: d.get("logprobs") is True and "top_logprobs" not in d),
    ),
    Deviation(
        "the last piece of streamed arguments lost",
        "OAI-TOOL-002",
        GH + "vllm-project/vllm/issues/10781",
        say=chunks(_last_lost),
    ),
    Deviation(
        "streamed calls without arguments",
        "OAI-TOOL-002",
        GH + "vllm-project/vllm/issues/55082",
        say=chunks(_all_lost),
    ),
    Deviation(
        "parallel calls under one index",
        "OAI-STREAM-020",
        GH + "ollama/ollama/issues/15457",
        say=chunks(_same_place),
    ),
    Deviation(
        "response_format ignored",
        "OAI-JSON-001",
        GH + "ROCm/FastFlowLM/issues/554",
        ask=forget("response_format"),
        also={
            "OAI-ERR-004": "an unknown type is taken too",
            "OAI-JSON-002": "a schema is ignored too",
        },
    ),
)
