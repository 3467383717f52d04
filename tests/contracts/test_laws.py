"""The list of laws: complete, readable, and every one of them judged by something."""

import re
from pathlib import Path

import pytest

import lorax_contracts
from lorax_contracts.errors import UnknownName
from lorax_contracts.laws import Promise, all_laws, law

CODE = "\n".join(
    path.read_text("utf-8") for path in Path(lorax_contracts.__file__).parent.rglob("*.py")
)


def test_every_id_that_the_judge_uses_is_a_law() -> None:
    """A finding under an id that nobody can look up would be worthless."""
    used = set(re.findall(r'"((?:OAI|LORAX)-[A-Z]+-[0-9]{3})"', CODE))
    assert used <= set(all_laws())


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
    with pytest.raises(UnknownName, match="OAI-STREAM-007"):
        law("OAI-STREAM-0077")
