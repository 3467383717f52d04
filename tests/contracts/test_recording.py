"""Bare recordings are judged for what is in them, and for nothing else."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorax_contracts.errors import CannotRead
from lorax_contracts.exchange import Exchange, to_json
from lorax_contracts.recording import lint, read_recording
from tests.contracts import samples
from tests.contracts.samples import compact

RIGHT = [
    samples.golden("chat_plain"),
    samples.golden("chat_stream_usage"),
    samples.golden("refused_range"),
    samples.tool_stream(),
    samples.completion(),
    samples.completion_stream(),
    samples.embeddings(),
    samples.models(),
    samples.generate(),
    samples.lorax("chat_stream"),
    samples.lorax("error_overloaded"),
    samples.tokenize(),
    samples.info(),
]


@pytest.mark.parametrize("right", RIGHT, ids=[one.path for one in RIGHT])
def test_a_right_body_alone_is_right(right: Exchange) -> None:
    """Nothing is said about headers and requests that were not recorded."""
    assert lint(right.body, strict=True) == []
    exchange, whole = read_recording(right.body)
    assert not whole
    assert exchange.route is right.route or "models" in right.path


def test_a_whole_exchange_is_judged_whole() -> None:
    """With its headers recorded, the headers are judged."""
    exchange = samples.without_header(samples.generate(), "x-queue-time")
    laws = [one.law for one in lint(compact(to_json(exchange)))]
    assert laws == ["LORAX-HEAD-001"]


def test_a_request_brings_the_laws_about_what_was_asked() -> None:
    """The stop string is only known from the request."""
    body = samples.golden("chat_plain").body
    asked = {"model": "acme/poet", "messages": [], "stop": "there"}
    assert [one.law for one in lint(body, request=asked)] == ["OAI-STOP-001"]


@pytest.mark.parametrize("data", [b"", b" \n", b"hello", b"{", b'{"a":', b"<html>"])
def test_what_is_no_recording_is_refused(data: bytes) -> None:
    """A clear line instead of a verdict."""
    with pytest.raises(CannotRead):
        read_recording(data)


@pytest.mark.law
@given(
    st.binary()
    | st.sampled_from([one.body for one in RIGHT]).flatmap(
        lambda body: st.tuples(st.integers(0, len(body)), st.binary(max_size=3)).map(
            lambda hit: body[: hit[0]] + hit[1] + body[hit[0] + 1 :]
        )
    )
)
def test_damage_is_judged_or_refused_and_never_raises(data: bytes) -> None:
    """Whatever happened to a recording, the judge answers."""
    with contextlib.suppress(CannotRead):
        lint(data, strict=True)
