"""Chats into prompts: the model's template, rendered as the router renders it.

The router knows only its base model's template, gives it role and content alone, and means to add the
tools to the last message, which is lost when that message is a plain string (router/src/lib.rs:626).

It renders with minijinja 2.5.0, here it is Jinja2; where the two differ and a template could notice,
this follows minijinja: maps are sorted, `tojson` is compact, an unknown function or value is told in its
words, with the template's line. A template that does not parse ends a router at its start.
"""

import json
from collections.abc import Iterable
from functools import lru_cache
from types import TracebackType
from typing import Any, Final

from lorax_mock.errors import LoraxRefusal
from lorax_mock.prompt.tools import compact, tool_error, tool_schema, with_no_tool
from lorax_mock.serde.reader import quoted
from lorax_mock.wire.native import ResponseFormat
from lorax_mock.wire.openai import ChatRequest, Message, response_format_of

__all__ = ["TemplateFault", "check_template", "prepare"]

_FAILED: Final = "Failed applying chat template to inputs: "
_TOOL_PROMPT: Final = (
    "\nGiven the functions available, please respond with a JSON for a function call with its "
    "proper arguments that best answers the given prompt. Respond in the format {name: function "
    "name, parameters: dictionary of argument name and its value}.Do not use variables.\n"
)


_HTML: Final = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "'": "\\u0027"})


class TemplateFault(Exception):
    """A template that does not parse; the text says where."""


class _Raised(Exception):
    """`raise_exception` was called."""


def check_template(template: str) -> str:
    """The template, if it parses; raises TemplateFault."""
    from jinja2 import TemplateSyntaxError  # noqa: PLC0415 - see _compiled

    try:
        _called(template)
    except TemplateSyntaxError as error:
        raise TemplateFault(f"line {error.lineno}: {error.message}") from None
    return template


def prepare(
    asked: ChatRequest, template: str | None, *, bos: str | None, eos: str | None
) -> tuple[str, ResponseFormat | None, bool]:
    """Prompt, constraint, and whether the answer is to be read as a tool call.

    Raises LoraxRefusal: tools with a response format, unknown tools, template errors, no template.
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
        messages = _with_tools(messages, tools, prompt, template or "")
    if template is None:
        # The one template error that no counter sees.
        raise LoraxRefusal(422, "template_error", f"{_FAILED}template not found", "")
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
        text = f"\n---\n{compact(tools)}\n{prompt}"
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

    environment = ImmutableSandboxedEnvironment(finalize=_printed)
    environment.filters["tojson"] = _tojson
    return environment.from_string(template, globals={"raise_exception": _raise})


@lru_cache(maxsize=8)
def _called(template: str) -> frozenset[str]:
    """The names that a template calls as functions."""
    from jinja2 import nodes  # noqa: PLC0415 - as above
    from jinja2.sandbox import ImmutableSandboxedEnvironment  # noqa: PLC0415 - as above

    calls = ImmutableSandboxedEnvironment().parse(template).find_all(nodes.Call)
    return frozenset(call.node.name for call in calls if isinstance(call.node, nodes.Name))


def _printed(value: Any) -> Any:
    """What minijinja prints otherwise than Python."""
    match value:
        case None:
            return "none"
        case bool():
            return "true" if value else "false"
        case list():
            return f"[{', '.join(map(_inside, value))}]"
        case dict():
            members = (f"{_inside(key)}: {_inside(one)}" for key, one in value.items())
            return f"{{{', '.join(members)}}}"
        case _:
            return value


def _inside(value: Any) -> str:
    return quoted(value) if isinstance(value, str) else f"{_printed(value)}"


def _tojson(value: Any, indent: int | None = None) -> str:
    """Minijinja's filter: serde's JSON, safe in HTML."""
    if indent is None:
        return compact(value).translate(_HTML)
    width = 2 if indent is True else indent
    return json.dumps(value, ensure_ascii=False, indent=width).translate(_HTML)


def _sorted(value: Any) -> Any:
    """Maps in the order of their keys: minijinja's own are trees."""
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    if isinstance(value, list):
        return [_sorted(one) for one in value]
    return value


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
    bos: str | None,
    eos: str | None,
) -> str:
    from jinja2 import TemplateError, UndefinedError  # noqa: PLC0415 - as above

    try:
        if guideline is None and "guideline" in _variables(template):
            raise LoraxRefusal(
                422,
                "missing_template_variable",
                "Missing template vatiable: guideline",
                "template",
            )
        text: str = _compiled(template).render(
            messages=[{"content": _text(one.content), "role": one.role} for one in messages],
            bos_token=bos,
            eos_token=eos,
            add_generation_prompt=True,
            tools=_sorted(tools),
            guideline=guideline,
        )
    except _Raised as raised:
        raise _template_error(f"syntax error: {raised}", raised) from None
    except UndefinedError as error:
        raise _template_error(_undefined(f"{error}", _called(template)), error) from None
    except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError) as error:
        raise _template_error(f"invalid operation: {error}", error) from None
    return text


def _undefined(said: str, called: Iterable[str]) -> str:
    """Jinja2 names what is undefined; minijinja tells a function from a value."""
    for name in called:
        if said == f"{name!r} is undefined":
            return f"unknown function: {name} is unknown"
    return "undefined value"


def _line(error: Exception) -> int:
    """The template's line that failed: Jinja2 puts its own frames into the traceback."""
    line = 1
    frame: TracebackType | None = error.__traceback__
    while frame is not None:
        if frame.tb_frame.f_code.co_filename == "<template>":
            line = frame.tb_lineno
        frame = frame.tb_next
    return line


def _template_error(text: str, error: Exception) -> LoraxRefusal:
    message = f"{_FAILED}{text} (in <string>:{_line(error)})"
    return LoraxRefusal(422, "template_error", message, "template")
