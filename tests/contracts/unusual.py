"""Right servers that do not look like OpenAI's: every variation here keeps every published promise.

Each is something that a server in use does, or that a specification allows; whatever the checker finds on
such a server is a false alarm.
"""

import json
import random
from collections.abc import Callable
from typing import Any

from tests.contracts.reference import Asked, Said
from tests.contracts.variation import Variation

__all__ = ["VARIATIONS", "drawn"]


def _chat(asked: Asked) -> bool:
    return asked.path.endswith("/chat/completions")


def _documents(said: Said) -> list[Any]:
    """The reply, or each event of the stream, when it is an answer."""
    if said.status != 200:
        return []
    return said.chunks if said.chunks is not None else [said.document]


def _each(change: Callable[[Any], object]) -> Callable[[Asked, Said], None]:
    """Changes each answer's document, and each event."""

    def shape(_: Asked, said: Said) -> None:
        for one in _documents(said):
            change(one)

    return shape


def _events(change: Callable[[list[Any]], object]) -> Callable[[Asked, Said], None]:
    """Changes the list of a chat stream's events."""

    def shape(asked: Asked, said: Said) -> None:
        if _chat(asked) and said.chunks is not None:
            change(said.chunks)

    return shape


def _header(plain: str, stream: str) -> Callable[[Asked, Said], None]:
    return lambda _, said: said.headers.update(
        {"content-type": plain if said.chunks is None else stream}
    )


def _reversed(document: Any) -> Any:
    if isinstance(document, dict):
        return {key: _reversed(value) for key, value in reversed(document.items())}
    return [_reversed(one) for one in document] if isinstance(document, list) else document


def _reorder(_: Asked, said: Said) -> None:
    said.document = _reversed(said.document)
    said.chunks = None if said.chunks is None else _reversed(said.chunks)


def _strangers(document: Any) -> None:
    document.update(
        timings={"prompt_n": 1, "predicted_ms": 2.5},
        prompt_logprobs=None,
        kv_transfer_params=None,
        prompt_filter_results=[],
        provider="acme",
    )
    for choice in document.get("choices", []):
        choice.update(stop_reason=None, matched_stop=2, content_filter_results={}, token_ids=None)


def _named_models(_: Asked, said: Said) -> None:
    rows = said.document.get("data", []) if isinstance(said.document, dict) else []
    for row in rows:
        row.update(root="acme/base", parent=None, max_model_len=4096, permission=[])


def _errors(_: Asked, said: Said) -> None:
    if said.status >= 400:
        said.document["error"].update(innererror={"code": "x"}, status=said.status)
        said.document["detail"] = "see error"


def _tier(value: Any) -> Callable[[Any], None]:
    def change(document: Any) -> None:
        if "choices" in document:
            document["service_tier"] = value

    return change


def _fingerprint(document: Any) -> None:
    if "system_fingerprint" in document:
        document["system_fingerprint"] = None


def _obfuscated(events: list[Any]) -> None:
    for number, event in enumerate(events):
        event["obfuscation"] = "xyzzy"[: 1 + number % 5]


def _details(document: Any) -> None:
    usage = document.get("usage")
    if usage and "completion_tokens" in usage:
        usage["prompt_tokens_details"] = {"cached_tokens": 0, "audio_tokens": 0}
        usage["completion_tokens_details"] = {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        }


def _null_usage(events: list[Any]) -> None:
    for event in events:
        event.setdefault("usage", None)


def _nulls(document: Any) -> None:
    if "choices" not in document:
        return
    document.setdefault("service_tier", None)
    if document.get("usage"):
        document["usage"].setdefault("prompt_tokens_details", None)
        document["usage"].setdefault("completion_tokens_details", None)
    for choice in document["choices"]:
        for part, names in (
            ("message", ("tool_calls", "function_call", "annotations", "audio")),
            ("delta", ("role", "content", "tool_calls", "function_call", "refusal")),
        ):
            for name in names if part in choice else ():
                choice[part].setdefault(name, None)


def _no_logprobs(document: Any) -> None:
    for choice in document.get("choices", []):
        if choice.get("logprobs", "") is None:
            choice.pop("logprobs")


def _no_null_logprobs(events: list[Any]) -> None:
    for event in events:
        for choice in event["choices"]:
            if choice.get("logprobs") is None:
                choice.pop("logprobs", None)


def _empty_logprobs(asked: Asked, said: Said) -> None:
    wanted = asked.document if isinstance(asked.document, dict) else {}
    if _chat(asked) and said.chunks is not None and wanted.get("logprobs") is True:
        for event in said.chunks:
            for choice in event["choices"]:
                choice["logprobs"] = choice.get("logprobs") or {"content": [], "refusal": None}


def _role_with_text(events: list[Any]) -> None:
    for index in (0, 1):
        mine = [e for e in events if e["choices"] and e["choices"][0]["index"] == index]
        if len(mine) > 2 and mine[1]["choices"][0]["delta"].get("content"):
            second = mine[1]["choices"][0]
            first = mine[0]["choices"][0]
            first["delta"]["content"] = second["delta"]["content"]
            first["logprobs"] = second.get("logprobs")
            events.remove(mine[1])


def _null_content(events: list[Any]) -> None:
    for event in events:
        for choice in event["choices"]:
            if "role" in choice["delta"] and not choice["delta"]["content"]:
                choice["delta"]["content"] = None


def _call_with_role(events: list[Any]) -> None:
    opening = [e for e in events if e["choices"] and e["choices"][0]["delta"].get("tool_calls")]
    if opening and len({e["choices"][0]["index"] for e in opening}) == 1:
        events[0]["choices"][0]["delta"]["tool_calls"] = opening[0]["choices"][0]["delta"][
            "tool_calls"
        ]
        events.remove(opening[0])


def _whole_call(events: list[Any]) -> None:
    calls = [e for e in events if e["choices"] and e["choices"][0]["delta"].get("tool_calls")]
    if len(calls) > 1 and len({e["choices"][0]["index"] for e in calls}) == 1:
        function = calls[0]["choices"][0]["delta"]["tool_calls"][0]["function"]
        for event in calls[1:]:
            piece = event["choices"][0]["delta"]["tool_calls"][0]["function"]
            function["arguments"] += piece["arguments"]
            events.remove(event)


def _heartbeats(events: list[Any]) -> None:
    at = [place for place, e in enumerate(events) if e["choices"] and place]
    for place in reversed(at[:-1]):
        beat = json.loads(json.dumps(events[place]))
        beat["choices"][0].update(delta={}, finish_reason=None, logprobs=None)
        # A choice begins with its role, and nothing follows its finish_reason.
        first = "role" in events[place]["choices"][0]["delta"]
        if events[place]["choices"][0]["finish_reason"] is None and not first:
            events.insert(place, beat)


def _messages(asked: Asked, said: Said) -> None:
    if _chat(asked) and said.status == 200 and said.chunks is None:
        for choice in said.document["choices"]:
            choice["message"].update(annotations=[], audio=None)


def _reasoning(asked: Asked, said: Said) -> None:
    if not _chat(asked) or said.status != 200:
        return
    if said.chunks is None:
        for choice in said.document["choices"]:
            choice["message"]["reasoning_content"] = "Let me see."
        return
    roles = [e for e in said.chunks if e["choices"] and "role" in e["choices"][0]["delta"]]
    for event in roles:
        thought = json.loads(json.dumps(event))
        said_first = {"content": None, "reasoning_content": "Let me see."}
        thought["choices"][0].update(delta=said_first, logprobs=None)
        said.chunks.insert(said.chunks.index(event) + 1, thought)


def _snapshot(asked: Asked, said: Said) -> None:
    if asked.path.endswith("/completions"):
        for document in _documents(said):
            if isinstance(document.get("model"), str):
                document["model"] += "-2024-08-06"


def _sampled_too(asked: Asked, said: Said) -> None:
    if _chat(asked):
        for document in _documents(said):
            for choice in document["choices"]:
                for entry in (choice.get("logprobs") or {}).get("content") or []:
                    if entry["top_logprobs"]:
                        last = {**entry["top_logprobs"][-1], "logprob": -9.5, "token": "rare"}
                        entry["top_logprobs"].append(last)


def _null_bytes(asked: Asked, said: Said) -> None:
    if _chat(asked):
        for document in _documents(said):
            for choice in document["choices"]:
                for entry in (choice.get("logprobs") or {}).get("content") or []:
                    entry["bytes"] = None


def _second_first(events: list[Any]) -> None:
    roles = [e for e in events if e["choices"] and "role" in e["choices"][0]["delta"]]
    if len(roles) == 2:
        events[0], events[1] = events[1], events[0]


def _fewer_chunks(events: list[Any]) -> None:
    place = 1
    while place + 1 < len(events):
        one, two = events[place], events[place + 1]
        same = one["choices"] and two["choices"]
        if same and all(
            "content" in e["choices"][0]["delta"]
            and "role" not in e["choices"][0]["delta"]
            and e["choices"][0].get("logprobs") is None
            and e["choices"][0]["index"] == one["choices"][0]["index"]
            for e in (one, two)
        ):
            one["choices"][0]["delta"]["content"] += two["choices"][0]["delta"]["content"]
            events.remove(two)
        place += 1


def _stored(asked: Asked) -> Said | None:
    if asked.method == "GET" and _chat(asked):
        headers = {"content-type": "application/json"}
        return Said(200, headers, {"object": "list", "data": [], "has_more": False})
    return None


def _unprocessable(_: Asked, said: Said) -> None:
    if said.status == 400:
        said.status = 422


def _lines(body: bytes) -> bytes:
    """Every event's JSON over several data lines."""

    def spread(event: bytes) -> bytes:
        data = event.removeprefix(b"data: ")
        if not data.startswith(b"{"):
            return event
        text = json.dumps(json.loads(data), indent=1).encode()
        return b"\n".join(b"data: " + line for line in text.splitlines())

    return b"\n\n".join(spread(event) for event in body.split(b"\n\n"))


SSE = "WHATWG HTML, server-sent events, 9.2"
HTTP = "RFC 9110"
JSON = "RFC 8259"
SCHEMA = "OpenAPI document 2.3.0"

VARIATIONS: tuple[Variation, ...] = (
    Variation(
        "content types in capitals, with a character set",
        HTTP + ", 8.3.1",
        shape=_header("Application/JSON; charset=UTF-8", "Text/Event-Stream;charset=utf-8"),
    ),
    Variation("keys in another order", JSON + ", section 4", shape=_reorder),
    Variation(
        "keys that nobody published", "vLLM, llama.cpp, SGLang, Azure", shape=_each(_strangers)
    ),
    Variation("models with more about them", "vLLM", shape=_named_models),
    Variation("errors with more about them", "Azure, FastAPI", shape=_errors),
    Variation("bad requests are 422", HTTP + ", 15.5.21", shape=_unprocessable),
    Variation("service_tier is default", SCHEMA + ", ServiceTier", shape=_each(_tier("default"))),
    Variation("service_tier is null", SCHEMA + ", ServiceTier", shape=_each(_tier(None))),
    Variation(
        "system_fingerprint is null",
        "OpenAI's own servers; OpenAI API reference, the example with logprobs",
        shape=_each(_fingerprint),
    ),
    Variation(
        "no system_fingerprint", SCHEMA, shape=_each(lambda d: d.pop("system_fingerprint", None))
    ),
    Variation(
        "obfuscation in chunks", SCHEMA + ", include_obfuscation", shape=_events(_obfuscated)
    ),
    Variation("usage with details", SCHEMA + ", CompletionUsage", shape=_each(_details)),
    Variation("usage null in chunks unasked", SCHEMA + ", usage", shape=_events(_null_usage)),
    Variation("no logprobs key in chunks", SCHEMA + ", choices", shape=_events(_no_null_logprobs)),
    Variation("empty logprobs beside the role", "OpenAI's own servers", shape=_empty_logprobs),
    Variation("role and first words together", "Ollama", shape=_events(_role_with_text)),
    Variation("null content beside the role", "llama.cpp", shape=_events(_null_content)),
    Variation(
        "the call opens beside the role", "OpenAI's own servers", shape=_events(_call_with_role)
    ),
    Variation("a call in one piece", "Ollama", shape=_events(_whole_call)),
    Variation(
        "null for every part that need not be there",
        "openai SDK, whose models take null there; vLLM",
        shape=_each(_nulls),
    ),
    Variation(
        "no logprobs key",
        "OpenAI API reference, the examples without it",
        shape=_each(_no_logprobs),
    ),
    Variation("empty deltas between others", "vLLM", shape=_events(_heartbeats)),
    Variation("annotations and audio", "OpenAI's own servers", shape=_messages),
    Variation("reasoning beside the content", "vLLM, DeepSeek", shape=_reasoning),
    Variation("a dated snapshot answers", "OpenAI's own servers", shape=_snapshot),
    Variation("the sampled token is one more", SCHEMA + ", top_logprobs", shape=_sampled_too),
    Variation("bytes are null", SCHEMA + ", ChatCompletionTokenLogprob.bytes", shape=_null_bytes),
    Variation(
        "the second choice comes first", SCHEMA + ", choices.index", shape=_events(_second_first)
    ),
    Variation("several tokens a chunk", SCHEMA, shape=_events(_fewer_chunks)),
    Variation("stored completions are listed", SCHEMA + ", listChatCompletions", answer=_stored),
    Variation("JSON over several lines", JSON, plain=lambda d: json.dumps(d, indent=2).encode()),
    Variation("JSON in ASCII", JSON, plain=lambda d: json.dumps(d).encode()),
    Variation("lines end in CRLF", SSE, stream=lambda body: body.replace(b"\n", b"\r\n")),
    Variation("lines end in CR", SSE, stream=lambda body: body.replace(b"\n", b"\r")),
    Variation("no space after data:", SSE, stream=lambda body: body.replace(b"data: ", b"data:")),
    Variation(
        "comments between events",
        SSE,
        stream=lambda body: b": PROCESSING\n\n" + body.replace(b"\n\n", b"\n\n:\n\n"),
    ),
    Variation(
        "event names and ids",
        SSE,
        stream=lambda body: (
            b"retry: 100\n\n" + body.replace(b"data: {", b"event: message\nid: 7\ndata: {")
        ),
    ),
    Variation("an event over several lines", SSE, stream=_lines),
    Variation("a byte order mark", SSE, stream=lambda body: b"\xef\xbb\xbf" + body),
    Variation("empty lines too many", SSE, stream=lambda body: body.replace(b"\n\n", b"\n\n\n")),
    Variation(
        "spaces around [DONE]", "common", stream=lambda body: body.replace(b"[DONE]", b"[DONE] ")
    ),
)


def drawn(seed: int, count: int = 8) -> tuple[Variation, ...]:
    """Some of them; one at most of those that write lines."""
    chosen = random.Random(seed).sample(VARIATIONS, count)
    written = [one for one in chosen if one.stream is not None][1:]
    return tuple(one for one in chosen if one not in written)
