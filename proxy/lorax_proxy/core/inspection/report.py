"""What a recorded request shows: both wires moment by moment, and what became of what was asked.

Worked out when somebody opens the request, from bytes that were kept as they passed: nothing here
runs while a request is answered. So it reads both wires once more, and tolerantly: what is no event,
or no JSON, is shown as it is.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from lorax_proxy.core.inspection.copies import copies
from lorax_proxy.core.inspection.events import (
    Events,
    as_object,
    as_objects,
    chunk_texts,
    gist,
    is_end,
    token_text,
)
from lorax_proxy.core.inspection.recording import HIDDEN, Moment, Recording, Way, hide_token
from lorax_proxy.core.parameters import Endpoint, Treatment, row_of
from lorax_proxy.wire.compression import Decoder, codings

__all__ = ["inspect", "inspect_copies", "named_model"]

_SHOWN = 64 * 1024
"""Characters of one text that a page is given; who wants more copies it from the wire."""

_ENDPOINTS: Mapping[str, Endpoint] = {
    "/chat/completions": Endpoint.CHAT,
    "/completions": Endpoint.COMPLETIONS,
    "/embeddings": Endpoint.EMBEDDINGS,
}

_BECOMES: Mapping[str, Sequence[str]] = {
    "model": ("adapter_id", "adapter_source", "merged_adapters"),
    "max_tokens": ("max_new_tokens",),
    "max_completion_tokens": ("max_new_tokens",),
    "temperature": ("temperature", "do_sample"),
    "top_p": ("top_p", "do_sample"),
    "tools": ("response_format",),
    "tool_choice": ("response_format",),
    "functions": ("response_format",),
    "top_logprobs": ("return_k_alternatives",),
    "logprobs": ("return_k_alternatives", "decoder_input_details"),
    "ignore_eos": ("ignore_eos_token",),
}
"""Which of LoRAX's parameters shows what became of one of OpenAI's; by default that of its name."""

_DECISIONS: Mapping[Treatment, str] = {
    Treatment.TRANSLATED: "translated",
    Treatment.ACCEPTED: "accepted",
    Treatment.REFUSED: "refused",
    Treatment.EXTENSION: "extension",
}


def inspect_copies(recording: Recording, base_url: str, most_body: int) -> dict[str, str]:
    """The request in other forms (`core.inspection.copies`); none of one that is not whole here.

    Args:
        recording: What passed.
        base_url: Where this server is, without `/v1`, for commands that repeat the request.
        most_body: Bytes that a compressed request may become.
    """
    whole = recording.texts and not recording.cut
    return copies(recording, hide_token(_asked(recording, most_body)), base_url) if whole else {}


def inspect(recording: Recording, most_body: int) -> dict[str, Any]:
    """What a page shows of one request, as a JSON document.

    Args:
        recording: What passed.
        most_body: Bytes that a compressed request may become.
    """
    asked = _asked(recording, most_body)
    plain = hide_token(asked)
    moments = list(_moments(recording))
    if plain != asked:
        # the token may stand in two of them, or compressed
        for moment in moments:
            if moment["way"] == Way.ASKED.value:
                moment["text"] = HIDDEN
    asked = plain
    document: dict[str, Any] = {
        "texts": recording.texts,
        "cut": recording.cut,
        "request": {
            "method": recording.method,
            "path": recording.path,
            "headers": recording.headers,
            "body": _text(asked),
            "bytes": _size(recording, Way.ASKED),
        },
        "answer": {
            "status": recording.status,
            "headers": recording.answer_headers,
            "bytes": _size(recording, Way.ANSWERED),
        },
        "calls": [
            {
                "method": call.method,
                "path": call.path,
                "status": call.status,
                "headers": call.headers,
                "lost": call.lost,
            }
            for call in recording.calls
        ],
        "moments": moments,
        "parameters": [],
        "prompts": [],
        "choices": [],
    }
    if recording.texts:
        document["parameters"] = list(_parameters(recording, asked))
        document["prompts"] = _prompts(recording)
        document["choices"] = list(_choices(recording))
    return document


def named_model(recording: Recording) -> str | None:
    """The model that a request names, if its text is kept and says so in a few bytes.

    It is asked for each request of a list, on the event loop: what is compressed is not unpacked for it.
    """
    if _size(recording, Way.ASKED) > _SHOWN:
        return None
    name = _document(recording.body(Way.ASKED)).get("model")
    return name if isinstance(name, str) else None


def _asked(recording: Recording, most: int) -> bytes:
    """OpenAI's request without its compression; as it came if that cannot be undone."""
    body = recording.body(Way.ASKED)
    names = [value for name, value in recording.headers if name == "content-encoding"]
    if not names or not body:
        return body
    try:
        decoder = Decoder(codings(names), most)
        plain = decoder.feed(body)
        decoder.finish()
    except Exception:  # noqa: BLE001 - whatever it is, the proxy has refused it, too
        return body
    return plain


def _size(recording: Recording, way: Way) -> int:
    return sum(moment.size for moment in recording.moments if moment.way is way)


def _text(body: bytes) -> str:
    text = body.decode("utf-8", "replace")
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}\n... and {len(text) - _SHOWN} more"


def _moments(recording: Recording) -> Iterator[dict[str, Any]]:
    """What passed, in order: bytes, what they say, and how much text is held back, or cut, after them."""
    streamed = {way: _is_stream(headers) for way, headers in _heads(recording)}
    readers: dict[tuple[Way, int], Events] = {}
    # a whole answer waits for all of its text anyway
    holds = streamed[Way.ANSWERED, 0] and recording.outline is not None and recording.outline.plain
    said = given = ends = 0
    choices = len(recording.sent)
    following = [*recording.moments[1:], None]
    for moment, after in zip(recording.moments, following, strict=True):
        key = moment.way, moment.call
        shown = _moment(moment)
        if moment.data and streamed.get(key):
            events = readers.setdefault(key, Events()).feed(moment.data)
            shown["events"] = [
                {"data": event, "gist": gist(event, openai=moment.way is Way.ANSWERED)}
                for event in events
            ]
            if moment.way is Way.CAME:
                said += sum(len(token_text(event, recording.specials)) for event in events)
            else:
                given += sum(len(text) for event in events for text in chunk_texts(event).values())
                ends += sum(map(is_end, events))
            passed_on = after is not None and after.way is Way.ANSWERED
            if moment.way is Way.CAME and passed_on:
                pass  # what is left of it then is held back
            elif holds:
                # what is held back when the answer has ended is cut
                shown["cut" if ends >= choices else "held"] = max(0, said - given)
        yield shown


def _heads(recording: Recording) -> Iterator[tuple[tuple[Way, int], Sequence[tuple[str, str]]]]:
    yield (Way.ANSWERED, 0), recording.answer_headers
    for index, call in enumerate(recording.calls):
        yield (Way.CAME, index), call.headers


def _is_stream(headers: Sequence[tuple[str, str]]) -> bool:
    kind = next((value for name, value in headers if name == "content-type"), "")
    return kind.startswith("text/event-stream")


def _moment(moment: Moment) -> dict[str, Any]:
    return {
        "at": round(moment.at * 1000, 3),
        "way": moment.way.value,
        "call": moment.call,
        "bytes": moment.size,
        "text": _text(moment.data),
        "events": [],
        "held": None,
        "cut": None,
    }


def _document(body: bytes) -> Mapping[str, Any]:
    """A body as an object; empty when it is none."""
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return {}
    return as_object(document)


def _parameters(recording: Recording, asked: bytes) -> Iterator[dict[str, Any]]:
    """What was done to each parameter of the request, in the request's order."""
    endpoint = _ENDPOINTS.get(recording.path.removeprefix("/v1"))
    if endpoint is None:
        return
    calls = recording.sent
    sent = _document(recording.body(Way.SENT, calls[0][0])) if calls else {}
    ignored = dict(recording.answer_headers).get("x-ignored-parameters", "").split(", ")
    for name, value in _document(asked).items():
        row = row_of(name, endpoint)
        if row is None:
            decision, note = "unknown", "no endpoint here has it; refused by name"
        elif name in ignored:
            decision, note = "ignored", row.note
        elif row.treatment is Treatment.REFUSED and (value is None or row.asks_nothing(value)):
            decision, note = "left out", f"asks for nothing, {row.note}"
        else:
            decision, note = _DECISIONS[row.treatment], row.note
        yield {
            "name": name,
            "value": _json(value),
            "decision": decision,
            "note": note,
            "became": _became(name, recording, sent),
        }


def _became(name: str, recording: Recording, sent: Mapping[str, Any]) -> str:
    """What LoRAX was asked in its place, as `name = value`; empty if nothing shows it."""
    if not sent:
        return ""
    if name in ("messages", "prompt", "input"):
        return "inputs"
    if name == "n":
        return f"{len(recording.sent)} requests"
    if name == "stream":
        return recording.sent[0][1].path
    parameters = as_object(sent.get("parameters"))
    fields = _BECOMES.get(name, (name,))
    return ", ".join(f"{each} = {_json(parameters[each])}" for each in fields if each in parameters)


def _json(value: Any) -> str:
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= 200 else f"{text[:199]}…"


def _prompts(recording: Recording) -> list[list[dict[str, Any]]]:
    """Each prompt that LoRAX was sent, cut at its special tokens."""
    spellings = sorted(filter(None, recording.specials), key=len, reverse=True)
    pattern = re.compile("|".join(map(re.escape, spellings)) or r"(?!)")
    prompts: list[list[dict[str, Any]]] = []
    texts: list[str] = []
    for index in range(len(recording.calls)):
        inputs = _document(recording.body(Way.SENT, index)).get("inputs")
        if not isinstance(inputs, str) or inputs in texts:
            continue
        texts.append(inputs)
        parts = [{"text": recording.bos, "kind": "added"}] if recording.bos else []
        end = 0
        for found in pattern.finditer(inputs[:_SHOWN]):
            if found.start() > end:
                parts.append({"text": inputs[end : found.start()], "kind": "text"})
            parts.append({"text": found.group(), "kind": "special"})
            end = found.end()
        if end < len(inputs):
            parts.append({"text": inputs[end:_SHOWN], "kind": "text"})
        prompts.append(parts)
    return prompts


def _choices(recording: Recording) -> Iterator[dict[str, Any]]:
    """What LoRAX said and what the client got, choice by choice, and why they differ if they do."""
    outline = recording.outline
    if outline is None or not outline.cut:
        return
    given = _given(recording)
    for index, (place, call) in enumerate(recording.sent):
        if not call.path.startswith("/generate"):
            continue
        said = "".join(_said(recording, place))
        got = given.get(index, "")
        kept = said[len(got) :] if said.startswith(got) else ""
        stop = next((each for each in outline.stops if kept.startswith(each)), None)
        yield {
            "index": index,
            "given": got[:_SHOWN],
            "kept": kept[:_SHOWN],
            "stop": stop,
            "same": said.startswith(got),
        }


def _said(recording: Recording, call: int) -> Iterator[str]:
    """The visible texts of LoRAX's tokens."""
    body = recording.body(Way.CAME, call)
    if _is_stream(recording.calls[call].headers):
        for event in Events().feed(body):
            yield token_text(event, recording.specials)
        return
    for token in as_objects(as_object(_document(body).get("details")).get("tokens")):
        yield "" if token.get("special") else str(token.get("text", ""))


def _given(recording: Recording) -> Mapping[int, str]:
    """The texts of the answer's choices, by their index."""
    body = recording.body(Way.ANSWERED)
    texts: dict[int, str] = {}
    if _is_stream(recording.answer_headers):
        for event in Events().feed(body):
            for index, text in chunk_texts(event).items():
                texts[index] = texts.get(index, "") + text
        return texts
    for choice in as_objects(_document(body).get("choices")):
        whole: Any = choice.get("text") or as_object(choice.get("message")).get("content")
        index = choice.get("index", 0)
        if isinstance(whole, str) and isinstance(index, int):
            texts[index] = whole
    return texts
