"""A run as lines for people: the findings, and a summary."""

from lorax_contracts.baseline import Outcome
from lorax_contracts.check import Verdict
from lorax_contracts.errors import printable
from lorax_contracts.listing import finding_lines, severities

__all__ = ["as_text", "print_summary", "told_of"]


def as_text(outcome: Outcome) -> str:
    """Every new finding, the worst first: its law, what was seen and promised, and how to repeat it.

    A law that is broken in several ways has a finding for each. What is known is told in the summary.
    """
    host = outcome.verdict.host
    return "".join("\n".join(finding_lines(one, host)) + "\n" for one in outcome.new)


def told_of(verdict: Verdict) -> str:
    """What the run was, in one line."""
    return (
        f"{verdict.kind}, model {verdict.model!r}, seed {verdict.seed}:"
        f" {verdict.requests} requests, {verdict.seconds:.1f} s"
    )


def _families(verdict: Verdict) -> list[tuple[str, int, int, int]]:
    """Family, laws in it, laws broken, laws not judged."""
    broken = {one.law for one in verdict.findings}
    rows: dict[str, list[int]] = {}
    for one in verdict.laws:
        row = rows.setdefault(one.rpartition("-")[0], [0, 0, 0])
        row[0] += 1
        row[1] += one in broken
        row[2] += bool(verdict.why_not(one))
    return [(family, many, bad, left) for family, (many, bad, left) in rows.items()]


def print_summary(outcome: Outcome) -> None:
    """Prints to standard error what was judged, how much is broken, and what a baseline says of it."""
    from rich.console import Console  # noqa: PLC0415 - rich is slow to load, and nothing else here
    from rich.table import Table  # noqa: PLC0415 - see above

    verdict = outcome.verdict
    console = Console(stderr=True, markup=False, emoji=False, highlight=False)
    table = Table(box=None, pad_edge=False)
    for name in ("family", "laws", "broken", "not judged"):
        table.add_column(name, justify="left" if name == "family" else "right")
    for family, *numbers in _families(verdict):
        table.add_row(family, *(str(number or "") for number in numbers))
    console.print(table)
    lines = [f"not judged: {skipped.group}: {skipped.why}" for skipped in verdict.skipped]
    lines += [f"known: {one.law}: {one.message}" for one in outcome.known]
    lines += [f"fixed: {one.law}: {one.message}" for one in outcome.fixed]
    if verdict.unfinished:
        lines.append(f"ended early: {verdict.unfinished}")
    lines += severities(outcome.new)
    lines.append(f"{outcome.result} at {verdict.url} ({told_of(verdict)})")
    # A line stays one, however narrow the terminal: it is searched for, and pasted.
    for line in lines:
        console.print(printable(line), soft_wrap=True)
