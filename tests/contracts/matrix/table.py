"""The tables: one row a server, ten questions, and how much it takes that cannot be right."""

import html
from collections.abc import Mapping, Sequence

from lorax_contracts.laws import all_laws
from lorax_contracts.probes.refusals import BAD_BODIES, BAD_MEMBERS, named
from tests.contracts.matrix import results
from tests.contracts.matrix.results import Row, Shown, key_of
from tests.contracts.matrix.servers import Kind, Server

__all__ = ["ASKED", "LENIENT", "QUESTIONS", "as_html", "as_markdown", "question_of"]

QUESTIONS: Mapping[str, tuple[str, ...]] = {
    "chat": (
        *("OAI-CHAT", "OAI-TEXT", "OAI-ACCEPT-003", "OAI-ACCEPT-007", "OAI-ACCEPT-010"),
        *("OAI-ACCEPT-002", "OAI-ACCEPT-009", "OAI-ACCEPT-011"),
    ),
    "stream": ("OAI-STREAM", "OAI-HTTP-002"),
    "usage": (
        *("OAI-USAGE", "OAI-STREAM-013", "OAI-STREAM-014", "OAI-STREAM-015", "OAI-STREAM-026"),
        *("OAI-COMP-010", "OAI-COMP-011"),
    ),
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
"""The laws of each question, by family or id; an id goes before a family."""

LENIENT = "OAI-ERR-004"
ASKED = frozenset(
    key_of(LENIENT, f"{what} is answered with a completion")
    for what in (
        *(name for name, _ in BAD_BODIES),
        *(named(member, change) for member, change in BAD_MEMBERS),
        "prompt 5",
    )
)
"""What a check asks that cannot be right, by the words of its verdict."""

_TABLES = {
    Kind.MODEL: "Servers of models",
    Kind.GATEWAY: "Gateways",
    Kind.MOCK: "Mocks",
}
_WORDS = {
    Kind.MODEL: "Each serves the same tiny model, trained for it.",
    Kind.GATEWAY: (
        "What is broken beyond what the server behind it (in brackets) breaks in the same way."
        " lorax-proxy stands before lorax-mock, which speaks LoRAX's native wire."
    ),
    Kind.MOCK: "What stands in for a model in tests: here a verdict is what a test would not see.",
}
_SEEN = 200


def question_of(law_id: str) -> str:
    """The question that a law belongs to."""
    for exact in (True, False):
        for question, parts in QUESTIONS.items():
            family = law_id.rsplit("-", 1)[0]
            if law_id in parts if exact else family in parts:
                return question
    raise AssertionError(law_id)


def _laws_of(question: str) -> list[str]:
    return [one for one in all_laws() if one.startswith("OAI-") and question_of(one) == question]


def _behind(row: Row, rows: Sequence[Row]) -> Row | None:
    return next((one for one in rows if one.server.name == row.server.upstream), None)


def _ours(law: str, server: Server) -> bool:
    """Whether the law is about what we wrote, or told the server to say."""
    return bool({law, law.rpartition("-")[0]} & set(server.ours))


def _cells(row: Row) -> list[list[Shown] | str]:
    """One cell a question: its verdicts, or a word; and the last for strictness."""
    strict = [one for one in row.broken if one.law == LENIENT]
    cells: list[list[Shown] | str] = []
    for question in QUESTIONS:
        laws = [one for one in _laws_of(question) if not _ours(one, row.server)]
        broken = [one for one in row.broken if one.law in laws and one not in strict]
        left = all(law in row.skipped for law in laws)
        word = "left out" if not laws else "not there" if left else "kept"
        cells.append(broken or word)
    return [*cells, strict or "takes none"]


def _names(cell: list[Shown]) -> list[str]:
    return sorted({one.law.removeprefix("OAI-") for one in cell})


def _taken(cell: list[Shown]) -> str:
    return f"takes {len(cell)} of {len(ASKED)}"


def _texts(row: Row) -> list[str]:
    *asked, strict = _cells(row)
    listed = [one if isinstance(one, str) else ", ".join(_names(one)) for one in asked]
    return [*listed, strict if isinstance(strict, str) else _taken(strict)]


def _label(row: Row) -> str:
    server = row.server
    return f"{server.name} [{server.upstream}]" if server.upstream else server.name


_HEAD = ("server", "version", *QUESTIONS, "strictness")
_TITLE = (
    "Made by `make matrix`: each server in an environment of its own with the versions of its lock"
    " (`tests/contracts/matrix/locks`), checked twice; only verdicts that both runs give are shown."
    " A cell names the broken laws ({laws}), `kept` when there are none, `not there` when nothing"
    " could be judged, `left out` where what is said is ours and not the server's. Strictness"
    f" is how many of {len(ASKED)} requests that OpenAI's document"
    " does not admit are answered all the same."
)


def _note(rows: Sequence[Row]) -> str:
    """How many of the verdicts a person has read, and what came of it."""
    shown = [row.beyond(_behind(row, rows)) for row in rows]
    text = (
        f"{sum(map(results.read_of, shown))} of the {sum(len(row.broken) for row in shown)} verdicts"
        " below were read by hand against the bytes of the reply that they are about, and were found"
        " true."
    )
    false, twice = len(results.mended("false")), len(results.mended("twice"))
    if false or twice:
        text += (
            f" {false} more were found false and {twice} told one cause a second time: their laws were"
            " mended, and they are gone (listed at the end)."
        )
    return text


def _told(row: Row) -> str:
    text = f"Checked on {row.date}, seed {row.seed}; started: {row.flags}; {row.requests} requests."
    text += f" {results.read_of(row)} of its {len(row.broken)} verdicts were read."
    if row.server.ours:
        text += f" Left out, since what it says is ours: {', '.join(row.server.ours)}."
    if row.varied:
        text += f" {row.varied} verdicts of one run alone are left out."
    if row.unfinished:
        text += f" A run ended early: {row.unfinished}."
    return text


def _line(one: Shown) -> str:
    """A verdict in one line: the law, what is wrong, and what was seen where."""
    seen = one.seen if len(one.seen) <= _SEEN else f"{one.seen[:_SEEN]} ..."
    return (
        f"{one.law}: {one.message}{f' at {one.at}' if one.at else ''}{f': {seen}' if seen else ''}"
    )


def _mends(row: Row, behind: Row) -> list[str]:
    """Laws that the server behind a gateway breaks, and the gateway keeps."""
    mine = {one.law for one in row.broken} | row.skipped
    return sorted({one.law for one in behind.broken} - mine)


def _code(text: str) -> str:
    return "`" + text.replace("`", "'") + "`" if text else ""


def _listed(row: Row, rows: Sequence[Row]) -> list[str]:
    behind = _behind(row, rows)
    own = row.beyond(behind)
    lines = ["", f"### {row.server.name} {row.version}", "", _told(own)]
    if behind:
        shared, mends = len(row.broken) - len(own.broken), ", ".join(_mends(row, behind)) or "none"
        lines.append(
            f"It shares {shared} verdicts with {behind.server.name}, and keeps these laws that"
            f" {behind.server.name} breaks: {mends}."
        )
    lines.append("")
    for one in own.broken:
        seen = one.seen if len(one.seen) <= _SEEN else f"{one.seen[:_SEEN]} ..."
        lines.append(f"- {one.law}: {one.message}{f' at {one.at}' if one.at else ''} {_code(seen)}")
    return [line.rstrip() for line in lines]


def as_markdown(rows: Sequence[Row]) -> str:
    """The page docs/evidence/matrix.md."""
    there = [row for row in rows if not row.missing]
    lines = ["# Genuine servers", "", _TITLE.format(laws="[laws.md](../laws.md)"), "", _note(there)]
    for kind, title in _TABLES.items():
        lines += ["", f"## {title}", "", _WORDS[kind], ""]
        lines += ["| " + " | ".join(_HEAD) + " |", "|---" * len(_HEAD) + "|"]
        for row in there:
            if row.server.kind is kind:
                texts = _texts(row.beyond(_behind(row, rows)))
                lines.append("| " + " | ".join([_label(row), row.version, *texts]) + " |")
    missing = [row for row in rows if row.missing]
    if missing:
        lines += ["", "## Not checked", ""]
        lines += [f"- {row.server.name}: {row.missing}" for row in missing]
    lines += ["", "## What was seen"]
    for row in there:
        lines += _listed(row, rows)
    for why, title in (("false", "Found false, and mended"), ("twice", "Told twice, and mended")):
        listed = results.mended(why)
        lines += ["", f"## {title}", ""] if listed else []
        lines += [f"- {one.server}: {one.verdict}: {one.how}" for one in listed]
    return "\n".join(lines) + "\n"


_STYLE = """
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif }
body { margin: 2rem auto; max-width: 110rem; padding: 0 1rem }
table { border-collapse: collapse; margin: 1rem 0; font-size: 13px; display: block; overflow-x: auto }
th, td { border: 1px solid #8884; padding: .3rem .5rem; vertical-align: top; text-align: left }
td.kept { background: #2a92 } td.broken { background: #c422 } td.none { color: #888 }
abbr { text-decoration: underline dotted; white-space: nowrap } li { overflow-wrap: anywhere }
"""


def _cell(cell: list[Shown] | str, *, strictness: bool) -> str:
    if isinstance(cell, str):
        kept = "none" if cell in {"not there", "left out"} else "kept"
        return f'<td class="{kept}">{html.escape(cell)}</td>'

    def abbreviated(text: str, shown: Sequence[Shown]) -> str:
        said = html.escape("\n".join(_line(one) for one in shown), quote=True)
        return f'<abbr title="{said}">{html.escape(text)}</abbr>'

    if strictness:
        return f'<td class="broken">{abbreviated(_taken(cell), cell)}</td>'
    words = [
        abbreviated(name, [one for one in cell if one.law == f"OAI-{name}"])
        for name in _names(cell)
    ]
    return f'<td class="broken">{", ".join(words)}</td>'


def as_html(rows: Sequence[Row]) -> str:
    """The same tables as one page that stands alone; pointing at a law says what was seen."""
    there = [row for row in rows if not row.missing]
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        f"<title>Genuine servers</title><style>{_STYLE}</style></head><body>",
        "<h1>Genuine servers</h1>",
        f"<p>{html.escape(_TITLE.format(laws='laws.md'))}</p><p>{html.escape(_note(there))}</p>",
    ]
    for kind, title in _TABLES.items():
        parts.append(f"<h2>{title}</h2><p>{html.escape(_WORDS[kind])}</p><table><tr>")
        parts += [f"<th>{html.escape(one)}</th>" for one in _HEAD]
        parts.append("</tr>")
        for row in there:
            if row.server.kind is not kind:
                continue
            own = row.beyond(_behind(row, rows))
            told = html.escape(_told(own), quote=True)
            parts.append(f'<tr><th title="{told}">{html.escape(_label(row))}</th>')
            parts.append(f"<td>{html.escape(row.version)}</td>")
            *asked, strict = _cells(own)
            parts += [_cell(one, strictness=False) for one in asked]
            parts += [_cell(strict, strictness=True), "</tr>"]
        parts.append("</table>")
    missing = [row for row in rows if row.missing]
    if missing:
        items = "".join(
            f"<li>{html.escape(row.server.name)}: {html.escape(row.missing)}</li>"
            for row in missing
        )
        parts.append(f"<h2>Not checked</h2><ul>{items}</ul>")
    return "\n".join([*parts, "</body></html>"]) + "\n"
