"""What an answer says, however it travelled: stop strings, finish reasons, budgets, usage, text.

The rules here must not raise a false alarm on a correct server with any model behind it, so each one
asks only what must hold whatever the model says. Where the request is not known (a recording without
one), rules about what was asked are silent.
"""

from typing import Any

from lorax_contracts.exchange import Exchange, Route
from lorax_contracts.judge.answer import Answer, Choice, mapping, objects
from lorax_contracts.judge.logprobs import judge_logprobs, judge_unasked_logprobs, token_bytes
from lorax_contracts.judge.report import Report, shown
from lorax_contracts.judge.tools import judge_json, judge_tools
from lorax_contracts.rules import rule

__all__ = [
    "END_SPELLINGS",
    "budget",
    "judge_budget",
    "judge_content",
    "judge_finish",
    "judge_stops",
    "judge_text",
    "judge_usage",
    "prompt_text",
    "prompts",
    "stop_strings",
]

END_SPELLINGS = (
    "</s>",
    "<|eot_id|>",
    "<|end_of_text|>",
    "<|endoftext|>",
    "<|im_end|>",
    "<|end|>",
    "<|eom_id|>",
    "<end_of_turn>",
    "<eos>",
    "<｜end▁of▁sentence｜>",
)
"""How common model families spell the end of a text."""

# No tokenizer in use has a token longer than this; one token an octet is the other extreme.
_BYTES_A_TOKEN = 200
_TOKENS_A_BYTE = 4
# Below this no server's context can be full.
_SMALL_CONTEXT = 256


def stop_strings(exchange: Exchange) -> list[str]:
    """The request's stop strings, whatever form they were sent in."""
    stop = exchange.asked.get("stop")
    listed = [stop] if isinstance(stop, str) else stop if isinstance(stop, list) else []
    return [text for text in listed if isinstance(text, str) and text]


def prompts(exchange: Exchange) -> int:
    """How many prompts a completion request holds; 1 for chat."""
    prompt = exchange.asked.get("prompt")
    if isinstance(prompt, list) and prompt and not isinstance(prompt[0], int):
        return len(prompt)
    return 1


def prompt_text(exchange: Exchange) -> str:
    """All text that the request gives the model, joined."""
    parts: list[str] = []

    def collect(value: Any) -> None:
        if isinstance(value, str):
            parts.append(value)
        elif isinstance(value, list):
            for item in value:
                collect(item)
        elif isinstance(value, dict):
            for item in value.values():
                collect(item)

    collect(exchange.asked.get("prompt"))
    for message in objects(exchange.asked.get("messages")):
        collect(message.get("content"))
    return "".join(parts)


def budget(exchange: Exchange) -> tuple[str, int] | None:
    """The parameter that says how many completion tokens one choice may have, and its value.

    None when nothing was said, for a default is a server's own; nor when two different ones were: which
    of them holds is nowhere said.
    """
    said = {
        key: value
        for key in ("max_completion_tokens", "max_tokens")
        if isinstance(value := exchange.asked.get(key), int) and not isinstance(value, bool)
    }
    return next(iter(said.items())) if len(set(said.values())) == 1 else None


def _count(usage: Any, key: str) -> int | None:
    value = mapping(usage).get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


@rule("OAI-FINISH-002", "OAI-FINISH-003")
def judge_budget(exchange: Exchange, answer: Answer, report: Report) -> None:
    """Judges the tokens that were spent against the request's budget."""
    name, most = budget(exchange) or ("", 0)
    if most <= 0:
        return
    spent = _count(answer.usage, "completion_tokens")
    total = _count(answer.usage, "total_tokens")
    many = max(len(answer.choices), 1)
    echoed = bool(exchange.asked.get("echo"))
    if spent is not None and spent > most * many and not exchange.asked.get("best_of"):
        report.add(
            "OAI-FINISH-002",
            f"{spent} completion tokens, and {name} was {most}",
            at="/usage/completion_tokens",
            seen=answer.usage if many == 1 else {**mapping(answer.usage), "choices": many},
        )
    for choice in answer.choices.values():
        tokens = mapping(choice.logprobs).get("content")
        if isinstance(tokens, list) and len(tokens) > most:
            report.add(
                "OAI-FINISH-002", f"{len(tokens)} tokens, and {name} was {most}", at="/choices"
            )
        unspent = spent is not None and spent < most and many == 1
        small = total is not None and total < _SMALL_CONTEXT
        if choice.finish == "length" and unspent and small and not echoed:
            report.add(
                "OAI-FINISH-003",
                f"length after {spent} of {most} tokens",
                at=f"/choices/{choice.index}/finish_reason",
                seen=answer.usage,
            )


@rule("OAI-FINISH-005", "OAI-FINISH-006")
def judge_finish(exchange: Exchange, choice: Choice, report: Report) -> None:
    """Judges a chat choice's finish_reason against its tool calls."""
    at = f"/choices/{choice.index}/finish_reason"
    # OpenAI itself ends a forced call so; whether it was forced, a bare recording does not tell.
    forced = exchange.request is None or isinstance(exchange.asked.get("tool_choice"), dict)
    allowed = {"tool_calls", "length", "content_filter"} | ({"stop"} if forced else set())
    if choice.calls and choice.finish is not None and choice.finish not in allowed:
        report.add(
            "OAI-FINISH-005",
            f"tool calls end with finish_reason {shown(choice.finish)}",
            at=at,
            seen=choice.finish,
        )
    if choice.finish == "tool_calls" and not choice.calls:
        report.add("OAI-FINISH-006", "tool_calls without a tool call", at=at, seen=choice.text)


def _written(exchange: Exchange, choice: Choice) -> str:
    """The text without the prompt that was to be echoed before it."""
    prompt = exchange.asked.get("prompt")
    echoed = exchange.asked.get("echo") and isinstance(prompt, str)
    return choice.text.removeprefix(str(prompt)) if echoed else choice.text


@rule("OAI-STOP-001")
def judge_stops(exchange: Exchange, choice: Choice, report: Report) -> None:
    """Judges whether a stop string of the request is left in the text."""
    text = _written(exchange, choice)
    for stop in stop_strings(exchange):
        if stop in text and not choice.calls:
            report.add(
                "OAI-STOP-001",
                f"the text holds the stop string {shown(stop)}",
                at=f"/choices/{choice.index}",
                seen=text,
            )


@rule("OAI-TEXT-001", "OAI-TEXT-002")
def judge_text(exchange: Exchange, choice: Choice, report: Report) -> None:
    """Judges the text's end and its characters."""
    at = f"/choices/{choice.index}"
    text = _written(exchange, choice)
    asked = exchange.asked
    # A model that is told to go on past its end writes the spelling as text.
    ignoring = asked.get("ignore_eos") or asked.get("ignore_eos_token")
    said = prompt_text(exchange)
    for spelling in END_SPELLINGS:
        if text.rstrip().endswith(spelling) and not ignoring and spelling not in said:
            report.add("OAI-TEXT-001", f"the text ends in {spelling}", at=at, seen=text[-80:])
    if any("\ud800" <= character <= "\udfff" for character in text):
        report.add("OAI-TEXT-002", "a lone surrogate is in the text", at=at, seen=text)
    # A model may write broken bytes, and U+FFFD is what stands for them; that the bytes were whole
    # is known where they came along.
    written = token_bytes(choice.logprobs)
    if "\ufffd" in text and written is not None and _whole(written):
        report.add(
            "OAI-TEXT-002",
            "U+FFFD is in the text, and the tokens' bytes form whole characters",
            at=at,
            seen={"text": text, "bytes": written.decode("utf-8")},
        )


def _whole(written: bytes) -> bool:
    try:
        return "\ufffd" not in written.decode("utf-8")
    except UnicodeDecodeError:
        return False


@rule("OAI-USAGE-002", "OAI-USAGE-003")
def judge_usage(exchange: Exchange, answer: Answer, report: Report) -> None:
    """Judges the counts of an answer that has any against each other and against its text."""
    usage = answer.usage
    if usage is None:
        return
    prompt = _count(usage, "prompt_tokens")
    spent = _count(usage, "completion_tokens")
    total = _count(usage, "total_tokens")
    if prompt is None or spent is None or total is None:
        return
    if min(prompt, spent, total) < 0:
        report.add("OAI-USAGE-002", "a count is negative", at="/usage", seen=dict(usage))
        return
    if total != prompt + spent:
        report.add(
            "OAI-USAGE-002", "total is not prompt + completion", at="/usage", seen=dict(usage)
        )
    said = any(choice.text for choice in answer.choices.values())
    if exchange.request is not None and prompt == spent == total == 0 and said:
        report.add("OAI-USAGE-003", "every count is 0", at="/usage", seen=dict(usage))
        return
    if exchange.request is not None and prompt == 0 and prompt_text(exchange).strip():
        report.add("OAI-USAGE-003", "no prompt tokens for a prompt", at="/usage", seen=dict(usage))
    size = sum(
        len(choice.text.encode("utf-8", "surrogatepass"))
        + sum(len(str(call.arguments)) + len(call.name) for call in choice.calls)
        for choice in answer.choices.values()
    )
    echoed = bool(exchange.asked.get("echo"))
    if size > _BYTES_A_TOKEN * spent and not echoed:
        report.add(
            "OAI-USAGE-003",
            f"{spent} completion tokens for {size} bytes of text",
            at="/usage/completion_tokens",
            seen=dict(usage),
        )
    hidden = mapping(usage.get("completion_tokens_details")).get("reasoning_tokens")
    plain = not hidden and not exchange.asked.get("best_of") and not stop_strings(exchange)
    calls = any(
        choice.calls or choice.function_call or choice.reasons for choice in answer.choices.values()
    )
    if plain and not calls and spent > _TOKENS_A_BYTE * size + 64 * max(len(answer.choices), 1):
        report.add(
            "OAI-USAGE-003",
            f"{spent} completion tokens for {size} bytes of text",
            at="/usage/completion_tokens",
            seen=dict(usage),
        )


def judge_content(exchange: Exchange, answer: Answer, report: Report) -> None:
    """Judges a folded answer by every law about content."""
    for choice in answer.choices.values():
        judge_stops(exchange, choice, report)
        judge_text(exchange, choice, report)
        if exchange.route is Route.CHAT:
            judge_finish(exchange, choice, report)
            judge_logprobs(exchange, choice, report)
            judge_unasked_logprobs(exchange, choice, report)
            judge_json(exchange, choice, report)
    if exchange.route is Route.CHAT:
        judge_tools(exchange, answer, report)
    judge_budget(exchange, answer, report)
    judge_usage(exchange, answer, report)
