"""The plugin and the worked examples of docs/contracts.md, run as they are written."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lorax_contracts.errors import UnknownName
from lorax_contracts.pytest_plugin import law_ids
from tests.contracts.http_server import over_http
from tests.contracts.planted import DEVIATIONS
from tests.contracts.reference import openai

PAGE = Path(__file__).parents[2] / "docs" / "contracts.md"
FILES = dict(
    re.findall(r"<!-- file: (\S+) -->\n```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
)


def run(folder: Path, url: str, *names: str) -> subprocess.CompletedProcess[str]:
    """Writes the page's files into a folder and runs pytest there, without this project's settings."""
    for name, text in FILES.items():
        (folder / name).write_text(text, "utf-8")
    (folder / "pytest.ini").write_text("[pytest]\n", "utf-8")
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *names]
    return subprocess.run(
        words,
        cwd=folder,
        env={**os.environ, "GATEWAY_URL": url, "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


@pytest.mark.slow
def test_the_pages_examples_pass_on_a_correct_server(tmp_path: Path) -> None:
    """Laws as tests, requests drawn, adapters driven: all of the page."""
    with over_http(openai) as url:
        done = run(tmp_path, url)
    assert done.returncode == 0, done.stdout
    assert len(FILES) == 4
    assert f"{len(law_ids('openai')) - 1 + 2} passed" in done.stdout


@pytest.mark.slow
def test_a_broken_law_is_one_failed_test_with_its_finding(tmp_path: Path) -> None:
    """And the other laws' tests stay green."""
    deviation = next(one for one in DEVIATIONS if one.name == "object of text completions")
    with over_http(deviation) as url:
        done = run(tmp_path, url, "test_gateway.py")
    assert done.returncode == 1
    assert f"1 failed, {len(law_ids('openai')) - 2} passed" in done.stdout
    assert "test_my_gateway_keeps[OAI-CHAT-002]" in done.stdout
    assert "text_completion" in done.stdout
    assert "repeat    curl" in done.stdout


def test_what_is_left_out_must_be_a_law() -> None:
    """A typing error in `without` would hide nothing and say nothing."""
    assert "OAI-CHAT-001" not in law_ids("openai", without=["oai-chat-001"])
    assert set(law_ids("openai")) < set(law_ids("openai", strict=True))
    with pytest.raises(UnknownName, match="OAI-CHAT-0"):
        law_ids("openai", without=["OAI-CHAT-01"])
