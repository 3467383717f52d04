"""`make matrix`: installs, starts and checks every server twice, and writes the page.

    python -m tests.contracts.matrix            # all
    python -m tests.contracts.matrix vllm       # these anew, the others as they were found before

What a run found is kept beside the environments, so that one server can be checked anew.
"""

import json
import logging
import sys
import time
from dataclasses import asdict
from pathlib import Path

from lorax_contracts.check import Options, Verdict, check
from lorax_contracts.client import Bounds
from lorax_contracts.curl import curl
from lorax_contracts.errors import CannotRun
from lorax_contracts.exchange import Finding, to_json
from lorax_contracts.judge.report import kind_of
from tests.contracts.matrix.running import HOME, MissingError, running, version
from tests.contracts.matrix.servers import SERVERS, Server
from tests.contracts.matrix.table import Broken, Row, as_html, as_markdown

SEED = 0
_TOLD = logging.getLogger("matrix")
_DOCS = Path(__file__).parents[3] / "docs"
_BOUNDS = Bounds(requests=700, seconds=600, patience=30, reply_seconds=90)


def _check(server: Server, url: str) -> Verdict:
    options = Options(kind="openai", model=server.model, seed=SEED, bounds=_BOUNDS)
    return check(url + server.root, options)


def _key(finding: Finding) -> tuple[str, str]:
    return finding.law, kind_of(finding.message)


def row_of(server: Server) -> Row:
    """Both runs' verdicts on one server, and what they agree on."""
    try:
        with running(server) as url:
            first, second = _check(server, url), _check(server, url)
    except (MissingError, CannotRun) as error:
        return Row(server, version(server), missing=str(error).replace(str(HOME.parent), "."))
    again = {_key(one) for one in second.findings}
    agreed = [one for one in first.findings if _key(one) in again]
    other = len(first.findings) + len(second.findings) - 2 * len(agreed)
    shown = tuple(
        Broken(one.law, one.message, curl(one.exchange) if one.exchange else "") for one in agreed
    )
    examples = [to_json(one.exchange) for one in agreed if one.exchange]
    (HOME / f"{server.name}.exchanges.json").write_text(json.dumps(examples, indent=1))
    skipped = frozenset(law for one in first.skipped for law in one.laws)
    return Row(
        server,
        version(server),
        tuple(sorted(shown, key=lambda one: (one.law, one.message))),
        skipped,
        varied=other,
        requests=first.requests,
    )


def _remember(row: Row) -> None:
    kept = {**asdict(row), "server": row.server.name, "skipped": sorted(row.skipped)}
    (HOME / f"{row.server.name}.row.json").write_text(json.dumps(kept, indent=1))


def _recall(server: Server) -> Row | None:
    path = HOME / f"{server.name}.row.json"
    if not path.exists():
        return None
    kept = json.loads(path.read_text())
    broken = tuple(Broken(**one) for one in kept.pop("broken"))
    kept |= {"server": server, "broken": broken, "skipped": frozenset(kept["skipped"])}
    return Row(**kept)


def main(names: list[str]) -> None:
    """Checks the named servers, or all, and writes both pages."""
    HOME.mkdir(exist_ok=True)
    rows: list[Row] = []
    for server in SERVERS:
        row = _recall(server) if names and server.name not in names else None
        if row is None:
            _TOLD.info("%s ...", server.name)
            row = row_of(server)
            _remember(row)
            _TOLD.info("    %s", row.missing or f"{len(row.broken)} verdicts")
        rows.append(row)
    note = Path(__file__).with_name("note.txt").read_text("utf-8").strip()
    told = {"date": time.strftime("%Y-%m-%d"), "seed": SEED, "note": note}
    (_DOCS / "matrix.md").write_text(as_markdown(rows, **told), "utf-8")  # type: ignore[arg-type]
    (_DOCS / "matrix.html").write_text(as_html(rows, **told), "utf-8")  # type: ignore[arg-type]


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    main(sys.argv[1:])
