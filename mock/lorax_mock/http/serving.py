"""Serving an ASGI application for a person or a parent process: bind, announce, end cleanly.

uvicorn listens, `hyper` speaks HTTP; binding is ours, so that a taken port is one line and exit code 2, and
so are the signals: uvicorn raises them again after shutdown, which would end the process with a
signal's status instead of 0.
"""

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import uvicorn
import uvloop

from lorax_mock.http.hyper import Connection

__all__ = ["BindError", "bind", "serve"]

_GRACE_SECONDS = 1
"""How long open streams may go on after a signal; a test's teardown waits for this."""


class BindError(Exception):
    """The address cannot be listened on; the text says which and what to do."""


class _Server(uvicorn.Server):
    """uvicorn that ends with exit code 0 on a signal, and says when it is ready."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.end)
        yield

    def end(self) -> None:
        """Stop accepting, give open streams a moment, go; at once when asked twice."""
        self.force_exit = self.should_exit
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; raises BindError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise BindError(
            f"cannot listen on {host}:{port}: {error.strerror or error}; "
            "choose another with --port (0 takes a free one)"
        ) from None
    listener.setblocking(False)
    return listener


def serve(
    app: Any, listener: socket.socket, ready: Callable[[], None], *, with_parent: bool = False
) -> None:
    """Serve until a signal, or until stdin ends when `with_parent`; then return."""
    config = uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=3600,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    # uvicorn reports every stream that a shutdown cuts off; the application logs its own bugs.
    logging.getLogger("uvicorn.error").addHandler(logging.NullHandler())
    server = _Server(config, ready)
    # what is there now lives as long as the process; a request leaves little that reference counts do not free
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        if with_parent:
            _end_with_stdin(runner.get_loop(), server.end)
        runner.run(server.serve(sockets=[listener]))


def _end_with_stdin(loop: asyncio.AbstractEventLoop, end: Callable[[], None]) -> None:
    """Call `end` when stdin closes, as a pipe does when the parent dies, however it dies.

    A thread, because the loop cannot watch every kind of stdin (files and /dev/null).
    """

    def wait() -> None:
        descriptor = sys.stdin.fileno()
        while os.read(descriptor, 4096):
            pass
        loop.call_soon_threadsafe(end)

    threading.Thread(target=wait, daemon=True).start()
