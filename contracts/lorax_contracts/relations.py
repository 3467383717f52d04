"""Laws that several exchanges show together. Pure: exchanges in, findings out.

Each function compares replies that must agree; what is not there to compare (a refusal, a shape that
does not hold) is left to the judge of the single exchange.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from lorax_contracts import sse
from lorax_contracts.exchange import Exchange, Finding, Route
from lorax_contracts.judge.answer import Answer, Choice, fold_chunks, fold_reply, mapping
from lorax_contracts.judge.content import budget
from lorax_contracts.judge.report import shown
from lorax_contracts.rules import rule

__all__ = [
    "answer_of",
    "cut_by_budget",
    "cut_by_stop",
    "native_text",
    "prompt_tokens",
    "repeats",
    "same_native",
    "same_prompt_counts",
    "same_streamed",
    "two_ids",
    "unseen_image",
]


def answer_of(exchange: Exchange) -> Answer | None:
    """What a 200 says in the end, streamed or not; None for anything else."""
    if exchange.status != 200:
        return None
    if exchange.media_type == "text/event-stream":
        chunks = [
            event.value
            for event in sse.read(exchange.body).data
            if isinstance(event.value, Mapping) and "error" not in event.value
        ]
        return fold_chunks(chunks) if chunks else None
    try:
        document = json.loads(exchange.body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, Mapping) or "choices" not in document:
        return None
    return fold_reply(document)


def _only(exchange: Exchange) -> tuple[str, Any] | None:
    """Text and finish reason of the first choice."""
    answer = answer_of(exchange)
    choice = answer.choices.get(0) if answer else None
    return None if choice is None else (choice.text, choice.finish)


def prompt_tokens(exchange: Exchange) -> int | None:
    """The prompt tokens of the usage; None when there is none."""
    answer = answer_of(exchange)
    count = mapping(answer.usage if answer else None).get("prompt_tokens")
    return count if isinstance(count, int) else None


def _find(law: str, message: str, exchange: Exchange, seen: Any = None) -> list[Finding]:
    text = "" if seen is None else shown(seen)
    return [Finding(law=law, message=message, seen=text, exchange=exchange)]


def repeats(first: Exchange, second: Exchange) -> bool:
    """Whether a server gave the same answer twice; otherwise nothing can be compared."""
    one, two = answer_of(first), answer_of(second)
    if one is None or two is None:
        return False
    return {i: (c.text, c.finish) for i, c in one.choices.items()} == {
        i: (c.text, c.finish) for i, c in two.choices.items()
    }


def _id(exchange: Exchange) -> Any:
    if exchange.media_type == "text/event-stream":
        first = next((e.value for e in sse.read(exchange.body).data), None)
        return mapping(first).get("id")
    try:
        return mapping(json.loads(exchange.body)).get("id")
    except (ValueError, RecursionError):
        return None


@rule("OAI-CHAT-011")
def two_ids(first: Exchange, second: Exchange) -> list[Finding]:
    """OAI-CHAT-011: two completions have two ids."""
    one, two = _id(first), _id(second)
    if first.status == second.status == 200 and one is not None and one == two:
        return _find("OAI-CHAT-011", "two completions share an id", second, one)
    return []


@rule("OAI-FINISH-001", "OAI-FINISH-002")
def cut_by_budget(short: Exchange, long: Exchange) -> list[Finding]:
    """OAI-FINISH-001 and -002: `long` is the same request as `short` with a larger budget."""
    cut, whole = _only(short), _only(long)
    if cut is None or whole is None:
        return []
    name, most = budget(short) or ("", 0)
    # No tokenizer in use packs several words into each of its tokens.
    if cut[0] == whole[0] and len(cut[0].split()) > 2 * most + 2 and most:
        return _find(
            "OAI-FINISH-002",
            f"{name} {most} gives {len(cut[0].split())} words, as many as a larger budget",
            short,
            cut[0],
        )
    went_on = whole[0].startswith(cut[0]) and len(whole[0]) > len(cut[0])
    if went_on and cut[1] is not None and cut[1] != "length":
        return _find(
            "OAI-FINISH-001",
            f"finish_reason is {cut[1]}, and a larger budget gives more text",
            short,
            {"text": cut[0], "with a larger budget": whole[0]},
        )
    return []


@rule("OAI-STOP-002", "OAI-FINISH-004")
def cut_by_stop(stopped: Exchange, whole: Exchange, stop: str) -> list[Finding]:
    """OAI-STOP-002 and OAI-FINISH-004: `stopped` is the same request as `whole` with `stop`."""
    got, full = _only(stopped), _only(whole)
    if got is None or full is None or stop not in full[0]:
        return []
    wanted = full[0][: full[0].index(stop)]
    found: list[Finding] = []
    # Text that keeps the stop string is a law of its own.
    if got[0] != wanted and stop not in got[0]:
        found += _find(
            "OAI-STOP-002", f"the text before {shown(stop)} is {shown(wanted)}", stopped, got[0]
        )
    # Text that ran on past the stop string was not ended by it.
    ended = got[0] == wanted or full[0][: len(got[0])].endswith(stop)
    if ended and got[1] is not None and got[1] != "stop":
        found += _find(
            "OAI-FINISH-004",
            f"{shown(stop)} ended the text, and finish_reason is another",
            stopped,
            got[1],
        )
    return found


def _plain(text: str) -> str:
    # Where a model writes broken bytes, how many U+FFFD stand for them is the decoder's choice.
    return text.replace("\ufffd", "")


def _differs_in_broken(plain: Choice, stream: Choice) -> bool:
    """Whether one of the two has U+FFFD and the other none; at the end of a cut answer either may."""
    ends = [
        one.text.rstrip("\ufffd") if one.finish != "stop" else one.text for one in (plain, stream)
    ]
    return ("\ufffd" in ends[0]) != ("\ufffd" in ends[1])


@rule("OAI-STREAM-025", "OAI-STREAM-026", "OAI-TEXT-002")
def same_streamed(plain: Exchange, stream: Exchange) -> list[Finding]:
    """OAI-STREAM-025 and -026: the same request, once streamed with usage."""
    one, two = answer_of(plain), answer_of(stream)
    if one is None or two is None:
        return []
    found: list[Finding] = []
    for index, choice in one.choices.items():
        other = two.choices.get(index)
        if other is None:
            continue
        calls = [(call.name, call.arguments) for call in choice.calls]
        streamed = [(call.name, call.arguments) for call in other.calls]
        if _differs_in_broken(choice, other) and calls == streamed:
            found += _find(
                "OAI-TEXT-002",
                "a character is broken in the stream or the plain answer, and whole in the other",
                stream,
                {"plain": choice.text, "stream": other.text},
            )
        elif _plain(choice.text) != _plain(other.text) or calls != streamed:
            found += _find(
                "OAI-STREAM-025",
                "the stream says something else",
                stream,
                {"plain": choice.text or calls, "stream": other.text or streamed},
            )
        elif other.finish is not None and choice.finish != other.finish:
            found += _find(
                "OAI-STREAM-025",
                "the stream has another finish_reason",
                stream,
                {"plain": choice.finish, "stream": other.finish},
            )
    keys = ("prompt_tokens", "completion_tokens", "total_tokens")
    if one.usage is not None and two.usage is not None and not found:
        counts = [{key: usage.get(key) for key in keys} for usage in (one.usage, two.usage)]
        if counts[0] != counts[1]:
            found += _find(
                "OAI-STREAM-026",
                "the stream counts other tokens",
                stream,
                {"plain": counts[0], "stream": counts[1]},
            )
    return found


@rule("OAI-USAGE-004")
def same_prompt_counts(
    one: Exchange, other: Exchange, *, longer: bool, slack: int = 0
) -> list[Finding]:
    """OAI-USAGE-004: `other` has a longer prompt, or the same one under another parameter."""
    first, second = prompt_tokens(one), prompt_tokens(other)
    if first is None or second is None:
        return []
    if longer and second <= first:
        return _find(
            "OAI-USAGE-004",
            "a much longer prompt has no more prompt tokens",
            other,
            {"short": first, "long": second},
        )
    if not longer and abs(first - second) > slack:
        return _find(
            "OAI-USAGE-004",
            "the same prompt has another count",
            other,
            {"one": first, "other": second},
        )
    return []


@rule("OAI-ERR-011")
def unseen_image(seen: Exchange, blind: Exchange) -> list[Finding]:
    """OAI-ERR-011: `blind` is the same request as `seen` without its image."""
    one, two = prompt_tokens(seen), prompt_tokens(blind)
    # A server may count text alone; one that sees would then say something else.
    if one is None or one != two or not repeats(seen, blind):
        return []
    message = "the prompt has as many tokens with an image as without it, and the same answer"
    return _find("OAI-ERR-011", message, seen, {"prompt_tokens": one})


def native_text(exchange: Exchange) -> tuple[str, Sequence[Any]] | None:
    """generated_text and token ids of LoRAX's reply or stream; None for anything else."""
    if exchange.status != 200:
        return None
    if exchange.media_type == "text/event-stream":
        events = [event for event in sse.read(exchange.body).data if not event.is_done]
        values = [mapping(event.value) for event in events]
        finals = [value for value in values if value.get("generated_text") is not None]
        if not finals:
            return None
        ids = [mapping(value.get("token")).get("id") for value in values]
        return str(finals[0]["generated_text"]), ids
    try:
        document = json.loads(exchange.body)
    except (ValueError, RecursionError):
        return None
    reply = mapping(document[0] if isinstance(document, list) and document else document)
    if "generated_text" not in reply:
        return None
    tokens = mapping(reply.get("details")).get("tokens")
    ids = [mapping(token).get("id") for token in tokens] if isinstance(tokens, list) else []
    return str(reply["generated_text"]), ids


@rule("LORAX-GEN-012")
def same_native(first: Exchange, second: Exchange) -> list[Finding]:
    """LORAX-GEN-012: the same request, asked twice or once streamed."""
    one, two = native_text(first), native_text(second)
    if one is None or two is None:
        return []
    if one[0] != two[0] or (one[1] and two[1] and one[1] != two[1]):
        route = "the stream" if second.route is Route.GENERATE_STREAM else "the second reply"
        return _find(
            "LORAX-GEN-012",
            f"{route} says something else",
            second,
            {"first": one[0], "second": two[0]},
        )
    return []
