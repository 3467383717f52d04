"""Workloads for the simulation."""

from dataclasses import replace

import pytest

from lorax_mock.settings import Adapter, Costs, Limits, Settings
from lorax_mock.shard.jobs import Done, Job
from lorax_mock.shard.scheduler import Shard
from lorax_mock.shard.workload import WorkloadError, read_workload, simulate


def test_arrivals_are_read_repeated_and_ordered() -> None:
    """Arrivals are read with defaults, repeated as they say, and ordered by time."""
    jobs = read_workload(
        "- {at: 7, adapter: a, prompt_tokens: 3, max_new_tokens: 9, tokens: 2}\n"
        "- {count: 2, every: 10}\n"
        "- {at: 1, max_new_tokens: 4}\n"
    )
    assert jobs == [
        Job(1, 0, "", 10, 20, 20),
        Job(2, 1, "", 10, 4, 4),
        Job(3, 7, "a", 3, 9, 2),
        Job(4, 10, "", 10, 20, 20),
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{}", "a workload is a list of arrivals"),
        ("[", "line 1: not YAML"),
        ("- 1", "arrival 1: a mapping is wanted, not 1"),
        ("- {at: 0}\n- {adaptor: a}", "arrival 2: unknown key 'adaptor'; did you mean 'adapter'?"),
        ("- {tokens: 0}", "arrival 1: 'tokens' is at least 1, not 0"),
        ("- {at: soon}", "arrival 1: 'at' is at least 0, not 'soon'"),
    ],
)
def test_a_wrong_workload_is_told_where(text: str, told: str) -> None:
    """A wrong workload is refused with the arrival, the key and the nearest valid one."""
    with pytest.raises(WorkloadError) as caught:
        read_workload(text)
    assert str(caught.value).startswith(told)


def test_all_arrivals_are_done() -> None:
    """All arrivals are done, in order of their numbers."""
    jobs = read_workload("- {count: 5, every: 1}\n- {adapter: acme/poet, at: 3}")
    shard, done = simulate(jobs, Settings())
    assert [one.job for one in done] == jobs
    assert shard.now == max(one.finished for one in done)


_COSTS = Costs(prefill_token=1, step=10, adapter_download=100, adapter_load=50)


def _schedule(text: str, limits: Limits | None = None, **shares: float) -> tuple[Shard, list[Done]]:
    adapters = tuple(Adapter(name, memory=share) for name, share in shares.items())
    settings = Settings(limits=limits or Limits(), costs=_COSTS, adapters=adapters)
    return simulate(read_workload(text), settings)


def _loading(shard: Shard) -> list[str]:
    return [f"{span.kind} {span.adapter}" for span in shard.spans if span.adapter]


def test_a_pending_adapter_blocks_those_behind_it() -> None:
    """A pending adapter that does not fit keeps a small one behind it waiting."""
    text = (
        "- {at: 0, adapter: a, tokens: 60}\n"
        "- {at: 1, adapter: b, tokens: 1}\n"
        "- {at: 2, adapter: c, tokens: 1}\n"
    )
    _, blocked = _schedule(text, a=0.7, b=0.7, c=0.1)
    assert blocked[2].started >= blocked[0].finished
    _, free = _schedule(text, a=0.7, b=0.2, c=0.1)
    assert free[2].started < free[0].finished


def test_the_oldest_activation_is_offloaded_not_the_least_used() -> None:
    """Each look offloads the adapter that was activated first for each one that is pending."""
    text = (
        "- {at: 0, adapter: c, tokens: 1}\n"
        "- {at: 200, adapter: a, tokens: 20}\n"
        "- {at: 201, adapter: b, tokens: 20}\n"
        "- {at: 900, adapter: a, tokens: 1}\n"
    )
    shard, _ = _schedule(f"{text}- {{at: 1000, adapter: c, tokens: 1}}\n")
    assert _loading(shard)[-2:] == ["offload a", "load c"]
    assert shard.active == ["b", "c"]


def test_the_base_model_takes_a_slot_and_gives_it_up() -> None:
    """The base model takes a slot and gives it up, at no cost."""
    text = "- {at: 0, tokens: 30}\n- {at: 1, adapter: a, tokens: 1}\n"
    _, crowded = _schedule(text, Limits(max_active_adapters=1))
    assert crowded[1].started >= crowded[0].finished
    shard, _ = _schedule("- {at: 0}\n- {at: 5000, adapter: a}\n")
    assert shard.active == ["a"]


def test_a_lone_request_for_a_new_adapter_waits_for_its_load_to_begin() -> None:
    """A lone request for a new adapter beside two running jobs waits twenty steps for its load to begin."""
    shard, done = _schedule(
        "- {at: 0, prompt_tokens: 1, tokens: 60, count: 2}\n- {at: 30, adapter: a, tokens: 1}\n"
    )
    load = next(span for span in shard.spans if span.kind == "load")
    # The download does not wait for anybody's looking: it starts on arrival.
    assert load.start == 2 + 19 * 10 + 100
    assert done[2].started == load.end + 10


_ONE_AT_A_TIME = "prompt_tokens: 1, max_new_tokens: 128"
_FULL = 144
"""Block 0 and eight more: one such request fills them."""


@pytest.mark.parametrize(("cycle", "first"), [(200.0, 2), (100_000.0, 1)])
def test_an_adapter_past_its_cycle_makes_way(cycle: float, first: int) -> None:
    """An adapter past its cycle time is offloaded to the back, although a request waits for it."""
    limits = Limits(max_active_adapters=1, max_batch_total_tokens=_FULL, adapter_cycle_ms=cycle)
    _, done = _schedule(
        f"- {{at: 0, adapter: a, {_ONE_AT_A_TIME}, tokens: 60, count: 2}}\n"
        f"- {{at: 1, adapter: b, {_ONE_AT_A_TIME}, tokens: 1}}\n",
        limits,
    )
    order = sorted(range(3), key=lambda place: done[place].started)
    assert order[0] == 0
    assert order[1] == first


def test_an_idle_adapter_past_its_cycle_is_swapped_for_nothing() -> None:
    """Beside an idle adapter that makes room, the next one past its cycle is sent away and comes again."""
    shard, _ = _schedule(
        "- {at: 0, adapter: c, tokens: 1}\n"
        "- {at: 200, adapter: a, tokens: 20}\n"
        "- {at: 201, adapter: b, tokens: 20}\n"
        "- {at: 9000, adapter: c, tokens: 1}\n"
    )
    assert _loading(shard)[-4:] == ["offload a", "offload b", "load c", "load b"]
    assert shard.active == ["c", "b"]


@pytest.mark.parametrize(("cycle", "first"), [(700.0, 2), (100_000.0, 1)])
def test_young_adapters_go_before_older_requests(cycle: float, first: int) -> None:
    """An adapter within its cycle goes before an older request, and else the oldest request is next."""
    limits = Limits(max_batch_total_tokens=_FULL, adapter_cycle_ms=cycle)
    _, done = _schedule(
        f"- {{at: 0, {_ONE_AT_A_TIME}, tokens: 60}}\n"
        f"- {{at: 10, {_ONE_AT_A_TIME}, tokens: 1}}\n"
        f"- {{at: 20, adapter: a, {_ONE_AT_A_TIME}, tokens: 1}}\n",
        limits,
    )
    order = sorted(range(3), key=lambda place: done[place].started)
    assert order[1] == first


def test_requests_of_several_adapters_are_served_in_their_order() -> None:
    """Of several adapters' queues the one with the oldest front is next."""
    limits = Limits(max_batch_total_tokens=_FULL)
    rows = ["- {at: 0, adapter: a}", "- {at: 1, adapter: b}"]
    rows += [
        f"- {{at: {1000 + place}, adapter: {name}, {_ONE_AT_A_TIME}, tokens: 1}}"
        for place, name in enumerate("abbaab")
    ]
    _, done = _schedule("\n".join(rows), limits)
    served = sorted(done[2:], key=lambda one: one.started)
    assert [one.job.adapter for one in served] == list("abbaab")


@pytest.mark.parametrize("eager", [True, False])
def test_a_prompt_budget_splits_what_comes_together(*, eager: bool) -> None:
    """A prompt budget makes three prefills of what comes together, one after the other if they are eager."""
    limits = Limits(max_batch_prefill_tokens=100, eager_prefill=eager)
    shard, _ = _schedule(
        "- {at: 0, prompt_tokens: 1, tokens: 30}\n"
        "- {at: 15, prompt_tokens: 60, tokens: 3, count: 3}\n",
        limits,
    )
    kinds = [span.kind for span in shard.spans]
    between = [] if eager else ["decode"]
    prefills = [*("prefill", *between), *("prefill", *between), "prefill", "decode"]
    assert kinds[: 2 + len(prefills)] == ["prefill", "decode", *prefills]


def test_a_preloaded_adapter_costs_no_time() -> None:
    """A preloaded adapter goes through all states and costs no time."""
    settings = Settings(costs=_COSTS, preloaded_adapter_ids=("acme/pirate",))
    jobs = read_workload("- {adapter: acme/pirate, prompt_tokens: 5, tokens: 1}\n")
    shard, done = simulate(jobs, settings)
    assert _loading(shard) == []
    assert done[0].finished == 5


def test_a_schema_is_compiled_once_while_all_wait() -> None:
    """Each new schema of a prefill is compiled in turn, and the cache drops the least recently used."""
    settings = Settings(costs=replace(_COSTS, schema_compile=500))

    def job(number: int, at: float, schema: bytes) -> Job:
        return Job(number, at, "", 1, 1, 1, schema)

    _, done = simulate([job(1, 0, b"a"), job(2, 0, b"b"), job(3, 5000, b"a")], settings)
    assert [one.first - one.started for one in done] == [1002, 1002, 1]
    crowd = [job(number, 5000.0 * number, bytes([number])) for number in range(1, 33)]
    again = [job(33, 200_000, b"\x01"), job(34, 205_000, b"new"), job(35, 210_000, b"\x01")]
    _, done = simulate([*crowd, *again, job(36, 215_000, b"\x02")], settings)
    assert [one.first - one.started for one in done[32:]] == [1, 501, 1, 501]


def test_a_schema_stalls_those_that_run() -> None:
    """A running job's next token waits for the compilation in a newcomer's prefill."""
    settings = Settings(costs=replace(_COSTS, schema_compile=500))
    jobs = [Job(1, 0, "", 1, 9, 9), Job(2, 5, "", 1, 1, 1, b"a")]
    _, done = simulate(jobs, settings)
    assert done[0].finished == 1 + 8 * 10 + 501
