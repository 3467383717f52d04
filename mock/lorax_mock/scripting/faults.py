"""Faults by id: what may go wrong between an answer and its reader.

An id is short text, `kind`, `kind@place`, `kind:value` or `kind@place:value`. It is what a script names,
what the reply's `x-lorax-mock-fault` header tells, and what a request's header of that name asks for
again, so a failure seen once is a failure that can be shown.

A fault is a member of `FaultKind`, which has its form and what users are told of it (docs/mock.md has the same
table), and a case of `effect_of`, which has all that it does.

A whole answer is one event, number 0. It tells the length of what is sent, and if it is cut off that of the whole;
without its final event it is empty.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final, assert_never

from lorax_mock.errors import LoraxRefusal, generation, incomplete, overloaded
from lorax_mock.hashing import Draws
from lorax_mock.nearest import nearest_hint
from lorax_mock.wire.replies import KEEP_ALIVE, encode_error, sse

__all__ = [
    "Act",
    "Close",
    "Effect",
    "Fault",
    "FaultError",
    "FaultForm",
    "FaultKind",
    "Send",
    "Stall",
    "effect_of",
    "parse_fault",
]


class FaultError(Exception):
    """The id is none of a fault; the text names the nearest kind, or the right form."""


@dataclass(frozen=True, slots=True)
class FaultForm:
    """How a kind of fault is written, and what it does in words."""

    ids: tuple[str, ...]
    """Its ids as users are shown them, places and values by a word in capitals."""

    told: str
    """What it does, as docs/mock.md says it."""

    value: str | None = None
    """A regular expression for the value; None for no value; an empty match makes it optional."""

    @property
    def has_place(self) -> bool:
        """Whether an id must say where, or must not."""
        return "@" in self.ids[0]


class FaultKind(Enum):
    """Every kind of fault; an id begins with the name of its kind in small letters."""

    OVERLOAD = FaultForm(
        ("overload", "overload:SECONDS"),
        "429; with seconds also a `retry-after`, which LoRAX itself never sends",
        r"\d{0,9}",
    )
    STATUS = FaultForm(("status:CODE",), "that status with a balancer's HTML page", r"[45]\d\d")
    ERROR = FaultForm(
        ("error@K", "error@K:overloaded"),
        "an error event after K tokens; when not streaming 424, or 429 if overloaded",
        r"(generation|overloaded)?",
    )
    INCOMPLETE = FaultForm(
        ("incomplete@K",), "LoRAX's `Incomplete generation` after K tokens; when not streaming 500"
    )
    NOFINAL = FaultForm(("nofinal",), "the stream ends well without its final event")
    CUT = FaultForm(("cut@B",), "FIN after B bytes of the body, also inside a character")
    RESET = FaultForm(
        ("reset@B",), "RST after B bytes of the body; `reset@0` answers nothing at all"
    )
    STALL = FaultForm(
        ("stall@K", "stall@K:SECONDS"),
        "silence before event K; without seconds for ever",
        r"(\d{1,9}(\.\d{1,9})?)?",
    )
    DRIP = FaultForm(("drip:N",), "the body in chunks of N bytes", r"[1-9]\d{0,8}")
    RECHUNK = FaultForm(
        ("rechunk:SEED",), "the body in chunks of changing sizes, also inside characters", r"\d+"
    )
    CRLF = FaultForm(("crlf",), "lines end with CR LF")
    COMMENTS = FaultForm(("comments",), "a keep-alive comment before every event")
    DUPLICATE = FaultForm(("duplicate@K",), "event K twice")
    GARBAGE = FaultForm(("garbage@K",), "an event that is not JSON before event K")
    OVERSIZE = FaultForm(("oversize@K:BYTES",), "event K padded with white space", r"[1-9]\d{0,8}")
    MIME = FaultForm(("mime:TYPE",), "another content type", r"[\w.+/-]+(; ?[\w=-]+)?")

    def __str__(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault; `str()` is its id."""

    kind: FaultKind
    place: int | None = None
    value: str | None = None

    def __str__(self) -> str:
        place = "" if self.place is None else f"@{self.place}"
        value = "" if self.value is None else f":{self.value}"
        return f"{self.kind}{place}{value}"


_ID: Final = re.compile(r"([a-z]+)(?:@(\d{1,9}))?(?::(.+))?", re.ASCII)
_NAMES: Final = {str(kind): kind for kind in FaultKind}


def parse_fault(text: str) -> Fault:
    """The fault of an id; raises FaultError."""
    match = _ID.fullmatch(text.strip())
    kind = _NAMES.get(match[1]) if match else None
    if match is None or kind is None:
        name = re.split(r"[@:]", text.strip())[0]
        raise FaultError(f"unknown fault {text!r}; {nearest_hint(name, _NAMES)}")
    form = kind.value
    if form.has_place != (match[2] is not None):
        wanted = f"{kind}@K" if form.has_place else str(kind)
        raise FaultError(f"fault {text!r} should have the form {wanted}")
    if not re.fullmatch(form.value or "", match[3] or "", re.ASCII):
        wanted = "no value" if form.value is None else f"a value that matches {form.value}"
        raise FaultError(f"fault {text!r} takes {wanted}")
    return Fault(kind, None if match[2] is None else int(match[2]), match[3])


@dataclass(frozen=True, slots=True)
class Send:
    """One chunk of the body."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Stall:
    """A pause without a byte; it lasts for ever when `seconds` is None."""

    seconds: float | None


@dataclass(frozen=True, slots=True)
class Close:
    """The end of the connection, in the middle of the answer."""

    reset: bool


Act = Send | Stall | Close


def _sends(events: list[bytes]) -> list[Act]:
    return [Send(event) for event in events]


@dataclass(frozen=True, slots=True)
class Effect:
    """What a fault does, as far as it differs from an answer without one."""

    acts: Callable[[list[bytes]], list[Act]] = _sends
    """What to do in place of sending the events one by one. A whole body is one event."""

    cuts: bool = False
    """Whether a stream may lack its final event by it."""

    refusal: LoraxRefusal | None = None
    """What is said instead of an answer, or after the tokens that `acts` lets pass."""

    retry_after: str | None = None
    """Seconds, for a header of that name."""

    page: int | None = None
    """The status of a balancer's page that comes instead of any answer."""

    hangs_up: bool = False
    """Whether the connection ends before the status line."""

    content_type: bytes | None = None
    """What the answer says it is."""


def effect_of(fault: Fault) -> Effect:
    """What a fault does."""
    place, value = fault.place or 0, fault.value
    match fault.kind:
        case FaultKind.OVERLOAD:
            return Effect(refusal=overloaded(), retry_after=value)
        case FaultKind.STATUS:
            return Effect(page=int(value or 503))
        case FaultKind.ERROR if value == "overloaded":
            return _fails_after(place, overloaded())
        case FaultKind.ERROR:
            return _fails_after(place, generation("Server error: a fault that was asked for"))
        case FaultKind.INCOMPLETE:
            return _fails_after(place, incomplete())
        case FaultKind.NOFINAL:
            return Effect(lambda events: _sends(events[:-1]), cuts=True)
        case FaultKind.CUT:
            return Effect(lambda events: _ended(events, place, reset=False), cuts=True)
        case FaultKind.RESET:
            return Effect(
                lambda events: _ended(events, place, reset=True), cuts=True, hangs_up=place == 0
            )
        case FaultKind.STALL:
            stall = Stall(None if value is None else float(value))
            return Effect(lambda events: [*_sends(events[:place]), stall, *_sends(events[place:])])
        case FaultKind.DRIP:
            return Effect(lambda events: _chunks(b"".join(events), [int(value or 1)]))
        case FaultKind.RECHUNK:
            draws = Draws(b"rechunk", value or "")
            sizes = [1 + draws.byte() % 64 for _ in range(257)]
            return Effect(lambda events: _chunks(b"".join(events), sizes))
        case FaultKind.CRLF:
            return Effect(lambda events: [Send(one.replace(b"\n", b"\r\n")) for one in events])
        case FaultKind.COMMENTS:
            return Effect(
                lambda events: _sends([part for one in events for part in (KEEP_ALIVE, one)])
            )
        case FaultKind.DUPLICATE:
            return Effect(lambda events: _sends([*events[: place + 1], *events[place:]]))
        case FaultKind.GARBAGE:
            garbage = b"data: {not json\n\n"
            return Effect(lambda events: _sends([*events[:place], garbage, *events[place:]]))
        case FaultKind.OVERSIZE:
            return Effect(lambda events: _sends(_padded(events, place, int(value or 0))))
        case FaultKind.MIME:
            return Effect(content_type=(value or "").encode())
        case _:
            assert_never(fault.kind)


def _fails_after(place: int, refusal: LoraxRefusal) -> Effect:
    event = sse(encode_error(refusal.message, refusal.error_type))
    return Effect(lambda events: _sends([*events[:place], event]), cuts=True, refusal=refusal)


def _ended(events: list[bytes], place: int, *, reset: bool) -> list[Act]:
    head: list[Act] = [Send(b"".join(events)[:place])] if place else []
    return [*head, Close(reset=reset)]


def _padded(events: list[bytes], place: int, size: int) -> list[bytes]:
    padded = [one.removesuffix(b"\n\n") + b" " * size + b"\n\n" for one in events[place:][:1]]
    return [*events[:place], *padded, *events[place + 1 :]]


def _chunks(body: bytes, sizes: list[int]) -> list[Act]:
    out: list[Act] = []
    at = 0
    while at < len(body):
        size = sizes[len(out) % len(sizes)]
        out.append(Send(body[at : at + size]))
        at += size
    return out
