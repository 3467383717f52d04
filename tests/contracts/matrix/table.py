"""The tables: one row a server, ten questions, and how much it takes that cannot be right."""

import html
from collections.abc import Mapping, Sequence

from lorax_contracts.baseline import identity
from lorax_contracts.formats.page import page, wide
from lorax_contracts.laws import all_laws
from lorax_contracts.probes.refusals import BAD_BODIES, BAD_MEMBERS, named
from tests.contracts.matrix import results
from tests.contracts.matrix.results import Row, Shown
from tests.contracts.matrix.servers import Kind

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
_REFUSABLE = (
    *(name for name, _ in BAD_BODIES),
    *(named(member, change) for member, change in BAD_MEMBERS),
    "prompt 5",
)
ASKED = frozenset(identity(LENIENT, f"{one} is answered with a completion") for one in _REFUSABLE)
"""What a check asks that cannot be right, by the words of its verdict: two values are one kind."""

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


def _among(law: str, named: Sequence[str]) -> bool:
    """Whether the law, or its family, is named."""
    return bool({law, law.rpartition("-")[0]} & set(named))


def _empty(row: Row, laws: Sequence[str]) -> str:
    """The word of a question's cell without a verdict."""
    kept = [one for one in laws if not _among(one, row.left_out)]
    if not kept:
        return "left out" if all(_among(one, row.server.ours) for one in laws) else "not recorded"
    return "not there" if all(law in row.skipped for law in kept) else "kept"


def _cells(row: Row, whole: Row) -> list[list[Shown] | str]:
    """One cell a question: its verdicts, or a word; and the last for strictness.

    A gateway's own are those that it adds, but what it takes is taken, whoever is behind it.

    Args:
        row: what is told of the server.
        whole: the same, with what it shares with the server behind it.
    """
    cells: list[list[Shown] | str] = []
    for question in QUESTIONS:
        laws = _laws_of(question)
        broken = [one for one in row.broken if one.law in laws and one.law != LENIENT]
        cells.append(broken or _empty(row, laws))
    return [*cells, [one for one in whole.broken if one.law == LENIENT] or "takes none"]


def _names(cell: list[Shown]) -> list[str]:
    return sorted({one.law.removeprefix("OAI-") for one in cell})


def _taken(cell: list[Shown]) -> str:
    return f"takes {len(cell)} of {len(ASKED)}"


def _texts(row: Row, whole: Row) -> list[str]:
    *asked, strict = _cells(row, whole)
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
    " could be judged, `left out` where what is said is what we told the server to say, `not recorded` where"
    f" the next check will tell. Strictness is how many of {len(ASKED)} kinds of requests that OpenAI's"
    f" document does not admit ({len(_REFUSABLE)} requests; two that differ in a value are one kind) are answered"
    " all the same, by a gateway and what is behind it together."
)


def _note(rows: Sequence[Row]) -> str:
    """Whose the servers are, how many of the verdicts a person has read, and what came of it."""
    shown = [row.beyond(_behind(row, rows)) for row in rows]
    ours = [row for row in shown if not row.server.by_others]
    text = f"{len(shown) - len(ours)} of the {len(shown)} servers were written by others."
    if ours:
        told = [f"{row.server.name} ({len(row.broken)} verdicts)" for row in ours]
        text += f" Ours are {' and '.join(told)}."
    text += (
        f" {sum(map(results.read_of, shown))} of the {sum(len(row.broken) for row in shown)} verdicts"
        " below were read by hand against the bytes of the reply that they are about, and were found"
        " true; one whose words have changed since counts as unread."
    )
    false, twice = len(results.mended("false")), len(results.mended("twice"))
    if false or twice:
        text += (
            f" {false} more were found false and {twice} told one cause a second time: their laws were"
            " mended, and they are gone (listed at the end)."
        )
    many, router = results.of_the_router()
    text += (
        f" {many:,} recorded exchanges of LoRAX's own router, which has no row, were judged too:"
        f" {len(router)} verdicts on them were false, and are mended."
    )
    return text


def _told(row: Row) -> str:
    text = f"Checked on {row.date}, seed {row.seed}; started: {row.flags}; {row.requests} requests."
    text += f" {results.read_of(row)} of its {len(row.broken)} verdicts were read."
    ours = [one for one in row.left_out if one in row.server.ours]
    if ours:
        text += f" Left out, since we told it what to say: {', '.join(ours)}."
    unkept = [one for one in row.left_out if one not in row.server.ours]
    if unkept:
        text += f" Not recorded in this check, though what it says is its own: {', '.join(unkept)}."
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
                texts = _texts(row.beyond(_behind(row, rows)), row)
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
    _, router = results.of_the_router()
    lines += ["", "## Found false on LoRAX's own router, and mended", ""]
    lines += [f"- {one.verdict}: {one.how}" for one in router]
    return "\n".join(lines) + "\n"


_STYLE = """
body { max-width: 110rem } table { font-size: 13px }
abbr { text-decoration: underline dotted; white-space: nowrap }
"""


def _cell(cell: list[Shown] | str, *, strictness: bool) -> str:
    if isinstance(cell, str):
        kept = "kept" if cell in {"kept", "takes none"} else "none"
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
    parts = [html.escape(text) for text in (_TITLE.format(laws="laws.md"), _note(there))]
    parts = [f"<p>{part}</p>" for part in parts]
    heads = "".join(f'<th scope="col">{html.escape(one)}</th>' for one in _HEAD)
    for kind, title in _TABLES.items():
        lines: list[str] = []
        for row in there:
            if row.server.kind is not kind:
                continue
            own = row.beyond(_behind(row, rows))
            told = html.escape(_told(own), quote=True)
            label = html.escape(_label(row))
            lines.append(f'<tr><th scope="row" title="{told}">{label}</th>')
            lines.append(f"<td>{html.escape(row.version)}</td>")
            *asked, strict = _cells(own, row)
            lines += [_cell(one, strictness=False) for one in asked]
            lines += [_cell(strict, strictness=True), "</tr>"]
        body = "\n".join(lines)
        table = f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"
        parts += [
            f"<h2>{title}</h2><p>{html.escape(_WORDS[kind])}</p>",
            wide(title, table),
        ]
    missing = [row for row in rows if row.missing]
    if missing:
        items = "".join(
            f"<li>{html.escape(row.server.name)}: {html.escape(row.missing)}</li>"
            for row in missing
        )
        parts.append(f"<h2>Not checked</h2><ul>{items}</ul>")
    return page("Genuine servers", *parts, style=_STYLE)
