"""What a server may not be able to do, and must then say: pictures, long prompts, keys, parameters."""

from collections.abc import Collection
from typing import Any

from lorax_contracts import relations
from lorax_contracts.curl import WRONG_KEY
from lorax_contracts.exchange import Exchange, Finding
from lorax_contracts.judge.report import shown
from lorax_contracts.probes.chat import GREEDY
from lorax_contracts.probes.refusals import refused
from lorax_contracts.rules import rule
from lorax_contracts.session import Session

__all__ = ["PARAMETERS", "failed", "probe_limits"]

# Four pixels, all of them red.
_PNG = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAIAAAD91JpzAAAAEElEQVR4nGP4z8AARAwQCgAf7gP9"
    "i18U1AAAAABJRU5ErkJggg=="
)

PARAMETERS: tuple[tuple[str, Any], ...] = (
    ("logit_bias", {"1": -1}),
    ("modalities", ["text"]),
    ("parallel_tool_calls", True),
    ("prediction", {"type": "content", "content": "Hello!"}),
    ("prompt_cache_key", "k"),
    ("reasoning_effort", "low"),
    ("safety_identifier", "u"),
    ("verbosity", "low"),
)
"""Published parameters that no other probe sends, each with a value of every day."""


@rule("OAI-ERR-010")
def failed(what: str, exchange: Exchange) -> list[Finding]:
    """A finding where a request that the published schema admits was dropped, or ended in a fault."""
    if not exchange.dropped and exchange.status not in {500, 502}:
        return []
    message = f"{what} is answered with {exchange.status or 'nothing'}"
    return [Finding("OAI-ERR-010", message, "", shown(exchange.body[:160]), exchange)]


@rule("OAI-ERR-011", "OAI-ERR-012", "OAI-ERR-013")
def probe_limits(session: Session) -> None:
    """Each may be refused, by name; none may fail, or be dropped in silence where that matters."""
    counts: set[int | None] = set()
    for name, value in PARAMETERS:
        reply = session.chat(max_tokens=1, **{name: value})
        counts.add(relations.prompt_tokens(reply))
        session.add(failed(f"{name} {shown(value)}", reply))
    _image(session, counts)
    if session.keyed:
        _key(session)
    else:
        session.skip("keys", "no key was given with --api-key", "OAI-ERR-012")
    if session.context is not None:
        _context(session, session.context)
    else:
        session.skip("long prompts", "no length was given with --context", "OAI-ERR-013")


def _image(session: Session, counts: Collection[int | None]) -> None:
    """A picture beside a text, and the same text alone; `counts` are the prompt tokens of another."""
    text = {"type": "text", "text": "What colour is this?"}
    picture = {"type": "image_url", "image_url": {"url": _PNG}}

    def ask(*parts: Any) -> Any:
        return session.chat(
            messages=[{"role": "user", "content": list(parts)}], **GREEDY, max_tokens=4
        )

    blind = ask(text)
    if blind.status != 200:
        session.skip("images", "a message of parts is refused whatever it holds", "OAI-ERR-011")
        return
    seen = ask(text, picture)
    if seen.dropped or seen.status >= 500:
        what = seen.status or "nothing"
        session.break_law("OAI-ERR-011", f"an image is answered with {what}", seen)
    elif seen.status == 200 and relations.prompt_tokens(blind) in counts:
        session.skip(
            "images", "other prompts count as many tokens: it tells nothing", "OAI-ERR-011"
        )
    elif seen.status == 200:
        session.compare(relations.unseen_image, seen, blind)


def _key(session: Session) -> None:
    """A wrong key, where none at all is refused."""
    request = {"model": session.model, "messages": [{"role": "user", "content": "Hi."}]}
    for what, header in (("no key", ""), ("a wrong key", f"Bearer {WRONG_KEY}")):
        reply = session.ask(
            "POST",
            "/chat/completions",
            {**request, "max_tokens": 1},
            headers={"authorization": header},
            right=False,
        )
        if what == "no key" and reply.status == 200:
            session.skip("keys", "an answer came without a key", "OAI-ERR-012")
            return
        if reply.status not in {401, 429}:
            answer = reply.status or "nothing"
            session.break_law("OAI-ERR-012", f"{what} is answered with {answer}", reply)


def _context(session: Session, tokens: int) -> None:
    """A prompt of more words than the model has tokens."""
    text = "one " * (tokens + 64)
    request = {"model": session.model, "messages": [{"role": "user", "content": text}]}
    reply = session.ask("POST", "/chat/completions", {**request, "max_tokens": 1}, right=False)
    if reply.status == 200 and relations.answer_of(reply) is not None:
        session.break_law("OAI-ERR-013", f"a prompt of {tokens + 64} words is answered", reply)
    else:
        refused(session, f"a prompt of {tokens + 64} words", reply)
