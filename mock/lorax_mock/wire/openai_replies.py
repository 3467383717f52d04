"""LoRAX's own `/v1` replies, with every way in which they are not OpenAI's (router/src/lib.rs:1004-1500).

An id that is the string "null", `text_completion` as the object of a chat, the role in every chunk,
usage unasked, `content_filter` for a stop string, special tokens in streamed text.
"""

from typing import Final

from lorax_mock.wire.native import FinishReason, Generated, Token
from lorax_mock.wire.replies import encode_text

__all__ = [
    "DONE",
    "encode_chat",
    "encode_chat_chunk",
    "encode_completion",
    "encode_completion_chunk",
]

DONE: Final = b"data: [DONE]\n\n"
_FINISH: Final = {
    FinishReason.LENGTH: "length",
    FinishReason.EOS: "stop",
    FinishReason.STOP: "content_filter",
}


def _usage(prompt: int, generated: int) -> bytes:
    return b'{"prompt_tokens":%d,"total_tokens":%d,"completion_tokens":%d}' % (
        prompt,
        prompt + generated,
        generated,
    )


def _reason(reason: FinishReason | None) -> bytes:
    return b"null" if reason is None else b'"%b"' % _FINISH[reason].encode()


def encode_completion(best: Generated, prompt: str = "") -> bytes:
    """A CompletionResponse: one choice, whatever was asked for."""
    return (
        b'{"id":"null","object":"text_completion","created":0,"model":"null","choices":[{"index":0,'
        b'"text":%b,"logprobs":null,"finish_reason":%b}],"usage":%b}'
        % (
            encode_text(prompt + best.text),
            _reason(best.finish_reason),
            _usage(best.prompt_tokens, len(best.tokens)),
        )
    )


def encode_completion_chunk(token: Token, end: Generated | None) -> bytes:
    """One framed chunk: usage in each, zeros until the last; the final EOS has no text."""
    reason = None if end is None else end.finish_reason
    usage = _usage(0, 0) if end is None else _usage(end.prompt_tokens, len(end.tokens))
    return (
        b'data: {"id":"null","object":"text_completion","created":0,"model":"null","choices":['
        b'{"index":0,"text":%b,"logprobs":null,"finish_reason":%b}],"usage":%b}\n\n'
        % (encode_text("" if reason is FinishReason.EOS else token.text), _reason(reason), usage)
    )


def encode_chat(best: Generated, messages: list[bytes], model_id: str, created: int) -> bytes:
    """A ChatCompletionResponse; `messages` are whole message objects, the winner's first."""
    choices = b",".join(
        b'{"index":%d,"message":%b,"finish_reason":%b}'
        % (place, message, _reason(best.finish_reason))
        for place, message in enumerate(messages)
    )
    return (
        b'{"id":"null","object":"text_completion","created":%d,"model":%b,"choices":[%b],'
        b'"usage":%b,"system_fingerprint":"0.1.0-native"}'
        % (
            created,
            encode_text(model_id),
            choices,
            _usage(best.prompt_tokens, len(best.tokens)),
        )
    )


def encode_chat_chunk(token: Token, end: Generated | None) -> bytes:
    """One framed chunk: the role in each, an empty delta for the final EOS, usage in the last."""
    reason = None if end is None else end.finish_reason
    delta = b""
    if reason is not FinishReason.EOS:
        delta = b'"role":"assistant","content":%b' % encode_text(token.text)
    usage = b""
    if end is not None:
        usage = b',"usage":%b' % _usage(end.prompt_tokens, len(end.tokens))
    return (
        b'data: {"id":"null","object":"chat.completion.chunk","created":0,"model":"null","choices":['
        b'{"index":0,"delta":{%b},"finish_reason":%b}]%b}\n\n' % (delta, _reason(reason), usage)
    )
