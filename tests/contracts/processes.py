"""The proxy and the mock as users start them: commands of their own."""

import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from lorax_contracts import transcripts

__all__ = ["ProxyProcess", "mock_process"]


@contextmanager
def mock_process(*words: str) -> Generator[str]:
    """`lorax-mock serve` on a free port; gives its address."""
    command = [sys.executable, "-m", "lorax_mock", "serve", "--port", "0", "--announce", "json"]
    with subprocess.Popen(
        [*command, *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())["url"]
        finally:
            process.terminate()
            process.stdout.read()


class ProxyProcess:
    """`lorax-proxy serve` in front of an upstream, with the transcripts' chat template."""

    def __init__(self, upstream: str) -> None:
        self._folder = tempfile.TemporaryDirectory()
        template = Path(self._folder.name) / "world.jinja"
        template.write_text(transcripts.chat_template(), "utf-8")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self._log = (Path(self._folder.name) / "log").open("wb")
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "lorax_proxy", "serve"),
                *("--upstream", upstream, "--port", str(port), "--chat-template", str(template)),
            ],
            stdout=self._log,
            stderr=subprocess.STDOUT,
            env={k: v for k, v in os.environ.items() if not k.startswith("LORAX_")},
        )

    def __enter__(self) -> Self:
        deadline = time.monotonic() + 30
        while True:
            try:
                if self._ready():
                    return self
            except OSError:
                pass
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.__exit__(None, None, None)
                raise RuntimeError("the proxy did not become ready")
            threading.Event().wait(0.05)

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait(10)
        self._log.close()
        self._folder.cleanup()

    def _ready(self) -> bool:
        where = urlsplit(self.url)
        connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=30)
        try:
            connection.request("GET", "/ready")
            return connection.getresponse().status == 200
        finally:
            connection.close()
