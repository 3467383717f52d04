"""What holds for generated tokens on LoRAX's wire, whether they came in one reply or as events."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lorax_contracts.exchange import Exchange
from lorax_contracts.judge.answer import mapping, objects
from lorax_contracts.judge.logprobs import not_a_logprob
from lorax_contracts.judge.report import Report
from lorax_contracts.rules import rule

__all__ = ["Generated", "judge_generated", "parameters_of", "samples"]


@dataclass(frozen=True, slots=True)
class Generated:
    """One sequence.

    Attributes:
        text: generated_text.
        tokens: the token objects in order.
        count: generated_tokens as stated; None when no details came.
        finish: finish_reason as stated; None when no details came.
        text_law, count_law, finish_law: ids of the laws to report under; they differ for streams.
    """

    text: str
    tokens: Sequence[Mapping[str, Any]]
    count: int | None
    finish: str | None
    text_law: str
    count_law: str
    finish_law: str


def parameters_of(exchange: Exchange) -> Mapping[str, Any]:
    """The request's parameters; empty when there are none."""
    return mapping(exchange.asked.get("parameters"))


def samples(parameters: Mapping[str, Any]) -> bool | None:
    """Whether LoRAX samples for these parameters (server/lorax_server/utils/tokens.py:313-338).

    None for a temperature of 0, which depends on what else is in the batch.
    """
    temperature = parameters.get("temperature")
    if temperature == 0:
        return None
    return bool(
        parameters.get("do_sample")
        or (temperature is not None and temperature != 1)
        or parameters.get("top_k") is not None
        or (parameters.get("top_p") is not None and parameters["top_p"] < 1)
        or (parameters.get("typical_p") is not None and parameters["typical_p"] < 1)
    )


def _stops(parameters: Mapping[str, Any]) -> list[str]:
    stop = parameters.get("stop")
    return [text for text in stop if isinstance(text, str)] if isinstance(stop, list) else []


def _stopped(buffer: str, stops: Sequence[str]) -> bool:
    # The shard's pattern ends in $, which also matches before one last newline.
    return any(buffer.endswith((stop, stop + "\n")) for stop in stops)


def _text(exchange: Exchange, made: Generated, report: Report) -> None:
    parameters = parameters_of(exchange)
    joined = "".join(str(token.get("text")) for token in made.tokens if not token.get("special"))
    prompt = str(exchange.asked.get("inputs", ""))
    expected = {joined, ""} if not joined or joined.endswith("�") else {joined}
    # An unfinished character shows as texts that are still to come, and empties the whole.
    if made.tokens and made.tokens[-1].get("text") == "":
        expected.add("")
    if parameters.get("return_full_text") is True:
        expected = {prompt + text for text in expected}
    elif parameters.get("return_full_text") is None:
        expected |= {prompt + text for text in expected}
    if made.text not in expected and not _lost_its_beginning(exchange, made):
        report.add(made.text_law, "the tokens' texts are not generated_text", seen=made.text)


_WINDOW = 5
"""Tokens before the answer that LoRAX's decoder looks back on."""


def _lost_its_beginning(exchange: Exchange, made: Generated) -> bool:
    """Whether LoRAX's decoder would lose these texts' beginning, and all after it is there.

    It looks back `prompt_length - 5` tokens; for a shorter prompt that place moves on with the answer, so that the
    first bytes of a first character of several tokens fall out (server/lorax_server/models/flash_causal_lm.py:265).
    A stream does not tell how many tokens its prompt has; five words have at least five.
    """
    stated = exchange.count("x-prompt-tokens")
    words = len(str(exchange.asked.get("inputs", "")).split())
    truncate = parameters_of(exchange).get("truncate")
    prompt = words if stated is None else stated
    if min(prompt, truncate if isinstance(truncate, int) else prompt) >= _WINDOW:
        return False
    texts = [str(token.get("text")) for token in made.tokens if not token.get("special")]
    shown = next((place for place, text in enumerate(texts) if text), len(texts))
    return shown > 0 and made.text.endswith("".join(texts[shown + 1 :]))


def _finish(exchange: Exchange, made: Generated, report: Report) -> None:
    parameters = parameters_of(exchange)
    most = parameters.get("max_new_tokens")
    last = made.tokens[-1] if made.tokens else {}
    if made.finish == "length":
        if isinstance(most, int) and made.count is not None and made.count != most:
            report.add(made.finish_law, f"length after {made.count} of {most} tokens")
    elif isinstance(most, int) and made.count is not None and made.count >= most:
        report.add(
            made.finish_law, f"{made.count} of {most} tokens finish with length", seen=made.finish
        )
    if made.finish == "eos_token" and last and last.get("special") is not True:
        report.add(made.finish_law, "eos_token without a special last token", seen=last)
    stops = _stops(parameters)
    buffer = ""
    for place, token in enumerate(made.tokens):
        buffer += str(token.get("text"))
        final = place == len(made.tokens) - 1
        if _stopped(buffer, stops) and not final:
            report.add("LORAX-GEN-007", "generation went on after a stop string", seen=buffer)
            return
    if made.finish == "stop_sequence" and made.tokens and not _stopped(buffer, stops):
        report.add("LORAX-GEN-007", "stop_sequence without a stop string at the end", seen=buffer)
    if made.finish == "eos_token" and parameters.get("ignore_eos_token") is True:
        report.add(made.finish_law, "eos_token in spite of ignore_eos_token")


def _logprobs(exchange: Exchange, made: Generated, report: Report) -> None:
    most = parameters_of(exchange).get("return_k_alternatives")
    for place, token in enumerate(made.tokens):
        at = f"token {place}"
        value = token.get("logprob")
        if value is not None and not_a_logprob(value):
            report.add("LORAX-GEN-009", "no log probability", at=at, seen=token)
        listed = token.get("alternative_tokens")
        if exchange.request is not None and (listed is None) != (most is None):
            report.add("LORAX-GEN-010", f"return_k_alternatives was {most}", at=at, seen=token)
        others = objects(listed)
        stated: list[Any] = [item.get("logprob") for item in others]
        values = [one for one in stated if type(one) in {int, float}]
        if isinstance(most, int) and len(others) > most:
            report.add("LORAX-GEN-010", f"more than {most} alternatives", at=at, seen=others)
        if any(not_a_logprob(one) for one in values):
            report.add("LORAX-GEN-010", "no log probability", at=at, seen=values)
        elif values != sorted(values, reverse=True) or sum(map(math.exp, values)) > 1.001:
            report.add("LORAX-GEN-010", "not descending, or of mass above 1", at=at, seen=values)


@rule("LORAX-GEN-007", "LORAX-GEN-009", "LORAX-GEN-010")
def judge_generated(exchange: Exchange, made: Generated, report: Report) -> None:
    """Judges one sequence by what must hold between its parts."""
    if made.tokens:
        _text(exchange, made, report)
        if made.count is not None and made.count != len(made.tokens):
            report.add(
                made.count_law, f"generated_tokens {made.count} for {len(made.tokens)} tokens"
            )
    if made.finish is not None:
        _finish(exchange, made, report)
    _logprobs(exchange, made, report)
