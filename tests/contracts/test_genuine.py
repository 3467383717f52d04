"""Recorded exchanges of running servers: each breaks what it was read to break, and nothing else.

They were recorded by `make matrix`; docs/evidence/matrix.md says of which servers, two of them ours. A false alarm on one of
them, and a true one that is no longer raised, both fail here.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from lorax_contracts import relations
from lorax_contracts.exchange import from_json
from lorax_contracts.judge import judge
from tests.contracts.matrix.keep import GENUINE, told

FILES = sorted(GENUINE.glob("*.json"))


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_a_genuine_server_gets_the_findings_that_it_deserves(path: Path) -> None:
    """Each exchange alone, and plain answers beside their streams."""
    document: dict[str, Any] = json.loads(path.read_text("utf-8"))
    for one in document["singles"]:
        exchange = from_json(one["exchange"])
        kind = one.get("kind", "openai")
        found = judge(exchange, kind=kind, right=one["right"])
        assert told(found) == one["findings"], exchange
    for pair in document["pairs"]:
        plain, streamed = map(from_json, pair["exchanges"])
        assert told(relations.same_streamed(plain, streamed)) == pair["findings"], streamed
        assert [told(judge(plain)), told(judge(streamed))] == pair["alone"]


def test_the_recordings_hold_something_to_judge() -> None:
    """An empty set of files would show nothing."""
    documents = [json.loads(path.read_text("utf-8")) for path in FILES]
    singles = [one for document in documents for one in document["singles"]]
    assert any(one["findings"] for one in singles)
    assert any(not one["findings"] and one["right"] for one in singles)
    assert any(document["pairs"] for document in documents)
