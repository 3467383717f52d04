"""One chat choice's pieces as OpenAI's objects: chunks of a stream, or the folded answer.

Sources: CreateChatCompletionStreamResponse, ChatCompletionStreamResponseDelta,
CreateChatCompletionResponse and ChatCompletionTokenLogprob of OpenAI's published document.

The shape of a stream, for each choice: one chunk with the role and empty content, one chunk a
delta, one chunk with an empty delta and the finish reason. A tool call opens with its id, type,
name and empty arguments, then its argument fragments follow, which concatenate to JSON.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, assert_never

from lorax_proxy.core.stream import Finished, Piece, Text, TokenLogprob
from lorax_proxy.core.tools import ArgumentsDelta, CallStarted
from lorax_proxy.wire.openai_replies import ChunkWriter

__all__ = ["ChatStyle", "call_id", "chunk", "folded_choice", "logprob_document", "opening"]


@dataclass(frozen=True, slots=True)
class ChatStyle:
    """How a chat answer is written.

    Attributes:
        answer_id: The answer's id, from which tool call ids derive.
        legacy: Whether the client sent `functions`: its one call is a `function_call`.
        logprobs: Whether log probabilities were asked for.
    """

    answer_id: str
    legacy: bool = False
    logprobs: bool = False

    def finish_reason(self, finished: Finished) -> str:
        """OpenAI's `finish_reason`."""
        if self.legacy and finished.reason == "tool_calls":
            return "function_call"
        return finished.reason


def call_id(answer_id: str, choice: int, call: int) -> str:
    """A tool call's id: unique over answers as the answer's own id is, and within it."""
    return f"call_{answer_id.rpartition('-')[2]}{choice:02x}{call:02x}"


def opening(writer: ChunkWriter, index: int) -> bytes:
    """A choice's first chunk."""
    return writer.choice(
        {
            "index": index,
            "delta": {"role": "assistant", "content": "", "refusal": None},
            "logprobs": None,
            "finish_reason": None,
        }
    )


def chunk(writer: ChunkWriter, index: int, piece: Piece, style: ChatStyle) -> bytes:
    """The chunk that carries one piece."""
    if isinstance(piece, Text) and not piece.logprobs:
        return writer.text(index, piece.text)
    delta: dict[str, Any]
    logprobs: dict[str, Any] | None = None
    finish_reason: str | None = None
    match piece:
        case Text():
            delta = {"content": piece.text}
            logprobs = _logprobs(piece.logprobs)
        case CallStarted() if style.legacy:
            delta = {"function_call": {"name": piece.name, "arguments": ""}}
        case ArgumentsDelta() if style.legacy:
            delta = {"function_call": {"arguments": piece.fragment}}
        case CallStarted():
            call: dict[str, Any] = {
                "index": piece.index,
                "id": call_id(style.answer_id, index, piece.index),
                "type": "function",
                "function": {"name": piece.name, "arguments": ""},
            }
            delta = {"tool_calls": [call]}
        case ArgumentsDelta():
            delta = {
                "tool_calls": [{"index": piece.index, "function": {"arguments": piece.fragment}}]
            }
        case Finished():
            delta = {}
            finish_reason = style.finish_reason(piece)
        case _:
            assert_never(piece)
    return writer.choice(
        {
            "index": index,
            "delta": delta,
            "logprobs": logprobs,
            "finish_reason": finish_reason,
        }
    )


def folded_choice(index: int, pieces: Sequence[Piece], style: ChatStyle) -> dict[str, Any]:
    """A whole choice: what its chunks add up to."""
    content: list[str] = []
    tokens: list[TokenLogprob] = []
    calls: list[tuple[str, list[str]]] = []
    finish_reason = "stop"
    for piece in pieces:
        match piece:
            case Text():
                content.append(piece.text)
                tokens += piece.logprobs
            case CallStarted():
                calls.append((piece.name, []))
            case ArgumentsDelta():
                calls[piece.index][1].append(piece.fragment)
            case Finished():
                finish_reason = style.finish_reason(piece)
            case _:
                assert_never(piece)
    text = "".join(content)
    message: dict[str, Any] = {
        "role": "assistant",
        # OpenAI answers null, not empty text, where there are only calls
        "content": text if text or not calls else None,
        "refusal": None,
    }
    if calls and style.legacy:
        name, fragments = calls[0]
        message["function_call"] = {"name": name, "arguments": "".join(fragments)}
    elif calls:
        message["tool_calls"] = [
            {
                "id": call_id(style.answer_id, index, number),
                "type": "function",
                "function": {"name": name, "arguments": "".join(fragments)},
            }
            for number, (name, fragments) in enumerate(calls)
        ]
    return {
        "index": index,
        "message": message,
        "logprobs": _logprobs(tokens) if style.logprobs else None,
        "finish_reason": finish_reason,
    }


def logprob_document(token: TokenLogprob) -> dict[str, Any]:
    """ChatCompletionTokenLogprob."""
    return {
        **_token_document(token.text, token.logprob),
        "top_logprobs": [_token_document(text, logprob) for text, logprob in token.top],
    }


def _token_document(text: str, logprob: float) -> dict[str, Any]:
    return {"token": text, "logprob": logprob, "bytes": list(text.encode())}


def _logprobs(tokens: Sequence[TokenLogprob]) -> dict[str, Any]:
    return {"content": [logprob_document(token) for token in tokens], "refusal": None}
