"""`lorax_proxy.core.schema.regex_tree`: expressions read as trees, and how large their automata get."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorax_proxy.core.schema.regex_tree import (
    Branch,
    Characters,
    Repeated,
    Sequence,
    matches,
    parse,
    positions,
    states,
)

A, B = Characters(frozenset({ord("a")})), Characters(frozenset({ord("b")}))


def only(expression: str) -> Branch:
    """The single alternative of an expression."""
    branches = parse(expression)
    assert branches is not None
    assert len(branches) == 1
    return branches[0]


@pytest.mark.parametrize(
    ("expression", "branch"),
    [
        ("^a$", Branch(A, at_start=True, at_end=True)),
        ("a", Branch(A, at_start=False, at_end=False)),
        ("^ab*", Branch(Sequence((A, Repeated(B, 0, None))), at_start=True, at_end=False)),
        ("(?:a){2,}$", Branch(Repeated(A, 2, None), at_start=False, at_end=True)),
        ("[^a]", Branch(A.inverted(), at_start=False, at_end=False)),
        ("", Branch(Sequence(()), at_start=False, at_end=False)),
    ],
)
def test_an_expression_is_read_as_a_tree(expression: str, branch: Branch) -> None:
    """Groups without alternatives vanish, anchors belong to their alternative."""
    assert only(expression) == branch


@pytest.mark.parametrize(
    ("left", "right"),
    [(left, right) for left in (A, A.inverted()) for right in (B, A, B.inverted(), A.inverted())],
)
def test_characters_unite(left: Characters, right: Characters) -> None:
    """A union has what either has, negated or not."""
    for point in map(ord, "abc"):
        assert (left | right).has(point) == (left.has(point) or right.has(point))


@pytest.mark.parametrize(
    ("expression", "count", "size"),
    [
        ("abc", 3, 4),
        ("a*", 1, 1),
        ("a{2,4}", 4, 5),
        ("(a|b)*a(a|b)", 5, 4),
        ("(a|b)*a(a|b){4}", 11, 32),
        ("a{3,}", 3, 4),
        ("(ab?){2}", 4, 5),
    ],
)
def test_automata_are_counted(expression: str, count: int, size: int) -> None:
    """Before and after they are made deterministic, the second possibly much larger."""
    node = only(expression).inner
    assert positions(node) == count
    assert states(node, 100, 100_000)[0] == size


def test_counting_stops_at_the_limit() -> None:
    """Two to the twentieth states are not built to learn that they are too many."""
    assert states(only("(a|b)*a(a|b){19}").inner, 100, 100_000)[0] is None


@pytest.mark.property
@given(st.text(st.sampled_from('ab()[]{}|*+?^$\\.,-12dwnux:<>P=!"'), max_size=12))
def test_what_is_read_is_an_expression_elsewhere_too(expression: str) -> None:
    """Nothing is raised, and nothing is read that Python's engine does not read."""
    if parse(expression) is not None:
        # Python calls some of it ambiguous in future versions; it reads it all the same.
        re.compile(expression)


PIECES = st.sampled_from(
    [
        "a",
        "b",
        ".",
        "[^a]",
        "(a|b)",
        "(?:ab)",
        "(a|)",
        "a*",
        "b+",
        "a?",
        "(a*b)*",
        "a{2}",
        "(b|ab){1,2}",
    ]
)
BRANCHES = st.builds(
    lambda start, pieces, end: start + "".join(pieces) + end,
    st.sampled_from(["", "^"]),
    st.lists(PIECES, max_size=4),
    st.sampled_from(["", "$"]),
)


@pytest.mark.property
@given(
    st.lists(BRANCHES, min_size=1, max_size=2).map("|".join),
    st.text(st.sampled_from("ab\n"), max_size=6),
)
def test_an_expression_matches_where_python_says(expression: str, text: str) -> None:
    """Anywhere in the text, and at its ends where it is anchored."""
    branches = parse(expression)
    assert branches is not None
    # Python's `$` also matches before a last line break, ECMA-262's does not.
    python = expression.replace("$", r"\Z")
    assert matches(branches, text) == (re.search(python, text) is not None)


def test_matching_takes_no_longer_for_hostile_expressions() -> None:
    """What an engine that tries one way after the other would follow for years."""
    branches = parse("^(a|a)*(a*)*b$")
    assert branches is not None
    assert not matches(branches, "a" * 200)
    assert matches(branches, "a" * 200 + "b")
