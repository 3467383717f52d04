"""What the server says of itself: `/openapi.json`, and `/docs`, a page to read and to try it with.

The page is Swagger UI, whose files come with the package fastapi-offline and are served from here: it
works without a network, and its policy forbids the browser to load anything from elsewhere. It opens
without a key, since a browser has none to send; its calls have the one that is entered under "Authorize".
"""

from collections.abc import Sequence
from importlib.resources import files
from typing import Any, Final

from fastapi import FastAPI, Response
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from starlette.staticfiles import StaticFiles

from lorax_proxy.core.admission import OPEN_PATHS
from lorax_proxy.wire.openai_requests import ChatRequest, CompletionRequest, EmbeddingRequest

__all__ = ["document"]

_PAGE: Final = "/docs"
_STATIC: Final = "/docs/static"

_POLICY: Final = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; frame-ancestors 'none'"
)
"""Content-Security-Policy of the page: everything from here; its start is a script in it, and its styles
hold their pictures."""

_BEARER: Final = {"type": "http", "scheme": "bearer", "description": "The server's `api_key`."}

_MODEL: Final = "acme/support"
"""In examples: an adapter of the demo. The names of others are no business of who has no key."""

_POSTS: Sequence[tuple[str, type[BaseModel], str, str, dict[str, Any]]] = (
    (
        "/v1/chat/completions",
        ChatRequest,
        "Create Chat Completion",
        "Create a chat completion, streamed or whole (CreateChatCompletionRequest).",
        {"model": _MODEL, "messages": [{"role": "user", "content": "Hello!"}]},
    ),
    (
        "/v1/completions",
        CompletionRequest,
        "Create Completion",
        "Create a legacy completion, streamed or whole (CreateCompletionRequest).",
        {"model": _MODEL, "prompt": "Once upon a time", "max_tokens": 32},
    ),
    (
        "/v1/embeddings",
        EmbeddingRequest,
        "Create Embedding",
        "Embed texts (CreateEmbeddingRequest).",
        {"model": _MODEL, "input": "Hello!"},
    ),
)
"""What `Surface` serves before FastAPI: the path, the request's type, what it is for, and an example. A route
of FastAPI's takes 170 us a request for reading a body that is read here again, in OpenAI's words."""


def document(api: FastAPI, *, keyed: bool) -> None:
    """Serve `/openapi.json` with every route, and `/docs`, which shows it.

    Args:
        api: The application, with the routes that FastAPI serves.
        keyed: Whether calls need a key.
    """
    _document_posts(api, keyed=keyed)

    @api.get(_PAGE, include_in_schema=False)
    async def docs() -> Response:
        page = get_swagger_ui_html(
            openapi_url="/openapi.json",
            title=f"{api.title} - API",
            swagger_js_url=f"{_STATIC}/swagger-ui-bundle.js",
            swagger_css_url=f"{_STATIC}/swagger-ui.css",
            swagger_favicon_url=f"{_STATIC}/favicon.png",
            # the validator is a picture from elsewhere
            swagger_ui_parameters={"validatorUrl": None, "defaultModelsExpandDepth": 0},
        )
        page.headers["content-security-policy"] = _POLICY
        return page

    # imported by this, so that a missing one is told as the extra that brings it
    api.mount(_STATIC, StaticFiles(directory=str(files("fastapi_offline") / "static")))


def _document_posts(api: FastAPI, *, keyed: bool) -> None:
    """Put the routes that `Surface` serves into the OpenAPI document, from their requests' types."""

    def whole_document() -> dict[str, Any]:
        if api.openapi_schema is None:
            whole = get_openapi(
                title=api.title, version=api.version, summary=api.summary, routes=api.routes
            )
            bodies, definitions = models_json_schema(
                [(model, "validation") for _, model, *_ in _POSTS],
                ref_template="#/components/schemas/{model}",
            )
            posts = {
                path: {
                    "post": _operation(summary, description, bodies[model, "validation"], example)
                }
                for path, model, summary, description, example in _POSTS
            }
            whole["paths"] = {**posts, **whole["paths"]}
            schemas = whole.setdefault("components", {}).setdefault("schemas", {})
            schemas.update(definitions.get("$defs", {}))
            whole["components"]["securitySchemes"] = {"bearer": _BEARER}
            # without a key of the server's any will do, and none
            whole["security"] = [{"bearer": []}] if keyed else [{"bearer": []}, {}]
            for path in OPEN_PATHS & whole["paths"].keys():
                whole["paths"][path]["get"]["security"] = []
            api.openapi_schema = whole
        return api.openapi_schema

    # FastAPI's own way to another document: https://fastapi.tiangolo.com/how-to/extending-openapi/
    api.openapi = whole_document  # type: ignore[method-assign]  # that is how FastAPI documents it


def _operation(
    summary: str, description: str, body: dict[str, Any], example: dict[str, Any]
) -> dict[str, Any]:
    """One POST of the document (OpenAPI 3.1, Operation Object)."""
    return {
        "tags": ["text"],
        "summary": summary,
        "description": description,
        "operationId": summary.lower().replace(" ", "_"),
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": body, "example": example}},
        },
        "responses": {
            "200": {
                "description": "The answer, or a stream of its chunks",
                "content": {"application/json": {}, "text/event-stream": {}},
            },
            "default": {
                "description": "OpenAI's error envelope",
                "content": {"application/json": {}},
            },
        },
    }
