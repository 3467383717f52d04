"""`make bench`: measure, print the table, and write it with its picture into docs/performance.md."""

import asyncio
import os
import platform
import subprocess
from collections import defaultdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from tests.bench.client import Load
from tests.bench.contenders import Contender, cpu_seconds, pin, running
from tests.bench.report import Measured, picture, table

_WHOLE = "whole answer, 16 connections"
_STREAM = "streamed event, 16 connections"
_PACED = "streamed event, {} streams at 20 ms"
_PATIENCE = 120.0
"""Seconds in which all streams must have begun."""

_BEGIN, _END = "<!-- bench -->\n", "<!-- /bench -->\n"


async def measure(
    contender: Contender,
    request: bytes,
    connections: int,
    *,
    events: bool,
    warm: float,
    take: float,
) -> Measured:
    """Ask a contender over so many connections, and measure it for `take` seconds once each has begun an answer.

    Raises SystemExit when an answer is wrong.
    """
    load = Load("127.0.0.1", contender.port, request, contender.events if events else range(1))
    try:
        await load.start(connections, warm)
        counts = load.counts
        async with asyncio.timeout(_PATIENCE):
            while counts.begun < connections and not counts.wrong:  # noqa: ASYNC110 - each read counts
                await asyncio.sleep(0.05)
        await asyncio.sleep(warm)
        loop = asyncio.get_running_loop()
        began, cpu = loop.time(), cpu_seconds(contender.pid)
        units = counts.events if events else counts.answers
        await asyncio.sleep(take)
        units = (counts.events if events else counts.answers) - units
        seconds, cpu = loop.time() - began, cpu_seconds(contender.pid) - cpu
    finally:
        load.stop()
    if counts.wrong or not units:
        raise SystemExit(f"{contender.name}: {counts.wrong} wrong answers: {counts.example!r}")
    return Measured(cpu / units * 1e6, units / seconds, cpu / seconds)


async def _rounds(
    rounds: int, streams: int, seconds: float
) -> tuple[dict[tuple[str, str], list[Measured]], str]:
    results: dict[tuple[str, str], list[Measured]] = defaultdict(list)
    for paced in (False, True):
        scenarios = (
            [(_PACED.format(streams), streams, True)]
            if paced
            else [(_WHOLE, 16, False), (_STREAM, 16, True)]
        )
        with running(paced=paced) as setup:
            for scenario, connections, events in scenarios:
                for number in range(rounds):
                    # the order turns, so that none is always the first
                    turn = number % len(setup.contenders)
                    for one in [*setup.contenders[turn:], *setup.contenders[:turn]]:
                        request = one.stream if events else one.whole
                        if request is None:
                            continue
                        results[scenario, one.name].append(
                            await measure(
                                one,
                                request,
                                connections,
                                events=events,
                                warm=max(seconds / 2, 2.6 if paced else 0.0),
                                take=seconds,
                            )
                        )
                        # what was broken off is let go of
                        await asyncio.sleep(min(0.5, seconds))
    order = {one.name: place for place, one in enumerate(setup.contenders)}
    return dict(sorted(results.items(), key=lambda each: order[each[0][1]])), setup.nginx


def _machine(nginx: str) -> str:
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        cpu = names[0].partition(":")[2].strip() if names else cpu
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    load = f"{os.getloadavg()[0]:.1f}"
    return (
        f"{datetime.now(UTC):%d %B %Y}, commit {commit or 'unknown'}: {cpu}, {os.cpu_count()} cores with "
        f"a load of {load} before it began; {platform.system()} {platform.release()}, Python "
        f"{platform.python_version()}, uvloop {version('uvloop')}, "
        f"nginx {nginx}."
    )


def main(
    rounds: Annotated[int, typer.Option(help="measurements of each kind")] = 5,
    streams: Annotated[int, typer.Option(help="paced streams")] = 200,
    seconds: Annotated[float, typer.Option(help="of one measurement")] = 3.0,
    output: Annotated[Path, typer.Option(help="where the section stands")] = Path(
        "docs/performance.md"
    ),
) -> None:
    """Measure what a request and a streamed event cost, in processor time."""
    machine = _machine("?")
    pin((os.cpu_count() or 1) - 1)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        results, nginx = runner.run(_rounds(rounds, streams, seconds))
    lines = table(results)
    told = [
        machine.replace("nginx ?.", f"nginx {nginx or 'not installed'}."),
        f"Medians of {rounds} interleaved rounds of {seconds:g} s.",
    ]
    typer.echo("\n".join([*told, "", *lines]))
    image = output.with_suffix(".svg")
    image.write_text(picture(results))
    before, _, rest = output.read_text().partition(_BEGIN)
    _, _, after = rest.partition(_END)
    section = "\n".join([*told, "", *lines, "", f"![the medians as bars]({image.name})", ""])
    output.write_text(f"{before}{_BEGIN}\n{section}\n{_END}{after}")
    typer.echo(f"\nwritten to {output} and {image}")


if __name__ == "__main__":
    typer.run(main)
