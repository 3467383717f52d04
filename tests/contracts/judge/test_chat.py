"""A chat completion that came whole, broken in one place at a time."""

from collections.abc import Callable

import pytest

from lorax_contracts.exchange import Exchange
from tests.contracts import samples
from tests.contracts.judge.cases import Case, each_case

CASES: tuple[Case, ...] = (
    (
        "OAI-CHAT-001",
        "system_fingerprint a number",
        lambda: samples.edit(
            samples.golden("chat_plain"), lambda d: d.update(system_fingerprint=1)
        ),
    ),
    (
        "OAI-CHAT-001",
        "no object at all",
        lambda: samples.edit(samples.golden("chat_plain"), lambda d: [d]),
    ),
    (
        "OAI-CHAT-002",
        "object of completions",
        lambda: samples.edit(
            samples.golden("chat_plain"), lambda d: d.update(object="text_completion")
        ),
    ),
    (
        "OAI-CHAT-003",
        "id null as text",
        lambda: samples.edit(samples.golden("chat_plain"), lambda d: d.update(id="null")),
    ),
    (
        "OAI-CHAT-003",
        "id missing",
        lambda: samples.edit(samples.golden("chat_plain"), lambda d: d.pop("id") and None),
    ),
    (
        "OAI-CHAT-004",
        "created 0",
        lambda: samples.edit(samples.golden("chat_plain"), lambda d: d.update(created=0)),
    ),
    (
        "OAI-CHAT-004",
        "created in milliseconds",
        lambda: samples.edit(
            samples.golden("chat_plain"), lambda d: d.update(created=1700000000000)
        ),
    ),
    (
        "OAI-CHAT-005",
        "the base model instead",
        lambda: samples.edit(
            samples.golden("chat_plain"), lambda d: d.update(model="acme/base-7b")
        ),
    ),
    (
        "OAI-CHAT-006",
        "a choice too many",
        lambda: samples.edit(
            samples.golden("chat_plain"),
            lambda d: d["choices"].append({**d["choices"][0], "index": 1}),
        ),
    ),
    (
        "OAI-CHAT-006",
        "a choice too few",
        lambda: samples.edit(
            samples.golden("chat_two_choices"), lambda d: d["choices"].pop() and None
        ),
    ),
    (
        "OAI-CHAT-006",
        "an index twice",
        lambda: samples.edit(
            samples.golden("chat_two_choices"), lambda d: d["choices"][1].update(index=0)
        ),
    ),
    (
        "OAI-CHAT-007",
        "null",
        lambda: samples.edit(
            samples.golden("chat_plain"), lambda d: d["choices"][0].update(finish_reason=None)
        ),
    ),
    (
        "OAI-CHAT-007",
        "another word",
        lambda: samples.edit(
            samples.golden("chat_plain"),
            lambda d: d["choices"][0].update(finish_reason="eos_token"),
        ),
    ),
    (
        "OAI-CHAT-008",
        "no role",
        lambda: samples.edit(
            samples.golden("chat_plain"), lambda d: d["choices"][0]["message"].pop("role") and None
        ),
    ),
    (
        "OAI-CHAT-009",
        "no content",
        lambda: samples.edit(
            samples.golden("chat_plain"),
            lambda d: d["choices"][0]["message"].pop("content") and None,
        ),
    ),
    (
        "OAI-CHAT-009",
        "null content",
        lambda: samples.edit(
            samples.golden("chat_plain"), lambda d: d["choices"][0]["message"].update(content=None)
        ),
    ),
    (
        "OAI-CHAT-010",
        "no refusal",
        lambda: samples.edit(
            samples.golden("chat_plain"), lambda d: d["choices"][0]["message"].pop("refusal")
        ),
    ),
    (
        "OAI-USAGE-001",
        "no usage",
        lambda: samples.edit(samples.golden("chat_plain"), lambda d: d.pop("usage") and None),
    ),
    (
        "OAI-CHAT-001",
        "usage without total",
        lambda: samples.edit(
            samples.golden("chat_plain"), lambda d: d["usage"].pop("total_tokens") and None
        ),
    ),
)


@each_case(CASES)
def test_one_broken_promise_is_found_under_its_law(
    law: str, what: str, broken: Callable[[], Exchange]
) -> None:
    """The law is named when, and only because, its promise is broken."""
    assert samples.found(broken(), strict=True) - {"OAI-HTTP-003"} == {law}, what


@pytest.mark.parametrize("right", [samples.tool_chat, samples.logprobs_chat])
def test_a_right_answer_breaks_no_law(right: Callable[[], Exchange]) -> None:
    """No false alarm where every promise is kept."""
    assert samples.found(right(), strict=True) <= {"OAI-HTTP-003"}


def test_a_dated_snapshot_of_the_model_is_the_model() -> None:
    """gpt-4o may answer as gpt-4o-2024-08-06, but not as another model."""
    exchange = samples.golden("chat_plain")
    dated = samples.edit(exchange, lambda d: d.update(model="acme/poet-2024-08-06"))
    other = samples.edit(exchange, lambda d: d.update(model="acme/poet-large"))
    assert "OAI-CHAT-005" not in samples.found(dated)
    assert "OAI-CHAT-005" in samples.found(other)
