"""A run as workflow commands of GitHub Actions: each line becomes an annotation.

The form, and what is escaped in it, is GitHub's: "Workflow commands for GitHub Actions", and
`escapeData` and `escapeProperty` of actions/toolkit, packages/core/src/command.ts. Ten annotations of
each kind are shown for a step; the worst come first, and the log has them all.
"""

from collections.abc import Iterable

from lorax_contracts.baseline import Outcome
from lorax_contracts.errors import printable
from lorax_contracts.exchange import Finding
from lorax_contracts.laws import law
from lorax_contracts.listing import finding_lines

__all__ = ["annotations", "as_github"]


def as_github(outcome: Outcome) -> str:
    """An error for each new finding, a notice for each known one, a warning for a run cut short."""
    host, early = outcome.verdict.host, outcome.verdict.unfinished
    lines = [
        *annotations(outcome.new, host),
        *([_command("warning", "the check ended early", printable(early))] if early else ()),
        *annotations(outcome.known, host, level="notice"),
    ]
    return "".join(f"{line}\n" for line in lines)


def annotations(
    findings: Iterable[Finding], base: str = "", *, level: str = "error", file: str = ""
) -> list[str]:
    """A line for each finding.

    Args:
        findings: in the order of the lines.
        base: scheme and host, for the commands that repeat a request.
        level: `error`, `warning` or `notice`.
        file: the file that the finding is about, of the repository; "" for none.
    """
    return [
        _command(
            level,
            f"{one.law} ({law(one.law).severity.value})",
            "\n".join(
                [
                    printable(one.message + at),
                    *(line.strip() for line in finding_lines(one, base)[1:]),
                ]
            ),
            file,
        )
        for one in findings
        for at in (f" at {one.at}" if one.at else "",)
    ]


def _command(level: str, title: str, message: str, file: str = "") -> str:
    where = f"file={_property(file)}," if file else ""
    return f"::{level} {where}title={_property(title)}::{_data(message)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
