"""Workloads for the simulation."""

import pytest

from lorax_mock.scheduler import Job
from lorax_mock.settings import Settings
from lorax_mock.workload import WorkloadError, read_workload, simulate


def test_arrivals_are_read_repeated_and_ordered() -> None:
    """With defaults for what is not said."""
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
        ("[", "not YAML"),
        ("- 1", "arrival 1: a mapping is wanted, not 1"),
        ("- {at: 0}\n- {adaptor: a}", "arrival 2: unknown key 'adaptor'; did you mean 'adapter'?"),
        ("- {tokens: 0}", "arrival 1: 'tokens' is at least 1, not 0"),
        ("- {at: soon}", "arrival 1: 'at' is at least 0, not 'soon'"),
    ],
)
def test_a_wrong_workload_is_told_where(text: str, told: str) -> None:
    """Arrival, key, and the nearest valid one."""
    with pytest.raises(WorkloadError) as caught:
        read_workload(text)
    assert str(caught.value).startswith(told)


def test_all_arrivals_are_done() -> None:
    """In order of their numbers."""
    jobs = read_workload("- {count: 5, every: 1}\n- {adapter: acme/poet, at: 3}")
    shard, done = simulate(jobs, Settings())
    assert [one.job for one in done] == jobs
    assert shard.now == max(one.finished for one in done)
