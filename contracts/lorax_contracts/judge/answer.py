"""One answer as a client ends up with it, whether it came whole or in chunks.

Laws about content (stop strings, usage, tools, ...) do not care how an answer travelled, so replies
and streams are folded into the same value first. Folding is forgiving: what does not fit is left out
here and reported by the rules about shape.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Answer", "Call", "Choice", "fold_chunks", "fold_reply", "mapping", "objects"]


_REASONING = ("reasoning_content", "reasoning")


@dataclass(slots=True)
class Call:
    """One tool call, or the old form's function call (`id` None)."""

    id: Any = None
    type: Any = None
    name: str = ""
    arguments: Any = ""


@dataclass(slots=True)
class Choice:
    """What one index of an answer says; `content` None when nothing but calls came.

    `reasons` tells that text came beside the content, as servers of reasoning models send it.
    """

    index: int
    content: str | None = None
    finish: Any = None
    calls: list[Call] = field(default_factory=list[Call])
    function_call: Call | None = None
    logprobs: Any = None
    refusal: str | None = None
    reasons: bool = False

    @property
    def text(self) -> str:
        """The content, "" for none."""
        return self.content or ""


@dataclass(slots=True)
class Answer:
    """All choices by index, and the usage if any came."""

    choices: dict[int, Choice]
    usage: Mapping[str, Any] | None


def mapping(value: Any) -> Mapping[str, Any]:
    """The value if it is a JSON object, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def objects(value: Any) -> list[Mapping[str, Any]]:
    """The JSON objects of a list; empty for anything else."""
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


def _call(document: Mapping[str, Any]) -> Call:
    function = mapping(document.get("function", document))
    return Call(
        id=document.get("id"),
        type=document.get("type"),
        name=str(function.get("name") or ""),
        arguments=function.get("arguments", ""),
    )


def _word(value: Any) -> Any:
    """A finish reason that can be looked up, whatever it is."""
    return value if value is None or isinstance(value, str) else str(value)


def _index(document: Mapping[str, Any], default: int) -> int:
    index = document.get("index", default)
    return index if isinstance(index, int) else default


def fold_reply(reply: Mapping[str, Any]) -> Answer:
    """A plain chat or text completion."""
    choices: dict[int, Choice] = {}
    for position, document in enumerate(objects(reply.get("choices"))):
        message = mapping(document.get("message"))
        content = message.get("content", document.get("text"))
        refusal = message.get("refusal")
        old = message.get("function_call")
        index = _index(document, position)
        choices[index] = Choice(
            index=index,
            content=content if isinstance(content, str) else None,
            finish=_word(document.get("finish_reason")),
            calls=[_call(call) for call in objects(message.get("tool_calls"))],
            function_call=_call(old) if isinstance(old, Mapping) else None,
            logprobs=document.get("logprobs"),
            refusal=refusal if isinstance(refusal, str) else None,
            reasons=any(message.get(key) for key in _REASONING),
        )
    usage = reply.get("usage")
    return Answer(choices, usage if isinstance(usage, Mapping) else None)


def _join(old: Any, new: Any) -> Any:
    return old + new if isinstance(old, str) and isinstance(new, str) else new


def _fold_calls(choice: Choice, fragments: list[Mapping[str, Any]]) -> None:
    for fragment in fragments:
        place = _index(fragment, 0)
        while len(choice.calls) <= place < 128:
            choice.calls.append(Call())
        if not 0 <= place < len(choice.calls):
            continue
        call = choice.calls[place]
        function = mapping(fragment.get("function"))
        call.id = call.id if fragment.get("id") is None else fragment["id"]
        call.type = call.type if fragment.get("type") is None else fragment["type"]
        call.name = _join(call.name, function.get("name") or "")
        call.arguments = _join(call.arguments, function.get("arguments") or "")


def _fold_logprobs(old: Any, new: Any) -> Any:
    if not isinstance(new, Mapping):
        return old
    joined = dict(mapping(old))
    for key, part in new.items():
        before = joined.get(key)
        joined[key] = before + part if isinstance(before, list) and isinstance(part, list) else part
    return joined


def fold_chunks(chunks: Iterable[Mapping[str, Any]]) -> Answer:
    """The chunks of one stream, in order."""
    choices: dict[int, Choice] = {}
    usage: Mapping[str, Any] | None = None
    for chunk in chunks:
        if isinstance(chunk.get("usage"), Mapping):
            usage = chunk["usage"]
        for document in objects(chunk.get("choices")):
            index = _index(document, 0)
            choice = choices.setdefault(index, Choice(index))
            delta = mapping(document.get("delta"))
            piece = delta.get("content", document.get("text"))
            if isinstance(piece, str):
                choice.content = choice.text + piece
            if isinstance(delta.get("refusal"), str):
                choice.refusal = (choice.refusal or "") + delta["refusal"]
            choice.reasons = choice.reasons or any(delta.get(key) for key in _REASONING)
            _fold_calls(choice, objects(delta.get("tool_calls")))
            if isinstance(delta.get("function_call"), Mapping):
                old = choice.function_call or Call()
                part = _call(delta["function_call"])
                choice.function_call = Call(
                    name=old.name + part.name, arguments=_join(old.arguments, part.arguments)
                )
            choice.logprobs = _fold_logprobs(choice.logprobs, document.get("logprobs"))
            if document.get("finish_reason") is not None:
                choice.finish = _word(document["finish_reason"])
    return Answer(choices, usage)
