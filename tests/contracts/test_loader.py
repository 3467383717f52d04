"""The package's data can be read, and names its sources."""

import pytest
from jsonschema import Draft202012Validator

from lorax_contracts import loader
from lorax_contracts.errors import UnknownName


@pytest.mark.parametrize("name", loader.schema_names())
def test_every_schema_is_one_and_names_its_source(name: str) -> None:
    """2020-12, with a source in $comment: a document and schema, or LoRAX's file and line."""
    schema = loader.schema(name)
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    expected = (
        "OpenAPI document" if name.startswith("openai/") else "predibase/lorax commit a7394ba3"
    )
    assert expected in schema["$comment"]


@pytest.mark.parametrize("name", [n for n in loader.schema_names() if n.startswith("openai/")])
def test_no_openapi_dialect_is_left_in_a_schema(name: str) -> None:
    """`nullable` and references into the OpenAPI document mean nothing to a JSON Schema."""
    text = loader.text(f"{name}.schema.json")
    assert '"nullable"' not in text
    assert "#/components" not in text


def test_an_unknown_schema_names_the_nearest() -> None:
    """A typing error is answered with what was meant."""
    with pytest.raises(UnknownName, match="openai/chat_completion_chunk"):
        loader.schema("openai/chat_completion_chunks")


def test_error_rows_agree_with_the_error_schema() -> None:
    """The table of error types and the schema's list are one list."""
    rows = [row["type"] for row in loader.table("lorax/errors")["error"]]
    assert rows == loader.schema("lorax/error")["properties"]["error_type"]["enum"]


def test_at_least_forty_schemas_headers_and_transcripts_are_there() -> None:
    """Both wires are covered: requests, replies, events, errors, header sets."""
    names = set(loader.schema_names())
    for wire, words in {
        "openai": "chat_completion_request chat_completion chat_completion_chunk error model_list",
        "lorax": "generate_request generate_response stream_response error info tokenize_response",
    }.items():
        assert {f"{wire}/{word}" for word in words.split()} <= names
    assert {"generate", "generate_stream", "cors"} <= set(loader.table("lorax/headers"))
    assert len(loader.transcript_names()) >= 8
