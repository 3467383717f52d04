"""The quick starts, walked as a reader walks them: from an empty folder, block by block, from top to bottom."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.repo.examples import Fence, fences
from tests.repo.tree import ROOT

PAGES = sorted((ROOT / "docs/start").glob("*.md"))
BIN = Path(sys.prefix) / "bin"


def free_port() -> int:
    """A port that nobody had a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def elsewhere(page: str) -> str:
    """The page with other ports, each the same one throughout."""
    ports = {port: free_port() for port in set(re.findall(r"\b80\d\d\b", page))}
    page = re.sub(r"\b80\d\d\b", lambda found: str(ports[found[0]]), page)
    # the proxy's is not named where it is the usual one
    return re.sub(
        r"(lorax-proxy serve --upstream \S+)$",
        rf"\1 --port {ports.get('8000')}",
        page,
        flags=re.MULTILINE,
    )


def environment() -> dict[str, str]:
    """The tests' own, with our commands first and none of our settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LORAX_")}
    return kept | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}


@contextmanager
def serving(command: str, folder: Path) -> Generator[None]:
    """A server that a page starts, until the page is at its end; Ctrl-C ends it with 0."""
    with subprocess.Popen(
        ["bash", "-c", f"exec {command}"],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            assert "http://" in process.stdout.readline(), command
            yield
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 0
        finally:
            process.kill()


def run(fence: Fence, folder: Path) -> str:
    """What a block prints; it must succeed."""
    command = ["bash", "-euc"]
    done = subprocess.run(
        [sys.executable, "-c", fence.text]
        if fence.language == "python"
        else [*command, fence.text],
        cwd=folder,
        env=environment(),
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, f"line {fence.line}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_quick_start_works_as_it_is_written(page: Path, tmp_path: Path) -> None:
    """Its servers start, its commands and programs succeed, and print what it shows."""
    text = elsewhere(page.read_text("utf-8"))
    written = {
        text.count("\n", 0, found.end()) + 1: found[1]
        for found in re.finditer(r"<!-- file: (\S+) -->\n", text)
    }
    printed = ""
    with ExitStack() as servers:
        for fence in fences(text):
            if name := written.get(fence.line):
                (tmp_path / name).write_text(fence.text, "utf-8")
            elif fence.language == "text":
                assert printed == fence.text
            else:
                *lines, last = [
                    line for line in fence.text.splitlines() if not line.startswith("pip ")
                ] or [""]
                if re.match(r"lorax-\w+ serve", last):
                    assert not lines
                    servers.enter_context(serving(last, tmp_path))
                elif last:
                    kept = "\n".join([*lines, last])
                    printed = run(Fence(fence.line, fence.language, kept), tmp_path)
