"""Hints for misspelt names."""

import pytest

from lorax_mock.nearest import nearest_hint


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("vocie", "did you mean 'voice'?"),
        ("VOICE", "known are voice, source, error"),
        ("vox", "did you mean 'voice'?"),
        ("voxx", "known are voice, source, error"),
        ("sour", "did you mean 'source'?"),
        ("xyzzy", "known are voice, source, error"),
        ("", "known are voice, source, error"),
    ],
)
def test_the_nearest_name_is_told_or_all_are(name: str, hint: str) -> None:
    """A name half of whose letters are those of a known one hints at that one alone; another is told all names."""
    assert nearest_hint(name, ["voice", "source", "error"]) == hint
