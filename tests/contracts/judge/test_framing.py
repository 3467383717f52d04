"""How a stream is framed, broken in one place at a time."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from lorax_contracts.exchange import End, Exchange
from tests.contracts import samples
from tests.contracts.judge.cases import Case, each_case

CASES: tuple[Case, ...] = (
    (
        "OAI-STREAM-002",
        "an event cut in the middle",
        lambda: samples.replace_body(
            samples.golden("chat_stream"),
            samples.golden("chat_stream").body[
                : samples.golden("chat_stream").body.index(b"data: [DONE]") - 9
            ],
        ),
    ),
    (
        "OAI-STREAM-002",
        "not JSON",
        lambda: samples.replace_body(
            samples.golden("chat_stream"), b"data: hello\n\n" + samples.golden("chat_stream").body
        ),
    ),
    (
        "OAI-STREAM-002",
        "no data",
        lambda: samples.replace_body(
            samples.golden("chat_stream"), b"error: hello\n\n" + samples.golden("chat_stream").body
        ),
    ),
    (
        "OAI-STREAM-003",
        "no [DONE]",
        lambda: samples.replace_body(
            samples.golden("chat_stream"),
            samples.golden("chat_stream").body.replace(b"data: [DONE]\n\n", b""),
        ),
    ),
    (
        "OAI-STREAM-003",
        "[DONE] twice",
        lambda: samples.replace_body(
            samples.golden("chat_stream"), samples.golden("chat_stream").body + b"data: [DONE]\n\n"
        ),
    ),
    (
        "OAI-STREAM-003",
        "more after [DONE]",
        lambda: samples.replace_body(
            samples.golden("chat_stream"),
            samples.golden("chat_stream").body + samples.golden("chat_stream").body,
        ),
    ),
    (
        "OAI-STREAM-004",
        "[DONE] after an error",
        lambda: samples.replace_body(
            samples.golden("error_in_stream"),
            samples.golden("error_in_stream").body + b"data: [DONE]\n\n",
        ),
    ),
    (
        "OAI-STREAM-016",
        "LoRAX's flat error",
        lambda: samples.replace_body(
            samples.golden("chat_stream"),
            samples.golden("chat_stream").body.replace(
                b"data: [DONE]", b'data: {"error":"x","error_type":"generation"}'
            ),
        ),
    ),
    (
        "OAI-STREAM-017",
        "an error first",
        lambda: samples.replace_body(
            samples.golden("chat_stream"),
            b'data: {"error":{"message":"m","type":"t","param":null,"code":null}}\n\n',
        ),
    ),
    (
        "OAI-STREAM-023",
        "a bare U+2028",
        lambda: samples.replace_body(
            samples.golden("chat_stream"),
            samples.golden("chat_stream").body.replace(b" there", " \u2028".encode()),
        ),
    ),
    (
        "OAI-STREAM-024",
        "an open connection",
        lambda: replace(samples.golden("chat_stream"), end=End.IDLE),
    ),
)


@each_case(CASES)
def test_one_broken_promise_is_found_under_its_law(
    law: str, what: str, broken: Callable[[], Exchange]
) -> None:
    """The law is named when, and only because, its promise is broken."""
    assert samples.found(broken(), strict=True) - {"OAI-HTTP-003"} == {law}, what


@pytest.mark.parametrize(
    "right", [lambda: samples.golden("error_in_stream"), lambda: samples.golden("chat_stream")]
)
def test_a_right_answer_breaks_no_law(right: Callable[[], Exchange]) -> None:
    """No false alarm where every promise is kept."""
    assert samples.found(right(), strict=True) <= {"OAI-HTTP-003"}


def test_comments_and_crlf_are_no_fault() -> None:
    """Keep-alive comments and CRLF line ends are within the rules of server-sent events."""
    exchange = samples.golden("chat_stream")
    body = b": keep-alive\n\n" + exchange.body.replace(b"\n", b"\r\n")
    assert samples.found(samples.replace_body(exchange, body)) == set()
