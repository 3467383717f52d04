"""The list of survivors that need no test."""

import pytest

from tests.mutants.argued import ARGUED, loaded
from tests.mutants.making import Name
from tests.mutants.targets import TARGETS

_ENTRY = '[[argued]]\nmodule = "m"\nwas = "x"\nnow = "y"\nbecause = "Equivalent."\n'


def test_every_argument_is_about_a_mutant_that_is_there() -> None:
    """Code that was rewritten takes its arguments with it."""
    argued = loaded(ARGUED.read_text("utf-8"))
    modules = {name.module for name in argued}
    there = {
        name for target in TARGETS if target.module in modules for name in target.source().mutants
    }
    assert [str(name) for name in argued if name not in there] == []


def test_every_argument_has_a_sentence() -> None:
    """And says which kind of argument it is."""
    for name, because in loaded(ARGUED.read_text("utf-8")).items():
        assert because.endswith("."), name
        assert because.startswith(("Equivalent", "Unreachable", "Harmless")), name


def test_targets_have_their_files() -> None:
    """A module or a test that was renamed is renamed here too."""
    from tests.repo.tree import ROOT

    for target in TARGETS:
        for path in (target.path, *target.tests):
            assert (ROOT / path).is_file(), path


def test_an_entry_is_read() -> None:
    """Where and which of several are optional."""
    assert loaded(_ENTRY) == {Name("m", "", "x", "y"): "Equivalent."}
    more = _ENTRY + 'where = "F.g"\nnth = 2\n'
    assert loaded(more) == {Name("m", "F.g", "x", "y", 2): "Equivalent."}


@pytest.mark.parametrize(
    ("text", "trouble"),
    [
        (_ENTRY + "why = 1\n", "unknown key 'why'"),
        (_ENTRY.replace("because", "where"), "no 'because'"),
        (_ENTRY * 2, "argued twice: m: x  ->  y"),
    ],
)
def test_a_wrong_entry_is_named(text: str, trouble: str) -> None:
    """The list is written by hand."""
    with pytest.raises(ValueError, match=trouble):
        loaded(text)
