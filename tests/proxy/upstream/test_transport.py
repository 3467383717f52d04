"""Reading a whole body through the interface that every transport has."""

from collections.abc import Callable, Sequence

import pytest

from lorax_proxy.errors import Lost, UpstreamError
from lorax_proxy.upstream.transport import pour_reads, read_all


class Pieces:
    """A response whose body comes in these pieces."""

    status = 200
    headers: Sequence[tuple[str, str]] = ()

    def __init__(self, *pieces: bytes) -> None:
        self.left = list(pieces)

    async def read(self) -> bytes:
        """The next piece, then the end."""
        return self.left.pop(0) if self.left else b""

    async def pour(self, sink: Callable[[bytes], bool]) -> None:
        """Each read, until the sink wants no more."""
        await pour_reads(self.read, sink)

    async def close(self) -> None:
        """Nothing is held."""


async def test_a_body_is_read_to_its_end() -> None:
    """All pieces, joined."""
    assert await read_all(Pieces(b"ab", b"c")) == b"abc"
    assert await read_all(Pieces()) == b""


async def test_a_body_at_the_limit_is_read_and_one_byte_more_is_not() -> None:
    """A server that sends more than any answer is not LoRAX, and fills no memory."""
    assert await read_all(Pieces(b"ab", b"cd"), 4) == b"abcd"
    endless = Pieces(b"ab", b"cd", b"e", b"never read")
    with pytest.raises(UpstreamError) as caught:
        await read_all(endless, 4)
    assert caught.value.failure is Lost.UNREADABLE
    assert endless.left == [b"never read"]
