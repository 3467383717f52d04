"""The action's check as a workflow starts it; its installation is tried by `make wheel`."""

import json
import sys
from pathlib import Path

import pytest

from tests.contracts.http_server import over_http
from tests.contracts.planted import DEVIATIONS
from tests.contracts.reference import KEY
from tests.repo.action import read_action, run_step

_CHECK = 1
_BROKEN = next(one for one in DEVIATIONS if one.law == "OAI-CHAT-003")


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """A runner's temporary folder in which the first step has installed the program."""
    bin_folder = tmp_path / "lorax-contracts/bin"
    bin_folder.mkdir(parents=True)
    (bin_folder / "lorax-contracts").symlink_to(Path(sys.executable).parent / "lorax-contracts")
    return tmp_path


@pytest.mark.slow
def test_a_broken_law_fails_the_step_and_is_annotated(job: Path) -> None:
    """And stands in the summary; inputs are options, and nothing but text."""
    (job / "known.json").write_text(json.dumps({"known": []}))
    given = {
        "only": "OAI-CHAT-003",
        "baseline": "known.json",
        "format": "json:my report.json\nhtml:report.html\n",
        "options": "--examples\n0\n--seed\n5",
        "model": "acme/poet",
        "strict": "true",
    }
    with over_http(_BROKEN) as url:
        done = run_step(_CHECK, job, {"url": url, **given}, {"OPENAI_API_KEY": KEY})
    assert done.code == 1, done.log
    assert done.outputs == {"exit-code": "1"}
    (annotation,) = [line for line in done.log.splitlines() if line.startswith("::")]
    assert annotation.startswith("::error title=OAI-CHAT-003 (breaks)::")
    assert done.summary.startswith("## lorax-contracts: 1 new, 0 known, 0 fixed")
    document = json.loads((job / "my report.json").read_text("utf-8"))
    assert (document["seed"], document["model"]) == (5, "acme/poet")
    assert document["laws"] == ["OAI-CHAT-003"]
    assert (job / "report.html").exists()


@pytest.mark.slow
def test_what_cannot_be_judged_fails_the_step_otherwise(job: Path) -> None:
    """An address is an address, whatever it is."""
    done = run_step(_CHECK, job, {"url": "--help $(touch x); `touch x`"})
    assert (done.code, done.outputs) == (2, {"exit-code": "2"})
    assert "::error title=lorax-contracts::" in done.log
    assert not (job / "x").exists()


def test_every_input_is_explained_and_used() -> None:
    """One that no step reads would be asked for in vain."""
    action = read_action()
    text = str(action["runs"])
    for name, one in action["inputs"].items():
        assert one["description"].endswith(".")
        assert f"inputs.{name} " in text
        assert ("default" in one) != one.get("required", False)
