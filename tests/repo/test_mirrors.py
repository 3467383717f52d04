"""Tests mirror modules, and the check finds the one that does not."""

from pathlib import Path

from tests.repo.mirrors import mismatches
from tests.repo.tree import ROOT


def _plant(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text("x = 1\n", "utf-8")


def test_tests_mirror_modules() -> None:
    """Every module with code has its test file, and every test file its module."""
    assert "\n".join(mismatches(ROOT)) == ""


def test_a_mirror_is_seen(tmp_path: Path) -> None:
    """Nested modules, commands and packages have their places."""
    _plant(
        tmp_path,
        "mock/lorax_mock/engine.py",
        "mock/lorax_mock/__main__.py",
        "proxy/lorax_proxy/core/chat_style.py",
        "contracts/lorax_contracts/judge/__init__.py",
        "tests/mock/test_engine.py",
        "tests/mock/test_main.py",
        "tests/mock/conftest.py",
        "tests/proxy/core/test_chat_style.py",
        "tests/contracts/test_judge.py",
    )
    (tmp_path / "mock/lorax_mock/__init__.py").write_text('"""Words."""\nimport os\n', "utf-8")
    assert list(mismatches(tmp_path, {}, {})) == []


def test_a_missing_half_is_named(tmp_path: Path) -> None:
    """A module without a test, a test without a module, and exceptions that are none."""
    _plant(tmp_path, "mock/lorax_mock/engine.py", "tests/mock/test_engin.py")
    assert list(mismatches(tmp_path, {}, {})) == [
        "mock/lorax_mock/engine.py: no test file tests/mock/test_engine.py",
        "tests/mock/test_engin.py: no such module in mock/lorax_mock",
    ]
    excused = {"mock/lorax_mock/engine.py": "the laws of tests/mock/test_laws.py run it"}
    assert list(mismatches(tmp_path, excused, {"tests/mock/test_engin.py": "many"})) == []


def test_an_exception_that_is_none_is_named(tmp_path: Path) -> None:
    """The lists of exceptions do not outlive what they excuse."""
    _plant(tmp_path, "mock/lorax_mock/engine.py", "tests/mock/test_engine.py")
    assert list(
        mismatches(tmp_path, {"mock/lorax_mock/engine.py": "-"}, {"tests/gone.py": "-"})
    ) == [
        "mock/lorax_mock/engine.py: has a test file; take it off TESTED_ELSEWHERE",
        "tests/gone.py: is on a list of exceptions, and gone",
    ]
