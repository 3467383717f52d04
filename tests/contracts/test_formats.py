"""Every form can be asked for, and says what is broken."""

import pytest

from lorax_contracts.formats import Format, written
from tests.contracts.formats.verdicts import outcome


@pytest.mark.parametrize("form", Format)
def test_each_form_says_how_much_is_broken(form: Format) -> None:
    """In its own words, the last line ended."""
    text = written(form, outcome())
    assert text.endswith("\n")
    assert ("2 laws broken" if form is Format.BADGE else "OAI-CHAT-003") in text
