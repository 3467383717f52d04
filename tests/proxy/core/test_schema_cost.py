"""`lorax_proxy.core.schema_cost`: what dear schemas have in common is seen without compiling."""

from typing import Any

import pytest

from lorax_proxy.core.schema_cost import compile_cost
from lorax_proxy.core.schema_forms import JSON_OBJECT, any_value, closed_object
from lorax_proxy.core.schema_strings import FORMATS, Spelling, counted, free

SHORT = {"type": "string", "pattern": free(Spelling.SHORT)}


def strings(count: int, spelling: Spelling = Spelling.SHORT, *, required: bool = True) -> Any:
    """An object of strings."""
    names = [f"prop_{number}" for number in range(count)]
    value = {"type": "string", "pattern": free(spelling)}
    return closed_object({name: dict(value) for name in names}, names if required else [])


# Measured with outlines-core 0.1.14 and interegular 0.3.3, compiling only, in seconds of one core:
# the estimate adds to each what trying a vocabulary takes.
MEASURED = [
    (JSON_OBJECT, 2.14),
    (strings(10, Spelling.FULL), 0.14),
    (strings(10), 0.04),
    (strings(12, required=False), 0.55),
    ({"type": "array", "items": strings(5, Spelling.FULL)}, 0.20),
    (any_value(1), 0.09),
    ({"type": "string", "pattern": FORMATS["date-time"]}, 0.02),
    ({"type": "string", "pattern": counted(0, 16, Spelling.FULL)}, 0.01),
]


@pytest.mark.parametrize(("schema", "seconds"), MEASURED)
def test_an_estimate_covers_what_was_measured(schema: Any, seconds: float) -> None:
    """Never under half of the truth, nor over twice of it and the vocabulary."""
    assert seconds / 2 < compile_cost(schema) < 2 * seconds + 2.5


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
    assert compile_cost(cheap) < compile_cost(dear)


def test_values_that_begin_alike_share_their_states() -> None:
    """A long enum of similar names is not as dear as one of different ones."""
    similar = {"enum": [f"{'x' * 40}{number}" for number in range(30)]}
    different = {"enum": [f"{number:02}{'x' * 40}" for number in range(30)]}
    assert compile_cost(similar) < compile_cost(different)


def test_shared_parts_are_estimated_once() -> None:
    """Two to the fortieth copies of a part are counted, and not visited."""
    schema: dict[str, Any] = {"type": "null"}
    for _ in range(40):
        schema = {"anyOf": [schema, schema]}
    assert compile_cost(schema) > 1e6


def test_only_lowered_schemas_have_an_estimate() -> None:
    """A pattern that nobody lowered is a mistake of the caller's."""
    with pytest.raises(ValueError, match="not a pattern of a lowered schema"):
        compile_cost({"type": "string", "pattern": "(?=x)"})
