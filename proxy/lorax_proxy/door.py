"""Who may come in and how long they may take: every client connection, and the one clock over them.

A timer for each request would cost each request. So there is one for all: every tick, each
connection is asked to look at itself, and the time that connections note is the time of the
last tick. A limit may therefore be overrun by a tick, which is a second, or a quarter of the
shortest limit if that is less.
"""

import asyncio
import contextlib
import errno
import os
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any, Protocol

from lorax_proxy.config_limits import ClientLimits
from lorax_proxy.observe import Observer

__all__ = ["Bodies", "Door", "Guest"]

_MAX_TURNED_AWAY = 64
"""The most connections beyond the limit that are told so at once, or an eighth of the places if that
is less; others are only closed."""

_GOODBYE = 2.0
"""Seconds that answers have to say that they were cut, once `shutdown_timeout` is over."""

_QUIET = 60.0
"""Seconds between two lines about file descriptors that ran out."""


class Guest(Protocol):
    """A connection, as the door sees it."""

    peer: str

    def look(self, now: float) -> None:
        """End what has taken too long."""

    def shutdown(self) -> None:
        """Begin nothing more, and close when nothing is under way."""

    def abort(self) -> None:
        """Close at once."""


class Bodies:
    """Counts the bytes of requests' bodies, over all connections.

    Attributes:
        held: Bytes in memory now.
    """

    def __init__(self, most: int, observer: Observer) -> None:
        self.held = 0
        self._most = most
        self._observer = observer
        self._full = False

    def take(self, size: int) -> bool:
        """Count so many bytes more, which may be none or less; False when there is no room for them."""
        if size > 0 and self.held + size > self._most:
            if not self._full:
                # once, until there is room again
                self._full = True
                self._observer.warn("too_many_bodies", bytes=self.held)
            return False
        self.held += size
        if self.held < self._most * 9 // 10:
            self._full = False
        return True


class Door:
    """Counts connections, ends those that take too long, and sees everybody out.

    Attributes:
        limits: The sizes and times that connections hold to.
        bodies: What their requests' bodies take.
        now: The loop's time in seconds, as of the last tick.
        leaving: Whether the server is shutting down: requests that begin now are refused.
    """

    def __init__(
        self, limits: ClientLimits, observer: Observer, *, max_files: int | None = None
    ) -> None:
        """Open the door.

        Args:
            limits: What connections hold to.
            observer: Where refusals are told.
            max_files: How many files the process may have open.
        """
        self.limits = limits
        self.observer = observer
        self.bodies = Bodies(limits.max_buffered_body_bytes, observer)
        self.now = 0.0
        self.leaving = False
        # the last quarter is for requests to LoRAX, and for what the process has open anyway
        self.places = (
            limits.max_connections
            if max_files is None
            else max(1, min(limits.max_connections, max_files * 3 // 4 - 16))
        )
        self.places_per_peer = limits.max_connections_per_peer or max(1, self.places * 3 // 4)
        self._guests: set[Guest] = set()
        self._peers: Counter[str] = Counter()
        self._turned_away: set[Guest] = set()
        self._full = False
        self._told_files = float("-inf")
        self._timer: asyncio.TimerHandle | None = None
        self._emptied: asyncio.Event | None = None
        self._tick = min(
            1.0,
            *(
                seconds / 4
                for seconds in (
                    limits.client_header_timeout,
                    limits.client_body_timeout,
                    limits.client_idle_timeout,
                    limits.client_write_timeout,
                )
            ),
        )
        observer.holds(connections=lambda: len(self._guests), body_bytes=lambda: self.bodies.held)

    def enter(self, guest: Guest) -> bool:
        """Let a new connection in; False when there is no place, and it must be told so."""
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self.now = loop.time()
            self._timer = loop.call_later(self._tick, self._look)
        if len(self._guests) < self.places and self._peers[guest.peer] < self.places_per_peer:
            self._guests.add(guest)
            self._peers[guest.peer] += 1
            return True
        self.observer.refused_connections.inc()
        if not self._full:
            # once, until there is room again: a line for each would be a flood of its own
            self._full = True
            self.observer.warn(
                "too_many_connections", open=len(self._guests), of_peer=self._peers[guest.peer]
            )
        self._turned_away.add(guest)
        if len(self._turned_away) > min(_MAX_TURNED_AWAY, max(1, self.places // 8)):
            guest.abort()
        return False

    def leave(self, guest: Guest) -> None:
        """A connection is closed."""
        self._turned_away.discard(guest)
        self._forget(guest)
        if self._emptied is not None and not self._everybody():
            self._emptied.set()

    def _forget(self, guest: Guest) -> None:
        if guest in self._guests:
            self._guests.remove(guest)
            self._peers[guest.peer] -= 1
            if not self._peers[guest.peer]:
                del self._peers[guest.peer]

    async def close(self, tasks: Collection[asyncio.Task[None]], *, within: float) -> None:
        """See everybody out: requests that begin now are refused, others have `within` seconds.

        Args:
            tasks: The answers under way; what is left of them is cancelled then, and has a moment
                to tell its client.
            within: Seconds.
        """
        self.leaving = True
        for guest in self._everybody():
            guest.shutdown()
        await self._gone(within)
        for task in list(tasks):
            task.cancel()
        if tasks:
            await asyncio.wait(list(tasks), timeout=_GOODBYE)
        await self._gone(_GOODBYE)
        for guest in self._everybody():
            guest.abort()

    def trouble(self, loop: asyncio.AbstractEventLoop, context: Mapping[str, Any]) -> None:
        """The loop's exception handler: what no request has caused, in one line."""
        error = context.get("exception")
        if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
            self._tell_files(loop.time())
        else:
            self.observer.trouble(str(context.get("message", "")), error)

    def _tell_files(self, now: float) -> None:
        if now - self._told_files >= _QUIET:
            self._told_files = now
            self.observer.warn("out_of_file_descriptors", connections=len(self._guests))

    def _everybody(self) -> list[Guest]:
        return [*self._guests, *self._turned_away]

    async def _gone(self, within: float) -> None:
        """Wait until every connection is closed, for so many seconds at most."""
        if self._everybody():
            self._emptied = asyncio.Event()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._emptied.wait(), within)

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        self.now = loop.time()
        if len(self._guests) < self.places * 9 // 10:
            self._full = False
        for guest in self._everybody():
            guest.look(self.now)
        try:
            # uvloop refuses connections without a word when there is no descriptor for them
            os.close(os.open(os.devnull, os.O_RDONLY))
        except OSError:
            self._tell_files(self.now)
        busy = self._guests or self._turned_away
        self._timer = loop.call_later(self._tick, self._look) if busy else None
