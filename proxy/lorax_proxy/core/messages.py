"""OpenAI's messages as chat templates take them: plain dictionaries in Hugging Face's shape.

- `developer` is `system` under a newer name.
- Text parts are joined with nothing between them: a part's text is all that the client wrote.
- `refusal` is what the assistant said, where it said nothing else.
- `function_call` and the `function` role are the older names of a tool call and its result.
- A call's `arguments` are a JSON text on OpenAI's wire and an object in Hugging Face's templates,
  which print it with `tojson`; a blank text is no arguments, and text that is no object stays text.
- A tool's result carries the tool's name too: some templates print it, and OpenAI sends the id only.
- Keys that nobody here knows pass through: templates may read keys of their own.
- Images, audio and files are refused by name: these models read text.
"""

from collections.abc import Sequence
from typing import Any, assert_never

import msgspec

from lorax_proxy.core.parsing import is_too_deep
from lorax_proxy.errors import RequestRefused
from lorax_proxy.wire.openai_requests import (
    AssistantMessage,
    DeveloperMessage,
    FunctionMessage,
    Message,
    Part,
    RefusalPart,
    SystemMessage,
    TextPart,
    ToolCall,
    ToolMessage,
    UserMessage,
)

__all__ = ["conversation"]

_LEGACY_CALL_ID = "call_function"
"""The id of a legacy `function_call`, which has none: one a message, so its name tells it apart."""


def conversation(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """The messages as a chat template reads them.

    Raises:
        RequestRefused: For content that is not text, with its path in `param`.
    """
    names: dict[str, str] = {}
    rendered: list[dict[str, Any]] = []
    for index, message in enumerate(messages):
        rendered.append(_message(message, f"messages[{index}]", names))
    return rendered


def _message(message: Message, path: str, names: dict[str, str]) -> dict[str, Any]:
    """One message; `names` remembers which tool each call id belongs to."""
    document: dict[str, Any] = dict(message.model_extra or {})
    match message:
        case DeveloperMessage() | SystemMessage():
            document.update(role="system", content=_text(message.content, path))
        case UserMessage():
            document.update(role="user", content=_text(message.content, path))
        case AssistantMessage():
            document.update(role="assistant", content=_said(message, path))
            calls = _calls(message, path)
            if calls:
                document["tool_calls"] = calls
                names.update((call["id"], call["function"]["name"]) for call in calls)
        case ToolMessage():
            document.update(
                role="tool",
                content=_text(message.content, path),
                tool_call_id=message.tool_call_id,
            )
            name = names.get(message.tool_call_id)
            if name is not None:
                document.setdefault("name", name)
        case FunctionMessage():
            document.update(
                role="tool",
                content=message.content or "",
                name=message.name,
                tool_call_id=_LEGACY_CALL_ID,
            )
        case _:
            assert_never(message)
    if not isinstance(message, ToolMessage) and message.name is not None:
        document["name"] = message.name
    return document


def _text(content: str | Sequence[Part], path: str) -> str:
    if isinstance(content, str):
        return content
    texts: list[str] = []
    for index, part in enumerate(content):
        match part:
            case TextPart():
                texts.append(part.text)
            case RefusalPart():
                texts.append(part.refusal)
            case _:
                raise RequestRefused(
                    f"Unsupported content: '{part.type}' parts are not supported, "
                    "since this model reads text only.",
                    param=f"{path}.content[{index}]",
                    code="unsupported_content",
                )
    return "".join(texts)


def _said(message: AssistantMessage, path: str) -> str:
    if message.content is not None:
        return _text(message.content, path)
    return message.refusal or ""


def _calls(message: AssistantMessage, path: str) -> list[dict[str, Any]]:
    if message.function_call is not None:
        call = message.function_call
        return [_call(_LEGACY_CALL_ID, call.name, call.arguments)]
    return [
        _tool_call(call, f"{path}.tool_calls[{index}]")
        for index, call in enumerate(message.tool_calls or ())
    ]


def _tool_call(call: ToolCall, path: str) -> dict[str, Any]:
    if call.function is None:
        raise RequestRefused(
            "Unsupported content: only function calls are supported, not custom tools' calls.",
            param=path,
            code="unsupported_content",
        )
    return _call(call.id, call.function.name, call.function.arguments)


def _call(id_: str, name: str, arguments: str) -> dict[str, Any]:
    try:
        document: object = msgspec.json.decode(arguments) if arguments.strip() else {}
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        document = None
    readable = isinstance(document, dict) and not is_too_deep(document)
    return {
        "id": id_,
        "type": "function",
        "function": {"name": name, "arguments": document if readable else arguments},
    }
