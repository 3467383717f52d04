"""A script that lives in a file and is read again when the file changes."""

import sys
from pathlib import Path

from lorax_mock.scripting.journal import Journal
from lorax_mock.scripting.rulebook import Rulebook
from lorax_mock.scripting.script import Script, ScriptError, read_script

__all__ = ["ScriptFile"]


class ScriptFile:
    """The file and the state it was last read in.

    The first reading must succeed (raises ScriptError). Later a wrong file leaves the rules as they
    were and says so, because an editor may save half a sentence.
    """

    def __init__(self, path: Path, rulebook: Rulebook) -> None:
        self._path = path
        self._seen = self._state()
        rulebook.load(self._read())

    def _state(self) -> tuple[int, int]:
        try:
            status = self._path.stat()
        except OSError:
            return 0, 0
        return status.st_mtime_ns, status.st_size

    def _read(self) -> Script:
        try:
            return read_script(self._path.read_text("utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not UTF-8 text"
            raise ScriptError(f"{self._path}: {reason}") from None
        except ScriptError as error:
            raise ScriptError(f"{self._path}: {error}") from None

    def refresh(self, rulebook: Rulebook, journal: Journal) -> None:
        """Read again if the file changed."""
        state = self._state()
        if state == self._seen:
            return
        self._seen = state
        try:
            rulebook.load(self._read())
        except ScriptError as error:
            journal.note(f"the script is wrong, its last good state stays: {error}")
            print(f"lorax-mock: {error}; the last good script stays", file=sys.stderr)  # noqa: T201 - told to whoever edits the file
