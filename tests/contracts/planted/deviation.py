"""A server with one deviation on top of the correct reference, and the ways to change what it says."""

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any

from tests.contracts.reference import Asked, Said, openai

__all__ = [
    "GH",
    "Change",
    "Deviation",
    "assign",
    "calls_of",
    "choice",
    "chunk",
    "chunks",
    "completion",
    "completion_chunks",
    "delta",
    "ended",
    "errors",
    "forget",
    "is_chat",
    "is_text",
    "raw",
    "refusal",
    "refuse",
    "reply",
    "without",
]

GH = "https://github.com/"
"""Where most sources begin."""

Change = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Deviation:
    """One way to break one law.

    Attributes:
        name: what the server does.
        law: id of the law that the checker must name.
        source: who does so.
        ask: changes the request that the reference sees; an own answer ends it there.
        say: changes what the reference said, in place or by returning another.
        strict: the law is one of our own.
        keyed: the server is asked with a key.
        context: what the user says of the model's context.
        also: other laws whose sentence the deviation makes untrue, each with how.
    """

    name: str
    law: str
    source: str
    ask: Callable[[Asked], Said | None] | None = None
    say: Callable[[Asked, Said], Said | None] | None = None
    strict: bool = False
    keyed: bool = False
    context: int | None = None
    also: Mapping[str, str] = field(default_factory=dict[str, str], hash=False)

    def __call__(self, asked: Asked) -> Said:
        """Answers as the deviating server does."""
        seen = replace(asked, document=deepcopy(asked.document))
        if self.ask is not None:
            own = self.ask(seen)
            if own is not None:
                return own
        said = openai(seen)
        return (self.say(seen, said) if self.say else None) or said


def refusal(status: int, message: str = "no", **changes: Any) -> Said:
    """An error as OpenAI sends it."""
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": None}
    headers = {"content-type": "application/json", "x-request-id": "req"}
    return Said(status, headers, {"error": {**error, **changes}})


def is_chat(asked: Asked) -> bool:
    """Whether it is a chat request."""
    return asked.path.endswith("/chat/completions") and isinstance(asked.document, dict)


def is_text(asked: Asked) -> bool:
    """Whether it is a text completion request."""
    chat = asked.path.endswith("/chat/completions")
    return asked.path.endswith("/completions") and not chat and isinstance(asked.document, dict)


def reply(change: Change) -> Callable[[Asked, Said], None]:
    """Changes the JSON of plain chat replies."""

    def say(asked: Asked, said: Said) -> None:
        if is_chat(asked) and said.status == 200 and said.chunks is None:
            change(said.document)

    return say


def choice(change: Change) -> Callable[[Asked, Said], None]:
    """Changes each choice of plain chat replies."""
    return reply(lambda document: [change(one) for one in document["choices"]])


def chunks(change: Change) -> Callable[[Asked, Said], None]:
    """Changes the list of a chat stream's events."""

    def say(asked: Asked, said: Said) -> None:
        if is_chat(asked) and said.chunks is not None:
            changed = change(said.chunks)
            said.chunks = changed if isinstance(changed, list) else said.chunks

    return say


def chunk(change: Change) -> Callable[[Asked, Said], None]:
    """Changes each event of chat streams."""
    return chunks(lambda events: [change(event) for event in events] and None)


def delta(change: Callable[[Any, Any], Any]) -> Callable[[Asked, Said], None]:
    """Changes each choice of each event: gets it and its delta."""

    def each(event: Any) -> None:
        for one in event["choices"]:
            change(one, one["delta"])

    return chunk(each)


def raw(change: Callable[[bytes], bytes]) -> Callable[[Asked, Said], None]:
    """Changes the bytes of chat streams."""

    def say(asked: Asked, said: Said) -> None:
        if is_chat(asked) and said.chunks is not None:
            said.raw = change(said.body())

    return say


def refuse(test: Callable[[Any], Any]) -> Callable[[Asked], Said | None]:
    """Refuses chat requests for which the test holds."""
    return lambda asked: refusal(400) if is_chat(asked) and test(asked.document) else None


def forget(*names: str) -> Callable[[Asked], None]:
    """Loses members of chat requests."""

    def ask(asked: Asked) -> None:
        if is_chat(asked):
            for name in names:
                asked.document.pop(name, None)

    return ask


def errors(change: Callable[[Said], Any]) -> Callable[[Asked, Said], None]:
    """Changes refusals."""

    def say(_: Asked, said: Said) -> None:
        if said.status >= 400:
            change(said)

    return say


def completion(change: Change) -> Callable[[Asked, Said], None]:
    """Changes plain text completions."""

    def say(asked: Asked, said: Said) -> None:
        if is_text(asked) and said.status == 200 and said.chunks is None:
            change(said.document)

    return say


def completion_chunks(change: Change) -> Callable[[Asked, Said], None]:
    """Changes the list of a text completion stream's events."""

    def say(asked: Asked, said: Said) -> None:
        if is_text(asked) and said.chunks is not None:
            change(said.chunks)

    return say


def ended(one: Any, old: str, new: Any) -> None:
    """Calls the finish reason `old` by another name."""
    if one["finish_reason"] == old:
        one["finish_reason"] = new


def calls_of(one: Any) -> list[Any]:
    """The tool calls of a choice."""
    found: list[Any] = one["message"].get("tool_calls") or []
    return found


def assign(**values: Any) -> Change:
    """Sets members."""
    return lambda document: document.update(values)


def without(name: str) -> Change:
    """Takes a member away."""
    return lambda document: document.pop(name, None)
