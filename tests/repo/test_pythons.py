"""Each claimed Python is found where it is, and one that does not run is none."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.repo.pythons import candidates, claimed, runs
from tests.repo.tree import ROOT

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"


def _plant(folder: Path, name: str, script: str = "exit 1") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n", "utf-8")
    path.chmod(0o755)
    return path


def test_the_classifiers_are_the_claim() -> None:
    """Every one from the oldest that is allowed, and the one that runs this among them."""
    versions = claimed(ROOT)
    assert HERE in versions
    assert f'requires-python = ">={versions[0]}"' in (ROOT / "pyproject.toml").read_text("utf-8")
    assert versions == [f"3.{11 + place}" for place in range(len(versions))]


def test_the_path_comes_first_and_then_pyenv_newest_first(tmp_path: Path) -> None:
    """Of each version on its own: 3.1 is not 3.12; PYENV_ROOT, then the home's."""
    shim = _plant(tmp_path / "shims", "python3.12")
    old = _plant(tmp_path / "root/versions/3.12.9/bin", "python3.12")
    new = _plant(tmp_path / "root/versions/3.12.10/bin", "python3.12")
    mine = _plant(tmp_path / "home/.pyenv/versions/3.12.2/bin", "python3.12")
    _plant(tmp_path / "root/versions/3.13.0/bin", "python3.13")
    environment = {
        "PATH": f"{tmp_path}/none{os.pathsep}{tmp_path}/shims",
        "PYENV_ROOT": str(tmp_path / "root"),
    }
    assert list(candidates("3.12", environment, tmp_path / "home")) == [shim, new, old, mine]
    assert list(candidates("3.1", environment, tmp_path / "home")) == []
    assert list(candidates("3.12", {}, tmp_path / "home")) == [mine]


def test_what_does_not_run_is_none(tmp_path: Path) -> None:
    """A shim that refuses, another version under the name, a file that is no program."""
    assert runs(Path(sys.executable), HERE, with_pip=True)
    assert not runs(Path(sys.executable), "3.10", with_pip=True)
    assert not runs(
        _plant(tmp_path, "refuses", "echo 'not set' >&2; exit 127"), HERE, with_pip=False
    )
    assert not runs(_plant(tmp_path, "answers", f"echo {HERE}; exit 1"), HERE, with_pip=False)
    (tmp_path / "text").write_text("words", "utf-8")
    assert not runs(tmp_path / "text", HERE, with_pip=False)


def test_one_without_pip_serves_uv_alone(tmp_path: Path) -> None:
    """As Debian's does without python3-venv."""
    bare = _plant(tmp_path, "bare", f'case "$2" in *ensurepip*) exit 1;; esac; echo {HERE}')
    assert runs(bare, HERE, with_pip=False)
    assert not runs(bare, HERE, with_pip=True)


@pytest.mark.slow
def test_those_that_are_here_and_those_that_are_not_are_told(tmp_path: Path) -> None:
    """On a machine with one other Python: its path on standard output, the rest in words."""
    others = [version for version in claimed(ROOT) if version != HERE]
    there = _plant(tmp_path / "bin", f"python{others[0]}", f"echo {others[0]}")
    done = subprocess.run(
        [sys.executable, "-m", "tests.repo.pythons"],
        cwd=ROOT,
        env={"PATH": str(there.parent), "HOME": str(tmp_path)},
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [f"{others[0]} {there}"]
    assert done.stderr.splitlines() == [
        f"Python {version} is claimed, and not here: not tried" for version in others[1:]
    ]
