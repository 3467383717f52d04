"""Text completions, broken in one place at a time."""

from collections.abc import Callable

import pytest

from lorax_contracts.exchange import Exchange
from tests.contracts import samples
from tests.contracts.judge.cases import Case, each_case

CASES: tuple[Case, ...] = (
    (
        "OAI-COMP-001",
        "text a number",
        lambda: samples.edit(samples.completion(), lambda d: d["choices"][0].update(text=1)),
    ),
    (
        "OAI-COMP-002",
        "object of chat",
        lambda: samples.edit(samples.completion(), lambda d: d.update(object="chat.completion")),
    ),
    (
        "OAI-COMP-003",
        "id null as text",
        lambda: samples.edit(samples.completion(), lambda d: d.update(id="null")),
    ),
    (
        "OAI-COMP-012",
        "created 0",
        lambda: samples.edit(samples.completion(), lambda d: d.update(created=0)),
    ),
    (
        "OAI-COMP-013",
        "model null as text",
        lambda: samples.edit(samples.completion(), lambda d: d.update(model="null")),
    ),
    (
        "OAI-COMP-003",
        "id changes in a stream",
        lambda: samples.edit_events(
            samples.completion_stream(), lambda d: d[1].update(id="cmpl-9")
        ),
    ),
    (
        "OAI-COMP-004",
        "one answer for two prompts",
        lambda: samples.asking(samples.completion(), prompt=["One", "Two"]),
    ),
    (
        "OAI-COMP-004",
        "an index twice",
        lambda: samples.edit(samples.completion(), lambda d: d["choices"].append(d["choices"][0])),
    ),
    (
        "OAI-COMP-005",
        "another word",
        lambda: samples.edit(
            samples.completion(), lambda d: d["choices"][0].update(finish_reason="tool_calls")
        ),
    ),
    (
        "OAI-COMP-005",
        "null in a whole reply",
        lambda: samples.edit(
            samples.completion(), lambda d: d["choices"][0].update(finish_reason=None)
        ),
    ),
    (
        "OAI-COMP-014",
        "never in a stream",
        lambda: samples.edit_events(samples.completion_stream(), lambda d: d.pop(2) and None),
    ),
    (
        "OAI-COMP-014",
        "more after it",
        lambda: samples.edit_events(samples.completion_stream(), lambda d: d.insert(3, d[0])),
    ),
    (
        "OAI-COMP-007",
        "no echo",
        lambda: samples.edit(
            samples.completion(), lambda d: d["choices"][0].update(text=" two three")
        ),
    ),
    (
        "OAI-COMP-008",
        "null",
        lambda: samples.edit(samples.completion(), lambda d: d["choices"][0].update(logprobs=None)),
    ),
    (
        "OAI-COMP-008",
        "lists of different lengths",
        lambda: samples.edit(
            samples.completion(),
            lambda d: d["choices"][0]["logprobs"]["text_offset"].pop() and None,
        ),
    ),
    (
        "OAI-COMP-015",
        "other tokens",
        lambda: samples.edit(
            samples.completion(),
            lambda d: d["choices"][0]["logprobs"]["tokens"].__setitem__(1, " six"),
        ),
    ),
    (
        "OAI-LOGP-003",
        "above zero",
        lambda: samples.edit(
            samples.completion(),
            lambda d: d["choices"][0]["logprobs"]["token_logprobs"].__setitem__(1, 2.0),
        ),
    ),
    (
        "OAI-COMP-009",
        "no [DONE]",
        lambda: samples.replace_body(
            samples.completion_stream(),
            samples.completion_stream().body.replace(b"data: [DONE]\n\n", b""),
        ),
    ),
    (
        "OAI-COMP-010",
        "usage unasked",
        lambda: samples.asking(samples.completion_stream(), stream_options=None),
    ),
    (
        "OAI-COMP-010",
        "usage missing",
        lambda: samples.edit_events(samples.completion_stream(), lambda d: d.pop() and None),
    ),
    (
        "OAI-FINISH-002",
        "over the budget",
        lambda: samples.asking(samples.completion(), max_tokens=1),
    ),
    (
        "OAI-USAGE-001",
        "no usage",
        lambda: samples.edit(samples.completion(), lambda d: d.pop("usage") and None),
    ),
)


@each_case(CASES)
def test_one_broken_promise_is_found_under_its_law(
    law: str, what: str, broken: Callable[[], Exchange]
) -> None:
    """The law is named when, and only because, its promise is broken."""
    assert samples.found(broken(), strict=True) - {"OAI-HTTP-003"} == {law}, what


@pytest.mark.parametrize("right", [samples.completion, samples.completion_stream])
def test_a_right_answer_breaks_no_law(right: Callable[[], Exchange]) -> None:
    """No false alarm where every promise is kept."""
    assert samples.found(right(), strict=True) <= {"OAI-HTTP-003"}
