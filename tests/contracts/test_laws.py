"""The list of laws: complete, readable, and every one of them judged by something."""

import re
from pathlib import Path

import pytest

import lorax_contracts
from lorax_contracts.errors import UnknownName
from lorax_contracts.laws import Promise, all_laws, law, laws_of

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
    for typed in ("OAI-STREAM-0077", "oai-stream-7", "OAI-STREAM-07", "stream-007"):
        with pytest.raises(UnknownName, match="OAI-STREAM-007"):
            law(typed)


def test_a_family_is_all_laws_that_begin_so() -> None:
    """Whole families, single laws, and nothing that merely looks alike."""
    assert laws_of("OAI-STOP") == {"OAI-STOP-001", "OAI-STOP-002"}
    assert laws_of("OAI-EMB-001", "LORAX-CLS") == {"OAI-EMB-001", "LORAX-CLS-001"}
    assert laws_of() == frozenset()
    with pytest.raises(UnknownName):
        laws_of("OAI-S")
