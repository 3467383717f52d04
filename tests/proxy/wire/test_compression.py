"""Compressed bodies: what was compressed comes out, cut anywhere, and never more than the limit."""

import gzip
import itertools
import tracemalloc
import zlib
from collections.abc import Callable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorax_proxy.errors import RequestRefused
from lorax_proxy.wire.compression import ACCEPTED, Decoder, TooLarge, codings

LIMIT = 10_000


def raw_deflate(data: bytes) -> bytes:
    """Deflate's data without a header, as some clients send it."""
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


def members(data: bytes) -> bytes:
    """Two members of gzip, one behind the other."""
    return gzip.compress(data[:5]) + gzip.compress(data[5:])


PACKED: Mapping[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress),
    "x-gzip": ("X-GZip", gzip.compress),
    "members": ("gzip", members),
    "zlib": ("deflate", zlib.compress),
    "raw": ("deflate", raw_deflate),
    "identity": ("identity", bytes),
    "none": ("", bytes),
}


def decoded(applied: tuple[str, ...], pieces: list[bytes], limit: int = LIMIT) -> bytes:
    """What a body's pieces become."""
    decoder = Decoder(applied, limit)
    out = b"".join([decoder.feed(piece) for piece in pieces])
    decoder.finish()
    return out


@pytest.mark.property
@given(
    data=st.binary(max_size=300),
    packings=st.lists(st.sampled_from(sorted(PACKED)), max_size=3),
    cuts=st.lists(st.integers(0, 400), max_size=5),
)
def test_what_was_compressed_comes_out(data: bytes, packings: list[str], cuts: list[int]) -> None:
    """Whatever was applied, in any order, and wherever the packets were cut."""
    packed = data
    for packing in packings:
        packed = PACKED[packing][1](packed)
    applied = codings([", ".join(PACKED[packing][0] for packing in packings)])
    edges = [0, *sorted(min(cut, len(packed)) for cut in cuts), len(packed)]
    pieces = [packed[start:end] for start, end in itertools.pairwise(edges)]
    assert decoded(applied, pieces) == data


@pytest.mark.property
@given(size=st.integers(0, 300), limit=st.integers(0, 300), name=st.sampled_from(["gzip", "zlib"]))
def test_as_much_as_the_limit_comes_out(size: int, limit: int, name: str) -> None:
    """One byte more does not."""
    header, pack = PACKED[name]
    packed = pack(b"x" * size)
    if size <= limit:
        assert decoded(codings([header]), [packed], limit) == b"x" * size
    else:
        with pytest.raises(TooLarge):
            decoded(codings([header]), [packed], limit)


@pytest.mark.property
@given(data=st.binary(min_size=1, max_size=200), applied=st.sampled_from([("gzip",), ("deflate",)]))
def test_garbage_is_refused_in_words(data: bytes, applied: tuple[str, ...]) -> None:
    """Or it is what the header says by chance; there is no third way out."""
    refusal = None
    try:
        decoded(applied, [data])
    except RequestRefused as error:
        refusal = error
    except TooLarge:
        pass
    if refusal is not None:
        assert (refusal.status, refusal.code) == (400, "invalid_content_encoding")
        assert repr(applied[0]) in refusal.message


def refused(applied: tuple[str, ...], data: bytes) -> str:
    """Why a body is refused."""
    with pytest.raises(RequestRefused) as caught:
        decoded(applied, [data])
    return caught.value.message


def test_a_body_that_does_not_end_where_it_should_is_refused() -> None:
    """Too early, or with something behind it; an empty one is as empty as it says."""
    for applied, pack in ((("gzip",), gzip.compress), (("deflate",), zlib.compress)):
        packed = pack(b"{}")
        assert "ends too early" in refused(applied, packed[:-1])
        assert "ends too early" in refused(applied, packed[:1])
        assert "is not" in refused(applied, packed + b"{}")
        assert decoded(applied, [b"", b""]) == b""
    assert "more behind its end" in refused(("deflate",), zlib.compress(b"{}") * 2)
    assert "more behind its end" in refused(("gzip",), gzip.compress(b"") * 101)


def test_a_bomb_takes_no_more_than_the_limit() -> None:
    """1 GB in 1 MB, packed twice: neither the memory nor the middle grows beyond it."""
    limit = 2 * 1024 * 1024
    packer = zlib.compressobj(9)
    zeros = bytes(1024 * 1024)
    bomb = b"".join(packer.compress(zeros) for _ in range(256)) + packer.flush()
    for applied, body in ((("deflate",), bomb), (("deflate", "gzip"), gzip.compress(bomb))):
        tracemalloc.start()
        try:
            with pytest.raises(TooLarge):
                decoded(applied, [body], limit)
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert most < 4 * limit


@pytest.mark.parametrize("name", ["br", "zstd", "compress", "gzip;q=1", "*", "é"])
def test_what_is_not_decoded_here_is_named(name: str) -> None:
    """With what is, so that a client can do better."""
    for header in (name, f"gzip, {name}"):
        with pytest.raises(RequestRefused) as caught:
            codings([header])
        assert (caught.value.status, caught.value.code) == (415, "unsupported_content_encoding")
        assert repr(name) in caught.value.message
        assert caught.value.headers == (("accept-encoding", ACCEPTED),)


def test_codings_may_stand_in_several_headers_and_have_an_end() -> None:
    """RFC 9110 5.3: two headers are one list. Each coding costs time."""
    assert codings(["gzip", "identity, deflate", ""]) == ("gzip", "deflate")
    with pytest.raises(RequestRefused):
        codings(["gzip, gzip, gzip, gzip"])
