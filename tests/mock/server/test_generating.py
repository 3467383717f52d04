"""What a mock has, and what a request gets of it."""

import pytest

from lorax_mock.errors import LoraxRefusal
from lorax_mock.prompt.tokenizer import builtin
from lorax_mock.server.generating import Generating, Ran
from lorax_mock.server.ticket import Ticket, Work
from lorax_mock.settings import Limits, Settings
from lorax_mock.shard.jobs import Done, Job
from lorax_mock.shard.timing import Timing


def _generating(permits: int = 1) -> Generating:
    return Generating(Settings(limits=Limits(max_concurrent_requests=permits)), builtin())


def test_permits_are_taken_at_once_and_given_back() -> None:
    """As many as are asked for, or none; whatever happens while they are held."""
    mock = _generating(3)
    with mock.permits(2):
        with pytest.raises(LoraxRefusal) as caught, mock.permits(2):
            pass
        assert caught.value.status == 429
        with mock.permits(1):
            pass
    with pytest.raises(ZeroDivisionError), mock.permits(3):
        raise ZeroDivisionError
    with mock.permits(3):
        pass


def test_a_refusal_is_counted_when_it_is_spoken() -> None:
    """Under LoRAX's word for it; not when it has none."""
    mock = _generating()
    assert mock.spoken(LoraxRefusal(429, "overloaded", "full", "overloaded")) == (
        429,
        b'{"error":"full","error_type":"overloaded"}',
    )
    mock.spoken(LoraxRefusal(400, "mock_fault", "none such", ""))
    text = mock.metrics.as_text().decode()
    assert text == (
        '# TYPE lorax_request_failure counter\nlorax_request_failure{err="overloaded"} 1\n\n'
    )


def test_what_ran_tells_its_first_sequences_times() -> None:
    """As scripted, or as the shard did it."""
    scripted = Timing(0.0, 0.0, 5.0, 9.0)
    assert Ran([], [], [scripted]).timing is scripted
    ticket = Ticket(Work("", 1, 1, 1))
    assert not Ran([], [ticket], []).entered
    ticket.end(Done(Job(1, 2.0, "", 1, 1, 1), 3.0, 5.0, 8.0))
    assert Ran([], [ticket], []).timing == Timing(0.0, 1.0, 2.0, 5.0)
