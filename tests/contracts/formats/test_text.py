"""A run as people read it in a terminal."""

from dataclasses import replace

import pytest

from lorax_contracts.baseline import outcome_of
from lorax_contracts.formats.text import as_text, print_summary
from tests.contracts.formats.verdicts import family, outcome, verdict


def test_the_worst_comes_first_with_how_to_repeat_it() -> None:
    """Wrong before breaks before shape."""
    lines = as_text(outcome()).splitlines()
    named = [line.split()[0] for line in lines if not line.startswith(" ")]
    assert named == ["OAI-CHAT-003", "OAI-CHAT-002"]
    assert sum("curl -sS -i http://h/v1/chat/completions" in line for line in lines) == 2


def test_the_summary_counts_families(capsys: pytest.CaptureFixture[str]) -> None:
    """Families, what was not judged, and one last line."""
    print_summary(outcome())
    said = capsys.readouterr().err
    assert "not judged: embeddings" in said
    assert "1 breaks: usual clients fail\n" in said
    assert said.splitlines()[-1].startswith("2 broken laws at http://h/v1 (openai, model 'm'")
    rows = {line.split()[0]: line.split()[1:] for line in said.splitlines() if line[:4] == "OAI-"}
    assert rows == {
        "OAI-CHAT": [str(len(family("OAI-CHAT"))), "2"],
        "OAI-EMB": [many := str(len(family("OAI-EMB"))), many],
    }


def test_beside_a_baseline_only_what_is_new_is_told_in_full(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What is known and what is fixed have a line each."""
    known = outcome(compared=True)
    assert [line for line in as_text(known).splitlines() if line[:1] != " "] == [
        "OAI-CHAT-003  (breaks)  id identifies nothing at /id"
    ]
    print_summary(known)
    said = capsys.readouterr().err
    assert "\nknown: OAI-CHAT-002: " in said
    assert "\nfixed: OAI-CHAT-010: refusal is missing\n" in said
    assert said.splitlines()[-1].startswith("1 new, 1 known, 1 fixed, 1 not judged at http://h/v1")


def test_one_law_that_could_not_be_judged_is_not_called_kept(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The last line is what people read."""
    print_summary(outcome_of(replace(verdict(), findings=(), laws=("OAI-EMB-001",))))
    assert "OAI-EMB-001 could not be judged at http://h/v1" in capsys.readouterr().err


def test_a_line_stays_a_line_and_obeys_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    """Summaries are searched for by line; a model's name may hold what a terminal would obey."""
    odd = replace(verdict(), model="m" * 200 + "\x1b[31m", unfinished="a\x9bb")
    print_summary(outcome_of(odd))
    said = capsys.readouterr().err
    assert sum("mmmm" in line for line in said.splitlines()) == 1
    assert "\x1b" not in said
    assert "\x9b" not in said


def test_a_name_between_colons_stays_a_name(capsys: pytest.CaptureFixture[str]) -> None:
    """No terminal's emoji: a model's name is pasted into --model."""
    print_summary(outcome_of(replace(verdict(), model="a:smile:b")))
    assert "a:smile:b" in capsys.readouterr().err


def test_severities_are_of_what_is_new(capsys: pytest.CaptureFixture[str]) -> None:
    """Above a line that counts what is new."""
    print_summary(outcome(compared=True))
    said = capsys.readouterr().err
    assert "1 breaks: " in said
    assert "1 shape: " not in said
