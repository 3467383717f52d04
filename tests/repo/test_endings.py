"""How the programs end: on Ctrl-C, on SIGTERM with an answer under way, on SIGKILL, and before they began.

That nothing is left is proved without looking for processes: whatever the program started inherited
its standard error, so that this pipe ends only when the last of them has.
"""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.proxy.servers import (
    LAST_CHUNK,
    Hold,
    ScriptedServer,
    Send,
    by_path,
    chunk,
    event,
    event_stream,
    json_answer,
)

pytestmark = pytest.mark.slow

_BIN = Path(sys.prefix) / "bin"
_DEMO = ("lorax-proxy", "serve", "--demo", "--port=0")
_MOCK = ("lorax-mock", "serve", "--port=0")


@contextmanager
def _started(*command: str) -> Generator[tuple["subprocess.Popen[str]", str]]:
    """A program in a process group of its own, and the address that it told."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("LORAX_")}
    with subprocess.Popen(
        [str(_BIN / command[0]), *command[1:]],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        url = next((word for word in line.split() if word.startswith("http://")), "")
        try:
            assert url, process.stderr and process.stderr.read()
            yield process, url.removesuffix("/v1")
        finally:
            process.kill()


def _remains(process: "subprocess.Popen[str]") -> str:
    """What was said on standard error, once the program and all that it started are gone."""
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.read()
    return process.stderr.read()


@pytest.mark.parametrize("command", [_DEMO, _MOCK], ids=["proxy", "mock"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_everything_cleanly(command: Sequence[str], number: signal.Signals) -> None:
    """The whole process group gets it, as from a terminal: exit status 0, no traceback, no rest."""
    with _started(*command) as (process, _):
        os.killpg(process.pid, number)
        assert "Traceback" not in _remains(process)
        assert process.wait(30) == 0


def test_a_killed_proxy_leaves_no_mock() -> None:
    """SIGKILL lets a program clean up nothing; the mock notices by itself."""
    with _started(*_DEMO) as (process, _):
        process.kill()
        assert "Traceback" not in _remains(process)


@pytest.mark.parametrize("program", ["lorax-proxy", "lorax-mock"])
def test_a_taken_port_is_one_line(program: str) -> None:
    """It names the address and what to do, and nothing is left running."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        options = ["--demo"] if program == "lorax-proxy" else []
        done = subprocess.run(
            [str(_BIN / program), "serve", *options, f"--port={port}"],
            check=False,
            capture_output=True,
            text=True,
            timeout=30,
        )
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"{program}: ")
    assert f"127.0.0.1:{port}" in line
    assert "--port" in line


@pytest.mark.parametrize("program", ["lorax-proxy", "lorax-mock"])
def test_a_wrong_option_is_one_line(program: str) -> None:
    """It names the option and where the right ones are listed."""
    done = subprocess.run(
        [str(_BIN / program), "serve", "--prot=1"],
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"{program}: ")
    assert "--prot" in line


async def test_sigterm_lets_the_proxys_stream_finish() -> None:
    """New connections are refused at once; the answer under way comes to its [DONE]."""
    end = Hold()
    info = {
        "model_id": "meta-llama/Llama-3.1-8B-Instruct",
        "model_dtype": "torch.float16",
        "model_device_type": "cuda",
        "model_pipeline_tag": None,
        "max_concurrent_requests": 128,
        "max_best_of": 2,
        "max_stop_sequences": 4,
        "max_input_length": 1024,
        "max_total_tokens": 2048,
        "waiting_served_ratio": 1.2,
        "max_batch_total_tokens": 32000,
        "max_waiting_tokens": 20,
        "validation_workers": 2,
        "eager_prefill": False,
        "version": "0.1.0",
        "sha": None,
        "docker_label": None,
        "request_logger_url": None,
        "embedding_model": False,
    }
    details = {
        "finish_reason": "length",
        "prompt_tokens": 3,
        "generated_tokens": 2,
        "seed": None,
    }
    first = {
        "token": {"id": 1, "text": "Hel", "logprob": -0.1, "special": False, "alternatives": None},
        "generated_text": None,
        "details": None,
    }
    last = {
        "token": {"id": 2, "text": "lo", "logprob": -0.1, "special": False, "alternatives": None},
        "generated_text": "Hello",
        "details": details,
    }
    script = by_path(
        {
            "/info": [Send(json_answer(info))],
            "/tokenize": [Send(json_answer([{"id": 1, "text": "a", "start": 0, "stop": 1}]))],
            "/generate_stream": [
                Send(event_stream() + chunk(event(first))),
                end,
                Send(chunk(event(last)) + LAST_CHUNK),
            ],
        }
    )
    body = {
        "model": "meta-llama/Llama-3.1-8B-Instruct",
        "messages": [{"role": "user", "content": "Hi"}],
        "stream": True,
    }
    async with ScriptedServer(script) as lorax:
        upstream = f"--upstream={lorax.url}"
        with _started("lorax-proxy", "serve", upstream, "--port=0") as (process, url):
            async with (
                httpx.AsyncClient(base_url=url, timeout=30) as client,
                client.stream("POST", "/v1/chat/completions", json=body) as reply,
            ):
                lines = reply.aiter_lines()
                told = ""
                while "Hel" not in told:
                    told += await anext(lines)
                process.terminate()
                await _refused(url)
                end.gate.set()
                async for line in lines:
                    told += line
            assert told.endswith("data: [DONE]")
            assert '"lo"' in told
            assert process.wait(30) == 0
            assert "Traceback" not in _remains(process)


def test_sigterm_lets_the_mocks_stream_finish() -> None:
    """A reader too slow for the answer still gets it whole."""
    parameters = {"max_new_tokens": 4000, "ignore_eos_token": True, "details": True}
    body = json.dumps({"inputs": "sea", "parameters": parameters}).encode()
    request = (
        b"POST /generate_stream HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
        b"content-length: %d\r\n\r\n%b" % (len(body), body)
    )
    with _started(*_MOCK) as (process, url), socket.socket() as client:
        host, _, port = url.removeprefix("http://").partition(":")
        # a small window, so that most of the answer waits at the mock
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(30)
        client.connect((host, int(port)))
        client.sendall(request)
        told = client.recv(4096)
        process.terminate()
        asyncio.run(_refused(url))
        while not told.endswith(b"0\r\n\r\n"):
            more = client.recv(1 << 20)
            assert more, "the stream was cut"
            told += more
        assert told.count(b"data:") == 4000
        assert process.wait(30) == 0
        assert "Traceback" not in _remains(process)


async def _refused(url: str) -> None:
    """Wait until nobody listens at an address any more."""
    host, _, port = url.removeprefix("http://").partition(":")
    while True:
        try:
            _, writer = await asyncio.open_connection(host, int(port))
        except OSError:
            return
        writer.close()
