"""What one request's two wires carried, as a value: bytes in the order in which they passed, with times.

`tap` fills it in, while a page is open; `core.inspection.report` says what it means.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

import msgspec

from lorax_proxy.core.plan import Plan
from lorax_proxy.errors import Lost

__all__ = ["HIDDEN", "Call", "Moment", "Outline", "Recording", "Way", "hide_secrets", "hide_token"]

_SECRET = re.compile(r"auth|cookie|key|secret|(?<!-per-)(?<!-output-)(?<!-first-)token(?!s)")
"""In a header's name; LoRAX counts and times tokens in others."""

HIDDEN = "(hidden)"

_TOKEN = re.compile(
    rb'("api_token"\s*:\s*)"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)',
    re.DOTALL,
)
_HIDDEN_TOKEN = rb'\1"%b"' % HIDDEN.encode()


class Way(Enum):
    """Which way bytes went."""

    ASKED = "asked"
    """From the client: OpenAI's request."""
    SENT = "sent"
    """To LoRAX: its request."""
    CAME = "came"
    """From LoRAX: its answer."""
    ENDED = "ended"
    """LoRAX's answer came to its end."""
    CLOSED = "closed"
    """The proxy closed LoRAX's answer before it came to its end: LoRAX stops then."""
    BROKE = "broke"
    """LoRAX's answer broke off, or never came."""
    ANSWERED = "answered"
    """To the client: OpenAI's answer."""
    DONE = "done"
    """The answer to the client is complete."""


class Moment(msgspec.Struct, frozen=True, gc=False):
    """Bytes that passed together.

    Attributes:
        at: Seconds since the request arrived.
        call: Which LoRAX request of this one, counted from 0.
        size: How many bytes.
        data: The bytes; none when texts are not to be kept, or when there were too many.
    """

    at: float
    way: Way
    call: int = 0
    size: int = 0
    data: bytes = b""


class Outline(msgspec.Struct, frozen=True):
    """What is kept of a plan: not its prompts and requests, which may be megabytes that nothing counts.

    Attributes:
        stops: The strings that the answer's text ends before.
        plain: Whether the answer is LoRAX's text, and no calls that are made of it.
        cut: Whether each choice is a beginning of one answer of LoRAX's.
    """

    stops: tuple[str, ...] = ()
    plain: bool = True
    cut: bool = True

    @classmethod
    def of(cls, plan: Plan) -> "Outline":
        """The outline of a plan."""
        plain = plan.reading.grammar is None
        # echoes, and the likeliest of several, are no beginning of the answer of their place
        cut = plain and not plan.echo and plan.tries == plan.choices
        return cls(plan.reading.stops, plain, cut)


@dataclass(slots=True)
class Call:
    """One LoRAX request.

    Attributes:
        status: Of its answer; 0 until the head is here.
        headers: The answer's.
        lost: Why no answer came, or no more of it.
    """

    method: str
    path: str
    status: int = 0
    headers: Sequence[tuple[str, str]] = ()
    lost: str | None = None


@dataclass(slots=True)
class Recording:
    """One request's two wires.

    Attributes:
        headers: OpenAI's request's, without secrets.
        status: Of the answer to the client; 0 until its head is sent.
        answer_headers: The answer's, without those of its framing.
        calls: LoRAX's requests, in the order in which they were sent.
        moments: What passed, in order; bodies without the framing of HTTP.
        texts: Whether bytes are kept.
        cut: Whether there were more bytes, or moments, than are kept.
        adapters: The LoRAX adapter ids that the model's name stands for.
        specials: The spellings of the prompt's special tokens.
        bos: What `/generate` puts before the prompt.
        outline: What the request became, if texts are kept.
        prompt_tokens: Of all prompts, if LoRAX told them.
    """

    method: str
    path: str
    headers: Sequence[tuple[str, str]]
    texts: bool
    status: int = 0
    answer_headers: Sequence[tuple[str, str]] = ()
    calls: list[Call] = field(default_factory=list[Call])
    moments: list[Moment] = field(default_factory=list[Moment])
    cut: bool = False
    adapters: Sequence[str] = ()
    specials: Sequence[str] = ()
    bos: str = ""
    outline: Outline | None = None
    prompt_tokens: int | None = None

    @property
    def sent(self) -> Sequence[tuple[int, Call]]:
        """The LoRAX requests that were sent, with their places in `calls`; a choice has one.

        One that was kept back, since the server may have been exchanged meanwhile, is not among them:
        the same request follows it on a new connection.
        """
        return [
            (index, call)
            for index, call in enumerate(self.calls)
            if call.lost != Lost.RENEWED.value
        ]

    def body(self, way: Way, call: int = 0) -> bytes:
        """All the bytes of one way."""
        return b"".join(
            moment.data for moment in self.moments if moment.way is way and moment.call == call
        )

    def snapshot(self) -> "Recording":
        """The same as of now: what passes later is not in it."""
        return replace(self, calls=[replace(call) for call in self.calls], moments=[*self.moments])


def hide_secrets(headers: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Headers without what may be a key or a token."""
    return tuple((name, HIDDEN if _SECRET.search(name) else value) for name, value in headers)


def hide_token(body: bytes) -> bytes:
    """A request of either wire without a download token: nobody is to see it who may see texts.

    LoRAX's has an adapter's; in OpenAI's a client of LoRAX may have left its own, which is refused.
    Everything else stays, byte for byte, also of a body that is no JSON, or only the beginning of one.
    """
    return _TOKEN.sub(_HIDDEN_TOKEN, body) if b'"api_token"' in body else body
