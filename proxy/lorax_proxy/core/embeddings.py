"""Embeddings: OpenAI's request to LoRAX's `/embed` calls, and the vectors back.

LoRAX's `/v1/embeddings` answers in a shape of its own and without usage (router/src/lib.rs), so
each text is one `/embed` call, and its tokens are counted by `/tokenize`. Sources:
CreateEmbeddingRequest and CreateEmbeddingResponse of OpenAI's published document.
"""

import base64
import struct
from collections.abc import Sequence
from typing import Any

from lorax_proxy.core.plan import target_parameters
from lorax_proxy.core.routing import Route
from lorax_proxy.errors import RequestRefused
from lorax_proxy.wire.lorax import encode_embed
from lorax_proxy.wire.openai_requests import EmbeddingRequest

__all__ = ["embedding_bodies", "embeddings_document"]


def embedding_bodies(request: EmbeddingRequest, route: Route) -> list[tuple[str, bytes]]:
    """Each text, and the body of its `/embed` call.

    Raises:
        RequestRefused: For token numbers, which only the client's own tokenizer understands.
    """
    given = [request.input] if isinstance(request.input, str) else request.input
    texts = [text for text in given if isinstance(text, str)]
    if len(texts) < len(given):
        raise RequestRefused(
            "Unsupported 'input': token numbers belong to a tokenizer that this server does not "
            "have; send text. (With langchain: check_embedding_ctx_length=False.)",
            param="input",
            code="unsupported_parameter",
        )
    parameters = target_parameters(route.target)
    return [(text, encode_embed(text, parameters)) for text in texts]


def embeddings_document(
    vectors: Sequence[Sequence[float]], *, model: str, prompt_tokens: int, encoding: str | None
) -> dict[str, Any]:
    """CreateEmbeddingResponse."""
    return {
        "object": "list",
        "data": [
            {
                "object": "embedding",
                "index": index,
                "embedding": _base64(vector) if encoding == "base64" else list(vector),
            }
            for index, vector in enumerate(vectors)
        ],
        "model": model,
        "usage": {"prompt_tokens": prompt_tokens, "total_tokens": prompt_tokens},
    }


def _base64(vector: Sequence[float]) -> str:
    """Little-endian 32-bit floats, as the openai SDK unpacks them."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode("ascii")
