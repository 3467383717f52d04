"""The processes of a measurement: a mock behind, nginx and the proxy before it, each on cores of its own."""

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from shutil import which

__all__ = ["Contender", "Setup", "cpu_seconds", "pin", "running"]

TOKENS = 128
PROMPT = (
    "Write a short story about a quick brown fox who meets a lazy dog, in the style of a nature "
    "documentary."
)
_NATIVE = {
    "inputs": PROMPT,
    "parameters": {
        "max_new_tokens": TOKENS,
        "ignore_eos_token": True,
        "details": True,
        "do_sample": True,
        "temperature": 0.7,
        "seed": 7,
    },
}
_CHAT = {
    "model": "meta-llama/Meta-Llama-3.1-8B-Instruct",
    "messages": [{"role": "user", "content": PROMPT}],
    "max_tokens": TOKENS,
    "ignore_eos_token": True,
    "temperature": 0.7,
    "seed": 7,
}
_MORE = {"logprobs": True, "top_logprobs": 2, "stop": ["\u2603"]}
_NGINX = """\
daemon off; master_process off; worker_processes 1; pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 8192; }}
http {{
  access_log off; keepalive_requests 10000000; client_body_buffer_size 64k;
  client_body_temp_path {folder}/1; proxy_temp_path {folder}/2; fastcgi_temp_path {folder}/3;
  uwsgi_temp_path {folder}/4; scgi_temp_path {folder}/5;
  upstream mock {{ server 127.0.0.1:{upstream}; keepalive 1024; keepalive_requests 10000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=1024;
    location / {{
      proxy_pass http://mock; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_buffering off;
    }}
  }}
}}
"""


@dataclass(frozen=True, slots=True)
class Contender:
    """A server between client and mock, and what it is asked."""

    name: str
    port: int
    pid: int
    whole: bytes | None
    """The request for a whole answer; None if it is not asked for any."""

    stream: bytes
    events: range
    """How many events its streams may have: one for each token, and the few of its own."""


@dataclass(frozen=True, slots=True)
class Setup:
    """A mock that is running, and the contenders before it."""

    contenders: Sequence[Contender]
    nginx: str
    """Its version; empty if it is not installed."""


def _request(path: str, body: object) -> bytes:
    data = json.dumps(body).encode()
    return (
        f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        f"content-length: {len(data)}\r\n\r\n"
    ).encode() + data


def pin(core: int, pid: int = 0) -> None:
    """Keep a process to one core, where the system can and there are two."""
    if hasattr(os, "sched_setaffinity") and (os.cpu_count() or 1) > 1:
        os.sched_setaffinity(pid, {core})


def cpu_seconds(pid: int) -> float:
    """The processor time that a process has taken."""
    stat = Path(f"/proc/{pid}/stat")
    if stat.exists():
        fields = stat.read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    told = subprocess.run(
        ["ps", "-o", "time=", "-p", str(pid)], capture_output=True, text=True, check=True
    ).stdout.strip()
    seconds = 0.0
    for part in re.split("[-:]", told):
        seconds = 60 * seconds + float(part)
    return seconds


@contextlib.contextmanager
def _process(arguments: Sequence[str], core: int) -> Generator[subprocess.Popen[str]]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("LORAX_")}
    process = subprocess.Popen(
        arguments,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        pin(core, process.pid)
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=30)


def _port(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    found = re.search(r"http://127\.0\.0\.1:(\d+)", process.stdout.readline())
    assert found, f"{process.args!r} did not start"
    return int(found[1])


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _until_open(port: int, process: subprocess.Popen[str]) -> None:
    while process.poll() is None:
        with contextlib.suppress(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port)).close()
            return
    raise AssertionError(f"{process.args!r} ended at its start")


@contextlib.contextmanager
def running(*, paced: bool) -> Generator[Setup]:
    """Start a mock on the last core, and the contenders on the first."""
    first, last = 0, (os.cpu_count() or 1) - 1
    with contextlib.ExitStack() as stack:
        pace = ["--pace=real", "--step-ms=20", "--prefill-token-ms=0"] if paced else []
        mock = stack.enter_context(
            _process(
                [
                    *(sys.executable, "-m", "lorax_mock", "serve", "--port=0"),
                    *("--max-concurrent-requests=4096", *pace),
                ],
                last,
            )
        )
        upstream = _port(mock)
        contenders: list[Contender] = []
        version = ""
        if nginx := which("nginx") or which("nginx", path="/usr/sbin:/usr/local/sbin"):
            told = subprocess.run([nginx, "-v"], capture_output=True, text=True, check=True).stderr
            version = told.strip().rpartition("/")[2]
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            port = _free_port()
            conf = Path(folder, "nginx.conf")
            conf.write_text(_NGINX.format(folder=folder, port=port, upstream=upstream))
            process = stack.enter_context(_process([nginx, "-p", folder, "-c", str(conf)], first))
            _until_open(port, process)
            contenders.append(
                Contender(
                    "nginx",
                    port,
                    process.pid,
                    _request("/generate", _NATIVE),
                    _request("/generate_stream", _NATIVE),
                    range(TOKENS, TOKENS + 1),
                )
            )
        process = stack.enter_context(
            _process(
                [
                    *(sys.executable, "-m", "lorax_proxy", "serve", "--port=0"),
                    f"--upstream=http://127.0.0.1:{upstream}",
                ],
                first,
            )
        )
        port = _port(process)
        path = "/v1/chat/completions"
        for name, more in (("lorax-proxy", {}), ("lorax-proxy, all on", _MORE)):
            usage = {"stream_options": {"include_usage": True}} if more else {}
            streamed = {**_CHAT, **more, **usage, "stream": True}
            contenders.append(
                Contender(
                    name,
                    port,
                    process.pid,
                    None if more else _request(path, _CHAT),
                    _request(path, streamed),
                    range(TOKENS - 8, TOKENS + 4),
                )
            )
        yield Setup(contenders, version)
