"""One probe against the correct server and against the planted servers of its family."""

from collections.abc import Callable

import pytest

from lorax_contracts.laws import law
from lorax_contracts.session import Session
from tests.contracts.inprocess import InProcess
from tests.contracts.planted import DEVIATIONS, Deviation
from tests.contracts.reference import Asked, Said, openai

__all__ = ["broken", "each_of", "quiet", "session"]

Probe = Callable[[Session], object]


def session(server: Callable[[Asked], Said] = openai) -> Session:
    """A run against the correct server, or another."""
    inside = InProcess(server)
    inside.base += "/v1"
    return Session(inside, wire="openai", model="acme/poet", strict=True)


def quiet(*probes: Probe) -> bool:
    """Whether the correct server gives no finding, and nothing is left out."""
    run = session()
    for probe in probes:
        probe(run)
    return run.findings == [] and run.skipped == []


def broken(server: Callable[[Asked], Said], *probes: Probe) -> set[str]:
    """Ids of the laws that these probes find broken without the help of others."""
    run = session(server)
    for probe in probes:
        probe(run)
    return {one.law for one in run.findings}


def each_of(*laws: str, but: str = "") -> pytest.MarkDecorator:
    """Parametrizes a test over the planted servers that break one of these laws.

    Args:
        laws: their ids.
        but: the name of a server that shows its law elsewhere.
    """
    wanted = {law(one).id for one in laws}
    chosen: list[Deviation] = [one for one in DEVIATIONS if one.law in wanted and one.name != but]
    return pytest.mark.parametrize("deviation", chosen, ids=[one.name for one in chosen])
