"""What an answer says, broken in one place at a time."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from lorax_contracts.exchange import Exchange
from tests.contracts import samples
from tests.contracts.judge.cases import Case, each_case

CASES: tuple[Case, ...] = (
    (
        "OAI-STOP-001",
        "kept in the text",
        lambda: samples.asking(samples.golden("chat_plain"), stop="there"),
    ),
    (
        "OAI-STOP-001",
        "kept in a stream, over chunks",
        lambda: samples.asking(samples.golden("chat_stream"), stop=["o th"]),
    ),
    (
        "OAI-TEXT-001",
        "EOS spelled out",
        lambda: samples.edit(
            samples.golden("chat_plain"),
            lambda d: d["choices"][0]["message"].update(content="Hello</s>"),
        ),
    ),
    (
        "OAI-TEXT-002",
        "a lone surrogate",
        lambda: samples.edit(
            samples.golden("chat_plain"),
            lambda d: d["choices"][0]["message"].update(content="Hello\ud83d"),
        ),
    ),
    (
        "OAI-TEXT-002",
        "U+FFFD, and the tokens' bytes are whole",
        lambda: samples.edit(
            samples.logprobs_chat(),
            lambda d: d["choices"][0]["message"].update(content="Hi \ufffd\ufffd"),
        ),
    ),
    (
        "OAI-FINISH-002",
        "over the budget",
        lambda: samples.asking(samples.golden("chat_plain"), max_completion_tokens=3),
    ),
    (
        "OAI-FINISH-003",
        "length too early",
        lambda: samples.asking(samples.golden("chat_length"), max_completion_tokens=9),
    ),
    (
        "OAI-FINISH-005",
        "calls under stop",
        lambda: samples.edit(
            samples.tool_chat(), lambda d: d["choices"][0].update(finish_reason="stop")
        ),
    ),
    (
        "OAI-FINISH-005",
        "calls under stop, streamed",
        lambda: samples.edit_events(
            samples.tool_stream(), lambda d: d[-1]["choices"][0].update(finish_reason="stop")
        ),
    ),
    (
        "OAI-FINISH-006",
        "no calls",
        lambda: samples.edit(
            samples.golden("chat_plain"),
            lambda d: d["choices"][0].update(finish_reason="tool_calls"),
        ),
    ),
    (
        "OAI-USAGE-002",
        "a wrong sum",
        lambda: samples.edit(
            samples.golden("chat_plain"), lambda d: d["usage"].update(total_tokens=99)
        ),
    ),
    (
        "OAI-USAGE-003",
        "no prompt tokens",
        lambda: samples.edit(
            samples.golden("chat_plain"),
            lambda d: d["usage"].update(prompt_tokens=0, total_tokens=4),
        ),
    ),
    (
        "OAI-USAGE-003",
        "no completion tokens",
        lambda: samples.edit(
            samples.golden("chat_plain"),
            lambda d: d["usage"].update(completion_tokens=0, total_tokens=11),
        ),
    ),
    (
        "OAI-USAGE-003",
        "too many completion tokens",
        lambda: samples.edit(
            samples.golden("chat_plain"),
            lambda d: d["usage"].update(completion_tokens=900, total_tokens=911),
        ),
    ),
    (
        "OAI-USAGE-003",
        "no completion tokens, streamed",
        lambda: samples.edit_events(
            samples.golden("chat_stream_usage"),
            lambda d: d[-1]["usage"].update(completion_tokens=0, total_tokens=11),
        ),
    ),
)


@each_case(CASES)
def test_one_broken_promise_is_found_under_its_law(
    law: str, what: str, broken: Callable[[], Exchange]
) -> None:
    """The law is named when, and only because, its promise is broken."""
    assert samples.found(broken(), strict=True) - {"OAI-HTTP-003"} == {law}, what


@pytest.mark.parametrize(
    "right", [lambda: samples.golden("chat_stop_cut"), lambda: samples.golden("chat_zero_budget")]
)
def test_a_right_answer_breaks_no_law(right: Callable[[], Exchange]) -> None:
    """No false alarm where every promise is kept."""
    assert samples.found(right(), strict=True) <= {"OAI-HTTP-003"}


def test_without_the_request_nothing_that_was_asked_is_judged() -> None:
    """A recording alone says nothing about stop strings, budgets or the model's name."""
    exchange = replace(samples.golden("chat_plain"), request=None)
    assert samples.found(exchange) == set()


def test_a_reasoning_models_hidden_tokens_are_no_fault() -> None:
    """They are spent and not shown; with a small budget nothing else comes."""

    def think(document: Any) -> None:
        document["usage"] = {"prompt_tokens": 11, "completion_tokens": 900, "total_tokens": 911}
        choice = document["choices"][0]
        choice["finish_reason"] = "length"
        choice["message"].update(content=None, reasoning_content="Hm.")

    exchange = samples.edit(samples.golden("chat_plain"), think)
    assert samples.found(exchange) == set()
