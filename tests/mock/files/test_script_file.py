"""Scripts in files."""

import os
from pathlib import Path

import pytest

from lorax_mock.files.script_file import ScriptFile
from lorax_mock.scripting.journal import Journal
from lorax_mock.scripting.rulebook import Rulebook
from lorax_mock.scripting.script import ScriptError


def _write(path: Path, text: str, moment: int) -> None:
    path.write_text(text)
    os.utime(path, (moment, moment))


def test_a_changed_file_is_read_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A changed script takes effect; a wrong one leaves the rules as they were and is told once."""
    path, book, journal = tmp_path / "script.yaml", Rulebook(), Journal()
    _write(path, "rules: [{name: first, fault: crlf}]", 1)
    file = ScriptFile(path, book)
    _write(path, "rules: [{name: second, fault: crlf}]", 2)
    file.refresh(book, journal)
    assert [rule.name for rule in book.script().rules] == ["second"]
    _write(path, "rulse: []", 3)
    file.refresh(book, journal)
    file.refresh(book, journal)
    assert [rule.name for rule in book.script().rules] == ["second"]
    assert capsys.readouterr().err.count("did you mean 'rules'?") == 1
    assert len(journal.notes) == 1


def test_the_first_reading_must_succeed(tmp_path: Path) -> None:
    """A script file that is wrong at the start raises with the file's name."""
    for text, told in ((b"x: 1", "line 1"), (b"\xff", "not UTF-8")):
        path = tmp_path / "script.yaml"
        path.write_bytes(text)
        with pytest.raises(ScriptError, match=f"script.yaml: {told}"):
            ScriptFile(path, Rulebook())
    with pytest.raises(ScriptError, match="No such file"):
        ScriptFile(tmp_path / "none.yaml", Rulebook())
