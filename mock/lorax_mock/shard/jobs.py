"""The values of `scheduler`: jobs that the shard is given, steps it did, jobs it has done."""

from dataclasses import dataclass

__all__ = ["Done", "Failed", "Job", "Span", "Step"]


@dataclass(frozen=True, slots=True)
class Job:
    """One sequence: when it arrives, for which adapter, and how many tokens it takes."""

    id: int
    at: float
    adapter: str
    """Its identity; "" is the base model."""

    prompt: int
    budget: int
    """`max_new_tokens`: what is reserved."""

    tokens: int
    """What is generated, at most the budget and at least one."""

    schema: bytes = b""
    """Which JSON schema it obeys; empty for none."""

    fails: bool = False
    """Whether the shard raises at its prefill."""

    session: str = ""
    """The session that it is of; it may harm no other's jobs."""

    zero: bool = False
    """Whether its temperature is 0, which the shard divides by beside another temperature."""

    warm: bool = False
    """Whether it has such another temperature."""


@dataclass(frozen=True, slots=True)
class Failed:
    """A prefill that raised, and the jobs that it ended."""

    cause: int
    """The job for which the shard raised, or the first of several."""

    jobs: tuple[int, ...]
    """Of that prefill."""

    decoding: tuple[int, ...]
    """The others, which LoRAX's router does not survive."""


@dataclass(frozen=True, slots=True)
class Done:
    """A finished job, and the times at which its prefill began and its first and last token came."""

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


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that the shard did, or several decode steps of the same batch."""

    kind: str
    """As of a span; or `drop`, when waiting jobs were dropped and nothing else was to do."""

    milliseconds: float
    """Of each step."""

    jobs: tuple[int, ...] = ()
    """The jobs that got a token by each step."""

    steps: int = 0
    done: tuple[Done, ...] = ()
    dropped: tuple[int, ...] = ()
    """Jobs that ended unfinished because their clients had left."""

    concat: str | None = None
    """Why a prefill joined a running batch (router/src/infer.rs:1159): `backpressure` or `wait_exceeded`."""

    failed: tuple[Failed, ...] = ()
    """What ended because the prefill raised; the steps' jobs are then those of other sessions."""

    divided: tuple[int, ...] = ()
    """Jobs whose logits are divided by 0 from this step on."""
