"""A line of the log for people: `22:07:13 200 POST /v1/chat/completions acme/support 49>34 tok 37 ms stop`.

Much of a line is what a client chose: its path, its model, what LoRAX says of either. None of it may
move a terminal's cursor, or look like another line; so whatever is not printable (control characters,
line ends of every script, marks that turn text around) is written as its escape, and a value with
blanks in it stands in quotes.
"""

import json
from collections.abc import Mapping, MutableMapping
from typing import Any

__all__ = ["as_text"]

_MOST = 200
"""Characters of one value: a terminal is no place for a path of 16 KB."""


def as_text(_logger: object, level: str, facts: MutableMapping[str, Any]) -> str:
    """What structlog calls last: one event's line; after it the traceback if there is one.

    Args:
        level: `debug`, `info`, `warning` or `error`; told of what is no request.
        facts: `event`, `timestamp`, and for a request those of `Observer.done`.
    """
    facts.pop("level", None)
    event, time = str(facts.pop("event")), str(facts.pop("timestamp"))
    traceback = str(facts.pop("exception", ""))
    if event == "request":
        words = _request(facts)
    else:
        words = [level, event, *(f"{name}={_value(value)}" for name, value in facts.items())]
    return "\n".join([" ".join([time, *words]), *map(_printable, traceback.splitlines())])


def _request(facts: Mapping[str, Any]) -> list[str]:
    """Status, what was asked, tokens of prompt and answer, time, and how it ended."""
    words = [str(facts["status"] or "-"), facts["method"], _value(facts["path"])]
    if "model" in facts:
        words.append(_value(facts["model"]))
    if "prompt_tokens" in facts or "completion_tokens" in facts:
        # what a streamed prompt has is counted for clients that ask for usage alone
        asked, said = facts.get("prompt_tokens", "?"), facts.get("completion_tokens", 0)
        words.append(f"{asked}>{said} tok")
    words.append(f"{facts['ms']:.0f} ms")
    if "finish_reason" in facts:
        words.append(facts["finish_reason"])
    if "not_enforced" in facts:
        words.append(f"not enforced: {_value(facts['not_enforced'])}")
    if "reason" in facts:
        words.append(f"{facts['error']}: {_printable(facts['reason'])}")
    elif "error" in facts:
        words.append(facts["error"])
    return words


def _value(value: object) -> str:
    text = value if isinstance(value, str) else str(value)
    shown = _printable(text if len(text) <= _MOST else text[: _MOST - 3] + "...")
    return json.dumps(shown, ensure_ascii=False) if not shown or set(shown) & set(" \"'") else shown


def _printable(text: str) -> str:
    """The text with escapes for what no terminal should be sent."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
