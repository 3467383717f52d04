"""The repository speaks of itself alone, and the check finds the file that does not."""

from pathlib import Path

import pytest

from tests.repo.tree import ROOT, tracked
from tests.repo.words import slips


def test_no_file_tells_where_it_was_made() -> None:
    """No machine's paths, no registry's hosts, no word on how it came about."""
    assert "\n".join(slips(tracked(), ROOT)) == ""


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("open('/root/x.json')", "a path of somebody's machine: /root/x"),
        ("at /home/jane/lorax", "a path of somebody's machine: /home/jane/lorax"),
        ("as ../shared/a says", "a folder outside the repository: ../shared"),
        ("https://files.pythonhosted.org/x", "a package registry's host: files.pythonhosted.org"),
        ("    --extra-index-url x", "an index address: --extra-index-url"),
        ("see lorax-wire.md 3", "the making of it: lorax-wire.md"),
        ("wanted in issue 12", "an issue's number for a reason: in issue 12"),
    ],
)
def test_a_slip_is_named(tmp_path: Path, text: str, what: str) -> None:
    """With its file and its line."""
    file = tmp_path / "notes.md"
    file.write_text(f"fine\n{text}\n", "utf-8")
    assert list(slips([file], tmp_path)) == [f"notes.md:2: {what}"]


def test_ordinary_words_are_no_slips(tmp_path: Path) -> None:
    """Routes, container paths, sessions of HTTP and the design of others are fine."""
    file = tmp_path / "notes.md"
    file.write_text(
        "GET /v1/models in one session; /opt/lorax-openai; router/src/server.rs:1; docs/design.md\n",
        "utf-8",
    )
    assert list(slips([file], tmp_path)) == []
