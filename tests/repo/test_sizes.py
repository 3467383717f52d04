"""Modules are short, or listed with their reason; the check finds those that are neither."""

import subprocess
from pathlib import Path

from tests.repo.sizes import MOST, unlisted
from tests.repo.tree import ROOT


def test_long_modules_are_listed_with_their_reasons() -> None:
    """And only those."""
    assert "\n".join(unlisted(ROOT)) == ""


def test_each_way_of_being_wrong_is_named(tmp_path: Path) -> None:
    """Long and not listed, listed and not long, listed without a reason; a test may be long."""
    (tmp_path / "CONTRIBUTING.md").write_text(
        "| module | why |\n|---|---|\n| `proxy/a.py` | a table |\n| `proxy/b.py` | |\n"
        "| `proxy/c.py` | gone |\n| `proxy/e.py` | short |\n",
        "utf-8",
    )
    (tmp_path / "proxy").mkdir()
    for name, lines in {"a": 401, "b": 500, "d": 401, "e": 400, "f": 400, "test_g": 999}.items():
        (tmp_path / f"proxy/{name}.py").write_text("x = 1\n" * lines, "utf-8")
    for command in (["init", "--quiet"], ["add", "."]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    assert MOST == 400
    assert list(unlisted(tmp_path)) == [
        "proxy/d.py: 401 lines; split it, or list it in CONTRIBUTING.md with a reason",
        "proxy/c.py: is not over 400 lines; take it off the list in CONTRIBUTING.md",
        "proxy/e.py: is not over 400 lines; take it off the list in CONTRIBUTING.md",
        "proxy/b.py: is listed without a reason",
    ]
