"""Sampling from regular expressions, judged by Python's own."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorax_mock.hashing import Draws
from lorax_mock.outlines.patterns import Sampler, alternatives
from lorax_mock.outlines.regex import PatternError

_PATTERNS = [
    "a+b*c?",
    "[A-Z]{3}-\\d{2,}",
    "(?:red|green|blue)(?P<tail>x|yy)",
    '([^"\\\\\\x00-\\x1F\\x7F-\\x9F]|\\\\["\\\\/bfnrt]|\\\\u[0-9a-fA-F]{4})*',
    "[^a-z]",
    "\\w+@\\w+\\.com",
    "[\\d\\-x]{4}",
    ".{2}\\.\\s",
    "a{,2}b",
    "\\xe9\\x41\\060\\n",
    "(?=[a-z]*[0-9])[a-z0-9]{4,}",
    "(?!.*a).{3}",
    "[\\W]",
    "[a-]",
    "(?:)",
    "a??b+?",
    "[\\s]",
    "",
]


@pytest.mark.property
@given(st.sampled_from(_PATTERNS), st.binary(max_size=4))
def test_samples_match(pattern: str, key: bytes) -> None:
    """Python's engine matches every sample whole."""
    assert re.fullmatch(pattern, Sampler(pattern).sample(Draws(key, "test"), "!", "a0"))


def test_readable_words_are_used_when_they_match() -> None:
    """A pattern that words match gets words and not random letters."""
    draws = Draws(b"", "test")
    assert Sampler('"[^0-9"]*"').sample(draws, "plain", '"plain words"') == '"plain words"'
    long = "these words are more than are ever tried"
    assert Sampler.shortened(long) == ("these words are more", "these")


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("a(?<!a)b", "lookbacks are not implemented"),
        ("(?<!a)b", "Group can not have lookbacks/lookaheads that go beyond the group bounds."),
        ("(?=ab)a", "Group can not have lookbacks/lookaheads that go beyond the group bounds."),
        ("aa(?<=a?)b", "lookbacks have to have fixed length (0, 1)"),
        ("a{3,1}", "Can't multiply an FSM by -2"),
        ("(a{400}){400}", "lorax-mock builds no automaton of "),
    ],
)
def test_what_has_no_automaton_is_refused_late(pattern: str, text: str) -> None:
    """A pattern that parses and has no automaton raises a late PatternError."""
    with pytest.raises(PatternError) as caught:
        Sampler(pattern).check()
    assert str(caught.value).startswith(text)
    assert caught.value.late


def test_what_no_text_matches_is_told() -> None:
    """An empty class is told at once, and a look-ahead that nothing passes after many draws."""
    assert not Sampler("a[]|b[]").possible()
    assert Sampler("(a[])?").possible()
    with pytest.raises(PatternError, match="vocabulary does not allow"):
        Sampler("(?=a)b").sample(Draws(b"", "test"))


@pytest.mark.parametrize("pattern", ["[]|a", "(?:b[])*a", "(?:[]?|c[])a"])
def test_what_cannot_match_is_not_drawn(pattern: str) -> None:
    """An alternative with an empty class leaves the others, whichever the draw falls on."""
    assert {Sampler(pattern).sample(Draws(bytes([n]), "test")) for n in range(20)} == {"a"}


def test_only_the_outer_alternatives_are_separate() -> None:
    """Alternatives inside parentheses belong together, outer ones are separate."""
    assert [one.matches('"a') for one in alternatives('"a|(b|c)"')] == [True, False]


def test_matching_does_not_go_back() -> None:
    """A pattern that backtracking engines take ages for is matched at once."""
    assert not Sampler("(a*)*b").matches("a" * 200)
    assert Sampler("(a|a)*(?:){3,}").matches("a" * 200)
