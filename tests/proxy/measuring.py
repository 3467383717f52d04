"""What work takes, counted and not timed, so that no other work on the machine shows in it."""

import cProfile
import tracemalloc
from collections.abc import Callable

__all__ = ["calls_of", "most_held"]


def calls_of(work: Callable[[], object]) -> int:
    """How many calls of Python and of C are made meanwhile."""
    # it counts in C: a function of `sys.setprofile` takes some ten times as long
    profile = cProfile.Profile()
    profile.runcall(work)
    return sum(entry.callcount for entry in profile.getstats())


def most_held(work: Callable[[], object]) -> int:
    """The most bytes that are held meanwhile."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
