"""The distributions behind the logprobs."""

import math
from collections import Counter

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorax_mock.model.distribution import Distribution, distribution_for
from lorax_mock.wire.native import GenerateParameters

_BYTES = st.integers(0, 255)


@pytest.mark.property
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
    """Under every temperature and mask ranks descend, sum to at most one, and the chosen one is not masked."""
    distribution = Distribution(samples=True, temperature=temperature, top_k=top_k, nucleus=nucleus)
    logprobs = [distribution.logprob(confidence, rank) for rank in range(40)]
    allowed = [logprob for logprob in logprobs if logprob is not None]
    assert logprobs[: len(allowed)] == allowed
    assert allowed == sorted(allowed, reverse=True)
    assert sum(map(math.exp, allowed)) <= 1.000001
    assert distribution.logprob(confidence, distribution.rank(confidence, luck)) is not None
    assert top_k is None or len(allowed) <= top_k


def test_greedy_takes_the_likeliest() -> None:
    """Greedy decoding takes rank 0 whatever the luck, and sampling sometimes another."""
    greedy = distribution_for(GenerateParameters(top_p=0.5), samples=False, forced=False)
    assert {greedy.rank(0, luck) for luck in range(256)} == {0}
    sampled = distribution_for(GenerateParameters(do_sample=True), samples=True, forced=False)
    assert {sampled.rank(0, luck) for luck in range(256)} == {0, 1, 2, 3}


def test_a_low_temperature_is_more_confident() -> None:
    """A lower temperature makes the likeliest token likelier."""
    cold, warm, hot = (
        Distribution(samples=True, temperature=temperature).logprob(100, 0)
        for temperature in (0.2, 1.0, 3.0)
    )
    assert cold is not None
    assert warm is not None
    assert hot is not None
    assert cold > warm > hot


def test_a_grammar_leaves_one_choice() -> None:
    """Under a grammar one rank has all the probability and every other is masked."""
    forced = distribution_for(GenerateParameters(), samples=False, forced=True)
    assert forced.logprob(3, 0) == 0.0
    assert forced.logprob(3, 1) is None


def test_a_confident_model_mostly_says_the_likeliest() -> None:
    """Of 256 tokens 216, 24, 10 and 6 are of ranks 0 to 3, and a mask gives its ranks to the last left."""
    free, two = (Distribution(samples=True, top_k=top_k) for top_k in (None, 2))
    assert free.logprob(255, 0) == pytest.approx(math.log(0.99), abs=1e-6)
    assert Counter(free.rank(0, luck) for luck in range(256)) == {0: 216, 1: 24, 2: 10, 3: 6}
    assert Counter(two.rank(0, luck) for luck in range(256)) == {0: 216, 1: 40}


@pytest.mark.parametrize(
    ("byte", "temperature", "likeliest"),
    [
        (0, 1.0, 0.34),
        (51, 1.0, 0.34 + 0.65 * math.sqrt(0.2)),
        (255, 1.0, 0.99),
        (0, 0.5, 1 - 0.66**2),
        (0, 0.125, 1 - 0.66**8),
        (0, 0.01, 1 - 0.66**8),
        (255, 0.5, 1 - 0.01**2),
        (255, 0.125, 0.999_999),
        (255, 2.0, 1 - 0.01**0.5),
        (255, 4.0, 1 - 0.01**0.25),
        (255, 100.0, 1 - 0.01**0.25),
        (0, 2.0, 0.34),
    ],
)
def test_the_likeliest_and_what_is_left(byte: int, temperature: float, likeliest: float) -> None:
    """Rank 0 has from 0.34 to 0.99 before sharpening, and each next rank half of what is left."""
    distribution = Distribution(samples=True, temperature=temperature)
    expected = [math.log(likeliest)]
    expected += [math.log((1 - likeliest) / 2**rank) for rank in range(1, 5)]
    given_out = [distribution.logprob(byte, rank) for rank in range(5)]
    assert given_out == pytest.approx(expected, abs=1e-6)
    assert given_out == [distribution.logprob(byte, rank) for rank in range(5)]


@pytest.mark.parametrize(
    ("parameters", "ranks"),
    [
        ({}, None),
        ({"top_k": 1}, 1),
        ({"top_k": 3}, 3),
        ({"top_k": 64}, 64),
        ({"top_k": 65}, 65),
        ({"top_p": 0.3}, 1),
        # 0.34, 0.67, 0.835, 0.9175
        ({"top_p": 0.6}, 2),
        ({"top_p": 0.8}, 3),
        ({"typical_p": 0.9}, 4),
        ({"top_p": 0.9, "typical_p": 0.6}, 2),
        ({"top_p": 0.6, "typical_p": 0.9}, 2),
        ({"top_p": 0.9, "top_k": 2}, 2),
        ({"top_p": 1.0}, None),
        ({"typical_p": 1.0, "top_p": 0.8}, 3),
    ],
)
def test_masks_leave_ranks_that_share_everything(
    parameters: dict[str, float], ranks: int | None
) -> None:
    """A mask keeps the fewest ranks that hold its mass, which share out the rest, and others are null."""
    asked = msgspec.convert(parameters | {"do_sample": True}, GenerateParameters)
    distribution = distribution_for(asked, samples=True, forced=False)
    logprobs = [distribution.logprob(0, rank) for rank in range(70)]
    allowed = [logprob for logprob in logprobs if logprob is not None]
    assert len(allowed) == (70 if ranks is None else ranks)
    assert sum(map(math.exp, allowed)) == pytest.approx(1.0, abs=1e-6)
    if ranks is None:
        assert allowed[0] == pytest.approx(math.log(0.34), abs=1e-6)
        assert distribution.logprob(255, 0) == pytest.approx(math.log(0.99), abs=1e-6)


def test_a_nucleus_that_is_just_held_needs_no_more() -> None:
    """A nucleus that rank 0 just reaches masks rank 1, as the shard does."""
    likeliest = 1.0 - (1.0 - 0.34)  # as it is computed
    assert Distribution(samples=True, nucleus=likeliest).logprob(0, 1) is None
    assert Distribution(samples=True, nucleus=likeliest + 1e-9).logprob(0, 1) is not None


def test_a_temperature_counts_only_when_sampling() -> None:
    """Greedy answers show the model's own distribution, without temperature or masks."""
    asked = msgspec.convert({"temperature": 0.3, "top_k": 1}, GenerateParameters)
    greedy, sampled = (
        distribution_for(asked, samples=each, forced=False) for each in (False, True)
    )
    assert greedy.logprob(0, 0) == pytest.approx(math.log(0.34), abs=1e-6)
    assert greedy.logprob(0, 1) is not None
    assert (sampled.logprob(0, 0), sampled.logprob(0, 1)) == (0.0, None)
    warm = msgspec.convert({"temperature": 0.5}, GenerateParameters)
    assert distribution_for(warm, samples=True, forced=False).logprob(0, 0) == pytest.approx(
        math.log(1 - 0.66**2), abs=1e-6
    )


def test_a_grammar_leaves_nothing_to_luck() -> None:
    """Under a grammar each draw is rank 0, sampled or not."""
    forced = distribution_for(GenerateParameters(do_sample=True), samples=True, forced=True)
    assert {forced.rank(7, luck) for luck in range(256)} == {0}
    assert [forced.logprob(7, rank) for rank in range(3)] == [0.0, None, None]


def test_tables_are_shared() -> None:
    """Equal parameters share one distribution, whose table costs as much as a short answer."""
    one, other = (
        distribution_for(GenerateParameters(top_k=3), samples=True, forced=False) for _ in range(2)
    )
    assert one is other
