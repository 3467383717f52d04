"""The action's check as a workflow starts it; its installation is tried by `make wheel`."""

import json
import sys
from pathlib import Path

import pytest

from tests.contracts.http_server import over_http
from tests.contracts.planted import DEVIATIONS
from tests.contracts.reference import KEY
from tests.repo.action import read_action, run_step

_INSTALL, _CHECK = 0, 1
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
        "format": "  json:my report.json\t\r\nhtml:report.html \r\n \n",
        "options": "--examples\n0\r\n--seed\n5",
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
    assert "::error title=lorax-contracts::the check could not be made, or" in done.log
    assert not (job / "x").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"kind": "tgi"}, "--kind tgi: openai or lorax"),
        ({"only": "OAI-EMB-001", "without": "OAI-EMB-001"}, "asked for alone, and left out"),
        ({"strict": "yes"}, "the input `strict` is neither true nor false"),
    ],
)
def test_inputs_that_cannot_be_meant_are_told(job: Path, given: dict[str, str], said: str) -> None:
    """None is lost on its way to the program, nor read as what it is not; no server is asked."""
    done = run_step(_CHECK, job, {"url": "http://127.0.0.1:9", **given})
    assert (done.code, done.outputs) == (2, {"exit-code": "2"})
    assert said in done.log


def test_where_nothing_can_be_installed_the_exit_code_is_2(tmp_path: Path) -> None:
    """As if the server could not be judged; a Python that is too old says no as `false` does."""
    done = run_step(_INSTALL, tmp_path, {"url": "http://h", "python": "false"})
    assert (done.code, done.outputs) == (2, {"exit-code": "2"})
    assert "::error title=lorax-contracts::false is not Python 3.11 or newer" in done.log
    value = read_action()["outputs"]["exit-code"]["value"]
    assert value == "${{ steps.check.outputs.exit-code || steps.install.outputs.exit-code }}"


def test_every_input_is_explained_and_used() -> None:
    """One that no step reads would be asked for in vain."""
    action = read_action()
    text = str(action["runs"])
    for name, one in action["inputs"].items():
        assert one["description"].endswith(".")
        assert f"inputs.{name} " in text
        assert ("default" in one) != one.get("required", False)
