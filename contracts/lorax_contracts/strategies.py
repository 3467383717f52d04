"""Hypothesis strategies of both wires: right requests, conversations, tools, LoRAX's streams, faults.

What they draw is valid on its wire, small, and shrinks towards the plainest request: fewer members,
shorter texts. They name no model: pass the names that your server knows.

    from hypothesis import given
    from lorax_contracts import strategies

    @given(strategies.chat_requests(models=["my-model"]))
    def test_my_gateway(request): ...
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import Any

from hypothesis import strategies as st

__all__ = [
    "Fault",
    "FaultPlan",
    "chat_requests",
    "completion_requests",
    "fault_plans",
    "generate_parameters",
    "generate_requests",
    "lorax_events",
    "lorax_streams",
    "message_lists",
    "texts",
    "tool_sets",
]

_AWKWARD = ("é", "日本語", "😀", "\u2028", "\u0085", "a\nb", '"', "\\", "</s>", "  ", "ﬁ")


def texts(*, max_size: int = 24) -> st.SearchStrategy[str]:
    """Text that is not empty and can travel: many scripts, line breakers, no lone surrogates."""
    return _texts(max_size)


# A strategy is validated and labelled when it is first drawn from, which takes longer than the drawing:
# what requests are drawn from is made once.
@cache
def _texts(max_size: int) -> st.SearchStrategy[str]:
    plain = st.text(
        st.characters(exclude_categories=("Cs", "Cc"), max_codepoint=0x2FFFF),
        min_size=1,
        max_size=max_size,
    )
    return st.one_of(
        st.sampled_from(("Hi", "One, two, three", *_AWKWARD)),
        plain.filter(lambda text: bool(text.strip())),
    )


_PARTS = st.lists(
    texts(max_size=8).map(lambda text: {"type": "text", "text": text}), min_size=1, max_size=3
)
_CONTENT = st.one_of(texts(), _PARTS)


@st.composite
def message_lists(draw: st.DrawFn, *, tools: bool = False) -> list[dict[str, Any]]:
    """A conversation that any template takes: system first, then user and assistant in turn.

    Args:
        draw: Hypothesis's own.
        tools: let it hold tool calls and their results.
    """
    messages: list[dict[str, Any]] = []
    if draw(st.booleans()):
        messages.append({"role": "system", "content": draw(texts())})
    for turn in range(draw(st.integers(0, 2))):
        messages.append({"role": "user", "content": draw(texts())})
        if tools and draw(st.booleans()):
            call = {
                "id": f"call_{turn}",
                "type": "function",
                "function": {"name": "look_up", "arguments": '{"key":"a"}'},
            }
            messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
            messages.append({"role": "tool", "tool_call_id": f"call_{turn}", "content": "1"})
        messages.append({"role": "assistant", "content": draw(texts())})
    messages.append({"role": "user", "content": draw(_CONTENT)})
    return messages


_SCALARS: tuple[dict[str, Any], ...] = (
    {"type": "string"},
    {"type": "integer"},
    {"type": "boolean"},
    {"type": "string", "enum": ["red", "green"]},
)


_NAMES = st.lists(
    st.from_regex(r"[a-z][a-z_]{0,9}", fullmatch=True), min_size=1, max_size=3, unique=True
)
_KEYS = st.lists(st.sampled_from(["city", "count", "unit"]), max_size=3, unique=True)


@st.composite
def tool_sets(draw: st.DrawFn) -> list[dict[str, Any]]:
    """One to three functions with flat parameters, or without any."""
    names = draw(_NAMES)
    tools: list[dict[str, Any]] = []
    for name in names:
        function: dict[str, Any] = {"name": name}
        if draw(st.booleans()):
            keys: list[str] = draw(_KEYS)
            function["parameters"] = {
                "type": "object",
                "properties": {key: dict(draw(st.sampled_from(_SCALARS))) for key in keys},
                "required": keys,
                "additionalProperties": False,
            }
        tools.append({"type": "function", "function": function})
    return tools


_SAMPLING: dict[str, st.SearchStrategy[Any]] = {
    "temperature": st.sampled_from([0, 0.5, 1, 2]),
    "top_p": st.sampled_from([0.1, 0.5, 1]),
    "seed": st.integers(0, 2**31),
    "presence_penalty": st.sampled_from([-1, 0, 1]),
    "frequency_penalty": st.sampled_from([-1, 0, 1]),
}


def _some(members: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    # Each is drawn or left out by itself, so that shrinking leaves out what does not matter.
    return st.fixed_dictionaries({}, optional=members)


_STOP = st.sampled_from([".", ",", "e", "the", "\n", "END"])
_STOPS = st.one_of(st.none(), _STOP, st.lists(_STOP, min_size=1, max_size=4, unique=True))
_CHAT = _some(
    {
        **_SAMPLING,
        "n": st.integers(1, 2),
        "stop": _STOPS,
        "user": texts(max_size=8),
        "logprobs": st.booleans(),
    }
)


@st.composite
def chat_requests(
    draw: st.DrawFn,
    *,
    models: Sequence[str],
    max_tokens: int = 12,
    tools: bool = False,
    stream: bool | None = None,
) -> dict[str, Any]:
    """A chat completion request that OpenAI's document admits.

    Args:
        draw: Hypothesis's own.
        models: names to choose from.
        max_tokens: the largest budget; every request has one.
        tools: let it offer tools.
        stream: fixed, or drawn when None.
    """
    request: dict[str, Any] = {
        "model": draw(st.sampled_from(list(models))),
        "messages": draw(message_lists()),
    }
    budget = draw(st.sampled_from(["max_tokens", "max_completion_tokens"]))
    request[budget] = draw(st.integers(1, max_tokens))
    request |= draw(_CHAT)
    if request.get("logprobs"):
        request["top_logprobs"] = draw(st.integers(0, 3))
    if tools and draw(st.booleans()):
        for name in ("logprobs", "top_logprobs"):
            request.pop(name, None)
        request["tools"] = draw(tool_sets())
        request["tool_choice"] = draw(st.sampled_from(["auto", "none", "required"]))
        request[budget] = 256
    streamed = draw(st.booleans()) if stream is None else stream
    if streamed:
        request["stream"] = True
        if draw(st.booleans()):
            request["stream_options"] = {"include_usage": draw(st.booleans())}
    return request


_PROMPT = st.one_of(texts(), st.lists(texts(max_size=8), min_size=1, max_size=2))
_COMPLETION = _some({**_SAMPLING, "n": st.integers(1, 2), "stop": _STOPS})


@st.composite
def completion_requests(
    draw: st.DrawFn, *, models: Sequence[str], max_tokens: int = 12
) -> dict[str, Any]:
    """A text completion request that OpenAI's document admits."""
    request: dict[str, Any] = {
        "model": draw(st.sampled_from(list(models))),
        "prompt": draw(_PROMPT),
        "max_tokens": draw(st.integers(1, max_tokens)),
    }
    request |= draw(_COMPLETION)
    if draw(st.booleans()):
        request["stream"] = True
    return request


_GENERATE = _some(
    {
        "details": st.booleans(),
        "do_sample": st.booleans(),
        "temperature": st.sampled_from([0.5, 1.0, 1.5]),
        "top_k": st.integers(1, 50),
        "top_p": st.sampled_from([0.25, 0.5, 1.0]),
        "typical_p": st.sampled_from([0.25, 0.5]),
        "repetition_penalty": st.sampled_from([0.5, 1.0, 1.5]),
        "seed": st.integers(0, 2**63),
        "stop": st.lists(st.sampled_from([".", "a", "the", "\n"]), max_size=3, unique=True),
        "ignore_eos_token": st.booleans(),
        "return_full_text": st.booleans(),
        "return_k_alternatives": st.integers(1, 3),
    }
)


@st.composite
def generate_parameters(
    draw: st.DrawFn, *, adapters: Sequence[str] = (), max_new_tokens: int = 12
) -> dict[str, Any]:
    """Parameters that LoRAX's router admits (router/src/validation.rs:194-424)."""
    parameters: dict[str, Any] = {"max_new_tokens": draw(st.integers(1, max_new_tokens))}
    parameters |= draw(_GENERATE)
    adapted: bool = draw(st.booleans())
    if adapters and adapted:
        parameters["adapter_id"] = draw(st.sampled_from(list(adapters)))
    return parameters


@st.composite
def generate_requests(
    draw: st.DrawFn, *, adapters: Sequence[str] = (), max_new_tokens: int = 12
) -> dict[str, Any]:
    """A body of LoRAX's /generate and /generate_stream."""
    return {
        "inputs": draw(texts()),
        "parameters": draw(generate_parameters(adapters=adapters, max_new_tokens=max_new_tokens)),
    }


# A model may write "</s>" as text; a judge cannot tell that from a leak.
_WORDS = texts(max_size=6).filter(lambda text: "</s>" not in text)
_PIECES = st.lists(st.one_of(_WORDS, st.just("")), min_size=0, max_size=6)


@st.composite
def lorax_events(draw: st.DrawFn, *, details: bool = True) -> list[dict[str, Any]]:
    """The events of one whole native stream, final event included, as LoRAX would send them.

    Characters may be split over tokens: the first then has empty text.
    """
    pieces = draw(_PIECES)
    while pieces and not pieces[-1]:
        pieces.pop()
    ends = ["eos_token", "length"] if pieces else ["eos_token"]
    finish: str = draw(st.sampled_from(ends))
    tokens = [
        {
            "id": 100 + place,
            "text": piece,
            "logprob": draw(st.sampled_from([-0.5, -0.25, 0.0, None])),
            "special": False,
            "skipped": False,
        }
        for place, piece in enumerate(pieces)
    ]
    if finish == "eos_token":
        tokens.append(
            {"id": 2, "text": "</s>", "logprob": -0.125, "special": True, "skipped": False}
        )
    events: list[dict[str, Any]] = [
        {"token": token, "generated_text": None, "details": None} for token in tokens
    ]
    final = events[-1]
    final["generated_text"] = "".join(pieces)
    if details:
        final["details"] = {
            "finish_reason": finish,
            "prompt_tokens": draw(st.integers(1, 40)),
            "generated_tokens": len(tokens),
            "seed": draw(st.none() | st.integers(0, 2**64 - 1)),
        }
    return events


def lorax_streams(*, details: bool = True) -> st.SearchStrategy[bytes]:
    """The bytes of one whole native stream, keep-alive comments between some events."""

    def encode(drawn: tuple[list[dict[str, Any]], set[int]]) -> bytes:
        events, comments = drawn
        body = b""
        for place, event in enumerate(events):
            document = json.dumps(event, ensure_ascii=False, separators=(",", ":"))
            body += (b":\n\n" if place in comments else b"") + f"data: {document}\n\n".encode()
        return body

    return st.tuples(lorax_events(details=details), st.sets(st.integers(0, 6), max_size=2)).map(
        encode
    )


class Fault(Enum):
    """What can go wrong on the way of a native stream."""

    NONE = "none"
    STATUS = "status"  # an HTTP error in place of the stream
    ERROR_EVENT = "error_event"  # an error event after some events
    CUT = "cut"  # the connection is reset after some bytes
    END = "end"  # the body ends cleanly without its final event
    GARBAGE = "garbage"  # an event that is not JSON
    RECHUNKED = "rechunked"  # the right bytes in other pieces: no fault to a good reader


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """A native stream and what happens to it.

    Attributes:
        events: the stream without its fault.
        after: events (`ERROR_EVENT`, `END`, `GARBAGE`) or bytes (`CUT`) that come before it.
        status: of `STATUS`.
        error: the error object of `STATUS` and `ERROR_EVENT`.
        pieces: sizes of the pieces for `RECHUNKED`.
    """

    fault: Fault
    events: tuple[dict[str, Any], ...]
    after: int = 0
    status: int = 200
    error: dict[str, str] | None = None
    pieces: tuple[int, ...] = ()

    def body(self) -> bytes:
        """The bytes that are sent before the body ends or is cut."""
        frames = [
            f"data: {json.dumps(e, ensure_ascii=False, separators=(',', ':'))}\n\n".encode()
            for e in self.events
        ]
        match self.fault:
            case Fault.NONE | Fault.RECHUNKED:
                return b"".join(frames)
            case Fault.STATUS:
                return json.dumps(self.error, separators=(",", ":")).encode()
            case Fault.CUT:
                return b"".join(frames)[: self.after]
            case Fault.END:
                return b"".join(frames[: self.after])
            case Fault.GARBAGE:
                return b"".join([*frames[: self.after], b"data: {oops\n\n", *frames[self.after :]])
            case Fault.ERROR_EVENT:
                error = json.dumps(self.error, separators=(",", ":")).encode()
                return b"".join([*frames[: self.after], b"data: " + error + b"\n\n"])


_ERRORS: tuple[tuple[int, str, str], ...] = (
    (422, "validation", "Input validation error: `inputs` cannot be empty"),
    (424, "generation", "Request failed during generation: Server error: CUDA out of memory"),
    (429, "overloaded", "Model is overloaded"),
    (500, "incomplete_generation", "Incomplete generation"),
)


@st.composite
def fault_plans(draw: st.DrawFn) -> FaultPlan:
    """A native stream and one fault, at a place where it shows."""
    events = tuple(draw(lorax_events()))
    fault: Fault = draw(st.sampled_from(Fault))
    status, kind, message = draw(st.sampled_from(_ERRORS))
    error = {"error": message, "error_type": kind}
    before = draw(st.integers(0, len(events) - 1))
    match fault:
        case Fault.STATUS:
            return FaultPlan(fault, events, status=status, error=error)
        case Fault.ERROR_EVENT:
            return FaultPlan(fault, events, after=before, error=error)
        case Fault.CUT:
            whole = len(FaultPlan(Fault.NONE, events).body())
            # The last two bytes end the final event; without them it never arrives.
            return FaultPlan(fault, events, after=draw(st.integers(0, whole - 2)))
        case Fault.END | Fault.GARBAGE:
            return FaultPlan(fault, events, after=before)
        case Fault.RECHUNKED:
            pieces = draw(st.lists(st.integers(1, 40), min_size=1, max_size=5))
            return FaultPlan(fault, events, pieces=tuple(pieces))
        case Fault.NONE:
            return FaultPlan(fault, events)
