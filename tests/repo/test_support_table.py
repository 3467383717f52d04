"""docs/parameters.md promises what the proxy's own table says."""

import pytest

from lorax_proxy.core.parameters import TABLE
from tests.repo.support_table import BEGIN, END, rendered, with_table
from tests.repo.tree import ROOT


def test_the_page_has_the_table() -> None:
    """`make docs` would change nothing."""
    text = (ROOT / "docs/parameters.md").read_text("utf-8")
    assert with_table(text) == text, "the support table is stale: run make docs"


def test_every_parameter_has_its_row() -> None:
    """None is forgotten, and no row breaks the table."""
    rows = [line for line in rendered().splitlines() if line.startswith("| `")]
    assert all(any(row.startswith(f"| `{one.name}` |") for row in rows) for one in TABLE)
    assert all(row.count("|") in {3, 4} for row in rows)


def test_a_stale_table_is_replaced() -> None:
    """What stands between the markers goes, what stands around them stays."""
    stale = f"above\n{BEGIN}\n| old |\n{END}\nbelow\n"
    assert with_table(stale) == f"above\n{BEGIN}\n\n{rendered()}\n\n{END}\nbelow\n"


def test_missing_markers_are_an_error() -> None:
    """A document that lost its markers is not silently left alone."""
    with pytest.raises(ValueError, match="no <!-- parameters -->"):
        with_table("nothing here")
