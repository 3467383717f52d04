"""Draws without a random generator: each is a hash of what it is for.

A draw names its purpose and everything it may depend on, so it is the same in every process, on
every platform, and whatever else is asked meanwhile. Sub-streams of different purposes never share
bytes, so that asking for alternatives cannot change the text.
"""

import hashlib
import math
from collections.abc import Generator, Iterator
from itertools import chain
from typing import Final

__all__ = ["Draws", "digest", "fraction"]

_BLOCK: Final = 256


def digest(*parts: str | bytes | int) -> bytes:
    """32 bytes that depend on every part and on where one ends and the next begins."""
    hasher = hashlib.blake2b(digest_size=32)
    for part in parts:
        match part:
            case str():
                data = part.encode("utf-8", "surrogatepass")
            case bytes():
                data = part
            case int():
                data = b"%d" % part
        hasher.update(b"%d:" % len(data))
        hasher.update(data)
    return hasher.digest()


def fraction(key: bytes, purpose: str) -> float:
    """A number in [0, 1) for one purpose."""
    return int.from_bytes(digest(key, purpose)[:7]) / 2**56


class Draws:
    """An endless stream of bytes for one purpose, consumed in order."""

    __slots__ = ("_bytes",)

    def __init__(self, key: bytes, purpose: str) -> None:
        self._bytes = chain.from_iterable(_blocks(digest(key, purpose)))

    def __iter__(self) -> Iterator[int]:
        return self._bytes

    def byte(self) -> int:
        """0..255."""
        return next(self._bytes)

    def below(self, limit: int) -> int:
        """0..limit-1; the bias is below one in 2**32 for every limit used here."""
        size = max(1, math.ceil(limit.bit_length() / 8)) + 4
        return int.from_bytes(bytes(self.byte() for _ in range(size))) % limit

    def fraction(self) -> float:
        """A number in [0, 1)."""
        return self.below(2**32) / 2**32


def _blocks(key: bytes) -> Generator[bytes]:
    number = 0
    while True:
        yield hashlib.shake_128(key + number.to_bytes(8)).digest(_BLOCK)
        number += 1
