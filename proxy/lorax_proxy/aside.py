"""Work that takes long by its size, in a thread: the event loop is everybody's.

One thread for large inputs, so that only one of them is in memory at a time: each thread that runs may
hold the interpreter for 5 ms before the loop gets its turn. One for small inputs that are expensive to
process, so that they do not wait behind a large one. The work is bounded by what is checked before it
(`core`), so that a thread comes free again; work whose client leaves before its turn is never begun.

The garbage collector rests meanwhile: a document of 2 MiB is some 500,000 objects, and a collection
that looks at all of them holds the interpreter for 100 ms and more, and finds nothing. It runs when
the work is done and the document gone.
"""

import asyncio
import functools
import gc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

__all__ = ["LARGE", "aside", "expensive"]

_P = ParamSpec("_P")
_T = TypeVar("_T")

LARGE = 16 * 1024
"""Bytes of input from which on work goes aside: the most expensive of it takes some 1 us a byte, and going
aside some 100 us."""

_THREAD = ThreadPoolExecutor(max_workers=1, thread_name_prefix="aside")
_EXPENSIVE = ThreadPoolExecutor(max_workers=1, thread_name_prefix="expensive")


async def aside(size: int, work: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """Do `work` here if it is small, else in a thread.

    Args:
        size: Bytes of what it works on, or what amounts to them.
        work: A function that touches nothing that others touch.
        *args: What it is called with.
        **kwargs: As well.
    """
    if size < LARGE:
        return work(*args, **kwargs)

    def done() -> _T:
        collects = gc.isenabled()
        gc.disable()
        try:
            return work(*args, **kwargs)
        finally:
            if collects:
                gc.enable()

    return await asyncio.get_running_loop().run_in_executor(_THREAD, done)


async def expensive(work: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """Do `work`, which is long for its size, in a thread; otherwise as `aside`."""
    call = functools.partial(work, *args, **kwargs)
    return await asyncio.get_running_loop().run_in_executor(_EXPENSIVE, call)
