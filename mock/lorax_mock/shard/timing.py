"""The times of a request, in virtual milliseconds."""

from dataclasses import dataclass

from lorax_mock.shard.jobs import Done

__all__ = ["Timing", "timing_of"]


@dataclass(frozen=True, slots=True)
class Timing:
    """Milliseconds, as the reply's headers tell them."""

    validation: float
    queue: float
    first_token: float
    inference: float

    @property
    def total(self) -> float:
        """From arrival to the last token."""
        return self.validation + self.queue + self.inference


def timing_of(done: Done) -> Timing:
    """The times of a job that the scheduler has done."""
    return Timing(
        0.0, done.started - done.job.at, done.first - done.started, done.finished - done.started
    )
