"""Log probabilities, broken in one place at a time."""

from collections.abc import Callable

import pytest

from lorax_contracts.exchange import Exchange
from tests.contracts import samples
from tests.contracts.judge.cases import Case, each_case

CASES: tuple[Case, ...] = (
    (
        "OAI-LOGP-001",
        "null",
        lambda: samples.edit(
            samples.logprobs_chat(), lambda d: d["choices"][0].update(logprobs=None)
        ),
    ),
    (
        "OAI-CHAT-001",
        "without a required part",
        lambda: samples.edit(
            samples.logprobs_chat(),
            lambda d: d["choices"][0]["logprobs"]["content"][0].pop("bytes") and None,
        ),
    ),
    (
        "OAI-LOGP-002",
        "a token missing",
        lambda: samples.edit(
            samples.logprobs_chat(), lambda d: d["choices"][0]["logprobs"]["content"].pop() and None
        ),
    ),
    (
        "OAI-LOGP-003",
        "above zero",
        lambda: samples.edit(
            samples.logprobs_chat(),
            lambda d: d["choices"][0]["logprobs"]["content"][0].update(logprob=0.5),
        ),
    ),
    (
        "OAI-LOGP-003",
        "beyond what a float holds",
        lambda: samples.edit(
            samples.logprobs_chat(),
            lambda d: d["choices"][0]["logprobs"]["content"][0].update(logprob=-(10**400)),
        ),
    ),
    (
        "OAI-LOGP-003",
        "an alternative above zero",
        lambda: samples.edit(
            samples.logprobs_chat(),
            lambda d: d["choices"][0]["logprobs"]["content"][0]["top_logprobs"][1].update(
                logprob=2
            ),
        ),
    ),
    (
        "OAI-LOGP-003",
        "mass above 1",
        lambda: samples.edit(
            samples.logprobs_chat(),
            lambda d: d["choices"][0]["logprobs"]["content"][0]["top_logprobs"][1].update(
                logprob=-0.2
            ),
        ),
    ),
    (
        "OAI-LOGP-004",
        "too many",
        lambda: samples.asking(samples.logprobs_chat(), top_logprobs=None),
    ),
    (
        "OAI-LOGP-004",
        "not sorted",
        lambda: samples.edit(
            samples.logprobs_chat(),
            lambda d: d["choices"][0]["logprobs"]["content"][0]["top_logprobs"].reverse(),
        ),
    ),
    (
        "OAI-LOGP-005",
        "unasked",
        lambda: samples.asking(samples.logprobs_chat(), logprobs=None, top_logprobs=None),
    ),
)


@each_case(CASES)
def test_one_broken_promise_is_found_under_its_law(
    law: str, what: str, broken: Callable[[], Exchange]
) -> None:
    """The law is named when, and only because, its promise is broken."""
    assert samples.found(broken(), strict=True) - {"OAI-HTTP-003"} == {law}, what


@pytest.mark.parametrize("right", [samples.logprobs_chat])
def test_a_right_answer_breaks_no_law(right: Callable[[], Exchange]) -> None:
    """No false alarm where every promise is kept."""
    assert samples.found(right(), strict=True) <= {"OAI-HTTP-003"}
