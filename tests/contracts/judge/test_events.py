"""A native stream, broken in one place at a time."""

from collections.abc import Callable

import pytest

from lorax_contracts.exchange import Exchange
from tests.contracts import samples
from tests.contracts.judge.cases import Case, each_case

CASES: tuple[Case, ...] = (
    (
        "LORAX-STREAM-001",
        "details missing",
        lambda: samples.edit_events(samples.lorax("chat_stream"), lambda d: d[0].pop("details")),
    ),
    (
        "LORAX-STREAM-001",
        "not JSON",
        lambda: samples.replace_body(
            samples.lorax("chat_stream"), b"data: hello\n\n" + samples.lorax("chat_stream").body
        ),
    ),
    (
        "LORAX-STREAM-001",
        "details too early",
        lambda: samples.edit_events(
            samples.lorax("chat_stream"), lambda d: d[0].update(details=d[-1]["details"])
        ),
    ),
    (
        "LORAX-STREAM-002",
        "no space",
        lambda: samples.replace_body(
            samples.lorax("chat_stream"),
            samples.lorax("chat_stream").body.replace(b"data: ", b"data:"),
        ),
    ),
    (
        "LORAX-STREAM-002",
        "spaces in JSON",
        lambda: samples.replace_body(
            samples.lorax("chat_stream"),
            samples.lorax("chat_stream").body.replace(b'"id":100', b'"id": 100'),
        ),
    ),
    (
        "LORAX-STREAM-002",
        "CRLF",
        lambda: samples.replace_body(
            samples.lorax("chat_stream"), samples.lorax("chat_stream").body.replace(b"\n", b"\r\n")
        ),
    ),
    (
        "LORAX-STREAM-002",
        "a comment with words",
        lambda: samples.replace_body(
            samples.lorax("keep_alive"),
            samples.lorax("keep_alive").body.replace(b":\n\n", b": ping\n\n", 1),
        ),
    ),
    (
        "LORAX-STREAM-002",
        "unfinished",
        lambda: samples.replace_body(
            samples.lorax("chat_stream"), samples.lorax("chat_stream").body[:-1]
        ),
    ),
    (
        "LORAX-STREAM-003",
        "[DONE]",
        lambda: samples.replace_body(
            samples.lorax("chat_stream"), samples.lorax("chat_stream").body + b"data: [DONE]\n\n"
        ),
    ),
    (
        "LORAX-STREAM-004",
        "no final event",
        lambda: samples.edit_events(samples.lorax("chat_stream"), lambda d: d.pop() and None),
    ),
    (
        "LORAX-STREAM-004",
        "an event after it",
        lambda: samples.edit_events(samples.lorax("chat_stream"), lambda d: d.append(d[0])),
    ),
    (
        "LORAX-STREAM-005",
        "an event after an error",
        lambda: samples.replace_body(
            samples.lorax("error_in_stream"),
            samples.lorax("error_in_stream").body + samples.lorax("chat_stream").body,
        ),
    ),
    (
        "LORAX-STREAM-006",
        "details unasked",
        lambda: samples.asking(
            samples.lorax("chat_stream"), parameters={"adapter_id": "acme/poet"}
        ),
    ),
    (
        "LORAX-STREAM-007",
        "another text",
        lambda: samples.edit_events(
            samples.lorax("chat_stream"), lambda d: d[-1].update(generated_text="Bye")
        ),
    ),
    (
        "LORAX-STREAM-008",
        "another count",
        lambda: samples.edit_events(
            samples.lorax("chat_stream"), lambda d: d[-1]["details"].update(generated_tokens=9)
        ),
    ),
    (
        "LORAX-STREAM-009",
        "another order",
        lambda: samples.edit_events(
            samples.lorax("chat_stream"), lambda d: [dict(reversed(list(one.items()))) for one in d]
        ),
    ),
    (
        "LORAX-ERR-001",
        "another type",
        lambda: samples.replace_body(
            samples.lorax("error_in_stream"),
            samples.lorax("error_in_stream").body.replace(b'"generation"', b'"oops"'),
        ),
    ),
    (
        "LORAX-ERR-002",
        "other words",
        lambda: samples.replace_body(
            samples.lorax("error_in_stream"),
            samples.lorax("error_in_stream").body.replace(b"Request failed during", b"During"),
        ),
    ),
)


@each_case(CASES)
def test_one_broken_promise_is_found_under_its_law(
    law: str, what: str, broken: Callable[[], Exchange]
) -> None:
    """The law is named when, and only because, its promise is broken."""
    assert law in samples.found(broken(), strict=True), what


@pytest.mark.parametrize(
    "right",
    [
        lambda: samples.lorax("chat_stream"),
        lambda: samples.lorax("keep_alive"),
        lambda: samples.lorax("error_in_stream"),
    ],
)
def test_a_right_answer_breaks_no_law(right: Callable[[], Exchange]) -> None:
    """No false alarm where every promise is kept."""
    assert samples.found(right(), strict=True) == set()
