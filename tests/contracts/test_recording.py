"""Bare recordings are judged for what is in them, and for nothing else."""

import contextlib
import json
from typing import Any

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


VALUES: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, 0, -1, 1e300, "", "x", "\ud83d", [], [None], [[]], {}, {"a": []}, "null", 2**70]
)
MEMBERS = [
    "stop",
    "n",
    "logprobs",
    "top_logprobs",
    "tools",
    "tool_choice",
    "max_tokens",
    "model",
    "response_format",
    "seed",
    "stream",
    "stream_options",
    "messages",
    "prompt",
    "echo",
    "input",
    "encoding_format",
    "parameters",
    "inputs",
    "functions",
]
REQUEST = st.dictionaries(st.sampled_from(MEMBERS), VALUES, max_size=3)


def _replace(draw: st.DrawFn, document: Any) -> Any:
    """The document with one value, at any depth, replaced by another."""
    if draw(st.integers(0, 5)) == 0 or not isinstance(document, dict | list) or not document:
        return draw(VALUES)
    if isinstance(document, dict):
        key = draw(st.sampled_from(sorted(document)))
        return {**document, key: _replace(draw, document[key])}
    place = draw(st.integers(0, len(document) - 1))
    return [*document[:place], _replace(draw, document[place]), *document[place + 1 :]]


@st.composite
def wrong_values(draw: st.DrawFn) -> bytes:
    """A right body with one value of another type or size."""
    right = draw(st.sampled_from(RIGHT))
    if right.body.startswith((b"{", b"[")):
        return compact(_replace(draw, json.loads(right.body)))
    events = samples.events(right)
    place = draw(st.integers(0, len(events) - 1))
    events[place] = _replace(draw, events[place])
    return samples.stream_of(events, done=b"[DONE]" in right.body)


@pytest.mark.law
@given(wrong_values(), st.none() | REQUEST)
def test_any_value_anywhere_is_judged_and_never_raises(data: bytes, request_: Any) -> None:
    """A server may send anything; a client may have asked anything."""
    with contextlib.suppress(CannotRead):
        lint(data, strict=True, request=request_)


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
