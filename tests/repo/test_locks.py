"""The locks are what the project asks for, and the check finds the one that is not."""

import shutil
from pathlib import Path

import pytest

from tests.repo.locks import faults, pins
from tests.repo.tree import ROOT

_ENTRY = "a-b==1.0 ; sys_platform == 'x' \\\n    --hash=sha256:00\n"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The locks and what they are made from, to break."""
    shutil.copytree(ROOT / "requirements", tmp_path / "requirements")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def _edit(path: Path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")


def test_locks_meet_their_requirements() -> None:
    """Each dependency is in its lock, within its bounds, and equal in locks that go together."""
    assert "\n".join(faults(ROOT)) == ""


def test_every_judge_has_a_lock_and_a_suite() -> None:
    """An environment without tests and tests without an environment are both forgotten."""
    locks = {path.stem for path in (ROOT / "requirements/compat").glob("*.txt")}
    suites = {path.parent.name for path in (ROOT / "tests/compat").glob("*/test_*.py")}
    assert locks == suites


def test_a_version_out_of_bounds_is_named(copy: Path) -> None:
    """A bound that was moved without `make locks` is found."""
    _edit(copy / "pyproject.toml", '"httptools>=0.6.3",', '"httptools>=99,<100",')
    assert "run.txt: httptools==0.9.0 is not <100,>=99; run make locks" in list(faults(copy))


def test_a_lowest_version_that_is_not_tried_is_named(copy: Path) -> None:
    """A bound from below is what `make oldest` runs on."""
    _edit(copy / "pyproject.toml", '"httptools>=0.6.3",', '"httptools>=0.6",')
    told = "oldest.txt: httptools==0.6.3 is not the lowest of httptools>=0.6"
    assert list(faults(copy)) == [told]


def test_a_missing_package_is_named(copy: Path) -> None:
    """A dependency that was added without `make locks` is found."""
    _edit(copy / "pyproject.toml", '"httptools>=0.6.3",', '"httptools>=0.6.3", "left-pad>=1",')
    assert list(faults(copy)) == [
        "run.txt: lacks left-pad>=1; run make locks",
        "oldest.txt: lacks left-pad>=1; run make locks",
    ]


def test_locks_that_pull_apart_are_named(copy: Path) -> None:
    """Two locks of one environment cannot pin one package twice."""
    version = pins((copy / "requirements/run.txt").read_text("utf-8"))["anyio"]
    _edit(copy / "requirements/test.txt", f"anyio=={version}", "anyio==4.99")
    assert f"anyio: {version} in run.txt, 4.99 in test.txt" in list(faults(copy))


def test_pins_read_a_lock() -> None:
    """Names are compared in their canonical form; markers and comments do not matter."""
    assert pins("# words\n" + _ENTRY + _ENTRY.replace("a-b", "C.d[e]")) == {
        "a-b": "1.0",
        "c-d": "1.0",
    }


@pytest.mark.parametrize(
    ("lock", "fault"),
    [
        ("a==1.0\n", "no hash: a==1.0"),
        ("a>=1.0 --hash=sha256:00\n", "not a pinned package: a>=1.0"),
        ("--index-url https://index.example\n", "not a pinned package: --index-url"),
    ],
)
def test_a_loose_entry_is_refused(lock: str, fault: str) -> None:
    """Every entry is pinned and hashed, and no lock names an index."""
    with pytest.raises(ValueError, match=fault):
        pins(lock)
