"""A correct OpenAI server, small enough to read, for the checker to be tested on.

It is pure: a request in, a reply out, and `reciter` is its language model. Nothing here is shared with
the proxy or the mock: three readings of the same promises.

`planted` breaks one promise at a time on top of these.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import unquote

from lorax_contracts import schemas
from lorax_contracts.exchange import End
from tests.contracts.reciter import Spoken, count, identity, recite, speak, value

__all__ = ["CONTEXT", "KEY", "MODELS", "Asked", "Said", "openai"]

MODELS = ("acme/base", "acme/poet")
CONTEXT = 4096
"""Tokens that a prompt may have."""
KEY = "sk-reference"
_CREATED = 1_700_000_000


@dataclass(slots=True)
class Asked:
    """A request as it arrived; `document` None when the body is no JSON."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    document: Any = None
    now: int = _CREATED
    number: int = 0


@dataclass(slots=True)
class Said:
    """A reply before it is written.

    Attributes:
        document: the JSON of a plain reply; unused when `chunks` is set.
        chunks: the JSON of a stream's events.
        done: whether [DONE] ends them.
        raw: the very body, instead of all that.
        end: how the body ends.
    """

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict[str, str])
    document: Any = None
    chunks: list[Any] | None = None
    done: bool = True
    raw: bytes | None = None
    end: End = End.COMPLETE

    def body(self) -> bytes:
        """The bytes of the body."""
        if self.raw is not None:
            return self.raw
        if self.chunks is None:
            return _compact(self.document)
        frames = b"".join(b"data: " + _compact(chunk) + b"\n\n" for chunk in self.chunks)
        return frames + (b"data: [DONE]\n\n" if self.done else b"")


def _compact(document: Any) -> bytes:
    try:
        return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        return json.dumps(document, separators=(",", ":")).encode()


class _Refused(Exception):
    def __init__(self, status: int, message: str, param: str | None, code: str | None) -> None:
        super().__init__(message)
        self.said = Said(
            status,
            {"content-type": "application/json"},
            {
                "error": {
                    "message": message,
                    "type": "invalid_request_error",
                    "param": param,
                    "code": code,
                }
            },
        )


def _prompt(request: Mapping[str, Any]) -> str:
    parts: list[str] = []
    for message in request["messages"]:
        content = message.get("content")
        if isinstance(content, list):
            content = "".join(part.get("text", "") for part in content)
        parts.append(f"{message['role']}: {content or ''}")
    return "\n".join(parts)


def _budget(request: Mapping[str, Any]) -> int | None:
    given = request.get("max_completion_tokens")
    return request.get("max_tokens") if given is None else given


def _tool(request: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The function that the model calls: the first, when one is wanted or nothing forbids it."""
    tools: list[Mapping[str, Any]] = [tool["function"] for tool in request.get("tools") or []]
    choice = request.get("tool_choice")
    if not tools or choice == "none":
        return None
    if isinstance(choice, dict):
        return next(tool for tool in tools if tool["name"] == choice["function"]["name"])
    return tools[0]


def _chat_answer(request: Mapping[str, Any], index: int) -> Spoken:
    prompt = _prompt(request)
    seed = request.get("seed")
    key = identity(prompt, seed, index)
    budget = _budget(request)
    tool = _tool(request)
    wanted: Mapping[str, Any] = request.get("response_format") or {"type": "text"}
    if tool is not None:
        arguments = json.dumps(value(tool.get("parameters", {"properties": {}}), key))
        tokens = [arguments[at : at + 4] for at in range(0, len(arguments), 4)]
        made = speak(tokens, {}, budget)
        finish = "length" if made.finish == "length" else "tool_calls"
        return Spoken([], finish, made.spent, (tool["name"], "".join(made.tokens)))
    if wanted["type"] != "text":
        schema = wanted.get("json_schema", {}).get("schema", {})
        text = json.dumps(value(schema, key), ensure_ascii=False)
        return speak([text[at : at + 4] for at in range(0, len(text), 4)], request, budget)
    return speak(recite(prompt, seed, index), request, budget)


def _entry(token: str, top: int) -> dict[str, Any]:
    octets = list(token.encode())
    listed = [{"token": token, "logprob": -0.25, "bytes": octets}]
    listed += [
        {"token": f"?{rank}", "logprob": -2.0 - rank, "bytes": list(f"?{rank}".encode())}
        for rank in range(1, top)
    ]
    return {"token": token, "logprob": -0.25, "bytes": octets, "top_logprobs": listed[:top]}


def _logprobs(tokens: list[str], request: Mapping[str, Any]) -> Any:
    if not request.get("logprobs"):
        return None
    top = request.get("top_logprobs") or 0
    return {"content": [_entry(token, top) for token in tokens], "refusal": None}


def _usage(prompt: int, spent: int) -> dict[str, int]:
    return {
        "prompt_tokens": prompt,
        "completion_tokens": spent,
        "total_tokens": prompt + spent,
    }


@cache
def _misfits(schema: str, text: str) -> list[schemas.Misfit]:
    """The checker asks every planted server the same: each request is validated once."""
    return schemas.validate(schema, json.loads(text))


def _check(request: Any, schema: str, model: bool = True) -> Mapping[str, Any]:  # noqa: FBT002 - one caller differs
    if not isinstance(request, dict):
        raise _Refused(400, "The body must be a JSON object.", None, None)
    if "model" in request and not isinstance(request["model"], str):
        raise _Refused(400, "model must be a string.", "model", "invalid_type")
    misfits = _misfits(schema, json.dumps(request))
    if misfits:
        at = misfits[0].at.split("/")[1] if misfits[0].at else ""
        unmet = next((one for one in misfits if one.rule == "required"), misfits[0])
        name = unmet.at.split("/")[1] if unmet.rule == "required" and unmet.at else at
        raise _Refused(400, misfits[0].message, name or None, "invalid_value")
    for name, least in (("max_tokens", 0), ("max_completion_tokens", 0)):
        if isinstance(request.get(name), int) and request[name] < least:
            raise _Refused(400, f"{name} is negative.", name, "below_min_value")
    if model and request["model"] not in MODELS:
        raise _Refused(404, f"no model {request['model']}", "model", "model_not_found")
    return request


def _identity(asked: Asked, kind: str, thing: str, model: str) -> dict[str, Any]:
    return {
        "id": f"{kind}-{asked.number}",
        "object": thing,
        "created": asked.now,
        "model": model,
        "system_fingerprint": "fp_reference",
    }


def _readable(request: Mapping[str, Any]) -> None:
    for message in request["messages"]:
        content = message.get("content")
        if isinstance(content, list) and any(part["type"] == "image_url" for part in content):
            raise _Refused(400, "This model reads no images.", "messages", "invalid_value")
    if count(_prompt(request)) > CONTEXT:
        raise _Refused(400, "The prompt is too long.", "messages", "context_length_exceeded")


def _chat(asked: Asked) -> Said:
    request = _check(asked.document, "openai/chat_completion_request")
    _readable(request)
    answers = [_chat_answer(request, index) for index in range(request.get("n") or 1)]
    usage = _usage(count(_prompt(request)), sum(one.spent for one in answers))
    if request.get("stream"):
        return _chat_stream(asked, request, answers, usage)
    choices: list[Any] = []
    for index, one in enumerate(answers):
        message: dict[str, Any] = {
            "role": "assistant",
            "content": None if one.call else "".join(one.tokens),
            "refusal": None,
        }
        if one.call:
            message["tool_calls"] = [_call(asked, index, *one.call)]
        choices.append(
            {
                "index": index,
                "message": message,
                "logprobs": _logprobs(one.tokens, request),
                "finish_reason": one.finish,
            }
        )
    head = _identity(asked, "chatcmpl", "chat.completion", request["model"])
    return Said(200, _json(), {**head, "choices": choices, "usage": usage})


def _json() -> dict[str, str]:
    return {"content-type": "application/json", "x-request-id": "req"}


def _call(asked: Asked, index: int, name: str, arguments: str) -> dict[str, Any]:
    return {
        "id": f"call_{asked.number}_{index}",
        "type": "function",
        "function": {"name": name, "arguments": arguments},
    }


def _chat_stream(
    asked: Asked, request: Mapping[str, Any], answers: list[Spoken], usage: dict[str, int]
) -> Said:
    counted = (request.get("stream_options") or {}).get("include_usage")
    head = _identity(asked, "chatcmpl", "chat.completion.chunk", request["model"])
    chunks: list[Any] = []

    def add(index: int, delta: Any, finish: str | None = None, logprobs: Any = None) -> None:
        choice = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
        chunks.append({**head, "choices": [choice]} | ({"usage": None} if counted else {}))

    for index, one in enumerate(answers):
        add(index, {"role": "assistant", "content": None if one.call else "", "refusal": None})
    for index, one in enumerate(answers):
        for token in one.tokens:
            add(index, {"content": token}, None, _logprobs([token], request))
        if one.call:
            name, arguments = one.call
            opening = {"index": 0, **_call(asked, index, name, "")}
            add(index, {"tool_calls": [opening]})
            for at in range(0, len(arguments), 8):
                piece = {"arguments": arguments[at : at + 8]}
                add(index, {"tool_calls": [{"index": 0, "function": piece}]})
        add(index, {}, one.finish)
    if counted:
        chunks.append({**head, "choices": [], "usage": usage})
    headers = {"content-type": "text/event-stream", "x-request-id": "req"}
    return Said(200, headers, None, chunks)


def _completion_logprobs(tokens: list[str], request: Mapping[str, Any], echoed: int) -> Any:
    if request.get("logprobs") is None:
        return None
    offsets = [sum(map(len, tokens[:place])) for place in range(len(tokens))]
    values = [None if place < echoed else -0.25 for place in range(len(tokens))]
    return {
        "tokens": tokens,
        "token_logprobs": values,
        "top_logprobs": [
            None if value is None else {token: value}
            for token, value in zip(tokens, values, strict=True)
        ],
        "text_offset": offsets,
    }


def _completions(asked: Asked) -> Said:
    request = _check(asked.document, "openai/completion_request")
    prompt = request["prompt"]
    listed = prompt if isinstance(prompt, list) else [prompt]
    budget = request.get("max_tokens")
    budget = 16 if budget is None else budget
    head = _identity(asked, "cmpl", "text_completion", request["model"])
    counted = (request.get("stream_options") or {}).get("include_usage")
    choices: list[Any] = []
    spent = 0
    for text in listed:
        for index in range(request.get("n") or 1):
            made = speak(recite(str(text), request.get("seed"), index), request, budget)
            spent += made.spent
            echo = [str(text)] if request.get("echo") else []
            tokens = [*echo, *made.tokens]
            choices.append(
                {
                    "index": len(choices),
                    "text": "".join(tokens),
                    "logprobs": _completion_logprobs(tokens, request, len(echo)),
                    "finish_reason": made.finish,
                }
            )
    usage = _usage(sum(count(str(text)) for text in listed), spent)
    if not request.get("stream"):
        return Said(200, _json(), {**head, "choices": choices, "usage": usage})
    chunks: list[Any] = []
    nothing = {"usage": None} if counted else {}
    for choice in choices:
        half = len(choice["text"]) // 2
        for piece, finish in (
            (choice["text"][:half], None),
            (choice["text"][half:], choice["finish_reason"]),
        ):
            logprobs = choice["logprobs"] if finish else None
            one = {**choice, "text": piece, "logprobs": logprobs, "finish_reason": finish}
            chunks.append({**head, "choices": [one], **nothing})
    if counted:
        chunks.append({**head, "choices": [], "usage": usage})
    return Said(200, {"content-type": "text/event-stream", "x-request-id": "req"}, None, chunks)


def _embeddings(asked: Asked) -> Said:
    request = _check(asked.document, "openai/embedding_request")
    given = request["input"]
    listed = given if isinstance(given, list) else [given]
    packed = request.get("encoding_format") == "base64"
    rows = [
        {
            "object": "embedding",
            "index": index,
            "embedding": "AAAAPwAAgL4=" if packed else [0.5, -0.25],
        }
        for index in range(len(listed))
    ]
    usage = {"prompt_tokens": len(listed), "total_tokens": len(listed)}
    document = {"object": "list", "data": rows, "model": request["model"], "usage": usage}
    return Said(200, _json(), document)


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": _CREATED, "owned_by": "acme"}


_POSTS = {"/chat/completions": _chat, "/completions": _completions, "/embeddings": _embeddings}


def _route(asked: Asked) -> Said:
    # Who sends no key at all asks a server that wants none.
    if asked.headers.get("authorization", f"Bearer {KEY}") != f"Bearer {KEY}":
        raise _Refused(401, "Incorrect API key provided.", None, "invalid_api_key")
    path = asked.path.removeprefix("/v1")
    if path == "/models" and asked.method == "GET":
        document = {"object": "list", "data": [_model(name) for name in MODELS]}
        return Said(200, _json(), document)
    if path.startswith("/models/") and asked.method == "GET":
        name = unquote(path.removeprefix("/models/"))
        if name in MODELS:
            return Said(200, _json(), _model(name))
        raise _Refused(404, f"no model {name}", "model", "model_not_found")
    handler = _POSTS.get(path)
    if handler is None:
        raise _Refused(404, f"Unknown request URL: {asked.path}", None, "unknown_url")
    if asked.method != "POST":
        raise _Refused(405, "Send a POST.", None, "method_not_allowed")
    if asked.document is None:
        raise _Refused(400, "The body is not JSON.", None, None)
    return handler(asked)


def openai(asked: Asked) -> Said:
    """The correct OpenAI server."""
    try:
        said = _route(asked)
    except _Refused as refused:
        said = refused.said
        said.headers["x-request-id"] = "req"
    return said
