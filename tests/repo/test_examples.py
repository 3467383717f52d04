"""Every block of the documentation is what it says: data that parse, commands and options that exist."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from lorax_proxy.config import load
from tests.repo.examples import Fence, fences, wrong
from tests.repo.tree import ROOT

PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_a_page_shows_what_works(page: Path) -> None:
    """Nothing that a reader pastes was renamed, misspelt or cut."""
    told = [
        f"line {fence.line}: {fault}"
        for fence in fences(page.read_text("utf-8"))
        for fault in wrong(fence, ROOT)
    ]
    assert not told


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_settings_load(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What names an upstream is a whole configuration of the proxy."""
    for name in os.environ:
        if name.startswith("LORAX_PROXY_"):
            monkeypatch.delenv(name)
    for fence in fences(page.read_text("utf-8")):
        if fence.language == "toml" and "[[upstream]]" in fence.text:
            (tmp_path / "lorax-proxy.toml").write_text(fence.text, "utf-8")
            settings, _ = load({}, tmp_path / "lorax-proxy.toml")
            assert settings.upstream


@pytest.mark.slow
def test_javascript_parses(tmp_path: Path) -> None:
    """As modules, where there is a node to say so."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("there is no node here")
    scripts: list[Path] = []
    for page in PAGES:
        for fence in fences(page.read_text("utf-8")):
            if fence.language == "javascript":
                script = tmp_path / f"{page.stem}-{fence.line}.mjs"
                script.write_text(fence.text, "utf-8")
                scripts.append(script)
    for each in scripts:
        subprocess.run([node, "--check", str(each)], check=True, timeout=60)


@pytest.mark.parametrize(
    ("language", "text", "fault"),
    [
        ("", "x", "a block of '': name its language"),
        ("ruby", "x", "a block of 'ruby': name its language"),
        ("json", "{", "no json: "),
        ("toml", "a =", "no toml: "),
        ("yaml", "a: [", "no yaml: "),
        ("python", "def", "no python: "),
        ("sh", "lorax-proxy serve --upstrem http://x", "lorax-proxy serve has no option --upstrem"),
        ("sh", "FOO=1 lorax-mock srve &", "lorax-mock has no command 'srve'"),
        ("console", "$ lorax-contracts check \\\n  x --junitt > f", "lorax-contracts check has no option --junitt"),
        ("bash", "uvx 'lorax-openai[all]' demo --prt 3", "lorax-proxy serve has no option --prt"),
        ("bash", "pipx run --spec 'lorax-openai[all]' lorax-openai prxy", "lorax-openai has no command 'prxy'"),
        ("sh", "uvx --from 'x[mock]' lorax-mock serve --sed 7", "lorax-mock serve has no option --sed"),
        ("sh", "curl -s x | lorax-contracts lnt -", "lorax-contracts has no command 'lnt'"),
        ("sh", "make tset", "make has no target 'tset'"),
        ("sh", "echo a && frobnicate", "frobnicate: a command that nobody has heard of"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(language: str, text: str, fault: str) -> None:
    """One sentence a fault, with what is wrong in it."""
    (told,) = wrong(Fence(1, language, text), ROOT)
    assert told.startswith(fault)


def test_what_is_right_is_let_be() -> None:
    """Comments, continued lines, quotes with anything in them, several commands a line, other people's."""
    text = (
        "# lorax-mock srve\nlorax-mock serve --port 0 &  # it's no option: --sed\n"
        "make run ARGS='--port 8123'; curl -s x \\\n  -d '{\"a\": \"--b # c\"}' | cat\n"
        "lorax-contracts check --help > out\nuvx --from 'lorax-openai[mock]' lorax-mock --version\n"
    )
    assert not [*wrong(Fence(1, "sh", text), ROOT)]
    output = "$ lorax-contracts lint x\nlorax-contracts: --nonsense\n"
    assert not [*wrong(Fence(1, "console", output), ROOT)]


def test_blocks_are_found_with_their_lines() -> None:
    """Also in lists, and with an attribute behind the language."""
    page = 'a\n\n```sh\nx\n```\n\n- b\n\n  ```yaml title="c"\n  d:\n    e: 1\n  ```\n'
    assert [*fences(page)] == [Fence(3, "sh", "x\n"), Fence(9, "yaml", "d:\n  e: 1\n")]
