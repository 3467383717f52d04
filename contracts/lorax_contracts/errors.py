"""What this package raises.

    ContractsError
    ├── UnknownName      a law, schema or transcript that does not exist; names the nearest
    ├── CannotRead       a recording or transcript that cannot be understood
    └── CannotRun        a server that cannot be judged: no answer, TLS trouble, no API at that address

A server that breaks a law raises nothing: that is a `Finding`.
"""

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = ["CannotRead", "CannotRun", "ContractsError", "UnknownName", "printable"]


class ContractsError(Exception):
    """Base of everything this package raises; its text is one line made for a person."""


class UnknownName(ContractsError):
    """A name that is not in the data.

    Attributes:
        nearest: the closest known name, or None when nothing is close.
    """

    def __init__(self, what: str, name: str, known: Iterable[str], *, meant: str = "") -> None:
        """Looks for the nearest.

        Args:
            what: what kind of name it is.
            name: as it was given.
            known: the names there are.
            meant: `name` in the form of the known ones, where that helps to find the nearest.
        """
        names = sorted(known)
        folded = {known_name.casefold(): known_name for known_name in names}
        close = get_close_matches((meant or name).casefold(), folded, n=1, cutoff=0.0)
        self.nearest = folded[close[0]] if close else None
        hint = f"; the nearest is {self.nearest}" if self.nearest else ""
        super().__init__(f"no {what} is called {name!r}{hint}")


class CannotRead(ContractsError):
    """A file that is not what it should be; the text says where."""


class CannotRun(ContractsError):
    """The server at the address cannot be judged; the text says why and what to do."""


def printable(text: str) -> str:
    """The text on one line, what a terminal might obey or hide written as escapes.

    So is `##[`: GitHub's runner looks for it anywhere in a line (actions/runner, ActionCommand.TryParse).
    """
    line = "".join(
        character
        if character.isprintable()
        else character.encode("unicode_escape", "backslashreplace").decode("ascii")
        for character in text
    )
    return line.replace("##[", "#\\x23[")
