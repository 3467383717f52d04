"""`lorax_proxy.core.schema.scalars`: strings and numbers, and what of them has no form."""

from typing import Any

import pytest

from lorax_proxy.core.schema.cost import Budget
from lorax_proxy.core.schema.effort import Effort, Level
from lorax_proxy.core.schema.scalars import number_form, string_form
from lorax_proxy.core.schema.sites import Impossible, SchemaRefused, Site
from lorax_proxy.core.schema.strings import FORMATS, Spelling, counted, free

ANY = Budget(building=1.0, seconds=1.0, megabytes=1.0)
EXACT = Level(Spelling.FULL, counts=True, nesting=1, budget=ANY)
BARE = Level(Spelling.SHORT, counts=False, nesting=0, budget=ANY)


def strings(level: Level, schema: Any) -> tuple[Any, tuple[str, ...]]:
    """The form of a string, and what was dropped."""
    dropped: list[str] = []
    form = string_form(
        [Site(schema, "s")],
        level,
        Effort(),
        lambda site, keyword: dropped.append(f"{site.path}.{keyword}"),
    )
    return form, tuple(dropped)


def numbers(name: str, schema: Any) -> tuple[Any, tuple[str, ...]]:
    """The form of a number, and what was dropped."""
    dropped: list[str] = []
    form = number_form(
        name, [Site(schema, "s")], "s", lambda _site, keyword: dropped.append(keyword)
    )
    return form, tuple(dropped)


@pytest.mark.parametrize(
    ("schema", "exact", "bare", "dropped"),
    [
        ({"type": "string"}, free(Spelling.FULL), free(Spelling.SHORT), ()),
        ({"format": "date"}, FORMATS["date"], free(Spelling.SHORT), ("s.format",)),
        ({"pattern": "^a$"}, "^(?:a)$", free(Spelling.SHORT), ("s.pattern",)),
        (
            {"minLength": 1},
            counted(1, None, Spelling.FULL),
            counted(1, None, Spelling.SHORT),
            (),
        ),
        (
            {"maxLength": 3},
            counted(0, 3, Spelling.FULL),
            free(Spelling.SHORT),
            ("s.maxLength",),
        ),
    ],
)
def test_levels_differ_in_strings(
    schema: Any, exact: str, bare: str, dropped: tuple[str, ...]
) -> None:
    """The plainest one has no patterns and counts nothing but emptiness."""
    assert strings(EXACT, schema) == ({"type": "string", "pattern": exact}, ())
    assert strings(BARE, schema) == ({"type": "string", "pattern": bare}, dropped)


@pytest.mark.parametrize(
    ("name", "schema", "form", "dropped"),
    [
        ("integer", {"minimum": 1, "exclusiveMaximum": 4}, {"enum": [1, 2, 3]}, ()),
        ("integer", {"minimum": 1}, {"type": "integer"}, ("minimum",)),
        ("number", {"minimum": 1, "maximum": 2}, {"type": "number"}, ("minimum", "maximum")),
        ("number", {"multipleOf": 1}, {"type": "integer"}, ()),
        ("number", {"multipleOf": 5}, {"type": "number"}, ("multipleOf",)),
        ("integer", {"minimum": 0, "maximum": 9, "multipleOf": 4}, {"enum": [0, 4, 8]}, ()),
    ],
)
def test_small_ranges_are_written_out(
    name: str, schema: Any, form: Any, dropped: tuple[str, ...]
) -> None:
    """Bounds have no other form."""
    assert numbers(name, schema) == (form, dropped)


def test_what_nothing_satisfies_is_impossible() -> None:
    """An empty range, and lengths that exclude one another."""
    with pytest.raises(Impossible):
        numbers("integer", {"minimum": 2, "maximum": 1})
    with pytest.raises(Impossible):
        strings(EXACT, {"minLength": 2, "maxLength": 1})


def test_translating_is_paid_for_once() -> None:
    """The same pattern is remembered; others are paid for until nothing is left."""
    site = Site({"pattern": "^[a-z]+@[a-z]+$"}, "s")
    effort = Effort(1_000)
    for _ in range(100):
        string_form([site], EXACT, effort, lambda _site, _keyword: None)
    left = effort.looks
    other = Site({"pattern": "^[a-z]+@[a-z]+2$"}, "s")
    string_form([other], EXACT, effort, lambda _site, _keyword: None)
    assert 0 < effort.looks < left
    with pytest.raises(SchemaRefused, match="again and again"):
        string_form([other], EXACT, Effort(1), lambda _site, _keyword: None)
