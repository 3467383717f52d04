"""Tools for templates that know none: told in words, and calls and results turned into text.

Three things a template may or may not take, each found when it is compiled: `tools`, an
assistant's `tool_calls`, and messages of the role `tool`. What it takes is left to it. The rest is
put into words that any model reads:

- the tools, their schemas and the form of an answer go to the end of the system message; where the
  template has no system role, to the start of the first user message;
- an assistant's calls are written below its text, in the form that the tool prompt asks for;
- results become user messages that name their function; neighbouring user messages are joined,
  because templates without a tool role usually insist that user and assistant alternate.

Everything is a function of its arguments: equal requests give equal prompts.
"""

import json
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any, Protocol

import msgspec

__all__ = ["CALL_FORM", "FittedMessages", "fit_messages", "with_tool_prompt"]

# What the answer looks like under the grammar of `core.tools.grammar`.
CALL_FORM = (
    "To call functions, answer with nothing but a JSON array of the calls, each with the "
    'function\'s name and its arguments: [{"name": "...", "arguments": {...}}]. '
    "To answer without a call, answer with a JSON string."
)

_HEADING = "You can call these functions. Each is given with the JSON schema of its arguments:"


class _TakesTools(Protocol):
    """What `core.template.chat_template.ChatTemplate` knows of itself."""

    @property
    def takes_system(self) -> bool: ...
    @property
    def takes_tools(self) -> bool: ...
    @property
    def takes_tool_calls(self) -> bool: ...
    @property
    def takes_tool_messages(self) -> bool: ...


class FittedMessages(msgspec.Struct, frozen=True):
    """Messages and tools as a template can take them; tools that are in the text are None here."""

    messages: list[dict[str, Any]]
    tools: list[Mapping[str, Any]] | None


def fit_messages(
    template: _TakesTools,
    messages: Sequence[Mapping[str, Any]],
    tools: Sequence[Mapping[str, Any]] | None,
    call_form: str = CALL_FORM,
) -> FittedMessages:
    """Put into words whatever of tools, calls and results `template` has no place for.

    Args:
        template: The template that will render the messages.
        messages: OpenAI messages whose contents are texts or null.
        tools: OpenAI tools, or None.
        call_form: The sentence that tells the model how to write a call.
    """
    fitted = [dict(message) for message in messages]
    if not (template.takes_tool_calls and template.takes_tool_messages):
        fitted = _calls_as_text(fitted)
    if not tools:
        return FittedMessages(fitted, None)
    if template.takes_tools:
        return FittedMessages(fitted, list(tools))
    return FittedMessages(
        with_tool_prompt(fitted, tools, takes_system=template.takes_system, call_form=call_form),
        None,
    )


def with_tool_prompt(
    messages: Sequence[Mapping[str, Any]],
    tools: Sequence[Mapping[str, Any]],
    *,
    takes_system: bool,
    call_form: str = CALL_FORM,
) -> list[dict[str, Any]]:
    """`messages` with `tools` described where the template lets a system-side text stand."""
    prompt = "\n".join([_HEADING, *map(_described, tools), call_form])
    told = [dict(message) for message in messages]
    if takes_system:
        if told and told[0].get("role") == "system":
            told[0]["content"] = _joined(told[0].get("content"), prompt)
        else:
            told.insert(0, {"role": "system", "content": prompt})
        return told
    for message in told:
        if message.get("role") == "user":
            message["content"] = _joined(prompt, message.get("content"))
            return told
    told.insert(0, {"role": "user", "content": prompt})
    return told


def _described(tool: Mapping[str, Any]) -> str:
    function = tool.get("function", tool)
    told = {
        key: function[key] for key in ("name", "description", "parameters") if function.get(key)
    }
    return json.dumps(told, ensure_ascii=False)


def _calls_as_text(messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    names: dict[Any, str] = {}
    told: list[dict[str, Any]] = []
    for message in messages:
        calls = message.get("tool_calls")
        if calls:
            written = [_written(call, names) for call in calls]
            text = _joined(message.get("content"), "[" + ", ".join(written) + "]")
            kept = {k: v for k, v in message.items() if k != "tool_calls"}
            told.append({**kept, "content": text})
        elif message.get("role") == "tool":
            name = message.get("name") or names.get(message.get("tool_call_id"))
            heading = f"The function {name} returned:" if name else "The function returned:"
            told.append({"role": "user", "content": f"{heading}\n{message.get('content') or ''}"})
        else:
            told.append(dict(message))
    return _merged(told) if any(m.get("role") == "tool" for m in messages) else told


def _written(call: Mapping[str, Any], names: dict[Any, str]) -> str:
    function = call.get("function", {})
    name = str(function.get("name", ""))
    names[call.get("id")] = name
    arguments = function.get("arguments", {})
    if not isinstance(arguments, str):
        arguments = json.dumps(arguments, ensure_ascii=False)
    return f'{{"name": {json.dumps(name, ensure_ascii=False)}, "arguments": {arguments}}}'


def _merged(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Neighbouring user messages as one: the first of them, with the texts of all."""
    merged: list[dict[str, Any]] = []
    for asked, neighbours in groupby(messages, lambda message: message.get("role") == "user"):
        if asked:
            first, *others = neighbours
            texts = [first.get("content"), *(other.get("content") for other in others)]
            merged.append({**first, "content": _joined(*texts)} if others else first)
        else:
            merged.extend(neighbours)
    return merged


def _joined(*texts: str | None) -> str:
    return "\n\n".join(filter(None, texts))
