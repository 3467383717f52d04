"""Compressed request bodies: `Content-Encoding`, decoded as the bytes come in.

What zlib can do is done: `gzip` (`x-gzip`) and `deflate`, one after another if a header lists
several. A body may become a thousand times its size, so what comes out is bounded while it is made:
no more than the limit and one byte is ever held.
"""

import zlib
from collections.abc import Iterable

from lorax_proxy.errors import RequestRefused

__all__ = ["ACCEPTED", "Decoder", "TooLarge", "codings"]

ACCEPTED = "gzip, deflate"
"""What a client may use, as `Accept-Encoding` in a 415 tells it (RFC 9110 12.5.3)."""

_NAMES = {"gzip": "gzip", "x-gzip": "gzip", "deflate": "deflate"}

_MOST_CODINGS = 3
"""Each costs the time to decode a whole body; more than one is rare, and more than two a mistake."""

_MOST_MEMBERS = 100
"""gzip's members, one behind another, may be empty: their number, and so the time, is bounded."""

_GZIP = 16 + zlib.MAX_WBITS


class TooLarge(Exception):
    """The decoded body is larger than its limit."""


def codings(values: Iterable[str]) -> tuple[str, ...]:
    """The codings in the order in which they were applied; `identity` is none.

    Args:
        values: The `Content-Encoding` headers.

    Raises:
        RequestRefused: 415 that names a coding which is not decoded here, and those that are.
    """
    listed = [name.strip().lower() for value in values for name in value.split(",")]
    found = [name for name in listed if name not in {"", "identity"}]
    for name in found:
        if name not in _NAMES:
            raise _unsupported(f"The content encoding {name[:100]!r} is not supported")
    if len(found) > _MOST_CODINGS:
        raise _unsupported(f"More than {_MOST_CODINGS} content encodings are not supported")
    return tuple(_NAMES[name] for name in found)


class Decoder:
    """A body's bytes as they were before they were compressed."""

    def __init__(self, applied: tuple[str, ...], limit: int) -> None:
        """Begin.

        Args:
            applied: What `codings` returned.
            limit: The most bytes that may come out, of each coding.
        """
        self._stages = [_Stage(name, limit) for name in reversed(applied)]
        self._empty = True

    def feed(self, data: bytes) -> bytes:
        """Decode the next bytes.

        Raises:
            RequestRefused: 400 for bytes that are not what the header says.
            TooLarge: When more comes out than the limit.
        """
        self._empty = self._empty and not data
        for stage in self._stages:
            data = stage.feed(data)
        return data

    def finish(self) -> None:
        """Take note of the end; an empty body is one, whatever its header says.

        Raises:
            RequestRefused: 400 for a body that ends too early.
        """
        if not self._empty:
            for stage in self._stages:
                stage.finish()


class _Stage:
    def __init__(self, name: str, limit: int) -> None:
        self._name = name
        self._limit = limit
        self._made = 0
        self._members = 1
        self._held = b""
        self._inflate = zlib.decompressobj(_GZIP) if name == "gzip" else None

    def feed(self, data: bytes) -> bytes:
        if not data:
            return b""
        if self._inflate is None:
            # RFC 9110 8.4.1.2: some send deflate's data without zlib's header around it
            data = self._held + data
            if len(data) < 2:
                self._held = data
                return b""
            self._inflate = zlib.decompressobj(
                zlib.MAX_WBITS if _has_zlib_header(data) else -zlib.MAX_WBITS
            )
        out = [self._decode(data)]
        while self._inflate.unused_data:
            out.append(self._next_member(self._inflate.unused_data))
        return b"".join(out)

    def finish(self) -> None:
        if self._inflate is None or not self._inflate.eof:
            raise self._broken("it ends too early")

    def _decode(self, data: bytes) -> bytes:
        assert self._inflate is not None  # noqa: S101 - `feed` has chosen it
        if self._inflate.eof:
            return self._next_member(data)
        try:
            # at least 1: 0 would mean without a limit
            out = self._inflate.decompress(data, self._limit + 1 - self._made)
        except zlib.error as error:
            raise self._broken(str(error)) from None
        self._made += len(out)
        if self._made > self._limit:
            raise TooLarge
        return out

    def _next_member(self, data: bytes) -> bytes:
        self._members += 1
        if self._name != "gzip" or self._members > _MOST_MEMBERS:
            raise self._broken("there is more behind its end")
        self._inflate = zlib.decompressobj(_GZIP)
        return self._decode(data)

    def _broken(self, why: str) -> RequestRefused:
        return RequestRefused(
            f"The body is not {self._name!r}, as its 'Content-Encoding' says: {why}.",
            code="invalid_content_encoding",
        )


def _has_zlib_header(data: bytes) -> bool:
    """RFC 1950 2.2: the method, and a check of both bytes."""
    return data[0] & 0x0F == zlib.DEFLATED and (data[0] << 8 | data[1]) % 31 == 0


def _unsupported(what: str) -> RequestRefused:
    return RequestRefused(
        f"{what}: send the body with 'gzip' or 'deflate', or as it is.",
        status=415,
        code="unsupported_content_encoding",
        headers=(("accept-encoding", ACCEPTED),),
    )
