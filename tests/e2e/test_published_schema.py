"""Requests that nobody thought of: whatever OpenAI's published schema allows, from Schemathesis.

Every one gets an answer that is valid by the published schema of answers, or an OpenAI error: never
a 5xx, and never an answer that the SDKs could not read.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lorax_contracts import loader, schemas

ENDPOINTS = {
    "chat/completions": (
        "openai/chat_completion_request",
        "openai/chat_completion",
        "openai/chat_completion_chunk",
    ),
    "completions": (
        "openai/completion_request",
        "openai/completion",
        "openai/completion_chunk",
    ),
}


def requests(path: str) -> st.SearchStrategy[Any]:
    """Bodies that the endpoint's published schema allows."""
    schema = dict(loader.schema(ENDPOINTS[path][0]))
    document = {
        "openapi": "3.1.0",
        "info": {"title": "OpenAI API", "version": "2.3.0"},
        # references inside the schema start at the document's root
        "$defs": schema.pop("$defs", {}),
        "paths": {
            f"/{path}": {
                "post": {
                    "requestBody": {
                        "required": True,
                        "content": {
                            "application/json": {
                                "schema": {
                                    key: value
                                    for key, value in schema.items()
                                    if key not in ("$id", "$schema")
                                }
                            }
                        },
                    },
                    "responses": {"200": {"description": "an answer"}},
                }
            }
        },
    }
    operation = schemathesis.openapi.from_dict(json.loads(json.dumps(document)))[f"/{path}"]["POST"]
    return operation.as_strategy().map(lambda case: case.body).filter(_is_plausible)


def _is_plausible(body: object) -> bool:
    return isinstance(body, dict)


def _known(body: Mapping[str, Any], path: str) -> dict[str, Any]:
    """The body with published names only, a model that exists, and little to generate.

    The published schema admits any further key and any model name; refusing those is trivial, and
    would leave nothing to find behind it.
    """
    schema = loader.schema(ENDPOINTS[path][0])
    names = {name for part in (schema, *schema.get("allOf", ())) for name in _properties(part)}
    kept = {name: value for name, value in body.items() if name in names}
    kept["model"] = ""
    for budget in ("max_tokens", "max_completion_tokens"):
        if isinstance(kept.get(budget), int):
            kept[budget] %= 16
    if isinstance(kept.get("n"), int):
        kept["n"] = 1 + kept["n"] % 3
    return kept


def _properties(schema: Mapping[str, Any]) -> set[str]:
    return set(schema.get("properties", {})) | {
        name for part in schema.get("allOf", ()) for name in _properties(part)
    }


def _misfits(name: str, document: object, sent: Mapping[str, Any]) -> list[str]:
    """Where a document does not fit; an echoed prompt's first token has no log probability, as OpenAI's has none."""
    return [
        f"{misfit.at}: {misfit.message}"
        for misfit in schemas.validate(name, document)
        if not (
            sent.get("echo") and _FIRST.fullmatch(misfit.at) and misfit.message.startswith("null ")
        )
    ]


_FIRST = re.compile(r"/choices/\d+/logprobs/(token|top)_logprobs/0")


@pytest.mark.slow
@pytest.mark.property
@pytest.mark.parametrize("path", list(ENDPOINTS))
def test_whatever_the_schema_allows_is_answered_or_refused(base_url: str, path: str) -> None:
    """An answer or a stream that fits the published schema, or an error with all four keys."""
    _, whole, chunk = ENDPOINTS[path]
    statuses: set[int] = set()
    with httpx.Client(base_url=base_url, timeout=30) as http:

        @settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
        @given(requests(path))
        def judged(body: dict[str, Any]) -> None:
            sent = _known(body, path)
            response = http.post(f"/{path}", json=sent)
            statuses.add(response.status_code)
            assert response.headers["x-request-id"]
            if response.status_code != 200:
                assert 400 <= response.status_code < 500, response.text
                assert schemas.validate("openai/error", response.json()) == []
            elif sent.get("stream"):
                events = [
                    line[6:] for line in response.text.split("\n") if line.startswith("data: ")
                ]
                assert events.pop() == "[DONE]"
                for event in events:
                    assert _misfits(chunk, json.loads(event), sent) == []
            else:
                assert _misfits(whole, response.json(), sent) == []

        judged()
    # both outcomes were seen: the property would hold for a server that refuses everything
    assert {200, 400} <= statuses
