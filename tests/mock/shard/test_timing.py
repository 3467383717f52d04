"""Times of a job, as headers tell them."""

from lorax_mock.shard.jobs import Done, Job
from lorax_mock.shard.timing import timing_of


def test_queueing_is_until_the_prefill_and_includes_loading() -> None:
    """Queue time lasts until the prefill, loading included, and inference is counted from there."""
    timing = timing_of(Done(Job(1, 5, "a", 10, 5, 3), 105, 125, 165))
    assert (timing.queue, timing.first_token, timing.inference, timing.total) == (100, 20, 60, 160)
