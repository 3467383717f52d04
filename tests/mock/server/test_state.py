"""What a mock has between its requests."""

import pytest

from lorax_mock.errors import LoraxRefusal
from lorax_mock.prompt.tokenizer import builtin
from lorax_mock.server.state import Occurrences, Permits, State
from lorax_mock.settings import Settings


def test_permits_are_taken_at_once_and_given_back() -> None:
    """A request gets as many permits as it needs or none, and gives them back however it ends."""
    permits = Permits(3)
    with permits.hold(2):
        with pytest.raises(LoraxRefusal) as caught, permits.hold(2):
            pass
        assert caught.value.status == 429
        with permits.hold(1):
            pass
    with pytest.raises(ZeroDivisionError), permits.hold(3):
        raise ZeroDivisionError
    with permits.hold(3):
        pass


def test_occurrences_are_counted_by_session_and_request() -> None:
    """A request's count starts at 0 in each session, and again when the session is forgotten."""
    occurrences = Occurrences()
    assert [occurrences.add("a", b"x", 2), occurrences.add("a", b"x", 1)] == [0, 2]
    assert [occurrences.add("a", b"y", 1), occurrences.add("b", b"x", 1)] == [0, 0]
    occurrences.forget("a")
    assert [occurrences.add("a", b"x", 1), occurrences.add("b", b"x", 1)] == [0, 1]
    occurrences.forget("")
    assert [occurrences.add("a", b"x", 1), occurrences.add("b", b"x", 1)] == [0, 0]


def test_occurrences_start_anew_when_there_are_too_many() -> None:
    """A limit of two different requests makes the third forget both."""
    occurrences = Occurrences(limit=2)
    assert [occurrences.add("", key, 1) for key in (b"x", b"y", b"z", b"x")] == [0, 0, 0, 0]


def test_a_refusal_is_counted_when_it_is_spoken() -> None:
    """A refusal counts under LoRAX's word for it, and one without such a word does not count."""
    state = State(Settings(), builtin())
    assert state.spoken(LoraxRefusal(429, "overloaded", "full", "overloaded")) == (
        429,
        b'{"error":"full","error_type":"overloaded"}',
    )
    state.spoken(LoraxRefusal(400, "mock_fault", "none such", ""))
    text = state.metrics.as_text().decode()
    assert text == (
        '# TYPE lorax_request_failure counter\nlorax_request_failure{err="overloaded"} 1\n\n'
    )
