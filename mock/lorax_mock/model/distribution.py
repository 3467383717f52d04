"""The probabilities that the made-up model gives to its next token, rank by rank.

Every step has a confidence `p` for the likeliest token; what is left is halved rank by rank, so
that the ranks descend and never sum to more than one. Temperature sharpens or flattens `p`; top-k,
top-p and typical-p forbid the ranks behind them and share out what those held, as masks do in the
shard, where a forbidden token's logprob is -inf and prints as null.

Where a request's own numbers leave half precision's range, no logit is a number any more (`Overflowed`).

Greedy decoding takes rank 0. Sampling mostly does too, which is what sampling from a confident
model looks like; then the chosen token appears at its rank among the alternatives.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from lorax_mock.serde.floats import f32
from lorax_mock.wire.native import GenerateParameters

__all__ = ["Distribution", "Overflowed", "distribution_for", "overflows"]

_FLOOR: Final = 0.34
"""Above one third, rank 0 stays above rank 1, which has half of the remainder."""

_RANK_TICKS: Final = (216, 240, 250, 256)
"""Of 256 sampled tokens: how many are of rank 0, up to 1, up to 2, up to 3."""


_SMALLEST: Final = 2e-4
"""Dividing by it, or by less, the likeliest logit (some 13 and more) passes float16's largest number."""

_LARGEST: Final = 65_504.0
"""Of float16: a temperature above it is infinite there."""

_RANKS: Final = 64
"""Ranks whose mass is counted; those behind them hold next to nothing."""


@dataclass(frozen=True, slots=True)
class _Step:
    """For one confidence: the mass that no mask forbids, and the ranks that it covers."""

    confidence: float
    mass: float
    ranks: int


def distribution_for(
    parameters: GenerateParameters, *, samples: bool, forced: bool
) -> "Distribution":
    """The distributions that a request's sampling parameters leave; equal parameters share one object."""
    if not samples:
        return _shared(samples=False, forced=forced)
    limits = [p for p in (parameters.top_p, parameters.typical_p) if p is not None and p < 1]
    return _shared(
        samples=True,
        temperature=parameters.temperature or 1.0,
        top_k=parameters.top_k,
        nucleus=min(limits, default=None),
        forced=forced,
    )


def overflows(parameters: GenerateParameters, *, samples: bool, forced: bool) -> bool:
    """Whether logits leave float16, in which `/info` says that the shard computes.

    It divides them by the temperature and by the repetition penalty, both in the model's own precision
    (server/lorax_server/utils/logits_process.py:129-138,200-204). An infinite logit makes all probabilities
    NaN; so does an infinite temperature where a schema has masked with infinities.
    """
    penalty, temperature = parameters.repetition_penalty, parameters.temperature
    if penalty is not None and penalty <= _SMALLEST:
        return True
    if not samples or temperature is None or temperature == 0:
        return False
    return temperature <= _SMALLEST or (forced and temperature > _LARGEST)


class Distribution:
    """The distributions of a request; `nucleus` is the mass that top-p or typical-p keeps."""

    def __init__(
        self,
        *,
        samples: bool,
        temperature: float = 1.0,
        top_k: int | None = None,
        nucleus: float | None = None,
        forced: bool = False,
    ) -> None:
        self._samples = samples
        self._exponent = min(max(1.0 / temperature, 0.25), 8.0)
        self._top_k = top_k
        self._nucleus = nucleus
        self._forced = forced
        self._steps = [self._step(byte) for byte in range(256)]
        self._spelled: dict[tuple[int, int], float] = {}
        self.choices = _Choices(self)

    def _step(self, byte: int) -> _Step:
        confident = _FLOOR + 0.65 * math.sqrt(byte / 255)
        # A flattened confidence never sinks below the floor: ranks must descend.
        confidence = max(_FLOOR, 1.0 - (1.0 - confident) ** self._exponent)
        confidence = min(confidence, 0.999_999)
        if self._forced:
            return _Step(confidence, confidence, 1)
        if self._top_k is None and self._nucleus is None:
            return _Step(confidence, 1.0, 2**31)
        mass, ranks = confidence, 1
        limit = _RANKS if self._top_k is None else min(self._top_k, _RANKS)
        while ranks < limit and (self._nucleus is None or mass < self._nucleus):
            mass += (1.0 - confidence) * 0.5**ranks
            ranks += 1
        if self._top_k is not None and self._nucleus is None:
            ranks = self._top_k  # those past the limit are allowed, and have no mass to speak of
        return _Step(confidence, mass, ranks)

    def rank(self, confidence: int, luck: int) -> int:
        """Which rank is chosen, from two bytes."""
        if not self._samples:
            return 0
        allowed = self._steps[confidence].ranks
        for rank, ticks in enumerate(_RANK_TICKS):
            if luck < ticks:
                return min(rank, allowed - 1)
        raise AssertionError(luck)

    def logprob(self, confidence: int, rank: int) -> float | None:
        """Log probability of a rank, as a 32-bit float; None when a mask forbids it."""
        key = (confidence, rank)
        known = self._spelled.get(key)
        if known is not None:
            return known
        step = self._steps[confidence]
        if rank >= step.ranks:
            return None
        if rank == 0:
            value = math.log(step.confidence)
        else:
            value = math.log(1.0 - step.confidence) - rank * math.log(2)
        value = f32(value - math.log(step.mass))
        self._spelled[key] = value
        return value


class _Choices(dict[tuple[int, int], tuple[int, float | None]]):
    """From two bytes, confidence and luck: which rank is chosen, and its logprob. Worked out when first asked for."""

    def __init__(self, distribution: Distribution) -> None:
        super().__init__()
        self._distribution = distribution

    def __missing__(self, key: tuple[int, int]) -> tuple[int, float | None]:
        confidence, luck = key
        rank = self._distribution.rank(confidence, luck)
        choice = self[key] = rank, self._distribution.logprob(confidence, rank)
        return choice


class Overflowed(Distribution):
    """The distributions of overflowed logits: no logprob is a number, and all alternatives are equal."""

    def __init__(self) -> None:
        super().__init__(samples=False)

    def rank(self, confidence: int, luck: int) -> int:  # noqa: ARG002 - whatever the bytes are
        """Rank 0, whatever the bytes are."""
        return 0

    def logprob(self, confidence: int, rank: int) -> float | None:  # noqa: ARG002 - whatever the bytes are
        """None, for every rank."""
        return None


_shared = lru_cache(maxsize=256)(Distribution)
"""A table of 256 steps costs as much as a short answer."""
