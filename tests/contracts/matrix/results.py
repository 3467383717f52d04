"""What was found on each server, as files beside this module; and which verdicts a person has read.

A result is one file a server, so that one server can be checked anew and the page still tells of all.
`read.json` says what was read by hand, a verdict by its law and words, for one version of a server:

    {"aimock": {"version": "1.43.0", "true": ["OAI-ERR-004 n is answered"], "false": {}, "twice": {}}}

`false` lists verdicts that were not true, `twice` those that counted a cause again; neither is shown any
more, and each stands there with how the law was mended.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from lorax_contracts.judge.report import kind_of
from tests.contracts.matrix.servers import SERVERS, Server

__all__ = ["Mended", "Row", "Shown", "key_of", "load", "mark", "mended", "read_of", "save"]

_FOLDER = Path(__file__).with_name("results")
_READ = Path(__file__).with_name("read.json")


def key_of(law: str, message: str) -> str:
    """What two runs' verdicts are told alike by: the law, and the words without numbers and quotes."""
    return " ".join(f"{law} {kind_of(message)}".split())


@dataclass(frozen=True, slots=True)
class Shown:
    """One verdict that both runs gave, and what the server said in the first of them."""

    law: str
    message: str
    at: str = ""
    seen: str = ""

    @property
    def key(self) -> str:
        """As `key_of`."""
        return key_of(self.law, self.message)


@dataclass(frozen=True, slots=True)
class Row:
    """What was found on one server, or why nothing was.

    Attributes:
        version, flags: of the server, when it was checked.
        date, seed: of the check.
        broken: what both runs agree on.
        skipped: ids of laws that were not judged in either run.
        requests: how many the first run made.
        varied: how many verdicts came in one run alone, and are left out.
        unfinished: why a run ended early; "" when none did.
        missing: why the server could not be had; "" when it could.
    """

    server: Server
    version: str = ""
    flags: str = ""
    date: str = ""
    seed: int = 0
    broken: tuple[Shown, ...] = ()
    skipped: frozenset[str] = frozenset()
    requests: int = 0
    varied: int = 0
    unfinished: str = ""
    missing: str = ""

    def beyond(self, behind: "Row | None") -> "Row":
        """The row with what the server behind it breaks in the same way left out."""
        known = {one.key for one in behind.broken} if behind else set[str]()
        return replace(self, broken=tuple(one for one in self.broken if one.key not in known))


def save(row: Row, folder: Path = _FOLDER) -> None:
    """Writes the server's file."""
    folder.mkdir(exist_ok=True)
    document = {**asdict(row), "server": row.server.name, "skipped": sorted(row.skipped)}
    text = json.dumps(document, indent=1, ensure_ascii=False)
    (folder / f"{row.server.name}.json").write_text(text + "\n", "utf-8")


def load(folder: Path = _FOLDER) -> list[Row]:
    """The rows of all servers that were ever checked, in the order of `SERVERS`."""
    rows: list[Row] = []
    for server in SERVERS:
        path = folder / f"{server.name}.json"
        if path.exists():
            kept: dict[str, Any] = json.loads(path.read_text("utf-8"))
            kept["broken"] = tuple(Shown(**one) for one in kept["broken"])
            kept["skipped"] = frozenset(kept["skipped"])
            del kept["server"]
            rows.append(Row(server, **kept))
    return rows


def _marks() -> dict[str, Any]:
    marks: dict[str, Any] = json.loads(_READ.read_text("utf-8"))
    return marks


@dataclass(frozen=True, slots=True)
class Mended:
    """One verdict that was shown and read, and what became of its law."""

    server: str
    verdict: str
    how: str


def mended(why: str) -> list[Mended]:
    """Those that were `false`, or counted `twice`."""
    return [
        Mended(name, verdict, how)
        for name, marks in _marks().items()
        for verdict, how in marks[why].items()
    ]


def read_of(row: Row, marks: Mapping[str, Any] | None = None) -> int:
    """How many of the row's verdicts a person has read on this version of the server."""
    mine = (_marks() if marks is None else marks).get(row.server.name)
    if mine is None or mine["version"] != row.version:
        return 0
    return sum(one.key in mine["true"] for one in row.broken)


def mark(name: str) -> None:
    """Notes that each verdict that is shown of a server was read and is true.

    Raises:
        StopIteration: it was never checked.
    """
    row = next(one for one in load() if one.server.name == name)
    marks = _marks()
    marks[name] = {
        "version": row.version,
        "true": sorted({one.key for one in row.broken}),
        **{why: marks.get(name, {}).get(why, {}) for why in ("false", "twice")},
    }
    _READ.write_text(json.dumps(marks, indent=1, ensure_ascii=False) + "\n", "utf-8")
