"""Right answers of every route, as exchanges, and ways to make one of them wrong.

`edit` changes a JSON body, `edit_events` the JSON of every event, `replace_body` the bytes; each gives
a new exchange. A test of a judge takes a right answer, breaks one promise, and expects one law.
"""

import json
from collections.abc import Callable, Iterable
from copy import deepcopy
from dataclasses import replace
from typing import Any

from lorax_contracts import sse, transcripts
from lorax_contracts.exchange import End, Exchange
from lorax_contracts.judge import judge

__all__ = [
    "INVALID",
    "TOOLS",
    "asking",
    "compact",
    "completion",
    "completion_stream",
    "cut",
    "edit",
    "edit_events",
    "embeddings",
    "events",
    "found",
    "golden",
    "logprobs_chat",
    "lorax",
    "models",
    "replace_body",
    "stream_of",
    "tool_chat",
    "tool_stream",
    "without_header",
]

JSON = (("content-type", "application/json"),)
SSE = (("content-type", "text/event-stream"),)

INVALID: tuple[dict[str, Any], ...] = (
    {"stream": "yes"},
    {"model": 5},
    {"n": 0},
    {"temperature": "hot"},
    {"max_tokens": "many"},
    {"messages": None, "prompt": None, "input": None},
)
"""Members that make any request invalid, each in one thing; None takes one away."""

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "strict": True,
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}},
                "required": ["city"],
                "additionalProperties": False,
            },
        },
    },
    {"type": "function", "function": {"name": "now"}},
]


def compact(document: Any) -> bytes:
    """JSON as servers write it."""
    try:
        return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    except UnicodeEncodeError:  # a lone surrogate can only be written as an escape
        return json.dumps(document, separators=(",", ":")).encode("ascii")


def golden(name: str) -> Exchange:
    """The client's side of a transcript."""
    return transcripts.load(name).exchange()


def lorax(name: str, call: int = 0) -> Exchange:
    """LoRAX's side of a transcript."""
    return transcripts.load(name).calls[call].exchange()


def found(exchange: Exchange, *, strict: bool = False, kind: str | None = None) -> set[str]:
    """Ids of the laws that an exchange breaks."""
    return {finding.law for finding in judge(exchange, strict=strict, kind=kind)}


def replace_body(exchange: Exchange, body: bytes) -> Exchange:
    """The same with another body, and its length where one was named."""
    headers = tuple(
        (name, str(len(body)) if name == "content-length" else value)
        for name, value in exchange.headers
    )
    return replace(exchange, body=body, headers=headers)


def edit(exchange: Exchange, change: Callable[[Any], Any]) -> Exchange:
    """The same with its JSON changed in place (or replaced by what `change` returns)."""
    document = json.loads(exchange.body)
    changed = change(document)
    return replace_body(exchange, compact(document if changed is None else changed))


def stream_of(documents: Iterable[Any], *, done: bool = True) -> bytes:
    """A body of events, and [DONE]."""
    body = b"".join(b"data: " + compact(document) + b"\n\n" for document in documents)
    return body + (b"data: [DONE]\n\n" if done else b"")


def events(exchange: Exchange) -> list[Any]:
    """The JSON of every event, [DONE] left out."""
    return [deepcopy(event.value) for event in sse.read(exchange.body).data if not event.is_done]


def edit_events(exchange: Exchange, change: Callable[[list[Any]], Any]) -> Exchange:
    """The same with the list of its events' JSON changed in place; [DONE] stays if it was there."""
    documents = events(exchange)
    changed = change(documents)
    done = b"[DONE]" in exchange.body
    return replace_body(exchange, stream_of(documents if changed is None else changed, done=done))


def asking(exchange: Exchange, **changes: Any) -> Exchange:
    """The same reply to a request with other members; None takes one away."""
    request = {**exchange.asked, **changes}
    return replace(
        exchange, request={key: value for key, value in request.items() if value is not None}
    )


def cut(exchange: Exchange) -> Exchange:
    """The same with its last bytes lost and its connection reset."""
    return replace(exchange, body=exchange.body[:-20], end=End.CUT)


def without_header(exchange: Exchange, name: str) -> Exchange:
    """The same without a header."""
    return replace(exchange, headers=tuple(pair for pair in exchange.headers if pair[0] != name))


def _chat(message: dict[str, Any], finish: str, logprobs: Any = None) -> dict[str, Any]:
    return {
        "id": "chatcmpl-7",
        "object": "chat.completion",
        "created": transcripts.CREATED,
        "model": "acme/poet",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "refusal": None, **message},
                "logprobs": logprobs,
                "finish_reason": finish,
            }
        ],
        "usage": {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14},
    }


def _ask(**members: Any) -> dict[str, Any]:
    return {"model": "acme/poet", "messages": [{"role": "user", "content": "Hi?"}], **members}


def tool_chat() -> Exchange:
    """A chat that called a tool."""
    call = {
        "id": "call_1",
        "type": "function",
        "function": {"name": "weather", "arguments": '{"city":"Paris"}'},
    }
    return Exchange(
        method="POST",
        path="/v1/chat/completions",
        request=_ask(tools=TOOLS, tool_choice="required"),
        status=200,
        headers=JSON,
        body=compact(_chat({"content": None, "tool_calls": [call]}, "tool_calls")),
    )


def tool_stream() -> Exchange:
    """The same, streamed."""
    deltas: list[tuple[dict[str, Any], str | None]] = [
        ({"role": "assistant", "content": None}, None),
        (
            {
                "tool_calls": [
                    {
                        "index": 0,
                        "id": "call_1",
                        "type": "function",
                        "function": {"name": "weather", "arguments": ""},
                    }
                ]
            },
            None,
        ),
        ({"tool_calls": [{"index": 0, "function": {"arguments": '{"city":'}}]}, None),
        ({"tool_calls": [{"index": 0, "function": {"arguments": '"Paris"}'}}]}, None),
        ({}, "tool_calls"),
    ]
    chunks = [
        {
            "id": "chatcmpl-7",
            "object": "chat.completion.chunk",
            "created": transcripts.CREATED,
            "model": "acme/poet",
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
        }
        for delta, finish in deltas
    ]
    return Exchange(
        method="POST",
        path="/v1/chat/completions",
        request=_ask(tools=TOOLS, tool_choice="required", stream=True),
        status=200,
        headers=SSE,
        body=stream_of(chunks),
    )


def logprobs_chat() -> Exchange:
    """A chat with log probabilities; one character is split over two tokens."""

    def entry(token: str, octets: list[int], value: float, other: float) -> dict[str, Any]:
        top = [
            {"token": token, "logprob": value, "bytes": octets},
            {"token": "?", "logprob": other, "bytes": [63]},
        ]
        return {"token": token, "logprob": value, "bytes": octets, "top_logprobs": top}

    content = [
        entry("Hi ", [72, 105, 32], -0.1, -3.0),
        entry("", [], -0.5, -1.5),
        entry("é", [195, 169], -0.25, -2.5),
    ]
    logprobs = {"content": content, "refusal": None}
    return Exchange(
        method="POST",
        path="/v1/chat/completions",
        request=_ask(logprobs=True, top_logprobs=2),
        status=200,
        headers=JSON,
        body=compact(_chat({"content": "Hi é"}, "stop", logprobs)),
    )


def completion() -> Exchange:
    """A text completion with echo and log probabilities."""
    text = "One two three"
    return Exchange(
        method="POST",
        path="/v1/completions",
        request={
            "model": "acme/poet",
            "prompt": "One",
            "echo": True,
            "logprobs": 1,
            "max_tokens": 2,
        },
        status=200,
        headers=JSON,
        body=compact(
            {
                "id": "cmpl-7",
                "object": "text_completion",
                "created": transcripts.CREATED,
                "model": "acme/poet",
                "choices": [
                    {
                        "index": 0,
                        "text": text,
                        "logprobs": {
                            "tokens": ["One", " two", " three"],
                            "token_logprobs": [None, -0.5, -0.25],
                            "top_logprobs": [None, {" two": -0.5}, {" three": -0.25}],
                            "text_offset": [0, 3, 7],
                        },
                        "finish_reason": "length",
                    }
                ],
                "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
            }
        ),
    )


def completion_stream() -> Exchange:
    """Two prompts, streamed, with usage."""

    def event(index: int, text: str, finish: str | None) -> dict[str, Any]:
        return {
            "id": "cmpl-7",
            "object": "text_completion",
            "created": transcripts.CREATED,
            "model": "acme/poet",
            "choices": [{"index": index, "text": text, "logprobs": None, "finish_reason": finish}],
            "usage": None,
        }

    usage = {"prompt_tokens": 2, "completion_tokens": 4, "total_tokens": 6}
    documents = [
        event(0, " a", None),
        event(1, " b", None),
        event(0, "", "stop"),
        event(1, "!", "length"),
        {**event(0, "", None), "choices": [], "usage": usage},
    ]
    return Exchange(
        method="POST",
        path="/v1/completions",
        request={
            "model": "acme/poet",
            "prompt": ["One", "Two"],
            "stream": True,
            "max_tokens": 2,
            "stream_options": {"include_usage": True},
        },
        status=200,
        headers=SSE,
        body=stream_of(documents),
    )


def embeddings() -> Exchange:
    """Two embeddings."""
    vectors = [[0.5, -0.25], [0.125, 1.0]]
    return Exchange(
        method="POST",
        path="/v1/embeddings",
        request={"model": "acme/embed", "input": ["a", "b"]},
        status=200,
        headers=JSON,
        body=compact(
            {
                "object": "list",
                "data": [
                    {"object": "embedding", "index": index, "embedding": vector}
                    for index, vector in enumerate(vectors)
                ],
                "model": "acme/embed",
                "usage": {"prompt_tokens": 2, "total_tokens": 2},
            }
        ),
    )


def models() -> Exchange:
    """Two models."""
    rows = [
        {"id": name, "object": "model", "created": transcripts.CREATED, "owned_by": "acme"}
        for name in ("acme/base-7b", "acme/poet")
    ]
    return Exchange(
        method="GET",
        path="/v1/models",
        status=200,
        headers=JSON,
        body=compact({"object": "list", "data": rows}),
    )
