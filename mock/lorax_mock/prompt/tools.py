"""Tools as LoRAX does them: a grammar in, one call out (router/src/tool_grammar.rs).

The tools become one schema: an object with an optional property `function` that is any of the chosen
tools' parameter objects, each led by a constant `_name`. The answer must then be JSON, and what is wrong
with it is found only after it was generated.
"""

from typing import Any, Final

from lorax_mock.errors import LoraxRefusal
from lorax_mock.serde.floats import spell_f64
from lorax_mock.serde.reader import Reader, SerdeError, quoted
from lorax_mock.serde.types import json_value, read
from lorax_mock.wire.openai import Tool
from lorax_mock.wire.replies import encode_text

__all__ = [
    "NO_TOOL",
    "compact",
    "message_of",
    "plain_message",
    "tool_error",
    "tool_schema",
    "with_no_tool",
]

NO_TOOL: Final = Tool(
    "function",
    "Open ened response with no specific tool selected",
    "no_tool",
    {
        "type": "object",
        "properties": {"content": {"type": "string", "description": "The response content"}},
        "required": ["content"],
    },
)
"""The way out that LoRAX adds to every list of tools; the misspelling is its own."""


def tool_error(text: str) -> LoraxRefusal:
    """422 for whatever is wrong with tools."""
    return LoraxRefusal(422, "tool_error", f"Tool error: {text}", "")


def with_no_tool(tools: tuple[Tool, ...]) -> tuple[Tool, ...]:
    """The tools as the template sees them; none stay none."""
    return (*tools, NO_TOOL) if tools else ()


def tool_schema(tools: tuple[Tool, ...], choice: str | None) -> dict[str, Any] | None:
    """The grammar for a choice (None: any; "none"; "=name"); None when nothing is constrained.

    `tools` holds NO_TOOL already. Raises LoraxRefusal for a name that no tool has.
    """
    if not tools or choice == "none":
        return None
    chosen = tools
    if choice is not None:
        name = choice.removeprefix("=")
        chosen = tuple(tool for tool in tools if tool.name == name)[:1]
        if not chosen:
            raise tool_error(f"Tool with name {name} not found")
    return {
        "$functions": {tool.name: _function(tool) for tool in chosen},
        "properties": {
            "function": {"anyOf": [{"$ref": f"#/$functions/{tool.name}"} for tool in chosen]}
        },
    }


def _function(tool: Tool) -> dict[str, Any]:
    given = tool.parameters if isinstance(tool.parameters, dict) else {}
    properties, required = given.get("properties"), given.get("required")
    out: dict[str, Any] = {"description": tool.description or ""}
    if isinstance(tool.parameters, dict):
        # Compared with the string "true", so never true (router/src/tool_grammar.rs:96).
        out["additionalProperties"] = given.get("additionalProperties") == "true"
    out["properties"] = {
        "_name": {"type": "string", "const": tool.name},
        **(properties if isinstance(properties, dict) else {}),
    }
    out["required"] = ["_name", *(required if isinstance(required, list) else [])]
    return out


def compact(value: Any) -> str:
    """JSON as serde_json writes a value: no spaces, its own spelling of floats."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            return spell_f64(value)
        case str():
            return encode_text(value).decode()
        case dict():
            members = (f"{compact(key)}:{compact(member)}" for key, member in value.items())
            return f"{{{','.join(members)}}}"
        case _:
            return f"[{','.join(map(compact, value))}]"


def _whole(reader: Reader) -> Any:
    value = json_value(reader)
    if reader.peek() != -1:
        raise reader.ahead("trailing characters")
    return value


def message_of(text: str) -> bytes:
    """The message object for a constrained answer; raises LoraxRefusal when it holds no call."""
    try:
        answer = read(text.encode(), _whole)
    except SerdeError as error:
        reason = f"{error.text}{error.where}"
        raise tool_error(f"Failed to parse generated text: {reason} {quoted(text)}") from None
    if not isinstance(answer, dict) or "function" not in answer:
        raise tool_error("No function found in generated text")
    function = answer["function"]
    name = function.get("_name") if isinstance(function, dict) else None
    if not isinstance(name, str):
        raise tool_error("No _name found in generated text")
    arguments = _without_name(function)
    if name == NO_TOOL.name:
        content = arguments.get("content")
        if not isinstance(content, str):
            raise tool_error("No `content` found in generated text")
        return plain_message(content)
    return (
        b'{"role":"assistant","tool_calls":[{"id":"0","type":"function","function":'
        b'{"description":null,"name":%b,"arguments":%b}}]}'
        % (encode_text(name), encode_text(compact(arguments)))
    )


def _without_name(function: dict[str, Any]) -> dict[str, Any]:
    """`_name` removed as serde_json's ordered map does it: the last member moves into its place."""
    names = list(function)
    last = names.pop()
    if last != "_name":
        names[names.index("_name")] = last
    return {name: function[name] for name in names}


def plain_message(text: str) -> bytes:
    """The message object of ordinary text."""
    return b'{"role":"assistant","content":%b}' % encode_text(text)
