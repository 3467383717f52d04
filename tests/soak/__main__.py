"""`make soak`: minutes of mixed load, and a report; exit code 1 when anything is not as it must be."""

import asyncio
import resource
from typing import Annotated

import typer

from tests.soak.running import Options, soak


def main(
    minutes: Annotated[float, typer.Argument(help="how long, at most")] = 1.0,
    requests: Annotated[int, typer.Option(help="end after so many; 0: when time is over")] = 0,
    clients: Annotated[int, typer.Option(help="clients that ask at once")] = 32,
    faults: Annotated[float, typer.Option(help="share of faulty answers of LoRAX's")] = 0.15,
    kept: Annotated[int, typer.Option(help="idle connections that are kept open")] = 0,
    deaf: Annotated[int, typer.Option(help="clients that read nothing")] = 0,
    seed: Annotated[int, typer.Option(help="what is asked")] = 1,
    transport: Annotated[str, typer.Option(help="direct or httpx")] = "direct",
) -> None:
    """Load a proxy in front of a mock that fails, and judge every answer."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if requests and deaf:
        raise typer.BadParameter("deaf clients need a time to be left in: give minutes alone")
    options = Options(60 * minutes, clients, faults, kept, deaf, seed, transport, requests)
    report = asyncio.run(soak(options, typer.echo))
    for line in report.lines():
        typer.echo(line)
    raise typer.Exit(1 if report.faults() else 0)


typer.run(main)
