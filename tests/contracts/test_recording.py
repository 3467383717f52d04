"""Bare recordings are judged for what is in them, and for nothing else."""

import contextlib
import gzip
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorax_contracts.errors import CannotRead
from lorax_contracts.exchange import Exchange, to_json
from lorax_contracts.recording import lint, read_recording
from tests.contracts import native_samples, samples
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
    native_samples.generate(),
    samples.lorax("chat_stream"),
    samples.lorax("error_overloaded"),
    native_samples.tokenize(),
    native_samples.info(),
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
    exchange = samples.without_header(native_samples.generate(), "x-queue-time")
    laws = [one.law for one in lint(compact(to_json(exchange)))]
    assert laws == ["LORAX-HEAD-001"]


def test_a_request_brings_the_laws_about_what_was_asked() -> None:
    """The stop string is only known from the request."""
    body = samples.golden("chat_plain").body
    asked = {"model": "acme/poet", "messages": [{"role": "user", "content": "Hi"}], "stop": "there"}
    assert [one.law for one in lint(body, request=asked)] == ["OAI-STOP-001"]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"hello", "neither a JSON reply nor server-sent events"),
        (b'"hello"', "neither a JSON reply nor"),
        (b"5", "neither a JSON reply nor"),
        (b"{", "is not JSON"),
        (b'{"a":', "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b'{"a":1}', "none of choices"),
        (b"[1,2]", "holds no objects"),
        (b"<html>", "is a web page"),
        (b"<!DOCTYPE html>", "is a web page"),
        (gzip.compress(b"{}", mtime=0), "is compressed"),
        ('{"id":"x"}'.encode("utf-16"), "is UTF-16"),
        (b'{"path":"/","status":200,"body":"{}","chunks":[]}', "is a cassette of lorax-mock"),
    ],
)
def test_what_is_no_recording_is_refused(data: bytes, said: str) -> None:
    """A clear line instead of a verdict, and what to do."""
    with pytest.raises(CannotRead, match=said):
        read_recording(data)


def with_head(exchange: Exchange, before: bytes = b"") -> bytes:
    """An exchange's reply as `curl -i` writes it."""
    lines = [f"HTTP/1.1 {exchange.status} Some Words"]
    lines += [f"{name.title()}: {value}" for name, value in exchange.headers]
    return before + "\r\n".join([*lines, "", ""]).encode() + exchange.body


@pytest.mark.parametrize("right", RIGHT, ids=[one.path for one in RIGHT])
def test_a_reply_with_its_head_is_judged_with_it(right: Exchange) -> None:
    """`curl -i` is what our own findings say to repeat; its status and headers count."""
    recorded = with_head(right, b"HTTP/1.1 100 Continue\r\n\r\n")
    exchange, headed = read_recording(recorded)
    assert headed
    assert (exchange.status, exchange.headers, exchange.body) == (
        right.status,
        right.headers,
        right.body,
    )
    # Transcripts do not keep every header.
    assert {one.at for one in lint(recorded)} <= {"content-length"}
    bare = replace(right, headers=(("content-type", "text/plain"),), status=404)
    assert lint(with_head(bare)) != []


def test_a_reply_shorter_than_its_head_says_was_cut() -> None:
    """The recorder lost its connection."""
    right = native_samples.generate()
    cut = with_head(right)[:-5]
    assert [one.law for one in lint(cut, kind="lorax")] == ["LORAX-HTTP-006"]


def test_an_empty_error_with_its_head_is_judged() -> None:
    """There is no body that could tell the wire; the kind does."""
    empty = b"HTTP/2 404 \r\ncontent-length: 0\r\n\r\n"
    assert [one.law for one in lint(empty)] == ["OAI-ERR-001"]
    assert "OAI-ERR-001" not in {one.law for one in lint(empty, kind="lorax")}


@pytest.mark.parametrize(
    ("right", "kind"),
    [(samples.golden("chat_plain"), "lorax"), (samples.lorax("chat_stream"), "openai")],
)
def test_a_reply_of_the_other_wire_is_no_success(right: Exchange, kind: str) -> None:
    """No law of that kind could be broken, so that none is broken says nothing."""
    with pytest.raises(CannotRead, match=f"--kind {kind} has no laws"):
        lint(right.body, kind=kind)


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


@pytest.mark.property
@given(wrong_values(), st.none() | REQUEST)
def test_any_value_anywhere_is_judged_and_never_raises(data: bytes, request_: Any) -> None:
    """A server may send anything; a client may have asked anything."""
    with contextlib.suppress(CannotRead):
        lint(data, strict=True, request=request_)


@pytest.mark.property
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


def test_a_key_in_a_recorded_address_is_not_kept() -> None:
    """The path is printed with every finding; the rest of the query says which API was asked."""
    path = "/v1/models?api-version=2&access%5Ftoken=sk&key=&x"
    exchange, _ = read_recording(json.dumps({"path": path, "status": 200, "body": "{}"}).encode())
    assert exchange.path == "/v1/models?api-version=2&access%5Ftoken=KEY&key=&x"
    plain, _ = read_recording(b'{"path": "/v1/models", "status": 200, "body": "{}"}')
    assert plain.path == "/v1/models"
