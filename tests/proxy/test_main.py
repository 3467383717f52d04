"""The command `lorax-proxy`, through real processes: options, settings, signals."""

import contextlib
import json
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import httpx
import pytest

from lorax_proxy.__main__ import main
from lorax_proxy.config import load
from lorax_proxy.demo import running_mock
from tests.proxy.processes import run, started
from tests.proxy.running import Connection, Proxy, chat, final, lorax, tokens
from tests.proxy.servers import (
    LAST_CHUNK,
    Hold,
    ScriptedServer,
    Send,
    Step,
    chunk,
    event_stream,
)

pytestmark = pytest.mark.slow

WRONG: list[tuple[tuple[str, ...], dict[str, str], str]] = [
    (("serve",), {}, "give --upstream URL, or --demo"),
    (("serve", "--demo", "--upstream=http://x"), {}, "leave --upstream out, or --demo"),
    (("serve", "--upstream=x"), {}, "upstream[0].url: must start with http:// or https://"),
    (("serve", "--upstream=http://x", "--port=many"), {}, "--port"),
    (("serve", "--upstream=http://x", "--port=99999"), {}, "flag: port:"),
    (("serve", "--upstrem=http://x"), {}, "--upstream"),
    (("serve", "--upstream=http://x", "--host=0.0.0.0"), {}, "needs --api-key KEY, or --no-auth"),
    (("serve", "--upstream=http://x", "--inspector", "--workers=2"), {}, "it needs workers = 1"),
    (("serve", "--demo", "--host=0.0.0.0"), {}, "needs --api-key KEY, or --no-auth"),
    (("serve", "--upstream=http://x", "--allow-unlisted=all"), {}, "allow-unlisted"),
    (("serve", "--upstream=http://x", "--chat-template=chatlm"), {}, "chatml"),
    (("serve", "--upstream=http://x", "--tokenizer=/nowhere"), {}, "/nowhere"),
    (("serve", "--upstream=http://x", "--config=/nowhere.toml"), {}, "/nowhere.toml"),
    (("serve",), {"LORAX_PROXY_UPSTREM": "http://x"}, "did you mean LORAX_PROXY_UPSTREAM?"),
    (("config",), {"LORAX_PROXY_PORT": "many"}, "LORAX_PROXY_PORT: port:"),
    (("sevre",), {}, "sevre"),
]


@pytest.mark.parametrize(("arguments", "variables", "told"), WRONG)
def test_every_wrong_option_is_one_clear_line_and_exit_2(
    arguments: tuple[str, ...],
    variables: dict[str, str],
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """On standard error, and nothing on standard output."""
    monkeypatch.setattr("sys.argv", ["lorax-proxy", *arguments])
    for name, text in variables.items():
        monkeypatch.setenv(name, text)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1, err
    assert err.startswith("lorax-proxy: ")
    assert told in err, err


def test_a_process_with_a_wrong_option_says_no_more() -> None:
    """No traceback, no warning of the interpreter."""
    done = run("serve", "--upstream=http://x", "--port=99999")
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1, done.stderr


def test_a_program_reads_where_it_listens_and_takes_it_along() -> None:
    """One line of JSON tells the address; the end of standard input is its end, as by SIGTERM."""
    options = ["--upstream=http://127.0.0.1:9", "--port=0", "--announce=json", "--exit-with-parent"]
    command = [sys.executable, "-m", "lorax_proxy", "serve", *options]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, text=True, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        with urlopen(f"{told['url']}/health", timeout=10) as reply:
            assert reply.status == 200
        process.communicate()
        assert process.returncode == 0
    url = told["url"]
    assert told == {"url": url, "base_url": f"{url}/v1", "pid": process.pid}


def test_without_arguments_it_helps() -> None:
    """The help text, which names the commands."""
    done = run()
    assert done.returncode == 2
    assert "serve" in done.stderr + done.stdout
    assert "Traceback" not in done.stderr


def test_config_prints_values_and_where_they_came_from(tmp_path: Path) -> None:
    """File, then environment; secrets are masked; brackets in a value are text."""
    file = tmp_path / "proxy.toml"
    file.write_text(
        'port = 9000\nlog_level = "debug"\napi_key = "s3cret"\nchat_template = "/x/[bold]/y"\n'
        'upstream = [{url = "http://lorax:3000/"}]\n'
    )
    done = run("config", f"--config={file}", LORAX_PROXY_PORT="9100")
    assert done.returncode == 0, done.stderr
    lines = {line.split()[0]: line for line in done.stdout.splitlines() if line.strip()}
    assert "9100" in lines["port"]
    assert lines["port"].rstrip().endswith("LORAX_PROXY_PORT")
    assert "debug" in lines["log_level"]
    assert str(file)[:20] in lines["log_level"]
    assert lines["host"].split() == ["host", "127.0.0.1", "default"]
    assert "s3cret" not in done.stdout
    assert "****" in lines["api_key"]
    assert "/x/[bold]/y" in lines["chat_template"]
    assert lines["upstream"].split()[1] == '[{"url":"http://lorax:3000"}]'


def test_check_tells_everything_that_is_wrong_at_once(tmp_path: Path) -> None:
    """Of the file and of the environment, each with its place."""
    file = tmp_path / "proxy.toml"
    file.write_text('port = 99999\nlog_levl = "x"\nupstream = ["x"]\n', "utf-8")
    done = run("config", "--check", f"--config={file}", LORAX_PROXY_HOTS="x")
    assert (done.returncode, done.stdout) == (2, "")
    told = [line.removeprefix("lorax-proxy: ") for line in done.stderr.splitlines()]
    assert told == [
        "LORAX_PROXY_HOTS: no such setting in the environment; did you mean LORAX_PROXY_HOST?",
        f"{file}: port: input should be less than or equal to 65535, but it is 99999",
        f"{file}: upstream[0].url: must start with http:// or https://, but it is 'x'",
        f"{file}: log_levl: no such setting; did you mean 'log_level'?",
    ]


def test_check_and_probe_end_with_whether_requests_will_fail(tmp_path: Path) -> None:
    """Exit code 1 for a fault; a server is asked only when the settings are right."""
    with running_mock() as mock:
        right = run("config", "--probe", f"--upstream={mock.url}", f"--model={mock.adapters[0]}")
        assert right.returncode == 0, right.stdout + right.stderr
        assert f"ok     model {mock.adapters[0]!r}: {mock.adapters[0]} answers" in right.stdout
    file = tmp_path / "proxy.toml"
    file.write_text('[[model]]\nname = "a"\ntoken_env = "NO_SUCH_TOKEN"\n', "utf-8")
    wrong = run("config", "--probe", f"--config={file}", f"--upstream={mock.url}")
    told = "fault  model 'a': token_env names NO_SUCH_TOKEN, which is not set\n"
    assert (wrong.returncode, wrong.stdout, wrong.stderr) == (1, told, "")


def test_init_writes_a_file_that_is_right_and_never_over_another(tmp_path: Path) -> None:
    """Also with all that is commented out in force."""
    file = tmp_path / "proxy.toml"
    assert run("init", str(file)).returncode == 0
    text = file.read_text("utf-8")
    again = run("init", str(file))
    assert (again.returncode, file.read_text("utf-8")) == (2, text)
    assert "is there already" in again.stderr
    settings, _ = load({}, file)
    assert [each.url for each in settings.upstream] == ["http://127.0.0.1:8080"]
    file.write_text(re.sub(r"^# (?=\[\[|\w+ = )", "", text, flags=re.MULTILINE), "utf-8")
    settings, _ = load({}, file)
    assert [each.kind for each in settings.upstream] == ["generate", "embed"]
    assert [each.name for each in settings.model] == ["support", "sql", "all-rounder"]


def test_a_taken_port_is_one_clear_line() -> None:
    """It says which, and what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run("serve", "--upstream=http://127.0.0.1:1", f"--port={port}")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert f"cannot listen on 127.0.0.1:{port}" in line
    assert "--port" in line


def test_the_demo_takes_another_port_only_for_one_that_nobody_named() -> None:
    """The usual one, given as an option, is meant like any other."""
    with contextlib.ExitStack() as held:
        with contextlib.suppress(OSError):
            held.enter_context(socket.create_server(("127.0.0.1", 8000)))
        done = run("serve", "--demo", "--port=8000")
        assert done.returncode == 2
        assert "cannot listen on 127.0.0.1:8000" in done.stderr
        with started("--demo", port=None) as demo:
            assert demo.port > 8000
            assert demo.end(signal.SIGINT) == 0


def test_an_open_page_of_the_demo_does_not_hold_its_end() -> None:
    """Its stream ends with the server, which would wait for an answer's end in vain."""
    with started("--demo", LORAX_PROXY_SHUTDOWN_TIMEOUT="600") as demo:
        address = f"http://127.0.0.1:{demo.port}"
        assert demo.process.stdout is not None
        said = [demo.process.stdout.readline() for _ in range(2)]
        assert said[1] == f"watch it work, and chat: {address}/\n"
        with httpx.Client(base_url=address, trust_env=False) as http:
            assert http.get("/", follow_redirects=True).text.startswith("<!doctype html>")
            with http.stream("GET", "/_inspector/events") as events:
                lines = events.iter_lines()
                assert '"texts":true' in [next(lines), next(lines)][1]
                assert demo.end(signal.SIGTERM) == 0
                assert list(lines)[-1] == ""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_lets_answers_finish_and_ends_with_0(number: signal.Signals) -> None:
    """No new connections, the stream under way comes to its [DONE], then the end."""
    hold = Hold()
    steps: list[Step] = [
        Send(event_stream() + chunk(tokens("a"))),
        hold,
        Send(chunk(tokens("b") + final("</s>")) + LAST_CHUNK),
    ]
    async with ScriptedServer(lorax(stream=steps)) as server:
        with started(f"--upstream={server.url}") as proxy:
            assert proxy.said.startswith("lorax-proxy: OpenAI's API at http://127.0.0.1:")
            door = Proxy(proxy.port)
            stream = await door.open("POST", "/v1/chat/completions", chat(stream=True))
            await stream.until(b'"a"')
            idle = await kept(door)
            proxy.process.send_signal(number)
            # the server closes what is idle when it has read the signal
            assert await idle.at_end()
            hold.gate.set()
            rest = await stream.until(b"[DONE]\n\n")
            assert b'"b"' in rest
            assert proxy.process.wait(30) == 0
            door.disconnect()


async def kept(door: Proxy) -> Connection:
    """A connection whose one request is answered, and that is kept open."""
    connection = await door.open("GET", "/health")
    assert (await connection.reply()).status == 200
    return connection


async def test_settings_of_the_environment_and_a_key_are_in_force() -> None:
    """What `config` shows is what `serve` does."""
    async with ScriptedServer(lorax()) as server:
        with started(
            LORAX_PROXY_UPSTREAM=server.url,
            LORAX_PROXY_API_KEY="k",
            LORAX_PROXY_MAX_BODY_BYTES="1024",
        ) as proxy:
            door = Proxy(proxy.port)
            assert (await door.get("/v1/models")).status == 401
            large = b" " * 1025
            key = "Bearer k"
            reply = await door.post("/v1/completions", large, authorization=key)
            assert reply.status == 413
            await server.next_request(3)
            listed = await door.get("/v1/models", authorization=key)
            assert json.loads(listed.body)["data"]
            door.disconnect()
            assert proxy.end(signal.SIGTERM) == 0
