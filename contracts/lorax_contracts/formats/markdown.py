"""A run as Markdown, for a job's summary on GitHub or a comment."""

import re

from lorax_contracts.baseline import Outcome
from lorax_contracts.curl import curl
from lorax_contracts.errors import printable
from lorax_contracts.exchange import Finding
from lorax_contracts.formats.text import told_of
from lorax_contracts.laws import law
from lorax_contracts.listing import severities

__all__ = ["as_markdown", "fenced", "plain"]

_LONGEST = 4_000
"""Characters of a command: a summary holds a MiB, and some requests are long on purpose."""
_MARKS = re.compile(
    r"[^\w\s,;:=/.'\"()-]|(?<!\w)_|_(?!\w)|(?<=:)//|(?<=www)\.", re.ASCII | re.IGNORECASE
)
_NAMING = "@#"
"""What GitHub reads a name, a mail's address or an issue behind, even where it is written as an escape:
a zero-width space keeps them apart."""


def plain(text: str) -> str:
    """The text on one line with nothing in it that Markdown or HTML would read as more."""
    return _MARKS.sub(
        lambda mark: "".join(
            f"&#{ord(one)};{'&#8203;' if one in _NAMING else ''}" for one in mark.group()
        ),
        printable(text),
    )


def fenced(text: str, language: str = "") -> list[str]:
    """Lines of a code block that no text ends early."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return [f"{fence}{language}", text, fence]


def _details(finding: Finding, host: str) -> list[str]:
    promised = law(finding.law)
    at = f" at {finding.at}" if finding.at else ""
    lines = [
        "<details>",
        f"<summary>{finding.law}: {plain(finding.message + at)}</summary>",
        "",
        f"Promised: {plain(promised.text)}",
        f"It matters because: {plain(promised.why)}",
        f"Source: {plain(promised.source)}",
        "",
    ]
    if finding.seen:
        lines += ["Seen:", "", *fenced(printable(finding.seen)), ""]
    command = curl(finding.exchange, host) if finding.exchange is not None else ""
    if 0 < len(command) <= _LONGEST:
        lines += ["Repeat it with:", "", *fenced(command, "sh"), ""]
    return [*lines, "</details>", ""]


def as_markdown(outcome: Outcome) -> str:
    """A heading, a table of what is new, each finding to be opened, and what was not judged."""
    verdict = outcome.verdict
    lines = [
        f"## lorax-contracts: {plain(outcome.result)}",
        "",
        f"{plain(verdict.url)} ({plain(told_of(verdict))})",
        "",
    ]
    if verdict.unfinished:
        lines += [f"**The check ended early:** {plain(verdict.unfinished)}", ""]
    if outcome.new:
        title = "New findings" if outcome.compared else "Findings"
        lines += [f"### {title}", "", "| severity | law | what is wrong |", "|---|---|---|"]
        lines += [
            f"| {law(one.law).severity.value} | {one.law} | {plain(one.message)} |"
            for one in outcome.new
        ]
        lines += ["", "; ".join(severities(outcome.new)) + ".", ""]
        for one in outcome.new:
            lines += _details(one, verdict.host)
    for title, listed in (("Known", outcome.known), ("Fixed", outcome.fixed)):
        if listed:
            lines += [f"### {title}", ""]
            lines += [f"- {one.law}: {plain(one.message)}" for one in listed] + [""]
    if verdict.skipped:
        lines += ["### Not judged", ""]
        lines += [f"- {plain(one.group)}: {plain(one.why)}" for one in verdict.skipped] + [""]
    return "\n".join(lines)
