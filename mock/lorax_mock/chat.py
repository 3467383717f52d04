"""Chats into prompts: the model's template, rendered as the router renders it.

The router knows only its base model's template, gives it role and content alone, and means to add the
tools to the last message, which is lost when that message is a plain string (router/src/lib.rs:626).
"""

import json
from functools import lru_cache
from typing import Any, Final

from lorax_mock.errors import LoraxRefusal
from lorax_mock.openai import ChatRequest, Message, response_format_of
from lorax_mock.tools import tool_error, tool_schema, with_no_tool
from lorax_mock.wire import ResponseFormat

__all__ = ["prepare"]

_TOOL_PROMPT: Final = (
    "\nGiven the functions available, please respond with a JSON for a function call with its "
    "proper arguments that best answers the given prompt. Respond in the format {name: function "
    "name, parameters: dictionary of argument name and its value}.Do not use variables.\n"
)


class _Raised(Exception):
    """`raise_exception` was called."""


def prepare(
    asked: ChatRequest, template: str, *, bos: str, eos: str
) -> tuple[str, ResponseFormat | None, bool]:
    """Prompt, constraint, and whether the answer is to be read as a tool call.

    Raises LoraxRefusal: tools with a response format, unknown tools, template errors.
    """
    chosen = response_format_of(asked)
    if chosen is not None and asked.tools is not None:
        raise tool_error("Response format and tools are mutually exclusive")
    messages = list(asked.messages)
    tools = None
    schema = None
    if chosen is None and asked.tools is not None:
        offered = with_no_tool(asked.tools)
        schema = tool_schema(offered, asked.tool_choice)
        tools = [tool.as_json() for tool in offered]
        prompt = asked.tool_prompt or _TOOL_PROMPT
        messages = _with_tools(messages, tools, prompt, template)
    rendered = _render(template, messages, tools, asked.guideline, bos=bos, eos=eos)
    if schema is not None:
        return rendered, ResponseFormat("json_schema", schema), True
    return rendered, chosen, False


def _with_tools(
    messages: list[Message], tools: list[dict[str, Any]], prompt: str, template: str
) -> list[Message]:
    if not messages:
        return messages
    text = f"\n---\n{prompt}"
    if "tools" not in _variables(template):
        written = json.dumps(tools, ensure_ascii=False, separators=(",", ":"))
        text = f"\n---\n{written}\n{prompt}"
    last = messages[-1]
    match last.content:
        case None:
            return [*messages[:-1], Message(last.role, text)]
        case str():
            # Do not mend: the router's `push` keeps the string and drops what was to be added.
            return messages
        case parts:
            return [*messages[:-1], Message(last.role, (*parts, text))]


def _text(content: str | tuple[str, ...] | None) -> str:
    return content if isinstance(content, str) else "".join(content or ())


@lru_cache(maxsize=8)
def _compiled(template: str) -> Any:
    # Imported here: most mocks never see a chat, and start-up is counted in milliseconds.
    from jinja2.sandbox import ImmutableSandboxedEnvironment  # noqa: PLC0415 - see above

    environment = ImmutableSandboxedEnvironment()
    return environment.from_string(template, globals={"raise_exception": _raise})


@lru_cache(maxsize=8)
def _variables(template: str) -> frozenset[str]:
    from jinja2 import meta  # noqa: PLC0415 - as above
    from jinja2.sandbox import ImmutableSandboxedEnvironment  # noqa: PLC0415 - as above

    parsed = ImmutableSandboxedEnvironment().parse(template)
    return frozenset(meta.find_undeclared_variables(parsed))


def _raise(message: str) -> None:
    raise _Raised(message)


def _render(
    template: str,
    messages: list[Message],
    tools: list[dict[str, Any]] | None,
    guideline: str | None,
    *,
    bos: str,
    eos: str,
) -> str:
    from jinja2 import TemplateError  # noqa: PLC0415 - as above

    try:
        if guideline is None and "guideline" in _variables(template):
            raise LoraxRefusal(
                422,
                "missing_template_variable",
                "Missing template vatiable: guideline",
                "template",
            )
        text: str = _compiled(template).render(
            messages=[{"role": one.role, "content": _text(one.content)} for one in messages],
            bos_token=bos,
            eos_token=eos,
            add_generation_prompt=True,
            tools=tools,
            guideline=guideline,
        )
    except _Raised as raised:
        raise _template_error(f"syntax error: {raised} (in <string>:1)") from None
    except TemplateError as error:
        raise _template_error(f"{error}") from None
    return text


def _template_error(text: str) -> LoraxRefusal:
    message = f"Failed applying chat template to inputs: {text}"
    return LoraxRefusal(422, "template_error", message, "template")
