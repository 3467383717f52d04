"""Workloads for `lorax-mock simulate`: timed arrivals, read from YAML or JSON.

    - {at: 0, adapter: acme/pirate, prompt_tokens: 100, tokens: 20}
    - {at: 5, prompt_tokens: 30, max_new_tokens: 50, tokens: 50, count: 3, every: 10}

`at`, `every` in milliseconds; no adapter is the base model; `tokens` is what is generated (default: all of
`max_new_tokens`), `max_new_tokens` what is reserved (default: `tokens`); `count` repeats an arrival.
"""

from typing import Any, Final

from lorax_mock.nearest import nearest_hint
from lorax_mock.serde.documents import DocumentError, read_document
from lorax_mock.settings import Settings
from lorax_mock.shard.jobs import Done, Job
from lorax_mock.shard.scheduler import Shard

__all__ = ["WorkloadError", "read_workload", "simulate"]

_KEYS: Final = ("at", "adapter", "prompt_tokens", "max_new_tokens", "tokens", "count", "every")


class WorkloadError(Exception):
    """The workload is wrong; the text says which arrival and what was meant."""


def read_workload(text: str) -> list[Job]:
    """Arrivals in order of time; raises WorkloadError."""
    try:
        arrivals = read_document(text)
    except DocumentError as error:
        raise WorkloadError(str(error)) from None
    if not isinstance(arrivals, list) or not arrivals:
        raise WorkloadError("a workload is a list of arrivals")
    rows: list[tuple[float, str, int, int, int]] = []
    for number, arrival in enumerate(arrivals, 1):
        rows += _rows(arrival, number)
    rows.sort(key=_time)
    return [Job(place, *row) for place, row in enumerate(rows, 1)]


def _time(row: tuple[float, str, int, int, int]) -> float:
    return row[0]


def _rows(arrival: Any, number: int) -> list[tuple[float, str, int, int, int]]:
    if not isinstance(arrival, dict):
        raise WorkloadError(f"arrival {number}: a mapping is wanted, not {arrival!r}")
    for key in arrival:
        if key not in _KEYS:
            hint = nearest_hint(str(key), _KEYS)
            raise WorkloadError(f"arrival {number}: unknown key {key!r}; {hint}")

    def figure(key: str, otherwise: float, least: float) -> float:
        value = arrival.get(key, otherwise)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value < least:
            raise WorkloadError(f"arrival {number}: {key!r} is at least {least:g}, not {value!r}")
        return value

    tokens = int(figure("tokens", figure("max_new_tokens", 20, 1), 1))
    budget = int(figure("max_new_tokens", tokens, 1))
    start, every = figure("at", 0, 0), figure("every", 0, 0)
    adapter = str(arrival.get("adapter") or "")
    prompt = int(figure("prompt_tokens", 10, 1))
    return [
        (start + every * repeat, adapter, prompt, max(budget, tokens), tokens)
        for repeat in range(int(figure("count", 1, 1)))
    ]


def simulate(jobs: list[Job], settings: Settings) -> tuple[Shard, list[Done]]:
    """The shard after all of it, and the jobs in order of arrival."""
    shard = Shard(
        settings.limits,
        settings.costs,
        memory=settings.memory,
        loads=settings.loads,
        resident=settings.preloaded_adapter_ids,
    )
    done: list[Done] = []
    for job in jobs:
        done += shard.feed(job)
    done += shard.finish()
    return shard, sorted(done, key=_number)


def _number(one: Done) -> int:
    return one.job.id
