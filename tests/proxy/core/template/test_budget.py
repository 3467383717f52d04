"""The meter: what is left, what a value weighs, and when the answer is no."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorax_proxy.core.template.budget import (
    BudgetExhausted,
    Limits,
    Meter,
    Paced,
    Weighable,
    active_meter,
    metering,
)

VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=12,
)


def meter(steps: int = 1_000_000, characters: int = 1_000_000, output: int = 1_000_000) -> Meter:
    """A meter that allows just this much."""
    return Meter(Limits(steps=steps, characters=characters, output=output))


@pytest.mark.parametrize(
    ("use", "words"),
    [
        (lambda m, n: m.step(n), "more steps"),
        (lambda m, n: m.spend(n), "more text"),
        (lambda m, n: m.emit(n), "prompt is longer"),
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


@pytest.mark.property
@given(VALUES)
def test_a_value_weighs_about_what_its_text_is_long(value: Any) -> None:
    """Escapes of unprintable characters make up to ten of one; nothing makes more."""
    weight, length = meter().weigh(value), len(str(value))
    assert length <= 10 * weight + 32
    assert weight <= 10 * length + 32


@pytest.mark.parametrize(
    "grow",
    [
        lambda v: [v, v],
        lambda v: (v, v),
        lambda v: {"a": v, "b": v},
        lambda v: {"a": v, "b": v}.items(),
        lambda v: [{"a": v}.values(), v],
    ],
)
def test_what_doubles_when_printed_is_not_weighed_to_the_end(grow: Any) -> None:
    """Sixty levels of two would take longer than the universe is old."""
    value: Any = "x"
    for _ in range(60):
        value = grow(value)
    with pytest.raises(BudgetExhausted):
        meter(10_000, 10_000).weigh(value)


def test_what_weighs_more_than_there_is_ends_the_weighing() -> None:
    """A thousand references to one long text are not all added up."""
    spent = meter(characters=1_000)
    with pytest.raises(BudgetExhausted, match="more text"):
        spent.weigh(["x" * 100] * 1_000)
    assert spent.steps > 1_000_000 - 2_000


def test_a_range_weighs_its_members() -> None:
    """It is walked like a list, though it holds nothing."""
    spent = meter(100)
    with pytest.raises(BudgetExhausted):
        spent.weigh(range(200))


def test_an_object_of_ours_tells_its_members() -> None:
    """A namespace prints what it holds."""

    class Box(Weighable):
        def members(self) -> list[Any]:
            return ["x" * 50]

    assert meter().weigh([Box()]) >= 50


def test_a_paced_iterator_pays_for_each_item() -> None:
    """And gives the same items."""
    spent = meter(3)
    paced = spent.paced(iter("abcd"))
    assert [next(paced), next(paced), next(paced)] == ["a", "b", "c"]
    with pytest.raises(BudgetExhausted):
        next(paced)


def test_iterators_are_not_stacked_without_end() -> None:
    """Python frees a long chain of them on the C stack, and dies."""
    chain = meter().paced(iter("ab"))
    for _ in range(40):
        chain = meter().paced(chain, chain)
    with pytest.raises(BudgetExhausted, match="filters on filters"):
        Paced(meter(), chain, chain.depth + 10)
    assert list(chain) == ["a", "b"]


def test_the_active_meter_is_the_innermost() -> None:
    """And outside of any rendering there is none."""
    outer, inner = meter(), meter()
    with metering(outer):
        with metering(inner):
            assert active_meter() is inner
        assert active_meter() is outer
    with pytest.raises(LookupError):
        active_meter()
