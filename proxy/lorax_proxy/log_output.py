"""Lines to a stream that nobody may read: written by a thread of their own, dropped when too many.

Who starts this program with a pipe and does not read it, or stops a terminal, stops whoever writes
to it once the pipe is full. A log must not do that to a server: the server hands its lines over and
goes on. What does not fit is dropped, counted, and told once there is room again.

The thread also saves work: lines that come within a moment of each other are one write.
"""

import atexit
import os
import select
import threading
from collections.abc import Callable
from typing import TextIO

__all__ = ["LogOutput"]

_MOST_BYTES = 1024 * 1024
"""Bytes that may wait: some thousand lines, the moments in which a reader is slow."""

_MOMENT = 0.02
"""Seconds in which lines are gathered for one write."""

_IDLE = 1.0
"""Seconds without a line after which the thread ends, until the next one."""

_LAST_WAIT = 1.0
"""Seconds that the lines which are left have when the program ends."""


class LogOutput:
    """Takes whole lines; structlog calls it by the name of their level."""

    def __init__(
        self,
        stream: TextIO,
        *,
        dropped: Callable[[], None],
        recovered: Callable[[int], None],
        most_bytes: int = _MOST_BYTES,
    ) -> None:
        """Take a stream.

        Args:
            stream: Where lines go; one that is no file of the system is written at once.
            dropped: Called for each line that is dropped.
            recovered: Called with the number of lines that were dropped, once a line was written
                again; by the thread.
            most_bytes: How much may wait.
        """
        self._stream = stream
        self._dropped = dropped
        self._recovered = recovered
        self._most_bytes = most_bytes
        self._descriptor = _descriptor(stream)
        self._lock = threading.Lock()
        self._there = threading.Event()
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None
        self._lines: list[bytes] = []
        self._bytes = 0
        self._lost = 0

    def msg(self, line: str) -> None:
        """Take one line without its end."""
        if self._descriptor is None:
            self._stream.write(line + "\n")
            self._stream.flush()
            return
        data = line.encode(errors="backslashreplace") + b"\n"
        with self._lock:
            if self._bytes + len(data) > self._most_bytes:
                self._lost += 1
                full = True
            else:
                full = False
                self._lines.append(data)
                self._bytes += len(data)
                if self._thread is None:
                    self._start()
        if full:
            self._dropped()
        elif not self._there.is_set():
            self._there.set()

    debug = info = warning = error = critical = exception = msg

    def flush(self, within: float = _LAST_WAIT) -> None:
        """Wait until everything is written, for so many seconds at most."""
        thread = self._thread
        if thread is not None:
            self._ending.set()
            self._there.set()
            thread.join(within)

    def _start(self) -> None:
        self._ending.clear()
        # a daemon: a pipe that nobody reads must not keep the program from its end
        self._thread = threading.Thread(target=self._write, name="log", daemon=True)
        self._thread.start()
        atexit.register(self.flush)

    def _write(self) -> None:
        while True:
            self._there.wait(_IDLE)
            self._ending.wait(_MOMENT)
            self._there.clear()
            with self._lock:
                lines, self._lines = self._lines, []
                if not lines:
                    self._thread = None
                    break
                lost, self._lost = self._lost, 0
            data = b"".join(lines)
            _write_all(self._descriptor, data)
            with self._lock:
                self._bytes -= len(data)
            if lost:
                self._recovered(lost)
        atexit.unregister(self.flush)


def _descriptor(stream: TextIO) -> int | None:
    try:
        return stream.fileno()
    except (OSError, ValueError):
        return None


def _write_all(descriptor: int | None, data: bytes) -> None:
    assert descriptor is not None  # noqa: S101 - the thread is for descriptors alone
    left = memoryview(data)
    while left:
        try:
            left = left[os.write(descriptor, left) :]
        except BlockingIOError:
            # whoever shares the stream with us made it so
            select.select([], [descriptor], [], 1.0)
        except OSError:
            # nobody will ever read it
            return
