"""Laws and findings as text for people and as JSON for programs."""

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any

from lorax_contracts.curl import curl
from lorax_contracts.errors import printable
from lorax_contracts.exchange import Exchange, Finding
from lorax_contracts.laws import Evidence, Law, Promise, Severity, law

__all__ = [
    "as_document",
    "finding_document",
    "finding_lines",
    "law_document",
    "law_markdown",
    "law_table",
    "law_text",
    "severities",
    "worst_first",
]

_EVIDENCE = {
    Evidence.ONE: "one recorded exchange shows it",
    Evidence.SEVERAL: "several exchanges show it together",
    Evidence.PROBE: "a request made for it shows it",
}
_PROMISE = {
    Promise.OPENAI: "OpenAI's",
    Promise.LORAX: "LoRAX's",
    Promise.OURS: "ours, stricter than what is published (judged with --strict)",
}


def law_text(one: Law) -> str:
    """Everything about a law, in six lines."""
    return "\n".join(
        [
            f"{one.id}  ({one.severity.value}: {one.severity.means})",
            f"  promised  {one.text}",
            f"  because   {one.why}",
            f"  source    {one.source}",
            f"  promise   {_PROMISE[one.promise]}",
            f"  evidence  {_EVIDENCE[one.evidence]}",
        ]
    )


def law_document(one: Law) -> dict[str, str]:
    """A law as JSON."""
    return {
        "id": one.id,
        "severity": one.severity.value,
        "promise": one.promise.value,
        "evidence": one.evidence.value,
        "law": one.text,
        "why": one.why,
        "source": one.source,
    }


def law_markdown(laws: Iterable[Law]) -> str:
    """The document `docs/laws.md`: one table a wire."""
    lines = [
        "# Laws",
        "",
        (
            "What each wire promises, as `lorax-contracts` judges it."
            " Written by `lorax-contracts laws --format markdown`; the data is"
            " `contracts/lorax_contracts/data/laws/`."
        ),
        "",
        (
            " ".join(f"*{one.value}*: {one.means}." for one in Severity)
            + " Laws marked *ours* are stricter than what is published and are judged with `--strict`."
        ),
    ]
    wire = ""
    for one in laws:
        if one.wire != wire:
            wire = one.wire
            title = "OpenAI's wire" if wire == "openai" else "LoRAX's wire"
            lines += ["", f"## {title}", "", "| law | | promised | because | source |"]
            lines.append("|---|---|---|---|---|")
        ours = ", ours" if one.promise is Promise.OURS else ""
        cells = [one.id, one.severity.value + ours, one.text, one.why, one.source]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def law_table(laws: Iterable[Law]) -> str:
    """A table as wide as the terminal."""
    from rich.console import Console  # noqa: PLC0415 - rich is slow to load, and JSON needs none
    from rich.table import Table  # noqa: PLC0415 - see above

    table = Table(box=None, pad_edge=False)
    table.add_column("law", no_wrap=True)
    table.add_column("severity", no_wrap=True)
    table.add_column("promised")
    for one in laws:
        table.add_row(one.id, one.severity.value, one.text, style=None)
    console = Console(markup=False, emoji=False, highlight=False)
    with console.capture() as written:
        console.print(table)
    return written.get()


def as_document(value: Any) -> str:
    """The value as a document of JSON, in which `##[` is an escape for the reason of `printable`."""
    return json.dumps(value, indent=2).replace("##[", "#\\u0023[") + "\n"


def finding_document(finding: Finding, base: str = "") -> dict[str, Any]:
    """A finding as JSON; `request` only when a request is known."""
    promised = law(finding.law)
    document: dict[str, Any] = {
        "law": finding.law,
        "severity": promised.severity.value,
        "message": finding.message,
        "at": finding.at,
        "seen": finding.seen,
        "promised": promised.text,
        "source": promised.source,
    }
    if _has_request(finding.exchange):
        document["curl"] = curl(finding.exchange, base or "http://HOST")  # type: ignore[arg-type]  # not None, just asked
    return document


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """The findings in the order of every report: by severity, then by law, then as they were found."""
    ranks = {severity: rank for rank, severity in enumerate(Severity)}
    return sorted(findings, key=lambda one: (ranks[law(one.law).severity], one.law))


def severities(findings: Iterable[Finding]) -> list[str]:
    """How many findings are of which severity, and what that says, in the same order."""
    of = Counter(law(one.law).severity for one in findings)
    return [f"{of[one]} {one.value}: {one.means}" for one in Severity if of[one]]


def _has_request(exchange: Exchange | None) -> bool:
    return exchange is not None and (
        exchange.request is not None or exchange.request_text is not None
    )


def finding_lines(finding: Finding, base: str = "") -> list[str]:
    """A finding for a reader: what is wrong, then what was seen, promised, and how to repeat it."""
    promised = law(finding.law)
    at = f" at {finding.at}" if finding.at else ""
    lines = [f"{finding.law}  ({promised.severity.value})  {printable(finding.message + at)}"]
    if finding.seen:
        lines.append(f"    seen      {printable(finding.seen)}")
    lines.append(f"    promised  {promised.text}")
    exchange = finding.exchange
    if exchange is not None and (base or _has_request(exchange)):
        lines.append(f"    repeat    {curl(exchange, base or 'http://HOST')}")
    return lines
