"""Sampling from regular expressions, judged by Python's own."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorax_mock.hashing import Draws
from lorax_mock.patterns import PatternError, Sampler

_PATTERNS = [
    "a+b*c?",
    "[A-Z]{3}-\\d{2,}",
    "(?:red|green|blue)(?P<tail>x|yy)",
    '([^"\\\\\\x00-\\x1F\\x7F-\\x9F]|\\\\["\\\\/bfnrt]|\\\\u[0-9a-fA-F]{4})*',
    "[^a-z]",
    "\\w+@\\w+\\.com",
    "[\\d\\-x]{4}",
    ".{2}\\.\\s",
    "[]a]",
    "a{,2}b",
    "\\u00e9\\x41",
    "[\\s]",
    "{x}",
    "",
]


@pytest.mark.law
@given(st.sampled_from(_PATTERNS), st.binary(max_size=4))
def test_samples_match(pattern: str, key: bytes) -> None:
    """Python's engine accepts every sample whole."""
    assert re.fullmatch(pattern, Sampler(pattern).sample(Draws(key, "test"), "!"))


def test_readable_words_are_used_when_they_match() -> None:
    """A pattern for any string gets words, not letters at random."""
    assert Sampler("[^0-9]*").sample(Draws(b"", "test"), "plain words") == "plain words"
    long = "these words are more than are ever tried"
    assert Sampler(".*").sample(Draws(b"", "test"), long) == "these words are more"
    assert Sampler("\\w*").sample(Draws(b"", "test"), "plain words") == "plain"


@pytest.mark.parametrize(
    "pattern",
    ["(a", "a)", "[a", "*a", "(?=a)", "(?<!a)b", "\\1", "\\p{L}", "a{3,1}", "[z-a]", "\\"],
)
def test_what_has_no_automaton_is_refused(pattern: str) -> None:
    """With the pattern in the message."""
    with pytest.raises(PatternError):
        Sampler(pattern)
