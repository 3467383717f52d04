"""The recipes of docs/ci.md, run as GitHub and GitLab would run them, on ports that are free here."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import yaml

from lorax_contracts.pytest_plugin import law_ids
from tests.repo.action import run_step
from tests.repo.tree import ROOT

_PAGE = (ROOT / "docs/ci.md").read_text("utf-8")
_BIN = Path(sys.executable).parent
_INSTALL = "pip install 'lorax-openai[all] @ git+https://github.com/OWNER/lorax-openai@main'"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("curl") is None, reason="the recipes wait with curl"),
]


def _recipe(name: str) -> Any:
    """The recipe's YAML, its ports changed for free ones."""
    (text,) = re.findall(rf"<!-- recipe: {name} -->\n```yaml\n(.*?)```", _PAGE, re.DOTALL)
    for port in ("8080", "8000"):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            text = text.replace(port, str(free.getsockname()[1]))
    return yaml.safe_load(text)


@contextmanager
def _run(folder: Path, *command: str) -> Generator[int]:
    """A script's exit code, while what it has left running runs on."""
    with subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, "PATH": f"{_BIN}:{os.environ['PATH']}"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as shell:
        try:
            yield shell.wait(60)
        finally:
            os.killpg(shell.pid, signal.SIGTERM)


def _kept(folder: Path) -> None:
    suite = ET.parse(folder / "contracts.xml").getroot()  # noqa: S314 - our own
    assert suite.get("failures") == "0"
    assert int(suite.get("tests", "0")) == len(law_ids("openai"))
    assert "no broken laws" in (folder / "contracts.html").read_text("utf-8")


def test_githubs_recipe_passes(tmp_path: Path) -> None:
    """The job's own commands, then the action with its inputs."""
    steps: Sequence[Any] = _recipe("github")["jobs"]["contracts"]["steps"]
    install, start = [step["run"] for step in steps if "run" in step]
    assert install == _INSTALL
    (check,) = [step for step in steps if step.get("uses") == "OWNER/lorax-openai@main"]
    bin_folder = tmp_path / "lorax-contracts/bin"
    bin_folder.mkdir(parents=True)
    (bin_folder / "lorax-contracts").symlink_to(_BIN / "lorax-contracts")
    with _run(tmp_path, "bash", "-e", "-o", "pipefail", "-c", start) as code:
        assert code == 0
        done = run_step(1, tmp_path, check["with"])
    assert done.code == 0, done.log
    _kept(tmp_path)


def test_gitlabs_recipe_passes(tmp_path: Path) -> None:
    """One script, ended by the first command that fails."""
    job = _recipe("gitlab")["contracts"]
    install, *commands = job["script"]
    assert install == _INSTALL
    with _run(tmp_path, "bash", "-e", "-o", "pipefail", "-c", "\n".join(commands)) as code:
        assert code == 0
    _kept(tmp_path)
    assert [*job["artifacts"]["paths"], job["artifacts"]["reports"]["junit"]] == [
        "contracts.html",
        "contracts.xml",
    ]
