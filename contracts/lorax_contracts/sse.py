"""A recorded event stream, read once and told apart down to the byte.

This reader judges, so it keeps what a client's reader throws away: comments, odd lines, the bytes of
each event and what stands unfinished at the end. The rules are those of WHATWG HTML 9.2.5 and 9.2.6:
lines end at CR, LF or CRLF and nowhere else; an event ends at an empty line; what no empty line ends
is never dispatched.
"""

import json
import re
from dataclasses import dataclass
from typing import Any

__all__ = ["NOT_JSON", "Event", "Recording", "read"]

NOT_JSON = object()
"""The `value` of an event whose data is not JSON (`[DONE]` among them)."""

_LINE = re.compile(rb"([^\r\n]*)(\r\n|\r|\n)")
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Event:
    """One block of lines that an empty line ended.

    Attributes:
        offset: where its first byte stands in the body.
        raw: its bytes, the ending empty line included.
        data: its data lines joined by LF; None when it has none (a comment, a stray field).
        value: the data as JSON, or `NOT_JSON`.
        fields: names of all fields in it, "" for a comment.
    """

    offset: int
    raw: bytes
    data: bytes | None
    value: Any
    fields: tuple[str, ...]

    @property
    def is_done(self) -> bool:
        """Whether it is OpenAI's end marker."""
        return self.data is not None and self.data.strip() == b"[DONE]"


@dataclass(frozen=True, slots=True)
class Recording:
    """A whole body.

    Attributes:
        events: everything that was ended by an empty line, comments included.
        rest: bytes after the last empty line: an event that no client will see.
    """

    events: tuple[Event, ...]
    rest: bytes

    @property
    def data(self) -> tuple[Event, ...]:
        """The events that carry data, in order."""
        return tuple(event for event in self.events if event.data is not None)


def _decode(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return NOT_JSON


def read(body: bytes) -> Recording:
    """Takes the whole body of a stream; any bytes are allowed."""
    events: list[Event] = []
    start = len(_BOM) if body.startswith(_BOM) else 0
    position = start
    data: list[bytes] = []
    fields: list[str] = []
    while match := _LINE.match(body, position):
        line = match.group(1)
        position = match.end()
        if line:
            name, _, value = line.partition(b":")
            fields.append(name.decode("utf-8", "replace"))
            if name == b"data":
                data.append(value.removeprefix(b" "))
            continue
        if fields:
            joined = b"\n".join(data) if data else None
            events.append(
                Event(
                    offset=start,
                    raw=body[start:position],
                    data=joined,
                    value=NOT_JSON if joined is None else _decode(joined),
                    fields=tuple(fields),
                )
            )
        data, fields, start = [], [], position
    return Recording(tuple(events), body[start:])
