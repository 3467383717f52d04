"""A verdict as lines for people, JSON for programs, and JUnit for CI."""

from typing import Any
from xml.etree import ElementTree as ET

from lorax_contracts.check import Verdict
from lorax_contracts.errors import printable
from lorax_contracts.exchange import Finding
from lorax_contracts.laws import Severity, law
from lorax_contracts.listing import finding_document, finding_lines

__all__ = ["verdict_document", "verdict_junit", "verdict_table", "verdict_text"]

_ORDER = {Severity.WRONG: 0, Severity.BREAKS: 1, Severity.SHAPE: 2}


def verdict_text(verdict: Verdict) -> str:
    """Every finding, the worst first: its law, what was seen and promised, and how to repeat it.

    A law that is broken in several ways has a finding for each.
    """
    ranked = sorted(verdict.findings, key=lambda one: (_ORDER[law(one.law).severity], one.law))
    return "\n".join("\n".join(finding_lines(one, verdict.host)) for one in ranked)


def _family(law_id: str) -> str:
    return law_id.rsplit("-", 1)[0]


def _families(verdict: Verdict) -> list[tuple[str, int, int, int]]:
    """Family, laws in it, laws broken, laws not judged."""
    broken = {one.law for one in verdict.findings}
    rows: dict[str, list[int]] = {}
    for one in verdict.laws:
        row = rows.setdefault(_family(one), [0, 0, 0])
        row[0] += 1
        row[1] += one in broken
        row[2] += bool(verdict.why_not(one))
    return [(family, many, bad, left) for family, (many, bad, left) in rows.items()]


def verdict_table(verdict: Verdict) -> None:
    """Prints the summary to standard error: what was judged, and how much is broken."""
    from rich.console import Console  # noqa: PLC0415 - rich is slow to load, and --json needs none
    from rich.table import Table  # noqa: PLC0415 - see above

    console = Console(stderr=True, markup=False, highlight=False)
    table = Table(box=None, pad_edge=False)
    for name in ("family", "laws", "broken", "not judged"):
        table.add_column(name, justify="left" if name == "family" else "right")
    for family, *numbers in _families(verdict):
        table.add_row(family, *(str(number or "") for number in numbers))
    console.print(table)
    lines = [f"not judged: {skipped.group}: {skipped.why}" for skipped in verdict.skipped]
    if verdict.unfinished:
        lines.append(f"ended early: {verdict.unfinished}")
    broken = len({one.law for one in verdict.findings})
    result = f"{broken or 'no'} broken law{'' if broken == 1 else 's'}"
    if verdict.laws and all(map(verdict.why_not, verdict.laws)):
        result = f"{', '.join(verdict.laws)} could not be judged"
    lines.append(
        f"{result} at {verdict.url}"
        f" ({verdict.kind}, model {verdict.model!r}, seed {verdict.seed}:"
        f" {verdict.requests} requests, {verdict.seconds:.1f} s)"
    )
    # A line stays one, however narrow the terminal: it is searched for, and pasted.
    for line in lines:
        console.print(printable(line), soft_wrap=True)


def verdict_document(verdict: Verdict) -> dict[str, Any]:
    """The verdict as JSON."""
    return {
        "url": verdict.url,
        "kind": verdict.kind,
        "model": verdict.model,
        "seed": verdict.seed,
        "requests": verdict.requests,
        "seconds": round(verdict.seconds, 3),
        "unfinished": verdict.unfinished or None,
        "laws": list(verdict.laws),
        "skipped": [
            {"group": one.group, "why": one.why, "laws": sorted(one.laws)}
            for one in verdict.skipped
        ],
        "broken": [finding_document(one, verdict.host) for one in verdict.findings],
    }


def verdict_junit(verdict: Verdict) -> str:
    """One test case a law; a broken law is a failure, one that was not judged is skipped."""
    broken: dict[str, list[Finding]] = {}
    for one in verdict.findings:
        broken.setdefault(one.law, []).append(one)
    why = {one: verdict.why_not(one) for one in verdict.laws}
    suite = ET.Element(
        "testsuite",
        name=f"lorax-contracts {verdict.url}",
        tests=str(len(verdict.laws)),
        failures=str(len(broken)),
        errors="0",
        skipped=str(sum(map(bool, why.values()))),
        time=f"{verdict.seconds:.3f}",
    )
    for law_id in verdict.laws:
        case = ET.SubElement(suite, "testcase", classname=_family(law_id), name=law_id)
        found = broken.get(law_id, [])
        if found:
            message = "; ".join(one.message for one in found)
            failure = ET.SubElement(case, "failure", message=_clean(message))
            lines = [line for one in found for line in finding_lines(one, verdict.host)]
            failure.text = _clean("\n".join(lines))
        elif why[law_id]:
            ET.SubElement(case, "skipped", message=_clean(why[law_id]))
    return ET.tostring(suite, encoding="unicode") + "\n"


def _clean(text: str) -> str:
    """The text without characters that XML 1.0 cannot hold."""
    return "".join(
        character
        for character in text
        if character in "\t\n\r" or " " <= character <= "\ud7ff" or character > "\udfff"
    )
