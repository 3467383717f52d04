"""One shard in virtual time: adapters, queues, one loader, continuous batching.

A machine on a discrete clock, in milliseconds. `enter` takes a job that arrives now, `step` does the next
thing the shard would do and says what came of it; `feed` and `finish` are the same for arrivals whose times
are known beforehand. Nothing here waits: time is a number that operations add to.

Theory (router/src/queue.rs, scheduler.rs, loader.rs, infer.rs:1051-1248):

* The shard does one thing at a time: a download, a load, an offload, a prefill or a decode step. So
  everything that decodes stalls while an adapter loads.
* Adapters come and go (`residency`): when something is pending, idle active adapters are offloaded, as many as are
  pending, in the order of their activation and whether or not there is room; the longest-active one, once past its
  cycle time and not running, makes way, too. The base model is one of the adapters.
* A batch: when nothing runs all that fits is admitted in one prefill, which gives each its first token.
* While R run, the shard goes in rounds: newcomers are admitted in one prefill if there are enough of them (with
  `eager_prefill` in prefill after prefill, as long as there are), then everybody decodes one token. Enough is
  decided once a round: floor(R x ratio), or any number when `max_waiting_tokens` steps have passed since the last
  admission (the count starts at 1). What fits is decided in order, and the first that does not fit ends the admission.
* Adapters are offloaded and activated only when the shard looks for a batch: at the start of a round, before
  what the loader has to do is done; and while nothing runs, when a request has come and after each errand of
  the loader. So a new adapter is pending at two looks, before and after its download, and may send two idle
  ones away; and a batch decodes a step between download and load, and one between load and admission.
* A prefill that raises ends all its jobs and all that were decoding (router/src/infer.rs:1274-1287), as far as
  they are of the same session: a mock is shared by tests that must not end one another.
* A batch has one divisor of logits for each request as soon as one of them wants it, so a temperature of 0 beside
  another one divides by 0, until that answer's end (server/lorax_server/utils/tokens.py:313-317): it has no EOS then.
* Who has all tokens leaves at once; so does, with the next token, a job whose client has left. A waiting one
  whose client has left is dropped when it is reached.
"""

import math
from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from lorax_mock.settings import Costs, Limits
from lorax_mock.shard.jobs import Done, Failed, Job, Span, Step
from lorax_mock.shard.residency import Residency

__all__ = ["Shard"]

_BLOCK: Final = 16
"""Tokens of a block; a job's blocks are reserved whole when it is admitted."""

_RESERVED_BLOCKS: Final = 1
"""Block 0 belongs to health checks (router/src/block_allocator.rs:156)."""

_SCHEMAS: Final = 32
"""Compiled schemas that the shard remembers (server/lorax_server/utils/logits_process.py:567)."""

_SPANS: Final = 10_000
"""Operations remembered; a long-running server must not fill the memory."""


@dataclass(slots=True)
class _Running:
    job: Job
    started: float
    first: float
    last: int
    """The step by which it has all its tokens, of all steps since the shard began."""

    divided: bool = False


@dataclass(frozen=True, slots=True)
class _Round:
    """The decision about prefilling, made when a running batch's round began."""

    least: int
    """Fewer newcomers are not admitted."""

    concat: str


class Shard:
    """The shard as a machine in virtual time."""

    def __init__(
        self,
        limits: Limits,
        costs: Costs,
        *,
        memory: Mapping[str, float] | None = None,
        loads: Mapping[str, float] | None = None,
        resident: Collection[str] = (),
    ) -> None:
        self.now = 0.0
        self.spans: deque[Span] = deque(maxlen=_SPANS)
        self.queue_length: int | None = None
        """As of the last look for a batch; None before the first."""

        self.batch_size: int | None = None
        self.batch_max_tokens: int | None = None
        """Of the running batch when its last round began; 0 when it has ended, None before the first."""

        self._limits = limits
        self._costs = costs
        self._adapters = Residency(limits, memory or {})
        self._loads = loads or {}
        self._resident = frozenset((*resident, ""))
        """The adapters whose errands do nothing: the base model, and those that were preloaded."""

        self._running: list[_Running] = []
        self._batch: tuple[int, ...] = ()
        self._steps = 0
        """Passes that gave the batch tokens."""

        self._next_end: int | None = None
        """The step by which the first of the batch has all its tokens; None when it is to be looked for."""

        self._blocks: int | None = None
        """Blocks of the batch; None when they are to be counted."""

        self._round: _Round | None = None
        self._schemas: deque[bytes] = deque(maxlen=_SCHEMAS)
        """Compiled ones, the last used at the end."""

        self._look = False
        self._mixed = False
        """Whether those who joined since the last step have temperatures that nobody has looked at beside the others'."""

        self._since_admission = 1
        self._waiting = 0
        self._left: set[int] = set()
        self._dropped: list[int] = []

    @property
    def active(self) -> list[str]:
        """Adapters in use, longest active first."""
        return self._adapters.active

    @property
    def idle(self) -> bool:
        """Whether no job waits or runs."""
        return not (self._waiting or self._running)

    def enter(self, job: Job) -> None:
        """Queue a job that arrives; its `at` is at most now."""
        self._adapters.enter(job)
        self._waiting += 1
        if not self._running:
            self._look = True

    def leave(self, number: int) -> None:
        """Note that the client of a job that is not done has left."""
        self._left.add(number)

    def feed(self, job: Job) -> list[Done]:
        """Let a job arrive, in order of time; returns the jobs that were done before."""
        done = self._until(job.at)
        self.now = max(self.now, job.at)
        self.enter(job)
        return done

    def finish(self) -> list[Done]:
        """Let all jobs run to their end; returns those that were not done before."""
        return self._until(math.inf)

    def sent_away(self, adapter: str) -> bool:
        """Whether an adapter is known and not in use, so that its next request has it loaded anew."""
        return self._adapters.sent_away(adapter)

    def fail(self, adapter: str, *, loading: bool = False) -> None:
        """Let a download, or a load after it, fail: it takes its time, and the adapter is forgotten."""
        known = self._adapters.forget(adapter)
        if adapter in self._resident:
            return
        if not known:
            self._spend("download", self._costs.adapter_download, adapter=adapter)
        if loading:
            self._spend("load", self._loads.get(adapter, self._costs.adapter_load), adapter=adapter)

    def step(self, most: int = 1) -> Step | None:
        """Do the next operation, or up to so many decode steps of a batch that nobody joins or leaves.

        None when there is nothing to do, or nothing that could ever be done.
        """
        while True:
            if self._running and self._round is None:
                self._begin_round()
            if self._look:
                admitted = self._admit(0 if self._round is None else self._round.least)
                if admitted:
                    return self._prefill(admitted)
                self._look = False
            if self._adapters.errands:
                step = self._load(*self._adapters.errands.popleft())
                self._look = not self._running
                if step is not None:
                    return step
            elif self._running:
                return self._decode(most)
            elif self._dropped:
                return Step("drop", 0.0, dropped=self._take_dropped())
            elif not self._look:
                return None

    def _until(self, moment: float) -> list[Done]:
        done: list[Done] = []
        while self.now < moment and (self._adapters.errands or self._waiting or self._running):
            most = 1 << 30
            if self._costs.step > 0 and moment != math.inf:
                most = max(1, math.ceil((moment - self.now) / self._costs.step))
            step = self.step(most)
            if step is None:
                break  # nothing can be activated: only a job too big for the server does this
            done += step.done
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
        if kind == "decode" and self.spans:
            last = self.spans[-1]
            if last.jobs is jobs and last.kind == kind and last.end == start:
                self.spans.pop()
                start, steps = last.start, last.steps + steps
        self.spans.append(Span(kind, start, self.now, adapter, jobs, steps))

    def _load(self, kind: str, name: str) -> Step | None:
        """The loader's next errand; None for those whose errands do nothing."""
        self._adapters.done(kind, name)
        if name in self._resident:
            return None
        load = self._loads.get(name, self._costs.adapter_load)
        cost = {"download": self._costs.adapter_download, "load": load, "offload": 0.0}[kind]
        self._spend(kind, cost, adapter=name)
        return Step(kind, cost)

    def _begin_round(self) -> None:
        running = len(self._running)
        self.batch_size = running
        self.batch_max_tokens = _BLOCK * self._blocks_in_use()
        if self._since_admission >= self._limits.max_waiting_tokens:
            self._round = _Round(0, "wait_exceeded")
        else:
            least = math.floor(running * self._limits.waiting_served_ratio)
            self._round = _Round(least, "backpressure")

    def _blocks_in_use(self) -> int:
        if self._blocks is None:
            self._blocks = sum(_blocks(one.job) for one in self._running)
        return self._blocks

    def _changed(self) -> None:
        """Forget what was worked out for the batch: jobs have joined or left it, or an end was put off."""
        self._next_end = self._blocks = None

    def _admit(self, least: int) -> list[Job]:
        """Jobs for one prefill, by the rules above; none when it has to wait."""
        self.queue_length = self._waiting
        if not self._waiting or self._waiting < least:
            return []
        self._adapters.update({one.job.adapter for one in self._running}, self.now)
        taken: list[Job] = []
        prompts = 0
        blocks = self._limits.max_batch_total_tokens // _BLOCK - _RESERVED_BLOCKS
        blocks -= self._blocks_in_use()
        while (queue := self._adapters.next_queue(self.now)) is not None:
            job = queue[0]
            if job.id in self._left:
                queue.popleft()
                self._drop(job)
                self._waiting -= 1
                continue
            prompts += job.prompt
            blocks -= _blocks(job)
            if prompts > self._limits.max_batch_prefill_tokens or blocks < 0:
                break
            taken.append(queue.popleft())
        if len(taken) < least:
            self._adapters.give_back(taken)
            return []
        self._waiting -= len(taken)
        return taken

    def _drop(self, job: Job) -> None:
        self._left.discard(job.id)
        self._dropped.append(job.id)

    def _take_dropped(self) -> tuple[int, ...]:
        if not self._dropped:
            return ()
        dropped = tuple(self._dropped)
        self._dropped.clear()
        return dropped

    def _prefill(self, jobs: list[Job]) -> Step:
        started = self.now
        cost = self._costs.first + self._costs.prefill_token * sum(job.prompt for job in jobs)
        cost += self._costs.schema_compile * sum(self._compiles(job.schema) for job in jobs)
        numbers = tuple(job.id for job in jobs)
        self._spend("prefill", cost, jobs=numbers, steps=1)
        concat = None if self._round is None else self._round.concat
        failed: tuple[Failed, ...] = ()
        if any(job.fails for job in jobs):
            failed = self._fail_with(jobs)
            ended = {number for one in failed for number in one.jobs}
            jobs = [job for job in jobs if job.id not in ended]
            numbers = tuple(job.id for job in jobs)
        joining = [_Running(job, started, self.now, self._steps + job.tokens - 1) for job in jobs]
        divided = self._divide(joining)
        self._running += joining
        self._changed()
        self._mixed = self._mixed or any(job.zero or job.warm for job in jobs)
        self._since_admission = 1
        self._look = self._round is None or self._limits.eager_prefill
        return Step("prefill", cost, numbers, 1, *self._part(), concat, failed, divided)

    def _divide(self, together: list[_Running]) -> tuple[int, ...]:
        """The jobs of this pass whose logits are divided by 0 from now on; they go on to their budget."""
        sessions = {one.job.session for one in together if one.job.warm}
        divided = [
            one
            for one in together
            if one.job.zero and not one.divided and one.job.session in sessions
        ]
        for one in divided:
            one.divided = True
            self._changed()
            one.last += one.job.budget - one.job.tokens
        return tuple(one.job.id for one in divided)

    def _fail_with(self, jobs: list[Job]) -> tuple[Failed, ...]:
        """The jobs that each session loses by a prefill of these jobs that raises; they do not run any more."""
        failed: list[Failed] = []
        for session in dict.fromkeys(job.session for job in jobs if job.fails):
            cause = next(job.id for job in jobs if job.fails and job.session == session)
            ended = tuple(job.id for job in jobs if job.session == session)
            decoding = tuple(one.job.id for one in self._running if one.job.session == session)
            self._running = [one for one in self._running if one.job.session != session]
            self._changed()
            self._left.difference_update(ended, decoding)
            failed.append(Failed(cause, ended, decoding))
        return tuple(failed)

    def _compiles(self, schema: bytes) -> bool:
        """Whether a schema has to be compiled; the shard does that while all others wait."""
        if not schema:
            return False
        known = schema in self._schemas
        if known:
            self._schemas.remove(schema)
        self._schemas.append(schema)
        return not known

    def _decode(self, most: int) -> Step:
        """One step; as many as nobody joins or leaves in, up to `most`, while nobody waits."""
        divided = self._divide(self._running) if self._mixed else ()
        self._mixed = False
        if self._next_end is None:
            self._next_end = min(one.last for one in self._running)
        fewest = self._next_end - self._steps
        steps = 1 if self._waiting or self._left else min(most, fewest)
        jobs = self._batch
        self._spend("decode", steps * self._costs.step, jobs=jobs, steps=steps)
        self._since_admission += steps
        self._steps += steps
        self._round = None
        self._look = True
        if steps < fewest and not self._left:
            dropped = self._take_dropped()
            return Step("decode", self._costs.step, jobs, steps, dropped=dropped, divided=divided)
        return Step("decode", self._costs.step, jobs, steps, *self._part(), divided=divided)

    def _part(self) -> tuple[tuple[Done, ...], tuple[int, ...]]:
        """Take jobs off the batch; returns the finished ones, and the ids of those whose clients have left."""
        done: list[Done] = []
        staying: list[_Running] = []
        for one in self._running:
            if one.job.id in self._left:
                self._drop(one.job)
            elif one.last <= self._steps:
                done.append(Done(one.job, one.started, one.first, self.now))
            else:
                staying.append(one)
        self._running = staying
        self._changed()
        self._batch = tuple(one.job.id for one in staying)
        if not staying:
            self._round = None
            self._look = True
            self.batch_size = self.batch_max_tokens = 0
        return tuple(done), self._take_dropped()


def _blocks(job: Job) -> int:
    return math.ceil((job.prompt + job.budget - 1) / _BLOCK)
