"""The fault matrix and the threats have a test in every row."""

from tests.repo.reliability import gaps
from tests.repo.tree import ROOT


def test_every_row_is_full_and_its_test_exists() -> None:
    """docs/evidence/reliability.md promises nothing that nobody tries."""
    text = (ROOT / "docs" / "evidence" / "reliability.md").read_text("utf-8")
    assert list(gaps(ROOT, text)) == []
    assert text.count("`tests/") > 40


def test_what_is_missing_is_found() -> None:
    """An empty cell, a row without a test, a test that is gone."""
    here = "`tests/repo/test_reliability.py::test_what_is_missing_is_found`"
    rows = [
        "| fault | test |",
        "|---|---|",
        f"| a | {here} |",
        f"|  | {here} |",
        "| b | none |",
        "| c | `tests/repo/test_reliability.py::test_that_is_gone` |",
        "| d | `tests/repo/test_gone.py::test_that_is_gone` |",
    ]
    assert list(gaps(ROOT, "\n".join(rows))) == [
        "line 4: an empty cell",
        "line 5: names no test",
        "line 6: tests/repo/test_reliability.py has no test_that_is_gone",
        "line 7: tests/repo/test_gone.py has no test_that_is_gone",
    ]
