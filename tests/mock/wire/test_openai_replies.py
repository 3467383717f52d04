"""OpenAI-style replies, deviations and all."""

from lorax_mock.prompt.tools import plain_message
from lorax_mock.wire.native import FinishReason, Generated, Token
from lorax_mock.wire.openai_replies import (
    encode_chat,
    encode_chat_chunk,
    encode_completion,
    encode_completion_chunk,
)

_HI = Token(1, "Hi", -0.1, special=False)
_EOS = Token(2, "</s>", -0.1, special=True)


def _done(reason: FinishReason) -> Generated:
    return Generated("Hi", reason, 12, None, (), [_HI, _EOS])


def test_a_chat_reply() -> None:
    """A whole chat has the id "null", a completion's object name, and the base model's name."""
    assert encode_chat(_done(FinishReason.EOS), [plain_message("Hi")], "base", 1_700_000_000) == (
        b'{"id":"null","object":"text_completion","created":1700000000,"model":"base","choices":['
        b'{"index":0,"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}],'
        b'"usage":{"prompt_tokens":12,"total_tokens":14,"completion_tokens":2},'
        b'"system_fingerprint":"0.1.0-native"}'
    )


def test_chat_chunks() -> None:
    """A chat's chunks have the role in each, usage in the last, and an empty delta for a final EOS."""
    head = b'data: {"id":"null","object":"chat.completion.chunk","created":0,"model":"null","choices":['
    usage = b',"usage":{"prompt_tokens":12,"total_tokens":14,"completion_tokens":2}'
    assert encode_chat_chunk(_HI, None) == (
        head + b'{"index":0,"delta":{"role":"assistant","content":"Hi"},"finish_reason":null}]}\n\n'
    )
    assert encode_chat_chunk(_EOS, _done(FinishReason.EOS)) == (
        head + b'{"index":0,"delta":{},"finish_reason":"stop"}]' + usage + b"}\n\n"
    )
    assert encode_chat_chunk(_EOS, _done(FinishReason.LENGTH)) == (
        head
        + b'{"index":0,"delta":{"role":"assistant","content":"</s>"},"finish_reason":"length"}]'
        + usage
        + b"}\n\n"
    )


def test_a_stop_string_is_a_content_filter() -> None:
    """A stop string's finish reason is `content_filter` in every reply."""
    done = _done(FinishReason.STOP)
    assert b'"finish_reason":"content_filter"' in encode_chat_chunk(_HI, done)
    assert b'"finish_reason":"content_filter"' in encode_completion(done)
    assert b'"text":"Hi"' in encode_completion_chunk(_HI, done)


def test_completions() -> None:
    """A completion's chunks have usage in each, zeros until the last, and the model "null"."""
    head = b'"object":"text_completion","created":0,"model":"null","choices":[{"index":0,"text":'
    zeros = b'"usage":{"prompt_tokens":0,"total_tokens":0,"completion_tokens":0}}\n\n'
    chunk = encode_completion_chunk(_HI, None)
    assert head + b'"Hi","logprobs":null,"finish_reason":null}],' + zeros in chunk
    last = encode_completion_chunk(_EOS, _done(FinishReason.EOS))
    assert head + b'"","logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":12' in last
    assert head + b'"In:Hi"' in encode_completion(_done(FinishReason.EOS), "In:")


def test_a_whole_completion() -> None:
    """A whole completion has its keys in order, its only sequence's counts, and no logprobs."""
    assert encode_completion(_done(FinishReason.LENGTH), "Say: ") == (
        b'{"id":"null","object":"text_completion","created":0,"model":"null","choices":[{"index":0,'
        b'"text":"Say: Hi","logprobs":null,"finish_reason":"length"}],'
        b'"usage":{"prompt_tokens":12,"total_tokens":14,"completion_tokens":2}}'
    )
