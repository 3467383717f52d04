"""The plugin and the worked examples of docs/contracts.md and docs/ci.md, run as they are written."""

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from lorax_contracts.check import Options, check_server
from lorax_contracts.errors import UnknownName
from lorax_contracts.pytest_plugin import Contracts, law_ids
from tests.contracts.http_server import over_http
from tests.contracts.inprocess import InProcess
from tests.contracts.planted import DEVIATIONS
from tests.contracts.reference import Asked, Said, openai

DOCS = Path(__file__).parents[2] / "docs"
RECIPES = (DOCS / "ci.md").read_text("utf-8")


def files(page: str) -> dict[str, str]:
    """The files that stand on a page, by name."""
    return dict(re.findall(r"<!-- file: (\S+) -->\n```python\n(.*?)```", page, re.DOTALL))


FILES = files((DOCS / "contracts.md").read_text("utf-8"))


def run(
    folder: Path, url: str, *names: str, written: dict[str, str] = FILES
) -> subprocess.CompletedProcess[str]:
    """Writes a page's files into a folder and runs pytest there, without this project's settings."""
    for name, text in written.items():
        (folder / name).write_text(text, "utf-8")
    (folder / "pytest.ini").write_text("[pytest]\n", "utf-8")
    # schemathesis is a tool of this project's own tests, and takes seconds to import
    plugins = [word for name in ("cacheprovider", "schemathesis") for word in ("-p", f"no:{name}")]
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *plugins, *names],
        cwd=folder,
        # CI: Hypothesis then draws alike and sets no deadline, which a busy machine would miss
        env={**os.environ, "GATEWAY_URL": url, "PYTEST_ADDOPTS": "", "CI": "true"},
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
    assert len(FILES) == 5
    # The recipe gives neither a key nor the model's length.
    assert f"{len(law_ids('openai')) - 3 + 3} passed, 2 skipped" in done.stdout


OPTIONS = """
from lorax_contracts.check import Options


@pytest.fixture(scope="session")
def contracts_options() -> Options:
    return Options(examples=0)
"""


@pytest.mark.slow
def test_a_broken_law_fails_alone_and_what_was_not_judged_is_skipped(tmp_path: Path) -> None:
    """One failed test with its finding, skipped ones that say why, the others green."""
    deviation = next(one for one in DEVIATIONS if one.name == "object of text completions")

    def textual(asked: Asked) -> Said:
        if asked.path.endswith("/embeddings"):
            asked = replace(asked, path="/v1/none")
        return deviation(asked)

    written = {**FILES, "conftest.py": FILES["conftest.py"] + OPTIONS}
    with over_http(textual) as url:
        done = run(tmp_path, url, "test_gateway.py", "-rs", written=written)
    assert done.returncode == 1
    assert f"1 failed, {len(law_ids('openai')) - 9} passed, 7 skipped" in done.stdout
    assert "test_my_gateway_keeps[OAI-CHAT-002]" in done.stdout
    assert "text_completion" in done.stdout
    assert "repeat    curl" in done.stdout
    assert "embeddings: POST /embeddings is 404 for each model" in done.stdout


def test_what_is_left_out_must_be_a_law() -> None:
    """A typing error in `without` would hide nothing and say nothing."""
    assert "OAI-CHAT-001" not in law_ids("openai", without=["oai-chat-001"])
    assert set(law_ids("openai")) < set(law_ids("openai", strict=True))
    with pytest.raises(UnknownName, match="OAI-CHAT-0"):
        law_ids("openai", without=["OAI-CHAT-01"])


def test_a_law_that_was_not_to_be_judged_is_no_success() -> None:
    """One of our own without strict, or another wire's: the test says so."""
    verdict = check_server(InProcess(openai), Options(examples=0))
    for law_id in ("OAI-HTTP-003", "LORAX-GEN-001"):
        with pytest.raises(pytest.fail.Exception, match="was not to be judged"):
            Contracts(verdict).assert_kept(law_id)
    Contracts(verdict).assert_kept("oai-chat-001")


@pytest.mark.slow
def test_the_applications_recipe_passes(tmp_path: Path) -> None:
    """Our own plugin's fixtures, in a folder that knows nothing of this project."""
    done = run(tmp_path, "", written=files(RECIPES))
    assert done.returncode == 0, done.stdout
    assert "3 passed" in done.stdout
