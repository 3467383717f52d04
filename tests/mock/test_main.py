"""The command, as people and parent processes use it."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from lorax_mock.settings import Adapter, Settings
from lorax_mock.testing.inprocess import LocalMock
from tests.mock.conftest import Running


def _run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lorax_mock", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
        env={**os.environ, **environment},
    )


def test_the_announcement_is_one_json_line(mock: Running) -> None:
    """The announcement has URL, model, adapters and process id, once the port is open."""
    assert set(mock.announced) == {"url", "model_id", "adapters", "pid"}
    assert mock.announced["pid"] == mock.process.pid
    assert "acme/pirate" in mock.announced["adapters"]
    assert "acme/wrong-base" not in mock.announced["adapters"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_it_cleanly(start_mock: Callable[..., Running], number: signal.Signals) -> None:
    """SIGINT and SIGTERM end the server with exit code 0, also with a stream open."""
    running = start_mock("--pace", "real", "--step-ms", "60000")
    with running.http.stream("POST", "/generate_stream", json={"inputs": "a"}) as stream:
        chunks = stream.iter_bytes()
        next(chunks)
        running.process.send_signal(number)
        assert running.process.wait(5) == 0


@pytest.mark.slow
def test_with_openai_it_is_one_server_of_openais_api(tmp_path: Path) -> None:
    """Model list, script and seed are the mock's; answers are marked; each request has its line; it ends with its parent.

    What lies in the folder is no library of its.
    """
    (tmp_path / "msgspec.py").write_text("raise SystemExit('not this one')\n", "utf-8")
    rules = "rules: [{name: hi, when: {prompt_contains: hi}, reply: {text: Ahoy}}]"
    (tmp_path / "rules.yaml").write_text(rules, "utf-8")
    options = ["--adapter=mycorp/x", f"--script={tmp_path / 'rules.yaml'}", "--request-log"]
    options += ["--seed=7", "--announce=json", "--exit-with-parent"]
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "lorax_mock", "serve", "--openai", "--port=0", *options],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        told = json.loads(process.stdout.readline())
        with httpx.Client(timeout=30) as http:
            listed = [one["id"] for one in http.get(f"{told['base_url']}/models").json()["data"]]
            body = {"model": "mycorp/x", "messages": [{"role": "user", "content": "hi"}]}
            reply = http.post(f"{told['base_url']}/chat/completions", json=body)
            unscripted = {"model": "mycorp/x", "prompt": "A reef", "max_tokens": 40}
            written = http.post(f"{told['base_url']}/completions", json=unscripted).json()
            journal = http.get(f"{told['mock_url']}/_mock/journal").json()["entries"]
        process.stdin.close()
        log = process.stderr.read()
        assert process.wait(30) == 0
    assert told["url"] + "/v1" == told["base_url"]
    assert told["pid"] == process.pid
    assert listed == told["models"]
    assert {"mycorp/x", "acme/poet"} < set(listed)
    assert reply.headers["x-lorax-mock"] == "1"
    assert reply.json()["choices"][0]["message"]["content"] == "Ahoy"
    assert [entry["rule"] for entry in journal] == ["hi", None]
    line = r"^\d\d:\d\d:\d\d 200 /generate_stream mycorp/x \d+ tok eos_token rule='hi'$"
    assert re.search(line, log, re.MULTILINE), log
    texts = [_answer(seed, journal[1]) for seed in (0, 7)]
    assert texts[0] != texts[1] == written["choices"][0]["text"]


def _answer(seed: int, entry: dict[str, Any]) -> str:
    """What a mock of that seed says to a request of another's journal."""
    adapters = (Adapter("mycorp/x"),)
    with LocalMock(Settings(seed=seed, adapters=adapters)) as mock, mock.client() as http:
        asked = {"inputs": entry["inputs"], "parameters": entry["parameters"]}
        return str(http.post("/generate", json=asked).json()["generated_text"])


def test_it_ends_with_its_parents_pipe(start_mock: Callable[..., Running]) -> None:
    """The server ends when the stdin that its parent holds is closed."""
    running = start_mock("--exit-with-parent")
    assert running.process.stdin is not None
    running.process.stdin.close()
    assert running.process.wait(5) == 0
    with pytest.raises(httpx.ConnectError):
        running.http.get("/health")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("serve", "--prot", "1"), "No such option: --prot"),
        (("serve", "--port", "x"), "Invalid value for '--port'"),
        (("nope",), "No such command 'nope'"),
        ((), "Missing command"),
        (("serve", "--max-input-length", "9", "--max-total-tokens", "9"), "max_input_length (9)"),
        (("serve", "--step-ms", "-1"), "a cost of -1.0 ms is not a time"),
    ],
)
def test_wrong_arguments_are_one_line_and_exit_code_2(
    arguments: tuple[str, ...], line: str
) -> None:
    """Wrong arguments are one line on stderr and exit code 2."""
    ended = _run(*arguments)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.count("\n") == 1
    assert line in ended.stderr


def test_a_taken_port_is_one_line_and_exit_code_2(mock: Running) -> None:
    """A taken port is one line with the address and the way out, and exit code 2."""
    port = mock.url.rpartition(":")[2]
    ended = _run("serve", "--port", port)
    assert ended.returncode == 2
    assert ended.stderr == (
        f"lorax-mock: cannot listen on 127.0.0.1:{port}: Address already in use; "
        "choose another with --port (0 takes a free one)\n"
    )


def test_every_option_is_also_a_variable(start_mock: Callable[..., Running]) -> None:
    """A variable named LORAX_MOCK_ and the option's name sets the option."""
    running = start_mock(environment={"LORAX_MOCK_MODEL_ID": "org/other", "LORAX_MOCK_SEED": "5"})
    assert running.announced["model_id"] == "org/other"
    assert running.http.get("/info").json()["model_id"] == "org/other"


def test_every_option_of_serve_is_documented_with_its_variable() -> None:
    """The help names each option's variable, and docs/mock.md has a row for each option and for no other."""
    told = _run("serve", "--help", COLUMNS="300").stdout
    options = set(re.findall(r"^│ (--[a-z-]+)", told, re.MULTILINE)) - {"--help"}
    assert len(options) > 20
    variables = {f"LORAX_MOCK_{option[2:].replace('-', '_').upper()}" for option in options}
    assert set(re.findall(r"\[env var: (\w+)\]", told)) == variables
    docs = (Path(__file__).parents[2] / "docs/mock.md").read_text("utf-8")
    table = docs.partition("## Starting it\n")[2].partition("\n\nEvery option")[0]
    first_cells = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    assert set(re.findall(r"`(--[a-z-]+)", "".join(first_cells))) == options


def test_a_wrong_variable_is_named_with_its_option() -> None:
    """A wrong value of a variable is refused with the names of the variable and of its option."""
    ended = _run("serve", LORAX_MOCK_KIND="poet")
    assert ended.returncode == 2
    assert "'--kind' (env var: 'LORAX_MOCK_KIND')" in ended.stderr


def test_a_model_may_be_a_folder(start_mock: Callable[..., Running], tmp_path: Path) -> None:
    """A model id that is a path, by its form or on the disk, has no revision and no pipeline tag."""
    (tmp_path / "model").mkdir()
    for name in ("/data/model", str(tmp_path / "model")):
        told = start_mock("--model-id", name, "--eager-prefill").http.get("/info").json()
        assert (told["model_id"], told["model_sha"]) == (name, None)
        assert told["model_pipeline_tag"] is None
        assert told["eager_prefill"] is True


def test_a_server_may_have_a_static_adapter_and_preloaded_ones(
    start_mock: Callable[..., Running],
) -> None:
    """A static adapter answers for the base model, and preloaded adapters are the only others."""
    running = start_mock(
        *("--adapter-id", "acme/sql", "--preloaded-adapter-ids", "acme/pirate"),
        *("--preloaded-adapter-ids", "acme/poet"),
    )
    assert running.announced["adapters"] == ["acme/pirate", "acme/poet"]
    reply = running.http.post("/generate", json={"inputs": "reef"})
    assert "acme/sql" in reply.json()["generated_text"]
    assert "x-adapter-id" not in reply.headers
    body = {"inputs": "reef", "parameters": {"adapter_id": "acme/poet"}}
    reply = running.http.post("/generate", json=body)
    assert "acme/poet" in reply.json()["generated_text"]
    assert reply.headers["x-queue-time"] == "0"


def test_simulate_prints_a_schedule(tmp_path: Path) -> None:
    """A simulated schedule is printed as table, JSON or picture, and a wrong workload is one line."""
    path = tmp_path / "work.yaml"
    path.write_text("- {at: 0, adapter: a}\n")
    assert "(milliseconds of virtual time)" in _run("simulate", str(path)).stdout
    told = json.loads(_run("simulate", str(path), "--format", "json").stdout)
    assert told["jobs"][0]["started"] == 1000
    assert _run("simulate", str(path), "--format", "svg").stdout.startswith("<svg ")
    path.write_text("- {att: 0}\n")
    ended = _run("simulate", str(path))
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert "did you mean 'at'?" in ended.stderr
    assert _run("simulate", str(tmp_path / "none")).returncode == 2
