"""Where findings are put."""

from lorax_contracts.judge.report import Report, kind_of, shown
from tests.contracts import samples


def test_the_first_finding_of_each_way_to_break_a_law_is_kept() -> None:
    """A thousand chunks with one fault are one line, whatever they say; another fault is another."""
    report = Report(samples.golden("chat_plain"))
    report.add("OAI-CHAT-001", '1 is not a string, "a" was', seen=1)
    report.add("OAI-CHAT-001", '23 is not a string, "b \\" c" was', seen=2)
    report.add("OAI-CHAT-001", "refusal is missing", seen=3)
    report.add("OAI-CHAT-002", "other")
    assert [(one.law, one.message, one.seen) for one in report.findings] == [
        ("OAI-CHAT-001", '1 is not a string, "a" was', "1"),
        ("OAI-CHAT-001", "refusal is missing", "3"),
        ("OAI-CHAT-002", "other", ""),
    ]
    assert report.has("OAI-CHAT-001")
    assert not report.has("OAI-CHAT-003")


def test_what_is_shown_is_one_line_and_short() -> None:
    """Bytes, text and JSON; line ends and lone surrogates can be read; the middle is cut."""
    assert shown(b"a\r\nb\xff") == "a\\r\\nb\\xff"
    assert shown("a\nb") == '"a\\nb"'
    assert shown({"a": ["é", None]}) == '{"a":["é",null]}'
    assert "\\ud83d" in shown("\ud83d")
    long = shown("x" * 5000)
    assert len(long) < 250
    assert " ... " in long


def test_a_text_that_was_cut_is_as_little_a_kind_as_a_whole_one() -> None:
    """Where a quotation is cut depends on the numbers in it."""
    cut = ['[{"id": "c-57", "created... is no object', '[{"id": "c-2", "created"... is no object']
    assert len({kind_of(one) for one in cut}) == 1
