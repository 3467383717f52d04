"""Tools: the grammar of an answer that may call functions, for LoRAX's constrained decoder.

The document that the grammar describes, and that the model writes, is one of

    "plain text, as a JSON string"
    [{"name": "get_weather", "arguments": {"city": "Oslo"}}, ...]

Its first character tells text from calls, and in a call the name comes first: `core.tools.reader`
needs to look no further ahead to stream either.

What the choice makes of it:

    choice      text   calls, when parallel calls are allowed   else
    auto        yes    one or more                              one
    required    no     one or more                              one
    named       no     one or more of that function             one
    allowed     as its mode says, of the functions named
    none        no grammar at all
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, assert_never

from lorax_proxy.core.schema.cost import compile_cost
from lorax_proxy.core.schema.lowered import (
    FREE_OBJECT,
    LEVELS,
    MOST,
    Effort,
    Level,
    SchemaRefused,
    lower_at,
)
from lorax_proxy.core.schema.lowering import MAX_NODES
from lorax_proxy.core.schema.strings import Spelling, free
from lorax_proxy.core.tools.reader import (
    ArgumentsDelta,
    CallStarted,
    Delta,
    Form,
    TextDelta,
    ToolGrammar,
    ToolReader,
)

__all__ = [
    "Allowed",
    "ArgumentsDelta",
    "Auto",
    "CallStarted",
    "Choice",
    "Delta",
    "Form",
    "FunctionTool",
    "Named",
    "NoTools",
    "Required",
    "TextDelta",
    "ToolGrammar",
    "ToolReader",
    "tool_grammar",
]

# OpenAI's rule for names, and the dot that some frameworks use for namespaces.
_NAME: Final = re.compile(r"[a-zA-Z0-9_.-]{1,64}")


@dataclass(frozen=True, slots=True)
class FunctionTool:
    """A function that the model may call.

    Attributes:
        name: What the model calls it by.
        description: What it is for; the grammar has no use for it, the prompt has.
        parameters: The JSON schema of its arguments; None: it takes none.
        strict: The schema must hold, so a schema that cannot be lowered is refused.
        path: Where the function stands in the request; empty: ``tools[i].function``.
    """

    name: str
    description: str | None
    parameters: Mapping[str, Any] | None
    strict: bool
    path: str = ""


@dataclass(frozen=True, slots=True)
class NoTools:
    """``none``: the model writes text, and no grammar is in force."""


@dataclass(frozen=True, slots=True)
class Auto:
    """``auto``: text or calls, as the model likes."""


@dataclass(frozen=True, slots=True)
class Required:
    """``required``: one call at least."""


@dataclass(frozen=True, slots=True)
class Named:
    """A call of this function."""

    name: str


@dataclass(frozen=True, slots=True)
class Allowed:
    """``allowed_tools``: as `mode` says, with these functions only."""

    names: tuple[str, ...]
    mode: Literal["auto", "required"]


Choice = NoTools | Auto | Required | Named | Allowed


def tool_grammar(
    tools: Sequence[FunctionTool], choice: Choice, *, parallel: bool
) -> ToolGrammar | None:
    """The grammar of an answer that may call these tools; None when it may call none.

    A grammar that LoRAX would take too long to compile is simplified, in this order: free strings
    lose their rarer escapes, only one call is allowed, lengths and patterns go, and the functions
    that are not strict take any JSON object as arguments, the most expensive first.

    Args:
        tools: Every function of the request, in order.
        choice: What the client asked for.
        parallel: More than one call may be made.

    Raises:
        SchemaRefused: A strict function's schema cannot be lowered, the choice names a function
            that is not there, names are unfit or not unique, or even the simplest grammar is too
            large.
    """
    places = [tool.path or f"tools[{index}].function" for index, tool in enumerate(tools)]
    _judge_names(tools, places)
    chosen = _chosen(tools, choice)
    if not chosen:
        return None
    text = isinstance(choice, Auto) or (isinstance(choice, Allowed) and choice.mode == "auto")
    candidates = [(tool, places[tools.index(tool)]) for tool in chosen]
    lowered: dict[Level, list[_Function]] = {}
    functions: list[_Function] = []
    for level, several in _ATTEMPTS:
        if several and not parallel:
            continue
        if level not in lowered:
            lowered[level] = _lower_all(candidates, level)
        functions = lowered[level]
        schema = _document(functions, text=text, parallel=several)
        if level.budget.covers(compile_cost(schema)):
            return _grammar(schema, functions, text=text, parallel=several)
    while loose := [each for each in functions if not each.tool.strict and not each.free]:
        largest = max(loose, key=lambda each: compile_cost(each.parameters).seconds)
        functions = [each.freed() if each is largest else each for each in functions]
        schema = _document(functions, text=text, parallel=False)
        if MOST.covers(compile_cost(schema)):
            return _grammar(schema, functions, text=text, parallel=False)
    raise SchemaRefused(
        "tools",
        "too many or too large strict functions: LoRAX would stand still while it compiles their "
        "schemas; send fewer of them, or set strict to false",
    )


_FULL, _PLANE, _SHORT, _BARE = LEVELS
# How exactly to lower, and whether several calls may be made: the first that is not too expensive.
_ATTEMPTS: Final = (
    (_FULL, True),
    (_PLANE, True),
    (_SHORT, True),
    (_FULL, False),
    (_PLANE, False),
    (_SHORT, False),
    (_BARE, False),
)


@dataclass(frozen=True, slots=True)
class _Function:
    """A tool with the lowered schema of its arguments."""

    tool: FunctionTool
    parameters: Mapping[str, Any]
    dropped: tuple[str, ...]
    place: str

    @property
    def free(self) -> bool:
        """Its arguments may be any object."""
        return self.parameters is FREE_OBJECT

    def freed(self) -> "_Function":
        """The same function without a schema."""
        return replace(self, parameters=FREE_OBJECT, dropped=(f"{self.place}.parameters",))


def _lower_all(candidates: list[tuple[FunctionTool, str]], level: Level) -> list[_Function]:
    """Every function at one level; past `MAX_NODES` in all, those that are not strict go free."""
    functions: list[_Function] = []
    effort = Effort()
    size = 0
    for tool, place in candidates:
        path = f"{place}.parameters"
        # OpenAI: a function without parameters takes none.
        schema = {"properties": {}} if tool.parameters is None else tool.parameters
        refused = SchemaRefused(path, f"more than {MAX_NODES} subschemas in all tools together")
        lowered = None
        if size <= MAX_NODES:
            try:
                lowered = lower_at(
                    schema,
                    path=path,
                    strict=tool.strict,
                    level=level,
                    effort=effort,
                    objects_only=True,
                )
            except SchemaRefused as cause:
                refused = cause
        if lowered is None:
            if tool.strict:
                raise refused
            functions.append(_Function(tool, FREE_OBJECT, (path,), place))
            continue
        size += lowered.size
        functions.append(_Function(tool, lowered.schema, lowered.dropped, place))
    return functions


def _document(functions: list[_Function], *, text: bool, parallel: bool) -> dict[str, Any]:
    """The schema of the whole document."""
    # All functions without a schema share one alternative, and so do those that take nothing.
    shared: dict[tuple[bool, str], tuple[Mapping[str, Any], list[str]]] = {}
    for each in functions:
        nothing = each.parameters.get("properties") == {}
        alone = "" if each.free or nothing else each.tool.name
        shared.setdefault((each.free, alone), (each.parameters, []))[1].append(each.tool.name)
    calls = [
        {
            "type": "object",
            "properties": {"name": {"enum": names}, "arguments": parameters},
            "required": ["name", "arguments"],
            "additionalProperties": False,
        }
        for parameters, names in shared.values()
    ]
    call = calls[0] if len(calls) == 1 else {"anyOf": calls}
    document: dict[str, Any] = (
        {"type": "array", "items": call, "minItems": 1}
        if parallel
        else {"type": "array", "prefixItems": [call], "items": False, "minItems": 1}
    )
    if text:
        return {"anyOf": [{"type": "string", "pattern": free(Spelling.FULL)}, document]}
    return document


def _grammar(
    schema: dict[str, Any], functions: list[_Function], *, text: bool, parallel: bool
) -> ToolGrammar:
    return ToolGrammar(
        schema,
        Form(frozenset(each.tool.name for each in functions), text=text, parallel=parallel),
        tuple(path for each in functions for path in each.dropped),
    )


def _judge_names(tools: Sequence[FunctionTool], places: list[str]) -> None:
    seen: set[str] = set()
    for tool, place in zip(tools, places, strict=True):
        if not _NAME.fullmatch(tool.name):
            raise SchemaRefused(
                f"{place}.name",
                f"{tool.name!r} is no function name: 1 to 64 of a-z, A-Z, 0-9, '_', '-' and '.'",
            )
        if tool.name in seen:
            raise SchemaRefused(f"{place}.name", f"{tool.name!r} is the name of two functions")
        seen.add(tool.name)


def _chosen(tools: Sequence[FunctionTool], choice: Choice) -> list[FunctionTool]:
    known = {tool.name: tool for tool in tools}
    match choice:
        case NoTools():
            return []
        case Auto() | Required():
            if isinstance(choice, Required) and not tools:
                raise SchemaRefused("tool_choice", "'required' needs at least one tool")
            return list(tools)
        case Named(name):
            return [_known(known, name, "tool_choice.function.name")]
        case Allowed(names):
            if not names:
                raise SchemaRefused("tool_choice.allowed_tools.tools", "must name a tool")
            return [
                _known(known, name, f"tool_choice.allowed_tools.tools[{index}]")
                for index, name in enumerate(dict.fromkeys(names))
            ]
        case _:  # pragma: no cover - the union is closed
            assert_never(choice)


def _known(known: Mapping[str, FunctionTool], name: str, path: str) -> FunctionTool:
    if name not in known:
        listed = ", ".join(known) or "none"
        raise SchemaRefused(path, f"{name!r} is not among the tools; there are: {listed}")
    return known[name]
