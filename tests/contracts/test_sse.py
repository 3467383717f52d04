"""The recorded-stream reader: told apart by the rules, down to the byte."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorax_contracts import sse

PIECES = st.sampled_from(
    [
        b"data: 1",
        b"data:[DONE]",
        b"\n",
        b"\r",
        b"\r\n",
        b": c",
        b"id: 4",
        b"\xff",
        "é\u2028".encode(),
    ]
)


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_any_of_the_three_line_ends_ends_a_line(end: bytes) -> None:
    """CR, LF and CRLF are one line end each."""
    recording = sse.read(b"data: 1" + end + b"data: 2" + end + end + b"data: 3")
    assert [event.data for event in recording.events] == [b"1\n2"]
    assert recording.rest == b"data: 3"


@pytest.mark.parametrize("character", ["\u2028", "\u2029", "\u0085", "\v", "\f"])
def test_nothing_else_ends_a_line(character: str) -> None:
    """Python's splitlines would tear a JSON string here."""
    recording = sse.read(f'data: "a{character}b"\n\n'.encode())
    assert recording.data[0].value == f"a{character}b" or recording.data[0].value is sse.NOT_JSON
    assert len(recording.events) == 1


def test_comments_are_events_without_data() -> None:
    """A judge sees keep-alives; a client would not."""
    recording = sse.read(b":\n\n: ping\n\ndata: {}\n\n")
    assert [event.raw for event in recording.events] == [b":\n\n", b": ping\n\n", b"data: {}\n\n"]
    assert [event.value for event in recording.data] == [{}]


def test_done_is_told_from_json() -> None:
    """[DONE] is not JSON and is known."""
    event = sse.read(b"data: [DONE]\n\n").data[0]
    assert event.is_done
    assert event.value is sse.NOT_JSON


@pytest.mark.property
@given(st.lists(PIECES).map(b"".join))
def test_no_byte_is_lost_or_invented(body: bytes) -> None:
    """Events in order, then the rest: empty lines between events are all that may be left out."""
    recording = sse.read(body)
    position = 0
    for event in recording.events:
        assert body[position : event.offset].strip(b"\r\n") == b""
        assert body[event.offset : event.offset + len(event.raw)] == event.raw
        position = event.offset + len(event.raw)
    assert body.endswith(recording.rest)
    assert body[position : len(body) - len(recording.rest)].strip(b"\r\n") == b""


@pytest.mark.property
@given(st.binary())
def test_any_bytes_can_be_read(body: bytes) -> None:
    """A judge never raises on what it judges."""
    sse.read(body)
