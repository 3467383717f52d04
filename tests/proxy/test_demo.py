"""`serve --demo`: a mock beside the proxy, which ends with it however it ends."""

import json
import os
import re
import select
import shlex
import signal
import subprocess
import urllib.request
from pathlib import Path

import pytest

from lorax_proxy.demo import example, running_mock
from lorax_proxy.errors import SettingsInvalid
from tests.proxy.processes import Running, started

pytestmark = pytest.mark.slow


def children(of: int) -> list[int]:
    """The processes that a process started."""
    listed = Path(f"/proc/{of}/task/{of}/children").read_text("ascii")
    return [int(number) for number in listed.split()]


def wait_for_end(number: int) -> None:
    """Return when a process that is not ours has ended."""
    try:
        watched = os.pidfd_open(number)
    except ProcessLookupError:
        return
    try:
        ended, _, _ = select.select([watched], [], [], 20)
        assert ended, f"process {number} still runs"
    finally:
        os.close(watched)


def ask(demo: Running, model: str) -> str:
    """One chat through the proxy."""
    body = {"model": model, "messages": [{"role": "user", "content": "Hello!"}], "max_tokens": 5}
    request = urllib.request.Request(
        f"http://127.0.0.1:{demo.port}/v1/chat/completions",
        json.dumps(body).encode(),
        {"content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=20) as reply:
        assert reply.headers["x-lorax-mock"] == "1"
        content: str = json.load(reply)["choices"][0]["message"]["content"]
        return content


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_the_mock_ends_with_the_proxy(number: signal.Signals) -> None:
    """By Ctrl-C, by SIGTERM, and even when the proxy is killed and can do nothing."""
    with started("--demo") as demo:
        (mock,) = children(demo.process.pid)
        assert demo.process.stdout is not None
        models = demo.process.stdout.readline().removeprefix("models: ").strip().split(", ")
        assert len(models) > 1
        assert ask(demo, models[1])
        status = demo.end(number)
        assert status == (-signal.SIGKILL if number is signal.SIGKILL else 0)
        wait_for_end(mock)


def test_the_mock_tells_its_address_and_ends_with_the_block() -> None:
    """The address answers inside the block; behind it nobody listens."""
    with running_mock() as mock:
        with urllib.request.urlopen(f"{mock.url}/info", timeout=20) as reply:
            assert json.load(reply)["model_id"] == mock.model_id
        assert mock.adapters
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"{mock.url}/info", timeout=20)


def test_the_folder_that_it_is_started_in_is_no_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file there of a module's name is not imported instead of it."""
    (tmp_path / "msgspec.py").write_text("raise SystemExit('not this one')\n", "utf-8")
    monkeypatch.chdir(tmp_path)
    with running_mock() as mock:
        assert mock.adapters


def test_a_mock_that_does_not_start_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own message is on the terminal; ours says where to look."""
    monkeypatch.setenv("LORAX_MOCK_SEED", "not a number")
    with pytest.raises(SettingsInvalid, match="the mock did not start"), running_mock():
        pass


def test_the_example_is_four_lines_and_a_command_for_the_address_and_model() -> None:
    """Python that compiles, and JSON inside the shell's quotes."""
    text = example("http://127.0.0.1:8000/v1", "org/model")
    code = re.search(r"^from openai.*?^print\(.*?$", text, re.DOTALL | re.MULTILINE)
    shell = re.search(r"^curl .*$", text, re.MULTILINE)
    assert code
    assert shell
    assert len(code[0].splitlines()) == 4
    compile(code[0], "example", "exec")
    assert 'base_url="http://127.0.0.1:8000/v1"' in code[0]
    *_, body = shlex.split(shell[0])
    assert json.loads(body)["model"] == "org/model"
    assert "http://127.0.0.1:8000/v1/chat/completions" in shell[0]


def test_the_shell_line_that_it_prints_works_as_it_is_pasted() -> None:
    """Against the demo that printed it."""
    with started("--demo") as demo:
        assert demo.process.stdout is not None
        shell = next(line for line in demo.process.stdout if line.startswith("curl "))
        curl = subprocess.run(
            ["sh", "-c", shell], capture_output=True, text=True, timeout=60, check=True
        )
        answer = json.loads(curl.stdout)
        assert answer["choices"][0]["message"]["content"]
        assert f'"model": "{answer["model"]}"' in shell
