"""Recordings as the proxy makes them, for tests of what they show."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec

from lorax_proxy.core.inspection.recording import Call, Moment, Outline, Recording, Way
from lorax_proxy.errors import Lost

__all__ = ["LORAX_STREAM", "chunk", "event", "kept_back", "last", "recorded", "stream"]

LORAX_STREAM = (("content-type", "text/event-stream"), ("x-model-id", "base"))
_OPENAI_STREAM = (("content-type", "text/event-stream; charset=utf-8"),)


def event(text: str, *, special: bool = False, **more: Any) -> bytes:
    """LoRAX's event of one token."""
    token = {"id": 1, "text": text, "logprob": -0.5, "special": special, "skipped": False}
    document = {"token": token, "generated_text": None, "details": None, **more}
    return b"data:" + json.dumps(document).encode() + b"\n\n"


def last(text: str = "</s>", reason: str = "eos_token") -> bytes:
    """LoRAX's last event."""
    details = {"finish_reason": reason, "prompt_tokens": 7, "generated_tokens": 3, "seed": None}
    ends = reason == "eos_token"
    return event(text, special=ends, generated_text="whole", details=details)


def chunk(text: str) -> bytes:
    """OpenAI's chunk of a text."""
    return stream(text).partition(b"\n\n")[0] + b"\n\n"


def stream(*texts: str) -> bytes:
    """OpenAI's chunks of these texts, and its end."""
    chunks: list[dict[str, Any]] = [
        {"choices": [{"index": 0, "delta": {"content": text}}]} for text in texts
    ]
    chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    data = b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks)
    return data + b"data: [DONE]\n\n"


def recorded(
    *,
    asked: dict[str, Any],
    sent: dict[str, Any],
    came: Sequence[bytes],
    answered: Sequence[bytes],
    stops: tuple[str, ...] = (),
    end: Way = Way.ENDED,
    path: str = "/v1/chat/completions",
    **more: Any,
) -> Recording:
    """A streamed request: what came is answered at once, piece by piece."""
    recording = Recording(
        "POST", path, [("host", "localhost"), ("content-type", "application/json")], texts=True
    )
    recording.status = 200
    recording.answer_headers = _OPENAI_STREAM
    recording.calls.append(Call("POST", "/generate_stream", 200, LORAX_STREAM))
    recording.outline = Outline(stops)
    pieces = [(Way.ASKED, json.dumps(asked).encode()), (Way.SENT, json.dumps(sent).encode())]
    for number in range(max(len(came), len(answered))):
        pieces += [(Way.CAME, came[number])] if number < len(came) else []
        pieces += [(Way.ANSWERED, each) for each in answered[number : number + 1] if each]
    pieces += [(end, b""), (Way.DONE, b"")]
    recording.moments = [
        Moment(number / 1000, way, 0, len(data), data) for number, (way, data) in enumerate(pieces)
    ]
    for name, value in more.items():
        setattr(recording, name, value)
    return recording


def kept_back(recording: Recording) -> Recording:
    """The same, with a LoRAX request before it that was not sent: its connection was gone."""
    lost = Call("POST", recording.calls[0].path, lost=Lost.RENEWED.value)
    later = [
        each
        if each.way in (Way.ASKED, Way.ANSWERED, Way.DONE)
        else msgspec.structs.replace(each, call=each.call + 1)
        for each in recording.moments
    ]
    return replace(
        recording,
        calls=[lost, *recording.calls],
        moments=[*later, Moment(1.0, Way.BROKE)],
    )
