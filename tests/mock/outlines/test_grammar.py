"""How pieces of an expression come together, and what no text matches."""

from lorax_mock.outlines.grammar import (
    ArrayOf,
    Concatenation,
    Literal,
    MapOf,
    OneOf,
    Open,
    Pattern,
    Record,
    Repeat,
    any_of,
    closed,
    join,
    map_of_open,
    pruned,
    record_of_open,
    separated,
)
from lorax_mock.outlines.patterns import Sampler

_A, _B, _C = Literal("a"), Literal("b"), Literal("c")
_NEVER = Pattern(Sampler("[]"))


def _row(*parts: Literal) -> Concatenation:
    return Concatenation(parts)


def test_an_open_alternation_takes_its_neighbours_in() -> None:
    """The row of `a`, the open `b|c|b` and `a` is `ab|c|ba`."""
    assert join(_A, Open((_B, _C, _B)), _A) == Open((_row(_A, _B), _C, _row(_B, _A)))
    assert join(Open((_A, _B)), Open((_B, _C))) == Open((_A, _row(_B, _B), _C))
    assert join(_A, _B) == _row(_A, _B)


def test_parentheses_end_it() -> None:
    """An alternation in parentheses keeps to itself, and nothing in parentheses is the empty text."""
    assert join(_A, closed(Open((_B, _C)))) == Concatenation((_A, OneOf((_B, _C))))
    assert any_of([_A, Open((_B, _C))]) == OneOf((_A, _B, _C))
    assert any_of([]) == Literal("")


def test_lists_and_records_of_open_alternations() -> None:
    """Lists and records of open alternations are cut at each branch, comma by comma."""
    assert separated("[", [_A, _B], "]") == Concatenation(
        (Literal("["), _A, Literal(", "), _B, Literal("]"))
    )
    leaking = record_of_open([True, False], [Open((_A, _B)), _C])
    assert leaking == Open(
        (
            _row(Literal("{"), _A),
            Concatenation((_B, Repeat(_row(Literal(", "), _C), 0, 1), Literal("}"))),
        )
    )
    free = record_of_open([False, False], [Open((_A, _B)), _C])
    assert isinstance(free, Concatenation)
    mapped = map_of_open(Open((_A, _B)), 1, 2)
    assert isinstance(mapped, Concatenation)
    assert isinstance(mapped.parts[1], OneOf)


def test_what_no_text_matches_is_pruned() -> None:
    """Branches and optional parts that no text matches are left out, and nothing may remain."""
    assert pruned(OneOf((_NEVER, _A))) == OneOf((_A,))
    assert pruned(Record(((False, _NEVER), (True, _A)))) == Record(((True, _A),))
    assert pruned(ArrayOf(_NEVER, 0, None)) == Literal("[]")
    assert pruned(MapOf(_NEVER, 0, None)) == Literal("{}")
    assert pruned(Concatenation((_A, Repeat(_NEVER, 0, 1)))) == _row(_A, Literal(""))
    for hopeless in (
        _NEVER,
        Concatenation((_A, _NEVER)),
        Record(((True, _NEVER),)),
        ArrayOf(_NEVER, 1, None),
        Repeat(_NEVER, 1, 2),
        Literal(""),
        Repeat(_A, 0, 0),
    ):
        assert pruned(hopeless) is None
