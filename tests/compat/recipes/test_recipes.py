"""Each file that docs/mock-recipes.md shows, in a folder with nothing but its locked dependencies.

A language whose toolchain is not here is skipped. The mock is a command, named by LORAX_MOCK_COMMAND, and the recipes find
it on their PATH.
"""

import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

_HERE = Path(__file__).parent
_ROOT = _HERE.parents[2]
_PAGE = (_ROOT / "docs/mock-recipes.md").read_text("utf-8")
_FILES = dict(re.findall(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```", _PAGE, re.DOTALL))
_MOCK = shlex.split(
    os.environ.get("LORAX_MOCK_COMMAND", shutil.which("lorax-mock") or "lorax-mock")
)

_LANGUAGES = {
    "node": (["npm", "ci", "--no-audit", "--no-fund"], ["node", "--test"], r"# pass 2\n# fail 0"),
    "java": (None, ["mvn", "-B", "test"], "Tests run: 2, Failures: 0, Errors: 0, Skipped: 0"),
    "go": (["go", "mod", "download"], ["go", "test", "-v", "-count=1"], r"(?s)--- PASS.*--- PASS"),
}


def _environment(**more: str) -> dict[str, str]:
    """Ours, with the mock on the PATH and without what would be settings to it."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith("LORAX_")}
    path = os.pathsep.join([str(Path(_MOCK[0]).parent), kept.get("PATH", "")])
    return {**kept, "PATH": path, **more}


def _run(folder: Path, command: list[str]) -> str:
    done = subprocess.run(
        command,
        cwd=folder,
        env=_environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.timeout(600)
@pytest.mark.parametrize("language", _LANGUAGES)
def test_a_recipe_passes_as_it_stands(language: str, tmp_path: Path) -> None:
    """With the language's own test runner, which leaves no server behind."""
    install, test, passed = _LANGUAGES[language]
    if shutil.which(test[0]) is None:
        pytest.skip(f"no {test[0]} here")
    shutil.copytree(_HERE / language, tmp_path / language)
    for name, text in _FILES.items():
        if name.startswith(f"{language}/"):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text, "utf-8")
    if install is not None:
        _run(tmp_path / language, install)
    assert re.search(passed, _run(tmp_path / language, test))


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def test_the_compose_files_command_and_health_check_agree() -> None:
    """The check, which is the image's own script, fails before the command listens, and succeeds then."""
    services: dict[str, Any] = yaml.safe_load(_FILES["compose.yaml"])["services"]
    llm, tests = services["llm"], services["tests"]
    assert tests["depends_on"]["llm"]["condition"] == "service_healthy"
    kind, *check = llm["healthcheck"]["test"]
    assert (kind, check) == ("CMD", ["python", "/opt/lorax-openai/healthy.py"])
    wanted = llm["environment"]["LORAX_MOCK_PORT"]
    assert tests["environment"]["OPENAI_BASE_URL"] == f"http://llm:{wanted}/v1"
    port = str(_free_port())
    environment = _environment(LORAX_MOCK_PORT=port, LORAX_PROXY_PORT=port)
    healthy = [sys.executable, str(_ROOT / "container/healthy.py")]
    assert subprocess.run(healthy, env=environment, check=False).returncode == 1
    del environment["LORAX_PROXY_PORT"]
    command = [*_MOCK, *llm["command"][1:]]
    assert llm["command"][0] == "lorax-mock"
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        line = server.stdout.readline()
        environment["LORAX_PROXY_PORT"] = port
        try:
            assert f":{port}/v1" in line
            assert subprocess.run(healthy, env=environment, check=False).returncode == 0
        finally:
            server.terminate()
        server.stdout.read()


def test_the_testcontainers_example_is_typed_and_can_be_imported(tmp_path: Path) -> None:
    """It is not run: there is no Docker here."""
    (tmp_path / "test_container.py").write_text(_FILES["testcontainers/test_container.py"], "utf-8")
    _run(tmp_path, [sys.executable, "-m", "mypy", "--strict", "test_container.py"])
    _run(tmp_path, [sys.executable, "-c", "import test_container"])
