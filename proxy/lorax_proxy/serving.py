"""A port, and uvicorn on it: started when it listens, ended cleanly by a signal."""

import contextlib
import signal
import socket
from collections.abc import Callable, Generator

import uvicorn

from lorax_proxy.errors import SettingsInvalid
from lorax_proxy.surface import AsgiApp

__all__ = ["listen", "serve"]


class _Server(uvicorn.Server):
    """uvicorn, with two differences.

    It says when it listens, and a signal that ended it is not raised again: whoever stops a server
    with SIGTERM is answered with exit status 0.
    """

    def __init__(self, config: uvicorn.Config, listening: Callable[[], None]) -> None:
        super().__init__(config)
        self._listening = listening

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._listening()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        before = {
            number: signal.signal(number, self.handle_exit)
            for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def listen(host: str, port: int) -> socket.socket:
    """Take the port before anything is started, so that a taken one is one clear line.

    Raises:
        SettingsInvalid: When the address is none, or the port cannot be had.
    """
    try:
        infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise SettingsInvalid(f"host: {host} is no address: {error.strerror}") from None
    family, kind, protocol, _, address = infos[0]
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        # a second server on the port is refused here, not when the first one has gone
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise SettingsInvalid(
            f"port: cannot listen on {host}:{port}: {error.strerror}; "
            "choose another with --port, or end what holds it"
        ) from None
    return listener


def serve(
    app: AsgiApp, listener: socket.socket, listening: Callable[[], None], *, shutdown_timeout: float
) -> None:
    """Serve until SIGINT or SIGTERM; running answers then have `shutdown_timeout` seconds."""
    server = _Server(
        uvicorn.Config(
            app,
            http="httptools",
            loop="auto",
            access_log=False,
            log_level="warning",
            server_header=False,
            timeout_graceful_shutdown=max(1, round(shutdown_timeout)),
        ),
        listening,
    )
    server.run([listener])
