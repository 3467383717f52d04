"""The image installs as `make run` does and runs as nobody special; its health check tells the truth.

The Dockerfile is read, not built: that needs a daemon and a base image from elsewhere.
"""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from lorax_proxy.config import Settings
from tests.repo.image import Instruction, faults, instructions
from tests.repo.tree import ROOT, tracked

_BIN = Path(sys.prefix) / "bin"
_LOCKS = "--require-hashes -r requirements/build.txt -r requirements/run.txt"
_COPIED = "requirements/build.txt requirements/run.txt requirements/"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """What the Dockerfile is judged with, to break."""
    for path in tracked():
        if path.suffix != ".txt" or path.parent.name == "requirements":
            target = tmp_path / path.relative_to(ROOT)
            if "tests" not in path.parts and "data" not in path.parts:
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, target)
    return tmp_path


def test_the_image_is_made_as_make_run_makes() -> None:
    """Same locks, same flags, paths that are there, ports that are the defaults, and not root."""
    assert "\n".join(faults(ROOT)) == ""


@pytest.mark.parametrize(
    ("old", "new", "finding"),
    [
        (
            "python:3.13.7-slim-bookworm",
            "python:latest",
            "FROM python:latest: pin the base to a full version",
        ),
        (
            "=python:3.13",
            "=hub.example/python:3.13",
            "FROM hub.example/python:3.13.7-slim-bookworm: names a registry's host",
        ),
        ("COPY mock mock", "COPY mocks mock", "COPY mocks: there is no such path"),
        ("COPY mock mock", "COPY Makefile .", "COPY Makefile: .dockerignore keeps it out"),
        ("COPY mock mock\n", "", "mock/lorax_mock: is in the wheel, and not copied"),
        (
            "--require-hashes -r requirements/build.txt",
            "-r requirements/build.txt",
            f"no RUN installs with {_LOCKS}",
        ),
        (
            "COPY requirements/build.txt",
            "COPY proxy requirements/build.txt",
            f"COPY proxy {_COPIED}: a change of it would install every dependency anew",
        ),
        (
            "USER 10001:10001",
            "USER root",
            "USER root: not a number above 0, which is all that a cluster can check",
        ),
        ("EXPOSE 8000 8080", "EXPOSE 8000", "EXPOSE 8000: the defaults are 8000 8080"),
        ("LORAX_MOCK_HOST=", "LORAX_MOCK_HOSTS=", "ENV LORAX_MOCK_HOSTS: no program reads it"),
        (
            'CMD ["lorax-proxy", "serve"]',
            "CMD lorax-proxy serve",
            "CMD: in exec form, or SIGTERM ends at a shell",
        ),
        ('CMD ["lorax-proxy"', 'CMD ["lorax-proxi"', "CMD lorax-proxi: no such command"),
        ("STOPSIGNAL SIGTERM\n", "", "STOPSIGNAL: SIGTERM is what both programs stop for"),
        (
            'CMD ["python", "/opt/lorax-openai/healthy.py"]',
            "CMD python healthy.py",
            "HEALTHCHECK: in exec form",
        ),
    ],
)
def test_a_fault_is_named(copy: Path, old: str, new: str, finding: str) -> None:
    """Each rule has a Dockerfile that breaks it."""
    dockerfile = copy / "Dockerfile"
    text = dockerfile.read_text("utf-8")
    assert old in text
    dockerfile.write_text(text.replace(old, new), "utf-8")
    assert finding in set(faults(copy))


def test_instructions_are_read_whole() -> None:
    """Continuation lines, comments inside them, stages and both forms of arguments."""
    text = 'ARG A=1\nFROM x AS y\n# words\nRUN a \\\n  # words\n  b\nFROM z\nCMD ["c", "d"]\n'
    assert list(instructions(text)) == [
        Instruction("ARG", "A=1", 0),
        Instruction("FROM", "x AS y", 1),
        Instruction("RUN", "a b", 1),
        Instruction("FROM", "z", 2),
        Instruction("CMD", '["c", "d"]', 2),
    ]
    assert Instruction("CMD", '["c", "d"]', 2).arguments() == ["c", "d"]
    assert Instruction("COPY", "--from=y a b", 2).arguments() == ["a", "b"]


def test_the_docker_lines_fit_the_image() -> None:
    """The variables, ports and commands that docs/proxy.md gives to docker are the image's."""
    lines = re.findall(
        r"^docker run .*$", (ROOT / "docs/proxy.md").read_text("utf-8"), re.MULTILINE
    )
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["scripts"]
    known = {f"LORAX_PROXY_{name.upper()}" for name in Settings.model_fields}
    assert len(lines) == 2
    for line in lines:
        assert {*re.findall(r"-e (\w+)=", line)} <= known
        assert {*re.findall(r"-p \d+:(\d+)", line)} <= {"8000", "8080"}
        command = line.partition(" lorax-openai")[2].split()
        assert not command or command[0] in scripts


@pytest.fixture
def mock_port() -> Iterator[str]:
    """A running mock's port."""
    command = [str(_BIN / "lorax-mock"), "serve", "--port=0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        found = re.search(r":(\d+)\b", process.stdout.readline().partition("http://")[2])
        assert found
        yield found[1]
        process.terminate()


@pytest.mark.slow
def test_the_health_check_tells_the_truth(mock_port: str) -> None:
    """0 while one of the two programs answers on its port, 1 when neither does."""
    script = next(
        i
        for i in instructions((ROOT / "Dockerfile").read_text("utf-8"))
        if i.name == "COPY" and i.rest.startswith("container/")
    )
    command = [sys.executable, str(ROOT / script.arguments()[0])]

    def exits(**ports: str) -> int:
        return subprocess.run(command, check=False, env=os.environ | ports, timeout=30).returncode

    # port 1 is never served
    assert exits(LORAX_PROXY_PORT="1", LORAX_MOCK_PORT=mock_port) == 0
    assert exits(LORAX_PROXY_PORT=mock_port, LORAX_MOCK_PORT="1") == 0
    assert exits(LORAX_PROXY_PORT="1", LORAX_MOCK_PORT="1") == 1
