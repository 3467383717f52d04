"""What was found on each server, as files beside this module; and which verdicts a person has read.

A result is one file a server, so that one server can be checked anew and the page still tells of all.
`read.json` says what was read by hand, a verdict by its law and words, for one version of a server, and
with the digest of what the server had said: a verdict that is shown on other words has not been read.

    {"aimock": {"version": "1.43.0", "true": {"OAI-ERR-004 n is answered": "77f1..."}, "false": {}, "twice": {}}}

`false` lists verdicts that were not true, `twice` those that counted a cause again; neither is shown any
more, and each stands there with how the law was mended. `router.json` has the false ones of LoRAX's own
router, whose recorded exchanges were judged and which is no server of the matrix.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from lorax_contracts.baseline import identity
from lorax_contracts.check import Verdict
from tests.contracts.matrix.servers import SERVERS, Server

__all__ = [
    "Mended",
    "Row",
    "Shown",
    "agreed",
    "load",
    "mark",
    "mended",
    "of_the_router",
    "read_of",
    "save",
]

_FOLDER = Path(__file__).with_name("results")
_READ = Path(__file__).with_name("read.json")
# Words with a digit that are no small number, such as a status.
_VARYING = re.compile(r"\b(?!\d{1,4}\b)[\w-]*\d[\w-]*")
_ROUTER = Path(__file__).with_name("router.json")


@dataclass(frozen=True, slots=True)
class Shown:
    """One verdict that both runs gave, and what the server said in the first of them."""

    law: str
    message: str
    at: str = ""
    seen: str = ""

    @property
    def key(self) -> str:
        """What two runs' verdicts are told alike by."""
        return identity(self.law, self.message)

    @property
    def digest(self) -> str:
        """Of all that is read of it but ids and times, which differ from run to run."""
        read = re.sub(_VARYING, "", f"{self.message}\n{self.at}\n{self.seen}")
        return hashlib.sha256(f"{self.law}\n{read}".encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Row:
    """What was found on one server, or why nothing was.

    Attributes:
        version, flags: of the server, when it was checked.
        date, seed: of the check.
        broken: what both runs agree on.
        left_out: laws, by family or id, of which nothing was kept.
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
    left_out: tuple[str, ...] = ()
    skipped: frozenset[str] = frozenset()
    requests: int = 0
    varied: int = 0
    unfinished: str = ""
    missing: str = ""

    def beyond(self, behind: "Row | None") -> "Row":
        """The row with what the server behind it breaks in the same way left out."""
        known = {one.key for one in behind.broken} if behind else set[str]()
        return replace(self, broken=tuple(one for one in self.broken if one.key not in known))


def agreed(row: Row, first: Verdict, second: Verdict) -> Row:
    """The row with what both runs found; laws about what we told the server to say are left out.

    What one run alone found is counted. What either did not judge was not judged.
    """
    keys = [{identity(one.law, one.message) for one in run.findings} for run in (first, second)]
    ours = row.server.ours
    broken = {
        Shown(one.law, one.message, one.at, one.seen)
        for one in first.findings
        if identity(one.law, one.message) in keys[0] & keys[1]
        and not {one.law, one.law.rpartition("-")[0]} & set(ours)
    }
    return replace(
        row,
        broken=tuple(sorted(broken, key=lambda one: (one.law, one.message))),
        left_out=ours,
        skipped=frozenset(
            law for run in (first, second) for one in run.skipped for law in one.laws
        ),
        requests=first.requests,
        varied=len(keys[0] ^ keys[1]),
        unfinished=first.unfinished or second.unfinished,
    )


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
            kept["left_out"] = tuple(kept["left_out"])
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


def of_the_router() -> tuple[int, list[Mended]]:
    """How many exchanges of LoRAX's own router were judged, and what was found false on them."""
    kept: dict[str, Any] = json.loads(_ROUTER.read_text("utf-8"))
    name = "LoRAX's own router"
    return kept["exchanges"], [Mended(name, one, how) for one, how in kept["false"].items()]


def read_of(row: Row, marks: Mapping[str, Any] | None = None) -> int:
    """How many of the row's verdicts a person has read, in these words on this version of the server."""
    mine = (_marks() if marks is None else marks).get(row.server.name)
    if mine is None or mine["version"] != row.version:
        return 0
    return sum(mine["true"].get(one.key) == one.digest for one in row.broken)


def mark(name: str, file: Path = _READ) -> None:
    """Notes that each verdict that is shown of a server was read and is true.

    Raises:
        StopIteration: it was never checked.
    """
    row = next(one for one in load() if one.server.name == name)
    marks = json.loads(file.read_text("utf-8"))
    marks[name] = {
        "version": row.version,
        "true": dict(sorted((one.key, one.digest) for one in row.broken)),
        **{why: marks.get(name, {}).get(why, {}) for why in ("false", "twice")},
    }
    file.write_text(json.dumps(marks, indent=1, ensure_ascii=False) + "\n", "utf-8")
