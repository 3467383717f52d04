"""Events of both wires, read for people: one line for each, and the text that it brings.

Tolerant where `wire` is strict: this reads what has passed already, right or wrong.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec

from lorax_proxy.wire.sse import EventTooLarge, SseDecoder

__all__ = ["Events", "as_object", "as_objects", "chunk_texts", "gist", "is_end", "token_text"]


def as_object(value: object) -> Mapping[str, Any]:
    """A JSON value if it is an object, else an empty one: what is read here may be anything."""
    return value if isinstance(value, dict) else {}


def as_objects(value: object) -> Sequence[Mapping[str, Any]]:
    """The objects of a JSON value that is a list; none of any other."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


class Events:
    """A stream's bytes in, its events' data out; a comment is an event that begins with a colon."""

    def __init__(self) -> None:
        self._decoder = SseDecoder()

    def feed(self, data: bytes) -> Sequence[str]:
        """The events that the next bytes complete."""
        try:
            events = [event.decode("utf-8", "replace") for event in self._decoder.feed(data)]
        except EventTooLarge:
            events = ["(too large for an event)"]
        # a comment never waits for the bytes behind it
        comments = [line.decode("utf-8", "replace") for line in _comments(data)]
        return [*comments, *events]


def _comments(data: bytes) -> Sequence[bytes]:
    if not data.startswith(b":") and b"\n:" not in data:
        return ()
    return [line for line in data.splitlines() if line.startswith(b":")]


def token_text(event: str, ends: Collection[str] = ()) -> str:
    """The visible text of a LoRAX event; none of a special token, or of what is no event.

    Args:
        event: The event's data.
        ends: Spellings that are no text, whatever the event says of them.
    """
    token = as_object(_read(event).get("token"))
    text = "" if token.get("special") else token.get("text")
    return text if isinstance(text, str) and text not in ends else ""


def chunk_texts(event: str) -> Mapping[int, str]:
    """The texts that an OpenAI chunk adds, by their choice."""
    texts: dict[int, str] = {}
    for choice in _choices(_read(event)):
        text = choice.get("text") or as_object(choice.get("delta")).get("content")
        index = choice.get("index", 0)
        if isinstance(text, str) and isinstance(index, int):
            texts[index] = text
    return texts


def is_end(event: str) -> bool:
    """Whether an OpenAI chunk ends a choice."""
    return any(choice.get("finish_reason") for choice in _choices(_read(event)))


def gist(event: str, *, openai: bool) -> str:
    """What an event says, in a line."""
    if event.startswith(":"):
        return "comment: keeps the connection alive"
    document = _read(event)
    if "error" in document:
        return f"error: {_shown(document['error'])}"
    return (_chunk if openai else _token)(event, document)


def _token(event: str, document: Mapping[str, Any]) -> str:
    token = document.get("token")
    if not isinstance(token, dict):
        return event[:80]
    parts = [_shown(token.get("text"))]
    if token.get("special"):
        parts.append("special")
    details = document.get("details")
    if isinstance(details, dict):
        parts.append(str(details.get("finish_reason")))
        parts.append(f"{details.get('prompt_tokens')} > {details.get('generated_tokens')} tokens")
    return ", ".join(parts)


def _chunk(event: str, document: Mapping[str, Any]) -> str:
    if event == "[DONE]":
        return "[DONE]"
    parts: list[str] = []
    for choice in _choices(document):
        delta = as_object(choice.get("delta"))
        if choice.get("index"):
            parts.append(f"choice {choice['index']}")
        if delta.get("role"):
            parts.append(str(delta["role"]))
        text = delta.get("content") or choice.get("text")
        if text:
            parts.append(_shown(text))
        for call in as_objects(delta.get("tool_calls")):
            function = as_object(call.get("function"))
            parts.append(f"call {function.get('name') or ''} {_shown(function.get('arguments'))}")
        if choice.get("finish_reason"):
            parts.append(f"finish_reason {choice['finish_reason']}")
    usage = document.get("usage")
    if isinstance(usage, dict):
        counts = usage.get("prompt_tokens"), usage.get("completion_tokens")
        parts.append(f"usage {counts[0]} > {counts[1]} tokens")
    return ", ".join(parts) or event[:80]


def _choices(document: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return as_objects(document.get("choices"))


def _shown(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _read(event: str) -> Mapping[str, Any]:
    try:
        document = msgspec.json.decode(event)
    except (msgspec.DecodeError, RecursionError):
        return {}
    return as_object(document)
