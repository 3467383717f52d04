"""`lorax-contracts WORDS` in this process: what a test of many options would pay for in starts."""

import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO

from lorax_contracts.__main__ import main

__all__ = ["Done", "command"]


@dataclass(frozen=True, slots=True)
class Done:
    """Exit code, standard output and standard error."""

    code: int
    out: str
    err: str


def command(*words: object) -> Done:
    """Runs the console script."""
    out, err = StringIO(), StringIO()
    before, sys.argv = sys.argv, ["lorax-contracts", *map(str, words)]
    code: object = 0
    try:
        with redirect_stdout(out), redirect_stderr(err):
            main()
    except SystemExit as ended:
        code = ended.code
    finally:
        sys.argv = before
    assert isinstance(code, int), code
    return Done(code, out.getvalue(), err.getvalue())
