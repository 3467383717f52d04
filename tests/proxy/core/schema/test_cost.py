"""`lorax_proxy.core.schema.cost`: what dear schemas have in common is seen without compiling."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorax_proxy.core.schema.cost import Budget, Cost, compile_cost
from lorax_proxy.core.schema.forms import JSON_OBJECT, any_value, closed_object, constants
from lorax_proxy.core.schema.strings import FORMATS, Spelling, counted, free

SHORT = {"type": "string", "pattern": free(Spelling.SHORT)}


def strings(count: int, spelling: Spelling = Spelling.SHORT, *, required: bool = True) -> Any:
    """An object of strings."""
    names = [f"prop_{number}" for number in range(count)]
    value = {"type": "string", "pattern": free(spelling)}
    return closed_object({name: dict(value) for name in names}, names if required else [])


# Measured with outlines 0.1.1, outlines-core 0.1.14 and interegular 0.3.3 on one core: seconds to
# build the automaton, states that are left of it, and those where a quarter of a vocabulary fits.
MEASURED = [
    (JSON_OBJECT, 2.37, 248, 11),
    (strings(10, Spelling.FULL), 0.15, 311, 10),
    (strings(10), 0.04, 191, 10),
    (strings(12, required=False), 0.55, 231, 12),
    ({"type": "array", "items": strings(5, Spelling.FULL)}, 0.22, 157, 5),
    (any_value(1), 0.09, 93, 4),
    ({"type": "string", "pattern": FORMATS["date-time"]}, 0.02, 54, 0),
    ({"type": "string", "pattern": counted(0, 16, Spelling.FULL)}, 0.01, 82, 14),
    (closed_object({"a": constants(["中文", "日本語", "한국어"])}, ["a"]), 0.0, 31, 0),
]


@pytest.mark.parametrize(("schema", "building", "states", "wide"), MEASURED)
def test_an_estimate_covers_what_was_measured(
    schema: Any, building: float, states: int, wide: int
) -> None:
    """Never under half of the truth, nor over twice of it."""
    cost = compile_cost(schema)
    assert building / 2 <= cost.building <= 2 * building + 0.02
    assert states / 2 <= cost.states <= 2 * states
    assert wide / 1.5 <= cost.wide <= 1.5 * wide


def test_a_large_vocabulary_pays_for_every_state() -> None:
    """LoRAX's own default schema took 20 seconds with 131,072 tokens, and kept 120 megabytes."""
    cost = compile_cost(JSON_OBJECT)
    assert 15 < cost.seconds < 25
    assert 100 < cost.megabytes < 180


@pytest.mark.parametrize(
    "dear",
    [
        Cost(building=1.1, states=0, wide=0),
        Cost(building=0.9, states=200, wide=0),
        Cost(building=0.9, states=1, wide=9),
    ],
)
def test_a_budget_covers_what_keeps_all_of_its_limits(dear: Cost) -> None:
    """Time on every model, time on one with a large vocabulary, memory."""
    budget = Budget(building=1.0, seconds=10.0, megabytes=100.0)
    assert budget.covers(Cost(building=1.0, states=20, wide=8))
    assert not budget.covers(dear)


@pytest.mark.parametrize(
    ("cheap", "dear"),
    [
        (strings(5), strings(10)),
        (strings(5), strings(5, Spelling.PLANE)),
        (strings(5, Spelling.PLANE), strings(5, Spelling.FULL)),
        (strings(8), strings(8, required=False)),
        (strings(5), {"type": "array", "items": strings(5)}),
        ({"type": "array", "items": SHORT}, {"type": "array", "items": SHORT, "maxItems": 9}),
        (any_value(1), any_value(2)),
        ({"enum": ["a"]}, {"enum": ["a", "bcdefg"]}),
        ({"type": "integer"}, {"type": "array", "prefixItems": [{"type": "integer"}] * 2}),
    ],
)
def test_what_costs_more_is_estimated_dearer(cheap: Any, dear: Any) -> None:
    """More properties, more escapes, optional ones, arrays, copies and depth all cost."""
    assert compile_cost(cheap).seconds < compile_cost(dear).seconds


def test_values_that_begin_alike_share_their_states() -> None:
    """A long enum of similar names is not as dear as one of different ones."""
    similar = {"enum": [f"{'x' * 40}{number}" for number in range(30)]}
    different = {"enum": [f"{number:02}{'x' * 40}" for number in range(30)]}
    assert compile_cost(similar).states < compile_cost(different).states / 10


def test_shared_parts_are_estimated_once() -> None:
    """Two to the fortieth copies of a part are counted, and not visited; what is left is one."""
    schema: dict[str, Any] = {"type": "null"}
    for _ in range(40):
        schema = {"anyOf": [schema, schema]}
    assert compile_cost(schema).building > 1e6
    assert compile_cost(schema).states < 200


def test_only_lowered_schemas_have_an_estimate() -> None:
    """A pattern that nobody lowered is a mistake of the caller's."""
    with pytest.raises(ValueError, match="not a pattern of a lowered schema"):
        compile_cost({"type": "string", "pattern": "(?=x)"})


@pytest.mark.property
@given(st.lists(st.text(st.sampled_from("ab"), max_size=5), max_size=8))
def test_values_share_the_states_of_their_beginnings(texts: list[str]) -> None:
    """As many states as there are different beginnings, counted without making them."""
    alone = compile_cost({"enum": [""]}).states
    beginnings = {text[:end] for text in texts for end in range(len(text))}
    assert compile_cost({"enum": texts}).states == alone + len(beginnings)
