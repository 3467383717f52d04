"""The judge: recorded exchanges in, findings out. Pure, so a recording is judged like a live reply.

    judge(exchange)        what one exchange alone shows, on either wire
    relations.*            what several exchanges show together

Each rule module reads one part of a reply and reports laws by id; `report.Report` keeps one finding
for each law and kind of message, so that a thousand chunks with the same fault are one line.
"""

from collections.abc import Iterable

from lorax_contracts.exchange import Exchange, Finding, Route
from lorax_contracts.judge.openai import judge_openai, judge_refusal
from lorax_contracts.judge.report import Report
from lorax_contracts.judge.router import judge_lorax
from lorax_contracts.laws import Promise, law

__all__ = ["judge", "judged", "silenced", "told", "wire_of"]

_LORAX = frozenset(
    {
        Route.GENERATE,
        Route.GENERATE_STREAM,
        Route.COMPAT_GENERATE,
        Route.TOKENIZE,
        Route.EMBED,
        Route.CLASSIFY,
        Route.CLASSIFY_BATCH,
        Route.INFO,
        Route.HEALTH,
    }
)


def wire_of(exchange: Exchange) -> str:
    """`openai` or `lorax`, by the path that was asked."""
    return "lorax" if exchange.route in _LORAX else "openai"


def judge(
    exchange: Exchange, *, kind: str | None = None, strict: bool = False, right: bool = True
) -> list[Finding]:
    """Every law that this exchange alone shows broken, one finding for each way to break it.

    A law that takes others for granted (`Law.given`) is silent where one of those is broken: what
    follows from one fault is not counted again.

    Args:
        exchange: what was asked and what came.
        kind: `openai` or `lorax`; by the path when absent.
        strict: judge our own, stricter promises too.
        right: False when the request cannot be right, and is to be refused.
    """
    return [
        finding
        for finding in told(judged(exchange, kind=kind, right=right))
        if strict or law(finding.law).promise is not Promise.OURS
    ]


def judged(exchange: Exchange, *, kind: str | None = None, right: bool = True) -> list[Finding]:
    """What `judge` tells when it is strict, and what it leaves out as a consequence of that."""
    report = Report(exchange)
    if (kind or wire_of(exchange)) == "lorax":
        judge_lorax(exchange, report)
    elif right:
        judge_openai(exchange, report)
    else:
        judge_refusal(exchange, report)
    return report.findings


def told(findings: Iterable[Finding], besides: Iterable[str] = ()) -> list[Finding]:
    """The findings that are no consequence of another, nor of the broken laws `besides`."""
    listed = list(findings)
    broken = {finding.law for finding in listed} | set(besides)
    return [finding for finding in listed if not law(finding.law).given & broken]


def silenced(findings: Iterable[Finding], besides: Iterable[str] = ()) -> dict[str, frozenset[str]]:
    """The laws whose findings `told` leaves out, and the broken ones that each takes for granted."""
    listed = list(findings)
    broken = {finding.law for finding in listed} | set(besides)
    explained = {finding.law: law(finding.law).given & broken for finding in listed}
    return {one: causes for one, causes in explained.items() if causes}
