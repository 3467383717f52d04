"""Where findings are put."""

from lorax_contracts.judge.report import Report, shown
from tests.contracts import samples


def test_the_first_finding_of_a_law_is_kept() -> None:
    """A thousand chunks with one fault are one line."""
    report = Report(samples.golden("chat_plain"))
    report.add("OAI-CHAT-001", "first", seen=1)
    report.add("OAI-CHAT-001", "second", seen=2)
    report.add("OAI-CHAT-002", "other")
    assert [(one.law, one.message, one.seen) for one in report.findings] == [
        ("OAI-CHAT-001", "first", "1"),
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
