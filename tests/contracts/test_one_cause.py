"""One cause, one count: servers with one thing wrong that shows in many places, and servers with nothing wrong.

Each does what some server in use does. What a maintainer reads of it is the cause, once, and true.
"""

from collections.abc import Callable
from typing import Any

import pytest

from lorax_contracts.exchange import End
from tests.contracts.detection import judged
from tests.contracts.planted.deviation import Deviation, choice, is_chat, is_text, refusal
from tests.contracts.reference import Asked, Said

Say = Callable[[Asked, Said], Said | None]
Ask = Callable[[Asked], Said | None]


def _documents(said: Said) -> list[Any]:
    if said.status != 200:
        return []
    return said.chunks if said.chunks is not None else [said.document]


def _no_refusal(_: Asked, said: Said) -> None:
    for document in _documents(said):
        for one in document.get("choices", []):
            (one.get("logprobs") or {}).pop("refusal", None)


def _no_alternatives(asked: Asked, said: Said) -> None:
    for document in _documents(said) if is_text(asked) else []:
        for one in document["choices"]:
            if one["logprobs"]:
                one["logprobs"]["top_logprobs"] = None


def _no_times(asked: Asked, said: Said) -> None:
    if asked.path.startswith("/v1/models") and said.status == 200:
        for row in said.document.get("data", [said.document]):
            row.pop("created")


def _own_json(asked: Asked) -> Said | None:
    """The model wrote no JSON for a call, and the server says so."""
    messages = asked.document.get("messages") if is_chat(asked) else None
    answered = isinstance(messages, list) and "tool_call_id" in str(messages)
    return refusal(422) if answered and asked.document.get("tools") else None


def _odd_bytes(asked: Asked, said: Said) -> None:
    """The model begins with a byte that is no character."""
    if not is_chat(asked) or asked.document.get("logprobs"):
        return
    if asked.document.get("response_format"):
        return
    begun: set[int] = set()
    for document in _documents(said):
        for one in document["choices"]:
            part = one.get("message") or one["delta"]
            if part.get("content") and one["index"] not in begun:
                begun.add(one["index"])
                part["content"] = "\ufffd" + part["content"]


def _one_model(asked: Asked) -> None:
    """Whatever is asked for, the one model answers, under its own name."""
    if (is_chat(asked) or is_text(asked)) and isinstance(asked.document.get("model"), str):
        asked.document["model"] = "acme/poet"


def _only_listed(asked: Asked, said: Said) -> None:
    if asked.path == "/v1/models":
        said.document["data"] = [one for one in said.document["data"] if one["id"] == "acme/poet"]


def _no_model_route(asked: Asked) -> Said | None:
    missing = asked.path.startswith("/v1/models/")
    return Said(404, {"content-type": "application/json"}, {"detail": "x"}) if missing else None


def _bare_errors(_: Asked, said: Said) -> Said | None:
    headers = {"content-type": "application/json"}
    status = 422 if said.status == 400 else said.status
    return Said(status, headers, {"detail": "no"}) if said.status >= 400 else None


def _cut(_: Asked, said: Said) -> None:
    if said.chunks is not None:
        said.raw, said.end = said.body()[:-40], End.CUT


def _no_tools(asked: Asked) -> Said | None:
    return refusal(400, param="tools") if is_chat(asked) and asked.document.get("tools") else None


class _Busy:
    """A server that is too busy for each third request, from the seventh on."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, _: Asked) -> Said | None:
        self.asked += 1
        return refusal(429) if self.asked > 6 and self.asked % 3 == 0 else None


_SERVERS: tuple[tuple[str, Say | None, Ask | None, dict[str, str]], ...] = (
    (
        "log probabilities without refusal",
        _no_refusal,
        None,
        {"OAI-CHAT-001": "refusal is missing", "OAI-STREAM-001": "refusal is missing"},
    ),
    (
        "completions without alternatives",
        _no_alternatives,
        None,
        {"OAI-COMP-008": "top_logprobs did not come as a list"},
    ),
    ("models without a time", _no_times, None, {"OAI-MODELS-006": "created is missing"}),
    ("a call that is no JSON refused", None, _own_json, {}),
    ("a model that writes broken bytes", _odd_bytes, None, {}),
    (
        "one model that answers for all",
        _only_listed,
        _one_model,
        {"OAI-ERR-005": "an unknown model is answered"},
    ),
    (
        "no single models",
        None,
        _no_model_route,
        {"OAI-MODELS-003": '"acme/base" is listed, and not found'},
    ),
    (
        "errors in a form of their own",
        _bare_errors,
        None,
        {"OAI-ERR-001": "error is not an object"},
    ),
    ("each stream is cut", _cut, None, {"OAI-HTTP-004": "the body was cut off"}),
    ("no tools", None, _no_tools, {"OAI-ACCEPT-008": "tool_choice required is refused with 400"}),
    ("too busy now and then", None, _Busy(), {}),
    (
        "null for each finish_reason",
        choice(lambda one: one.update(finish_reason=None)),
        None,
        {
            "OAI-CHAT-007": 'null is none of "stop", "length", "tool_calls", "content_filter",'
            ' "function_call"'
        },
    ),
)


@pytest.mark.parametrize(
    ("say", "ask", "told"), [row[1:] for row in _SERVERS], ids=[row[0] for row in _SERVERS]
)
def test_a_cause_is_told_once(say: Say | None, ask: Ask | None, told: dict[str, str]) -> None:
    """Under the law that it breaks, in words that are true of it, and nothing is told besides."""
    found = judged(Deviation("", "", "", ask=ask, say=say))
    assert sorted((one.law, one.message) for one in found.every) == sorted(told.items())


def test_what_the_absence_of_tools_leaves_open_is_not_called_kept() -> None:
    """Nor is any other form of a tool asked for."""
    found = judged(Deviation("", "", "", ask=_no_tools))
    assert {"OAI-ACCEPT-004", "OAI-TOOL-002", "OAI-FINISH-005"} <= found.left
