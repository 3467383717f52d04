"""A command starts its package, or names the extra that it needs."""

import sys
from pathlib import Path

import pytest

from lorax_openai.commands import Command


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """A command whose package holds what a test writes into its `__main__`."""
    name = f"package_of_{tmp_path.name}"
    (tmp_path / name).mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["-c"])
    return Command("some-command", name, "some")


def _write(tmp_path: Path, command: Command, text: str) -> None:
    (tmp_path / command.package / "__main__.py").write_text(text, "utf-8")


def test_the_package_gets_the_arguments(
    tmp_path: Path, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    """Under the command's own name, whichever command it was called through."""
    _write(tmp_path, command, "import sys\ndef main(): print(sys.argv)\n")
    command.run("serve", "--port=0")
    assert capsys.readouterr().out == "['some-command', 'serve', '--port=0']\n"


@pytest.mark.parametrize(
    "text", ["import no_such_library.part\n", "def main():\n    import no_such_library\n"]
)
def test_a_missing_library_is_one_sentence_that_names_the_extra(
    tmp_path: Path, command: Command, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    """At the command's start or in the middle of it."""
    _write(tmp_path, command, text)
    with pytest.raises(SystemExit) as ended:
        command.run()
    assert ended.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == (
        "some-command: needs the extra 'some' (no_such_library is not installed): "
        "pip install 'lorax-openai[some]'\n"
    )


def test_a_missing_module_of_ours_is_a_bug(tmp_path: Path, command: Command) -> None:
    """No extra would bring it."""
    _write(tmp_path, command, "import lorax_nothing\n")
    with pytest.raises(ModuleNotFoundError, match="lorax_nothing"):
        command.run()
