"""LoRAX's wire: what is written leaves defaults out, and any bytes are read or `Unreadable`."""

import contextlib
import ctypes
import json
import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorax_contracts.schemas import validate
from lorax_proxy.wire.lorax import (
    Event,
    GenerateParameters,
    GenerateRequest,
    MergedAdapters,
    ResponseFormat,
    ScoredToken,
    Unreadable,
    as_f32,
    decode_embedding,
    decode_error,
    decode_event,
    decode_generation,
    decode_info,
    decode_scored_event,
    decode_scored_generation,
    decode_tokens,
    encode,
    encode_embed,
    encode_tokenize,
)
from tests.strategies import EventStream, event_documents, event_streams, json_documents

DECODERS: list[Callable[[bytes], object]] = [
    decode_event,
    decode_generation,
    decode_info,
    decode_tokens,
    decode_embedding,
    decode_scored_event,
    decode_scored_generation,
]

INFO = {
    "model_id": "base/model",
    "model_sha": None,
    "max_input_length": 4095,
    "max_total_tokens": 4096,
    "max_stop_sequences": 4,
    "version": "0.1.0",
}


def dumped(document: object) -> bytes:
    """A document as JSON, lone surrogates and infinities included."""
    return json.dumps(document).encode()


@pytest.mark.property
@pytest.mark.parametrize("decode", DECODERS)
@given(st.binary(max_size=80) | json_documents.map(dumped) | event_documents.map(dumped))
def test_any_bytes_are_a_type_or_unreadable(decode: Callable[[bytes], object], body: bytes) -> None:
    """Whatever LoRAX, or something in its place, sends: a value or `Unreadable`, nothing else."""
    with contextlib.suppress(Unreadable):
        decode(body)


@pytest.mark.property
@given(st.binary(max_size=80) | json_documents.map(dumped))
def test_an_error_body_is_read_or_is_none(body: bytes) -> None:
    """A refusal's body may be LoRAX's envelope, axum's text or anything else."""
    found = decode_error(body)
    assert found is None or found.error is not None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[" * 100_000,
        b'{"token":' * 100_000,
        b'{"token":{"text":"\xff"}}',
        b'{"token":{"text":"\\ud800"}}',
        b'{"token":{"text":"\\udc00"}}',
        b'{"token":null}',
        b"{}",
        b"[DONE]",
        b'{"token":{"text":"a"},"generated_text":"","details":{"finish_reason":"odd","generated_tokens":1}}',
        b'{"token":{"text":"a","logprob":1e999}}',
        b'\xef\xbb\xbf{"token":{"text":"a"}}',
    ],
)
def test_a_hostile_event_is_unreadable(body: bytes) -> None:
    """Nesting, bytes that are no UTF-8, halves of characters, and events that say nothing."""
    with pytest.raises(Unreadable):
        decode_event(body)


@pytest.mark.property
@given(event_streams(alternatives=2))
def test_every_event_of_lorax_is_read(stream: EventStream) -> None:
    """Each event of a whole stream is read with its text, flag and log probability."""
    for document in stream.events:
        assert not validate("lorax/stream_response", document)
        event = decode_event(dumped(document))
        assert event.token is not None
        assert event.token.text == document["token"]["text"]
        assert event.token.special is document["token"]["special"]
        assert event.generated_text == document["generated_text"]


def test_an_error_event_is_read() -> None:
    """LoRAX reports failures in a stream as an event with `error` and `error_type`."""
    event = decode_event(b'{"error":"Model is overloaded","error_type":"overloaded"}')
    assert event == Event(error="Model is overloaded", error_type="overloaded")


@pytest.mark.property
@given(event_streams(alternatives=2))
def test_scored_reading_adds_the_numbers_and_nothing_else(stream: EventStream) -> None:
    """The same event, its token with the id by which alternatives know it."""
    for document in stream.events:
        data = json.dumps(document).encode()
        event, plain = decode_scored_event(data), decode_event(data)
        assert isinstance(event.token, ScoredToken)
        assert plain.token is not None
        assert event.token.id == document["token"]["id"]
        names = ("text", "logprob", "special", "alternative_tokens")
        assert [getattr(event.token, n) for n in names] == [getattr(plain.token, n) for n in names]
        assert (event.generated_text, event.details) == (plain.generated_text, plain.details)
        assert [a.id for a in event.token.alternative_tokens or ()] == [
            each["id"] for each in document["token"].get("alternative_tokens", ())
        ]
    with pytest.raises(Unreadable):
        decode_scored_event(b"{}")


def test_keys_that_nobody_knows_are_ignored() -> None:
    """A newer LoRAX may say more."""
    event = decode_event(b'{"token":{"text":"a","new":1},"newer":[]}')
    assert event.token is not None
    assert event.token.text == "a"


def test_null_logprobs_are_read() -> None:
    """NaN and infinities arrive as null."""
    body = {"token": {"text": "a", "logprob": None, "alternative_tokens": [{"text": "b"}]}}
    event = decode_event(dumped(body))
    assert event.token is not None
    assert event.token.logprob is None
    assert event.token.alternative_tokens is not None
    assert event.token.alternative_tokens[0].logprob is None


def test_info_is_read() -> None:
    """Only what the proxy needs must be there."""
    info = decode_info(dumped(INFO))
    assert (info.model_id, info.max_total_tokens, info.max_best_of) == ("base/model", 4096, 2)
    with pytest.raises(Unreadable, match="an /info"):
        decode_info(b'{"model_id":"x"}')


def test_tokens_and_embeddings_are_read() -> None:
    """`/tokenize` sends a list of tokens, `/embed` an object with one vector."""
    (token,) = decode_tokens(b'[{"id":1,"text":"<s>","start":0,"stop":0}]')
    assert (token.id, token.text) == (1, "<s>")
    assert decode_embedding(b'{"embeddings":[0.5,-1,1e-7]}') == (0.5, -1.0, 1e-7)
    with pytest.raises(Unreadable):
        decode_embedding(b'{"embeddings":[null]}')


def test_an_error_envelope_needs_both_keys() -> None:
    """Text that happens to be JSON is no envelope."""
    assert decode_error(b'{"error":"x"}') is None
    assert decode_error(b"Failed to parse the request body as JSON: x") is None
    found = decode_error(b'{"error":"x","error_type":"validation"}')
    assert found is not None
    assert found.error_type == "validation"


def test_defaults_stay_unsent() -> None:
    """LoRAX takes null for no boolean and no list (serde's `default`), so nothing idle is sent."""
    assert json.loads(encode(GenerateRequest("x", GenerateParameters()))) == {
        "inputs": "x",
        "parameters": {},
    }


def test_everything_that_is_set_is_sent() -> None:
    """Each field under LoRAX's own name (router/src/lib.rs:168)."""
    parameters = GenerateParameters(
        adapter_source="hub",
        merged_adapters=MergedAdapters(
            ids=("a", "b"), weights=(1.0, 0.5), merge_strategy="ties", density=0.5
        ),
        api_token="secret",
        temperature=0.5,
        top_k=3,
        top_p=0.9,
        do_sample=True,
        max_new_tokens=7,
        stop=("x",),
        details=True,
        seed=2**64 - 1,
        response_format=ResponseFormat(type="json_object", schema={"type": "object"}),
    )
    document = json.loads(encode(GenerateRequest("x", parameters)))
    assert not validate("lorax/generate_request", document)
    assert document["parameters"] == {
        "adapter_source": "hub",
        "merged_adapters": {
            "ids": ["a", "b"],
            "weights": [1.0, 0.5],
            "merge_strategy": "ties",
            "density": 0.5,
        },
        "api_token": "secret",
        "temperature": 0.5,
        "top_k": 3,
        "top_p": 0.9,
        "do_sample": True,
        "max_new_tokens": 7,
        "stop": ["x"],
        "details": True,
        "seed": 2**64 - 1,
        "response_format": {"type": "json_object", "schema": {"type": "object"}},
    }


def test_embed_and_tokenize_requests() -> None:
    """Null parameters stay unsent, and the switch of `/tokenize` is always said."""
    assert json.loads(encode_embed("x", {"adapter_id": None})) == {"inputs": "x"}
    assert json.loads(encode_embed("x", {"adapter_id": "a", "api_token": None})) == {
        "inputs": "x",
        "parameters": {"adapter_id": "a"},
    }
    sent: dict[str, Any] = json.loads(encode_tokenize("x", special=False))
    assert sent == {"inputs": "x", "add_special_tokens": False}


@pytest.mark.property
@given(st.floats(allow_nan=False))
def test_as_f32_is_the_machine_s_own_rounding(number: float) -> None:
    """The number as C's `float` holds it, infinite beyond it."""
    assert as_f32(number) == ctypes.c_float(number).value


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (1e-50, 0.0),
        (-1e-50, 0.0),
        (1e-45, 1.401298464324817e-45),
        (1e39, math.inf),
        (-1e39, -math.inf),
        (3.4028234663852886e38, 3.4028234663852886e38),
        (10**400, math.inf),
        (-(10**400), -math.inf),
        (0.1, 0.10000000149011612),
        (0.9999999999, 1.0),
    ],
    ids=lambda number: f"{number:.3}" if isinstance(number, float) else "400 digits",
)
def test_as_f32_at_its_edges(number: float, expected: float) -> None:
    """Too small is zero, too large is infinite, and near one is one."""
    assert as_f32(number) == expected
