"""Several servers beside each other: a row for each law that one of them breaks, or that tells them apart."""

from collections.abc import Sequence
from dataclasses import dataclass

from lorax_contracts.check import Verdict
from lorax_contracts.errors import printable
from lorax_contracts.exchange import Finding
from lorax_contracts.formats.markdown import plain
from lorax_contracts.formats.page import escaped, page, wide
from lorax_contracts.formats.text import told_of
from lorax_contracts.laws import Law, Severity, all_laws
from lorax_contracts.listing import as_document, finding_document, worst_first

__all__ = ["FORMS", "Judged", "compared"]

_HEAD = ("law", "severity")


@dataclass(frozen=True, slots=True)
class Judged:
    """One server.

    Attributes:
        name: of its column.
        verdict: None when it could not be judged.
        why: why not, in one line.
    """

    name: str
    verdict: Verdict | None = None
    why: str = ""

    def word(self, law_id: str) -> str:
        """What becomes of a law there; "" where nothing could be judged."""
        if self.verdict is None:
            return ""
        if any(one.law == law_id for one in self.verdict.findings):
            return "broken"
        if law_id not in self.verdict.laws:
            return "other wire"
        return "not judged" if self.verdict.why_not(law_id) else "kept"

    @property
    def why_not(self) -> str:
        """Why no law was judged there; "" where one was."""
        if self.verdict is None:
            return self.why
        reasons = [self.verdict.why_not(one) for one in self.verdict.laws]
        return reasons[0] if reasons and all(reasons) else ""

    def count(self, word: str) -> int:
        """How many laws have that word there."""
        return sum(self.word(one) == word for one in self.verdict.laws) if self.verdict else 0


def _words(servers: Sequence[Judged], law_id: str) -> set[str]:
    return {one.word(law_id) for one in servers if one.verdict} - {"other wire"}


def _laws(servers: Sequence[Judged]) -> list[Law]:
    """Those that a server breaks, and those that one keeps and another is not judged by; the worst first."""
    ranks = list(Severity)
    rows = [
        one
        for one in all_laws().values()
        if "broken" in (words := _words(servers, one.id)) or len(words) > 1
    ]
    return sorted(rows, key=lambda one: (ranks.index(one.severity), one.id))


def _table(servers: Sequence[Judged]) -> list[list[str]]:
    """The cells, the heads of the columns first."""
    there = [one for one in servers if one.verdict]
    rows = [
        [one.id, one.severity.value, *(each.word(one.id) for each in there)]
        for one in _laws(servers)
    ]
    sums = [
        [f"laws {word}", "", *(str(each.count(word)) for each in there)]
        for word in ("broken", "kept", "not judged")
    ]
    return [[*_HEAD, *(each.name for each in there)], *rows, *sums]


def _notes(servers: Sequence[Judged]) -> list[str]:
    """A line for each server: what the run was, or why there was none; and what the order is."""
    lines: list[str] = []
    for one in servers:
        if one.verdict is None:
            lines.append(f"{one.name}: not judged: {one.why.removeprefix(f'{one.name}: ')}")
            continue
        where = one.name if one.name == one.verdict.url else f"{one.name}: {one.verdict.url}"
        early = f"; ended early: {one.verdict.unfinished}" if one.verdict.unfinished else ""
        early = early or (f"; not judged: {one.why_not}" if one.why_not else "")
        lines.append(f"{where} ({told_of(one.verdict)}){early}")
    words = [_words(servers, one) for one in all_laws()]
    kept, left = (sum(each == {word} for each in words) for word in ("kept", "not judged"))
    return [
        f"Left out: {kept} laws that each server of their wire keeps, {left} that none of them is judged by.",
        *lines,
    ]


def _severities() -> str:
    return "; ".join(f"{one.value}: {one.means}" for one in Severity) + "."


def _findings(server: Judged) -> list[Finding]:
    return worst_first(server.verdict.findings) if server.verdict else []


def _as_text(servers: Sequence[Judged]) -> str:
    from rich.console import Console  # noqa: PLC0415 - rich is slow to load, and JSON needs none
    from rich.table import Table  # noqa: PLC0415 - see above

    head, *rows = _table(servers)
    table = Table(box=None, pad_edge=False)
    for name in head:
        table.add_column(printable(name), no_wrap=True)
    for row in rows:
        table.add_row(*map(printable, row))
    # As wide as it is: a table that is wrapped cannot be read, and one in a file has no width.
    width = 80 + sum(map(len, head)) * 2
    console = Console(markup=False, emoji=False, highlight=False, width=width)
    with console.capture() as written:
        console.print(table)
    lines = [line.rstrip() for line in written.get().splitlines()]
    return "\n".join([*lines, "", *map(printable, _notes(servers)), _severities()]) + "\n"


def _as_json(servers: Sequence[Judged]) -> str:
    document = [
        {
            "name": one.name,
            "url": one.verdict.url if one.verdict else None,
            "why_not": one.why_not or None,
            "unfinished": (one.verdict.unfinished or None) if one.verdict else None,
            "laws": {law: one.word(law) for law in one.verdict.laws} if one.verdict else {},
            "broken": [
                finding_document(each, one.verdict.host if one.verdict else "")
                for each in _findings(one)
            ],
        }
        for one in servers
    ]
    return as_document(document)


def _as_markdown(servers: Sequence[Judged]) -> str:
    head, *rows = _table(servers)
    lines = ["# Servers against laws", "", "| " + " | ".join(map(plain, head)) + " |"]
    lines += ["|---" * len(head) + "|"]
    lines += ["| " + " | ".join(map(plain, row)) + " |" for row in rows]
    lines += ["", *(f"- {plain(one)}" for one in _notes(servers)), "", _severities()]
    for server in servers:
        found = [f"- {one.law}: {plain(one.message)}" for one in _findings(server)]
        lines += ["", f"## {plain(server.name)}", "", *found] if found else []
    return "\n".join(lines) + "\n"


_CLASSES = {"broken": "broken", "kept": "kept", "not judged": "none", "other wire": "none"}


def _as_html(servers: Sequence[Judged]) -> str:
    head, *rows = _table(servers)
    heads = "".join(f'<th scope="col">{escaped(printable(one))}</th>' for one in head)
    body: list[str] = []
    for name, *cells in rows:
        tds = "".join(f'<td class="{_CLASSES.get(one, "")}">{escaped(one)}</td>' for one in cells)
        body.append(f'<tr><th scope="row">{escaped(name)}</th>{tds}</tr>')
    found: list[str] = []
    for server in servers:
        lines = [
            f"<li>{escaped(printable(f'{one.law}: {one.message}'))}"
            f"{f'<br><code>{escaped(printable(one.seen))}</code>' if one.seen else ''}</li>"
            for one in _findings(server)
        ]
        if lines:
            name = escaped(printable(server.name))
            found.append(f"<h2>{name}</h2><ul>{''.join(lines)}</ul>")
    return page(
        "Servers against laws",
        wide(
            "Servers against laws",
            f"<table><thead><tr>{heads}</tr></thead><tbody>{''.join(body)}</tbody></table>",
        ),
        "<ul>",
        *(f"<li>{escaped(printable(one))}</li>" for one in _notes(servers)),
        f"</ul><p>{escaped(_severities())}</p>",
        *found,
    )


_WRITERS = {"text": _as_text, "json": _as_json, "markdown": _as_markdown, "html": _as_html}
FORMS = tuple(_WRITERS)
"""What `--format` of `matrix` takes."""


def compared(form: str, servers: Sequence[Judged]) -> str:
    """The table in that form."""
    return _WRITERS[form](servers)
