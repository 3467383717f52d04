"""Laws and findings as people and programs read them."""

from pathlib import Path

from lorax_contracts.exchange import Finding
from lorax_contracts.judge import judge
from lorax_contracts.laws import all_laws, law
from lorax_contracts.listing import (
    finding_document,
    finding_lines,
    law_document,
    law_markdown,
    law_text,
    severities,
    worst_first,
)
from tests.contracts import samples


def test_a_law_is_explained_in_full() -> None:
    """Everything a newcomer asks: what, why, who said so."""
    one = law("OAI-STREAM-007")
    text = law_text(one)
    for part in (one.id, one.text, one.why, one.source):
        assert part in text
    assert set(law_document(one)) == {
        "id",
        "severity",
        "promise",
        "evidence",
        "law",
        "why",
        "source",
    }


def test_every_law_can_be_explained() -> None:
    """No law lacks a word for its promise or evidence."""
    assert all(law_text(one) for one in all_laws().values())


def test_a_finding_says_what_was_seen_promised_and_how_to_repeat_it() -> None:
    """A newcomer reads it and knows what to fix."""
    broken = samples.edit(samples.golden("chat_plain"), lambda d: d.update(created=0))
    (finding,) = judge(broken)
    lines = finding_lines(finding, "http://localhost:8000")
    assert lines[0] == "OAI-CHAT-004  (shape)  created is not now in Unix seconds at /created"
    assert lines[1] == "    seen      0"
    assert "Unix time in seconds" in lines[2]
    assert lines[3].startswith(
        "    repeat    curl -sS -i http://localhost:8000/v1/chat/completions"
    )
    document = finding_document(finding, "http://localhost:8000")
    assert document["law"] == "OAI-CHAT-004"
    assert document["curl"].startswith("curl ")


def test_the_worst_is_first_and_each_severity_that_is_there_is_explained() -> None:
    """One order, in which nobody has to look up what a word means."""
    laws = ("OAI-CHAT-010", "OAI-ERR-004", "OAI-CHAT-003", "OAI-CHAT-002", "OAI-CHAT-002")
    found = [Finding(one, str(number)) for number, one in enumerate(laws)]
    assert [one.message for one in worst_first(found)] == ["1", "2", "3", "4", "0"]
    assert severities(found) == [
        "1 wrong: the client is told something untrue, or loses something",
        "1 breaks: usual clients fail",
        "3 shape: the published shape is not kept, and many clients survive",
    ]
    assert severities([]) == []


def test_the_page_of_laws_is_the_list_of_laws() -> None:
    """`make docs` writes docs/laws.md."""
    page = (Path(__file__).parents[2] / "docs" / "laws.md").read_text("utf-8").splitlines()
    written = law_markdown(all_laws().values()).splitlines()
    differing = sorted(set(page) ^ set(written))
    assert not differing, f"docs/laws.md and data/laws/ differ, run make docs: {differing[0]}"
    assert page == written, "docs/laws.md has another order than data/laws/: run make docs"
