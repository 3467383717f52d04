"""Bodies of requests as hyper reads them: so many bytes, or chunks that tell their end.

Chunks as in hyper 1.5.0, src/proto/h1/decode.rs: lines end in CR LF, white space and extensions behind a size
are passed over, 16 KiB of extensions or of trailers are too much.
"""

import re
from typing import Final, Protocol

__all__ = ["Body", "BrokenBody", "Chunks", "Sized"]

_SIZE: Final = re.compile(rb"([0-9A-Fa-f]+)[ \t]*(;[^\r\n]*)?\r\n")
_SIZE_SO_FAR: Final = re.compile(rb"([0-9A-Fa-f]+(?:[ \t]+|[ \t]*;[^\r\n]*)?\r?)?\Z")
_TRAILER: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*\r\n")
_LINE_LIMIT: Final = 1024 * 16
"""Bytes of all extensions, and of all trailers (decode.rs:20, 25)."""

_TRAILERS: Final = 100


class BrokenBody(Exception):
    """The bytes are no body of that kind."""


class Body(Protocol):
    """A body that is being read."""

    def feed(self, data: bytes) -> tuple[bytes, bytes | None]:
        """The bytes of the body in `data`, and what follows the body once it has ended."""
        ...


class Sized:
    """A body of so many bytes."""

    def __init__(self, length: int) -> None:
        self._left = length

    def feed(self, data: bytes) -> tuple[bytes, bytes | None]:
        """The bytes of the body in `data`, and what follows it; never raises."""
        if len(data) < self._left:
            self._left -= len(data)
            return data, None
        return data[: self._left], data[self._left :]


class Chunks:
    """A chunked body."""

    def __init__(self) -> None:
        self._kept = b""
        self._left = 0
        """Bytes of the chunk that are still to come."""

        self._ending = False
        """Whether the line break behind a chunk is next."""

        self._last = False
        """Whether the chunk of size 0 was there, so that trailers follow."""

        self._extensions = 0
        self._trailing = 0
        self.trailers = 0
        """Trailers that were read; hyper does not use the connection again after any."""

    def feed(self, data: bytes) -> tuple[bytes, bytes | None]:
        """The bytes of the body in `data`, and what follows the last chunk; raises BrokenBody."""
        data, self._kept = self._kept + data, b""
        out: list[bytes] = []
        at = 0
        while at < len(data):
            if self._left:
                piece = data[at : at + self._left]
                out.append(piece)
                self._left -= len(piece)
                at += len(piece)
                self._ending = not self._left
                continue
            if self._ending:
                if not b"\r\n".startswith(data[at : at + 2]):
                    raise BrokenBody("a chunk is longer than its size")
                if len(data) - at < 2:
                    break
                at += 2
                self._ending = False
                continue
            line_end = self._trailer(data, at) if self._last else self._size(data, at)
            if line_end is None:
                break
            if self._last and data[at:line_end] == b"\r\n":
                return b"".join(out), data[line_end:]
            at = line_end
        self._kept = data[at:]
        return b"".join(out), None

    def _size(self, data: bytes, at: int) -> int | None:
        """Read a chunk's size; where its line ends, None if more is to come."""
        match = _SIZE.match(data, at)
        if match is None:
            if len(data) - at > _LINE_LIMIT or not _SIZE_SO_FAR.match(data, at):
                raise BrokenBody("no size of a chunk")
            return None
        digits = match[1].lstrip(b"0")
        if len(digits) > 16:
            raise BrokenBody("a chunk of more than 64 bits")
        self._extensions += len(match[2] or b"")
        if self._extensions > _LINE_LIMIT:
            raise BrokenBody("too many extensions")
        self._left = int(digits or b"0", 16)
        self._last = not self._left
        return match.end()

    def _trailer(self, data: bytes, at: int) -> int | None:
        """Read a trailer or the empty line; where it ends, None if more is to come."""
        end = data.find(b"\r\n", at)
        if end == at:
            return at + 2
        if end == -1:
            if self._trailing + len(data) - at > _LINE_LIMIT:
                raise BrokenBody("too many trailers")
            return None
        self._trailing += end + 2 - at
        self.trailers += 1
        if self._trailing > _LINE_LIMIT or self.trailers > _TRAILERS:
            raise BrokenBody("too many trailers")
        if not _TRAILER.fullmatch(data, at, end + 2):
            raise BrokenBody("no trailer")
        return end + 2
