"""Several processes behind one port: started together, watched, replaced, and ended together.

The parent imports everything and listens, and forks its workers then: each is there at once, shares what none
changes, and accepts from the same listener. The parent serves nobody. A worker that dies is replaced; a signal to
the parent goes to all; and workers whose parent was killed end by themselves, because a pipe that it held is closed.

uvicorn's own supervisor starts each worker anew, imports included, hands it what can be pickled, and says that one
died but not of what; gunicorn's brings its own configuration, signals and log. What is left to do
is what `multiprocessing` offers.
"""

import contextlib
import gc
import multiprocessing
import os
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess
from types import FrameType
from typing import Protocol

from lorax_proxy.errors import SettingsInvalid
from lorax_proxy.observe import Observer

__all__ = ["Serve", "Workers"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)

_LISTENING = b"listening"

_YOUNG = 1.0
"""Seconds: a worker that dies younger is replaced after as many, or processes would be all that a broken machine
makes."""


class Serve(Protocol):
    """What a worker does."""

    def __call__(self, listening: Callable[[], None], *, orphaned: int) -> None:
        """Serve until a signal, or until the descriptor `orphaned` can be read; call `listening` when it begins."""


@dataclass(slots=True)
class _Worker:
    process: ForkProcess
    begins: Connection | None
    """Where it says that it listens; None once it has, or has ended."""

    started: float
    listens: bool = False


class Workers:
    """The parent of so many workers."""

    def __init__(
        self, count: int, listener: socket.socket, observer: Observer, serve: Serve
    ) -> None:
        self._count = count
        self._listener = listener
        self._observer = observer
        self._serve = serve
        self._context = multiprocessing.get_context("fork")
        self._workers: list[_Worker] = []
        self._missing = count
        self._start_at = 0.0
        self._ending = False
        self._orphaned, self._alive = os.pipe()

    def run(self, listening: Callable[[], None]) -> None:
        """Serve until SIGINT or SIGTERM; returns when all have ended.

        Args:
            listening: Called once, when the first `count` workers listen.

        Raises:
            SettingsInvalid: When a worker ends before all listened.
        """
        before = {number: signal.signal(number, self._end) for number in _SIGNALS}
        announced = False
        # what is there now stays in pages that all share: no collection writes into them
        gc.collect()
        gc.freeze()
        try:
            while self._workers or not self._ending:
                self._start_missing()
                self._look()
                if not announced and not self._ending:
                    if self._missing:
                        self._end(signal.SIGTERM)
                        self._join()
                        raise SettingsInvalid("workers: one ended before it served; see above")
                    if all(worker.listens for worker in self._workers):
                        announced = True
                        listening()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            os.close(self._alive)
            os.close(self._orphaned)

    def _start_missing(self) -> None:
        while self._missing and not self._ending and time.monotonic() >= self._start_at:
            self._missing -= 1
            self._start()

    def _start(self) -> None:
        # a thread does not survive a fork, and the log's lock could be held by it
        self._observer.flush()
        begins, began = self._context.Pipe(duplex=False)
        # a signal must find the handlers of the side that it is for
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            if not self._ending:
                process = self._context.Process(target=self._work, args=(began,))
                process.start()
                self._workers.append(_Worker(process, begins, time.monotonic()))
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        began.close()
        if not self._ending:
            self._observer.note("worker_started", pid=self._workers[-1].process.pid)

    def _work(self, began: Connection) -> None:
        """What a worker runs."""
        # a Ctrl-C at the terminal is for the parent, which passes it on once
        os.setpgid(0, 0)
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        os.close(self._alive)

        def listening() -> None:
            began.send_bytes(_LISTENING)
            began.close()

        try:
            self._serve(listening, orphaned=self._orphaned)
        finally:
            self._observer.flush()

    def _look(self) -> None:
        """Wait for news of the workers, and take it in."""
        news = [worker.process.sentinel for worker in self._workers]
        news += [worker.begins.fileno() for worker in self._workers if worker.begins is not None]
        if not news and not self._missing:
            return  # a signal came before the first was started
        pause = max(0.0, self._start_at - time.monotonic()) if self._missing else None
        there = set(wait(news, pause))
        for worker in list(self._workers):
            if worker.begins is not None and worker.begins.fileno() in there:
                with contextlib.suppress(EOFError):
                    worker.listens = worker.begins.recv_bytes() == _LISTENING
                worker.begins.close()
                worker.begins = None
            if worker.process.sentinel in there:
                self._bury(worker)

    def _bury(self, worker: _Worker) -> None:
        worker.process.join()
        self._workers.remove(worker)
        pid, status = worker.process.pid, worker.process.exitcode or 0
        self._observer.forget(pid or 0)
        if self._ending:
            return
        self._missing += 1
        now = time.monotonic()
        if now - worker.started < _YOUNG:
            self._start_at = now + _YOUNG
        killed = signal.Signals(-status).name if status < 0 else None
        facts = {"pid": pid, "signal": killed} if killed else {"pid": pid, "status": status}
        self._observer.warn("worker_died", **facts)

    def _end(self, number: int, _frame: FrameType | None = None) -> None:
        """Pass a signal on; nobody is let in any more, nor replaced."""
        self._ending = True
        self._missing = 0
        self._listener.close()
        for worker in self._workers:
            if worker.process.pid is not None:
                # it may have ended, and be about to be buried
                with contextlib.suppress(ProcessLookupError):
                    os.kill(worker.process.pid, number)

    def _join(self) -> None:
        for worker in self._workers:
            worker.process.join()
