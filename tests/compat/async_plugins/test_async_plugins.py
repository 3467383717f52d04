"""The fixtures under pytest-asyncio and anyio, from a run of their own with the files that docs/mock.md shows.

Beside the project itself, as installed, this needs openai, pytest-asyncio and pytest-xdist.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

_PAGE = (Path(__file__).parents[3] / "docs/mock.md").read_text("utf-8")
_FILES = dict(re.findall(r"<!-- file: (\S+) -->\n```python\n(.*?)```", _PAGE, re.DOTALL))
_STRICT = _FILES["test_strict.py"]
_PLAIN = _STRICT.replace("@pytest.mark.asyncio\n", "")
_BOTH = _FILES["conftest.py"] + _FILES["anyio/conftest.py"].partition("import pytest\n")[2]
_STREAMED = """

@pytest.mark.lorax_fault("error@2")
async def test_stream(async_openai_client):
    chunks = await async_openai_client.completions.create(model="mycorp/x", prompt="a", stream=True)
    with pytest.raises(Exception, match="a fault that was asked for"):
        [chunk async for chunk in chunks]
"""
"""A second test of the file: the client outlives the first one's event loop."""

_WARNINGS = ("-W", "error", "-W", "ignore:The configuration option")
"""All are errors, but for pytest-asyncio's own about an option that nobody needs here."""


def _run(
    folder: Path, test: str, conftest: str, ini: str, *options: str
) -> "subprocess.CompletedProcess[str]":
    (folder / "test_it.py").write_text(test, "utf-8")
    (folder / "conftest.py").write_text(conftest, "utf-8")
    (folder / "pytest.ini").write_text(f"[pytest]\n{ini}\n", "utf-8")
    # what names the commands of other suites would be a setting to the proxy
    variables = {name: text for name, text in os.environ.items() if not name.startswith("LORAX_")}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *_WARNINGS, *options, str(folder)],
        capture_output=True,
        check=False,
        text=True,
        timeout=100,
        env={**variables, "PYTEST_ADDOPTS": ""},
        cwd=folder,
    )


@pytest.mark.parametrize(
    ("test", "conftest", "ini"),
    [
        (
            _STRICT + _STREAMED.replace("async def", "@pytest.mark.asyncio\nasync def"),
            _FILES["conftest.py"],
            "asyncio_mode = strict",
        ),
        (_PLAIN + _STREAMED, _FILES["conftest.py"], "asyncio_mode = auto"),
        (_PLAIN + _STREAMED, _BOTH, "anyio_mode = auto"),
        (
            (_PLAIN + _STREAMED).replace("async def", "@pytest.mark.anyio\nasync def"),
            _BOTH,
            "",
        ),
    ],
    ids=["asyncio-strict", "asyncio-auto", "anyio-auto", "anyio-mark"],
)
def test_the_async_client_works_under(tmp_path: Path, test: str, conftest: str, ini: str) -> None:
    """Each plugin, with warnings as errors."""
    ended = _run(tmp_path, test, conftest, ini)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "2 passed" in ended.stdout


def test_workers_of_xdist_have_a_mock_each_under_pytest_asyncio(tmp_path: Path) -> None:
    """What one scripts, another is not told."""
    test = _PLAIN + "".join(
        f"""
async def test_{number}(lorax_mock, async_openai_client):
    lorax_mock.script({{"rules": [{{"reply": {{"text": "{number}"}}}}]}})
    for _ in range(10):
        answer = await async_openai_client.completions.create(model="mycorp/x", prompt="a")
        assert answer.choices[0].text == "{number}"
    assert len(lorax_mock.journal) == 10
"""
        for number in range(4)
    )
    ended = _run(tmp_path, test, _FILES["conftest.py"], "asyncio_mode = auto", "-n2")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "5 passed" in ended.stdout


def test_without_the_mark_strict_mode_runs_no_test(tmp_path: Path) -> None:
    """So the mark is what the docs must show: this is pytest-asyncio's own refusal."""
    ended = _run(tmp_path, _PLAIN, _FILES["conftest.py"], "asyncio_mode = strict")
    assert ended.returncode == 1
    assert "async def functions are not natively supported" in ended.stdout
