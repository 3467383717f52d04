"""The pytest plugin, in a pytest run of its own."""

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest

_TESTS = """
import openai
import pytest

def ask(client, model="acme/pirate"):
    return client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": "hello"}], temperature=0
    ).choices[0].message.content

def test_the_whole_road(lorax_mock, openai_client):
    assert "acme/pirate" in lorax_mock.adapters
    assert "acme/pirate" in ask(openai_client)
    assert [entry["outcome"] for entry in lorax_mock.journal] == ["eos_token"]

def test_each_test_starts_anew(lorax_mock):
    assert lorax_mock.journal == []

@pytest.mark.lorax_script({"rules": [{"reply": {"text": "scripted"}}]})
def test_a_scripted_answer(openai_client):
    assert ask(openai_client) == "scripted"

@pytest.mark.lorax_fault("overload", "error@0")
def test_faults_come_one_a_request(lorax_mock, openai_client):
    with pytest.raises(openai.RateLimitError):
        ask(openai_client)
    with pytest.raises(openai.InternalServerError):
        ask(openai_client)
    assert ask(openai_client)
    assert [entry["fault"] for entry in lorax_mock.journal] == ["overload", "error@0", None]

async def test_the_async_client(async_openai_client):
    stream = await async_openai_client.chat.completions.create(
        model="acme/pirate", messages=[{"role": "user", "content": "hello"}], stream=True
    )
    assert [chunk async for chunk in stream]

def test_a_wrong_script_is_a_value_error(lorax_mock):
    with pytest.raises(ValueError, match="did you mean 'rules'"):
        lorax_mock.script("rulse: []")

def test_lorax_client_is_skipped_where_it_is_not_installed(lorax_client):
    assert lorax_client.generate("x").generated_text

@pytest.mark.lorax_fault("overload")
def test_in_process(lorax_mock_app):
    assert type(lorax_mock_app.app).__name__ == "MockApp"
    with lorax_mock_app.client() as http:
        assert [http.post("/generate", json={"inputs": "a"}).status_code for _ in "ab"] == [429, 200]

def test_in_process_starts_anew(lorax_mock_app):
    assert lorax_mock_app.journal == []

def test_that_fails_in_process_shows_the_journal(lorax_mock_app):
    with lorax_mock_app.client() as http:
        http.post("/generate", json={"inputs": "in process"})
    assert False

def test_that_fails_shows_the_journal(lorax_mock, openai_client):
    ask(openai_client)
    assert not lorax_mock.manners and False
"""


_PAGE = (Path(__file__).parents[2] / "docs/mock.md").read_text("utf-8")
_EXAMPLES = re.findall(r"```python\n(.*?)```", _PAGE, re.DOTALL)
_FILES = dict(re.findall(r"<!-- file: (\S+) -->\n```python\n(.*?)```", _PAGE, re.DOTALL))

_FOREVER = """
import pathlib, threading

def test_that_never_ends(lorax_mock, lorax_proxy):
    addresses = f"{lorax_mock.url} {lorax_proxy}"
    here = pathlib.Path(__file__).parent
    (here / "new").write_text(addresses)
    (here / "new").rename(here / "addresses")
    threading.Event().wait()
"""


def _by_name() -> list[str]:
    """How a run that is not of an installed project finds the plugin."""
    announced = any(
        point.value == "lorax_mock.plugin" for point in metadata.entry_points(group="pytest11")
    )
    return [] if announced else ["-p", "lorax_mock.plugin"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("marker", "told"),
    [
        ('lorax_fault("overlod")', "unknown fault 'overlod'; did you mean 'overload'?"),
        ('lorax_falt("overload")', "there is no such marker; did you mean 'lorax_fault'?"),
        (
            'lorax_script("rulse: []")',
            "line 1: unknown key 'rulse' in a script; did you mean 'rules'?",
        ),
        ("lorax_script()", "its form is lorax_script(rules)"),
    ],
)
def test_a_wrong_marker_ends_the_run_before_its_tests(
    tmp_path: Path, marker: str, told: str
) -> None:
    """With pytest's exit code for wrong usage."""
    (tmp_path / "test_it.py").write_text(
        f"import pytest\n@pytest.mark.{marker}\ndef test_it(): pass\n", "utf-8"
    )
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    run = subprocess.run(
        [sys.executable, "-m", "pytest", *_by_name(), "-q", "-W", "ignore", str(tmp_path)],
        capture_output=True,
        check=False,
        text=True,
        env={**os.environ, "PYTEST_ADDOPTS": ""},
        cwd=tmp_path,
    )
    assert run.returncode == pytest.ExitCode.USAGE_ERROR
    name = marker.partition("(")[0]
    assert f"ERROR: test_it.py::test_it: @pytest.mark.{name}: {told}" in run.stderr


@pytest.mark.slow
def test_a_run_that_is_killed_leaves_nothing_behind(tmp_path: Path) -> None:
    """After SIGKILL of a test run its mock and proxy end by themselves."""
    (tmp_path / "test_forever.py").write_text(_FOREVER)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    run = subprocess.Popen(
        [sys.executable, "-m", "pytest", *_by_name(), "-q", str(tmp_path)],
        stdout=subprocess.DEVNULL,
        env={**os.environ, "PYTEST_ADDOPTS": ""},
        cwd=tmp_path,
    )
    told = tmp_path / "addresses"
    _until(lambda: told.exists() or run.poll() is not None)
    addresses = told.read_text().split()
    assert [_answers(address) for address in addresses] == [True, True]
    run.kill()
    run.wait()
    _until(lambda: not any(_answers(address) for address in addresses))


def _until(settled: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not settled():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _answers(url: str) -> bool:
    host, port = url.removeprefix("http://").split("/")[0].split(":")
    with socket.socket() as connection:
        return connection.connect_ex((host, int(port))) == 0


@pytest.mark.slow
def test_the_fixtures_work_under_xdist(tmp_path: Path) -> None:
    """Two xdist workers each have a mock and proxy of their own, and two tests that fail show the journal.

    The examples of docs/mock.md run with them.
    """
    (tmp_path / "test_road.py").write_text(_TESTS)
    for number, example in enumerate(_EXAMPLES):
        if not any(example.endswith(shown) for name, shown in _FILES.items() if "conftest" in name):
            (tmp_path / f"test_docs_{number}.py").write_text(f"import asyncio\n{example}")
    (tmp_path / "conftest.py").write_text(_FILES["conftest.py"])
    # a folder's conftest.py counts for all below it, and one folder has but one
    with (tmp_path / "conftest.py").open("a") as conftest:
        conftest.write(_FILES["anyio/conftest.py"])
    (tmp_path / "pytest.ini").write_text("[pytest]\nanyio_mode = auto\n")
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", *_by_name(), "-n2", "-q", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
        env={**os.environ, "PYTEST_ADDOPTS": ""},
        cwd=tmp_path,
    )
    said = ended.stdout
    assert "2 failed" in said, said + ended.stderr
    here = 8 + 1 + 8  # of them one skips without lorax-client; and eight of docs/mock.md
    assert f"{here - 1} passed" in said or f"{here} passed" in said, said
    assert "lorax-mock journal" in said
    assert "lorax-mock-app journal" in said
    assert '"inputs": "in process"' in said
    assert '"outcome": "eos_token"' in said


@pytest.mark.slow
def test_the_example_for_unittest_runs_without_pytest(tmp_path: Path) -> None:
    """By unittest's own command: a test and an async one."""
    (tmp_path / "test_it.py").write_text(_FILES["test_with_unittest.py"], "utf-8")
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-m", "unittest", "test_it"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=tmp_path,
    )
    assert ended.returncode == 0, ended.stderr
    assert "Ran 2 tests" in ended.stderr
