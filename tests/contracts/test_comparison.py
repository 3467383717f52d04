"""Several servers beside each other, in every form."""

import json
from dataclasses import replace

import pytest

from lorax_contracts.comparison import FORMS, Judged, compared
from lorax_contracts.laws import law
from tests.contracts.formats.verdicts import family, verdict

RIGHT = replace(verdict(), findings=(), skipped=(), url="http://right/v1")
OTHER = replace(RIGHT, kind="lorax", laws=tuple(sorted(family("LORAX-GEN"))), url="http://native")
SERVERS = [
    Judged("bro|ken<b>", verdict()),
    Judged("right", RIGHT),
    Judged("http://native", OTHER),
    Judged("gone", why="no connection"),
]


def rows(text: str) -> dict[str, list[str]]:
    """The cells of a text by law, the heads as `law`."""
    table = text.partition("\n\n")[0].splitlines()
    return {line[:17].strip(): line[17:].split() for line in table}


def test_a_law_that_all_keep_has_no_row() -> None:
    """One that is broken somewhere has, and one that is judged at one server alone; the worst first."""
    table = rows(compared("text", SERVERS[:2]))
    laws = [one for one in table if one.startswith("OAI-")]
    assert {"OAI-CHAT-002", "OAI-CHAT-003"} | family("OAI-EMB") == set(laws)
    severities = [law(one).severity.value for one in laws]
    assert severities == sorted(severities, key=["wrong", "breaks", "shape"].index)
    assert table["law"] == ["severity", "bro|ken<b>", "right"]
    assert table["OAI-CHAT-003"] == ["breaks", "broken", "kept"]
    assert table["OAI-EMB-001"] == ["breaks", "not", "judged", "kept"]
    assert table["laws broken"] == ["2", "0"]
    kept = len(family("OAI-CHAT"))
    assert table["laws kept"] == [str(kept - 2), str(kept + len(family("OAI-EMB")))]


def test_every_server_is_told_of() -> None:
    """One of the other wire keeps no law of this; one that could not be judged has no column."""
    text = compared("text", SERVERS)
    table = rows(text)
    assert table["OAI-CHAT-003"] == ["breaks", "broken", "kept", "other", "wire"]
    assert table["law"][1:] == ["bro|ken<b>", "right", "http://native"]
    lines = text.splitlines()
    assert "gone: not judged: no connection" in lines
    assert any(one.startswith("http://native (lorax, ") for one in lines)
    left = len(family("OAI-CHAT")) - 2 + len(family("LORAX-GEN"))
    assert f"Left out: {left} laws that each server of their wire keeps, 0 that" in text


def test_where_nothing_could_be_judged_there_is_no_law() -> None:
    """Only why."""
    for form in FORMS:
        text = compared(form, SERVERS[3:])
        assert "no connection" in text
        assert "OAI-" not in text


def test_programs_get_every_law_and_finding() -> None:
    """By server."""
    broken, right, _, gone = json.loads(compared("json", SERVERS))
    assert broken["laws"]["OAI-CHAT-002"] == "broken"
    assert set(right["laws"].values()) == {"kept"}
    assert [one["law"] for one in broken["broken"]] == ["OAI-CHAT-003", "OAI-CHAT-002"]
    assert (gone["url"], gone["why_not"]) == (None, "no connection")
    assert right["why_not"] is None


def test_a_server_where_the_one_law_could_not_be_judged_says_why() -> None:
    """In each form; else it would look as if it kept the law."""
    alone = [Judged("one", replace(verdict(), findings=(), laws=("OAI-EMB-001",)))]
    (server,) = json.loads(compared("json", alone))
    assert server["why_not"] == "embeddings: POST /embeddings is 404"
    for form in ("text", "html", "markdown"):
        assert "not judged: embeddings: POST /embeddings is 404" in compared(form, alone)


def test_a_name_between_colons_stays_a_name() -> None:
    """No terminal's emoji."""
    assert ":smile:" in compared("text", [Judged(":smile:", RIGHT)]).splitlines()[0]


def test_an_early_end_is_told() -> None:
    """What was not reached is not judged."""
    early = Judged("right", replace(RIGHT, unfinished="3 seconds are used up"))
    assert "; ended early: 3 seconds are used up" in compared("text", [early])
    assert json.loads(compared("json", [early]))[0]["unfinished"] == "3 seconds are used up"


@pytest.mark.parametrize(
    ("form", "name"), [("markdown", "bro&#124;ken&#60;b&#62;"), ("html", "bro|ken&lt;b&gt;")]
)
def test_a_page_lists_what_was_found_under_a_name_that_is_only_text(form: str, name: str) -> None:
    """Whatever the server is called."""
    text = compared(form, SERVERS)
    assert name in text
    assert "<b>" not in text
    assert "OAI-CHAT-003: id identifies nothing" in text
    assert "usual clients fail" in text


def test_a_pages_table_can_be_read_by_row_and_column() -> None:
    """By a screen reader, and by keyboard where it is wider than the window."""
    text = compared("html", SERVERS)
    head, *body = text.split("<tr>")[1:]
    assert head.count('<th scope="col">') == 5
    assert all(row.startswith('<th scope="row">') for row in body)
    assert 'tabindex="0"' in text
