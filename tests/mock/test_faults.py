"""Faults by id, and what they do to events."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorax_mock.faults import (
    KINDS,
    Act,
    Close,
    Fault,
    FaultError,
    Send,
    Stall,
    mangle,
    parse_fault,
)

_EVENTS = [b'data: {"a":1}\n\n', 'data: {"b":"é😀"}\n\n'.encode(), b'data: {"c":3}\n\n']

_IDS = [
    "overload",
    "overload:7",
    "status:503",
    "error@2",
    "error@0:overloaded",
    "incomplete@1",
    "nofinal",
    "cut@20",
    "reset@0",
    "stall@1",
    "stall@1:0.5",
    "drip:3",
    "rechunk:9",
    "crlf",
    "comments",
    "duplicate@1",
    "garbage@1",
    "oversize@1:100",
    "mime:text/html; charset=utf-8",
]


def _sent(acts: list[Act]) -> bytes:
    return b"".join(act.data for act in acts if isinstance(act, Send))


def test_every_kind_has_an_id_here() -> None:
    """So the tests below miss none."""
    assert {parse_fault(text).kind for text in _IDS} == set(KINDS)


@pytest.mark.parametrize("text", _IDS)
def test_an_id_reads_back_as_itself(text: str) -> None:
    """What a reply tells can be asked for again."""
    assert str(parse_fault(text)) == text


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("overlaod", "did you mean 'overload'?"),
        ("", "known are overload"),
        ("xyzzy@1", "known are overload"),
        ("cut", "should have the form cut@K"),
        ("crlf@1", "should have the form crlf"),
        ("status:200", "takes a value that matches"),
        ("nofinal:1", "takes no value"),
        ("drip:0", "takes a value that matches"),
    ],
)
def test_a_wrong_id_is_told_the_right_form(text: str, told: str) -> None:
    """Nearest kind, or form, or value."""
    with pytest.raises(FaultError) as caught:
        parse_fault(text)
    assert told in str(caught.value)


@pytest.mark.law
@given(st.sampled_from(["drip:1", "drip:7", "rechunk:1", "rechunk:2", "stall@1:0", "mime:a/b"]))
def test_some_faults_change_no_byte(text: str) -> None:
    """Only when they come, and in what pieces."""
    assert _sent(mangle(parse_fault(text), _EVENTS)) == b"".join(_EVENTS)


@pytest.mark.law
@given(place=st.integers(0, 80), reset=st.booleans())
def test_a_cut_is_at_its_byte(place: int, *, reset: bool) -> None:
    """Also inside a character, and beyond the end at the end."""
    kind = "reset" if reset else "cut"
    acts = mangle(Fault(kind, place), _EVENTS)
    assert _sent(acts) == b"".join(_EVENTS)[:place]
    assert acts[-1] == Close(reset=reset)


def test_events_are_dropped_doubled_and_followed() -> None:
    """One by one as their names say."""
    first, second, third = _EVENTS
    assert _sent(mangle(parse_fault("nofinal"), _EVENTS)) == first + second
    assert _sent(mangle(parse_fault("duplicate@1"), _EVENTS)) == first + second + second + third
    garbage = b"data: {not json\n\n"
    assert _sent(mangle(parse_fault("garbage@0"), _EVENTS)) == garbage + first + second + third
    assert _sent(mangle(parse_fault("comments"), [first, third])) == (
        b":\n\n" + first + b":\n\n" + third
    )
    assert b"\n" not in _sent(mangle(parse_fault("crlf"), _EVENTS)).replace(b"\r\n", b"")


def test_an_oversize_event_is_still_its_json() -> None:
    """Padded with white space."""
    acts = mangle(parse_fault("oversize@1:100000"), _EVENTS)
    event = acts[1]
    assert isinstance(event, Send)
    assert len(event.data) > 100_000
    assert json.loads(event.data.removeprefix(b"data: ")) == {"b": "é😀"}


def test_an_error_comes_after_its_tokens() -> None:
    """And nothing after it."""
    sent = _sent(mangle(parse_fault("error@1:overloaded"), _EVENTS))
    error = b'data: {"error":"Model is overloaded","error_type":"overloaded"}\n\n'
    assert sent == _EVENTS[0] + error
    sent = _sent(mangle(parse_fault("incomplete@0"), _EVENTS))
    assert b'"error_type":"incomplete_generation"' in sent


def test_a_stall_is_silence_at_its_place() -> None:
    """For a time or for ever."""
    assert mangle(parse_fault("stall@1:2.5"), _EVENTS)[1] == Stall(2.5)
    assert mangle(parse_fault("stall@0"), _EVENTS)[0] == Stall(None)


def test_refusals_have_lorax_words() -> None:
    """Other faults refuse nothing."""
    refused = parse_fault("overload").refusal
    assert refused is not None
    assert refused.status == 429
    assert parse_fault("cut@1").refusal is None
