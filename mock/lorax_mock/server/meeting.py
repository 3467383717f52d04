"""Meetings of requests that wait for one another, from `x-lorax-mock-together` and `x-lorax-mock-at`."""

from dataclasses import dataclass
from typing import Final

from lorax_mock.errors import LoraxRefusal

__all__ = ["Meeting", "read_meeting", "refused"]

_MOST_TOGETHER: Final = 1024

_LATEST: Final = 1e9
"""Milliseconds; later than that is a mistake."""


@dataclass(frozen=True, slots=True)
class Meeting:
    """How many requests of a session wait for one another, and when this one arrives after that."""

    session: str
    count: int
    at: float
    key: bytes
    """What the request asks, hashed: the order of those that come at the same time."""


def read_meeting(
    together: bytes | None, at: bytes | None, *, session: str, key: bytes
) -> Meeting | None:
    """The meeting that the two headers ask for; None without them. Raises LoraxRefusal (400)."""
    if together is None and at is None:
        return None
    if together is None or not together.isdigit() or not 0 < int(together) <= _MOST_TOGETHER:
        raise refused(
            f"x-lorax-mock-together is how many requests meet, 1 to {_MOST_TOGETHER}"
            f", not {_shown(together)}"
        )
    try:
        milliseconds = 0.0 if at is None else float(at)
    except ValueError:
        milliseconds = -1.0
    if not 0 <= milliseconds < _LATEST:
        raise refused(
            "x-lorax-mock-at is milliseconds after the requests have met, from 0 on"
            f", not {_shown(at)}"
        )
    return Meeting(session, int(together), milliseconds, key)


def _shown(value: bytes | None) -> str:
    return "absent" if value is None else repr(value.decode("latin-1"))


def refused(text: str) -> LoraxRefusal:
    """400 for a meeting that cannot be."""
    return LoraxRefusal(400, "mock_together", f"lorax-mock: {text}", "")
