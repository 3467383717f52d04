"""A pure server behind a real socket."""

import itertools
import json
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from tests.contracts.reference import Asked, Said

__all__ = ["Left", "over_http"]


class Left:
    """How often a client left a stream before its end."""

    def __init__(self) -> None:
        self.times = 0


@contextmanager
def over_http(answer: Callable[[Asked], Said], left: Left | None = None) -> Generator[str]:
    """Serves the function; gives the address. Streams go out one event at a time."""
    numbers = itertools.count()
    gone = left or Left()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            try:
                document = json.loads(body)
            except (ValueError, RecursionError):
                document = None
            headers = {name.lower(): value for name, value in self.headers.items()}
            asked = Asked(
                self.command, self.path, headers, body, document, int(time.time()), next(numbers)
            )
            said = answer(asked)
            content = said.body()
            self.send_response(said.status)
            for name, value in said.headers.items():
                self.send_header(name, value)
            if said.chunks is None:
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
                return
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            try:
                for event in content.split(b"\n\n")[:-1]:
                    piece = event + b"\n\n"
                    self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                self.wfile.write(b"0\r\n\r\n")
            except OSError:
                gone.times += 1
                self.close_connection = True

        def do_GET(self) -> None:
            self._serve()

        def do_POST(self) -> None:
            self._serve()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
            """Nothing: a test's output is pytest's."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            """Nothing: clients of these tests hang up as they please."""

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
