"""A request is one short line for people, whatever its client wrote into it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorax_proxy.log_text import as_text

CHAT = {"method": "POST", "path": "/v1/chat/completions"}


def line(event: str = "request", level: str = "info", **facts: Any) -> str:
    """The lines of an event at thirteen seconds past 22:07."""
    return as_text(None, level, {"event": event, **facts, "level": level, "timestamp": "22:07:13"})


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (
            {
                **CHAT,
                "status": 200,
                "ms": 37.4,
                "request_id": "req_1",
                "model": "acme/support",
                "finish_reason": "stop",
                "prompt_tokens": 49,
                "completion_tokens": 34,
            },
            "200 POST /v1/chat/completions acme/support 49>34 tok 37 ms stop",
        ),
        (
            {
                **CHAT,
                "status": 200,
                "ms": 2.6,
                "prompt_tokens": 5,
                "not_enforced": "format,pattern",
            },
            "200 POST /v1/chat/completions 5>0 tok 3 ms not enforced: format,pattern",
        ),
        (
            {**CHAT, "status": 200, "ms": 2.0, "completion_tokens": 54, "finish_reason": "stop"},
            "200 POST /v1/chat/completions ?>54 tok 2 ms stop",
        ),
        (
            {**CHAT, "status": 400, "ms": 0.4, "error": "invalid_type"},
            "400 POST /v1/chat/completions 0 ms invalid_type",
        ),
        (
            {
                **CHAT,
                "status": 502,
                "ms": 9.0,
                "model": "acme/poet",
                "error": "upstream_error",
                "reason": "LoRAX failed: no memory\nTried",
            },
            r"502 POST /v1/chat/completions acme/poet 9 ms upstream_error: LoRAX failed: no memory\nTried",
        ),
        (
            {"method": "GET", "path": "/a b", "status": 0, "ms": 1.0, "model": "", "error": "x"},
            '- GET "/a b" "" 1 ms x',
        ),
        (
            {"method": "GET", "path": "/" + "x" * 300, "status": 404, "ms": 1.0},
            f"404 GET /{'x' * 196}... 1 ms",
        ),
    ],
)
def test_requests_are_told_shortly(facts: dict[str, Any], expected: str) -> None:
    """What is not known leaves no gap; a long value is cut."""
    assert line(**facts) == f"22:07:13 {expected}"


def test_other_events_have_their_level_and_facts() -> None:
    """A traceback follows, its lines as they are."""
    told = line("upstream_lost", "warning", upstream="default", cause="timed out", lines=3)
    assert told == '22:07:13 warning upstream_lost upstream=default cause="timed out" lines=3'
    told = line("bug", "error", exception='Traceback\n  File "x"\nValueError: \x1b[2J')
    assert told == '22:07:13 error bug\nTraceback\n  File "x"\nValueError: \\x1b[2J'


@given(st.text(), st.text(), st.text(), st.text())
def test_no_line_moves_a_terminal_or_looks_like_two(a: str, b: str, c: str, d: str) -> None:
    """Control characters, line ends and marks of direction are escapes, in every value."""
    facts = {"path": a, "model": b, "not_enforced": c, "reason": d, "error": "e", "method": "GET"}
    assert line(status=502, ms=1.0, **facts).isprintable()
    assert line("upstream_lost", "warning", upstream=a, cause=d).isprintable()


@pytest.mark.parametrize(
    "text", ["\n", "\r", "\x1b[31m", "\x7f", "\x9b", "\u2028", "\u202e", "\ud800"]
)
def test_what_is_not_printable_is_escaped(text: str) -> None:
    """Of every kind one, and a name that is not ASCII stays readable."""
    told = line(method="GET", path="/", status=200, ms=1.0, model=f"acme/größe{text}")
    assert told.isprintable()
    assert "acme/größe\\" in told
