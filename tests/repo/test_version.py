"""One version: pyproject.toml's, told by every command, and the check finds a second one."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.repo.tree import ROOT
from tests.repo.version import project_version, spelled


def test_the_version_is_spelled_once() -> None:
    """In pyproject.toml; the changelog tells which change came with which."""
    assert "\n".join(spelled(ROOT)) == ""


@pytest.mark.slow
@pytest.mark.parametrize(
    "program", ["lorax-openai", "lorax-proxy", "lorax-mock", "lorax-contracts"]
)
def test_each_command_tells_it(program: str) -> None:
    """One line: the command and the project's version, the mock's own and not LoRAX's."""
    done = subprocess.run(
        [str(Path(sys.prefix, "bin", program)), "--version"],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{program} {project_version(ROOT)}\n"


def test_a_second_version_is_named(tmp_path: Path) -> None:
    """With its line; other versions, and the folders that hold those of others, do not matter."""
    files = {
        "pyproject.toml": '[project]\nversion = "1.2.3"\n',
        "CHANGELOG.md": "## [1.2.3] - 2026-01-01\n",
        "proxy/app.py": 'x = "11.2.3", "1.2.34", "1.2.3.4"\nversion = "1.2.3"\n',
        "docs/a.md": "since 1.2.3-rc\n",
        "requirements/run.txt": "a==1.2.3\n",
        "mock/lorax_mock/wire/info.py": 'version = "1.2.3"\n',
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, "utf-8")
    for command in (["init", "--quiet"], ["add", "."]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    assert list(spelled(tmp_path)) == [
        'docs/a.md:1: ask importlib.metadata.version("lorax-openai")',
        'proxy/app.py:2: ask importlib.metadata.version("lorax-openai")',
    ]
