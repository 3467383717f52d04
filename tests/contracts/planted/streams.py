"""Chat streams: their frame, their order, their sums."""

import re
from copy import deepcopy
from typing import Any

from tests.contracts.planted.deviation import (
    GH,
    Deviation,
    assign,
    chunk,
    chunks,
    delta,
    is_chat,
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


def _azure(events: list[Any]) -> None:
    first = {"id": "", "object": "", "created": 0, "model": "", "choices": []}
    nulls = {"usage": None} if "usage" in events[0] else {}
    events.insert(0, {**first, **nulls, "prompt_filter_results": [{"prompt_index": 0}]})


def _empty_first(events: list[Any]) -> None:
    events.insert(0, {**events[0], "choices": []})


def _empty_reason(one: Any, part: Any) -> None:
    one["finish_reason"] = one["finish_reason"] or ""


def _no_reason_key(one: Any, part: Any) -> None:
    if one["finish_reason"] is None:
        one.pop("finish_reason")


def _ends(events: list[Any]) -> list[Any]:
    return [e for e in events if e["choices"] and e["choices"][0]["finish_reason"]]


def _ends_twice(events: list[Any]) -> None:
    last = _ends(events)[-1]
    events.insert(events.index(last), deepcopy(last))


def _ends_once(events: list[Any]) -> None:
    for event in _ends(events)[:-1]:
        event["choices"][0]["finish_reason"] = None


def _endless_with_logprobs(asked: Asked, said: Said) -> None:
    if is_chat(asked) and said.chunks is not None and asked.document.get("logprobs"):
        for event in said.chunks:
            for one in event["choices"]:
                one["finish_reason"] = None


def _counting_indexes(events: list[Any]) -> None:
    for number, event in enumerate(events):
        for one in event["choices"]:
            one["index"] = number


def _not_empty_last(events: list[Any]) -> None:
    if events and events[-1]["choices"] == []:
        events[-1]["choices"] = [{"index": 0, "delta": {}, "logprobs": None, "finish_reason": None}]


def _stop_begun(asked: Asked, said: Said) -> None:
    stop = asked.document.get("stop") if is_chat(asked) else None
    if stop and said.chunks is not None:
        text = stop if isinstance(stop, str) else stop[-1]
        for event in _ends(said.chunks):
            if event["choices"][0]["finish_reason"] == "stop":
                event["choices"][0]["delta"]["content"] = text[:1]


def _stop_lost(asked: Asked) -> None:
    if is_chat(asked) and asked.document.get("stream") is True:
        asked.document.pop("stop", None)


def _new_line_first(events: list[Any]) -> None:
    for event in events:
        for one in event["choices"]:
            if one["delta"].get("role") and one["delta"].get("content") is not None:
                one["delta"]["content"] = "\n\n" + one["delta"]["content"]


def _words_at_the_end(events: list[Any]) -> None:
    for end in _ends(events):
        index = end["choices"][0]["index"]
        said = [
            e
            for e in events
            if e["choices"] and e["choices"][0]["index"] == index
            if e["choices"][0]["delta"].get("content")
        ]
        if said:
            reason = end["choices"][0]["finish_reason"]
            end["choices"][0] = {**said[-1]["choices"][0], "finish_reason": reason}
            events[:] = [e for e in events if e is not said[-1]]


DEVIATIONS: tuple[Deviation, ...] = (
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
        also={"OAI-FINISH-003": "length with one token left"},
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
        also={"OAI-LOGP-002": "the tokens' bytes have the spaces"},
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
    Deviation(
        "a first chunk that names nothing",
        "OAI-STREAM-021",
        GH + "AbanteAI/archive-old-cli-mentat/issues/429",
        say=chunks(_azure),
        also={
            "OAI-STREAM-007": "created is 0",
            "OAI-STREAM-008": "model is empty",
            "OAI-STREAM-019": "object is empty",
            "OAI-STREAM-028": "choices is empty",
        },
    ),
    Deviation(
        "a first chunk without choices",
        "OAI-STREAM-028",
        GH + "seratch/ChatGPT-in-Slack/pull/49",
        say=chunks(_empty_first),
    ),
    Deviation(
        "finish reason empty while running",
        "OAI-STREAM-022",
        GH + "ollama/ollama/issues/4357",
        say=delta(_empty_reason),
    ),
    Deviation(
        "no finish reason key while running",
        "OAI-STREAM-022",
        GH + "BerriAI/liteLLM-proxy/issues/19",
        say=delta(_no_reason_key),
    ),
    Deviation(
        "the finish reason twice",
        "OAI-STREAM-011",
        GH + "sgl-project/sglang/pull/8417",
        say=chunks(_ends_twice),
    ),
    Deviation(
        "only the last choice finishes",
        "OAI-STREAM-005",
        GH + "sgl-project/sglang/pull/8417",
        say=chunks(_ends_once),
    ),
    Deviation(
        "finish reason lost beside logprobs",
        "OAI-STREAM-005",
        GH + "BerriAI/litellm/issues/10686",
        say=_endless_with_logprobs,
    ),
    Deviation(
        "the choice's index counts the chunks",
        "OAI-STREAM-018",
        GH + "BerriAI/litellm/issues/376",
        say=chunks(_counting_indexes),
    ),
    Deviation(
        "choices in the usage chunk",
        "OAI-STREAM-014",
        GH + "BerriAI/litellm/issues/8450",
        say=chunks(_not_empty_last),
    ),
    Deviation(
        "the beginning of the stop string streamed",
        "OAI-STOP-002",
        GH + "vllm-project/vllm/issues/3574",
        say=_stop_begun,
    ),
    Deviation(
        "stop ignored in streams",
        "OAI-STOP-001",
        GH + "vllm-project/vllm/issues/2577",
        ask=_stop_lost,
    ),
    Deviation(
        "new lines before a streamed answer",
        "OAI-STREAM-025",
        GH + "jundot/omlx/pull/2492",
        say=chunks(_new_line_first),
        also={"OAI-LOGP-002": "no token has them"},
    ),
    Deviation(
        "a fingerprint that is a number",
        "OAI-STREAM-001",
        "OpenAPI document 2.3.0, CreateChatCompletionStreamResponse.system_fingerprint",
        say=chunk(assign(system_fingerprint=5)),
    ),
    Deviation(
        "the last words beside the finish reason",
        "OAI-STREAM-012",
        "OpenAI API reference, streaming example",
        say=chunks(_words_at_the_end),
        strict=True,
    ),
)
