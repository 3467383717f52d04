"""What the command line asks for."""

from typing import Any

import pytest

from lorax_contracts.check import Options
from lorax_contracts.errors import ContractsError
from lorax_contracts.options import format_option, kind_of, options_of

GIVEN: dict[str, Any] = {
    "kind": None,
    "without": None,
    "insecure": False,
    "requests": 9,
    "seconds": 4,
    "patience": 20,
}


def options(**how: Any) -> Options:
    """Of the command line above, and what else it gives."""
    given: dict[str, Any] = {**GIVEN, **how}
    return options_of(**given)


def test_bounds_fit_into_each_other() -> None:
    """Nobody waits longer for a byte, or for a reply, than for the run."""
    bounds = options().bounds
    assert (bounds.requests, bounds.seconds, bounds.patience, bounds.reply_seconds) == (9, 4, 4, 4)
    assert options(seconds=90).bounds.reply_seconds == 60


def test_lists_are_given_once_or_again() -> None:
    """With commas, or with the option again."""
    given = options(without=["A-1,B-2,", "C-3"], header=["X-Team: blue"], seed=3)
    assert given.without == ("A-1", "B-2", "C-3")
    assert given.headers == (("x-team", "blue"),)
    assert given.seed == 3


@pytest.mark.parametrize("header", ["x-team", ": blue", "a b: c", "x: \n", "x: é"])
def test_what_is_no_header_is_told(header: str) -> None:
    """Before anything is asked."""
    with pytest.raises(ContractsError, match="--header"):
        options(header=[header])


def test_there_are_two_kinds() -> None:
    """And none is fine."""
    assert [kind_of(one) for one in (None, "openai", "lorax")] == [None, "openai", "lorax"]
    with pytest.raises(ContractsError, match="openai or lorax"):
        kind_of("tgi")


def test_the_forms_are_in_the_help() -> None:
    """Each by its name."""
    assert format_option("text", "svg").help.startswith("text, svg; ")
