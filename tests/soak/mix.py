"""What a soak asks, and what the mock is scripted to say to it.

Every prompt names its text, and its fault if it has one, so the mock's rules need no state and each
answer can be judged for itself: one that holds another's text shows at once.
"""

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

__all__ = ["LONGEST", "Ask", "Conduct", "Expected", "Mix", "script"]


class Expected(Enum):
    """How an answer must end."""

    COMPLETE = "complete"
    BROKEN = "broken"
    """The way to LoRAX, or LoRAX itself, fails in the middle: an error, and never a short answer."""
    REFUSED = "refused"
    """LoRAX refuses at once: the status that is told for it."""


class Conduct(Enum):
    """How the client behaves."""

    READS = "reads"
    SLOW = "reads slowly"
    LEAVES = "leaves"


@dataclass(frozen=True, slots=True)
class Ask:
    """One request, and what its answer must be.

    Attributes:
        kind: What it is called in the report.
        path: Where it goes.
        body: What it says.
        text: The whole text of each choice.
        statuses: The statuses that it may have; 200 alone for a stream that breaks off later.
        twice: Whether LoRAX says some of it twice: a stream can only tell at its end.
    """

    kind: str
    path: str
    body: bytes
    stream: bool
    choices: int
    text: str
    expected: Expected
    conduct: Conduct = Conduct.READS
    statuses: tuple[int, ...] = (200,)
    twice: bool = False


_WORDS = (
    *("reef", "coral", "tide", "anchor", "lantern", "harbour", "kelp", "gull", "mast", "compass"),
    *("naïve", "café", "海の中", "🐠🐙", "mañana", "“quoted”", "tab\tstop", "line\nbreak"),
)

_TEXTS = 32
_LONG = 0
"""The number of the text that slow clients read, and that deaf ones do not: 720 KB, more than the
proxy and its kernel take for a client, in few tokens, so that saying it is no load."""

_HALT = "halt"
"""What the stop string cuts at; it stands once in each text, in its middle."""

_BREAKING = (
    *("cut@400", "cut@900", "reset@500", "nofinal", "error@3", "incomplete@2", "garbage@4"),
    "duplicate@3",
)
_BREAKING_WHOLE = ("cut@200", "reset@150", "reset@0", "error@3", "status:500")
_BENIGN = ("drip:7", "rechunk:3", "crlf", "comments", "oversize@2:20000")
_REFUSING: Mapping[str, tuple[int, ...]] = {
    "overload": (429,),
    "status:502": (502, 503),
    "status:503": (503,),
}
_HANGING = "stall@3"

_BUDGET = 2000
"""Tokens that each request may have: more than the longest text."""

_FAULTY_TEXTS = 3
"""How many of the texts each fault is scripted for."""


_LONG_TOKENS = [f" {number}" + " compass" * 1_800 for number in range(50)]


def _text(number: int) -> str:
    if number == _LONG:
        return "".join(_LONG_TOKENS)
    draws = random.Random(number)
    length = draws.randrange(20, 90)
    words = [draws.choice(_WORDS) for _ in range(length)]
    words[length // 2] = _HALT
    return f"Answer {number}: " + " ".join(words) + "."


def _mark(number: int, fault: str = "") -> str:
    return f"[{number}|{fault}]"


def script() -> Mapping[str, Any]:
    """The mock's rules."""
    rules: list[dict[str, Any]] = []
    for fault in {*_BREAKING, *_BREAKING_WHOLE, *_BENIGN, *_REFUSING, _HANGING}:
        for number in range(1, 1 + _FAULTY_TEXTS):
            when = {"prompt_contains": _mark(number, fault)}
            rules.append({"when": when, "reply": {"text": _text(number)}, "fault": fault})
    for number in range(_TEXTS):
        when = {"prompt_contains": _mark(number)}
        # with a pace it is off the shard, where clients that read nothing would hold every place
        pace = {"pace": {"first_ms": 0, "step_ms": 0}} if number == _LONG else {}
        reply: dict[str, Any] = {"text": _text(number)}
        if number == _LONG:
            reply = {"tokens": _LONG_TOKENS}
        rules.append({"when": when, "reply": reply, **pace})
    return {"strict": True, "rules": rules}


class Mix:
    """Draws requests, the same ones for the same seed."""

    def __init__(self, seed: int, faults: float) -> None:
        """Prepare.

        Args:
            seed: What is drawn.
            faults: The share of requests whose upstream answer is faulty, 0 to 1.
        """
        self._draws = random.Random(seed)
        self._faults = faults

    def next(self) -> Ask:
        """The next request."""
        draws = self._draws
        if draws.random() < self._faults:
            return self._faulty()
        if draws.random() < 0.03:
            return self._leaving()
        if draws.random() < 0.005:
            return _chat("slow reader", _LONG, stream=True, conduct=Conduct.SLOW)
        number = draws.randrange(1, _TEXTS)
        return draws.choice(_HEALTHY)(number)

    def _faulty(self) -> Ask:
        draws = self._draws
        number = draws.randrange(1, 1 + _FAULTY_TEXTS)
        match draws.randrange(4):
            case 0:
                fault = draws.choice(_BENIGN)
                return _chat(f"stream, {fault}", number, stream=True, fault=fault)
            case 1:
                fault = draws.choice(list(_REFUSING))
                return _chat(
                    f"refused, {fault}",
                    number,
                    stream=draws.random() < 0.5,
                    fault=fault,
                    expected=Expected.REFUSED,
                    statuses=_REFUSING[fault],
                )
            case 2:
                fault = draws.choice(_BREAKING_WHOLE)
                return _chat(
                    f"whole, {fault}",
                    number,
                    stream=False,
                    fault=fault,
                    expected=Expected.BROKEN,
                    statuses=(424, 500, 502, 503, 504),
                )
            case _:
                fault = draws.choice(_BREAKING)
                return _chat(
                    f"stream, {fault}",
                    number,
                    stream=True,
                    choices=draws.choice((1, 1, 2)),
                    fault=fault,
                    expected=Expected.BROKEN,
                    statuses=(200, 424, 500, 502, 503, 504),
                )

    def _leaving(self) -> Ask:
        number = self._draws.randrange(1, 1 + _FAULTY_TEXTS)
        return _chat("leaver", number, stream=True, fault=_HANGING, conduct=Conduct.LEAVES)


def _chat(
    kind: str,
    number: int,
    *,
    stream: bool,
    choices: int = 1,
    fault: str = "",
    expected: Expected = Expected.COMPLETE,
    conduct: Conduct = Conduct.READS,
    statuses: Sequence[int] = (200,),
    cut: bool = False,
    **more: object,
) -> Ask:
    document = {
        "model": "",
        "messages": [{"role": "user", "content": f"Say {_mark(number, fault)}"}],
        "stream": stream,
        "n": choices,
        "max_tokens": _BUDGET,
        **({"stop": [_HALT]} if cut else {}),
        **more,
    }
    text = _text(number)
    return Ask(
        kind=kind,
        path="/v1/chat/completions",
        body=json.dumps(document).encode(),
        stream=stream,
        choices=choices,
        text=text.partition(_HALT)[0] if cut else text,
        expected=expected,
        conduct=conduct,
        statuses=tuple(statuses),
        twice=fault.startswith("duplicate"),
    )


def _completion(kind: str, number: int, *, stream: bool) -> Ask:
    document = {
        "model": "",
        "prompt": f"Say {_mark(number)}",
        "stream": stream,
        "max_tokens": _BUDGET,
    }
    return Ask(
        kind=kind,
        path="/v1/completions",
        body=json.dumps(document).encode(),
        stream=stream,
        choices=1,
        text=_text(number),
        expected=Expected.COMPLETE,
    )


_HEALTHY = (
    lambda number: _chat("chat, streamed", number, stream=True),
    lambda number: _chat("chat, streamed", number, stream=True),
    lambda number: _chat("chat, whole", number, stream=False),
    lambda number: _chat("two choices, streamed", number, stream=True, choices=2),
    lambda number: _chat("two choices, whole", number, stream=False, choices=2),
    lambda number: _chat("stop string, streamed", number, stream=True, cut=True),
    lambda number: _chat("stop string, whole", number, stream=False, cut=True),
    lambda number: _chat("adapter, streamed", number, stream=True, model="acme/pirate"),
    lambda number: _chat("logprobs", number, stream=True, logprobs=True, top_logprobs=5),
    lambda number: _chat("usage", number, stream=True, stream_options={"include_usage": True}),
    lambda number: _completion("completion, streamed", number, stream=True),
    lambda number: _completion("completion, whole", number, stream=False),
)

LONGEST = _chat("long, streamed", _LONG, stream=True).body
"""A request for the longest text, for whoever reads none of it."""
