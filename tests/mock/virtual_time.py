"""An event loop whose clock jumps: who waits for a time is woken at that time, and nobody has waited.

The loop is asyncio's own; only its selector differs. Where there is nothing to do before a moment, that moment is now.
So pauses of a quarter of a minute are tested in no time, and to the millisecond.
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar

__all__ = ["VirtualLoop", "in_virtual_time"]

_T = TypeVar("_T")


class _Selector(selectors.BaseSelector):
    """Looks what is ready, and lets the clock jump instead of waiting."""

    def __init__(self) -> None:
        self._real = selectors.DefaultSelector()
        self.now = 0.0

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._real.get_map()

    def close(self) -> None:
        self._real.close()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = self._real.select(0)
        if not ready:
            if timeout is None:
                raise RuntimeError("everybody waits, and nothing will ever happen")
            self.now += max(timeout, 0.0)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop in virtual seconds, from 0 on."""

    def __init__(self) -> None:
        self._jumping = _Selector()
        super().__init__(self._jumping)

    def time(self) -> float:
        """Virtual seconds."""
        return self._jumping.now

    def stand_still(self, seconds: float) -> None:
        """Let that time pass while nothing runs, as on a machine that is busy."""
        self._jumping.now += seconds


def in_virtual_time(main: Callable[[VirtualLoop], Coroutine[Any, Any, _T]]) -> _T:
    """The result of `main`, run on a loop in virtual time, which it is given."""
    loop = VirtualLoop()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(main(loop))
