"""Tools: one grammar for LoRAX's constrained decoder, and its output read back as OpenAI's deltas.

The document that the grammar describes, and that the model writes, is one of

    "plain text, as a JSON string"
    [{"name": "get_weather", "arguments": {"city": "Oslo"}}, ...]

Its first character tells text from calls. In a call the name comes first, so that a stream can say
which function is called before the first character of its arguments is known, and the arguments are
passed on as they are written, character for character: they are OpenAI's ``arguments`` string.

What the choice makes of it:

    choice      text   calls, when parallel calls are allowed   else
    auto        yes    one or more                              one
    required    no     one or more                              one
    named       no     one or more of that function             one
    allowed     as its mode says, of the functions named
    none        no grammar at all

The reader is strict: LoRAX's decoder cannot leave the grammar, so a document that does is no answer
to this request, and `ToolReader.malformed` says so. A document that merely ends early is what a
token limit leaves behind: what there was of it has been passed on, and `ToolReader.complete` is
false.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Any, Final, Literal, assert_never

from lorax_proxy.core.json_text import WHITESPACE, ObjectScanner, StringReader
from lorax_proxy.core.schema_cost import BUDGET, compile_cost
from lorax_proxy.core.schema_strings import Spelling, free
from lorax_proxy.core.schemas import JSON_OBJECT, LEVELS, Level, SchemaRefused, lower_at

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


@dataclass(frozen=True, slots=True)
class Form:
    """What a reader must know of a grammar.

    Attributes:
        names: The functions that may be called.
        text: The document may be a text instead of calls.
        parallel: There may be more than one call.
    """

    names: frozenset[str]
    text: bool
    parallel: bool


@dataclass(frozen=True, slots=True)
class ToolGrammar:
    """A schema for LoRAX's decoder, and how to read what it yields.

    Attributes:
        schema: The lowered schema.
        form: What a reader must know.
        dropped: What of the tools' schemas could not be expressed and was left out, by path.
    """

    schema: Mapping[str, Any]
    form: Form
    dropped: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TextDelta:
    """More of the text; never empty."""

    text: str


@dataclass(frozen=True, slots=True)
class CallStarted:
    """The call number `index`, from 0, is one of the function `name`."""

    index: int
    name: str


@dataclass(frozen=True, slots=True)
class ArgumentsDelta:
    """More of the JSON text of call `index`'s arguments; never empty."""

    index: int
    fragment: str


Delta = TextDelta | CallStarted | ArgumentsDelta


def tool_grammar(
    tools: Sequence[FunctionTool], choice: Choice, *, parallel: bool
) -> ToolGrammar | None:
    """The grammar of an answer that may call these tools; None when it may call none.

    A grammar that LoRAX would take too long to compile is simplified, in this order: free strings
    lose their rarer escapes (`core.schemas.LEVELS`), only one call is allowed, and the largest
    functions that are not strict lose their parameters' schema and take any JSON object.

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
    if isinstance(choice, NoTools) or not chosen:
        return None
    text = isinstance(choice, Auto) or (isinstance(choice, Allowed) and choice.mode == "auto")
    candidates = [(tool, places[tools.index(tool)]) for tool in chosen]
    for level, several in (
        *((level, parallel) for level in LEVELS),
        *((level, False) for level in LEVELS if parallel),
    ):
        functions = [_lowered(tool, place, level) for tool, place in candidates]
        schema = _document(functions, text=text, parallel=several)
        if compile_cost(schema) <= BUDGET:
            return _grammar(schema, functions, text=text, parallel=several)
    functions = [_lowered(tool, place, LEVELS[-1]) for tool, place in candidates]
    while loose := [each for each in functions if not each.tool.strict and not each.free]:
        largest = max(loose, key=lambda each: compile_cost(each.parameters))
        functions = [each.freed() if each is largest else each for each in functions]
        schema = _document(functions, text=text, parallel=False)
        if compile_cost(schema) <= BUDGET:
            return _grammar(schema, functions, text=text, parallel=False)
    raise SchemaRefused(
        "tools",
        "too many or too large strict functions: LoRAX would stand still while it compiles their "
        "schemas; send fewer of them, or set strict to false",
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
        return self.parameters is JSON_OBJECT

    def freed(self) -> "_Function":
        """The same function without a schema."""
        return replace(self, parameters=JSON_OBJECT, dropped=(f"{self.place}.parameters",))


def _lowered(tool: FunctionTool, place: str, level: Level) -> _Function:
    path = f"{place}.parameters"
    # OpenAI: a function without parameters takes none.
    schema = {"properties": {}} if tool.parameters is None else tool.parameters
    try:
        lowered = lower_at(schema, path=path, strict=tool.strict, level=level, objects_only=True)
    except SchemaRefused:
        if tool.strict:
            raise
        return _Function(tool, JSON_OBJECT, (path,), place)
    return _Function(tool, lowered.schema, lowered.dropped, place)


def _document(functions: list[_Function], *, text: bool, parallel: bool) -> dict[str, Any]:
    """The schema of the whole document."""
    # Functions with the same arguments share one alternative: without a schema they all do.
    shared: dict[str, tuple[Mapping[str, Any], list[str]]] = {}
    for each in functions:
        key = json.dumps(each.parameters)
        shared.setdefault(key, (each.parameters, []))[1].append(each.tool.name)
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


class _Step(Enum):
    """Parts of a document that are not spelled out by the grammar."""

    NAME = auto()
    ARGUMENTS = auto()


# One call, in order; white space may stand before each part.
_CALL: Final[tuple[str | _Step, ...]] = (
    "{",
    '"name"',
    ":",
    '"',
    _Step.NAME,
    ",",
    '"arguments"',
    ":",
    _Step.ARGUMENTS,
    "}",
)


class _At(Enum):
    """Where in the document a reader stands."""

    START = auto()
    TEXT = auto()
    CALL = auto()
    AFTER_CALL = auto()
    END = auto()
    MALFORMED = auto()


class ToolReader:
    """Reads one document of a `ToolGrammar`, in pieces of any size.

    A piece is passed on as far as it can be known: the name as soon as it is closed, arguments and
    text at once, except for an escape in progress. How the document is cut into pieces changes only
    how the deltas are cut.
    """

    __slots__ = (
        "_at",
        "_calls",
        "_form",
        "_matched",
        "_name",
        "_scanner",
        "_step",
        "_string",
    )

    def __init__(self, grammar: ToolGrammar) -> None:
        self._form = grammar.form
        self._at = _At.START
        self._calls = 0
        # The part of _CALL that comes next, and how much of a spelled-out one has been read.
        self._step = 0
        self._matched = 0
        self._name = ""
        self._string = StringReader()
        self._scanner = ObjectScanner()

    @property
    def calls(self) -> int:
        """How many calls have been started."""
        return self._calls

    @property
    def complete(self) -> bool:
        """The document has been read to its end."""
        return self._at is _At.END

    @property
    def malformed(self) -> bool:
        """The document left the grammar; what followed was not read, and nothing of it given out."""
        return self._at is _At.MALFORMED

    def feed(self, text: str) -> list[Delta]:
        """Read the next piece of the document: what it adds to the answer."""
        deltas: list[Delta] = []
        at = 0
        while at < len(text) and self._at is not _At.MALFORMED:
            at = self._read(text, at, deltas)
        return deltas

    def finish(self) -> list[Delta]:
        """No more will come: what was held back of a text that was cut."""
        if self._at is _At.TEXT and (rest := self._string.finish()):
            return [TextDelta(rest)]
        return []

    def _read(self, text: str, at: int, deltas: list[Delta]) -> int:
        match self._at:
            case _At.TEXT:
                return self._read_text(text, at, deltas)
            case _At.CALL:
                return self._read_call(text, at, deltas)
            case _At.START | _At.AFTER_CALL | _At.END | _At.MALFORMED:
                if text[at] not in WHITESPACE:
                    self._at = self._after(text[at])
                return at + 1
            case _:  # pragma: no cover - the enumeration is closed
                assert_never(self._at)

    def _after(self, character: str) -> _At:
        """Where a bracket, comma or quote leads that stands between the parts of a document."""
        match self._at, character:
            case _At.START, '"' if self._form.text:
                return _At.TEXT
            case _At.START, "[" if self._form.names:
                return _At.CALL
            case _At.AFTER_CALL, "," if self._form.parallel:
                return _At.CALL
            case _At.AFTER_CALL, "]":
                return _At.END
            case _:
                return _At.MALFORMED

    def _read_text(self, text: str, at: int, deltas: list[Delta]) -> int:
        decoded, at = self._string.feed(text, at)
        if decoded:
            deltas.append(TextDelta(decoded))
        if self._string.closed:
            self._at = _At.END
        elif self._string.malformed:
            self._at = _At.MALFORMED
        return at

    def _read_call(self, text: str, at: int, deltas: list[Delta]) -> int:
        match _CALL[self._step]:
            case _Step.NAME:
                return self._read_name(text, at, deltas)
            case _Step.ARGUMENTS:
                return self._read_arguments(text, at, deltas)
            case str(spelling):
                return self._read_spelling(spelling, text, at)

    def _read_spelling(self, spelling: str, text: str, at: int) -> int:
        if not self._matched and text[at] in WHITESPACE:
            return at + 1
        if text[at] != spelling[self._matched]:
            self._at = _At.MALFORMED
            return at
        self._matched += 1
        if self._matched == len(spelling):
            self._next_step()
        return at + 1

    def _read_name(self, text: str, at: int, deltas: list[Delta]) -> int:
        decoded, at = self._string.feed(text, at)
        self._name += decoded
        if self._string.closed and self._name in self._form.names:
            deltas.append(CallStarted(self._calls, self._name))
            self._calls += 1
            self._name = ""
            self._string = StringReader()
            self._scanner = ObjectScanner()
            self._next_step()
        elif self._string.closed or self._string.malformed:
            self._at = _At.MALFORMED
        return at

    def _read_arguments(self, text: str, at: int, deltas: list[Delta]) -> int:
        if not self._matched and text[at] in WHITESPACE:
            return at + 1
        self._matched = 1
        end = self._scanner.feed(text, at)
        if end > at:
            deltas.append(ArgumentsDelta(self._calls - 1, text[at:end]))
        if self._scanner.done:
            self._next_step()
        elif self._scanner.malformed:
            self._at = _At.MALFORMED
        return end

    def _next_step(self) -> None:
        self._matched = 0
        self._step += 1
        if self._step == len(_CALL):
            self._step = 0
            self._at = _At.AFTER_CALL
