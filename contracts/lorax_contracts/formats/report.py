"""A run as one page of HTML: each finding with its law, both messages, and the command."""

from collections.abc import Iterable

from lorax_contracts.baseline import Known, Outcome
from lorax_contracts.check import Verdict
from lorax_contracts.curl import curl
from lorax_contracts.errors import printable
from lorax_contracts.exchange import Finding
from lorax_contracts.formats.page import escaped, page, wide
from lorax_contracts.formats.text import told_of
from lorax_contracts.laws import law
from lorax_contracts.listing import severities
from lorax_contracts.messages import reply_text, request_text

__all__ = ["as_html"]


def _text(text: str) -> str:
    return escaped(printable(text))


def _code(text: str) -> str:
    # The text was made printable line by line: what is left to escape is HTML's.
    return f"<pre><code>{escaped(text)}</code></pre>"


def _section(number: int, finding: Finding, host: str) -> str:
    """One finding."""
    promised = law(finding.law)
    name = f"finding-{number}"
    parts = [
        f'<section aria-labelledby="{name}">',
        f'<h3 id="{name}">{finding.law} ({promised.severity.value}): {_text(finding.message)}</h3>',
        "<dl>",
    ]
    rows = [
        ("Where", finding.at),
        ("Promised", promised.text),
        ("It matters because", promised.why),
        ("Source", promised.source),
        ("Severity", f"{promised.severity.value}: {promised.severity.means}"),
    ]
    parts += [f"<dt>{what}</dt><dd>{_text(said)}</dd>" for what, said in rows if said]
    if finding.seen:
        parts.append(f"<dt>Seen</dt><dd><code>{_text(finding.seen)}</code></dd>")
    parts.append("</dl>")
    if finding.exchange is not None:
        for what, text in (
            ("Request", request_text(finding.exchange)),
            ("Reply", reply_text(finding.exchange)),
            ("Repeat it", curl(finding.exchange, host)),
        ):
            parts.append(f"<details><summary>{what}</summary>{_code(text)}</details>")
    return "\n".join([*parts, "</section>"])


def _list(title: str, lines: Iterable[str]) -> list[str]:
    items = [f"<li>{_text(line)}</li>" for line in lines]
    return [f"<h2>{title}</h2><ul>", *items, "</ul>"] if items else []


def _lines(findings: Iterable[Finding | Known]) -> list[str]:
    return [f"{one.law}: {one.message}" for one in findings]


def _contents(outcome: Outcome) -> list[str]:
    """A table of the findings, each with a link to what is said of it."""
    if not outcome.new:
        return []
    rows = [
        f"<tr><td>{law(one.law).severity.value}</td>"
        f'<td><a href="#finding-{number}">{one.law}</a></td><td>{_text(one.message)}</td></tr>'
        for number, one in enumerate(outcome.new, 1)
    ]
    legend = "".join(f"<li>{_text(line)}</li>" for line in severities(outcome.new))
    return [
        f"<h2>{'New findings' if outcome.compared else 'Findings'}</h2>",
        f"<p>The worst first:</p><ul>{legend}</ul>",
        wide(
            "What is broken",
            "<table><thead><tr>"
            '<th scope="col">severity</th><th scope="col">law</th><th scope="col">what is wrong</th>'
            f"</tr></thead><tbody>{''.join(rows)}</tbody></table>",
        ),
    ]


def _kept(verdict: Verdict) -> list[str]:
    broken = {one.law for one in verdict.findings}
    return [one for one in verdict.laws if one not in broken and not verdict.why_not(one)]


def as_html(outcome: Outcome) -> str:
    """The page. Nothing is loaded by it, and a header that holds a secret is not on it."""
    verdict = outcome.verdict
    kept = [f"{one}: {law(one).text}" for one in _kept(verdict)]
    return page(
        f"{outcome.result}: {printable(verdict.url)}",
        f"<p>{_text(told_of(verdict))}</p>",
        *_list("Ended early", [verdict.unfinished] if verdict.unfinished else []),
        *_contents(outcome),
        *(_section(number, one, verdict.host) for number, one in enumerate(outcome.new, 1)),
        *_list("Known", _lines(outcome.known)),
        *_list("Fixed", _lines(outcome.fixed)),
        *_list("Not judged", [f"{one.group}: {one.why}" for one in verdict.skipped]),
        f"<h2>Kept</h2><details><summary>{len(kept)} laws</summary><ul>",
        *(f"<li>{_text(one)}</li>" for one in kept),
        "</ul></details>",
    )
