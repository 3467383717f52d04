"""`/docs` and `/api-doc/openapi.json`: what LoRAX publishes about itself (router/src/server.rs:1375-1440,1620).

The document has LoRAX's paths, operations, tags and answers; its schemas are left out, because `contracts/`
has better ones. The page links to it; the real one is Swagger UI, several megabytes of somebody else's.
Both tell less than the router does: encoders and the probes besides `/health` are in neither.
"""

from typing import Any, Final

import msgspec

__all__ = ["PAGE", "document"]

_GENERATION: Final = {
    200: "Generated Text",
    422: "Input validation error",
    424: "Generation Error",
    429: "Model is overloaded",
    500: "Incomplete generation",
}
_LORAX: Final = "LoRAX"
_OPENAI: Final = "OpenAI Compatible"
_OPERATIONS: Final[tuple[tuple[str, str, str, str, dict[int, str]], ...]] = (
    ("/", "post", "compat_generate", _LORAX, _GENERATION),
    ("/generate", "post", "generate", _LORAX, _GENERATION),
    ("/generate_stream", "post", "generate_stream", _LORAX, _GENERATION),
    ("/health", "get", "health", _LORAX, {200: "Everything is working fine", 503: "LoRAX is down"}),
    ("/info", "get", "get_model_info", _LORAX, {200: "Served model info"}),
    ("/metrics", "get", "metrics", _LORAX, {200: "Prometheus or JSON Metrics"}),
    ("/tokenize", "post", "tokenize", "Tokenization", {200: "Tokenized ids", 404: "No tokenizer found"}),
    ("/v1/chat/completions", "post", "chat_completions_v1", _OPENAI, _GENERATION),
    ("/v1/completions", "post", "completions_v1", _OPENAI, _GENERATION),
)  # fmt: skip

PAGE: Final = b"""<!DOCTYPE html>
<html lang="en">
<head><meta charset="UTF-8"><title>Swagger UI</title></head>
<body><p>A LoRAX shows Swagger UI here. Its document: <a href="/api-doc/openapi.json">/api-doc/openapi.json</a></p></body>
</html>
"""


def document() -> bytes:
    """The OpenAPI document, without schemas."""
    paths: dict[str, Any] = {}
    for path, method, operation, tag, responses in _OPERATIONS:
        told = {str(status): {"description": words} for status, words in responses.items()}
        paths[path] = {method: {"tags": [tag], "operationId": operation, "responses": told}}
    return msgspec.json.encode(
        {
            "openapi": "3.0.3",
            "info": {
                "title": "LoRAX",
                "description": "LoRAX Webserver",
                "license": {
                    "name": "Apache 2.0",
                    "url": "https://www.apache.org/licenses/LICENSE-2.0",
                },
                "version": "0.1.0",
            },
            "paths": paths,
            "tags": [
                {"name": "LoRAX", "description": "LoRAX API"},
                {"name": "OpenAI Compatible", "description": "OpenAI compatible API"},
                {"name": "Tokenization", "description": "Tokenizer API"},
            ],
        }
    )
