"""The detection table, docs/detection.md: `python -m tests.contracts.detection`.

Each planted server is judged as `lorax-contracts check` would judge it; the table says which law was
broken on purpose, which others its consequences break, and where the deviation was seen.
"""

from functools import cache
from pathlib import Path

from lorax_contracts.check import Options, Verdict, check_server
from lorax_contracts.laws import law
from tests.contracts.inprocess import InProcess
from tests.contracts.planted import DEVIATIONS, Deviation
from tests.contracts.planted.native import PLANTED
from tests.contracts.reference import KEY
from tests.contracts.unusual import VARIATIONS

__all__ = ["PAGE", "judged", "options_for", "page", "row"]

PAGE = Path(__file__).parents[2] / "docs" / "detection.md"

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


@cache
def judged(deviation: Deviation) -> Verdict:
    """What the checker says of the planted server; no exploration, so that it is the same each time."""
    key = KEY if deviation.keyed else None
    return check_server(InProcess(deviation, key), options_for(deviation))


def options_for(deviation: Deviation, only: str | None = None) -> Options:
    """How the planted server is checked."""
    return Options(
        strict=deviation.strict,
        model="acme/poet",
        examples=0,
        key=KEY if deviation.keyed else None,
        context=deviation.context,
        only=only,
    )


def row(deviation: Deviation, verdict: Verdict) -> str:
    """The planted server's line of the table."""
    others = sorted({one.law for one in verdict.findings} - {deviation.law})
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
