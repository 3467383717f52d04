"""What is known to be broken: read, compared, and written without losing what was not judged."""

from dataclasses import replace

import pytest

from lorax_contracts.baseline import (
    Known,
    identity,
    outcome_of,
    read_baseline,
    write_baseline,
)
from lorax_contracts.check import Options, Verdict, check_server
from lorax_contracts.errors import CannotRead
from lorax_contracts.session import Skipped
from tests.contracts.formats.verdicts import BASELINE, family, verdict
from tests.contracts.inprocess import InProcess
from tests.contracts.planted import Deviation
from tests.contracts.reference import Asked, Said, openai


def laws(known: tuple[Known, ...]) -> list[str]:
    """Their ids."""
    return [one.law for one in known]


def test_a_finding_is_known_by_its_law_and_words() -> None:
    """Numbers and quotations differ from run to run; another way to break the law is new."""
    assert identity("A", 'x is "b", 3 of 4') == identity("A", 'x is "c", 5 of 6')
    assert identity("A", "x is missing") != identity("A", "x is null")
    assert identity("A", "x is missing") != identity("B", "x is missing")


def test_a_run_is_told_beside_its_baseline() -> None:
    """New, known, fixed, and not judged."""
    told = outcome_of(verdict(), BASELINE)
    assert [one.law for one in told.new] == ["OAI-CHAT-003"]
    assert [one.law for one in told.known] == ["OAI-CHAT-002"]
    assert laws(told.fixed) == ["OAI-CHAT-010"]
    assert laws(told.unjudged) == ["OAI-EMB-001"]
    assert told.result == "1 new, 1 known, 1 fixed, 1 not judged"


def test_without_a_baseline_everything_is_new() -> None:
    """An empty one is something else: it is compared with."""
    assert len(outcome_of(verdict()).new) == 2
    assert outcome_of(verdict()).result == "2 broken laws"
    assert outcome_of(verdict(), ()).result == "2 new, 0 known, 0 fixed"


_FIRST, _SECOND = verdict().findings
_SILENT = Skipped("OAI-CHAT-006", "broken", frozenset({"OAI-CHAT-010"}))


@pytest.mark.parametrize(
    "run",
    [
        replace(verdict(), laws=("OAI-CHAT-002", "OAI-CHAT-003")),
        replace(verdict(), unfinished="120 seconds are used up"),
        replace(verdict(), skipped=(_SILENT,)),
        replace(verdict(), kind="lorax", laws=tuple(family("LORAX-HTTP"))),
    ],
    ids=["left out", "ended early", "silent", "another wire"],
)
def test_what_was_not_judged_is_neither_fixed_nor_lost(run: Verdict) -> None:
    """With --only, with --without, or because the server did not let it be judged."""
    told = outcome_of(run, BASELINE)
    assert "OAI-CHAT-010" in laws(told.unjudged)
    assert "OAI-CHAT-010" not in laws(told.fixed)
    assert "OAI-CHAT-010" in laws(read_baseline(write_baseline(told)))


def test_a_law_that_is_no_more_is_fixed() -> None:
    """No run would ever judge it."""
    assert laws(outcome_of(verdict(), [Known("OAI-CHAT-999", "x")]).fixed) == ["OAI-CHAT-999"]


def test_an_update_knows_what_is_broken_now() -> None:
    """What is fixed goes, what is known keeps its words, and a second run finds nothing new."""
    text = write_baseline(outcome_of(verdict(), BASELINE))
    known = read_baseline(text)
    assert laws(known) == ["OAI-CHAT-002", "OAI-CHAT-003", "OAI-EMB-001"]
    assert known[0] == BASELINE[0]
    assert outcome_of(verdict(), known).result == "0 new, 2 known, 0 fixed, 1 not judged"
    assert write_baseline(outcome_of(verdict(), known)) == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[", "not JSON"),
        ("[]", "a JSON object with a list `known`"),
        ('{"known": [{"law": "x"}]}', "objects with law and message"),
        ("\ufeff[" * 3, "not JSON"),
    ],
)
def test_what_is_no_baseline_is_told(text: str, said: str) -> None:
    """Never a traceback."""
    with pytest.raises(CannotRead, match=said):
        read_baseline(text)


def test_a_law_is_known_however_its_id_was_typed() -> None:
    """As on the command line."""
    (known,) = read_baseline('{"known": [{"law": " oai-chat-003", "message": "x"}]}')
    assert known.law == "OAI-CHAT-003"


def _two(_: Asked, said: Said) -> None:
    if said.status == 200 and said.chunks is None and "choices" in (said.document or {}):
        said.document.update(id="null", object="text_completion")


def test_one_law_alone_leaves_the_others_of_a_baseline_alone() -> None:
    """A run with --only or --without, and one of all laws."""

    def run(**how: object) -> Verdict:
        server = InProcess(Deviation("two", "", "", say=_two))
        return check_server(server, Options(examples=0, model="acme/poet", **how))  # type: ignore[arg-type]  # options by name

    known = read_baseline(write_baseline(outcome_of(run())))
    assert {"OAI-CHAT-002", "OAI-CHAT-003"} <= set(laws(known))
    for how in ({"only": "OAI-CHAT-002"}, {"without": ("oai-chat-003",)}):
        told = outcome_of(run(**how), known)
        assert (told.new, told.fixed) == ((), ())
        assert "OAI-CHAT-003" in laws(told.unjudged)
        assert read_baseline(write_baseline(told)) == known
    right = check_server(InProcess(openai), Options(examples=0, model="acme/poet"))
    assert set(laws(outcome_of(right, known).fixed)) == set(laws(known))
