"""A run for programs: JSON, and JUnit for CI."""

from typing import Any
from xml.etree import ElementTree as ET

from lorax_contracts.baseline import Known, Outcome
from lorax_contracts.exchange import Finding
from lorax_contracts.listing import as_document, finding_document, finding_lines, worst_first

__all__ = ["as_json", "as_junit"]


def as_json(outcome: Outcome) -> str:
    """The whole verdict; `known` says of each finding whether the baseline knows it."""
    verdict = outcome.verdict
    document: dict[str, Any] = {
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
        "broken": [
            finding_document(one, verdict.host) | {"known": one in outcome.known}
            for one in worst_first(verdict.findings)
        ],
    }
    if outcome.compared:
        document |= {"fixed": _rows(outcome.fixed), "known_not_judged": _rows(outcome.unjudged)}
    return as_document(document)


def _rows(known: tuple[Known, ...]) -> list[dict[str, str]]:
    return [{"law": one.law, "message": one.message} for one in known]


def as_junit(outcome: Outcome) -> str:
    """One test case a law: broken is a failure; not judged, or known to be broken, is skipped."""
    verdict = outcome.verdict
    broken: dict[str, list[Finding]] = {}
    for one in outcome.new:
        broken.setdefault(one.law, []).append(one)
    why = {one: verdict.why_not(one) for one in verdict.laws}
    for one in outcome.known:
        if one.law not in broken:
            why[one.law] = f"known: {one.message}"
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
        case = ET.SubElement(suite, "testcase", classname=law_id.rpartition("-")[0], name=law_id)
        found = broken.get(law_id, [])
        if found:
            message = "; ".join(one.message for one in found)
            failure = ET.SubElement(case, "failure", message=_clean(message))
            lines = [line for one in found for line in finding_lines(one, verdict.host)]
            failure.text = _clean("\n".join(lines))
        elif why[law_id]:
            ET.SubElement(case, "skipped", message=_clean(why[law_id]))
    # As in `as_document`; only text and attributes can hold it.
    return ET.tostring(suite, encoding="unicode").replace("##[", "#&#35;[") + "\n"


def _clean(text: str) -> str:
    """The text without characters that XML 1.0 cannot hold."""
    return "".join(
        character
        for character in text
        if character in "\t\n\r" or " " <= character <= "\ud7ff" or character > "\udfff"
    )
