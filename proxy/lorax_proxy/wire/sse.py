"""Server-sent events: bytes to the data of events, and back.

The rules, from the WHATWG's "Server-sent events" (section 9.2.6, interpreting an event stream):

- A line ends at LF, CR or CRLF and at nothing else. `str.splitlines`, and every reader built on it,
  also splits at U+2028, U+2029 and U+0085, which JSON may hold raw inside a string. So this decoder
  works on bytes, and `encode` escapes those three for readers that do not.
- `data:` lines of one event are joined by LF; one leading space is not part of the value.
- A line that starts with a colon is a comment; a blank line ends the event; an event without data
  is nothing; an event that the body's end cuts off is never dispatched.
- One byte order mark may open the stream.

Only `data` is kept: LoRAX sends no other field (axum/src/response/sse.rs), and neither do we.

A CR at the end of what has arrived may be the first half of a CRLF. The line is complete either
way, so it is taken at once, and an LF that follows is swallowed: waiting would hold the last event
back until the next one arrives.
"""

from typing import NoReturn

from lorax_proxy.errors import ProxyError

__all__ = ["COMMENT", "DONE", "EventTooLarge", "SseDecoder", "encode", "escape_line_ends"]

DONE = b"data: [DONE]\n\n"
"""OpenAI's mark of a stream that ended well."""

COMMENT = b":\n\n"
"""A comment line: keeps a silent connection open, and every reader skips it."""

_BOM = b"\xef\xbb\xbf"

_MAX_EVENT_BYTES = 16 * 1024 * 1024
"""A LoRAX event is some 150 bytes; with 64 alternatives and long pieces still below 100 KB. The
last event repeats the whole answer as `generated_text`, which a context of 1M tokens keeps below
this. A body without line ends must not fill our memory."""


class EventTooLarge(ProxyError):
    """The upstream sent an event that is larger than any that LoRAX could mean."""


class SseDecoder:
    """Bytes in, the data of each complete event out.

    Feeding the same bytes in other pieces gives the same events, and the same `EventTooLarge` after
    them (a property test holds it).
    """

    __slots__ = ("_after_cr", "_buffer", "_data", "_limit", "_size", "_start", "_too_large")

    def __init__(self, max_event_bytes: int = _MAX_EVENT_BYTES) -> None:
        """Start before a body's first byte; a line and an event's data may be this long."""
        self._buffer = b""
        self._data: list[bytes] = []
        self._size = 0
        self._limit = max_event_bytes
        self._after_cr = False
        self._start = True
        self._too_large = False

    def feed(self, chunk: bytes) -> list[bytes]:
        """Take the next bytes of the body; return the data of every event they complete.

        Raises:
            EventTooLarge: When an event grows past the limit. Events that were complete before it
                are returned first, and the next call raises.
        """
        if self._too_large:
            self._refuse()
        if self._after_cr and chunk:
            self._after_cr = False
            if chunk.startswith(b"\n"):
                chunk = chunk[1:]
        buffer = self._buffer + chunk if self._buffer else chunk
        if self._start:
            if len(buffer) < len(_BOM) and _BOM.startswith(buffer):
                self._buffer = buffer
                return []
            self._start = False
            buffer = buffer.removeprefix(_BOM)
        if not self._data:
            events = self._plainly(buffer)
            if events is not None:
                return events
        if b"\r" in buffer:
            self._after_cr = buffer.endswith(b"\r")
            buffer = buffer.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *lines, self._buffer = buffer.split(b"\n")
        events = self._take(lines)
        if len(self._buffer) > self._limit:
            self._too_large = True
        if self._too_large and not events:
            self._refuse()
        return events

    def _plainly(self, buffer: bytes) -> list[bytes] | None:
        """The events of bytes as LoRAX sends them, each one line of data and a blank one; else None.

        It finds what the general way finds, and takes a third of its time.
        """
        *blocks, rest = buffer.split(b"\n\n")
        # `find`, since `in` looks for a number first, and an exception that is not raised takes 0.3 us
        if not blocks or rest.find(b"\n") >= 0 or buffer.find(b"\r") >= 0:
            return None
        if len(rest) > self._limit:
            return None
        events: list[bytes] = []
        for block in blocks:
            if not block.startswith(b"data:") or block.find(b"\n") >= 0 or len(block) > self._limit:
                return None
            events.append(block[6:] if block.startswith(b"data: ") else block[5:])
        self._buffer = rest
        return events

    def finish(self) -> list[bytes]:
        """End of the body: what was not ended by a blank line is no event.

        Raises:
            EventTooLarge: When the last event grew past the limit.
        """
        if self._too_large:
            self._refuse()
        self._buffer = b""
        self._data = []
        self._size = 0
        return []

    def _take(self, lines: list[bytes]) -> list[bytes]:
        """Whole lines, up to the first that makes an event too large."""
        events: list[bytes] = []
        for line in lines:
            if len(line) > self._limit:
                self._too_large = True
                break
            if not line:
                if self._data:
                    events.append(b"\n".join(self._data))
                    self._data = []
                    self._size = 0
                continue
            name, _, value = line.partition(b":")
            if name != b"data":
                continue
            value = value.removeprefix(b" ")
            self._data.append(value)
            # the LF that joins two lines counts, so that empty ones cannot be without end
            self._size += len(value) + 1
            if self._size > self._limit + 1:
                self._too_large = True
                break
        return events

    def _refuse(self) -> NoReturn:
        raise EventTooLarge(f"an event of more than {self._limit} bytes")


def encode(data: bytes) -> bytes:
    """Frame one JSON document, which must hold no raw line end, as one event."""
    return b"data: " + escape_line_ends(data) + b"\n\n"


def escape_line_ends(document: bytes) -> bytes:
    r"""Write U+2028, U+2029 and U+0085 as JSON escapes; valid JSON holds them inside strings only.

    Common SSE readers split lines at them: httpx's `iter_lines` (httpx/_decoders.py:335) and all
    that use `str.splitlines`.
    """
    if document.isascii():
        return document
    if b"\xe2\x80" in document:
        document = document.replace(b"\xe2\x80\xa8", b"\\u2028").replace(
            b"\xe2\x80\xa9", b"\\u2029"
        )
    if b"\xc2\x85" in document:
        document = document.replace(b"\xc2\x85", b"\\u0085")
    return document
