"""One shard in virtual time: adapters, queues, one loader, continuous batching.

A machine on a discrete clock, in milliseconds. `feed` takes an arrival, `finish` lets everything end; both
give back the jobs that were done. Nothing here waits: time is a number that operations add to.

Theory (router/src/queue.rs, scheduler.rs, loader.rs, infer.rs:1051-1248):

* The shard does one thing at a time: a download, a load, an offload, a prefill or a decode step. So
  everything that decodes stalls while an adapter loads.
* An adapter is known from its first request on, then downloaded once. It is *pending* until it is
  activated, in order; one that is not downloaded, or too big for what is left of the memory, blocks those
  behind it. When something is pending, idle active adapters are offloaded, as many as are pending, in the
  order of their activation and whether or not there is room. The base model is one of the adapters.
* The longest-active adapter, once past its cycle time and not running, makes way for a pending one.
* A batch: when nothing runs all that fits is admitted in one prefill, which gives each its first token.
  While R run, fewer than floor(R x ratio) waiting are not admitted until `max_waiting_tokens` steps
  have passed since the last admission (the count starts at 1). What fits is decided in order, and the
  first that does not fit ends the admission.
* A decode step gives every running job one token; who has all leaves at once.
"""

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from lorax_mock.settings import Costs, Limits

__all__ = ["Done", "Job", "Shard", "Span"]

_BLOCK: Final = 16
"""Tokens of a block; a job's blocks are reserved whole when it is admitted."""

_SPANS: Final = 10_000
"""Operations remembered; a long-running server must not fill the memory."""


@dataclass(frozen=True, slots=True)
class Job:
    """One request: when it arrives, for whom, and how many tokens it will take."""

    id: int
    at: float
    adapter: str
    """Its identity; "" is the base model."""

    prompt: int
    budget: int
    """`max_new_tokens`: what is reserved."""

    tokens: int
    """What is generated, at most the budget and at least one."""


@dataclass(frozen=True, slots=True)
class Done:
    """A job and its moments."""

    job: Job
    started: float
    """When its prefill began: the end of queueing."""

    first: float
    finished: float


@dataclass(frozen=True, slots=True)
class Span:
    """One operation of the shard, or several decode steps of the same batch."""

    kind: str
    """`download`, `load`, `offload`, `prefill` or `decode`."""

    start: float
    end: float
    adapter: str | None = None
    jobs: tuple[int, ...] = ()
    steps: int = 0


@dataclass(slots=True)
class _Running:
    job: Job
    started: float
    first: float
    left: int


@dataclass(slots=True)
class _Adapter:
    """Queue and state of one adapter."""

    queue: deque[Job] = field(default_factory=deque)
    downloaded: bool = False
    ready: bool = False
    activated: float = 0.0


class Shard:
    """The machine."""

    def __init__(
        self,
        limits: Limits,
        costs: Costs,
        *,
        memory: Mapping[str, float] | None = None,
        loads: Mapping[str, float] | None = None,
    ) -> None:
        self.now = 0.0
        self.spans: deque[Span] = deque(maxlen=_SPANS)
        self._limits = limits
        self._costs = costs
        self._memory = memory or {}
        self._loads = loads or {}
        self._known: dict[str, _Adapter] = {}
        self._pending: deque[str] = deque()
        self._active: deque[str] = deque()
        self._budget = 1.0
        self._loader: deque[tuple[str, str]] = deque()
        self._running: list[_Running] = []
        self._since_admission = 1
        self._waiting = 0

    @property
    def active(self) -> list[str]:
        """Adapters in use, longest active first."""
        return list(self._active)

    def feed(self, job: Job) -> list[Done]:
        """A job arrives; gives back those that were done before. Arrivals come in order of time."""
        done = self._until(job.at)
        self.now = max(self.now, job.at)
        adapter = self._known.get(job.adapter)
        if adapter is None:
            adapter = self._known[job.adapter] = _Adapter()
            self._loader.append(("download", job.adapter))
        if job.adapter not in self._active and job.adapter not in self._pending:
            self._pending.append(job.adapter)
        adapter.queue.append(job)
        self._waiting += 1
        return done

    def finish(self) -> list[Done]:
        """Let everything end."""
        return self._until(math.inf)

    def fail(self, adapter: str) -> None:
        """A download that comes to nothing takes its time and is forgotten."""
        self._spend("download", self._costs.adapter_download, adapter=adapter)

    def _until(self, moment: float) -> list[Done]:
        done: list[Done] = []
        while self.now < moment and (self._loader or self._waiting or self._running):
            if self._loader:
                self._load(*self._loader.popleft())
                continue
            admitted = self._admit()
            if admitted:
                done += self._prefill(admitted)
            elif self._loader:
                continue  # looking for a batch activated an adapter
            elif self._running:
                done += self._decode(moment)
            else:
                break  # nothing can be activated: only a job too big for the server does this
        return done

    def _spend(
        self,
        kind: str,
        milliseconds: float,
        *,
        adapter: str | None = None,
        jobs: tuple[int, ...] = (),
        steps: int = 0,
    ) -> None:
        start = self.now
        self.now += milliseconds
        self.spans.append(Span(kind, start, self.now, adapter, jobs, steps))

    def _load(self, kind: str, name: str) -> None:
        if name:  # the base model's steps do nothing
            load = self._loads.get(name, self._costs.adapter_load)
            cost = {"download": self._costs.adapter_download, "load": load, "offload": 0.0}[kind]
            self._spend(kind, cost, adapter=name)
        adapter = self._known[name]
        match kind:
            case "download":
                adapter.downloaded = True
            case "load":
                adapter.ready = True
            case _:
                adapter.ready = False

    def _admit(self) -> list[Job]:
        """Jobs for one prefill, by the rules above; none when it has to wait."""
        if not self._waiting:
            return []
        least = 0
        if self._running and self._since_admission < self._limits.max_waiting_tokens:
            least = math.floor(len(self._running) * self._limits.waiting_served_ratio)
        if self._waiting < least:
            return []
        self._update_adapters()
        taken: list[Job] = []
        prompts = 0
        blocks = self._limits.max_batch_total_tokens // _BLOCK - sum(
            _blocks(one.job) for one in self._running
        )
        while (name := self._next_adapter()) is not None:
            queue = self._known[name].queue
            job = queue[0]
            prompts += job.prompt
            blocks -= _blocks(job)
            if prompts > self._limits.max_batch_prefill_tokens or blocks < 0:
                break
            taken.append(queue.popleft())
        if len(taken) < least:
            for job in reversed(taken):
                self._known[job.adapter].queue.appendleft(job)
            return []
        self._waiting -= len(taken)
        return taken

    def _update_adapters(self) -> None:
        used = {one.job.adapter for one in self._running}
        idle = [name for name in self._active if name not in used and not self._known[name].queue]
        for name in idle[: len(self._pending)]:
            self._offload(name)
        if self._active and self._pending:
            oldest = self._active[0]
            past = self.now - self._known[oldest].activated > self._limits.adapter_cycle_ms
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
            self._known[name].activated = self.now
            self._budget -= share
            self._loader.append(("load", name))

    def _share(self, name: str) -> float:
        return self._memory.get(name, 0.0)

    def _offload(self, name: str) -> None:
        self._active.remove(name)
        self._budget += self._share(name)
        self._known[name].ready = False
        self._loader.append(("offload", name))

    def _next_adapter(self) -> str | None:
        """Whose front job is next: the oldest, of adapters within their cycle time if there are any."""
        ready = [
            (
                self.now - self._known[name].activated >= self._limits.adapter_cycle_ms,
                queue[0].at,
                queue[0].id,
                name,
            )
            for name in self._active
            if self._known[name].ready and (queue := self._known[name].queue)
        ]
        return min(ready)[3] if ready else None

    def _prefill(self, jobs: list[Job]) -> list[Done]:
        started = self.now
        cost = self._costs.first + self._costs.prefill_token * sum(job.prompt for job in jobs)
        self._spend("prefill", cost, jobs=tuple(job.id for job in jobs), steps=1)
        self._running += [_Running(job, started, self.now, job.tokens - 1) for job in jobs]
        self._since_admission = 1
        return self._leave()

    def _decode(self, moment: float) -> list[Done]:
        """Steps until somebody is done, or one while somebody waits, or until the moment."""
        steps = min(one.left for one in self._running)
        if self._waiting:
            steps = 1
        elif self._costs.step > 0 and moment != math.inf:
            steps = min(steps, max(1, math.ceil((moment - self.now) / self._costs.step)))
        jobs = tuple(one.job.id for one in self._running)
        self._spend("decode", steps * self._costs.step, jobs=jobs, steps=steps)
        self._since_admission += steps
        for one in self._running:
            one.left -= steps
        return self._leave()

    def _leave(self) -> list[Done]:
        done = [
            Done(one.job, one.started, one.first, self.now)
            for one in self._running
            if one.left <= 0
        ]
        self._running = [one for one in self._running if one.left > 0]
        return done


def _blocks(job: Job) -> int:
    return math.ceil((job.prompt + job.budget - 1) / _BLOCK)
