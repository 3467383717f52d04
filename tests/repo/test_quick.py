"""What changed leads to the tests nearest to it, and what leads to none is named."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.repo.quick import changed, nearest
from tests.repo.tree import ROOT

TEST = """
import time, pytest
def test_right(): pass
@pytest.mark.slow
def test_slow(): assert False
"""


def _git(root: Path, *arguments: str) -> None:
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@example.com", *arguments]
    subprocess.run(command, cwd=root, check=True, capture_output=True)


def _write(root: Path, name: str, text: str) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text, "utf-8")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A small repository, with what `make quick` needs of ours, on a branch beside `main`."""
    for name in ("__init__", "mirrors", "quick", "tree"):
        _write(
            tmp_path,
            f"tests/repo/{name}.py",
            (ROOT / f"tests/repo/{name}.py").read_text("utf-8"),
        )
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copy(ROOT / ".gitignore", tmp_path)
    _write(tmp_path, "tests/__init__.py", "")
    _write(tmp_path, "mock/lorax_mock/errors.py", "x = 1\n")
    _write(tmp_path, "mock/lorax_mock/lora.py", "x = 1\n")
    _write(tmp_path, "tests/mock/test_errors.py", TEST)
    _git(tmp_path, "init", "--quiet", "--initial-branch=main")
    _git(tmp_path, "add", ".")
    _git(tmp_path, "commit", "--quiet", "--message=all")
    _git(tmp_path, "checkout", "--quiet", "-b", "mine")
    return tmp_path


def _quick(checkout: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "tests.repo.quick", *options],
        cwd=checkout,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("name", "tests"),
    [
        ("proxy/lorax_proxy/core/stops.py", ["tests/proxy/core/test_stops.py"]),
        ("mock/lorax_mock/__main__.py", ["tests/mock/test_main.py"]),
        ("contracts/lorax_contracts/judge/__init__.py", ["tests/contracts/test_judge.py"]),
        (
            "proxy/lorax_proxy/core/style.py",
            ["tests/proxy/core/test_chat_style.py", "tests/proxy/core/test_text_completion.py"],
        ),
        ("tests/proxy/test_app.py", ["tests/proxy/test_app.py"]),
        ("tests/repo/locks.py", ["tests/repo/test_locks.py"]),
        ("tests/proxy/running.py", []),
        ("tests/compat/outlines/test_real.py", []),
        ("proxy/lorax_proxy/errors.py", []),
        ("README.md", []),
    ],
)
def test_a_file_leads_to_its_tests(name: str, tests: list[str]) -> None:
    """By its mirror, by the exceptions' reasons, by its own name, or to none."""
    assert (ROOT / name).is_file()
    assert list(nearest(name, ROOT)) == tests


def test_what_changed_is_committed_or_not(checkout: Path) -> None:
    """Since the branch left `main`; what is gone is not there to be tested."""
    assert changed(checkout) == []
    _write(checkout, "mock/lorax_mock/errors.py", "x = 2\n")
    _git(checkout, "commit", "--quiet", "--all", "--message=x")
    _git(checkout, "checkout", "--quiet", "main")
    _write(checkout, "other.py", "x = 1\n")
    _git(checkout, "add", ".")
    _git(checkout, "commit", "--quiet", "--message=theirs")
    _git(checkout, "checkout", "--quiet", "mine")
    (checkout / "mock/lorax_mock/lora.py").unlink()
    _write(checkout, "new.py", "x = 1\n")
    assert changed(checkout) == ["mock/lorax_mock/errors.py", "new.py"]


def test_without_a_main_it_is_what_is_not_committed(checkout: Path) -> None:
    """As where only a tag was fetched."""
    _git(checkout, "branch", "--delete", "--force", "main")
    _write(checkout, "mock/lorax_mock/errors.py", "x = 2\n")
    assert changed(checkout) == ["mock/lorax_mock/errors.py"]


@pytest.mark.slow
def test_it_runs_them_and_says_what_it_does_not(checkout: Path) -> None:
    """Slow tests are left out; a failure is one; no change, and no test for one, are told."""
    assert _quick(checkout).stdout == "nothing has changed\n"
    _write(checkout, "mock/lorax_mock/lora.py", "x = 2\n")
    done = _quick(checkout)
    assert (done.returncode, done.stdout.splitlines()) == (
        0,
        ["mock/lorax_mock/lora.py: no test file of its own", "nothing to run here; make test"],
    )
    _write(checkout, "mock/lorax_mock/errors.py", "x = 2\n")
    done = _quick(checkout)
    assert done.returncode == 0, done.stdout
    assert "within 10 seconds: tests/mock/test_errors.py\n" in done.stdout
    assert "1 passed, 1 deselected" in done.stdout
    _write(checkout, "tests/mock/test_errors.py", TEST + "def test_wrong(): assert False\n")
    assert _quick(checkout).returncode == 1


@pytest.mark.slow
def test_what_does_not_fit_is_no_success(checkout: Path) -> None:
    """After the time no other test begins, and the exit code says that some did not run."""
    late = "def test_late(): time.sleep(0.2)\ndef test_never(): pass\n"
    _write(checkout, "tests/mock/test_errors.py", TEST + late)
    assert "session timeout: 10.0s" in _quick(checkout, "-vv").stdout
    done = _quick(checkout, "--session-timeout=0.1")
    assert done.returncode == 1
    assert "session-timeout: 0.1 sec exceeded" in done.stdout
    assert "3 passed" not in done.stdout
