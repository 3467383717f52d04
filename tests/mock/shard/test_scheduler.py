"""The shard: properties over workloads, and playbooks that read as schedules."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorax_mock.settings import Costs, Limits
from lorax_mock.shard.jobs import Done, Failed, Job, Span, Step
from lorax_mock.shard.scheduler import Shard

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


@pytest.mark.property
@given(_jobs)
def test_every_job_is_done_once_and_in_its_order(jobs: list[Job]) -> None:
    """Each job is done once, with arrival, start, first token and end in that order."""
    _, done = _run(jobs)
    assert [one.job for one in done] == jobs
    for one in done:
        assert one.job.at <= one.started <= one.first <= one.finished


@pytest.mark.property
@given(_jobs)
def test_the_shard_does_one_thing_at_a_time(jobs: list[Job]) -> None:
    """The shard's operations never overlap."""
    shard, _ = _run(jobs)
    for before, after in pairwise(shard.spans):
        assert before.end <= after.start


@pytest.mark.property
@given(_jobs)
def test_every_token_comes_from_a_step(jobs: list[Job]) -> None:
    """Each job gets one token by its prefill and one by each decode step that it ran in."""
    shard, _ = _run(jobs)
    for job in jobs:
        assert sum(span.steps for span in shard.spans if job.id in span.jobs) == job.tokens


@pytest.mark.property
@given(_jobs)
def test_no_batch_is_over_its_limits(jobs: list[Job]) -> None:
    """No batch is over its limits of reserved blocks and of prompt tokens in a prefill."""
    limits = Limits(max_batch_total_tokens=160, max_batch_prefill_tokens=64)
    shard, _ = _run(jobs, limits)
    by_id = {job.id: job for job in jobs}
    for span in shard.spans:
        batch = [by_id[number] for number in span.jobs]
        if span.kind == "prefill":
            assert sum(job.prompt for job in batch) <= 64
        assert sum(math.ceil((job.prompt + job.budget - 1) / 16) for job in batch) <= 10


@pytest.mark.property
@given(_jobs)
def test_equal_workloads_have_equal_schedules(jobs: list[Job]) -> None:
    """Equal workloads have equal schedules."""
    first, again = _run(jobs), _run(jobs)
    assert (list(first[0].spans), first[1]) == (list(again[0].spans), again[1])


@pytest.mark.property
@given(_jobs, st.integers(1, 7))
def test_many_steps_at_once_are_many_steps(jobs: list[Job], most: int) -> None:
    """Several decode steps at once give the schedule of single steps."""
    at_once = Shard(Limits(), _COSTS)
    for job in jobs:
        at_once.enter(Job(job.id, 0.0, job.adapter, job.prompt, job.budget, job.tokens))
    done = at_once.finish()
    slowly = Shard(Limits(), _COSTS)
    for job in jobs:
        slowly.enter(Job(job.id, 0.0, job.adapter, job.prompt, job.budget, job.tokens))
    given_tokens = dict.fromkeys([job.id for job in jobs], 0)
    ended: list[Done] = []
    while (step := slowly.step(most)) is not None:
        assert step.kind != "decode" or step.steps <= most
        for number in step.jobs:
            given_tokens[number] += step.steps
        ended += step.done
    assert ended == done
    assert list(slowly.spans) == list(at_once.spans)
    assert given_tokens == {job.id: job.tokens for job in jobs}


@pytest.mark.property
@given(_jobs, st.sets(st.integers(0, 24)), st.integers(0, 40))
def test_who_leaves_is_dropped_once_and_holds_up_nobody(
    jobs: list[Job], leaving: set[int], after: int
) -> None:
    """A job whose client leaves is dropped once, waiting or running, and others get all their tokens."""
    shard = Shard(Limits(), _COSTS)
    for job in jobs:
        shard.enter(Job(job.id, 0.0, job.adapter, job.prompt, job.budget, job.tokens))
    done: set[int] = set()
    dropped: list[int] = []
    steps = 0
    while (step := shard.step()) is not None:
        done |= {one.job.id for one in step.done}
        dropped += step.dropped
        steps += 1
        if steps == after:
            for number in leaving & {job.id for job in jobs} - done:
                shard.leave(number)
    assert shard.idle
    assert len(dropped) == len(set(dropped))
    assert done.isdisjoint(dropped)
    assert done | set(dropped) == {job.id for job in jobs}
    assert set(dropped) <= leaving


def test_a_lone_request_is_prefill_and_steps() -> None:
    """A lone request to the base model is one prefill and its decode steps."""
    shard, done = _run([Job(1, 5, "", 20, 10, 4)])
    assert done == [Done(Job(1, 5, "", 20, 10, 4), 5, 25, 55)]
    assert _kinds(shard) == [("prefill", 5, 25), ("decode", 25, 55)]


def test_an_adapter_is_downloaded_once_and_loaded_when_switched_to() -> None:
    """Requests to A, B and A load three times and download twice."""
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
    assert _kinds(shard)[:5] == [
        ("prefill", 0, 10),
        ("decode", 10, 30),
        ("download a", 30, 130),
        ("decode", 130, 140),
        ("load a", 140, 190),
    ]
    assert done[0].finished == 10 + 19 * 10 + 150 + 10


def test_newcomers_wait_for_company_or_for_twenty_steps() -> None:
    """Two running jobs let two newcomers in, and one alone after twenty steps."""
    pair = [Job(1, 0, "", 1, 40, 40), Job(2, 0, "", 1, 40, 40)]
    _, alone = _run([*pair, Job(3, 30, "", 1, 1, 1)])
    _, together = _run([*pair, Job(3, 30, "", 1, 1, 1), Job(4, 31, "", 1, 1, 1)])
    assert alone[2].started == 2 + 19 * 10
    assert together[2].started == together[3].started == 32


def test_one_running_lets_one_in_at_once() -> None:
    """One running job lets one newcomer in at once."""
    _, done = _run([Job(1, 0, "", 1, 40, 40), Job(2, 15, "", 1, 1, 1)])
    assert done[1].started == 21


def test_the_first_that_does_not_fit_ends_the_admission() -> None:
    """A job that does not fit is not skipped for a smaller one behind it."""
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
    """Of two big adapters the second waits until the first is idle."""
    jobs = [Job(1, 0, "a", 1, 30, 30), Job(2, 1, "b", 1, 1, 1)]
    _, done = _run(jobs, a=0.7, b=0.7)
    assert done[1].started >= done[0].finished
    _, both = _run(jobs, a=0.4, b=0.4)
    assert both[1].started < both[0].finished


def test_only_so_many_adapters_are_active() -> None:
    """An adapter beyond the limit of active ones waits for a slot."""
    jobs = [Job(1, 0, "a", 1, 30, 30), Job(2, 1, "b", 1, 1, 1)]
    _, done = _run(jobs, Limits(max_active_adapters=1))
    assert done[1].started >= done[0].finished


def test_what_is_enough_is_decided_once_a_round() -> None:
    """A newcomer that comes during a prefill needs no more company than the one that is prefilled."""
    jobs = [Job(1, 0, "", 1, 40, 40), Job(2, 15, "", 50, 40, 40), Job(3, 40, "", 1, 1, 1)]
    shard, done = _run(jobs, Limits(eager_prefill=True))
    assert _kinds(shard)[:4] == [
        ("prefill", 0, 1),
        ("decode", 1, 21),
        ("prefill", 21, 71),
        ("prefill", 71, 72),
    ]
    assert done[2].started == 71


@pytest.mark.parametrize(
    ("eager", "kinds"),
    [
        (True, ["prefill", "prefill", "prefill", "decode"]),
        (False, ["prefill", "decode", "prefill", "decode"]),
    ],
)
def test_only_eager_rounds_admit_as_long_as_enough_fit(*, eager: bool, kinds: list[str]) -> None:
    """Eager rounds prefill as long as enough fit, and others leave the rest waiting for 20 steps."""
    limits = Limits(max_batch_prefill_tokens=100, eager_prefill=eager)
    jobs = [Job(1, 0, "", 1, 90, 90), *[Job(number, 5, "", 60, 50, 50) for number in (2, 3, 4)]]
    shard, _ = _run(jobs, limits)
    spans = _kinds(shard)
    assert [kind for kind, _, _ in spans[: 2 + len(kinds)]] == ["prefill", "decode", *kinds]
    if not eager:
        _, start, end = spans[3]
        assert end - start == (limits.max_waiting_tokens - 1) * _COSTS.step


def test_an_adapter_loaded_in_a_round_is_served_in_the_next() -> None:
    """An adapter that is loaded during a round is served in the next."""
    shard, _ = _run([Job(1, 0, "", 10, 50, 20), Job(2, 25, "a", 10, 5, 1)])
    assert _kinds(shard)[1:7] == [
        ("decode", 10, 30),
        ("download a", 30, 130),
        ("decode", 130, 140),
        ("load a", 140, 190),
        ("decode", 190, 200),
        ("prefill", 200, 210),
    ]


def test_a_new_adapter_sends_an_idle_one_away_at_each_look() -> None:
    """A new adapter sends one idle adapter away at its request and one at its download."""
    together = [Job(number, 0, name, 1, 20, 20) for number, name in enumerate("abc")]
    shard, _ = _run([*together, Job(9, 1500, "d", 1, 1, 1)])
    assert [name for name, start, _ in _kinds(shard) if start >= 1500] == [
        "download d", "offload a", "offload b", "load d", "prefill",
    ]  # fmt: skip
    assert shard.active == ["c", "d"]


def test_who_comes_after_a_rounds_look_waits_for_the_next() -> None:
    """A request that comes after a round's look waits for the next, also while the loader works."""
    shard = Shard(Limits(), _COSTS)
    shard.enter(Job(1, 0, "", 1, 40, 40))
    shard.step()
    shard.enter(Job(2, 0, "a", 1, 1, 1))
    steps = [shard.step()]
    shard.enter(Job(3, 0, "", 1, 1, 1))
    steps += [shard.step(), shard.step()]
    assert [step.kind for step in steps if step] == ["download", "decode", "prefill"]


def test_a_running_batch_looks_before_the_loader_works() -> None:
    """A running batch decodes between the loader's two errands, and each look sends an idle adapter away."""
    jobs = [
        *[Job(number, 0, name, 1, 3, 3) for number, name in enumerate("ab")],
        Job(5, 0, "c", 1, 90, 90),
        Job(9, 800, "d", 1, 1, 1),
    ]
    shard, _ = _run(jobs)
    after = [name for name, start, _ in _kinds(shard) if start >= 800]
    assert after[:7] == [
        "download d", "offload a", "decode", "offload b", "load d", "decode", "prefill",
    ]  # fmt: skip


def test_the_first_block_is_for_health_checks() -> None:
    """Of ten blocks nine are there for requests."""
    limits = Limits(max_batch_total_tokens=160)
    jobs = [Job(1, 0, "", 1, 64, 2), Job(2, 0, "", 1, 80, 2), Job(3, 0, "", 1, 1, 1)]
    _, done = _run(jobs, limits)
    assert done[0].started == done[1].started == 0
    assert done[2].started == done[0].finished


def test_gauges_tell_the_last_look() -> None:
    """Gauges have the last look's batch and blocks, nothing before the first, and zero at the end."""
    shard = Shard(Limits(), _COSTS)
    assert (shard.queue_length, shard.batch_size, shard.batch_max_tokens) == (None, None, None)
    for job in (Job(1, 0, "", 10, 24, 3), Job(2, 0, "", 1, 1, 2)):
        shard.enter(job)
    shard.step()
    assert shard.queue_length == 2
    shard.step()
    assert (shard.queue_length, shard.batch_size, shard.batch_max_tokens) == (0, 2, 64)
    shard.step()
    assert (shard.batch_size, shard.batch_max_tokens) == (0, 0)


def test_a_prefill_says_why_it_joined_a_batch() -> None:
    """A prefill tells whether enough had come or they had waited long, and the first tells neither."""
    shard = Shard(Limits(), _COSTS)
    shard.enter(Job(1, 0, "", 1, 60, 60))
    first = shard.step()
    shard.enter(Job(2, 0, "", 1, 60, 60))
    second = shard.step()
    shard.step()
    shard.enter(Job(3, 0, "", 1, 1, 1))
    steps = [shard.step() for _ in range(19)]
    assert (first and first.concat, second and second.concat) == (None, "backpressure")
    assert [step.kind for step in steps if step] == ["decode"] * 18 + ["prefill"]
    assert steps[-1] is not None
    assert steps[-1].concat == "wait_exceeded"


def test_a_prefill_that_raises_ends_its_jobs_and_those_that_decode() -> None:
    """A prefill that raises ends its session's jobs, and other sessions' go on."""
    shard = Shard(Limits(), _COSTS)
    for number, session in ((1, "x"), (2, "y")):
        shard.enter(Job(number, 0, "", 1, 60, 60, session=session))
    shard.step()
    shard.leave(1)
    for number, session, fails in (
        (3, "y", False),
        (4, "x", False),
        (5, "x", True),
        (6, "x", True),
    ):
        shard.enter(Job(number, 0, "", 1, 9, 9, fails=fails, session=session))
    step = shard.step()
    assert step is not None
    assert (step.kind, step.jobs, step.concat) == ("prefill", (3,), "backpressure")
    assert step.failed == (Failed(5, (4, 5, 6), (1,)),)
    after = shard.step(9)
    assert after is not None
    assert (after.kind, after.jobs, after.dropped) == ("decode", (2, 3), ())


def test_a_temperature_of_0_beside_another_is_divided_by_to_the_budgets_end() -> None:
    """A temperature of 0 is divided by from the first pass shared with another one, and alone never."""
    shard = Shard(Limits(), _COSTS)
    shard.enter(Job(1, 0, "", 1, 9, 2, zero=True))
    shard.enter(Job(2, 0, "", 1, 9, 3, warm=True))
    shard.enter(Job(3, 0, "", 1, 9, 3, zero=True, session="other"))
    first = shard.step()
    assert first is not None
    assert (first.divided, first.done) == ((1,), ())
    left = [shard.step(9), shard.step(9)]
    assert [(one.jobs, one.steps, one.divided) for one in left if one] == [
        ((1, 2, 3), 2, ()),
        ((1,), 6, ()),
    ]

    shard = Shard(Limits(), _COSTS)
    shard.enter(Job(1, 0, "", 1, 30, 25, zero=True))
    shard.step()
    shard.step(4)
    shard.enter(Job(2, 0, "", 1, 2, 2, warm=True))
    steps = [shard.step(9) for _ in range(4)]
    assert [(one.kind, one.jobs, one.steps, one.divided) for one in steps if one] == [
        ("prefill", (2,), 1, ()),
        ("decode", (1, 2), 1, (1,)),
        ("decode", (1,), 9, ()),
        ("decode", (1,), 9, ()),
    ]
    last = shard.step(9)
    assert last is not None
    assert (last.steps, [one.job.id for one in last.done]) == (6, [1])


def test_temperatures_are_compared_once_all_of_a_round_have_joined() -> None:
    """Temperatures are compared when all prefills of a round have joined."""
    shard = Shard(Limits(max_batch_prefill_tokens=2, eager_prefill=True), _COSTS)
    shard.enter(Job(1, 0, "", 1, 9, 9, zero=True))
    shard.step()
    for number, warm in ((2, True), (3, False), (4, False)):
        shard.enter(Job(number, 0, "", 2, 9, 9, warm=warm))
    steps = [shard.step() for _ in range(3)]
    assert [(one.kind, one.jobs, one.divided) for one in steps if one] == [
        ("prefill", (2,), ()),
        ("prefill", (3,), ()),
        ("prefill", (4,), ()),
    ]
    after = shard.step()
    assert after is not None
    assert (after.kind, after.divided) == ("decode", (1,))


def test_a_prefill_that_raises_alone_leaves_an_idle_shard() -> None:
    """After a lone prefill that raised the shard is idle, and the next job is a batch of its own."""
    shard = Shard(Limits(), _COSTS)
    shard.enter(Job(1, 0, "", 2, 9, 1, fails=True))
    step = shard.step()
    assert step == Step("prefill", 2, (), 1, failed=(Failed(1, (1,), ()),))
    assert shard.step() is None
    assert (shard.idle, shard.batch_size) == (True, 0)
    shard.enter(Job(2, shard.now, "", 2, 1, 1))
    after = shard.step()
    assert after is not None
    assert (after.jobs, after.concat, len(after.done)) == ((2,), None, 1)


def test_a_running_job_that_left_ends_with_its_next_token() -> None:
    """A running job whose client left ends with its next token, and the others go on."""
    shard = Shard(Limits(), _COSTS)
    shard.enter(Job(1, 0, "", 1, 40, 40))
    shard.enter(Job(2, 0, "", 1, 40, 40))
    shard.step()
    shard.leave(1)
    assert shard.step(9) == Step("decode", 10, (1, 2), 1, dropped=(1,))
    assert shard.step(9) == Step("decode", 10, (2,), 9)


def test_a_job_that_left_alone_is_dropped_without_a_batch() -> None:
    """A waiting job whose client left is dropped when it is reached, without a batch."""
    shard = Shard(Limits(), _COSTS)
    shard.enter(Job(1, 0, "", 1, 5, 5))
    shard.leave(1)
    assert shard.step() == Step("drop", 0.0, dropped=(1,))
    assert shard.step() is None
    assert shard.idle


def test_a_failed_download_takes_its_time_and_is_forgotten() -> None:
    """A failed download delays everybody, fails nobody else, and is forgotten."""
    shard = Shard(Limits(), _COSTS)
    shard.fail("x")
    assert list(shard.spans) == [Span("download", 0, 100, "x")]
    assert shard.now == 100
    shard.fail("y", loading=True)
    assert list(shard.spans)[1:] == [
        Span("download", 100, 200, "y"),
        Span("load", 200, 250, "y"),
    ]
    assert shard.active == []


def test_an_adapter_that_was_sent_away_fails_by_a_load_alone() -> None:
    """A failed reload has no download, and takes no time for the base model."""
    shard, _ = _run([Job(1, 0, "", 1, 1, 1), Job(2, 9, "x", 1, 1, 1), Job(3, 500, "y", 1, 1, 1)])
    assert [shard.sent_away(name) for name in ("", "x", "y", "z")] == [True, True, False, False]
    before = shard.now
    for name in ("x", ""):
        shard.fail(name, loading=True)
        assert not shard.sent_away(name)
    assert [span for span in shard.spans if span.start >= before] == [
        Span("load", before, before + 50, "x")
    ]
