"""Requests as records."""

from typing import Any

import pytest

from lorax_mock.serde.types import Deserializer, SerdeError, read
from lorax_mock.wire.native import (
    CLASSIFY_BATCH_REQUEST,
    CLASSIFY_REQUEST,
    COMPAT_EMBED_REQUEST,
    EMBED_REQUEST,
    GENERATE_REQUEST,
    EmbedRequest,
    GenerateParameters,
    MergedAdapters,
)


def test_every_parameter_is_read_into_its_field() -> None:
    """Every parameter is read by name, and by position in the router's order."""
    named = read(
        b'{"inputs":"a","parameters":{"merged_adapters":{"ids":["x"],"weights":[1],"density":0.5},'
        b'"best_of":2,"top_k":3,"stop":["s"],"seed":4,"truncate":5,"return_k_alternatives":6}}',
        GENERATE_REQUEST,
    ).parameters
    assert named == GenerateParameters(
        merged_adapters=MergedAdapters(("x",), (1.0,), None, 0.5),
        best_of=2,
        top_k=3,
        stop=("s",),
        seed=4,
        truncate=5,
        return_k_alternatives=6,
    )
    row = b'["a",["id","hub",null,"tok",2,0.5,1.5,0.1,0.2,3,0.9,0.8,true,9]]'
    positional = read(row, GENERATE_REQUEST).parameters
    assert (positional.adapter_id, positional.api_token) == ("id", "tok")
    assert (positional.top_k, positional.do_sample, positional.max_new_tokens) == (3, True, 9)


@pytest.mark.parametrize(
    ("body", "kind", "value"),
    [
        (b'{"inputs":"a"}', EMBED_REQUEST, EmbedRequest("a")),
        (
            b'{"inputs":"a","parameters":{"adapter_id":"b"}}',
            EMBED_REQUEST,
            EmbedRequest("a", GenerateParameters(adapter_id="b")),
        ),
        (b'{"input":"a","model":""}', COMPAT_EMBED_REQUEST, EmbedRequest("a")),
        (b'{"input":["a","b"],"model":"m"}', COMPAT_EMBED_REQUEST, EmbedRequest(("a", "b"))),
        (b'{"inputs":"a"}', CLASSIFY_REQUEST, "a"),
        (b'{"inputs":["a"]}', CLASSIFY_BATCH_REQUEST, ("a",)),
    ],
)
def test_encoder_requests(body: bytes, kind: Deserializer, value: Any) -> None:
    """Encoder requests have texts and adapter parameters, and ignore the rest."""
    assert read(body, kind) == value


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (
            b'{"input":[1,2],"model":"m"}',
            "input: data did not match any variant of untagged enum StringOrVec at line 1 column 14",
        ),
        (b'{"input":"a"}', "missing field `model` at line 1 column 13"),
    ],
)
def test_token_arrays_are_no_embedding_input(body: bytes, text: str) -> None:
    """An array of tokens to embed is refused in the words of an untagged enum."""
    with pytest.raises(SerdeError) as caught:
        read(body, COMPAT_EMBED_REQUEST)
    assert text in str(caught.value)
