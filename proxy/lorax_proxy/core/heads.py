"""Checks of a request's head (method, version, sizes), and the errors for what is refused as no request.

The envelope is OpenAI's as for every other error, because those who read it expect no other.
"""

from collections.abc import Iterable

from lorax_proxy.core.failures import ApiError

__all__ = [
    "HeadRefused",
    "check_count",
    "check_head",
    "check_size",
    "late",
    "malformed",
    "too_many_bodies",
    "too_many_connections",
]

Fields = Iterable[tuple[bytes, bytes]]

_AROUND_TARGET = 16
"""Bytes of a request line beside its target: the longest method that is common, and the version."""


class HeadRefused(Exception):
    """A request's head cannot be accepted; `error` says why."""

    def __init__(self, error: ApiError) -> None:
        super().__init__(error.message)
        self.error = error


def check_head(method: str, version: str, fields: Fields) -> bool:
    """Whether a client waits for `100 Continue`; refuse what no answer could be right for.

    Args:
        method: As it was sent.
        version: Such as `1.1`.
        fields: The headers, names in lower case.

    Raises:
        HeadRefused: 405 for a tunnel, 505 for another version of HTTP, 400 for a transfer coding
            beside `chunked`: the body would be read wrongly (RFC 9112 6.1).
    """
    if method == "CONNECT":
        raise HeadRefused(_bad("This server opens no tunnels.", 405, "method_not_allowed"))
    if version not in ("1.1", "1.0"):
        text = f"HTTP/{version} is not spoken here: use HTTP/1.1."
        raise HeadRefused(_bad(text, 505, "http_version_not_supported"))
    expects = False
    for name, value in fields:
        if name == b"transfer-encoding" and value.strip().lower() != b"chunked":
            shown = value[:100].decode("latin-1")
            text = f"Transfer-Encoding {shown!r} is not understood: send 'chunked' alone."
            raise HeadRefused(_bad(text, 400, "invalid_transfer_encoding"))
        if name == b"expect" and value.lower() == b"100-continue":
            # RFC 9110 10.1.1: not from HTTP/1.0
            expects = version != "1.0"
    return expects


def check_size(target: int, block: int, *, max_line: int, max_block: int) -> None:
    """Refuse a head, or the beginning of one, that is too large.

    Args:
        target: Bytes of the request's target.
        block: Bytes of the headers.
        max_line: The most bytes of the request line.
        max_block: The most bytes of the headers.

    Raises:
        HeadRefused: 414 or 431 (RFC 9110 15.5.15, RFC 6585 5).
    """
    if target + _AROUND_TARGET > max_line:
        text = f"The request line is longer than {max_line} bytes."
        raise HeadRefused(_bad(text, 414, "uri_too_long"))
    if block > max_block:
        raise HeadRefused(_too_large(f"larger than {max_block} bytes"))


def check_count(count: int, most: int) -> None:
    """Refuse a head of too many headers.

    Raises:
        HeadRefused: 431.
    """
    if count > most:
        raise HeadRefused(_too_large(f"more than {most}"))


def malformed(beginning: bytes, reason: str) -> ApiError:
    """What cannot be read as a request.

    Args:
        beginning: The first bytes of what could not be read.
        reason: The parser's words.
    """
    if beginning.startswith(b"\x16\x03"):
        return _bad("This port speaks HTTP, not HTTPS: use http:// in the address.")
    if beginning.startswith(b"PRI * HTTP/2"):
        return _bad("This port speaks HTTP/1.1, not HTTP/2: leave HTTP/2 to a proxy before it.")
    return _bad(f"This is not an HTTP/1.1 request: {reason or 'it cannot be read'}.")


def late(what: str, seconds: float) -> ApiError:
    """A part of a request that did not come in time (408)."""
    text = f"The request's {what} did not come within {seconds:g} s."
    return _bad(text, 408, "request_timeout")


def too_many_connections() -> ApiError:
    """A connection for which there is no place."""
    return ApiError(
        503,
        "This server has as many connections as it may. Please try again.",
        "server_error",
        code="too_many_connections",
        headers=(("retry-after", "1"),),
    )


def too_many_bodies() -> ApiError:
    """A body for which there is no memory left, while others' are kept."""
    return ApiError(
        503,
        "This server has as many request bodies in memory as it may. Please try again.",
        "server_error",
        code="too_many_bodies",
        headers=(("retry-after", "1"),),
    )


def _too_large(what: str) -> ApiError:
    return _bad(f"The request's headers are {what}.", 431, "request_headers_too_large")


def _bad(message: str, status: int = 400, code: str = "invalid_http") -> ApiError:
    return ApiError(status, message, "invalid_request_error", code=code)
