"""Adapters in use, in line and idle, and what the loader has to do next.

router/src/queue.rs: an adapter is known from its first job on and downloaded once. It is *pending* until it is
activated, in order; one that is not downloaded, or too big for what is left of the memory, blocks those behind it.
Nothing here takes time: `errands` says what to do, `done` that it was.
"""

from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from lorax_mock.settings import Limits
from lorax_mock.shard.jobs import Job

__all__ = ["Residency"]


@dataclass(slots=True)
class _Adapter:
    """Queue and state of one adapter."""

    queue: deque[Job] = field(default_factory=deque)
    downloaded: bool = False
    ready: bool = False
    activated: float = 0.0


class Residency:
    """The adapters that the router knows."""

    def __init__(self, limits: Limits, memory: Mapping[str, float]) -> None:
        self._limits = limits
        self._memory = memory
        self._known: dict[str, _Adapter] = {}
        self._pending: deque[str] = deque()
        self._active: deque[str] = deque()
        self._budget = 1.0
        self.errands: deque[tuple[str, str]] = deque()
        """What the loader has to do, and for which adapter: `download`, `load` or `offload`."""

    @property
    def active(self) -> list[str]:
        """Adapters in use, longest active first."""
        return list(self._active)

    def enter(self, job: Job) -> None:
        """Queue a job for its adapter."""
        adapter = self._known.get(job.adapter)
        if adapter is None:
            adapter = self._known[job.adapter] = _Adapter()
            self.errands.append(("download", job.adapter))
        if job.adapter not in self._active and job.adapter not in self._pending:
            self._pending.append(job.adapter)
        adapter.queue.append(job)

    def give_back(self, jobs: Collection[Job]) -> None:
        """Put jobs that were taken in this order back where they waited."""
        for job in reversed(list(jobs)):
            self._known[job.adapter].queue.appendleft(job)

    def sent_away(self, name: str) -> bool:
        """Whether an adapter is known and not in use, so that its next job has it loaded anew."""
        return name in self._known and name not in self._active and name not in self._pending

    def forget(self, name: str) -> bool:
        """Forget an adapter that could not be loaded; returns whether it was known."""
        return self._known.pop(name, None) is not None

    def done(self, errand: str, name: str) -> None:
        """Note that the loader has done that."""
        adapter = self._known[name]
        match errand:
            case "download":
                adapter.downloaded = True
            case "load":
                adapter.ready = True
            case _:
                adapter.ready = False

    def update(self, used: Collection[str], now: float) -> None:
        """Put away idle adapters that others wait for, and one past its cycle time; make pending ones active."""
        idle = [name for name in self._active if name not in used and not self._known[name].queue]
        for name in idle[: len(self._pending)]:
            self._offload(name)
        if self._active and self._pending:
            oldest = self._active[0]
            past = now - self._known[oldest].activated > self._limits.adapter_cycle_ms
            if past and oldest not in used:
                self._offload(oldest)
                self._pending.append(oldest)
        while self._pending and len(self._active) < self._limits.max_active_adapters:
            name = self._pending[0]
            share = self._share(name)
            if not self._known[name].downloaded or share > self._budget:
                break
            self._pending.popleft()
            self._active.append(name)
            self._known[name].activated = now
            self._budget -= share
            self.errands.append(("load", name))

    def _share(self, name: str) -> float:
        return self._memory.get(name, 0.0)

    def _offload(self, name: str) -> None:
        self._active.remove(name)
        self._budget += self._share(name)
        self._known[name].ready = False
        self.errands.append(("offload", name))

    def next_queue(self, now: float) -> deque[Job] | None:
        """The queue whose front job is next: the oldest, of adapters within their cycle time if there are any."""
        ready = [
            (
                now - self._known[name].activated >= self._limits.adapter_cycle_ms,
                queue[0].at,
                queue[0].id,
                name,
            )
            for name in self._active
            if self._known[name].ready and (queue := self._known[name].queue)
        ]
        return self._known[min(ready)[3]].queue if ready else None
