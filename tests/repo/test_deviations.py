"""The table of deviations names tests that exist, and leaves out none that was written for it."""

import re
from pathlib import Path

from lorax_contracts import loader

ROOT = Path(__file__).parents[2]
TABLE = (ROOT / "docs" / "evidence" / "deviations.md").read_text("utf-8")
E2E = "tests/e2e/test_deviations.py"


def test_every_row_names_a_test_that_exists() -> None:
    """A function in the file that the row names, or a golden transcript."""
    rows = [line for line in TABLE.splitlines() if re.match(r"\| \d+ \|", line)]
    assert len(rows) >= 40
    transcripts = set(loader.transcript_names())
    for row in rows:
        if found := re.search(r"`(test_\w+)` in `(tests/[\w/]+\.py)` \|$", row):
            source = (ROOT / found[2]).read_text("utf-8")
            assert re.search(rf"def {found[1]}\(", source), row
        else:
            found = re.search(r"transcript `(\w+)` \|$", row)
            assert found, f"no test is named: {row}"
            assert found[1] in transcripts, row


def test_the_table_has_every_deviation_that_is_driven() -> None:
    """Each end-to-end test of a deviation is in the table."""
    named = set(re.findall(r"`(test_\w+)`", TABLE))
    written = set(re.findall(r"^def (test_\w+)", (ROOT / E2E).read_text("utf-8"), re.MULTILINE))
    assert written <= named, written - named
