"""A wheel built from the checkout runs where nothing else of ours is; test_release looks into it."""

import json
import os
import subprocess
import sysconfig
import venv
from collections.abc import Sequence
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from tests.repo.release import built
from tests.repo.tree import PACKAGES, ROOT

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built offline by the locked hatchling."""
    return built(ROOT, tmp_path_factory.mktemp("dist"))[1]


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty environment with the wheel in it.

    The dependencies are lent by this environment through a path file: from a folder that such a
    file names no other path file is read, so that the editable install stays out of sight.
    """
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=True)
    here = sysconfig.get_path("purelib", "venv", {"base": str(folder), "platbase": str(folder)})
    pip = [str(folder / "bin/python"), "-m", "pip", "--disable-pip-version-check", "--quiet"]
    subprocess.run([*pip, "install", "--no-deps", "--no-index", str(wheel)], check=True)
    lent = Path(here) / "lent.pth"
    lent.write_text(sysconfig.get_path("purelib") + "\n", "utf-8")
    return folder


def _run(installed: Path, tmp_path: Path, *command: str) -> str:
    done = subprocess.run(
        [str(installed / "bin" / command[0]), *command[1:]],
        check=False,
        cwd=tmp_path,
        env=_clean(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _clean() -> dict[str, str]:
    hidden = ("PYTHONPATH", "VIRTUAL_ENV", "LORAX_")
    return {name: value for name, value in os.environ.items() if not name.startswith(hidden)}


@pytest.mark.parametrize(
    "command",
    [
        ["lorax-proxy", "--version"],
        ["lorax-proxy", "config"],
        ["lorax-mock", "serve", "--help"],
        ["lorax-contracts", "laws"],
    ],
    ids=" ".join,
)
def test_commands_run_from_the_wheel(
    installed: Path, tmp_path: Path, command: Sequence[str]
) -> None:
    """Each command finds its modules and data in the installed wheel alone."""
    assert _run(installed, tmp_path, *command)


def test_the_packages_come_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    """The proof that the checkout is out of sight."""
    script = f"import {', '.join(PACKAGES)}, sys\nfor m in '{' '.join(PACKAGES)}'.split(): print(sys.modules[m].__file__)"
    told = _run(installed, tmp_path, "python", "-c", script).split()
    assert len(told) == 3
    assert all(path.startswith(str(installed)) for path in told)


def test_the_demo_answers_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    """Proxy, mock, templates and all: a chat through both."""
    command = [str(installed / "bin/lorax-proxy"), "serve", "--demo", "--port=0"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=_clean(), stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        base = next(word for word in process.stdout.readline().split() if word.startswith("http"))
        body = {"model": "acme/poet", "messages": [{"role": "user", "content": "Rain"}]}
        request = Request(
            f"{base}/chat/completions",
            json.dumps(body).encode(),
            {"content-type": "application/json"},
        )
        with urlopen(request, timeout=30) as reply:
            answer = json.load(reply)
        process.terminate()
    assert "acme/poet" in answer["choices"][0]["message"]["content"]
