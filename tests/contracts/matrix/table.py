"""The tables: one row a server, ten questions, and how much it takes that cannot be right."""

import html
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from lorax_contracts.laws import all_laws
from lorax_contracts.probes.refusals import BAD_BODIES, BAD_MEMBERS
from tests.contracts.matrix.servers import Kind, Server

__all__ = ["QUESTIONS", "Broken", "Row", "as_html", "as_markdown", "question_of"]

QUESTIONS: Mapping[str, tuple[str, ...]] = {
    "chat": (
        *("OAI-CHAT", "OAI-TEXT", "OAI-ACCEPT-003", "OAI-ACCEPT-007", "OAI-ACCEPT-010"),
        *("OAI-ACCEPT-002", "OAI-ACCEPT-009", "OAI-ACCEPT-011"),
    ),
    "usage": (
        *("OAI-USAGE", "OAI-STREAM-013", "OAI-STREAM-014", "OAI-STREAM-015", "OAI-STREAM-026"),
        *("OAI-COMP-010", "OAI-COMP-011"),
    ),
    "stream": ("OAI-STREAM", "OAI-HTTP-002"),
    "finish and budget": ("OAI-FINISH",),
    "stop": ("OAI-STOP", "OAI-ACCEPT-001"),
    "tools": (
        *("OAI-TOOL", "OAI-ACCEPT-004", "OAI-ACCEPT-005", "OAI-ACCEPT-006", "OAI-ACCEPT-008"),
    ),
    "JSON": ("OAI-JSON",),
    "logprobs": ("OAI-LOGP",),
    "completions": ("OAI-COMP",),
    "errors and models": ("OAI-ERR", "OAI-MODELS", "OAI-HTTP", "OAI-EMB"),
}
"""The laws of each question, by family or id; the first question that names a law has it."""

LENIENT = "OAI-ERR-004"
_ASKED = len(BAD_BODIES) + len(BAD_MEMBERS)


def question_of(law_id: str) -> str:
    """The question that a law belongs to; an id of one law goes before a family."""
    for exact in (True, False):
        for question, parts in QUESTIONS.items():
            family = law_id.rsplit("-", 1)[0]
            if law_id in parts if exact else family in parts:
                return question
    raise AssertionError(law_id)


@dataclass(frozen=True, slots=True)
class Broken:
    """One verdict that both runs gave."""

    law: str
    message: str
    repeat: str


@dataclass(frozen=True, slots=True)
class Row:
    """What was found on one server, or why nothing was.

    Attributes:
        broken: what both runs agree on.
        skipped: ids of laws that were not judged.
        missing: why the server could not be had; "" when it could.
        varied: how many verdicts came in one run alone, and are left out.
    """

    server: Server
    version: str = ""
    broken: tuple[Broken, ...] = ()
    skipped: frozenset[str] = frozenset()
    missing: str = ""
    varied: int = 0
    requests: int = 0


def _cells(row: Row, less: Iterable[str] = ()) -> list[str]:
    """One cell a question: the laws that are broken, those of the upstream left out."""
    known = frozenset(less)
    broken = sorted({one.law for one in row.broken} - known - {LENIENT})
    cells: list[str] = []
    for question in QUESTIONS:
        mine = [
            one for one in all_laws() if one.startswith("OAI-") and question_of(one) == question
        ]
        named = [one.removeprefix("OAI-") for one in broken if one in mine]
        left = all(one in row.skipped for one in mine)
        cells.append(", ".join(named) or ("not there" if left else "kept"))
    taken = sum(one.law == LENIENT for one in row.broken)
    return [*cells, f"takes {taken} of {_ASKED}" if taken else "takes none"]


_TABLES = {
    Kind.MODEL: "Servers of models",
    Kind.GATEWAY: "Gateways",
    Kind.MOCK: "Mocks",
}
_WORDS = {
    Kind.MODEL: "Each serves the same tiny model, trained here.",
    Kind.GATEWAY: (
        "What is broken beyond what the server behind it breaks already (named in brackets);"
        " lorax-proxy stands before lorax-mock's native routes."
    ),
    Kind.MOCK: "What stands in for a model in tests: here the laws tell what a test would not see.",
}


def _rows(rows: Sequence[Row], kind: Kind) -> list[list[str]]:
    by_name = {row.server.name: row for row in rows}
    listed: list[list[str]] = []
    for row in rows:
        server = row.server
        if server.kind is not kind or row.missing:
            continue
        behind = by_name.get(server.upstream or "")
        less = [one.law for one in behind.broken] if behind else []
        name = f"{server.name} [{server.upstream}]" if server.upstream else server.name
        listed.append([name, row.version, *_cells(row, less)])
    return listed


_HEAD = ("server", "version", *QUESTIONS, "strictness")


def _title(date: str, seed: int) -> str:
    return (
        f"Made by `make matrix` on {date}, seed {seed}: each server in an environment of its own, checked"
        " twice; only verdicts that both runs give are shown. A cell names the broken laws"
        " ([laws.md](laws.md)), `kept` when there are none, `not there` when nothing could be judged;"
        f" strictness is how many of {_ASKED} requests that cannot be right are answered all the same."
    )


def as_markdown(rows: Sequence[Row], *, date: str, seed: int, note: str) -> str:
    """The page docs/matrix.md."""
    lines = ["# Genuine servers", "", _title(date, seed), "", note]
    for kind, title in _TABLES.items():
        lines += ["", f"## {title}", "", _WORDS[kind], ""]
        lines += ["| " + " | ".join(_HEAD) + " |", "|---" * len(_HEAD) + "|"]
        lines += ["| " + " | ".join(cells) + " |" for cells in _rows(rows, kind)]
    missing = [row for row in rows if row.missing]
    if missing:
        lines += ["", "## Not checked", ""]
        lines += [f"- {row.server.name}: {row.missing}" for row in missing]
    lines += ["", "## What was seen"]
    for row in rows:
        if row.missing:
            continue
        server = row.server
        lines += ["", f"### {server.name} {row.version}", ""]
        told = f"Started: {server.flags}; {row.requests} requests."
        if row.varied:
            told += f" {row.varied} verdicts of one run alone are left out."
        lines += [told, ""]
        for one in row.broken:
            lines.append(f"- {one.law}: {one.message}")
    return "\n".join(lines) + "\n"


_STYLE = """
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif }
body { margin: 2rem auto; max-width: 96rem; padding: 0 1rem }
table { border-collapse: collapse; margin: 1rem 0; font-size: 13px }
th, td { border: 1px solid #8884; padding: .3rem .5rem; vertical-align: top; text-align: left }
td.kept { background: #2a92 } td.broken { background: #c422 } td.none { color: #888 }
"""


def _class(cell: str) -> str:
    if cell in {"kept", "takes none"}:
        return "kept"
    return "none" if cell == "not there" else "broken"


def as_html(rows: Sequence[Row], *, date: str, seed: int, note: str) -> str:
    """The same tables as one page that stands alone; a cell's title says what was seen."""
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        f"<title>Genuine servers, {date}</title><style>{_STYLE}</style></head><body>",
        "<h1>Genuine servers</h1>",
        f"<p>{html.escape(_title(date, seed))}</p><p>{html.escape(note)}</p>",
    ]
    seen = {(row.server.name, one.law): one.message for row in rows for one in row.broken}
    for kind, title in _TABLES.items():
        parts.append(f"<h2>{title}</h2><p>{html.escape(_WORDS[kind])}</p><table><tr>")
        parts += [f"<th>{html.escape(one)}</th>" for one in _HEAD]
        parts.append("</tr>")
        for name, told, *cells in _rows(rows, kind):
            parts.append(f"<tr><th>{html.escape(name)}</th><td>{html.escape(told)}</td>")
            for cell in cells:
                words = [
                    f"{one}: {seen[key]}"
                    for one in cell.split(", ")
                    if (key := (name.split(" ")[0], f"OAI-{one}")) in seen
                ]
                title_of = html.escape("\n".join(words), quote=True)
                parts.append(
                    f'<td class="{_class(cell)}" title="{title_of}">{html.escape(cell)}</td>'
                )
            parts.append("</tr>")
        parts.append("</table>")
    missing = [row for row in rows if row.missing]
    if missing:
        items = "".join(
            f"<li>{html.escape(row.server.name)}: {html.escape(row.missing)}</li>"
            for row in missing
        )
        parts.append(f"<h2>Not checked</h2><ul>{items}</ul>")
    return "\n".join([*parts, "</body></html>"]) + "\n"
