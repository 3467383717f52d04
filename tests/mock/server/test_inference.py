"""What a request gets: its sequences and their times."""

from lorax_mock.server.inference import Run
from lorax_mock.server.ticket import Ticket, Work
from lorax_mock.shard.jobs import Done, Job
from lorax_mock.shard.timing import Timing


def test_a_run_tells_its_first_sequences_times() -> None:
    """They are those of its ticket, once that is done."""
    ticket = Ticket(Work("", 1, 1, 1))
    assert not Run([], [ticket]).entered
    ticket.end(Done(Job(1, 2.0, "", 1, 1, 1), 3.0, 5.0, 8.0))
    assert Run([], [ticket]).timing == Timing(0.0, 1.0, 2.0, 5.0)
