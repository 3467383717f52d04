"""The mock reads regular expressions as interegular does, faults and their words included."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from interegular import parse_pattern

from lorax_mock.hashing import Draws
from lorax_mock.outlines.patterns import Sampler
from lorax_mock.outlines.regex import PatternError
from tests.compat.outlines.judging import PROPERTY_SECONDS

pytestmark = [pytest.mark.compat, pytest.mark.timeout(PROPERTY_SECONDS)]

_PLAIN = "abzA07 -,é."
_ESCAPED = [f"\\{char}" for char in r"dwsDWSnt.-\b1e0"]
_ATOMS = [*_PLAIN, *_ESCAPED, r"\x41", r"\07", r"\101", r"\u0041", r"\p{L}", *"^${}][()"]
_MEMBERS = [*"acz09-^][.", *(f"\\{char}" for char in "dDw]-n")]
_OPENINGS = ["(", "(", "(?:", "(?P<n>", "(?=", "(?!", "(?<=", "(?i:", "(?#", "(?>", "(?P=n)("]
_COUNTS = ["{2}", "{1,2}", "{,2}", "{0,}", "{}", "{x}", "{2,1}"]
_MARKS = ["", "", "", *"*+?", "??", "*+", *_COUNTS]

_classes = st.builds(
    "[{}{}]".format,
    st.sampled_from(["", "", "^"]),
    st.lists(
        st.sampled_from(_MEMBERS)
        | st.builds("{}-{}".format, st.sampled_from(_MEMBERS), st.sampled_from(_MEMBERS)),
        max_size=3,
    ).map("".join),
)
_expressions = st.recursive(
    # what has no fault is drawn more often, or no expression of some length would be one
    st.builds(
        "{}{}".format,
        st.sampled_from(_PLAIN) | st.sampled_from(_ATOMS) | _classes,
        st.sampled_from(_MARKS),
    ),
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3).map("".join)
        | st.lists(inner, min_size=2, max_size=3).map("|".join)
        | st.builds(
            "{}{}){}".format,
            st.just("(") | st.sampled_from(_OPENINGS),
            inner,
            st.sampled_from(_MARKS),
        )
    ),
    max_leaves=5,
)
_texts = st.text("abzA07 -,é.\nq{}^$", max_size=4).map('"{}"'.format)


def _compiled(pattern: str) -> Any:
    """Its automaton, or the words for why there is none, which may be empty."""
    try:
        parse_pattern(pattern)  # a fault is told with what is around it
        # a group in the expression of the whole schema
        return parse_pattern(f":({pattern})").to_fsm()
    except Exception as error:  # noqa: BLE001 - whatever it raises becomes the answer of LoRAX
        return str(error)


def _sampler(pattern: str) -> Sampler | str:
    try:
        sampler = Sampler(pattern)
        sampler.check()
    except PatternError as error:
        return str(error)
    return sampler


def _written(sampler: Sampler) -> str | None:
    try:
        return sampler.sample(Draws(b"a seed", "an expression"))
    except PatternError:
        return None


@pytest.mark.property
@given(
    pattern=_expressions | st.text("ab|()[]{}?*+^$\\d,-<=:!iP0", max_size=8), texts=st.lists(_texts)
)
def test_an_expression_means_the_same_or_is_refused_in_the_same_words(
    pattern: str, texts: list[str]
) -> None:
    """What the automaton accepts, the mock matches; and what the mock writes, it accepts."""
    pattern = f'"{pattern}"'
    automaton, sampler = _compiled(pattern), _sampler(pattern)
    if isinstance(automaton, str) or isinstance(sampler, str):
        assert str(sampler) == str(automaton)
        return
    if "(?i" in pattern:
        return  # flags are read and not followed: docs/mock.md
    assert sampler.possible() or automaton.empty()
    accepted = [automaton.accepts(f":{text}") for text in texts]
    assert [sampler.matches(text) for text in texts] == accepted
    written = _written(sampler)
    if written is None:
        # a look-ahead that few texts obey is given up
        assert automaton.empty() or "(?" in pattern
    else:
        assert automaton.accepts(f":{written}"), written
