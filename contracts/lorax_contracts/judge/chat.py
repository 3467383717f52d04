"""A chat completion that came whole."""

import re
from collections.abc import Mapping
from typing import Any

from lorax_contracts.exchange import Exchange
from lorax_contracts.judge.answer import fold_reply, mapping, objects
from lorax_contracts.judge.content import judge_content
from lorax_contracts.judge.identity import Places, bad_created, bad_id, bad_model, fit, misnamed
from lorax_contracts.judge.report import Report
from lorax_contracts.judge.tools import CALL_PLACES
from lorax_contracts.rules import rule

__all__ = ["choices_wanted", "judge_chat"]

_PLACES: Places = CALL_PLACES + tuple(
    (re.compile(pattern), law)
    for pattern, law in (
        (r"^/object ", "OAI-CHAT-002"),
        (r"^/id ", "OAI-CHAT-003"),
        (r"^/created ", "OAI-CHAT-004"),
        (r"^/model ", "OAI-CHAT-005"),
        (r"^/choices/\d+/index ", "OAI-CHAT-006"),
        (r"^/choices/\d+/finish_reason ", "OAI-CHAT-007"),
        (r"^/choices/\d+/message/role ", "OAI-CHAT-008"),
        (r"^/choices/\d+/message/content ", "OAI-CHAT-009"),
        (r"^/choices/\d+/message/refusal required$", "OAI-CHAT-010"),
        (r"^/usage ", "OAI-USAGE-001"),
    )
)


# The last two are what servers of reasoning models add: a small budget leaves nothing else.
_INSTEAD = ("tool_calls", "function_call", "refusal", "reasoning_content", "reasoning")


def choices_wanted(exchange: Exchange) -> int | None:
    """The request's n, 1 when absent; None when the request is not known or asked for no number."""
    if exchange.request is None:
        return None
    n = exchange.asked.get("n")
    if n is None:
        return 1
    return n if isinstance(n, int) and not isinstance(n, bool) and n >= 1 else None


@rule(
    "OAI-CHAT-001",
    "OAI-CHAT-002",
    "OAI-CHAT-003",
    "OAI-CHAT-004",
    "OAI-CHAT-005",
    "OAI-CHAT-006",
    "OAI-CHAT-007",
    "OAI-CHAT-008",
    "OAI-CHAT-009",
    "OAI-CHAT-010",
    "OAI-USAGE-001",
)
def judge_chat(exchange: Exchange, document: Any, report: Report) -> None:
    """Judges the decoded reply of a 200 that is no stream."""
    told = fit("openai/chat_completion", document, _PLACES, "OAI-CHAT-001", report)
    if not isinstance(document, Mapping):
        return
    if "/id" not in told and bad_id(document.get("id")):
        report.add(
            "OAI-CHAT-003", "id identifies nothing", at="/id", seen={"id": document.get("id")}
        )
    created = document.get("created")
    if "/created" not in told and bad_created(created, exchange):
        report.add(
            "OAI-CHAT-004", "created is not now in Unix seconds", at="/created", seen=created
        )
    if "/model" not in told and bad_model(document.get("model"), exchange):
        report.add(
            "OAI-CHAT-005",
            misnamed(exchange),
            at="/model",
            seen=document.get("model"),
        )
    choices = objects(document.get("choices"))
    wanted = choices_wanted(exchange)
    indexes = [
        place if f"/choices/{place}/index" in told else choice.get("index")
        for place, choice in enumerate(choices)
    ]
    if indexes != list(range(len(choices) if wanted is None else wanted)) or not choices:
        report.add(
            "OAI-CHAT-006",
            f"{wanted or 1} choices were asked for, and these indexes came",
            at="/choices",
            seen=indexes,
        )
    for place, choice in enumerate(choices):
        message = mapping(choice.get("message"))
        instead = any(message.get(key) for key in _INSTEAD)
        silent = instead or f"/choices/{place}/message/content" in told
        if message.get("content") is None and not silent:
            report.add(
                "OAI-CHAT-009",
                "content is null or missing, and nothing stands for it",
                at=f"/choices/{place}/message",
                seen=message,
            )
    if "/usage" not in told and document.get("usage") is None:
        report.add("OAI-USAGE-001", "usage is missing", at="/usage", seen=list(document))
    judge_content(exchange, fold_reply(document), report)
