"""What leaves: each chunk is the document it stands for, on one line for every reader."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorax_proxy.core.chat_style import ChatStyle
from lorax_proxy.wire.openai_replies import (
    ChunkWriter,
    Identity,
    Usage,
    completion,
    encode_error,
    encode_json,
    error_event,
)
from lorax_proxy.wire.sse import SseDecoder, escape_line_ends
from tests.strategies import json_documents, small_texts, texts

IDENTITY = Identity(id="chatcmpl-1", created=1_700_000_000, model="org/adapter", fingerprint="fp")

identities = st.builds(
    Identity,
    id=texts,
    created=st.integers(0, 2**33),
    model=texts | small_texts,
    fingerprint=st.none() | texts,
)


def only(event: bytes) -> Any:
    """The one document of an event's bytes, which hold no line end but the event's own."""
    (data,) = SseDecoder().feed(event)
    assert event == b"data: " + data + b"\n\n"
    assert len(event.decode().splitlines()) == 2
    return json.loads(data)


def shell(identity: Identity, *, usage_asked: bool) -> dict[str, Any]:
    """What all chunks of a stream have in common."""
    return {
        "id": identity.id,
        "object": "chat.completion.chunk",
        "created": identity.created,
        "model": identity.model,
        "system_fingerprint": identity.fingerprint,
    } | ({"usage": None} if usage_asked else {})


@pytest.mark.property
@given(identities, st.booleans(), st.integers(0, 127), texts | small_texts)
def test_a_text_chunk_is_the_document_it_stands_for(
    identity: Identity,
    usage_asked: bool,
    index: int,
    text: str,
) -> None:
    """Built from bytes, read as JSON: the same whatever identity and text hold."""
    writer = ChunkWriter(identity, "chat.completion.chunk", usage_asked=usage_asked)
    before, after = ChatStyle("chatcmpl-x").frame(writer, index)
    document = escape_line_ends(encode_json(text))
    assert only(before + document + after) == shell(identity, usage_asked=usage_asked) | {
        "choices": [
            {"index": index, "delta": {"content": text}, "logprobs": None, "finish_reason": None}
        ]
    }


@pytest.mark.property
@given(identities, st.booleans(), st.dictionaries(texts, json_documents, max_size=3))
def test_any_other_chunk_holds_its_choice(
    identity: Identity,
    usage_asked: bool,
    choice: dict[str, Any],
) -> None:
    """The choice is passed on as it is, between what all chunks share."""
    writer = ChunkWriter(identity, "chat.completion.chunk", usage_asked=usage_asked)
    expected = shell(identity, usage_asked=usage_asked) | {"choices": [choice]}
    assert only(writer.choice(choice)) == json.loads(json.dumps(expected))


def test_the_usage_chunk_has_no_choice() -> None:
    """The last chunk before the end mark, when the client asked for usage."""
    writer = ChunkWriter(IDENTITY, "chat.completion.chunk", usage_asked=True)
    assert only(writer.usage(Usage(7, 2))) == shell(IDENTITY, usage_asked=False) | {
        "choices": [],
        "usage": {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9},
    }


def test_a_whole_answer() -> None:
    """Identity, choices and counts in one document."""
    body = completion(IDENTITY, "chat.completion", [{"index": 0}], Usage(7, 2))
    assert json.loads(body) == {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": "org/adapter",
        "choices": [{"index": 0}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9},
        "system_fingerprint": "fp",
    }


@pytest.mark.property
@given(texts | small_texts, texts, st.none() | texts, st.none() | texts)
def test_an_error_has_all_four_keys(
    message: str, type_: str, param: str | None, code: str | None
) -> None:
    """OpenAI's envelope, as a body and as an event of a stream."""
    expected = {"error": {"message": message, "type": type_, "param": param, "code": code}}
    assert json.loads(encode_error(message, type_, param, code)) == expected
    assert only(error_event(message, type_, param, code)) == expected
