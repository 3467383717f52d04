"""`make matrix`: installs, starts and checks servers twice each, and writes the page after each.

    python -m tests.contracts.matrix                  # all
    python -m tests.contracts.matrix aimock litellm   # these; the others stay as they were found
    python -m tests.contracts.matrix --page           # none: the page alone, from what was found
    python -m tests.contracts.matrix --read aimock    # notes that each verdict shown of it was read
    python -m tests.contracts.matrix --keep aimock    # keeps small exchanges of it for the tests

Every exchange of both runs is kept in `.matrix`, for who reads the verdicts.
"""

import gzip
import json
import logging
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lorax_contracts.check import Options, Verdict, check_server
from lorax_contracts.client import Bounds, Client
from lorax_contracts.errors import CannotRun
from lorax_contracts.exchange import Exchange, to_json
from tests.contracts.matrix import results
from tests.contracts.matrix.keep import keep
from tests.contracts.matrix.results import Row, agreed
from tests.contracts.matrix.running import HOME, MissingError, running, version
from tests.contracts.matrix.servers import SERVERS, Server
from tests.contracts.matrix.table import as_html, as_markdown

SEED = 0
_LOG = logging.getLogger("matrix")
_EVIDENCE = Path(__file__).parents[3] / "docs" / "evidence"
_BOUNDS = Bounds(requests=900, seconds=900, patience=30, reply_seconds=90)


class _Recorder(Client):
    """A client that keeps what it was answered."""

    def __init__(self, base: str) -> None:
        super().__init__(base, bounds=_BOUNDS)
        self.exchanges: list[Exchange] = []

    def ask(
        self,
        method: str,
        path: str,
        request: Any = None,
        *,
        text: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Exchange:
        exchange = super().ask(method, path, request, text=text, headers=headers)
        self.exchanges.append(exchange)
        return exchange


def _check(server: Server, url: str, run: int) -> Verdict:
    """One run; what was found and every exchange stay in two files."""
    with _Recorder(url) as client:
        verdict = check_server(client, Options(kind="openai", model=server.model, seed=SEED))
    found = [
        {
            "law": one.law,
            "message": one.message,
            "at": one.at,
            "seen": one.seen,
            "exchange": to_json(one.exchange) if one.exchange else None,
        }
        for one in verdict.findings
    ]
    (HOME / f"{server.name}.{run}.findings.json").write_text(json.dumps(found, indent=1))
    with gzip.open(HOME / f"{server.name}.{run}.exchanges.jsonl.gz", "wt") as kept:
        kept.writelines(json.dumps(to_json(one)) + "\n" for one in client.exchanges)
    return verdict


def row_of(server: Server) -> Row:
    """Both runs' verdicts on one server, and what they agree on."""
    told: dict[str, Any] = {"date": time.strftime("%Y-%m-%d"), "seed": SEED}
    try:
        with running(server) as url:
            first, second = (_check(server, url, run) for run in (1, 2))
    except (MissingError, CannotRun) as error:
        why = str(error).replace(f"{HOME}/", "").replace(str(HOME.parent), ".")
        return Row(server, version(server), missing=why, **told)
    return agreed(Row(server, version(server), server.flags, **told), first, second)


def _page() -> None:
    rows = results.load()
    (_EVIDENCE / "matrix.md").write_text(as_markdown(rows), "utf-8")
    (_EVIDENCE / "matrix.html").write_text(as_html(rows), "utf-8")


def _chosen(names: list[str]) -> list[Server]:
    known = {one.name: one for one in SERVERS}
    wrong = sorted(set(names) - set(known))
    if wrong:
        sys.exit(f"make matrix: no server {', '.join(wrong)}; there are {', '.join(known)}")
    return [one for one in SERVERS if one.name in names] if names else list(SERVERS)


def main(words: list[str]) -> None:
    """Checks the named servers, or all, or does what an option says."""
    options = {word for word in words if word.startswith("-")}
    names = [word for word in words if word not in options]
    chosen = _chosen(names)
    if "--read" in options:
        for server in chosen:
            results.mark(server.name)
    elif "--keep" in options:
        for row in results.load():
            recorded = HOME / f"{row.server.name}.1.exchanges.jsonl.gz"
            if row.server in chosen and not row.missing and recorded.exists():
                keep(row, recorded)
    elif not options:
        HOME.mkdir(exist_ok=True)
        for server in chosen:
            _LOG.info("%s ...", server.name)
            row = row_of(server)
            results.save(row)
            _page()
            _LOG.info("    %s", row.missing or f"{len(row.broken)} verdicts")
    _page()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    main(sys.argv[1:])
