"""One chat choice's pieces as OpenAI's objects: chunks of a stream, or the folded answer.

Sources: CreateChatCompletionStreamResponse, ChatCompletionStreamResponseDelta,
CreateChatCompletionResponse and ChatCompletionTokenLogprob of OpenAI's published document.

The shape of a stream, for each choice: one chunk with the role and empty content, one chunk a
delta, one chunk with an empty delta and the finish reason. A tool call opens with its id, type,
name and empty arguments, then its argument fragments follow, which concatenate to JSON.

Where the model may call tools the role comes with null content, as in OpenAI's streams of calls;
empty content follows once the model has begun a text instead, or was cut before it began either. So
chunks add up to the whole answer, before anybody knows which it will be: its content is null if, and
only if, there are calls. A message with neither could not be sent back in the next request, where
content is "required unless `tool_calls` or `function_call` is specified"
(ChatCompletionRequestAssistantMessage).
"""

from collections.abc import Sequence
from typing import Any, assert_never

import msgspec

from lorax_proxy.core.stream import Finished, Piece, Text, TokenLogprob
from lorax_proxy.core.tools.grammar import ArgumentsDelta, CallStarted
from lorax_proxy.wire.openai_replies import ChunkWriter

__all__ = ["ChatStyle", "call_id", "logprob_document"]


class ChatStyle(msgspec.Struct, frozen=True):
    """How a chat answer is written (`core.style.Style`).

    Attributes:
        answer_id: The answer's id, from which tool call ids derive.
        tools: Whether the model may call tools.
        legacy: Whether the client sent `functions`: its one call is a `function_call`.
        logprobs: Whether log probabilities were asked for.
    """

    answer_id: str
    tools: bool = False
    legacy: bool = False
    logprobs: bool = False

    @property
    def whole_object(self) -> str:
        """The `object` of a whole answer."""
        return "chat.completion"

    @property
    def chunk_object(self) -> str:
        """The `object` of a chunk."""
        return "chat.completion.chunk"

    @property
    def prompt_param(self) -> str:
        """Where the client put its prompt."""
        return "messages"

    def finish_reason(self, finished: Finished) -> str:
        """OpenAI's `finish_reason`."""
        if self.legacy and finished.reason == "tool_calls":
            return "function_call"
        return finished.reason

    def opening(self, writer: ChunkWriter, index: int) -> bytes:
        """A choice's first chunk: the role, and no text yet."""
        content = None if self.tools else ""
        return writer.choice(
            {
                "index": index,
                "delta": {"role": "assistant", "content": content, "refusal": None},
                "logprobs": None,
                "finish_reason": None,
            }
        )

    def chunk(self, writer: ChunkWriter, index: int, piece: Piece) -> bytes:
        """The chunk that carries one piece."""
        if isinstance(piece, Text):
            delta: dict[str, Any] = {"content": piece.text}
            logprobs = _logprobs(piece.logprobs) if piece.logprobs else None
            reason = None
        else:
            delta, logprobs = self._delta(index, piece), None
            reason = self.finish_reason(piece) if isinstance(piece, Finished) else None
        return writer.choice(
            {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": reason}
        )

    def frame(self, writer: ChunkWriter, index: int) -> tuple[bytes, bytes]:
        """What stands before and after a text."""
        return writer.frame(
            b'{"index":%d,"delta":{"content":' % index, b'},"logprobs":null,"finish_reason":null}'
        )

    def _delta(self, index: int, piece: CallStarted | ArgumentsDelta | Finished) -> dict[str, Any]:
        match piece:
            case CallStarted() if self.legacy:
                return {"function_call": {"name": piece.name, "arguments": ""}}
            case ArgumentsDelta() if self.legacy:
                return {"function_call": {"arguments": piece.fragment}}
            case CallStarted():
                call = {
                    "index": piece.index,
                    "id": call_id(self.answer_id, index, piece.index),
                    "type": "function",
                    "function": {"name": piece.name, "arguments": ""},
                }
                return {"tool_calls": [call]}
            case ArgumentsDelta():
                more = {"index": piece.index, "function": {"arguments": piece.fragment}}
                return {"tool_calls": [more]}
            case Finished():
                return {}
            case _:
                assert_never(piece)

    def folded(self, index: int, pieces: Sequence[Piece]) -> dict[str, Any]:
        """A whole choice: what its chunks add up to."""
        texts = [piece.text for piece in pieces if isinstance(piece, Text)]
        calls = [piece.name for piece in pieces if isinstance(piece, CallStarted)]
        arguments = ["" for _ in calls]
        for piece in pieces:
            if isinstance(piece, ArgumentsDelta):
                arguments[piece.index] += piece.fragment
        functions = [
            {"name": name, "arguments": given} for name, given in zip(calls, arguments, strict=True)
        ]
        message: dict[str, Any] = {
            "role": "assistant",
            # OpenAI answers null, not empty text, where there are only calls
            "content": None if functions else "".join(texts),
            "refusal": None,
        }
        if functions and self.legacy:
            message["function_call"] = functions[0]
        elif functions:
            message["tool_calls"] = [
                {"id": call_id(self.answer_id, index, n), "type": "function", "function": function}
                for n, function in enumerate(functions)
            ]
        tokens = [t for piece in pieces if isinstance(piece, Text) for t in piece.logprobs]
        ends = [piece for piece in pieces if isinstance(piece, Finished)]
        return {
            "index": index,
            "message": message,
            "logprobs": _logprobs(tokens) if self.logprobs else None,
            "finish_reason": self.finish_reason(ends[-1]),
        }


def call_id(answer_id: str, choice: int, call: int) -> str:
    """A tool call's id: unique over answers as the answer's own id is, and within it."""
    return f"call_{answer_id.rpartition('-')[2]}{choice:02x}{call:02x}"


def logprob_document(token: TokenLogprob) -> dict[str, Any]:
    """ChatCompletionTokenLogprob."""
    text = token.text
    return {
        "token": text,
        "logprob": token.logprob,
        "bytes": tuple(text.encode()),
        "top_logprobs": [
            {"token": text, "logprob": logprob, "bytes": tuple(text.encode())}
            for text, logprob in token.top or ()
        ],
    }


def _logprobs(tokens: Sequence[TokenLogprob]) -> dict[str, Any]:
    return {"content": [logprob_document(token) for token in tokens], "refusal": None}
