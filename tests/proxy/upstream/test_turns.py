"""Dear steps take turns, and whatever else is ready gets through between."""

import asyncio
import contextlib

from lorax_proxy.upstream.turns import Turns


async def test_one_step_a_turn() -> None:
    """However many wait: each in its own turn of the loop, in the order in which they came."""
    loop = asyncio.get_running_loop()
    turns = Turns(loop)
    turn = 0
    taken: list[tuple[int, int]] = []

    def count() -> None:
        nonlocal turn
        turn += 1
        loop.call_soon(count)

    async def step(name: int) -> None:
        await turns.mine()
        taken.append((name, turn))

    loop.call_soon(count)
    await asyncio.gather(*(step(name) for name in range(20)))
    assert [name for name, _ in taken] == list(range(20))
    assert len({at for _, at in taken}) == 20
    # the queue has run empty, and begins anew
    await asyncio.wait_for(turns.mine(), 5)


async def test_who_gave_up_takes_no_turn() -> None:
    """A cancelled step lets the next one through."""
    turns = Turns(asyncio.get_running_loop())
    first, second = (asyncio.ensure_future(turns.mine()) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait_for(second, 5)
    with contextlib.suppress(asyncio.CancelledError):
        await first
    assert first.cancelled()
