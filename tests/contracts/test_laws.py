"""The list of laws: readable, and found by what people type."""

import re

import pytest

from lorax_contracts.errors import UnknownName
from lorax_contracts.laws import Promise, all_laws, law


@pytest.mark.parametrize("law_id", all_laws())
def test_a_law_is_written_for_readers(law_id: str) -> None:
    """A promise and a reason in one sentence each, and a source."""
    one = law(law_id)
    assert re.fullmatch(r"(OAI|LORAX)-[A-Z]+-[0-9]{3}", one.id)
    assert one.text.endswith(".")
    assert one.why.endswith(".")
    assert one.source
    assert (one.promise is Promise.LORAX) == (one.wire == "lorax")


def test_a_law_is_found_in_any_case() -> None:
    """Ids are typed by people."""
    assert law("oai-stream-007").id == "OAI-STREAM-007"


def test_an_unknown_id_names_the_nearest() -> None:
    """A typing error is answered with what was meant."""
    for typed in ("OAI-STREAM-0077", "oai-stream-7", "OAI-STREAM-07", "stream-007"):
        with pytest.raises(UnknownName, match="OAI-STREAM-007"):
            law(typed)
