"""A verdict as lines for people, JSON for programs, and JUnit for CI."""

from typing import Any
from xml.etree import ElementTree as ET

from lorax_contracts.check import Verdict
from lorax_contracts.laws import Promise, Severity, all_laws, law
from lorax_contracts.listing import finding_document, finding_lines

__all__ = ["verdict_document", "verdict_junit", "verdict_table", "verdict_text"]

_ORDER = {Severity.WRONG: 0, Severity.BREAKS: 1, Severity.SHAPE: 2}


def verdict_text(verdict: Verdict) -> str:
    """Every finding, the worst first: its law, what was seen and promised, and how to repeat it."""
    ranked = sorted(verdict.findings, key=lambda one: (_ORDER[law(one.law).severity], one.law))
    return "\n".join("\n".join(finding_lines(one, verdict.host)) for one in ranked)


def _families(verdict: Verdict) -> list[tuple[str, int, int]]:
    """Family, laws in it, laws broken."""
    broken = {one.law for one in verdict.findings}
    rows: dict[str, list[int]] = {}
    for one in all_laws().values():
        if one.wire != verdict.kind:
            continue
        row = rows.setdefault(one.id.rsplit("-", 1)[0], [0, 0])
        row[0] += 1
        row[1] += one.id in broken
    return [(family, many, bad) for family, (many, bad) in rows.items()]


def verdict_table(verdict: Verdict) -> None:
    """Prints the summary to standard error: what was judged, and how much is broken."""
    from rich.console import Console  # noqa: PLC0415 - rich is slow to load, and --json needs none
    from rich.table import Table  # noqa: PLC0415 - see above

    console = Console(stderr=True, markup=False, highlight=False)
    table = Table(box=None, pad_edge=False)
    for name in ("family", "laws", "broken"):
        table.add_column(name, justify="left" if name == "family" else "right")
    for family, many, bad in _families(verdict):
        table.add_row(family, str(many), str(bad or ""))
    console.print(table)
    for skipped in verdict.skipped:
        console.print(f"not judged: {skipped.group}: {skipped.why}")
    if verdict.unfinished:
        console.print(f"ended early: {verdict.unfinished}")
    broken = len(verdict.findings)
    console.print(
        f"{broken or 'no'} broken law{'' if broken == 1 else 's'} at {verdict.url}"
        f" ({verdict.kind}, model {verdict.model!r}, seed {verdict.seed}:"
        f" {verdict.requests} requests, {verdict.seconds:.1f} s)"
    )


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
        "skipped": [{"group": one.group, "why": one.why} for one in verdict.skipped],
        "broken": [finding_document(one, verdict.host) for one in verdict.findings],
    }


def verdict_junit(verdict: Verdict, *, strict: bool) -> str:
    """One test case a law of the wire; a broken law is a failure."""
    broken = {one.law: one for one in verdict.findings}
    laws = [
        one
        for one in all_laws().values()
        if one.wire == verdict.kind and (strict or one.promise is not Promise.OURS)
    ]
    suite = ET.Element(
        "testsuite",
        name=f"lorax-contracts {verdict.url}",
        tests=str(len(laws)),
        failures=str(len(broken)),
        errors="0",
        time=f"{verdict.seconds:.3f}",
    )
    for one in laws:
        case = ET.SubElement(suite, "testcase", classname=one.id.rsplit("-", 1)[0], name=one.id)
        finding = broken.get(one.id)
        if finding is not None:
            failure = ET.SubElement(case, "failure", message=_clean(finding.message))
            failure.text = _clean("\n".join(finding_lines(finding, verdict.host)))
    return ET.tostring(suite, encoding="unicode") + "\n"


def _clean(text: str) -> str:
    """The text without characters that XML 1.0 cannot hold."""
    return "".join(
        character
        for character in text
        if character in "\t\n\r" or " " <= character <= "\ud7ff" or character > "\udfff"
    )
