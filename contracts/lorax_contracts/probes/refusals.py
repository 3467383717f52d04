"""What cannot be right must be refused, as OpenAI refuses: 4xx, and the error envelope."""

import json
import re
from collections.abc import Mapping
from typing import Any

from lorax_contracts.exchange import Exchange
from lorax_contracts.judge.answer import mapping
from lorax_contracts.judge.report import shown
from lorax_contracts.relations import answer_of
from lorax_contracts.rules import rule
from lorax_contracts.session import Session

__all__ = ["BAD_BODIES", "BAD_MEMBERS", "named", "probe_refusals", "refused"]

BAD_BODIES: tuple[tuple[str, bytes], ...] = (
    ("cut JSON", b'{"model": "m", "messages": ['),
    ("no JSON", b"hello"),
    ("an empty body", b""),
    ("a JSON array", b"[]"),
    ("a JSON string", b'"hello"'),
    ("invalid UTF-8", b'{"model": "m\xff", "messages": []}'),
    ("20,000 nested lists", b"[" * 20_000),
)
_NO_OBJECT = frozenset({"a JSON array", "a JSON string"})

BAD_MEMBERS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("messages", {"messages": None}),
    ("messages", {"messages": []}),
    ("messages", {"messages": "hello"}),
    ("messages", {"messages": [{"content": "hello"}]}),
    ("messages", {"messages": [{"role": "user", "content": 5}]}),
    ("model", {"model": None}),
    ("model", {"model": 5}),
    ("temperature", {"temperature": "hot"}),
    ("temperature", {"temperature": 5}),
    ("top_p", {"top_p": 2}),
    ("n", {"n": 0}),
    # -1 is the documented word of some servers for no limit.
    ("max_tokens", {"max_tokens": -7}),
    ("max_tokens", {"max_tokens": "many"}),
    ("stream", {"stream": "yes"}),
    ("presence_penalty", {"presence_penalty": 9}),
    ("tools", {"tools": "hammer"}),
    ("response_format", {"response_format": {"type": "yaml"}}),
)

_PARAMETER_OF = {"max_tokens": {"max_tokens", "max_completion_tokens"}}


@rule("OAI-ERR-003", "OAI-ERR-004")
def refused(session: Session, what: str, exchange: Exchange) -> bool:
    """Notes a broken law unless what cannot be right was refused; says whether it was."""
    if exchange.says_nothing and not exchange.dropped:
        return False
    if exchange.status == 0 or exchange.status >= 500:
        session.break_law(
            "OAI-ERR-003", f"{what} is answered with {exchange.status or 'nothing'}", exchange
        )
    elif exchange.status == 200:
        if answer_of(exchange) is not None:
            session.break_law("OAI-ERR-004", f"{what} is answered with a completion", exchange)
    else:
        return True
    return False


def named(member: str, change: Mapping[str, Any]) -> str:
    """What is wrong with a request of `BAD_MEMBERS`, in words."""
    return f"no {member}" if change[member] is None else f"{member} {shown(change[member])}"


@rule("OAI-ERR-005", "OAI-ERR-007", "OAI-ERR-009")
def probe_refusals(session: Session) -> None:
    """Malformed bodies, wrong members, unknown models and paths."""
    failed: set[tuple[bool, int, str]] = set()
    for what, body in BAD_BODIES:
        exchange = session.ask("POST", "/chat/completions", text=body, right=False)
        # A parser that fails does so for each text that is no JSON, and in the same words: one cause,
        # told once. What it can read and no request can be, fails elsewhere.
        cause = what in _NO_OBJECT, exchange.status, _words(exchange)
        if exchange.status < 500 or cause not in failed:
            refused(session, what, exchange)
        failed.add(cause)
    for member, change in BAD_MEMBERS:
        request = {
            "model": session.model,
            "messages": [{"role": "user", "content": "Hi."}],
            "max_tokens": 1,
            **change,
        }
        request = {key: value for key, value in request.items() if value is not None}
        exchange = session.ask("POST", "/chat/completions", request, right=False)
        if refused(session, named(member, change), exchange):
            _named(session, member, exchange)
    _unknown(session)


def _words(exchange: Exchange) -> str:
    """What a reply says, without positions, times and ids."""
    return re.sub(r"[\w-]*\d[\w-]*", "", exchange.body.decode("utf-8", "replace"))


def _named(session: Session, member: str, exchange: Exchange) -> None:
    named = any(
        f'"param":"{name}' in exchange.body.decode("utf-8", "replace").replace('": "', '":"')
        for name in _PARAMETER_OF.get(member, {member})
    )
    if not named:
        session.break_law("OAI-ERR-009", f"param does not name {member}", exchange)


def _listed(exchange: Exchange) -> bool:
    """Whether it is a list of stored completions, which GET may ask for where they are kept."""
    try:
        return exchange.status == 200 and mapping(json.loads(exchange.body)).get("object") == "list"
    except (ValueError, RecursionError):
        return False


def _unknown(session: Session) -> None:
    name = "no-such-model-q7x"
    for stream in (False, True):
        exchange = session.ask(
            "POST",
            "/chat/completions",
            {
                "model": name,
                "messages": [{"role": "user", "content": "Hi."}],
                "max_tokens": 1,
                "stream": stream,
            },
            right=False,
        )
        answered = exchange.status == 200 and answer_of(exchange) is not None
        if answered or exchange.status == 424 or exchange.status >= 500 or exchange.dropped:
            session.break_law(
                "OAI-ERR-005",
                "an unknown model is answered"
                if answered
                else f"an unknown model is answered with {exchange.status or 'nothing'}",
                exchange,
            )
    path = session.ask("GET", "/no-such-path", envelope="OAI-ERR-007", right=False)
    if path.status != 404 and not path.says_nothing:
        session.break_law("OAI-ERR-007", f"an unknown path is {path.status}", path)
    method = session.ask("GET", "/chat/completions", envelope="OAI-ERR-007", right=False)
    allowed = method.status in {404, 405} or method.says_nothing or _listed(method)
    if not allowed:
        session.break_law("OAI-ERR-007", f"a wrong method is {method.status}", method)
