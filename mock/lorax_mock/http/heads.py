"""Heads of requests as hyper reads them: what is taken, and with which status the rest is refused.

LoRAX's router is axum 0.7.7 on hyper 1.5.0, which reads heads with httparse 1.9.5 and targets with http 1.1.0.
They are stricter than most (no space before a colon, no folded lines, no version but 1.0 and 1.1) and laxer too
(any method, lines that end in LF alone, no `host`, `transfer-encoding` beside `content-length`). An offer to
upgrade is a header like any other.

What is bad is refused as soon as the first bytes of a head show it; of a head that comes in several reads the
rest is looked at when it is complete (hyper src/proto/h1/role.rs:68-106).
"""

import re
from typing import Final

import msgspec

__all__ = ["BLOCK_LIMIT", "CHUNKED", "PREFACE", "Head", "HeadRefused", "read_head"]

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""How HTTP/2 begins; hyper without its feature http2 hangs up on it (src/proto/h1/conn.rs:685)."""

CHUNKED: Final = -1
"""The length of a body that tells its end itself."""

BLOCK_LIMIT: Final = 8192 + 4096 * 100
"""Bytes of a head (hyper src/proto/h1/io.rs:25).

hyper looks at its buffer's size only when a read leaves the head incomplete (io.rs:194-199), so that it takes a
longer head whose rest comes in one read. Here how a head was cut into reads never shows.
"""

_COUNT_LIMIT: Final = 100
"""Header lines (hyper src/proto/h1/role.rs:33)."""

_TARGET_LIMIT: Final = 65_534
"""Bytes (hyper src/proto/h1/role.rs:36)."""

_NAME_LIMIT: Final = 65_535
"""Bytes of a header's name (hyper src/proto/h1/role.rs:1531)."""

_BODY_LIMIT: Final = 2**64 - 3
"""Bytes; the two lengths above stand for something else (hyper src/body/length.rs:18)."""

_ANY_LINE: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*"
_START: Final = re.compile(
    rb"(?:\r?\n)*([\x21-\x7e]+) ([\x21-\x3b\x3d\x3f-\x7e]+) HTTP/1\.([01])\r?\n"
)
_START_SO_FAR: Final = re.compile(
    rb"(?:\r?\n)*(?:\r|[\x21-\x7e]*|[\x21-\x7e]+ [\x21-\x3b\x3d\x3f-\x7e]*"
    rb"|[\x21-\x7e]+ [\x21-\x3b\x3d\x3f-\x7e]+ "
    rb"(?:|H|HT|HTT|HTTP|HTTP/|HTTP/1|HTTP/1\.|HTTP/1\.[01]\r?))\Z"
)
_LINES: Final = re.compile(rb"(?:%b\r?\n)*" % _ANY_LINE)
_LINE: Final = re.compile(rb"([^:\n]+):([^\r\n]*)\r?\n")
_LINE_SO_FAR: Final = re.compile(rb"(?:\r|[!#$%&'*+\-.^_`|~0-9A-Za-z]*|" + _ANY_LINE + rb"\r?)\Z")
_END: Final = re.compile(rb"\n\r?\n")
_FRAMING: Final = frozenset({b"transfer-encoding", b"content-length", b"connection", b"expect"})
_METHOD: Final = re.compile(rb"[!*+\-.0-9A-Z^_`a-z|~]+")
_PATH: Final = rb'[\x21"\x24-\x3b\x3d\x40-\x5f\x61-\x7e]*'
_QUERY: Final = rb"(?:\?([\x21\x24-\x3b\x3d\x3f-\x7e]*))?(?:#.*)?"
_ORIGIN: Final = re.compile(rb"(/%b)%b" % (_PATH, _QUERY))
_AUTHORITY: Final = rb"[!$&-.0-;=@-\[\]_a-z~%]+"
_ABSOLUTE: Final = re.compile(
    rb"[A-Za-z][A-Za-z0-9+\-.]*://%b(/%b)?%b" % (_AUTHORITY, _PATH, _QUERY)
)
_ALONE: Final = re.compile(_AUTHORITY)


class HeadRefused(Exception):
    """The bytes are no head: an empty answer of that status ends the connection."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Head(msgspec.Struct):
    """What stands before a request's body."""

    method: str
    path: bytes
    """As it was sent; empty for a target that has none, which is routed nowhere."""

    query: bytes
    version: str
    headers: list[tuple[bytes, bytes]]
    """Names in lower case."""

    keep_alive: bool
    length: int
    """Bytes of the body, or CHUNKED."""

    expects: bool
    """Whether the client waits for `100 Continue` before it sends the body."""


def read_head(data: bytes, seen: int) -> tuple[Head, int] | None:
    """The head that `data` begins with and where it ends; None if more is to come.

    The first `seen` bytes were there before. Raises HeadRefused.
    """
    begins = 0 if data[0] > 0x20 else len(data) - len(data.lstrip(b"\r\n"))
    end = _END.search(data, max(seen - 3, begins), BLOCK_LIMIT)
    if end is None:
        if not seen:
            _check_so_far(data[:BLOCK_LIMIT])
        if len(data) >= BLOCK_LIMIT:
            raise HeadRefused(431)
        return None
    start = _START.match(data)
    if start is None:
        raise HeadRefused(400)
    block = data[start.end() : end.start() + 1]
    headers = _headers(block)
    method, target, minor = start.groups()
    if len(target) > _TARGET_LIMIT:
        raise HeadRefused(414)
    if not _METHOD.fullmatch(method):
        raise HeadRefused(400)
    path, query = _target(target)
    return _framed(method.decode(), path, query, headers, modern=minor == b"1"), end.end()


def _check_so_far(data: bytes) -> None:
    """Refuse what cannot become a head, whatever follows."""
    start = _START.match(data)
    if start is None:
        if not _START_SO_FAR.match(data):
            raise HeadRefused(400)
        return
    lines = _LINES.match(data, start.end())
    if lines is None or not _LINE_SO_FAR.match(data, lines.end()):
        raise HeadRefused(400)


def _headers(block: bytes) -> list[tuple[bytes, bytes]]:
    """Lines of headers; raises HeadRefused at the first that is none, or is one too many."""
    good = _LINES.match(block)
    assert good is not None  # noqa: S101 - it matches nothing at all, too
    headers = [(name.lower(), value.strip(b" \t")) for name, value in _LINE.findall(good[0])]
    if len(headers) > _COUNT_LIMIT:
        raise HeadRefused(431)
    if good.end() != len(block):
        raise HeadRefused(400)
    if len(block) > _NAME_LIMIT and any(len(name) > _NAME_LIMIT for name, _ in headers):
        raise HeadRefused(431)
    return headers


def _target(target: bytes) -> tuple[bytes, bytes]:
    """Path and query; raises HeadRefused for what the crate http does not take for a URI."""
    origin = _ORIGIN.fullmatch(target)
    if origin is not None:
        return origin[1], origin[2] or b""
    if target == b"*":
        return target, b""
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is not None:
        return absolute[1] or b"/", absolute[2] or b""
    if _ALONE.fullmatch(target):
        return b"", b""
    raise HeadRefused(400)


def _framed(
    method: str, path: bytes, query: bytes, headers: list[tuple[bytes, bytes]], *, modern: bool
) -> Head:
    """The head, with what its headers say of the body and the connection (role.rs:214-300)."""
    head = Head(method, path, query, "1.1" if modern else "1.0", headers, modern, 0, expects=False)
    declared: int | None = None
    encoded = chunked = False
    for name, value in headers:
        if name not in _FRAMING:
            continue
        match name:
            case b"transfer-encoding":
                if not modern:
                    raise HeadRefused(400)
                encoded = True
                chunked = value.rsplit(b",", 1)[-1].strip().lower() == b"chunked"
            case b"content-length" if not encoded:
                length = _length(value)
                if declared not in (None, length):
                    raise HeadRefused(400)
                if length > _BODY_LIMIT:
                    raise HeadRefused(431)
                declared = length
            case b"connection":
                wanted = b"close" if head.keep_alive else b"keep-alive"
                told = any(one.strip().lower() == wanted for one in value.split(b","))
                head.keep_alive = told != head.keep_alive
            case b"expect":
                head.expects = value.lower() == b"100-continue"
            case _:
                pass
    if encoded and not chunked:
        raise HeadRefused(400)
    head.length = CHUNKED if chunked else declared or 0
    return head


def _length(value: bytes) -> int:
    """Digits, nothing else, that fit into 64 bits (hyper src/headers.rs:87)."""
    digits = value.lstrip(b"0")
    if not value.isdigit() or len(digits) > 20 or int(digits or b"0") >= 2**64:
        raise HeadRefused(400)
    return int(digits or b"0")
