"""Bodies of requests: the same bytes however they were cut."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorax_mock.http.bodies import Body, BrokenBody, Chunks, Sized


def _fed(body: Body, data: bytes, cuts: list[int]) -> tuple[bytes, bytes | None]:
    """What a body gives of data that comes in pieces, and what follows it."""
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    out, rest = b"", None
    for start, end in pairwise(edges):
        if rest is not None:
            rest += data[start:end]
            continue
        piece, rest = body.feed(data[start:end])
        out += piece
    return out, rest


_CUTS = st.lists(st.integers(0, 10_000))


@pytest.mark.property
@given(body=st.binary(min_size=1), rest=st.binary(), cuts=_CUTS)
def test_a_length_is_counted(body: bytes, rest: bytes, cuts: list[int]) -> None:
    """A body of a known length ends there, and what follows is not part of it."""
    assert _fed(Sized(len(body)), body + rest, cuts) == (body, rest)


@pytest.mark.property
@given(
    chunks=st.lists(st.binary(min_size=1, max_size=40)),
    form=st.sampled_from([b"%x\r\n", b"%X\r\n", b"00%x \t\r\n", b"%x;a=b;c\r\n", b"%x ;\r\n"]),
    trailers=st.sampled_from([b"", b"a: b\r\n", b"a:\r\nB: c d\r\n"]),
    rest=st.binary(),
    cuts=_CUTS,
)
def test_chunks_tell_their_end(
    chunks: list[bytes], form: bytes, trailers: bytes, rest: bytes, cuts: list[int]
) -> None:
    """A chunked body ends with its last chunk; white space, extensions and trailers are no part of it."""
    data = b"".join(form % len(chunk) + chunk + b"\r\n" for chunk in chunks)
    data += form % 0 + trailers + b"\r\n" + rest
    body = Chunks()
    assert _fed(body, data, cuts) == (b"".join(chunks), rest)
    assert body.trailers == trailers.count(b"\n")


@pytest.mark.parametrize(
    "data",
    [
        b"z",
        b" 1\r\n",
        b"1\n",
        b"1 2\r\n",
        b"1;a\nb\r\n",
        b"10000000000000000f\r\n",
        b"1\r\nab",
        b"1\r\na\rb",
        b"0\r\na b: c\r\n",
        b"0\r\n" + b"a: b\r\n" * 101,
        b"0\r\na: " + b"b" * 20_000,
        b"1;" + b"a" * 20_000,
        (b"1;" + b"a" * 9000 + b"\r\nx\r\n") * 2,
    ],
)
def test_what_is_not_chunked_is_broken(data: bytes) -> None:
    """Bytes that are no chunks raise as soon as it shows, in one piece or in small ones."""
    with pytest.raises(BrokenBody):
        Chunks().feed(data)
    with pytest.raises(BrokenBody):
        _fed(Chunks(), data, list(range(0, len(data), 1 + len(data) // 100)))


@pytest.mark.property
@given(data=st.binary(), cuts=_CUTS)
def test_garbage_is_bytes_or_broken(data: bytes, cuts: list[int]) -> None:
    """Any bytes are a body or raise BrokenBody, and nothing else."""
    try:
        _fed(Chunks(), data, cuts)
    except BrokenBody:
        return
