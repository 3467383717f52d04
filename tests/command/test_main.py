"""`lorax-openai`: one command over the three."""

import subprocess
import sys
from pathlib import Path

import pytest

from lorax_openai.__main__ import main

pytestmark = pytest.mark.slow


def _run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [str(Path(sys.prefix, "bin/lorax-openai")), *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["proxy", "--help"], "Usage: lorax-proxy "),
        (["mock", "serve", "--help"], "Usage: lorax-mock serve "),
        (["check", "--help"], "Usage: lorax-contracts check "),
        (["demo", "--help"], "Usage: lorax-proxy serve "),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_stands_behind_a_name_is_that_commands(arguments: list[str], told: str) -> None:
    """Its help too."""
    done = _run(*arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert told in done.stdout


def test_a_wrong_option_is_the_other_commands_line() -> None:
    """With its exit code."""
    done = _run("demo", "--port=many")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("lorax-proxy: ")


def test_without_arguments_it_lists_the_commands(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All of them, in one line each."""
    monkeypatch.setattr(sys, "argv", ["lorax-openai"])
    with pytest.raises(SystemExit):
        main()
    listed = "".join(capsys.readouterr()).partition("Commands:\n")[2]
    assert [line.split()[0] for line in listed.splitlines()] == [
        *("demo", "proxy", "mock", "check", "doctor")
    ]
