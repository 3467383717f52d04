"""The distributions behind the logprobs."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorax_mock.chances import Chances, chances_for
from lorax_mock.wire import GenerateParameters

_BYTES = st.integers(0, 255)


@pytest.mark.law
@given(
    _BYTES,
    _BYTES,
    st.floats(0.01, 10),
    st.none() | st.integers(1, 5),
    st.none() | st.floats(0.05, 0.99),
)
def test_ranks_descend_and_sum_to_at_most_one(
    confidence: int, luck: int, temperature: float, top_k: int | None, nucleus: float | None
) -> None:
    """Under every temperature and mask, and the chosen rank is never a masked one."""
    chances = Chances(samples=True, temperature=temperature, top_k=top_k, nucleus=nucleus)
    logprobs = [chances.logprob(confidence, rank) for rank in range(40)]
    allowed = [logprob for logprob in logprobs if logprob is not None]
    assert logprobs[: len(allowed)] == allowed
    assert allowed == sorted(allowed, reverse=True)
    assert sum(map(math.exp, allowed)) <= 1.000001
    assert chances.logprob(confidence, chances.rank(confidence, luck)) is not None
    assert top_k is None or len(allowed) <= top_k


def test_greedy_takes_the_likeliest() -> None:
    """Whatever the luck; sampling sometimes does not."""
    greedy = chances_for(GenerateParameters(top_p=0.5), samples=False, forced=False)
    assert {greedy.rank(0, luck) for luck in range(256)} == {0}
    sampled = chances_for(GenerateParameters(do_sample=True), samples=True, forced=False)
    assert {sampled.rank(0, luck) for luck in range(256)} == {0, 1, 2, 3}


def test_a_low_temperature_is_more_confident() -> None:
    """And a high one less."""
    cold, warm, hot = (
        Chances(samples=True, temperature=temperature).logprob(100, 0)
        for temperature in (0.2, 1.0, 3.0)
    )
    assert cold is not None
    assert warm is not None
    assert hot is not None
    assert cold > warm > hot


def test_a_grammar_leaves_one_choice() -> None:
    """Everything else is masked."""
    forced = chances_for(GenerateParameters(), samples=False, forced=True)
    assert forced.logprob(3, 0) == 0.0
    assert forced.logprob(3, 1) is None
