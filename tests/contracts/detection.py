"""The detection table, docs/evidence/detection.md: `python -m tests.contracts.detection`.

Each planted server is judged as `lorax-contracts check` would judge it; the table says which law was
broken on purpose, which others its consequences break, and where the deviation was seen.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from lorax_contracts.exchange import Finding
from lorax_contracts.laws import law
from lorax_contracts.opening import Server, open_lorax, open_openai
from lorax_contracts.plan import PLANS
from lorax_contracts.session import Session
from tests.contracts.inprocess import InProcess
from tests.contracts.planted import DEVIATIONS, Deviation
from tests.contracts.planted.native import PLANTED
from tests.contracts.reference import KEY
from tests.contracts.unusual import VARIATIONS

__all__ = ["PAGE", "SEEDS", "Shown", "judged", "page", "row", "shown"]

PAGE = Path(__file__).parents[2] / "docs" / "evidence" / "detection.md"

_HEAD = """# What the checker finds

{many} servers, each a correct one with exactly one deviation, and what `lorax-contracts check` says
of it. *Also named* are laws that the same deviation breaks by consequence. On the correct server
itself, and in {seeds} runs with different seeds, it finds nothing.

Written by `python -m tests.contracts.detection`; a test holds each line against a run.

| the server | law | also named | seen at |
|---|---|---|---|
"""

_LORAX = """
## LoRAX's own wire

{many} times the mock with one thing changed on its way: each is found under its law, and the mock as it
is gives no finding (`tests/contracts/probes/test_lorax.py`).

| the server | law | what is right is read at |
|---|---|---|
"""

_UNUSUAL = """
## What it lets pass

{many} right servers that do not look like OpenAI's, each one alone and drawn together: on none of them
does it find anything. What deviates from the published schema is not among them, however common: null
where only absence is published (a role, a function_call), a missing refusal, a first chunk without
choices or without a name, a status as an error's code.

| the server | it is lawful by, or seen at |
|---|---|
"""

SEEDS = 20


@dataclass(frozen=True, slots=True)
class Shown:
    """What a run of the whole plan shows, without exploration, so that it is the same each time.

    Attributes:
        every: the findings as a verdict has them.
        left: ids of the laws that were not judged.
        unclaimed: each law that no step shows of those that claim it, in a sentence: asked for
            alone it would not be found.
    """

    every: tuple[Finding, ...]
    left: frozenset[str]
    unclaimed: tuple[str, ...]

    @property
    def findings(self) -> dict[str, Finding]:
        """One of each law."""
        return {one.law: one for one in self.every}


class _Attributing(Session):
    """Remembers which laws were shown since it was last asked."""

    fresh: set[str]

    def found(self, finding: Finding) -> None:
        self.fresh.add(finding.law)
        super().found(finding)


def shown(server: Server, wire: str, **how: Any) -> Shown:
    """Every step of the wire's plan, against one server.

    Args:
        server: what is asked.
        wire: `openai` or `lorax`.
        how: other attributes of the session.
    """
    session = _Attributing(server, wire=wire, model="acme/poet" if wire == "openai" else "")
    session.fresh = set()
    for name, value in how.items():
        setattr(session, name, value)
    begin: Callable[[Session, str], bool] = open_lorax if wire == "lorax" else open_openai
    begun = begin(session, server.host)
    claimed = set(session.fresh)
    showing: dict[str, str] = {}
    for step in PLANS[wire] if begun else ():
        session.fresh = set()
        step.run(session)
        claimed |= session.fresh & step.judges
        showing |= dict.fromkeys(session.fresh, step.name)
    unclaimed = [
        f"the step {name!r} shows {one}, and no step that names a rule for it does: see plan.py"
        for one, name in showing.items()
        if one not in claimed
    ]
    left = frozenset(law for one in session.skipped for law in one.laws)
    return Shown(tuple(session.findings), left, tuple(unclaimed))


@cache
def judged(deviation: Deviation) -> Shown:
    """What is shown of a planted server."""
    server = InProcess(deviation, KEY if deviation.keyed else None)
    server.base += "/v1"
    how = {"strict": deviation.strict, "keyed": deviation.keyed, "context": deviation.context}
    return shown(server, "openai", **how)


def row(deviation: Deviation, found: Shown) -> str:
    """The planted server's line of the table."""
    others = sorted(found.findings.keys() - {deviation.law})
    cells = [deviation.name, deviation.law, ", ".join(others), deviation.source]
    return "| " + " | ".join(cells) + " |"


def page() -> str:
    """The whole page."""
    rows = [row(deviation, judged(deviation)) for deviation in DEVIATIONS]
    table = _HEAD.format(many=len(DEVIATIONS), seeds=SEEDS) + "\n".join(rows) + "\n"
    lines = [f"| {one.name} | {one.law} | {law(one.law).source} |" for one in PLANTED]
    native = _LORAX.format(many=len(PLANTED)) + "\n".join(lines) + "\n"
    lawful = [f"| {one.name} | {one.source} |" for one in VARIATIONS]
    return table + native + _UNUSUAL.format(many=len(VARIATIONS)) + "\n".join(lawful) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
