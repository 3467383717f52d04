"""Addresses as people type them."""

import pytest

from lorax_contracts.address import address
from lorax_contracts.errors import CannotRun


@pytest.mark.parametrize(
    ("url", "known"),
    [
        ("localhost:8000", ("http://localhost:8000", "")),
        ("http://h/v1/", ("http://h/v1", "")),
        ("https://h:8443", ("https://h:8443", "")),
        ("http://h/v1/chat/completions", ("http://h/v1", "")),
        ("http://h/v1/models/", ("http://h/v1", "")),
        ("http://h/openai?api-version=2", ("http://h/openai", "?api-version=2")),
    ],
)
def test_an_address_is_taken_as_people_type_it(url: str, known: tuple[str, str]) -> None:
    """Without its scheme, with a slash, with the route that is posted to, with a query."""
    assert address(url) == known


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://user:secret@h", "OPENAI_API_KEY"),
        ("http://h/v1?api-version=2&API-Key=secret", "'API-Key' in its query.*OPENAI_API_KEY"),
        ("http://h/v1?access%5Ftoken=secret", "OPENAI_API_KEY"),
        ("http://[bad", r"'http://\[bad'"),
        ("http://h\nx", "not an address"),
        ("", "'' is not an address"),
    ],
)
def test_an_address_that_cannot_be_used_is_told_without_its_password(url: str, said: str) -> None:
    """A password would be printed with every finding's command."""
    with pytest.raises(CannotRun, match=said) as raised:
        address(url)
    assert "secret" not in str(raised.value)
    assert "\n" not in str(raised.value)
