"""Text completions, whole and streamed."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from lorax_contracts.exchange import Exchange
from lorax_contracts.judge.answer import Choice, fold_chunks, fold_reply, mapping, objects
from lorax_contracts.judge.chunks import judge_stream_usage
from lorax_contracts.judge.content import judge_content, prompts
from lorax_contracts.judge.framing import judge_framing
from lorax_contracts.judge.identity import Places, bad_created, bad_id, bad_model, fit, misnamed
from lorax_contracts.judge.logprobs import not_a_logprob
from lorax_contracts.judge.report import Report
from lorax_contracts.rules import rule

__all__ = ["judge_completion", "judge_completion_stream"]

_PLACES: Places = tuple(
    (re.compile(pattern), law)
    for pattern, law in (
        (r"^/object ", "OAI-COMP-002"),
        (r"^/id ", "OAI-COMP-003"),
        (r"^/created ", "OAI-COMP-012"),
        (r"^/model ", "OAI-COMP-013"),
        (r"^/choices/\d+/index ", "OAI-COMP-004"),
        (r"^/choices/\d+/finish_reason ", "OAI-COMP-005"),
        (r"^/usage ", "OAI-USAGE-001"),
    )
)


def _fit(schema: str, document: Any, report: Report, at: str = "") -> frozenset[str]:
    choices = objects(mapping(document).get("choices"))
    if choices and all(
        {"message", "delta"} & set(choice) and "text" not in choice for choice in choices
    ):
        report.add("OAI-COMP-001", "the completion came in chat's form", at=at, seen=choices[0])
        return frozenset()
    return fit(schema, _without_nulls(document), _PLACES, "OAI-COMP-001", report, at=at)


def _without_nulls(document: Any) -> Any:
    """The document without the nulls in its logprobs lists.

    The published lists hold numbers alone, but the first token of an echoed prompt has no
    probability and is null everywhere.
    """
    if not isinstance(document, Mapping):
        return document
    choices: list[Any] = []
    for choice in document.get("choices", []) if isinstance(document.get("choices"), list) else []:
        logprobs = mapping(choice).get("logprobs")
        if isinstance(logprobs, Mapping):
            cleaned = {
                key: [item for item in value if item is not None]
                if isinstance(value, list)
                else value
                for key, value in logprobs.items()
                if value is not None
            }
            choices.append({**choice, "logprobs": cleaned})
        else:
            choices.append(choice)
    return {**document, "choices": choices} if choices else document


def _identity(
    exchange: Exchange,
    documents: Sequence[Mapping[str, Any]],
    report: Report,
    misfits: Sequence[frozenset[str]],
) -> None:
    first = documents[0]
    for place, document in enumerate(documents):
        at = f"event {place}" if len(documents) > 1 else ""
        for key, law, bad, says in (
            ("id", "OAI-COMP-003", bad_id(document.get("id")), "id identifies nothing"),
            (
                "created",
                "OAI-COMP-012",
                bad_created(document.get("created"), exchange),
                "created is not now in Unix seconds",
            ),
            (
                "model",
                "OAI-COMP-013",
                bad_model(document.get("model"), exchange),
                misnamed(exchange),
            ),
        ):
            seen = {key: document.get(key)}
            if f"/{key}" in misfits[place]:
                continue
            if bad:
                report.add(law, says, at=at, seen=seen)
            elif document.get(key) != first.get(key):
                report.add(law, f"{key} is not as in the first event", at=at, seen=seen)


def _wanted(exchange: Exchange) -> int | None:
    if exchange.request is None:
        return None
    n = exchange.asked.get("n")
    return prompts(exchange) * (n if isinstance(n, int) else 1)


def _logprobs(exchange: Exchange, choice: Choice, report: Report) -> None:
    asked = exchange.asked.get("logprobs")
    if exchange.request is None or not isinstance(asked, int) or isinstance(asked, bool):
        return
    at = f"/choices/{choice.index}/logprobs"
    if isinstance(mapping(choice.logprobs).get("content"), list):
        report.add("OAI-COMP-008", "logprobs came in chat's form", at=at, seen=choice.logprobs)
        return
    lists = {
        key: mapping(choice.logprobs).get(key)
        for key in ("tokens", "token_logprobs", "top_logprobs", "text_offset")
    }
    tokens = lists["tokens"]
    if not isinstance(tokens, list) or (choice.text and not tokens):
        if choice.text:
            report.add(
                "OAI-COMP-008",
                "logprobs were asked for and did not come",
                at=at,
                seen={"logprobs": choice.logprobs},
            )
        return
    lengths = {key: len(value) for key, value in lists.items() if isinstance(value, list)}
    # With zero alternatives top_logprobs may be null.
    missing = [key for key in lists if key not in lengths and (asked or key != "top_logprobs")]
    if missing:
        what = " and ".join(missing)
        report.add("OAI-COMP-008", f"{what} did not come as a list", at=at, seen=choice.logprobs)
    elif len(set(lengths.values())) != 1:
        report.add("OAI-COMP-008", "the lists differ in length", at=at, seen=lengths)
    numbers = lists["token_logprobs"] if isinstance(lists["token_logprobs"], list) else []
    if any(not_a_logprob(number) for number in numbers if number is not None):
        report.add("OAI-LOGP-003", "no log probability", at=at, seen=numbers)
    joined = "".join(token for token in tokens if isinstance(token, str))
    loose = bool(exchange.asked.get("stop")) or choice.finish == "length"
    plain = "�" not in joined and "bytes:" not in joined
    same = joined.startswith(choice.text) if loose else joined == choice.text
    if plain and not same and "�" not in choice.text:
        report.add("OAI-COMP-015", "the tokens joined are not the text", at=at, seen=joined)


def _came(choices: Mapping[int, Choice], expected: list[int]) -> str:
    """What came instead: a parameter that is ignored, and an index that counts tokens, are two ways."""
    return "fewer came" if set(choices) < set(expected) else "other indexes came"


def _choices(exchange: Exchange, choices: Mapping[int, Choice], report: Report) -> None:
    wanted = _wanted(exchange)
    expected = list(range(len(choices) if wanted is None else wanted))
    if sorted(choices) != expected or not choices:
        report.add(
            "OAI-COMP-004",
            f"{len(expected)} choices were asked for, and {_came(choices, expected)}",
            at="/choices",
            seen={"index": list(choices)},
        )
    prompt = exchange.asked.get("prompt")
    for choice in choices.values():
        echoes = exchange.asked.get("echo") and isinstance(prompt, str)
        if echoes and not choice.text.startswith(str(prompt)):
            report.add(
                "OAI-COMP-007",
                "echo was asked for, and the text does not begin with the prompt",
                seen=choice.text,
            )
        _logprobs(exchange, choice, report)


@rule(
    "OAI-COMP-001",
    "OAI-COMP-002",
    "OAI-COMP-003",
    "OAI-COMP-004",
    "OAI-COMP-005",
    "OAI-COMP-007",
    "OAI-COMP-008",
    "OAI-COMP-012",
    "OAI-COMP-013",
    "OAI-COMP-015",
    "OAI-USAGE-001",
    "OAI-LOGP-003",
)
def judge_completion(exchange: Exchange, document: Any, report: Report) -> None:
    """Judges the decoded reply of a 200 that is no stream."""
    told = _fit("openai/completion", document, report)
    if not isinstance(document, Mapping):
        return
    _identity(exchange, [document], report, [told])
    if "/usage" not in told and document.get("usage") is None:
        report.add("OAI-USAGE-001", "usage is missing", at="/usage", seen=list(document))
    answer = fold_reply(document)
    if len(objects(document.get("choices"))) != len(answer.choices):
        report.add("OAI-COMP-004", "an index comes twice", at="/choices")
    _choices(exchange, answer.choices, report)
    judge_content(exchange, answer, report)


@rule(
    "OAI-COMP-001",
    "OAI-COMP-002",
    "OAI-COMP-003",
    "OAI-COMP-004",
    "OAI-COMP-005",
    "OAI-COMP-007",
    "OAI-COMP-008",
    "OAI-COMP-009",
    "OAI-COMP-010",
    "OAI-COMP-011",
    "OAI-COMP-012",
    "OAI-COMP-013",
    "OAI-COMP-014",
    "OAI-COMP-015",
    "OAI-LOGP-003",
)
def judge_completion_stream(exchange: Exchange, report: Report, *, whole: bool) -> None:
    """Judges the body of a 200 that is an event stream."""
    frames = judge_framing(
        exchange, report, whole=whole, broken="OAI-COMP-009", unfinished="OAI-COMP-009"
    )
    if not frames.chunks:
        return
    finished: set[str] = set()
    misfits: list[frozenset[str]] = []
    for place, chunk in enumerate(frames.chunks):
        misfits.append(_fit("openai/completion_chunk", chunk, report, at=f"event {place} "))
        for choice in objects(chunk.get("choices")):
            place_of, finish = str(choice.get("index")), choice.get("finish_reason")
            if place_of in finished and (choice.get("text") or finish is not None):
                report.add("OAI-COMP-014", "more after the finish_reason", seen=choice)
            if finish is not None:
                finished.add(place_of)
    _identity(exchange, frames.chunks, report, misfits)
    if not whole or frames.failed:
        return
    answer = fold_chunks(frames.chunks)
    for index in answer.choices:
        if str(index) not in finished:
            report.add("OAI-COMP-014", f"choice {index} never finished", seen=exchange.body[-160:])
    judge_stream_usage(
        exchange,
        frames.chunks,
        report,
        unasked="OAI-COMP-010",
        last="OAI-COMP-010",
        others="OAI-COMP-011",
    )
    _choices(exchange, answer.choices, report)
    judge_content(exchange, answer, report)
