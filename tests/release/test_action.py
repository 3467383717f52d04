"""The whole action, installed as on a runner."""

import sys
from pathlib import Path

import pytest

from tests.contracts.http_server import over_http
from tests.contracts.reference import openai
from tests.repo.action import run_step

pytestmark = pytest.mark.timeout(300)


def test_it_installs_and_judges_a_right_server(tmp_path: Path) -> None:
    """From the locks of the action's own ref."""
    installed = run_step(0, tmp_path, {"url": "", "python": sys.executable})
    assert installed.code == 0, installed.log
    with over_http(openai) as url:
        done = run_step(1, tmp_path, {"url": url, "only": "OAI-EMB-001"})
    assert (done.code, done.outputs) == (0, {"exit-code": "0"}), done.log
    assert "no broken laws at" in done.log
    assert done.summary.startswith("## lorax-contracts: no broken laws")


def test_an_old_python_is_told(tmp_path: Path) -> None:
    """In one line."""
    old = tmp_path / "python3.9"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    done = run_step(0, tmp_path, {"url": "", "python": str(old)})
    assert done.code == 2
    assert done.log.count("\n") == 1
    assert done.log.startswith("::error title=lorax-contracts::")
