"""A run as programs read it."""

import json
from dataclasses import replace
from xml.etree import ElementTree as ET

from lorax_contracts.baseline import outcome_of
from lorax_contracts.formats.documents import as_json, as_junit
from tests.contracts.formats.verdicts import BASELINE, family, outcome, verdict


def test_json_holds_everything_in_the_order_of_every_report() -> None:
    """And says what was left out."""
    document = json.loads(as_json(outcome()))
    assert [(one["law"], one["known"]) for one in document["broken"]] == [
        ("OAI-CHAT-003", False),
        ("OAI-CHAT-002", False),
    ]
    assert document["seed"] == 3
    assert document["unfinished"] is None
    assert [one["group"] for one in document["skipped"]] == ["embeddings"]
    assert document["skipped"][0]["laws"] == sorted(family("OAI-EMB"))
    assert document["laws"] == sorted(family("OAI-CHAT", "OAI-EMB"))
    assert "fixed" not in document


def test_json_says_what_a_baseline_knows() -> None:
    """Of each finding, and of what was not found."""
    document = json.loads(as_json(outcome(compared=True)))
    assert [one["known"] for one in document["broken"]] == [False, True]
    assert [one["law"] for one in document["fixed"]] == ["OAI-CHAT-010"]
    assert [one["law"] for one in document["known_not_judged"]] == ["OAI-EMB-001"]


def test_junit_has_a_case_for_each_law() -> None:
    """A broken law is a failure, one that was not judged is skipped; well-formed whatever was seen."""
    suite = ET.fromstring(as_junit(outcome()))  # noqa: S314 - our own
    laws = family("OAI-CHAT", "OAI-EMB")
    assert suite.get("tests") == str(len(laws)) == str(len(suite.findall("testcase")))
    assert suite.get("failures") == str(len(suite.findall("testcase/failure"))) == "2"
    skipped = suite.findall("testcase/skipped")
    assert suite.get("skipped") == str(len(skipped)) == str(len(family("OAI-EMB")))
    assert skipped[0].get("message") == "embeddings: POST /embeddings is 404"


def test_junit_skips_what_is_known() -> None:
    """Nothing fails for it; a law that is broken in a new way as well does fail."""
    suite = ET.fromstring(as_junit(outcome(compared=True)))  # noqa: S314 - our own
    assert [one.get("name") for one in suite.findall("testcase[failure]")] == ["OAI-CHAT-003"]
    (case,) = suite.findall("testcase[@name='OAI-CHAT-002']/skipped")
    assert (case.get("message") or "").startswith("known: ")
    assert suite.get("skipped") == str(len(suite.findall("testcase/skipped")))
    assert suite.get("failures") == "1"
    again = replace(
        verdict(), findings=(*verdict().findings, replace(verdict().findings[0], message="other"))
    )
    both = ET.fromstring(as_junit(outcome_of(again, BASELINE)))  # noqa: S314 - our own
    assert len(both.findall("testcase[failure]")) == 2
    assert both.get("skipped") == str(len(both.findall("testcase/skipped")))


def test_a_run_that_ended_early_passes_no_law() -> None:
    """What was not found broken by then is not judged."""
    early = outcome_of(replace(verdict(), unfinished="9 requests are used up"))
    suite = ET.fromstring(as_junit(early))  # noqa: S314 - our own
    assert all(len(case) == 1 for case in suite.findall("testcase"))
