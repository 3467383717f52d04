"""The commands and examples of the README and of docs/proxy.md, executed as they are written, but for the port."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from urllib.request import urlopen

import pytest

from lorax_proxy.config import load
from tests.repo.readme import (
    Block,
    blocks,
    is_docker,
    is_install,
    is_make,
    is_serving,
    make_targets,
)
from tests.repo.tree import ROOT

_PAGES = {name: (ROOT / name).read_text("utf-8") for name in ("README.md", "docs/proxy.md")}
_BLOCKS = [(name, block) for name, text in _PAGES.items() for block in blocks(text)]
_BIN = Path(sys.prefix) / "bin"
_DEFAULT = "http://127.0.0.1:8000"


def _chosen(language: str, wanted: Callable[[Block], bool]) -> Sequence[object]:
    return [
        pytest.param(block, id=f"{name} line {block.line}")
        for name, block in _BLOCKS
        if block.language == language and wanted(block)
    ]


@pytest.fixture(scope="module")
def demo() -> Iterator[str]:
    """The demo that `make run` starts, on a free port; its own example is in its output."""
    command = [str(_BIN / "lorax-proxy"), "serve", "--demo", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = ""
        while "curl -s" not in told:
            line = process.stdout.readline()
            assert line, "the demo did not start"
            told += line
        yield told
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0


def _base(told: str) -> str:
    found = re.search(r"http://127\.0\.0\.1:\d+", told)
    assert found
    return found[0]


def _environment() -> dict[str, str]:
    mine = {name: value for name, value in os.environ.items() if not name.startswith("LORAX_")}
    return mine | {"PATH": f"{_BIN}{os.pathsep}{os.environ['PATH']}"}


def _run(command: Sequence[str], folder: Path) -> str:
    done = subprocess.run(
        command,
        check=False,
        cwd=folder,
        env=_environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A checkout as a reader has it: the environment, and the configuration that docs/proxy.md shows."""
    (tmp_path / ".venv").symlink_to(sys.prefix)
    (toml,) = (block for _, block in _BLOCKS if block.language == "toml")
    (tmp_path / "lorax-proxy.toml").write_text(toml.text, "utf-8")
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("block", _chosen("python", lambda _: True))
def test_python_examples_print_what_is_shown(block: Block, demo: str, tmp_path: Path) -> None:
    """Pasted against the demo, each example prints the page's output to the letter."""
    assert _DEFAULT in block.text
    script = tmp_path / "example.py"
    script.write_text(block.text.replace(_DEFAULT, _base(demo)), "utf-8")
    assert _run([sys.executable, str(script)], tmp_path) == block.output


@pytest.mark.slow
@pytest.mark.parametrize(
    "block",
    _chosen("sh", lambda b: not (is_make(b) or is_docker(b) or is_install(b) or is_serving(b))),
)
def test_shell_examples_succeed(block: Block, demo: str, folder: Path) -> None:
    """Every command exits 0, and what curl brings is an answer."""
    if "curl" in block.text and shutil.which("curl") is None:
        pytest.skip("there is no curl here")
    script = block.text.replace(_DEFAULT, _base(demo))
    out = _run(["bash", "-euo", "pipefail", "-c", script], folder)
    if block.text.startswith("curl") and ">" not in block.text:
        assert json.loads(out)["choices"][0]["message"]["content"]


@pytest.mark.slow
@pytest.mark.parametrize("block", _chosen("sh", lambda b: is_serving(b) and not is_install(b)))
def test_servers_start_as_shown(block: Block, folder: Path) -> None:
    """Each `serve` line says where it listens, answers /health there, and Ctrl-C ends it with 0."""
    *before, serve = block.commands()
    script = "\n".join([*before, f"exec {re.sub(r' --port [0-9]+', '', serve)} --port 0"])
    command = ["bash", "-euo", "pipefail", "-c", script]
    with subprocess.Popen(
        command, cwd=folder, env=_environment(), stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        base = _base(process.stdout.readline())
        with urlopen(f"{base}/health", timeout=10) as reply:
            assert reply.status == 200
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0


@pytest.mark.parametrize("block", _chosen("sh", is_make))
def test_make_has_every_target(block: Block) -> None:
    """What the pages tell to make can be made."""
    told = [command.split()[1] for command in block.commands()]
    assert told
    assert set(told) <= make_targets(ROOT)


def test_make_is_told_of_in_words_too() -> None:
    """Targets that are named inside a sentence exist as well."""
    told = set(re.findall(r"`make ([a-z-]+)", "".join(_PAGES.values())))
    assert told
    assert told <= make_targets(ROOT)


def test_the_demo_prints_the_readmes_example(demo: str) -> None:
    """The example of the first screen is the one that `make run` prints."""
    first = next(block for _, block in _BLOCKS if block.language == "python")
    curl = next(block for _, block in _BLOCKS if block.text.startswith("curl"))
    assert first.text in demo.replace(_base(demo), _DEFAULT)
    assert curl.text in demo.replace(_base(demo), _DEFAULT)


def test_the_configuration_loads(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The TOML example is a valid configuration, to its last key."""
    for name in os.environ:
        if name.startswith("LORAX_PROXY_"):
            monkeypatch.delenv(name)
    settings, _ = load({}, folder / "lorax-proxy.toml")
    assert [upstream.kind for upstream in settings.upstream] == ["generate", "embed"]
    assert {model.name for model in settings.model} >= {"support", "all-rounder"}


def test_links_lead_somewhere() -> None:
    """Each relative link of the documents is a file."""
    for document in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")):
        text = re.sub(r"`[^`]*`", "", document.read_text("utf-8"))
        for target in re.findall(r"\]\((?!https?:)([^)#]+)[^)]*\)", text):
            assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_blocks_are_read_with_their_output() -> None:
    """Languages, lines, comments and outputs are told apart."""
    document = "a\n\n```sh\nmake run  # words\n```\n\n```python\nprint(1)\n```\n\n```text\n1\n```\n"
    shell, python = blocks(document)
    assert (shell.line, list(shell.commands()), shell.output) == (3, ["make run"], None)
    assert is_make(shell)
    assert not is_docker(shell)
    assert (python.text, python.output) == ("print(1)\n", "1\n")


@pytest.mark.parametrize(
    ("document", "fault"),
    [
        ("```text\n1\n```\n", "line 1: output, but of what"),
        ("```ruby\nputs 1\n```\n", "line 1: a block of 'ruby' is not tried by any test"),
    ],
)
def test_untried_blocks_are_named(document: str, fault: str) -> None:
    """Nothing on the pages goes untried."""
    with pytest.raises(ValueError, match=fault):
        list(blocks(document))
