"""Calls keep to their homes, and the check finds the one that strays."""

from pathlib import Path

import pytest

from tests.repo.banned import strays
from tests.repo.tree import ROOT


def _plant(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text, "utf-8")


def test_calls_keep_to_their_homes() -> None:
    """The clock, the environment, files, processes and the terminal are met at the edges alone."""
    assert "\n".join(strays(ROOT)) == ""


@pytest.mark.parametrize(
    ("text", "called"),
    [
        ("import time\ntime.sleep(1)", "time.sleep"),
        ("from time import time as now\nnow()", "time.time"),
        ("import datetime as d\nd.datetime.now()", "datetime.datetime.now"),
        ("from datetime import datetime\ndatetime.now()", "datetime.datetime.now"),
        ("import os\nos.environ.get('HOME')", "os.environ.get"),
        ("x = 1\nprint(x)", "print"),
        ("x = 1\nhash(x)", "hash"),
    ],
)
def test_a_stray_call_is_named(tmp_path: Path, text: str, called: str) -> None:
    """However it was imported."""
    _plant(tmp_path, "mock/lorax_mock/engine.py", text)
    (found,) = strays(tmp_path)
    assert found.startswith(f"mock/lorax_mock/engine.py:2: {called}(): ")


def test_a_call_at_home_is_none(tmp_path: Path) -> None:
    """Methods that share a banned name are not meant either."""
    _plant(tmp_path, "mock/lorax_mock/__main__.py", "print(1)")
    _plant(tmp_path, "mock/lorax_mock/app.py", "class A:\n  def f(s): s.open(); s.console.print(1)")
    assert list(strays(tmp_path)) == []
