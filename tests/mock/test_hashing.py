"""Draws that depend on what they are for, and on nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorax_mock.hashing import Draws, digest, fraction

_PARTS = st.lists(st.text() | st.binary() | st.integers(), max_size=4)


def test_a_known_digest_stays() -> None:
    """A digest is the same across versions, platforms and hash seeds."""
    assert digest("a", b"b", 3).hex()[:16] == "a86c0ed43fbc818b"


@pytest.mark.property
@given(st.lists(st.text(), max_size=4), st.lists(st.text(), max_size=4))
def test_where_parts_end_matters(first: list[str], second: list[str]) -> None:
    """The parts ("ab", "c") have another digest than ("a", "bc")."""
    assert (digest(*first) == digest(*second)) == (first == second)


@pytest.mark.property
@given(st.binary(), st.integers(1, 2**40))
def test_draws_stay_below_their_limit(key: bytes, limit: int) -> None:
    """Draws stay below their limit, and fractions below one."""
    draws = Draws(key, "test")
    assert 0 <= draws.below(limit) < limit
    assert 0 <= draws.fraction() < 1
    assert 0 <= fraction(key, "test") < 1


def test_purposes_do_not_share_bytes() -> None:
    """One purpose's draws do not move another's."""
    first, second = Draws(b"k", "text"), Draws(b"k", "luck")
    assert [first.byte() for _ in range(600)] != [second.byte() for _ in range(600)]
    again = Draws(b"k", "text")
    assert {again.byte() for _ in range(5000)} == set(range(256))
    assert [byte for byte, _ in zip(Draws(b"k", "text"), range(600), strict=False)] == [
        byte for draws in (Draws(b"k", "text"),) for byte in (draws.byte() for _ in range(600))
    ]
