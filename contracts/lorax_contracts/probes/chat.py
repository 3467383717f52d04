"""Chat without streams: identity, budgets, stop strings, choices, usage, what must be accepted."""

from typing import Any

from lorax_contracts import relations
from lorax_contracts.exchange import Exchange
from lorax_contracts.judge.answer import mapping
from lorax_contracts.judge.content import judge_stops
from lorax_contracts.judge.report import shown
from lorax_contracts.rules import rule
from lorax_contracts.session import SEED, Session

__all__ = [
    "GREEDY",
    "PROMPT",
    "accepted",
    "half_of",
    "probe_accepted",
    "probe_chat",
    "probe_stops",
    "steady",
    "steady_stream",
]

PROMPT = "Write the numbers from one to forty as words, separated by commas."
"""A prompt that any model answers at length."""

GREEDY: dict[str, Any] = {"temperature": 0, "seed": SEED}
"""What makes an answer repeat."""

_LONG = "The quick brown fox jumps over the lazy dog. " * 8


def _baseline(session: Session) -> tuple[Exchange, bool]:
    """A greedy, seeded answer to the prompt, and whether the server gave it twice."""
    first, second = (session.chat(PROMPT, **GREEDY, max_tokens=24) for _ in range(2))
    session.compare(relations.two_ids, first, second)
    repeated = relations.repeats(first, second)
    if not repeated:
        session.skip(
            "repetition",
            "temperature 0 with a seed gave two different answers, so that no two were compared",
            relations.cut_by_budget,
            relations.cut_by_stop,
            relations.same_streamed,
        )
    return first, repeated


def steady(session: Session) -> Exchange | None:
    """The answer that other replies are compared with; None where the server does not repeat it."""
    first, repeated = session.once(_baseline)
    return first if repeated else None


def _streamed(session: Session) -> Exchange:
    session.turn()
    return session.chat(
        PROMPT, **GREEDY, max_tokens=24, stream=True, stream_options={"include_usage": True}
    )


def steady_stream(session: Session) -> Exchange | None:
    """The same, streamed: what other streams are compared with."""
    streamed = session.once(_streamed)
    return streamed if steady(session) is not None else None


def half_of(whole: Exchange | None) -> int:
    """Half of the tokens that an answer is said to have, or else of its words; 1 at least."""
    answer = relations.answer_of(whole) if whole is not None else None
    if answer is None or 0 not in answer.choices:
        return 1
    count = mapping(answer.usage).get("completion_tokens")
    words = len(answer.choices[0].text.split())
    return max((count if isinstance(count, int) and 0 < count <= 24 else words) // 2, 1)


def accepted(session: Session, law: str, what: str, exchange: Exchange) -> bool:
    """Notes a broken law unless the request was answered; says whether it was."""
    if exchange.status == 200:
        return True
    if not exchange.says_nothing:
        session.break_law(law, f"{what} is refused with {exchange.status}", exchange)
    return False


@rule("OAI-ACCEPT-003", "OAI-ACCEPT-007")
def probe_chat(session: Session) -> None:
    """Plain answers: two of the same, with other budgets, prompts and numbers of choices."""
    session.chat(max_tokens=16)
    first, _ = session.once(_baseline)
    session.chat(PROMPT, seed=None)
    _budgets(session, steady(session))
    _counts(session, first)
    _choices(session, first)


def _budgets(session: Session, long: Exchange | None) -> None:
    for key in ("max_tokens", "max_completion_tokens"):
        for budget in (1, half_of(long)):
            short = session.chat(PROMPT, **GREEDY, **{key: budget})
            if long is not None:
                session.compare(relations.cut_by_budget, short, long)


def _counts(session: Session, short: Exchange) -> None:
    long = session.chat(_LONG + PROMPT, **GREEDY, max_tokens=1)
    session.compare(relations.same_prompt_counts, short, long, longer=True)
    parts = [{"type": "text", "text": _LONG}, {"type": "text", "text": PROMPT}]
    split = session.chat(messages=[{"role": "user", "content": parts}], **GREEDY, max_tokens=1)
    if accepted(session, "OAI-ACCEPT-003", "content as a list of text parts", split):
        one, two = relations.prompt_tokens(long), relations.prompt_tokens(split)
        # Templates may put a separator between parts; half of the text may not be missing. JSON has
        # counts that no float holds.
        if one is not None and two is not None and 10 * two < 7 * one:
            session.break_law(
                "OAI-ACCEPT-003", f"{two} prompt tokens for parts, {one} for their text", split
            )


def _choices(session: Session, single: Exchange) -> None:
    law, what = "OAI-ACCEPT-007", "n = 2"
    several = session.chat(PROMPT, n=2, max_tokens=4, seed=None)
    if not accepted(session, law, what, several):
        return  # refused as such, and not for what stands beside it
    seeded = session.chat(PROMPT, n=2, max_tokens=4)
    if accepted(session, law, "n = 2 with a seed", seeded):
        session.compare(relations.same_prompt_counts, single, seeded, longer=False)
    streamed = session.chat(PROMPT, n=2, max_tokens=4, stream=True)
    accepted(session, law, "n = 2 streamed", streamed)


def _inner(text: str) -> list[str]:
    """Stop strings that this text holds: from its middle, and inside a word."""
    middle = text[len(text) // 2 : len(text) // 2 + 4]
    letters = [
        text[at : at + 2]
        for at in range(len(text) // 3, len(text) - 3)
        if text[at - 1 : at + 3].isalpha()
    ]
    return [stop for stop in [middle, *letters[:2]] if stop.strip()]


_FORMS = {str: "string", list: "list"}


@rule("OAI-ACCEPT-001")
def probe_stops(session: Session) -> None:
    """Stop strings taken from the baseline's own text."""
    whole = steady(session)
    if whole is None:
        return
    answer = relations.answer_of(whole)
    text = answer.choices[0].text if answer and 0 in answer.choices else ""
    same: dict[str, Any] = {**GREEDY, "max_tokens": 24}
    if len(text) < 8:
        session.skip(
            "stop strings",
            "the model's answer is too short to stop inside it",
            judge_stops,
            relations.cut_by_stop,
        )
        return
    for stop in _inner(text):
        for form in (stop, ["\u2603\u2603", stop]):
            stopped = session.chat(PROMPT, stop=form, **same)
            if accepted(session, "OAI-ACCEPT-001", f"stop as a {_FORMS[type(form)]}", stopped):
                session.compare(relations.cut_by_stop, stopped, whole, stop=stop)
        streamed = session.chat(PROMPT, stop=[stop], stream=True, **same)
        unstopped = steady_stream(session)
        if unstopped is not None:
            session.compare(relations.cut_by_stop, streamed, unstopped, stop=stop)


@rule("OAI-ACCEPT-001", "OAI-ACCEPT-002", "OAI-ACCEPT-009", "OAI-ACCEPT-011")
def probe_accepted(session: Session) -> None:
    """What frameworks send and a server must take."""
    take: dict[str, Any] = {"max_tokens": 4}
    nothing = session.chat(stop=None, **take)
    accepted(session, "OAI-ACCEPT-001", "stop null", nothing)
    _each_taken(session, "OAI-ACCEPT-002", _NULLS)
    _each_taken(session, "OAI-ACCEPT-009", _WITHOUT_EFFECT)
    told = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": "Hello!"},
    ]
    accepted(session, "OAI-ACCEPT-011", "the role developer", session.chat(messages=told, **take))
    session.chat(response_format={"type": "text"}, **take)
    session.chat(temperature=1.5, top_p=0.5, frequency_penalty=0.5, presence_penalty=0.5, **take)
    conversation = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Say é and 日本 and 😀."},
        {"role": "assistant", "content": "é 日本 😀"},
        {"role": "user", "content": "Again."},
    ]
    same: dict[str, Any] = {"messages": conversation, **GREEDY, "max_tokens": 32}
    plain, streamed = session.chat(**same), session.chat(**same, stream=True)
    if relations.repeats(plain, session.chat(**same)):
        session.compare(relations.same_streamed, plain, streamed)


_NULLS: dict[str, Any] = dict.fromkeys(
    (
        "temperature",
        "top_p",
        "n",
        "presence_penalty",
        "frequency_penalty",
        "logprobs",
        "stream",
        "logit_bias",
    )
)
_WITHOUT_EFFECT: dict[str, Any] = {
    "user": "u",
    "metadata": {"a": "b"},
    "store": False,
    "service_tier": "auto",
}


def _each_taken(session: Session, law: str, members: dict[str, Any]) -> None:
    """All of the members at once; where they are refused, each alone, to name the one."""
    together = session.chat(**members, max_tokens=4)
    if together.status == 200 or together.says_nothing:
        return
    for name, value in members.items():
        alone = session.chat(**{name: value}, max_tokens=4)
        accepted(session, law, f"{name} {shown(value)}", alone)
