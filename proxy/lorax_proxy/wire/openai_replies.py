"""OpenAI's reply types to bytes: completions, chunks, lists and errors.

Sources: CreateChatCompletionResponse, CreateChatCompletionStreamResponse, CreateCompletionResponse,
ListModelsResponse and ErrorResponse of OpenAI's published OpenAPI document 2.3.0.

A stream's chunks differ in a few bytes only. What all chunks of a stream share is encoded once
(`ChunkWriter`), and a chunk of text is two halves that were made once, around the text as JSON: no
dictionary, no model object a token.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from lorax_proxy.wire.sse import encode as sse_event
from lorax_proxy.wire.sse import escape_line_ends

__all__ = [
    "ChunkWriter",
    "Identity",
    "Usage",
    "completion",
    "encode_error",
    "encode_json",
    "error_event",
]

_encoder = msgspec.json.Encoder()

encode_json: Callable[[object], bytes] = _encoder.encode
"""A document as compact JSON; the encoder's own method, since a stream calls it once a token."""


class Identity(msgspec.Struct, frozen=True):
    """What makes one answer itself: supplied by the shell, so that equal inputs give equal bytes.

    Attributes:
        id: `chatcmpl-...` or `cmpl-...`, the same in every chunk.
        created: Unix time in seconds.
        model: The model's name as the client wrote it.
        fingerprint: OpenAI's `system_fingerprint`: the upstream that answered.
    """

    id: str
    created: int
    model: str
    fingerprint: str | None


class Usage(msgspec.Struct, frozen=True):
    """Token counts of one answer (CompletionUsage)."""

    prompt_tokens: int
    completion_tokens: int

    def document(self) -> dict[str, int]:
        """The object that OpenAI's clients read."""
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": self.prompt_tokens + self.completion_tokens,
        }


def encode_error(message: str, type_: str, param: str | None, code: str | None) -> bytes:
    """OpenAI's error envelope (ErrorResponse), always with all four keys."""
    return _encoder.encode(
        {"error": {"message": message, "type": type_, "param": param, "code": code}}
    )


class ChunkWriter:
    """One stream's chunks as SSE events."""

    __slots__ = ("_close", "_head")

    def __init__(self, identity: Identity, object_: str, *, usage_asked: bool) -> None:
        """Prepare what all chunks share.

        Args:
            identity: The stream's identity.
            object_: `chat.completion.chunk` or `text_completion`.
            usage_asked: Whether the client set `stream_options.include_usage`: then every chunk
                has a `usage`, null in all but the last.
        """
        shared = _encoder.encode(
            {
                "id": identity.id,
                "object": object_,
                "created": identity.created,
                "model": identity.model,
                "system_fingerprint": identity.fingerprint,
            }
        )
        self._head = b"data: " + escape_line_ends(shared[:-1]) + b',"choices":['
        self._close = b'],"usage":null}\n\n' if usage_asked else b"]}\n\n"

    def frame(self, before: bytes, after: bytes) -> tuple[bytes, bytes]:
        """The two halves of a chunk whose choice has these, around something that differs."""
        return self._head + before, after + self._close

    def choice(self, choice: Mapping[str, Any]) -> bytes:
        """Any other chunk, with the one choice given."""
        return b"%b%b%b" % (self._head, escape_line_ends(_encoder.encode(choice)), self._close)

    def usage(self, usage: Usage) -> bytes:
        """The chunk after the last choice's end: no choice, and the counts."""
        return b'%b],"usage":%b}\n\n' % (self._head, _encoder.encode(usage.document()))


def error_event(message: str, type_: str, param: str | None, code: str | None) -> bytes:
    """An error inside a stream, as the openai SDKs look for it: an event with an `error` key."""
    return sse_event(encode_error(message, type_, param, code))


def completion(
    identity: Identity, object_: str, choices: Sequence[Mapping[str, Any]], usage: Usage
) -> bytes:
    """A whole answer."""
    return _encoder.encode(
        {
            "id": identity.id,
            "object": object_,
            "created": identity.created,
            "model": identity.model,
            "choices": choices,
            "usage": usage.document(),
            "system_fingerprint": identity.fingerprint,
        }
    )
