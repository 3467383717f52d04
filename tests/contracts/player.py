"""Plays a golden transcript: LoRAX's side from a scripted server, the client's side by a real client.

    with Upstream() as upstream, ProxyProcess(upstream.url) as proxy:
        played = play(transcript, proxy.url, upstream)
        assert played.transcript == transcript

`played.transcript` is the transcript as it happened: what the proxy asked and what it answered, ids
and times settled. Comparing it with the recorded one compares both sides at once, and writing it is
how transcripts are regenerated (`python -m tests.contracts.regenerate`).
"""

import http.client
import json
import re
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from lorax_contracts import transcripts
from lorax_contracts.exchange import End
from lorax_contracts.transcripts import Call, Reply, Request, Transcript

__all__ = ["KEPT_HEADERS", "Played", "Upstream", "ask", "play", "warm"]

KEPT_HEADERS = ("content-type", "retry-after", "x-should-retry", "x-ignored-parameters")
"""Headers of the proxy's reply that are part of a transcript; others name a moment or a process."""


class Upstream:
    """A LoRAX that says what the transcript says, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Request] = []
        self._waiting: list[Call] = []
        self._lock = threading.Lock()
        upstream = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                upstream.answer(self, None)

            def do_POST(self) -> None:
                length = int(self.headers.get("content-length", 0))
                upstream.answer(self, json.loads(self.rfile.read(length)))

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
                """Nothing: a test's output is pytest's."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: Any, client_address: Any) -> None:
                """Nothing: a proxy hangs up after a stop string, and that is right."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def expect(self, calls: tuple[Call, ...]) -> None:
        """Forgets what was, and waits for these calls."""
        with self._lock:
            self.asked = []
            self._waiting = list(calls)

    def _pick(self, method: str, path: str, document: Any) -> Reply:
        with self._lock:
            for call in transcripts.world():
                if (call.request.method, call.request.path) == (method, path):
                    return call.reply
            self.asked.append(Request(method, path, document))
            same = [call for call in self._waiting if call.request.path == path]
            exact = [call for call in same if call.request.json == document]
            # A wrong question still gets its answer: the comparison shows both together.
            chosen = next(iter(exact or same or self._waiting), None)
            if chosen is None:
                return Reply(599, {"content-type": "text/plain"}, b"not in the transcript")
            self._waiting.remove(chosen)
            return chosen.reply

    def answer(self, handler: BaseHTTPRequestHandler, document: Any) -> None:
        """Writes the reply that stands in the transcript."""
        reply = self._pick(handler.command, handler.path, document)
        stream = reply.headers.get("content-type") == "text/event-stream"
        handler.send_response(reply.status)
        for name, value in reply.headers.items():
            handler.send_header(name, value)
        if stream:
            handler.send_header("transfer-encoding", "chunked")
        else:
            handler.send_header("content-length", str(len(reply.body)))
        handler.end_headers()
        if not stream:
            handler.wfile.write(reply.body)
            return
        try:
            # Event by event, and a last one that no empty line ends stays unended.
            for piece in re.findall(rb".*?\n\n|.+\Z", reply.body, re.DOTALL):
                handler.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            if reply.end is End.CUT:
                handler.close_connection = True
                handler.connection.shutdown(socket.SHUT_WR)
            else:
                handler.wfile.write(b"0\r\n\r\n")
        except OSError:
            handler.close_connection = True  # the proxy left, as it does after a stop string


@dataclass(frozen=True, slots=True)
class Played:
    """What happened.

    Attributes:
        transcript: the conversation as it happened, settled.
        headers: all headers of the proxy's reply.
    """

    transcript: Transcript
    headers: Mapping[str, str]


def ask(base: str, request: Request) -> tuple[int, dict[str, str], bytes, End]:
    """Status, headers in lower case, body, and how it ended."""
    where = urlsplit(base)
    connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=30)
    try:
        body = None if request.json is None else json.dumps(request.json).encode()
        headers = {"content-type": "application/json"} if body else {}
        connection.request(request.method, request.path, body, headers | dict(request.headers))
        reply = connection.getresponse()
        end = End.COMPLETE
        try:
            content = reply.read()
        except http.client.IncompleteRead as error:
            content, end = error.partial, End.CUT
        pairs = {name.lower(): value for name, value in reply.getheaders()}
        return reply.status, pairs, content, end
    finally:
        connection.close()


def play(transcript: Transcript, proxy: str, upstream: Upstream) -> Played:
    """Asks the proxy what the transcript's client asks."""
    upstream.expect(transcript.calls)
    status, headers, body, end = ask(proxy, transcript.request)
    kept = {name: headers[name] for name in KEPT_HEADERS if name in headers}
    asked = list(upstream.asked)
    # Concurrent calls (n > 1) may arrive in any order: those that are as recorded keep their place.
    calls: list[Call] = []
    for call in transcript.calls:
        match = next((one for one in asked if one.json == call.request.json), None)
        match = match or next((one for one in asked if one.path == call.request.path), None)
        if match is not None:
            asked.remove(match)
            calls.append(Call(replace(call.request, **_facts(match)), _counted(call.reply, match)))
    calls += [Call(one, Reply(599, {}, b"not in the transcript")) for one in asked]
    happened = replace(
        transcript,
        calls=tuple(calls),
        reply=Reply(status, kept, transcripts.settle(body), end),
    )
    return Played(happened, headers)


def warm(proxy: str, upstream: Upstream) -> None:
    """Lets the adapter of most transcripts answer once.

    Until an adapter has, the proxy asks for a stream whatever the client asked for.
    """
    play(transcripts.load("chat_stream"), proxy, upstream)


def _counted(reply: Reply, request: Request) -> Reply:
    """The reply with the one header that counts the request's characters."""
    name = "x-compute-characters"
    if name not in reply.headers or not isinstance(request.json, dict):
        return reply
    headers = {**reply.headers, name: str(len(request.json.get("inputs", "")))}
    return replace(reply, headers=headers)


def _facts(request: Request) -> dict[str, Any]:
    return {"method": request.method, "path": request.path, "json": request.json}
