"""Servers with exactly one deviation each, on top of the correct reference.

Each names the law it breaks and where it was seen: LoRAX's own endpoint by file and line, other
servers by their issue trackers. A deviation changes the request before the reference answers
(`ask`), or what it said (`say`), and nothing else.
"""

import re
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

from lorax_contracts.exchange import End
from tests.contracts.reference import Asked, Said, openai

__all__ = ["DEVIATIONS", "Deviation"]

GH = "https://github.com/"


@dataclass(frozen=True, slots=True)
class Deviation:
    """One way to break one law.

    Attributes:
        name: what the server does.
        law: id of the law that the checker must name.
        source: who does so.
        ask: changes the request that the reference sees; an own answer ends it there.
        say: changes what the reference said, in place or by returning another.
        strict: the law is one of our own.
    """

    name: str
    law: str
    source: str
    ask: Callable[[Asked], Said | None] | None = None
    say: Callable[[Asked, Said], Said | None] | None = None
    strict: bool = False

    def __call__(self, asked: Asked) -> Said:
        """Answers as the deviating server does."""
        seen = replace(asked, document=deepcopy(asked.document))
        if self.ask is not None:
            own = self.ask(seen)
            if own is not None:
                return own
        said = openai(seen)
        return (self.say(seen, said) if self.say else None) or said


def _error(status: int, message: str = "no", **changes: Any) -> Said:
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": None}
    headers = {"content-type": "application/json", "x-request-id": "req"}
    return Said(status, headers, {"error": {**error, **changes}})


def _chat(asked: Asked) -> bool:
    return asked.path.endswith("/chat/completions") and isinstance(asked.document, dict)


def _text(asked: Asked) -> bool:
    chat = asked.path.endswith("/chat/completions")
    return asked.path.endswith("/completions") and not chat and isinstance(asked.document, dict)


Change = Callable[[Any], Any]


def reply(change: Change) -> Callable[[Asked, Said], None]:
    """Changes the JSON of plain chat replies."""

    def say(asked: Asked, said: Said) -> None:
        if _chat(asked) and said.status == 200 and said.chunks is None:
            change(said.document)

    return say


def choice(change: Change) -> Callable[[Asked, Said], None]:
    """Changes each choice of plain chat replies."""
    return reply(lambda document: [change(one) for one in document["choices"]])


def chunks(change: Change) -> Callable[[Asked, Said], None]:
    """Changes the list of a chat stream's events."""

    def say(asked: Asked, said: Said) -> None:
        if _chat(asked) and said.chunks is not None:
            changed = change(said.chunks)
            said.chunks = changed if isinstance(changed, list) else said.chunks

    return say


def chunk(change: Change) -> Callable[[Asked, Said], None]:
    """Changes each event of chat streams."""
    return chunks(lambda events: [change(event) for event in events] and None)


def delta(change: Callable[[Any, Any], Any]) -> Callable[[Asked, Said], None]:
    """Changes each choice of each event: gets it and its delta."""

    def each(event: Any) -> None:
        for one in event["choices"]:
            change(one, one["delta"])

    return chunk(each)


def raw(change: Callable[[bytes], bytes]) -> Callable[[Asked, Said], None]:
    """Changes the bytes of chat streams."""

    def say(asked: Asked, said: Said) -> None:
        if _chat(asked) and said.chunks is not None:
            said.raw = change(said.body())

    return say


def refuse(test: Callable[[Any], Any]) -> Callable[[Asked], Said | None]:
    """Refuses chat requests for which the test holds."""
    return lambda asked: _error(400) if _chat(asked) and test(asked.document) else None


def forget(*names: str) -> Callable[[Asked], None]:
    """Loses members of chat requests."""

    def ask(asked: Asked) -> None:
        if _chat(asked):
            for name in names:
                asked.document.pop(name, None)

    return ask


def errors(change: Callable[[Said], Any]) -> Callable[[Asked, Said], None]:
    """Changes refusals."""

    def say(_: Asked, said: Said) -> None:
        if said.status >= 400:
            change(said)

    return say


def completion(change: Change) -> Callable[[Asked, Said], None]:
    """Changes plain text completions."""

    def say(asked: Asked, said: Said) -> None:
        if _text(asked) and said.status == 200 and said.chunks is None:
            change(said.document)

    return say


def completion_chunks(change: Change) -> Callable[[Asked, Said], None]:
    """Changes the list of a text completion stream's events."""

    def say(asked: Asked, said: Said) -> None:
        if _text(asked) and said.chunks is not None:
            change(said.chunks)

    return say


def _finish(one: Any, old: str, new: Any) -> None:
    if one["finish_reason"] == old:
        one["finish_reason"] = new


def _calls(one: Any) -> list[Any]:
    found: list[Any] = one["message"].get("tool_calls") or []
    return found


def _keep_stop(asked: Asked, said: Said) -> None:
    stop = asked.document.get("stop") if _chat(asked) else None
    if stop and said.status == 200 and said.chunks is None:
        first = stop if isinstance(stop, str) else stop[-1]
        for one in said.document["choices"]:
            if one["finish_reason"] == "stop" and not one["message"].get("tool_calls"):
                one["message"]["content"] += first


def _stop_reason(reason: str) -> Callable[[Asked, Said], None]:
    def say(asked: Asked, said: Said) -> None:
        if _chat(asked) and asked.document.get("stop") and said.status == 200:
            for event in said.chunks or [said.document]:
                for one in event["choices"]:
                    _finish(one, "stop", reason)

    return say


def _runs_past(asked: Asked) -> None:
    # Matches only where a token ends: here, never inside a word.
    stop = asked.document.get("stop") if _chat(asked) else None
    if stop:
        listed = [stop] if isinstance(stop, str) else stop
        kept = [one for one in listed if not re.fullmatch(r"\w+", one)]
        asked.document["stop"] = kept or None


def _trim(asked: Asked, said: Said) -> None:
    if _chat(asked) and asked.document.get("stop") and said.status == 200 and not said.chunks:
        for one in said.document["choices"]:
            if one["message"]["content"]:
                one["message"]["content"] = one["message"]["content"][:-1]


def _in_stream(asked: Asked, said: Said) -> Said | None:
    if _chat(asked) and said.status >= 400 and asked.document.get("stream") is True:
        return Said(200, {"content-type": "text/event-stream"}, None, [said.document], done=False)
    return None


def _as_content(asked: Asked, said: Said) -> None:
    if _chat(asked) and said.chunks is not None:
        for event in said.chunks:
            for one in event["choices"]:
                for call in one["delta"].pop("tool_calls", []):
                    one["delta"]["content"] = call["function"].get("arguments", "")
                _finish(one, "tool_calls", "stop")


def _dropped_index(asked: Asked, said: Said) -> None:
    if _chat(asked) and said.chunks is not None:
        for event in said.chunks:
            for one in event["choices"]:
                for call in one["delta"].get("tool_calls", []):
                    call.pop("index", None)


def _named_again(asked: Asked, said: Said) -> None:
    if _chat(asked) and said.chunks is not None:
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


def _usage_unasked(asked: Asked, said: Said) -> None:
    if _chat(asked) and said.chunks and not asked.document.get("stream_options"):
        said.chunks[-1]["usage"] = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}


def _fewer_in_streams(events: list[Any]) -> None:
    if events and events[-1]["choices"] == []:
        usage = events[-1]["usage"]
        usage["completion_tokens"] -= 1
        usage["total_tokens"] -= 1


def _no_usage_counts(events: list[Any]) -> None:
    if events and events[-1]["choices"] == []:
        events[-1]["usage"] = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}


def _prompt_times_n(asked: Asked, said: Said) -> None:
    if _chat(asked) and said.status == 200 and said.chunks is None:
        usage = said.document["usage"]
        usage["prompt_tokens"] *= len(said.document["choices"])
        usage["total_tokens"] = usage["prompt_tokens"] + usage["completion_tokens"]


def _first_part_only(asked: Asked) -> None:
    if _chat(asked) and isinstance(asked.document.get("messages"), list):
        for message in asked.document["messages"]:
            if isinstance(message, dict) and isinstance(message.get("content"), list):
                message["content"] = message["content"][-1:]


def _any_model(asked: Asked) -> None:
    if _chat(asked) and isinstance(asked.document.get("model"), str):
        asked.document["model"] = "acme/base"


def _named_back(asked: Asked, said: Said) -> None:
    if _chat(asked) and said.status == 200:
        for event in said.chunks or [said.document]:
            event["model"] = "acme/base"


def _one_over(asked: Asked) -> None:
    if _chat(asked):
        for name in ("max_tokens", "max_completion_tokens"):
            if isinstance(asked.document.get(name), int) and asked.document[name] >= 0:
                asked.document[name] += 1


def _leak_end(asked: Asked, said: Said) -> None:
    if _chat(asked) and said.status == 200 and said.chunks is None:
        for one in said.document["choices"]:
            if one["finish_reason"] == "length" and one["message"]["content"]:
                one["message"]["content"] += "</s>"


def _fence(asked: Asked, said: Said) -> None:
    wanted = (asked.document.get("response_format") or {}) if _chat(asked) else {}
    if isinstance(wanted, dict) and wanted.get("type") == "json_object" and said.status == 200:
        for one in said.document["choices"] if said.chunks is None else []:
            one["message"]["content"] = f"```json\n{one['message']['content']}\n```"


def _loose_schema(asked: Asked) -> None:
    wanted = asked.document.get("response_format") if _chat(asked) else None
    if isinstance(wanted, dict) and wanted.get("type") == "json_schema":
        asked.document["response_format"] = {"type": "json_object"}


def _loose_arguments(one: Any) -> None:
    for call in _calls(one):
        call["function"]["arguments"] = '{"town":"Paris"}'


def _ignore_none(asked: Asked) -> None:
    if _chat(asked) and asked.document.get("tool_choice") == "none":
        asked.document["tool_choice"] = "auto"


def _two_calls(one: Any) -> None:
    if _calls(one):
        second = deepcopy(_calls(one)[0])
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
    if _chat(asked) and asked.document.get("logprobs") and said.status == 200 and not said.chunks:
        said.raw = said.body().replace(b"-0.25", b"-Infinity", 1)


def _logprobs_always(asked: Asked) -> None:
    if _chat(asked):
        asked.document["logprobs"] = True


def _plain_text(said: Said) -> None:
    said.headers["content-type"] = "text/plain; charset=utf-8"
    said.raw = b"Failed to deserialize the JSON body into the target type"


def _flat(said: Said) -> None:
    said.document = {"error": "Input validation error", "error_type": "validation"}


def _old_shape(said: Said) -> None:
    said.document = {"object": "error", "message": "bad", "type": "BadRequestError", "code": 400}


def _numeric(said: Said) -> None:
    said.document["error"]["code"] = said.status


def _keyless(said: Said) -> None:
    said.document["error"].pop("param")


def _traceback(said: Said) -> None:
    said.document["error"]["message"] = 'Traceback (most recent call last):\n  File "a.py", line 1'


def _crash(asked: Asked, said: Said) -> Said | None:
    return _error(500, "Internal Server Error") if said.status == 400 and _chat(asked) else None


def _crash_on_bytes(asked: Asked) -> Said | None:
    if asked.method == "POST" and asked.document is None:
        return _error(500, "Internal Server Error")
    return None


def _drop(asked: Asked) -> Said | None:
    if asked.body.startswith(b"[[["):
        return Said(0, {}, raw=b"", end=End.CUT)
    return None


def _as_200(asked: Asked, said: Said) -> None:
    if _chat(asked) and said.status >= 400:
        said.status = 200


def _html_404(asked: Asked, said: Said) -> Said | None:
    if said.status == 404 and "no-such-path" in asked.path:
        return Said(404, {"content-type": "text/html"}, raw=b"<html>404 page not found</html>")
    return None


def _lenient(member: str) -> Callable[[Asked], None]:
    def ask(asked: Asked) -> None:
        value = asked.document.get(member) if isinstance(asked.document, dict) else None
        if isinstance(value, int) and not 0 <= value <= 2:
            asked.document.pop(member)

    return ask


def _empty_messages(asked: Asked) -> None:
    if _chat(asked) and asked.document.get("messages") == []:
        asked.document["messages"] = [{"role": "user", "content": ""}]


def _unknown_as(status: int) -> Callable[[Asked, Said], Said | None]:
    def say(asked: Asked, said: Said) -> Said | None:
        return _error(status) if _chat(asked) and said.status == 404 else None

    return say


def _no_models(asked: Asked) -> Said | None:
    return _error(404) if "/models" in asked.path else None


def _no_slashes(asked: Asked) -> Said | None:
    return _error(404) if asked.path.startswith("/v1/models/acme") else None


def _not_served(asked: Asked) -> Said | None:
    return _error(404) if _chat(asked) and asked.document.get("model") == "acme/base" else None


def _twice_listed(asked: Asked, said: Said) -> None:
    if asked.path == "/v1/models":
        said.document["data"].append(said.document["data"][0])


def _unowned(asked: Asked, said: Said) -> None:
    if asked.path == "/v1/models":
        for one in said.document["data"]:
            one.pop("owned_by")


def _idle(asked: Asked, said: Said) -> None:
    if _chat(asked) and said.chunks is not None:
        said.end = End.IDLE


def _reset(asked: Asked, said: Said) -> None:
    if _chat(asked) and said.chunks is not None:
        body = said.body()
        said.raw, said.end = body[: len(body) * 2 // 3], End.CUT


def _typed(kind: str) -> Callable[[Asked, Said], None]:
    def say(asked: Asked, said: Said) -> None:
        if _chat(asked) and said.chunks is not None:
            said.headers["content-type"] = kind

    return say


def _never_streams(asked: Asked) -> None:
    if _chat(asked) and asked.document.get("stream") is True:
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


def _one_prompt(asked: Asked) -> Said | None:
    listed = _text(asked) and isinstance(asked.document.get("prompt"), list)
    return _error(422) if listed else None


def _no_echo(asked: Asked) -> None:
    if _text(asked):
        asked.document.pop("echo", None)


def _no_text_logprobs(asked: Asked) -> None:
    if _text(asked):
        asked.document.pop("logprobs", None)


def _zero_usage(events: list[Any]) -> None:
    for event in events:
        if not event.get("usage"):
            event["usage"] = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}


def _lorax_embeddings(asked: Asked, said: Said) -> None:
    if asked.path.endswith("/embeddings") and said.status == 200:
        said.document = {"embeddings": said.document["data"]}


def _float_embeddings(asked: Asked) -> None:
    if asked.path.endswith("/embeddings") and isinstance(asked.document, dict):
        asked.document.pop("encoding_format", None)


def _same_index(asked: Asked, said: Said) -> None:
    if asked.path.endswith("/embeddings") and said.status == 200:
        for one in said.document["data"]:
            one["index"] = 0


def _odd_length(asked: Asked, said: Said) -> None:
    if asked.path.endswith("/embeddings") and said.status == 200 and len(said.document["data"]) > 1:
        said.document["data"][0]["embedding"].pop()


def _set(**values: Any) -> Change:
    return lambda document: document.update(values)


def _pop(name: str) -> Change:
    return lambda document: document.pop(name, None)


def _number_ids(events: list[Any]) -> None:
    for number, event in enumerate(events):
        event["id"] = f"{event['id']}.{number}"


def _ticking(events: list[Any]) -> None:
    for number, event in enumerate(events):
        event["created"] += number


def _without_roles(one: Any, part: Any) -> None:
    part.pop("role", None)


def _with_roles(one: Any, part: Any) -> None:
    part["role"] = "assistant"


def _no_reason(one: Any, part: Any) -> None:
    one["finish_reason"] = None


def _length_as_stop(one: Any, part: Any) -> None:
    _finish(one, "length", "stop")


def _calls_as_stop(one: Any, part: Any) -> None:
    _finish(one, "tool_calls", "stop")


def _eos_reason(one: Any, part: Any) -> None:
    _finish(one, "stop", "eos_token")


def _empty_calls(one: Any) -> None:
    if one["finish_reason"] == "tool_calls":
        one["message"].update(tool_calls=[], content="")


LORAX_ID = "LoRAX router/src/lib.rs:1420"
ADAPTER = "LoRAX router/src/server.rs:400-406: the base model's name whatever adapter answered"
CHUNK = "LoRAX router/src/lib.rs:1460-1463"

DEVIATIONS: tuple[Deviation, ...] = (
    # LoRAX's own /v1
    Deviation("id is the text null", "OAI-CHAT-003", LORAX_ID, say=reply(_set(id="null"))),
    Deviation(
        "object of text completions",
        "OAI-CHAT-002",
        "LoRAX router/src/lib.rs:1421",
        say=reply(_set(object="text_completion")),
    ),
    Deviation("the base model's name for an adapter's", "OAI-CHAT-005", ADAPTER, say=_named_back),
    Deviation("stream id is the text null", "OAI-STREAM-021", CHUNK, say=chunk(_set(id="null"))),
    Deviation("stream created is 0", "OAI-STREAM-007", CHUNK, say=chunk(_set(created=0))),
    Deviation(
        "stream model is the text null", "OAI-STREAM-008", CHUNK, say=chunk(_set(model="null"))
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
        say=choice(lambda one: _finish(one, "tool_calls", "stop")),
    ),
    Deviation(
        "every tool call has the id 0",
        "OAI-TOOL-004",
        "LoRAX router/src/server.rs:382",
        say=choice(lambda one: [call.update(id="0") for call in _calls(one)]),
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
        say=completion(_set(model="null", id="null", created=0)),
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
    ),
    Deviation(
        "embeddings under another key",
        "OAI-EMB-001",
        "LoRAX router/src/lib.rs:1202",
        say=_lorax_embeddings,
    ),
    # seen elsewhere: finish reasons and budgets
    Deviation(
        "length reported as stop",
        "OAI-FINISH-001",
        GH + "mudler/LocalAI/issues/3533",
        say=choice(lambda one: _finish(one, "length", "stop")),
    ),
    Deviation(
        "length reported as stop, streamed",
        "OAI-FINISH-001",
        GH + "llm-d/llm-d-inference-sim/issues/29",
        say=delta(_length_as_stop),
    ),
    Deviation(
        "stop reported as length",
        "OAI-FINISH-003",
        "OpenAPI document 2.3.0, finish_reason",
        say=choice(lambda one: _finish(one, "stop", "length")),
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
        say=choice(lambda one: _finish(one, "stop", "eos_token")),
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
    # streams
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
        say=chunk(_set(object="chat.completion")),
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
    # plain replies
    Deviation(
        "one id for all",
        "OAI-CHAT-011",
        "OpenAPI document 2.3.0, id",
        say=reply(_set(id="chatcmpl-1")),
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
    Deviation("n ignored", "OAI-CHAT-006", "OpenAPI document 2.3.0, n", ask=forget("n")),
    Deviation(
        "no usage", "OAI-USAGE-001", "OpenAPI document 2.3.0, usage", say=reply(_pop("usage"))
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
    # log probabilities
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
    # tools and structured output
    Deviation(
        "arguments as an object",
        "OAI-TOOL-002",
        GH + "ggml-org/llama.cpp/issues/20198",
        say=choice(lambda one: [call["function"].update(arguments={}) for call in _calls(one)]),
    ),
    Deviation(
        "tool calls without id",
        "OAI-TOOL-001",
        GH + "sgl-project/sglang/issues/7048",
        say=choice(lambda one: [call.update(id="") for call in _calls(one)]),
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
    # requests
    Deviation(
        "null refused",
        "OAI-ACCEPT-002",
        GH + "ztjhz/BetterChatGPT/issues/248",
        ask=refuse(lambda d: "temperature" in d and d["temperature"] is None),
    ),
    Deviation(
        "content parts refused",
        "OAI-ACCEPT-003",
        GH + "kvcache-ai/ktransformers/issues/773",
        ask=refuse(
            lambda d: any(
                isinstance(one.get("content"), list)
                for one in d.get("messages") or []
                if isinstance(one, dict)
            )
        ),
    ),
    Deviation(
        "only one content part read",
        "OAI-ACCEPT-003",
        GH + "CommandCodeAI/command-code/issues/820",
        ask=_first_part_only,
    ),
    Deviation(
        "user and metadata refused",
        "OAI-ACCEPT-009",
        GH + "voideditor/void/issues/128",
        ask=refuse(lambda d: "metadata" in d),
    ),
    Deviation(
        "any model name answered",
        "OAI-ERR-005",
        "OpenAI API reference, error codes: model_not_found",
        ask=_any_model,
    ),
    Deviation(
        "a temperature of 5 accepted",
        "OAI-ERR-004",
        "OpenAPI document 2.3.0, temperature: maximum 2",
        ask=_lenient("temperature"),
    ),
    Deviation(
        "no messages accepted",
        "OAI-ERR-004",
        "LoRAX router/src/lib.rs:668: messages may be empty",
        ask=_empty_messages,
    ),
    # errors
    Deviation(
        "errors of an older shape",
        "OAI-ERR-001",
        GH + "vllm-project/vllm/pull/17664",
        say=errors(_old_shape),
    ),
    Deviation(
        "the status as error code",
        "OAI-ERR-002",
        GH + "sgl-project/sglang/pull/32808",
        say=errors(_numeric),
    ),
    Deviation(
        "errors without param",
        "OAI-ERR-002",
        "OpenAPI document 2.3.0, Error",
        say=errors(_keyless),
    ),
    Deviation(
        "500 for a bad member",
        "OAI-ERR-003",
        GH + "vllm-project/vllm/issues/35438",
        say=_crash,
    ),
    Deviation(
        "500 for malformed JSON",
        "OAI-ERR-003",
        "vLLM production-stack, request_service/request.py:287",
        ask=_crash_on_bytes,
    ),
    Deviation("killed by nested lists", "OAI-ERR-003", "CWE-674", ask=_drop),
    Deviation("errors as 200", "OAI-HTTP-005", GH + "vllm-project/vllm/issues/49181", say=_as_200),
    Deviation("a traceback in an error", "OAI-ERR-006", "CWE-209", say=errors(_traceback)),
    Deviation(
        "a web page for an unknown path",
        "OAI-ERR-007",
        GH + "ollama/ollama/issues/13715",
        say=_html_404,
    ),
    # models
    Deviation(
        "names with slashes not found",
        "OAI-MODELS-003",
        GH + "ollama/ollama/issues/13715",
        ask=_no_slashes,
    ),
    Deviation(
        "a listed model that does not answer",
        "OAI-MODELS-005",
        "OpenAPI document 2.3.0, listModels",
        ask=_not_served,
    ),
    Deviation(
        "a model listed twice",
        "OAI-MODELS-002",
        "OpenAPI document 2.3.0, Model.id",
        say=_twice_listed,
    ),
    Deviation(
        "models without owner",
        "OAI-MODELS-001",
        GH + "inferencerlabs/inferencer-feedback/issues/42",
        say=_unowned,
    ),
    # completions and embeddings
    Deviation("echo ignored", "OAI-COMP-007", "OpenAPI document 2.3.0, echo", ask=_no_echo),
    Deviation(
        "base64 ignored",
        "OAI-EMB-003",
        GH + "runpod-workers/worker-infinity-embedding/issues/30",
        ask=_float_embeddings,
    ),
    Deviation(
        "every embedding has the index 0",
        "OAI-EMB-002",
        "OpenAPI document 2.3.0, Embedding.index",
        say=_same_index,
    ),
    Deviation(
        "embeddings of different lengths",
        "OAI-EMB-004",
        "OpenAPI document 2.3.0, Embedding.embedding",
        say=_odd_length,
    ),
)
