"""What LoRAX is to enforce: the tools or the format of a request, as one lowered schema.

LoRAX enforces one schema a request (server/lorax_server/utils/logits_process.py:532), so tools that
may be called and a JSON format exclude each other.

Lowering judges what a grammar would cost LoRAX to compile, and searches for one that is not too
expensive: milliseconds for a few tools, up to a second for a hundred. Clients send the same tools with
every turn, so the last results are remembered, by the JSON of what they were made from. Equal
requests still give equal grammars.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Concatenate, ParamSpec, TypeVar
from urllib.parse import quote

import msgspec

from lorax_proxy.core.schema.lowered import JSON_OBJECT, Lowered, SchemaRefused, lower
from lorax_proxy.core.tools.grammar import (
    Allowed,
    Auto,
    Choice,
    FunctionTool,
    Named,
    NoTools,
    Required,
    ToolGrammar,
    tool_grammar,
)
from lorax_proxy.errors import RequestRefused
from lorax_proxy.wire.openai_requests import (
    AllowedToolsChoice,
    ChatRequest,
    CustomTool,
    CustomToolChoice,
    FunctionCallOption,
    FunctionObject,
    JsonObjectFormat,
    JsonSchemaFormat,
    NamedToolChoice,
    TextFormat,
)

__all__ = ["Constraints", "constraints_of", "header_names", "is_expensive"]

_P = ParamSpec("_P")
_T = TypeVar("_T")

_REMEMBERED = 256
"""Grammars and schemas that are remembered: the applications behind one proxy have some dozens."""

_LONGEST_REMEMBERED = 100_000
"""Characters of what is remembered: some tens of large tools. All in all that is 25 MB."""

_MOST_NAMED = 16
"""Paths that a header names: all of a schema that a person reads; clients take 8 kB of headers."""
_LONGEST_NAME = 200


class Constraints(msgspec.Struct, frozen=True):
    """What a chat request has LoRAX enforce.

    Attributes:
        tools: The tools as a chat template takes them; None when none may be called.
        grammar: How an answer that may call them is to be read.
        schema: The lowered schema to send, of the tools or of the format.
        dropped: The paths of keywords that LoRAX cannot enforce and that were left out of it.
    """

    tools: Sequence[Mapping[str, Any]] | None = None
    grammar: ToolGrammar | None = None
    schema: Mapping[str, Any] | None = None
    dropped: tuple[str, ...] = ()


def header_names(dropped: Sequence[str]) -> tuple[str, ...]:
    """What was dropped, as a header's list can hold it.

    A property may have any name, so all but the plainest characters are percent-encoded; a path
    that is too long loses its beginning, and many lose their end.
    """
    names = [quote(path, safe="$[]()/-_.~") for path in dropped[:_MOST_NAMED]]
    names = [
        name if len(name) <= _LONGEST_NAME else f"...{name[-_LONGEST_NAME:]}" for name in names
    ]
    left = len(dropped) - len(names)
    return (*names, f"and {left} more") if left else tuple(names)


def is_expensive(request: ChatRequest) -> bool:
    """Whether the request's constraints may take long enough to be worth a thread."""
    wanted = request.response_format
    return (
        bool(request.tools or request.functions)
        or isinstance(wanted, JsonSchemaFormat)
        or (isinstance(wanted, JsonObjectFormat) and _schema_beside(wanted) is not None)
    )


def constraints_of(request: ChatRequest) -> Constraints:
    """The constraints of a chat request.

    Raises:
        RequestRefused: For custom tools, unknown names, schemas that cannot be enforced, and for
            tools and a format together.
    """
    functions, place = _functions(request)
    choice = _choice(request, functions)
    if not functions or isinstance(choice, NoTools):
        return _of_format(request)
    if request.response_format is not None and not isinstance(request.response_format, TextFormat):
        raise RequestRefused(
            "'response_format' cannot be enforced while tools may be called: LoRAX enforces one "
            "schema a request. Set 'tool_choice' to 'none', or leave one out.",
            param="response_format",
            code="unsupported_parameter",
        )
    described = [function.model_dump(exclude_none=True) for function in functions]
    parallel = request.parallel_tool_calls
    if parallel is None:
        # whoever forces one function means one call of it
        parallel = not isinstance(choice, Named)
    if request.functions is not None:
        parallel = False
    try:
        grammar = _grammar(json.dumps(described), place, choice, parallel=parallel)
    except SchemaRefused as error:
        raise RequestRefused(
            f"Invalid schema for a function: {error}", param=error.path, code="invalid_json_schema"
        ) from None
    return Constraints(
        tools=[{"type": "function", "function": function} for function in described],
        grammar=grammar,
        schema=None if grammar is None else grammar.schema,
        dropped=() if grammar is None else grammar.dropped,
    )


def _remembering(make: Callable[Concatenate[str, _P], _T]) -> Callable[Concatenate[str, _P], _T]:
    """Remember what was made last, of texts that are not too long to be kept."""
    kept: Callable[..., _T] = lru_cache(maxsize=_REMEMBERED)(make)

    def remembered(text: str, /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        chosen = kept if len(text) <= _LONGEST_REMEMBERED else make
        return chosen(text, *args, **kwargs)

    return remembered


@_remembering
def _grammar(functions: str, place: str, choice: Choice, *, parallel: bool) -> ToolGrammar | None:
    return tool_grammar(
        [
            FunctionTool(
                name=function["name"],
                description=function.get("description"),
                parameters=function.get("parameters"),
                strict=function.get("strict", False),
                path=place.format(index),
            )
            for index, function in enumerate(json.loads(functions))
        ],
        choice,
        parallel=parallel,
    )


@_remembering
def _lowered(schema: str, path: str, *, strict: bool) -> Lowered:
    return lower(json.loads(schema), path=path, strict=strict)


def _of_format(request: ChatRequest) -> Constraints:
    """What `response_format` asks for; `text` asks for no schema, and LoRAX would apply one.

    Raises:
        RequestRefused: When a strict schema cannot be enforced, by its path.
    """
    wanted = request.response_format
    if wanted is None or isinstance(wanted, TextFormat):
        return Constraints()
    schema: Mapping[str, Any] | None
    if isinstance(wanted, JsonSchemaFormat):
        strict, schema = bool(wanted.json_schema.strict), wanted.json_schema.schema_
        path = "response_format.json_schema.schema"
    else:
        strict, schema = False, _schema_beside(wanted)
        path = f"response_format.{'schema' if wanted.value is None else 'value'}"
    if schema is None:
        return Constraints(schema=JSON_OBJECT)
    try:
        lowered = _lowered(json.dumps(schema), path, strict=strict)
    except SchemaRefused as error:
        raise RequestRefused(
            f"Invalid schema for 'response_format': {error}",
            param=error.path,
            code="invalid_json_schema",
        ) from None
    return Constraints(schema=lowered.schema, dropped=lowered.dropped)


def _schema_beside(wanted: JsonObjectFormat) -> Mapping[str, Any] | None:
    """The schema that LoRAX's or huggingface_hub's form of `json_object` brings."""
    if wanted.schema_ is not None and wanted.value is not None:
        raise RequestRefused(
            "'response_format' has two schemas, 'schema' and 'value': send one of them.",
            param="response_format.value",
            code="invalid_value",
        )
    return wanted.schema_ if wanted.value is None else wanted.value


def _functions(request: ChatRequest) -> tuple[Sequence[FunctionObject], str]:
    """The functions, and where each stands in the request."""
    if request.functions is not None:
        if request.tools:
            raise RequestRefused(
                "'functions' is the older form of 'tools': send one of them.",
                param="functions",
                code="invalid_value",
            )
        return request.functions, "functions[{}]"
    functions: list[FunctionObject] = []
    for index, tool in enumerate(request.tools or ()):
        if isinstance(tool, CustomTool):
            raise RequestRefused(
                "Unsupported tool: custom tools are not supported; describe a function instead.",
                param=f"tools[{index}].type",
                code="unsupported_parameter",
            )
        functions.append(tool.function)
    return functions, "tools[{}].function"


def _choice(request: ChatRequest, functions: Sequence[FunctionObject]) -> Choice:
    chosen = request.tool_choice if request.functions is None else request.function_call
    param = "tool_choice" if request.functions is None else "function_call"
    if chosen is None and request.functions is None and request.function_call is not None:
        param, chosen = "function_call", request.function_call
    if not functions and chosen not in (None, "none", "auto"):
        raise RequestRefused(
            f"'{param}' is only allowed when 'tools' are specified.",
            param=param,
            code="invalid_value",
        )
    match chosen:
        case None | "auto":
            return Auto()
        case "none":
            return NoTools()
        case "required":
            return Required()
        case CustomToolChoice():
            raise RequestRefused(
                "Unsupported tool choice: custom tools are not supported.",
                param=f"{param}.type",
                code="unsupported_parameter",
            )
        case AllowedToolsChoice(allowed_tools=allowed):
            there = {function.name for function in functions}
            names = [
                _known(_allowed_name(tool), there, f"{param}.allowed_tools.tools[{index}]")
                for index, tool in enumerate(allowed.tools)
            ]
            return Allowed(tuple(dict.fromkeys(names)), allowed.mode)
        case NamedToolChoice(function=function) | (FunctionCallOption() as function):
            there = {function.name for function in functions}
            return Named(_known(function.name, there, f"{param}.function.name"))


def _allowed_name(tool: Mapping[str, Any]) -> str:
    function = tool.get("function", tool)
    return str(function.get("name", "")) if isinstance(function, Mapping) else ""


def _known(name: str, there: set[str], param: str) -> str:
    if name not in there:
        raise RequestRefused(
            f"Invalid '{param}': no function '{name}' in 'tools'.",
            param=param,
            code="invalid_value",
        )
    return name
