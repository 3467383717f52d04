"""Requests and replies as text."""

from dataclasses import replace

from lorax_contracts.exchange import End
from lorax_contracts.messages import reply_text, request_text
from tests.contracts import samples

PLAIN = samples.golden("chat_plain")


def test_a_request_is_what_was_sent() -> None:
    """Its line, its headers, an empty line, its body: JSON, or bytes that are none."""
    sent = replace(PLAIN, request={"model": "é"}, request_headers={"x-team": "blue"})
    lines = ["POST /v1/chat/completions", "x-team: blue", "content-type: application/json", ""]
    assert request_text(sent).split("\n") == [*lines, '{"model":"é"}']
    bytes_alone = replace(PLAIN, request=None, request_text=b"\xff[")
    assert request_text(bytes_alone).endswith("\n\n\\xff[")
    assert request_text(replace(PLAIN, method="GET", request=None)) == "GET /v1/chat/completions"


def test_a_reply_is_what_came() -> None:
    """Lines stay lines, and what a terminal obeys is an escape."""
    came = replace(PLAIN, headers=(("content-type", "text/plain"),), body=b"a\r\nb\x1b[31m")
    assert reply_text(came).split("\n") == [
        "200",
        "content-type: text/plain",
        "",
        "a",
        "b\\x1b[31m",
    ]


def test_how_a_reply_ended_is_told_where_it_is_not_well() -> None:
    """And that none came."""
    assert reply_text(replace(PLAIN, end=End.CUT)).endswith("closed here, before the end)")
    assert reply_text(replace(PLAIN, status=0, trouble="reset")) == "(reset)"
    assert reply_text(replace(PLAIN, status=0, end=End.LEFT)).startswith("(more was still coming")


def test_a_long_body_is_cut_in_its_middle() -> None:
    """Its beginning and its end are what is looked at."""
    text = reply_text(replace(PLAIN, body=b"a" * 50_000 + b"b" * 50_000))
    assert "(92,000 characters are left out here)" in text
    assert text.endswith("bbb")
    assert len(text) < 9_000
