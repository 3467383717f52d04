"""Errors and the outer frame of every OpenAI reply, broken in one place at a time."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from lorax_contracts.exchange import End, Exchange
from tests.contracts import samples
from tests.contracts.judge.cases import Case, each_case

CASES: tuple[Case, ...] = (
    (
        "OAI-HTTP-001",
        "not JSON",
        lambda: samples.replace_body(samples.golden("chat_plain"), b"<html>"),
    ),
    (
        "OAI-HTTP-001",
        "NaN",
        lambda: samples.replace_body(
            samples.golden("chat_plain"), samples.golden("chat_plain").body.replace(b"11", b"NaN")
        ),
    ),
    (
        "OAI-HTTP-001",
        "another content type",
        lambda: replace(samples.golden("chat_plain"), headers=(("content-type", "text/plain"),)),
    ),
    (
        "OAI-HTTP-001",
        "an error of another content type",
        lambda: replace(samples.golden("refused_range"), headers=(("content-type", "text/plain"),)),
    ),
    (
        "OAI-HTTP-002",
        "a stream as JSON",
        lambda: replace(
            samples.golden("chat_stream"), headers=(("content-type", "application/json"),)
        ),
    ),
    ("OAI-HTTP-003", "no id", lambda: samples.golden("chat_plain")),
    ("OAI-HTTP-004", "cut", lambda: samples.cut(samples.golden("chat_plain"))),
    ("OAI-HTTP-004", "endless", lambda: replace(samples.golden("chat_plain"), end=End.TOO_LONG)),
    ("OAI-HTTP-004", "silent", lambda: replace(samples.golden("chat_plain"), end=End.IDLE)),
    (
        "OAI-HTTP-005",
        "an error as 200",
        lambda: replace(samples.golden("refused_range"), status=200),
    ),
    (
        "OAI-HTTP-005",
        "an error as 200 for a stream",
        lambda: samples.asking(replace(samples.golden("refused_range"), status=200), stream=True),
    ),
    (
        "OAI-STREAM-027",
        "no stream",
        lambda: samples.asking(samples.golden("chat_plain"), stream=True),
    ),
    (
        "OAI-STREAM-027",
        "a stream unasked",
        lambda: samples.asking(samples.golden("chat_stream"), stream=None),
    ),
    (
        "OAI-ERR-001",
        "plain text",
        lambda: samples.replace_body(samples.golden("refused_range"), b"no"),
    ),
    (
        "OAI-ERR-001",
        "flat",
        lambda: samples.edit(
            samples.golden("refused_range"), lambda _: {"error": "no", "error_type": "x"}
        ),
    ),
    (
        "OAI-ERR-002",
        "no param",
        lambda: samples.edit(
            samples.golden("refused_range"), lambda d: d["error"].pop("param") and None
        ),
    ),
    (
        "OAI-ERR-002",
        "a number for a code",
        lambda: samples.edit(
            samples.golden("refused_range"), lambda d: d["error"].update(code=400)
        ),
    ),
    (
        "OAI-ERR-006",
        "a traceback",
        lambda: samples.edit(
            samples.golden("refused_range"),
            lambda d: d["error"].update(message="Traceback (most recent call last):"),
        ),
    ),
    (
        "OAI-ERR-006",
        "a panic",
        lambda: samples.edit(
            samples.golden("refused_range"),
            lambda d: d["error"].update(message="thread 'main' panicked at src"),
        ),
    ),
    (
        "OAI-ERR-008",
        "no hint",
        lambda: samples.without_header(samples.golden("error_overloaded"), "retry-after"),
    ),
)


@each_case(CASES)
def test_one_broken_promise_is_found_under_its_law(
    law: str, what: str, broken: Callable[[], Exchange]
) -> None:
    """The law is named when, and only because, its promise is broken."""
    assert samples.found(broken(), strict=True) - ({"OAI-HTTP-003"} - {law}) == {law}, what


@pytest.mark.parametrize(
    "right", [lambda: samples.golden("refused_range"), lambda: samples.golden("error_overloaded")]
)
def test_a_right_answer_breaks_no_law(right: Callable[[], Exchange]) -> None:
    """No false alarm where every promise is kept."""
    assert samples.found(right(), strict=True) <= {"OAI-HTTP-003"}


def test_a_slow_reply_is_not_called_broken() -> None:
    """The client had no more time; what came of it is judged, and its end is not."""
    for name in ("chat_plain", "chat_stream"):
        exchange = samples.golden(name)
        half = replace(exchange, body=exchange.body[:-40], end=End.LEFT)
        assert samples.found(half) == set()


def test_a_list_of_stored_completions_is_no_completion() -> None:
    """GET on the same path is another route of the published document."""
    listed = replace(
        samples.golden("chat_plain"),
        method="GET",
        request=None,
        body=b'{"object":"list","data":[],"has_more":false}',
    )
    assert samples.found(listed) == set()


def test_what_never_came_is_not_judged() -> None:
    """Status 0 stands for no reply at all: that is the checker's to report."""
    assert samples.found(replace(samples.golden("chat_plain"), status=0, body=b"")) == set()
