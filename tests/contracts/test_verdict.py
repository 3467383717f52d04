"""A verdict for people, programs and CI."""

import json
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest

from lorax_contracts.check import Verdict
from lorax_contracts.judge import judge
from lorax_contracts.laws import all_laws
from lorax_contracts.session import Skipped
from lorax_contracts.verdict import verdict_document, verdict_junit, verdict_table, verdict_text
from tests.contracts import samples


def family(*names: str) -> frozenset[str]:
    """Ids of the laws of these families."""
    return frozenset(one for one in all_laws() if one.rpartition("-")[0] in names)


def verdict() -> Verdict:
    """Two laws broken, one of them only a matter of shape; a control character in what was seen."""
    broken = samples.edit(
        samples.golden("chat_plain"), lambda d: d.update(id="null", object="\x00odd")
    )
    return Verdict(
        url="http://h/v1",
        host="http://h",
        kind="openai",
        model="m",
        seed=3,
        findings=tuple(judge(broken)),
        skipped=(Skipped("embeddings", "POST /embeddings is 404", family("OAI-EMB")),),
        requests=9,
        seconds=1.25,
        laws=tuple(sorted(family("OAI-CHAT", "OAI-EMB"))),
    )


def test_the_worst_comes_first_with_how_to_repeat_it() -> None:
    """Wrong before breaks before shape."""
    lines = verdict_text(verdict()).splitlines()
    named = [line.split()[0] for line in lines if not line.startswith(" ")]
    assert named == ["OAI-CHAT-003", "OAI-CHAT-002"]
    assert sum("curl -sS -i http://h/v1/chat/completions" in line for line in lines) == 2


def test_json_holds_everything() -> None:
    """And survives being written."""
    document = json.loads(json.dumps(verdict_document(verdict())))
    assert [one["law"] for one in document["broken"]] == ["OAI-CHAT-002", "OAI-CHAT-003"]
    assert document["seed"] == 3
    assert document["unfinished"] is None
    assert [one["group"] for one in document["skipped"]] == ["embeddings"]
    assert document["skipped"][0]["laws"] == sorted(family("OAI-EMB"))
    assert document["laws"] == sorted(family("OAI-CHAT", "OAI-EMB"))


def test_junit_has_a_case_for_each_law() -> None:
    """A broken law is a failure, one that was not judged is skipped; well-formed whatever was seen."""
    suite = ET.fromstring(verdict_junit(verdict()))  # noqa: S314 - our own
    laws = family("OAI-CHAT", "OAI-EMB")
    assert suite.get("tests") == str(len(laws)) == str(len(suite.findall("testcase")))
    assert suite.get("failures") == str(len(suite.findall("testcase/failure"))) == "2"
    skipped = suite.findall("testcase/skipped")
    assert suite.get("skipped") == str(len(skipped)) == str(len(family("OAI-EMB")))
    assert skipped[0].get("message") == "embeddings: POST /embeddings is 404"


def test_a_run_that_ended_early_passes_no_law() -> None:
    """What was not found broken by then is not judged."""
    early = replace(verdict(), unfinished="9 requests are used up")
    suite = ET.fromstring(verdict_junit(early))  # noqa: S314 - our own
    cases = suite.findall("testcase")
    assert all(len(case) == 1 for case in cases)


def test_the_table_sums_up(capsys: pytest.CaptureFixture[str]) -> None:
    """Families, what was not judged, and one last line."""
    verdict_table(verdict())
    said = capsys.readouterr().err
    assert "OAI-CHAT" in said
    assert "not judged: embeddings" in said
    assert "2 broken laws at http://h/v1" in said
    rows = {line.split()[0]: line.split()[1:] for line in said.splitlines() if line[:4] == "OAI-"}
    assert rows == {
        "OAI-CHAT": [str(len(family("OAI-CHAT"))), "2"],
        "OAI-EMB": [many := str(len(family("OAI-EMB"))), many],
    }


def test_one_law_that_could_not_be_judged_is_not_called_kept(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The last line is what people read."""
    verdict_table(replace(verdict(), findings=(), laws=("OAI-EMB-001",)))
    assert "OAI-EMB-001 could not be judged at http://h/v1" in capsys.readouterr().err


def test_a_line_stays_a_line_and_obeys_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    """Summaries are searched for by line; a model's name may hold what a terminal would obey."""
    verdict_table(replace(verdict(), model="m" * 200 + "\x1b[31m", unfinished="a\x9bb"))
    said = capsys.readouterr().err
    assert sum("mmmm" in line for line in said.splitlines()) == 1
    assert "\x1b" not in said
    assert "\x9b" not in said
