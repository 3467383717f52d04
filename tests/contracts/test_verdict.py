"""A verdict for people, programs and CI."""

import json
from xml.etree import ElementTree as ET

import pytest

from lorax_contracts.check import Verdict
from lorax_contracts.judge import judge
from lorax_contracts.laws import Promise, all_laws
from lorax_contracts.session import Skipped
from lorax_contracts.verdict import verdict_document, verdict_junit, verdict_table, verdict_text
from tests.contracts import samples


def verdict() -> Verdict:
    """Two laws broken, one of them only a matter of shape; a control character in what was seen."""
    broken = samples.edit(
        samples.golden("chat_plain"), lambda d: d.update(created=0, object="\x00odd")
    )
    return Verdict(
        url="http://h/v1",
        host="http://h",
        kind="openai",
        model="m",
        seed=3,
        findings=tuple(judge(broken)),
        skipped=(Skipped("embeddings", "POST /embeddings is 404"),),
        requests=9,
        seconds=1.25,
    )


def test_the_worst_comes_first_with_how_to_repeat_it() -> None:
    """Wrong before breaks before shape."""
    lines = verdict_text(verdict()).splitlines()
    named = [line.split()[0] for line in lines if not line.startswith(" ")]
    assert named == ["OAI-CHAT-004", "OAI-CHAT-002"]
    assert sum("curl -sS -i http://h/v1/chat/completions" in line for line in lines) == 2


def test_json_holds_everything() -> None:
    """And survives being written."""
    document = json.loads(json.dumps(verdict_document(verdict())))
    assert [one["law"] for one in document["broken"]] == ["OAI-CHAT-002", "OAI-CHAT-004"]
    assert document["seed"] == 3
    assert document["unfinished"] is None
    assert document["skipped"] == [{"group": "embeddings", "why": "POST /embeddings is 404"}]


@pytest.mark.parametrize("strict", [True, False])
def test_junit_has_a_case_for_each_law(strict: bool) -> None:
    """A broken law is a failure; the document is well-formed whatever was seen."""
    suite = ET.fromstring(verdict_junit(verdict(), strict=strict))  # noqa: S314 - our own
    laws = [
        one
        for one in all_laws().values()
        if one.wire == "openai" and (strict or one.promise is not Promise.OURS)
    ]
    assert suite.get("tests") == str(len(laws)) == str(len(suite.findall("testcase")))
    assert suite.get("failures") == str(len(suite.findall("testcase/failure"))) == "2"


def test_the_table_sums_up(capsys: pytest.CaptureFixture[str]) -> None:
    """Families, what was not judged, and one last line."""
    verdict_table(verdict())
    said = capsys.readouterr().err
    assert "OAI-CHAT" in said
    assert "not judged: embeddings" in said
    assert "2 broken laws at http://h/v1" in said
