"""What makes a head unacceptable: each kind at its edge, and what stays acceptable."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorax_proxy.core.heads import (
    HeadRefused,
    check_count,
    check_head,
    check_size,
    late,
    malformed,
    too_many_connections,
)


def refused(method: str = "POST", version: str = "1.1", *fields: tuple[bytes, bytes]) -> int:
    """The status that a head is refused with."""
    with pytest.raises(HeadRefused) as caught:
        check_head(method, version, fields)
    return caught.value.error.status


def test_a_head_is_refused_for_what_no_answer_could_be_right_for() -> None:
    """Tunnels, other versions, and codings that would leave the body encoded."""
    assert refused("CONNECT") == 405
    for version in ("0.9", "2.0"):
        assert refused("POST", version) == 505
    for coding in (b"identity, chunked", b"gzip, chunked", b"gzip", b"", b"chunked, chunked"):
        assert refused("POST", "1.1", (b"transfer-encoding", coding)) == 400
    for coding in (b"chunked", b"Chunked", b" chunked "):
        check_head("POST", "1.1", [(b"transfer-encoding", coding)])
    check_head("POST", "1.0", [(b"content-encoding", b"gzip")])


@pytest.mark.property
@given(
    target=st.integers(0, 500), block=st.integers(0, 500), line=st.integers(16, 500), most=st.integers(0, 500)
)  # fmt: skip
def test_a_head_is_too_large_exactly_beyond_its_limits(
    target: int, block: int, line: int, most: int
) -> None:
    """The line first, because it comes first."""
    expected = 414 if target + 16 > line else 431 if block > most else None
    found = None
    try:
        check_size(target, block, max_line=line, max_block=most)
    except HeadRefused as refusal:
        found = refusal.error.status
    assert found == expected


def test_the_count_has_its_edge() -> None:
    """As many as the limit pass, one more does not."""
    check_count(100, 100)
    with pytest.raises(HeadRefused) as caught:
        check_count(101, 100)
    assert caught.value.error.status == 431


def test_what_cannot_be_read_is_told_with_a_reason() -> None:
    """HTTPS and HTTP/2 have words of their own: the parser's would help nobody."""
    assert "http://" in malformed(b"\x16\x03\x01", "Invalid method encountered").message
    assert "not HTTP/2" in malformed(b"PRI * HTTP/2.0\r\n", "Pause on PRI/Upgrade").message
    assert "Invalid method" in malformed(b"he", "Invalid method encountered").message
    assert malformed(b"", "").message.endswith("it cannot be read.")


def test_what_may_be_repeated_says_so() -> None:
    """SDKs repeat 408 by themselves; a full server names a time."""
    assert late("body", 15.0).status == 408
    assert "body did not come within 15 s" in late("body", 15.0).message
    assert too_many_connections().headers == (("retry-after", "1"),)
