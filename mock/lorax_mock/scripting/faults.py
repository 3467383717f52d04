"""Faults by id: what may go wrong between an answer and its reader.

An id is short text, `kind`, `kind@place`, `kind:value` or `kind@place:value`. It is what a script names,
what the reply's `x-lorax-mock-fault` header tells, and what a request's header of that name asks for
again, so a failure seen once is a failure that can be shown.

    overload            429 as LoRAX says it; overload:SECONDS adds a retry-after that LoRAX never sends
    status:CODE         that status with a balancer's HTML page
    error@K             an error event after K tokens (a 424 when not streaming); error@K:overloaded
    incomplete@K        LoRAX's `Incomplete generation` after K tokens
    nofinal             the stream ends well without its final event
    cut@B  reset@B      FIN or RST after B bytes of the body; reset@0 before the status line
    stall@K:SECONDS     silence before event K; without seconds for ever
    drip:N              the body in chunks of N bytes
    rechunk:SEED        the body in chunks of changing sizes, also inside characters
    crlf                lines end with CR LF
    comments            a keep-alive comment before every event
    duplicate@K         event K twice
    garbage@K           an event that is not JSON before event K
    oversize@K:BYTES    event K padded with white space
    mime:TYPE           another content type

A whole answer is one event, number 0. It tells the length of what is sent, and if it is cut off that of the whole;
without its final event it is empty.

A fault is applied to bytes that are ready: `mangle` is a function of the fault and the events, and what
it gives back is a list of things to do.
"""

import re
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

from lorax_mock.errors import LoraxRefusal, generation, incomplete, overloaded
from lorax_mock.hashing import Draws
from lorax_mock.wire.replies import KEEP_ALIVE, encode_error, sse

__all__ = ["KINDS", "Act", "Close", "Fault", "FaultError", "Send", "Stall", "mangle", "parse_fault"]


class FaultError(Exception):
    """No such fault; the text names the nearest."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault; `str()` is its id."""

    kind: str
    place: int | None = None
    value: str | None = None

    def __str__(self) -> str:
        place = "" if self.place is None else f"@{self.place}"
        value = "" if self.value is None else f":{self.value}"
        return f"{self.kind}{place}{value}"

    @property
    def refusal(self) -> LoraxRefusal | None:
        """What is said instead of an answer, if anything."""
        match self.kind:
            case "overload":
                return overloaded()
            case "incomplete":
                return incomplete()
            case "error" if self.value == "overloaded":
                return overloaded()
            case "error":
                return generation("Server error: a fault that was asked for")
            case _:
                return None


@dataclass(frozen=True, slots=True)
class _Kind:
    place: bool | None
    """Whether a place must, must not, or (None) may be given."""

    value: str | None
    """What the value must look like; None for no value; an empty match makes it optional."""


KINDS: Final[dict[str, _Kind]] = {
    "overload": _Kind(place=False, value=r"\d{0,9}"),
    "status": _Kind(place=False, value=r"[45]\d\d"),
    "error": _Kind(place=True, value=r"(generation|overloaded)?"),
    "incomplete": _Kind(place=True, value=None),
    "nofinal": _Kind(place=False, value=None),
    "cut": _Kind(place=True, value=None),
    "reset": _Kind(place=True, value=None),
    "stall": _Kind(place=True, value=r"(\d{1,9}(\.\d{1,9})?)?"),
    "drip": _Kind(place=False, value=r"[1-9]\d{0,8}"),
    "rechunk": _Kind(place=False, value=r"\d+"),
    "crlf": _Kind(place=False, value=None),
    "comments": _Kind(place=False, value=None),
    "duplicate": _Kind(place=True, value=None),
    "garbage": _Kind(place=True, value=None),
    "oversize": _Kind(place=True, value=r"[1-9]\d{0,8}"),
    "mime": _Kind(place=False, value=r"[\w.+/-]+(; ?[\w=-]+)?"),
}
"""Every kind of fault and the form of its id."""

_ID: Final = re.compile(r"([a-z]+)(?:@(\d{1,9}))?(?::(.+))?", re.ASCII)


def parse_fault(text: str) -> Fault:
    """The fault of an id; raises FaultError."""
    match = _ID.fullmatch(text.strip())
    kind = KINDS.get(match[1]) if match else None
    if match is None or kind is None:
        name = re.split(r"[@:]", text.strip())[0]
        near = get_close_matches(name, KINDS, 1, 0.5)
        hint = f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(KINDS)}"
        raise FaultError(f"unknown fault {text!r}{hint}")
    if kind.place is not None and kind.place != (match[2] is not None):
        form = f"{match[1]}@K" if kind.place else match[1]
        raise FaultError(f"fault {text!r} should have the form {form}")
    if not re.fullmatch(kind.value or "", match[3] or "", re.ASCII):
        wanted = "no value" if kind.value is None else f"a value that matches {kind.value}"
        raise FaultError(f"fault {text!r} takes {wanted}")
    return Fault(match[1], None if match[2] is None else int(match[2]), match[3])


@dataclass(frozen=True, slots=True)
class Send:
    """One chunk of the body."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Stall:
    """Silence; for ever when `seconds` is None."""

    seconds: float | None


@dataclass(frozen=True, slots=True)
class Close:
    """The connection ends here, in the middle of the answer."""

    reset: bool


Act = Send | Stall | Close


def mangle(fault: Fault, events: list[bytes]) -> list[Act]:
    """What to do in place of sending `events` one by one. A whole body is one event."""
    place = fault.place or 0
    match fault.kind:
        case "cut" | "reset":
            body = b"".join(events)
            head: list[Act] = [Send(body[:place])] if place else []
            return [*head, Close(reset=fault.kind == "reset")]
        case "stall":
            seconds = None if fault.value is None else float(fault.value)
            return [*_sends(events[:place]), Stall(seconds), *_sends(events[place:])]
        case "drip":
            return _chunks(b"".join(events), [int(fault.value or 1)])
        case "rechunk":
            draws = Draws(b"rechunk", fault.value or "")
            return _chunks(b"".join(events), [1 + draws.byte() % 64 for _ in range(257)])
        case _:
            return _sends(_rewritten(fault, events, place))


def _rewritten(fault: Fault, events: list[bytes], place: int) -> list[bytes]:
    """Faults that change which events there are, or their bytes."""
    match fault.kind:
        case "error" | "incomplete":
            refusal = fault.refusal
            assert refusal is not None  # noqa: S101 - both kinds have one
            return [*events[:place], sse(encode_error(refusal.message, refusal.error_type))]
        case "nofinal":
            return events[:-1]
        case "crlf":
            return [event.replace(b"\n", b"\r\n") for event in events]
        case "comments":
            return [part for event in events for part in (KEEP_ALIVE, event)]
        case "duplicate":
            return [*events[: place + 1], *events[place:]]
        case "garbage":
            return [*events[:place], b"data: {not json\n\n", *events[place:]]
        case "oversize":
            padding = b" " * int(fault.value or 0)
            padded = [
                event.removesuffix(b"\n\n") + padding + b"\n\n" for event in events[place:][:1]
            ]
            return [*events[:place], *padded, *events[place + 1 :]]
        case _:
            return events


def _sends(events: list[bytes]) -> list[Act]:
    return [Send(event) for event in events]


def _chunks(body: bytes, sizes: list[int]) -> list[Act]:
    out: list[Act] = []
    at = 0
    while at < len(body):
        size = sizes[len(out) % len(sizes)]
        out.append(Send(body[at : at + size]))
        at += size
    return out
