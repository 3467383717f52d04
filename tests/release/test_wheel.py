"""The wheel in an empty environment: what is there without extras, and what each of them brings.

The libraries are installed from the index at the versions of the locks, by the resolver that a user
would have, so that what the wheel says of its dependencies is tried too.
"""

import json
import os
import re
import signal
import subprocess
import sys
import venv
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from tests.release.release import built
from tests.repo.locks import pins
from tests.repo.readme import blocks, is_install
from tests.repo.tree import PACKAGES, ROOT
from tests.repo.version import project_version

pytestmark = pytest.mark.timeout(300)

_LINES = [
    command
    for block in blocks((ROOT / "README.md").read_text("utf-8"))
    if is_install(block)
    for command in block.commands()
]


def _environment(**variables: str) -> dict[str, str]:
    hidden = ("PYTHONPATH", "VIRTUAL_ENV", "LORAX_", "PIP_", "UV_")
    mine = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
    return mine | variables


def _run(folder: Path, *command: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command,
        check=False,
        cwd=folder,
        env=_environment(**variables),
        capture_output=True,
        text=True,
        timeout=240,
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, alone in its folder."""
    _, wheel = built(ROOT, tmp_path_factory.mktemp("dist"))
    return wheel


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The versions of the locks as constraints; hashes are for installs without a wheel of ours."""
    file = tmp_path_factory.mktemp("constraints") / "constraints.txt"
    known = pins((ROOT / "requirements/run.txt").read_text("utf-8"))
    file.write_text("".join(f"{name}=={version}\n" for name, version in known.items()), "utf-8")
    return file


class _Empty:
    """An environment without anything of ours but what is installed from the wheel."""

    def __init__(self, folder: Path, locked: Path) -> None:
        venv.create(folder / "environment", with_pip=True)
        self.folder = folder
        self.bin = folder / "environment/bin"
        self._locked = str(locked)

    def install(self, requirement: str) -> None:
        """As a user does."""
        pip = (str(self.bin / "python"), "-m", "pip", "--quiet", "--disable-pip-version-check")
        done = _run(self.folder, *pip, "install", "--constraint", self._locked, requirement)
        assert done.returncode == 0, done.stderr

    def run(self, *command: str) -> "subprocess.CompletedProcess[str]":
        """One of its commands."""
        return _run(self.folder, str(self.bin / command[0]), *command[1:])


@pytest.fixture(scope="module")
def bare(wheel: Path, locked: Path, tmp_path_factory: pytest.TempPathFactory) -> _Empty:
    """The wheel without extras."""
    environment = _Empty(tmp_path_factory.mktemp("bare"), locked)
    environment.install(str(wheel))
    return environment


@pytest.fixture(scope="module")
def whole(wheel: Path, bare: _Empty) -> _Empty:
    """The same with every part: asked for after `bare` has been tried."""
    bare.install(f"{wheel}[all]")
    return bare


@pytest.mark.parametrize(
    ("command", "name", "extra"),
    [
        (["lorax-openai", "demo"], "lorax-proxy", "proxy"),
        (["lorax-proxy", "serve", "--demo"], "lorax-proxy", "proxy"),
        (["lorax-mock", "serve"], "lorax-mock", "mock"),
        (["lorax-contracts", "check", "http://127.0.0.1:1"], "lorax-contracts", "contracts"),
        (["lorax-openai", "check", "http://127.0.0.1:1"], "lorax-contracts", "contracts"),
    ],
    ids=" ".join,
)
def test_without_its_extra_a_command_names_it(
    bare: _Empty, command: Sequence[str], name: str, extra: str
) -> None:
    """One sentence with the command that brings it, and no traceback."""
    done = bare.run(*command)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"{name}: needs the extra {extra!r} (")
    assert line.endswith(f" is not installed): pip install 'lorax-openai[{extra}]'")


@pytest.mark.parametrize("command", ["lorax-openai", "lorax-mock"])
def test_without_extras_the_version_is_told(bare: _Empty, command: str) -> None:
    """What was installed, at least."""
    assert bare.run(command, "--version").stdout == f"{command} {project_version(ROOT)}\n"


def test_the_packages_come_from_the_wheel(whole: _Empty) -> None:
    """The proof that the checkout is out of sight."""
    names = ", ".join(PACKAGES)
    script = f"import {names}\nfor each in ({names}): print(each.__file__)"
    told = whole.run("python", "-c", script).stdout.split()
    assert len(told) == len(PACKAGES)
    assert all(path.startswith(str(whole.bin.parent)) for path in told)


@pytest.mark.parametrize(
    "command",
    [["lorax-proxy", "config"], ["lorax-mock", "serve", "--help"], ["lorax-contracts", "laws"]],
    ids=" ".join,
)
def test_commands_run_from_the_wheel(whole: _Empty, command: Sequence[str]) -> None:
    """Each command finds its modules and data in the installed wheel alone."""
    done = whole.run(*command)
    assert done.returncode == 0, done.stderr
    assert done.stdout


class _Server:
    """A program that serves until Ctrl-C, and where."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:\d+", line)
        assert found, line
        self.base = found[0]

    def chat(self) -> str:
        """One answer of an adapter."""
        body = {"model": "acme/poet", "messages": [{"role": "user", "content": "Rain"}]}
        request = Request(
            f"{self.base}/v1/chat/completions",
            json.dumps(body).encode(),
            {"content-type": "application/json"},
        )
        with urlopen(request, timeout=30) as reply:
            content: str = json.load(reply)["choices"][0]["message"]["content"]
            return content


def _serving(folder: Path, command: str, **variables: str) -> "Iterator[_Server]":
    """The program that a shell line starts, for as long as the caller has it."""
    with subprocess.Popen(
        ["bash", "-c", f"exec {command}"],
        cwd=folder,
        env=_environment(**variables),
        stdout=subprocess.PIPE,
        text=True,
        # Ctrl-C reaches all of a terminal's processes, an installer before our command too
        start_new_session=True,
    ) as process:
        yield _Server(process)
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(60) in {0, -signal.SIGINT, 130}


@pytest.fixture(scope="module")
def demo(whole: _Empty) -> Iterator[_Server]:
    """The demo, from the wheel."""
    yield from _serving(whole.folder, f"{whole.bin}/lorax-openai demo --port 0")


def test_the_demo_answers_from_the_wheel(demo: _Server) -> None:
    """Proxy, mock, templates and all: a chat through both."""
    assert "acme/poet" in demo.chat()


@pytest.mark.parametrize("line", _LINES)
def test_the_readmes_lines_run_as_they_are_copied(
    line: str, demo: _Server, wheel: Path, locked: Path, tmp_path: Path
) -> None:
    """With the wheel in place of what the index will have; servers answer on another port."""
    here = {
        "PIP_FIND_LINKS": str(wheel.parent),
        "UV_FIND_LINKS": str(wheel.parent),
        "PIP_CONSTRAINT": str(locked),
        "UV_CONSTRAINT": str(locked),
        "UV_PYTHON": sys.executable,
        "PIPX_HOME": str(tmp_path / "pipx"),
        "PIPX_DEFAULT_PYTHON": sys.executable,
    }
    if re.search(r" (demo|serve)\b", line):
        command = re.sub(r" --port [0-9]+", "", line) + " --port 0"
        for server in _serving(tmp_path, command, **here):
            with urlopen(f"{server.base}/health", timeout=30) as reply:
                assert reply.status == 200
    else:
        if line.startswith("pip "):
            venv.create(tmp_path / "own", with_pip=True)
            here["PATH"] = f"{tmp_path / 'own/bin'}{os.pathsep}{os.environ['PATH']}"
        command = line.replace("http://127.0.0.1:8000", demo.base)
        done = _run(tmp_path, "bash", "-c", command, **here)
        assert done.returncode == 0, done.stdout + done.stderr
