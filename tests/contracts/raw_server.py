"""A server that does one thing with every connection: for what no well-behaved server does."""

import contextlib
import re
import socket
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager

__all__ = ["Handle", "says", "serving"]

Handle = Callable[[socket.socket, threading.Event], None]
"""What is done with a connection whose request was read; the event is set at the end."""


def says(head: str, body: bytes = b"") -> Handle:
    """Sends one whole reply: a status line, headers, a body."""
    reply = f"{head}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n".encode() + body

    def handle(connection: socket.socket, _: threading.Event) -> None:
        connection.sendall(reply)

    return handle


def _request(connection: socket.socket) -> bytes:
    """Head and body; as far as it came when the client stops."""
    came = b""
    while True:
        head, ended, body = came.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)^content-length: *(\d+)", head, re.MULTILINE)
        if ended and len(body) >= int(length.group(1) if length else 0):
            return came
        piece = connection.recv(65536)
        if not piece:
            return came
        came += piece


@contextmanager
def serving(
    handle: Handle, asked: list[bytes] | None = None, *, read: bool = True
) -> Generator[str]:
    """Runs `handle` on each connection until the block ends; gives the address.

    `handle` gets the connection, its request already read, and an event that is set at the end. `prepared_request` takes what was read; without `read` nothing was.
    """
    over = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.05)

    def talk(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(5)
            request = _request(connection) if read else b""
            if asked is not None:
                asked.append(request)
            handle(connection, over)

    def accept() -> None:
        while not over.is_set():
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            threading.Thread(target=talk, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=accept)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        over.set()
        thread.join()
        listener.close()
