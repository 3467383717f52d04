"""Heads of requests, as values; tests/mock/http/test_hyper.py asks a running mock for the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorax_mock.http.heads import BLOCK_LIMIT, CHUNKED, Head, HeadRefused, read_head

_HEAD = b"POST /a?b=c HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n"


def _read(data: bytes) -> Head:
    read = read_head(data, 0)
    assert read is not None
    return read[0]


def test_a_head_is_read() -> None:
    """A head has its names in lower case, its values without surrounding white space, and the place where it ends."""
    data = b"\r\n\nPOST /%61?b=c#d HTTP/1.1\r\nHOST:\t x y \r\nExpect: 100-Continue\nA:\r\n\nrest"
    read = read_head(data, 0)
    assert read is not None
    head, end = read
    assert data[end:] == b"rest"
    assert (head.method, head.path, head.query, head.version) == ("POST", b"/%61", b"b=c", "1.1")
    assert head.headers == [(b"host", b"x y"), (b"expect", b"100-Continue"), (b"a", b"")]
    assert (head.keep_alive, head.length, head.expects) == (True, 0, True)


@pytest.mark.parametrize(
    ("target", "path"),
    [
        (b"*", b"*"),
        (b"/", b"/"),
        (b"http://x", b"/"),
        (b"http://x/a?b", b"/a"),
        (b"x:80", b""),
        (b"info", b""),
    ],
)
def test_targets_have_their_paths(target: bytes, path: bytes) -> None:
    """A target's path is found in every form, absolute ones and those without a path included."""
    assert _read(b"GET %b HTTP/1.0\r\n\r\n" % target).path == path


@pytest.mark.parametrize(
    ("lines", "length", "keep_alive"),
    [
        (b"Content-Length: 007", 7, True),
        (b"content-length: 3\r\nContent-Length: 3", 3, True),
        (b"transfer-encoding: x, Chunked\r\ncontent-length: y", CHUNKED, True),
        (b"connection: a, Close", 0, False),
        (b"connection: close\r\nconnection: keep-alive", 0, True),
        (b"connection: upgrade\r\nupgrade: h2c", 0, True),
    ],
)
def test_headers_say_what_follows(lines: bytes, length: int, *, keep_alive: bool) -> None:
    """Chunks win over a length, the last word on the connection counts, and upgrades are ignored."""
    head = _read(b"POST / HTTP/1.1\r\n%b\r\n\r\n" % lines)
    assert (head.length, head.keep_alive) == (length, keep_alive)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET / HTTP/1.2\r\n\r\n", 400),
        (b"G@T / HTTP/1.1\r\n\r\n", 400),
        (b"GET /` HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\na : b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\na: b\r\n c\r\n\r\n", 400),
        (b"GET / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\ntransfer-encoding: chunked, x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\ncontent-length: 18446744073709551616\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\ncontent-length: " + b"9" * 5000 + b"\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\ncontent-length: 18446744073709551615\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + b"a" * 65_536 + b": b\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 101 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\na: " + b"b" * BLOCK_LIMIT, 431),
        (b"G@T\r\na: " + b"b" * BLOCK_LIMIT + b"\r\n\r\n", 400),
        (b"GET /" + b"a" * 65_534 + b" HTTP/1.1\r\n\r\n", 414),
        (b"\x16\x03\x01\x02", 400),
        (b"GET / HTTP/1.1\r\na b", 400),
        (b"GET / FTP", 400),
    ],
)
def test_what_hyper_refuses(data: bytes, status: int) -> None:
    """What hyper refuses is refused with the same status, as early as it shows."""
    with pytest.raises(HeadRefused) as refused:
        read_head(data, 0)
    assert refused.value.status == status


@pytest.mark.parametrize("cut", [None, 1000, BLOCK_LIMIT - 1, BLOCK_LIMIT, BLOCK_LIMIT + 1])
@pytest.mark.parametrize("beyond", [0, 1, 200_000])
def test_the_limit_holds_however_the_head_was_cut(cut: int | None, beyond: int) -> None:
    """A head of the limit's size is taken and a longer one refused, in one read or in two."""
    start, end = b"GET / HTTP/1.1\r\na: ", b"\r\n\r\n"
    data = start + b"b" * (BLOCK_LIMIT + beyond - len(start) - len(end)) + end
    expected = -431 if beyond else BLOCK_LIMIT
    first = _verdict(data[:cut])
    assert (_verdict(data, len(data[:cut])) if first is None else first) == expected
    assert _verdict(data + b"the next request") == expected


@pytest.mark.property
@given(end=st.integers(1, len(_HEAD) - 1))
def test_a_part_of_a_head_is_waited_for(end: int) -> None:
    """Any part of a good head asks for more, and the rest then completes it."""
    assert read_head(_HEAD[:end], 0) is None
    whole = read_head(_HEAD + b"abc", end)
    assert whole is not None
    assert (whole[0].length, whole[1]) == (3, len(_HEAD))


@pytest.mark.property
@given(
    data=st.lists(
        st.sampled_from(
            [
                *(b"GET / HTTP/1.1\r\n", b"GET ", b"/", b" HTTP/1.", b"0", b"1", b"\r", b"\n"),
                *(b"a: b\r\n", b"a", b":", b" ", b"\0", b"\xff", b"content-length: 3\r\n", b"\r\n"),
            ]
        )
    ).map(b"".join),
    end=st.integers(0, 80),
)
def test_what_is_refused_early_would_have_been_refused_late(data: bytes, end: int) -> None:
    """A part is refused only if the whole is, and both find the same end."""
    if not data:
        return
    early = _verdict(data[: max(end, 1)])
    if early is not None:
        late = _verdict(data if early > 0 else data + b"\r\n\r\n")
        assert late == early


def _verdict(data: bytes, seen: int = 0) -> int | None:
    """Where the head ends, or the status that refuses it, negative."""
    try:
        read = read_head(data, seen)
    except HeadRefused as refused:
        return -refused.status
    return None if read is None else read[1]
