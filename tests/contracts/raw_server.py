"""A server that does one thing with every connection: for what no well-behaved server does."""

import contextlib
import socket
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager

__all__ = ["serving"]


@contextmanager
def serving(handle: Callable[[socket.socket, threading.Event], None]) -> Generator[str]:
    """Runs `handle` on each connection until the block ends; gives the address.

    `handle` gets the connection, its request already read, and an event that is set at the end.
    """
    over = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.05)

    def talk(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(5)
            connection.recv(65536)
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
