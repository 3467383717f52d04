"""`lorax_proxy.core.schema.lowering`: one schema at one level."""

from typing import Any

import pytest

from lorax_proxy.core.schema.cost import Budget
from lorax_proxy.core.schema.effort import Effort, Level
from lorax_proxy.core.schema.forms import any_value
from lorax_proxy.core.schema.lowering import Lowering
from lorax_proxy.core.schema.sites import Impossible, Site
from lorax_proxy.core.schema.strings import Spelling

ANY = Budget(building=1.0, seconds=1.0, megabytes=1.0)
EXACT = Level(Spelling.FULL, counts=True, nesting=1, budget=ANY)
BARE = Level(Spelling.SHORT, counts=False, nesting=0, budget=ANY)


def at(level: Level, schema: Any) -> tuple[Any, tuple[str, ...]]:
    """The form and what was dropped."""
    root = Site(schema, "s")
    lowering = Lowering(root, level, Effort(), strict=True)
    return lowering.conjunction([root], 0), tuple(lowering.dropped)


def test_levels_differ_in_counts_and_nesting() -> None:
    """Arrays lose their limits, and values of any type their depth."""
    schema = {"type": "array", "minItems": 2, "maxItems": 3}
    assert at(EXACT, schema)[0] == {**schema, "items": any_value(1)}
    assert at(BARE, schema) == (
        {"type": "array", "items": any_value(0), "minItems": 1},
        ("s.minItems", "s.maxItems"),
    )


def test_what_nothing_satisfies_is_impossible_with_its_place() -> None:
    """Whoever asked decides whether that is a refusal or an alternative less."""
    with pytest.raises(Impossible) as impossible:
        at(EXACT, {"properties": {"a": {"enum": []}}, "required": ["a"]})
    assert impossible.value.path == "s.properties.a"
