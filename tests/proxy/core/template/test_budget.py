"""The meter: what is left, what a value counts for, and when the answer is no."""

from typing import Any

import pytest

from lorax_proxy.core.template.budget import (
    BudgetExhausted,
    Limits,
    Meter,
    active_meter,
    metering,
)


def meter(steps: int = 1_000_000, characters: int = 1_000_000, output: int = 1_000_000) -> Meter:
    """A meter that allows just this much."""
    return Meter(Limits(steps=steps, characters=characters, output=output))


@pytest.mark.parametrize(
    ("use", "words"),
    [
        (lambda m, n: m.step(n), "more steps"),
        (lambda m, n: m.take("x" * n), "more text"),
        (lambda m, n: m.take([0] * n), "more steps"),
        (lambda m, n: m.emitted("x" * n), "prompt is longer"),
    ],
)
def test_each_allowance_ends_exactly(use: Any, words: str) -> None:
    """Ten of ten pass, the eleventh does not."""
    spent = meter(10, 10, 10)
    use(spent, 10)
    with pytest.raises(BudgetExhausted, match=words):
        use(spent, 1)


def test_the_allowances_grow_with_the_input() -> None:
    """By each unit of input; steps also by pairs of messages, characters by messages."""
    limits = Limits(
        steps=1,
        steps_per_input=2,
        steps_per_pair=3,
        characters=5,
        characters_per_input=7,
        output=11,
        output_per_input=13,
    )
    grown = Meter(limits, size=100, messages=10)
    assert grown.steps == 1 + 2 * 100 + 3 * 10 * 10
    assert grown.characters == 5 + (7 + 10) * 100
    assert grown.output == 11 + 13 * 100


@pytest.mark.parametrize(
    ("value", "steps", "characters"),
    [
        ("abc", 0, 3),
        ([1, 2], 2, 0),
        ((1, 2), 2, 0),
        ({"a": 1}, 1, 0),
        ({"a": 1}.items(), 1, 0),
        (range(9), 9, 0),
        (7, 0, 0),
        (None, 0, 0),
    ],
)
def test_a_value_counts_for_its_length(value: Any, steps: int, characters: int) -> None:
    """A text's characters, a container's members."""
    spent = meter(100, 100)
    spent.take(value)
    assert (100 - spent.steps, 100 - spent.characters) == (steps, characters)


def test_the_active_meter_is_the_innermost() -> None:
    """And outside of any rendering there is none."""
    outer, inner = meter(), meter()
    with metering(outer):
        with metering(inner):
            assert active_meter() is inner
        assert active_meter() is outer
    with pytest.raises(LookupError):
        active_meter()
