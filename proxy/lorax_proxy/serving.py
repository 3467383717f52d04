"""A port, and uvicorn on it: started when it listens, ended cleanly by a signal."""

import asyncio
import contextlib
import errno
import functools
import gc
import resource
import signal
import socket
from collections.abc import Callable, Generator
from typing import Any

import uvicorn

from lorax_proxy.client import AsgiApp
from lorax_proxy.config import Settings
from lorax_proxy.door import Door
from lorax_proxy.errors import SettingsInvalid
from lorax_proxy.http1 import Connection
from lorax_proxy.observe import Observer

__all__ = ["listen", "protocol", "serve"]

_ENOUGH_FILES = 65536
"""Open files for every connection that is allowed by default, and as many upstream."""


_SEND_BUFFER = 256 * 1024
"""Bytes of answers that the kernel takes for a client that does not read; Linux doubles it. Left to
itself it takes 2.8 MB, of which thousands of such clients make gigabytes. Over a way of 100 ms this is
still 2 MB a second to each client, a hundred times what tokens come at."""


class _Server(uvicorn.Server):
    """uvicorn, with three differences.

    It says when it listens; a signal that ended it is not raised again, so that whoever stops a
    server with SIGTERM is answered with exit status 0; and it sees its clients out (`Door.close`).
    """

    def __init__(
        self,
        config: uvicorn.Config,
        door: Door,
        listening: Callable[[], None],
        *,
        shutdown_timeout: float,
        orphaned: int | None,
    ) -> None:
        super().__init__(config)
        self._orphaned = orphaned
        self._door = door
        self._listening = listening
        self._shutdown_timeout = shutdown_timeout

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._door.trouble)
        if self._orphaned is not None:
            loop.add_reader(self._orphaned, self._end)
        await super().startup(sockets)
        if self.started:
            # what is here now stays: a collection that looks at it all takes 30 ms, and every worker
            # that a collection writes in has its own copy
            gc.freeze()
            # a request leaves next to no cycles, and is some 500 objects: 700 are looked through too often
            gc.set_threshold(10_000)
            self._listening()

    def _end(self) -> None:
        """End in good order, because nobody is left who would say so."""
        assert self._orphaned is not None  # noqa: S101 - it has just been read
        asyncio.get_running_loop().remove_reader(self._orphaned)
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for listener in sockets or ():
            listener.close()
        closing = asyncio.create_task(
            self._door.close(self.server_state.tasks, within=self._shutdown_timeout)
        )
        # a second Ctrl-C does not wait for anybody
        while not closing.done() and not self.force_exit:
            await asyncio.wait([closing], timeout=0.1)
        closing.cancel()
        await asyncio.gather(closing, return_exceptions=True)
        await self.lifespan.shutdown()

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


def listen(host: str, port: int, *, spare: int = 0) -> socket.socket:
    """Take the port before anything is started, so that a taken one is one clear line.

    Args:
        host: A name or an address of this machine.
        port: The port; 0 takes a free one.
        spare: How many ports behind it may be had in its place, if others hold it.

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
    # each connection takes it over from the port
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
    try:
        listener.bind(address)
        # a second server on the port is refused here, not when the first one has gone
        listener.listen(2048)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE and spare and port < 65535:
            return listen(host, port + 1, spare=spare - 1)
        raise SettingsInvalid(
            f"port: cannot listen on {host}:{port}: {error.strerror}; "
            "choose another with --port, or end what holds it"
        ) from None
    return listener


def protocol(door: Door) -> Any:
    """What uvicorn makes of each connection, as its `http=`."""
    return functools.partial(Connection, door)


def serve(
    app: AsgiApp,
    listener: socket.socket,
    listening: Callable[[], None],
    *,
    settings: Settings,
    observer: Observer,
    orphaned: int | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM; running answers then have `shutdown_timeout` seconds.

    Args:
        app: What answers.
        listener: Where clients come.
        listening: Called when they are let in.
        settings: The sizes and times that they hold to.
        observer: Who is told.
        orphaned: A descriptor that can be read when the process that started this one is gone,
            which ends it, too.
    """
    door = Door(settings, observer, max_files=_open_more_files())

    async def publish() -> None:
        observer.publish()

    server = _Server(
        uvicorn.Config(
            app,
            http=protocol(door),
            ws="none",
            loop="auto",
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=False,
            # each second; other workers tell what this one holds
            callback_notify=publish,
            timeout_notify=0,
        ),
        door,
        listening,
        shutdown_timeout=settings.shutdown_timeout,
        orphaned=orphaned,
    )
    with observer.taking_over("uvicorn", "asyncio"):
        server.run([listener])


def _open_more_files() -> int:
    """Take as many open files as the system lets us have; shells start programs with 1024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _ENOUGH_FILES if hard == resource.RLIM_INFINITY else min(hard, _ENOUGH_FILES)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return soft if soft != resource.RLIM_INFINITY else _ENOUGH_FILES
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted
