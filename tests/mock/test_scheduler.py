"""The shard: laws over workloads, and playbooks that read as schedules."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorax_mock.scheduler import Done, Job, Shard, Span
from lorax_mock.settings import Costs, Limits

_COSTS = Costs(prefill_token=1, step=10, adapter_download=100, adapter_load=50)


def _run(
    jobs: list[Job], limits: Limits | None = None, **memory: float
) -> tuple[Shard, list[Done]]:
    shard = Shard(limits or Limits(), _COSTS, memory=memory)
    done: list[Done] = []
    for job in jobs:
        done += shard.feed(job)
    done += shard.finish()
    return shard, sorted(done, key=lambda one: one.job.id)


def _kinds(shard: Shard) -> list[tuple[str, float, float]]:
    return [
        (f"{span.kind} {span.adapter or ''}".strip(), span.start, span.end) for span in shard.spans
    ]


_jobs = st.lists(
    st.tuples(
        st.integers(0, 400),
        st.sampled_from(["", "a", "b", "c"]),
        st.integers(1, 60),
        st.integers(1, 30),
        st.integers(0, 10),
    ),
    max_size=25,
).map(
    lambda rows: [
        Job(place, float(at), adapter, prompt, tokens + spare, tokens)
        for place, (at, adapter, prompt, tokens, spare) in enumerate(sorted(rows))
    ]
)


@pytest.mark.law
@given(_jobs)
def test_every_job_is_done_once_and_in_its_order(jobs: list[Job]) -> None:
    """Arrival, start, first token, end."""
    _, done = _run(jobs)
    assert [one.job for one in done] == jobs
    for one in done:
        assert one.job.at <= one.started <= one.first <= one.finished


@pytest.mark.law
@given(_jobs)
def test_the_shard_does_one_thing_at_a_time(jobs: list[Job]) -> None:
    """Operations never overlap."""
    shard, _ = _run(jobs)
    for before, after in pairwise(shard.spans):
        assert before.end <= after.start


@pytest.mark.law
@given(_jobs)
def test_every_token_comes_from_a_step(jobs: list[Job]) -> None:
    """One by the prefill, one by each decode step a job ran in."""
    shard, _ = _run(jobs)
    for job in jobs:
        assert sum(span.steps for span in shard.spans if job.id in span.jobs) == job.tokens


@pytest.mark.law
@given(_jobs)
def test_no_batch_is_over_its_limits(jobs: list[Job]) -> None:
    """Neither in reserved blocks nor in prompt tokens of one prefill."""
    limits = Limits(max_batch_total_tokens=160, max_batch_prefill_tokens=64)
    shard, _ = _run(jobs, limits)
    by_id = {job.id: job for job in jobs}
    for span in shard.spans:
        batch = [by_id[number] for number in span.jobs]
        if span.kind == "prefill":
            assert sum(job.prompt for job in batch) <= 64
        assert sum(math.ceil((job.prompt + job.budget - 1) / 16) for job in batch) <= 10


@pytest.mark.law
@given(_jobs)
def test_equal_workloads_have_equal_schedules(jobs: list[Job]) -> None:
    """The clock is a number."""
    first, again = _run(jobs), _run(jobs)
    assert (list(first[0].spans), first[1]) == (list(again[0].spans), again[1])


def test_a_lone_request_is_prefill_and_steps() -> None:
    """The base model needs no loading."""
    shard, done = _run([Job(1, 5, "", 20, 10, 4)])
    assert done == [Done(Job(1, 5, "", 20, 10, 4), 5, 25, 55)]
    assert _kinds(shard) == [("prefill", 5, 25), ("decode", 25, 55)]


def test_an_adapter_is_downloaded_once_and_loaded_when_switched_to() -> None:
    """Idle ones are offloaded although there is room: A, B, A loads three times."""
    jobs = [Job(number, 1000.0 * number, name, 1, 1, 1) for number, name in enumerate("aba")]
    shard, _ = _run(jobs)
    loads = [name for name, _, _ in _kinds(shard) if not name.startswith("prefill")]
    assert loads == [
        "download a", "load a",
        "download b", "offload a", "load b",
        "offload b", "load a",
    ]  # fmt: skip
    assert shard.active == ["a"]


def test_a_load_stalls_everything_that_decodes() -> None:
    """A running stream waits for a newcomer's download and load."""
    shard, done = _run([Job(1, 0, "", 10, 50, 20), Job(2, 25, "a", 10, 5, 1)])
    assert _kinds(shard)[:4] == [
        ("prefill", 0, 10),
        ("decode", 10, 30),
        ("download a", 30, 130),
        ("load a", 130, 180),
    ]
    assert done[0].finished == 10 + 19 * 10 + 150 + 10


def test_newcomers_wait_for_company_or_for_twenty_steps() -> None:
    """Two running want two more; one alone is let in when the count is full."""
    pair = [Job(1, 0, "", 1, 40, 40), Job(2, 0, "", 1, 40, 40)]
    _, alone = _run([*pair, Job(3, 30, "", 1, 1, 1)])
    _, together = _run([*pair, Job(3, 30, "", 1, 1, 1), Job(4, 31, "", 1, 1, 1)])
    assert alone[2].started == 2 + 19 * 10
    assert together[2].started == together[3].started == 32


def test_one_running_lets_one_in_at_once() -> None:
    """floor(1 x 1.2) is one."""
    _, done = _run([Job(1, 0, "", 1, 40, 40), Job(2, 15, "", 1, 1, 1)])
    assert done[1].started == 21


def test_the_first_that_does_not_fit_ends_the_admission() -> None:
    """It is not skipped for a smaller one behind it."""
    limits = Limits(max_batch_total_tokens=160)
    jobs = [
        Job(1, 0, "", 1, 80, 80),
        Job(2, 0, "", 1, 112, 2),
        Job(3, 0, "", 1, 2, 2),
    ]
    _, done = _run(jobs, limits)
    assert done[1].started == done[0].finished
    assert done[2].started == done[0].finished


def test_memory_is_shared_and_given_back() -> None:
    """Two big adapters take turns; the second waits until the first is idle."""
    jobs = [Job(1, 0, "a", 1, 30, 30), Job(2, 1, "b", 1, 1, 1)]
    _, done = _run(jobs, a=0.7, b=0.7)
    assert done[1].started >= done[0].finished
    _, both = _run(jobs, a=0.4, b=0.4)
    assert both[1].started < both[0].finished


def test_only_so_many_adapters_are_active() -> None:
    """The next one waits for a slot."""
    jobs = [Job(1, 0, "a", 1, 30, 30), Job(2, 1, "b", 1, 1, 1)]
    _, done = _run(jobs, Limits(max_active_adapters=1))
    assert done[1].started >= done[0].finished


def test_a_failed_download_takes_its_time_and_is_forgotten() -> None:
    """Everybody waits for it, nobody is failed by it."""
    shard = Shard(Limits(), _COSTS)
    shard.fail("x")
    assert list(shard.spans) == [Span("download", 0, 100, "x")]
    assert shard.now == 100
    assert shard.active == []
