"""Keeps a few small exchanges of a checked server, and what each is found to break.

What is kept is read by a person before it is committed: from then on it is what the laws must say of
that server's bytes, no more and no less (`tests/contracts/test_genuine.py`).
"""

import gzip
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lorax_contracts import relations
from lorax_contracts.baseline import identity
from lorax_contracts.exchange import Exchange, Finding, from_json, to_json
from lorax_contracts.judge import judge
from lorax_contracts.judge.openai import request_misfits
from lorax_contracts.probes.listings import listed_models
from tests.contracts.matrix.results import Row

__all__ = ["GENUINE", "keep", "told"]

GENUINE = Path(__file__).parents[1] / "genuine"
_LONGEST = 3_000  # characters of one exchange
_LISTED = 3  # models of one list
_MOST = 14_000  # of one server


def told(findings: Iterable[Finding]) -> list[str]:
    """Laws and words, in order."""
    return sorted(f"{one.law} {one.message}" for one in findings)


def _right(exchange: Exchange, models: set[Any]) -> bool:
    """Whether the request could be answered: well formed, a known model, a usual header."""
    if exchange.method == "POST":
        known = exchange.asked.get("model") in models and exchange.request_text is None
        return known and not exchange.request_headers and not request_misfits(exchange)
    return "no-such" not in exchange.path and not exchange.path.endswith("/completions")


def _size(exchange: Exchange) -> int:
    return len(json.dumps(to_json(exchange), ensure_ascii=False))


def _singles(exchanges: list[Exchange], models: set[Any]) -> list[dict[str, Any]]:
    """The smallest exchanges that show each finding, and one without any of each kind of request."""
    smallest: dict[Any, tuple[int, dict[str, Any]]] = {}
    for one in exchanges:
        if len(listed_models(one)) > _LISTED:
            continue  # a long list shows no more than a short one
        right = _right(one, models)
        found = judge(one, kind="openai", right=right)
        kind = one.path, one.asked.get("stream") is True, one.status, right
        key = (*kind, frozenset(identity(f.law, f.message) for f in found))
        size = _size(one)
        if size <= _LONGEST and (key not in smallest or size < smallest[key][0]):
            kept = {"right": right, "findings": told(found), "exchange": to_json(one)}
            smallest[key] = size, kept
    singles = [single for _, single in sorted(smallest.values(), key=lambda pair: pair[0])]
    known: set[str] = set()
    first: list[dict[str, Any]] = []
    for single in singles:
        if set(single["findings"]) - known:
            first.append(single)
            known |= set(single["findings"])
    return first + [single for single in singles if not single["findings"]]


def _plainly(exchange: Exchange) -> str:
    asked = {k: v for k, v in exchange.asked.items() if k not in {"stream", "stream_options"}}
    return exchange.path + json.dumps(asked, sort_keys=True)


def _pairs(exchanges: list[Exchange], models: set[Any]) -> list[dict[str, Any]]:
    """Requests that were sent plain and streamed, greedy and seeded."""
    pairs: list[tuple[int, dict[str, Any]]] = []
    asked = [one for one in exchanges if one.asked.get("temperature") == 0 and one.status == 200]
    plain = {_plainly(one): one for one in asked if one.asked.get("stream") is not True}
    for two in asked:
        one = plain.get(_plainly(two))
        if one is None or two.asked.get("stream") is not True or not _right(one, models):
            continue
        pair = {
            "findings": told(relations.same_streamed(one, two)),
            "alone": [told(judge(each)) for each in (one, two)],
            "exchanges": [to_json(one), to_json(two)],
        }
        pairs.append((_size(one) + _size(two), pair))
    # A pair that shows something before one that does not.
    pairs.sort(key=lambda pair: (not pair[1]["findings"], pair[0]))
    return [pair for size, pair in pairs if size <= 2 * _LONGEST][:1]


def keep(row: Row, recorded: Path, folder: Path = GENUINE) -> None:
    """Writes the server's file from what a run recorded."""
    with gzip.open(recorded, "rt") as lines:
        exchanges = [from_json(json.loads(line)) for line in lines]
    models: set[Any] = {row.server.model}
    for one in exchanges:
        if one.path.endswith("/models"):
            models |= {model.get("id") for model in listed_models(one)}
    document: dict[str, Any] = {
        "server": f"{row.server.name} {row.version}",
        "started": row.flags,
        "date": row.date,
        "pairs": _pairs(exchanges, models),
        "singles": [],
    }
    for single in _singles(exchanges, models):
        more = len(json.dumps(single, ensure_ascii=False))
        if len(json.dumps(document, ensure_ascii=False)) + more <= _MOST:
            document["singles"].append(single)
    folder.mkdir(exist_ok=True)
    (folder / f"{row.server.name}.json").write_text(_text(document), "utf-8")


def _text(document: dict[str, Any]) -> str:
    """The document as JSON with a line for each exchange or pair of them."""

    def compact(value: Any) -> str:
        return json.dumps(value, ensure_ascii=False)

    def lines(key: str) -> str:
        return f'"{key}": [\n' + ",\n".join(compact(one) for one in document[key]) + "\n]"

    told = [f'"{key}": {compact(document[key])}' for key in ("server", "started", "date")]
    return "{\n" + ",\n".join([*told, lines("pairs"), lines("singles")]) + "\n}\n"
