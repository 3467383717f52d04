"""The judge: recorded exchanges in, findings out. Pure, so a recording is judged like a live reply.

    judge(exchange)        what one exchange alone shows, on either wire
    relations.*            what several exchanges show together

Each rule module reads one part of a reply and reports laws by id; `report.Report` keeps one finding a
law and exchange, so that a thousand chunks with the same fault are one line.
"""

from lorax_contracts.exchange import Exchange, Finding, Route
from lorax_contracts.judge.openai import judge_openai
from lorax_contracts.judge.report import Report
from lorax_contracts.judge.router import judge_lorax
from lorax_contracts.laws import Promise, law

__all__ = ["judge", "wire_of"]

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


def judge(exchange: Exchange, *, kind: str | None = None, strict: bool = False) -> list[Finding]:
    """Every law that this exchange alone shows broken, one finding a law.

    Args:
        exchange: what was asked and what came.
        kind: `openai` or `lorax`; by the path when absent.
        strict: judge our own, stricter promises too.
    """
    report = Report(exchange)
    if (kind or wire_of(exchange)) == "lorax":
        judge_lorax(exchange, report)
    else:
        judge_openai(exchange, report)
    return [
        finding
        for finding in report.findings
        if strict or law(finding.law).promise is not Promise.OURS
    ]
