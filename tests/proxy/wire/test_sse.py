"""The SSE decoder against the standard's rules, an independent reader, and any chunking."""

import re

import httpx2
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lorax_proxy.wire.sse import DONE, EventTooLarge, SseDecoder, encode, escape_line_ends
from tests.strategies import chunkings, texts

_LINE_ENDS = st.sampled_from([b"\n", b"\r", b"\r\n"])
_LINES = st.sampled_from(
    [
        b"",
        b"",
        b"data: x",
        b"data:x",
        b"data:  two spaces",
        b"data:",
        b"data",
        b"data : no field",
        b"dat",
        b"DATA: other",
        b": comment",
        b":",
        b"event: ping",
        b"id: 7",
        b"retry: 10",
        b"nonsense",
        "data: \u2028 \u2029 \u0085 é 😀".encode(),
        b"data: a: b",
        b"\xef\xbb\xbfdata: late mark",
    ]
)
bodies = st.builds(
    lambda mark, parts, tail: mark + b"".join(line + end for line, end in parts) + tail,
    st.sampled_from([b"", b"\xef\xbb\xbf", b"\xef\xbb", b"\xef"]),
    st.lists(st.tuples(_LINES, _LINE_ENDS), max_size=12),
    st.sampled_from([b"", b"data: cut", b"\r", b"\n"]),
)


def read(chunks: list[bytes], limit: int = 2**20) -> tuple[list[bytes], bool]:
    """All events of a body in pieces, and whether one was too large."""
    decoder = SseDecoder(limit)
    events: list[bytes] = []
    try:
        for chunk in chunks:
            events += decoder.feed(chunk)
        events += decoder.finish()
    except EventTooLarge:
        return events, True
    return events, False


def reference(body: bytes) -> list[bytes]:
    """The standard's rules once more, on a whole body and without a thought for speed."""
    lines = re.split(rb"\r\n|\r|\n", body.removeprefix(b"\xef\xbb\xbf"))
    events: list[bytes] = []
    data: list[bytes] = []
    for line in lines[:-1]:  # the last has no end
        if not line and data:
            events.append(b"\n".join(data))
            data = []
        elif line == b"data":
            data.append(b"")
        elif line.startswith(b"data:"):
            data.append(re.sub(rb"\A ", b"", line[5:]))
    return events


@pytest.mark.property
@given(st.data())
def test_chunking_never_changes_the_events(data: st.DataObject) -> None:
    """However the bytes arrive, the same events come out, as the standard's rules give them."""
    body = data.draw(bodies)
    chunks = data.draw(chunkings(body))
    assert read(chunks) == (reference(body), False)


@pytest.mark.property
@given(st.data())
def test_chunking_never_changes_what_is_too_large(data: st.DataObject) -> None:
    """At any limit the same events come out before the same refusal."""
    body = data.draw(bodies)
    limit = data.draw(st.integers(0, 30))
    chunks = data.draw(chunkings(body, most=20))
    assert read(chunks, limit) == read([body], limit)


@pytest.mark.property
@given(st.binary(max_size=60), st.data())
@example(b"\xef\xbb\xbf\xef\xbb\xbfdata:x\n\n", None)
def test_any_bytes_are_read_alike(body: bytes, data: st.DataObject | None) -> None:
    """Bytes that are no text at all give what the standard's rules give, and never an error."""
    chunks = [body] if data is None else data.draw(chunkings(body))
    assert read(chunks) == (reference(body), False)


@pytest.mark.property
@given(st.lists(texts.filter(bool), max_size=5), st.sampled_from(["\n", "\r\n"]), st.data())
def test_an_independent_reader_sees_the_same(
    values: list[str], end: str, data: st.DataObject
) -> None:
    """httpx2's EventSource and this decoder read the same events from what both can read."""
    lines = [value.replace("\r", " ").replace("\n", " ") for value in values]
    body = "".join(f":{end}data: {line}{end}{end}" for line in lines).encode()
    response = httpx2.Response(
        200,
        headers={"content-type": "text/event-stream"},
        content=body,
        request=httpx2.Request("GET", "http://upstream"),
    )
    theirs = [event.data.encode() for event in httpx2.EventSource(response)]
    ours, _ = read(data.draw(chunkings(body)))
    assert ours == theirs == [line.encode() for line in lines]


@pytest.mark.property
@given(st.lists(texts, max_size=4), st.data())
def test_what_is_encoded_is_decoded(values: list[str], data: st.DataObject) -> None:
    """Framed JSON documents come back as they were, whatever they hold, in any pieces."""
    documents = [escape_line_ends(_quoted(value)) for value in values]
    body = b"".join(encode(document) for document in documents)
    assert read(data.draw(chunkings(body))) == (documents, False)


def _quoted(text: str) -> bytes:
    escaped = "".join(c if c >= " " and c not in '"\\' else f"\\u{ord(c):04x}" for c in text)
    return f'"{escaped}"'.encode()


@pytest.mark.property
@given(texts | st.text("\u2028\u2029\u0085é\x1c\x1d"))
def test_no_reader_finds_a_line_end_inside_an_event(text: str) -> None:
    """Readers built on `str.splitlines` see one line, and JSON reads the same text."""
    import json

    event = encode(json.dumps(text, ensure_ascii=False).encode())
    assert len(event.decode().splitlines()) == 2
    assert json.loads(event.removeprefix(b"data: ")) == text


def test_an_event_is_taken_at_a_carriage_return_at_once() -> None:
    """A CR ends the line although an LF may follow, and the LF is then no line of its own."""
    decoder = SseDecoder()
    assert decoder.feed(b"data: x\r\r") == [b"x"]
    assert decoder.feed(b"\ndata: y\n\n") == [b"y"]


@pytest.mark.parametrize("end", [b"\r\n", b"\r", b"\n"], ids=repr)
def test_lines_of_one_event_arrive_byte_by_byte(end: bytes) -> None:
    """A CRLF that two reads share ends one line, not a line and an event."""
    body = b"data:a" + end + b"data:b" + end + end
    assert read([bytes([byte]) for byte in body]) == ([b"a\nb"], False)


def test_many_events_are_each_measured_alone() -> None:
    """A long stream is not a large event."""
    assert read([b"data: 12\n\n"] * 100, 8) == ([b"12"] * 100, False)


def test_a_character_split_over_reads_arrives_whole() -> None:
    """Bytes are joined before anything looks at them."""
    decoder = SseDecoder()
    body = encode('"😀"'.encode())
    assert [event for byte in body for event in decoder.feed(bytes([byte]))] == ['"😀"'.encode()]


def test_a_cut_event_is_none() -> None:
    """What the body's end cuts off was never sent."""
    decoder = SseDecoder()
    assert decoder.feed(b"data: whole\n\ndata: half\n") == [b"whole"]
    assert decoder.finish() == []


@pytest.mark.parametrize(
    ("body", "limit", "expected"),
    [
        (b"data: 12\n\n", 8, ([b"12"], False)),
        (b"data: 12\n\n", 7, ([], True)),
        (b"data:1\ndata:2\n\n", 6, ([b"1\n2"], False)),
        (b"data\n" * 5 + b"\n", 4, ([b"\n" * 4], False)),
        (b"data\n" * 6 + b"\n", 4, ([], True)),
        (b": a long comment\n", 6, ([], True)),
        (b"data:1\n\ndata:123456789", 6, ([b"1"], True)),
        (b"data:1\n\n:23456789\ndata:3\n\n", 6, ([b"1"], True)),
    ],
)
def test_the_limit_at_its_edge(body: bytes, limit: int, expected: tuple[list[bytes], bool]) -> None:
    """A line and an event's data may be as long as the limit, and events before it are kept."""
    assert read([body], limit) == expected
    assert read([bytes([byte]) for byte in body], limit) == expected


def test_a_body_without_line_ends_is_given_up() -> None:
    """An endless line fills no memory: past the limit every further call is refused."""
    decoder = SseDecoder(1000)
    for _ in range(10):
        assert decoder.feed(b"x" * 100) == []
    with pytest.raises(EventTooLarge, match="1000 bytes"):
        decoder.feed(b"x")
    with pytest.raises(EventTooLarge):
        decoder.feed(b"\n\n")


def test_done_is_an_event_of_its_own() -> None:
    """OpenAI's end mark reads as the event `[DONE]`."""
    assert SseDecoder().feed(DONE) == [b"[DONE]"]
