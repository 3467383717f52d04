"""Public APIs are what `__all__` says, and the check finds the one that is not."""

from pathlib import Path

import pytest

from tests.repo.exports import intrusions, untrue
from tests.repo.tree import ROOT


def _plant(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text, "utf-8")


def test_public_exports_are_true() -> None:
    """Every public class and function is in its module's `__all__`, and nothing else is."""
    assert "\n".join(untrue(ROOT)) == ""


def test_only_public_names_are_used() -> None:
    """No module and no test imports what another keeps to itself."""
    assert "\n".join(intrusions(ROOT)) == ""


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        ("class Engine: ...", "has no __all__, and defines Engine"),
        ("__all__ = []\ndef run(): ...", "run is not in __all__"),
        ("__all__ = ['gone']", "__all__ lists gone, which is not there"),
        ("__all__ = ['b', 'a']\na = b = 1", "__all__ is not sorted"),
    ],
)
def test_an_untrue_export_is_named(tmp_path: Path, text: str, finding: str) -> None:
    """The finding has the module and the name."""
    _plant(tmp_path, "mock/lorax_mock/engine.py", text)
    assert list(untrue(tmp_path)) == [f"mock/lorax_mock/engine.py: {finding}"]


def test_private_names_and_commands_are_no_exports(tmp_path: Path) -> None:
    """What a command line calls is not the module's API; constants, aliases and imports can be."""
    _plant(
        tmp_path,
        "mock/lorax_mock/__main__.py",
        "from a import b\n__all__ = ['LIMIT', 'Alias', 'b']\nLIMIT: int = 1\nAlias = int\n"
        "def _hidden(): ...\n@cli.command()\ndef serve(): ...\n",
    )
    assert list(untrue(tmp_path)) == []


def test_the_use_of_a_private_name_is_named(tmp_path: Path) -> None:
    """Also in a test."""
    _plant(tmp_path, "mock/lorax_mock/engine.py", "__all__ = ['run']\nrun = SECRET = 1\n")
    _plant(tmp_path, "mock/lorax_mock/app.py", "from lorax_mock.engine import SECRET, run\n")
    _plant(
        tmp_path,
        "tests/test_x.py",
        "from lorax_mock import engine\nfrom lorax_mock.engine import _x\n",
    )
    assert list(intrusions(tmp_path)) == [
        "tests/test_x.py:2: _x is not in the __all__ of lorax_mock.engine",
        "mock/lorax_mock/app.py:1: SECRET is not in the __all__ of lorax_mock.engine",
    ]
