"""Embeddings: texts to `/embed` bodies, vectors to OpenAI's list."""

import base64
import json
import struct

import pytest

from lorax_proxy.core.embeddings import embedding_bodies, embeddings_document
from lorax_proxy.core.parsing import read_request
from lorax_proxy.core.routing import Adapter, Base, Route, Target
from lorax_proxy.errors import RequestRefused
from lorax_proxy.wire.openai_requests import EmbeddingRequest


def bodies(given: object, target: Target | None = None) -> list[tuple[str, dict[str, object]]]:
    """What is sent for an `input`."""
    request = read_request(EmbeddingRequest, {"model": "m", "input": given})
    route = Route("m", "default", target or Base())
    return [(text, json.loads(body)) for text, body in embedding_bodies(request, route)]


def test_each_text_is_one_call() -> None:
    """A string and a list, empty texts included: LoRAX embeds those too."""
    assert bodies("a") == [("a", {"inputs": "a"})]
    assert bodies(["a", ""]) == [("a", {"inputs": "a"}), ("", {"inputs": ""})]


def test_the_adapter_is_named_in_every_call() -> None:
    """With its source and its token; nothing that is unknown is sent as null."""
    adapter = {"adapter_id": "org/a", "adapter_source": "hub"}
    assert bodies("a", Adapter("org/a", "hub")) == [("a", {"inputs": "a", "parameters": adapter})]


@pytest.mark.parametrize("given", [[1, 2], [[1], [2]]])
def test_token_numbers_are_refused_with_what_to_do(given: object) -> None:
    """They belong to a tokenizer that the server does not have."""
    with pytest.raises(RequestRefused) as caught:
        bodies(given)
    assert caught.value.param == "input"
    assert "check_embedding_ctx_length=False" in caught.value.message


def test_the_answer_lists_vectors_in_order() -> None:
    """CreateEmbeddingResponse, with the usage of all texts."""
    answer = embeddings_document([[0.5], [-1.0]], model="m", prompt_tokens=7, encoding=None)
    assert answer == {
        "object": "list",
        "data": [
            {"object": "embedding", "index": 0, "embedding": [0.5]},
            {"object": "embedding", "index": 1, "embedding": [-1.0]},
        ],
        "model": "m",
        "usage": {"prompt_tokens": 7, "total_tokens": 7},
    }


def test_base64_is_little_endian_floats() -> None:
    """As the openai SDK unpacks it by default."""
    answer = embeddings_document([[0.5, -2.0]], model="m", prompt_tokens=1, encoding="base64")
    packed = base64.b64decode(answer["data"][0]["embedding"])
    assert struct.unpack("<2f", packed) == (0.5, -2.0)
