"""Servers with exactly one deviation each: what the checker must find, and under which law.

Each names the law it breaks and where it was seen: LoRAX's own endpoint by file and line, other
servers by their issue trackers. A deviation changes the request before the reference answers (`ask`),
or what it said (`say`), and nothing else. `native` holds those of LoRAX's own wire, which are changes
to what a right LoRAX says on its way to the checker.
"""

from tests.contracts.planted import (
    content,
    framing,
    limits,
    listings,
    lorax_v1,
    replies,
    requests,
    streams,
)
from tests.contracts.planted.deviation import Deviation

__all__ = ["DEVIATIONS", "Deviation"]

DEVIATIONS: tuple[Deviation, ...] = (
    *lorax_v1.DEVIATIONS,
    *replies.DEVIATIONS,
    *framing.DEVIATIONS,
    *streams.DEVIATIONS,
    *content.DEVIATIONS,
    *requests.DEVIATIONS,
    *listings.DEVIATIONS,
    *limits.DEVIATIONS,
)
