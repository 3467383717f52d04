"""The output of a tool grammar, read back as the deltas of an OpenAI answer while it is written.

The document is one of

    "plain text, as a JSON string"
    [{"name": "get_weather", "arguments": {"city": "Oslo"}}, ...]

The name comes first, so a stream can say which function is called before the first character of its
arguments is known. The arguments are passed on as they are written, character for character and
white space included: they are OpenAI's ``arguments`` string. Nothing of what is around them is.

The reader is strict: LoRAX's decoder cannot leave the grammar, so a document that does is no answer
to this request, and `ToolReader.malformed` says so. A document that merely ends early is what a
token limit leaves behind: what there was of it has been passed on, and `ToolReader.complete` is
false.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final, assert_never

from lorax_proxy.core.json_text import WHITESPACE, ObjectScanner, StringReader

__all__ = [
    "ArgumentsDelta",
    "CallStarted",
    "Delta",
    "Form",
    "TextDelta",
    "ToolGrammar",
    "ToolReader",
]


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
    dropped: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TextDelta:
    """More of the text. The first is empty: it says that the document is a text and no call."""

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
        # Of the call's arguments; there is one from its name on.
        self._scanner: ObjectScanner

    @property
    def calls(self) -> int:
        """How many calls have been started."""
        return self._calls

    @property
    def undecided(self) -> bool:
        """Neither a text nor a call has begun: of a call its name must have been read."""
        return not self._calls and self._at in (_At.START, _At.CALL)

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

    def finish(self) -> list[TextDelta]:
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
                    if self._at is _At.TEXT:
                        deltas.append(TextDelta(""))
                return at + 1
            case _:  # pragma: no cover - the enumeration is closed
                assert_never(self._at)

    def _after(self, character: str) -> _At:
        """Where a bracket, comma or quote leads that stands between the parts of a document."""
        match self._at, character:
            case _At.START, '"' if self._form.text:
                return _At.TEXT
            case _At.START, "[":
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
