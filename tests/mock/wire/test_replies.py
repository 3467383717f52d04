"""Replies byte for byte."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorax_mock.wire.native import (
    Alternative,
    FinishReason,
    Generated,
    PrefillToken,
    SimpleToken,
    Token,
)
from lorax_mock.wire.replies import (
    encode_error,
    encode_generate,
    encode_stream_event,
    encode_text,
    encode_tokenize,
)

_TOKENS = [
    Token(5465, " Paris", -0.21, special=False),
    Token(2, "</s>", -0.02, special=True),
]
_DONE = Generated(" Paris", FinishReason.EOS, 7, None, (PrefillToken(1, "<s>", None),), _TOKENS)


def test_a_full_reply() -> None:
    """A full reply has its keys in LoRAX's order."""
    assert encode_generate(_DONE, details=True) == (
        b'{"generated_text":" Paris","details":{"finish_reason":"eos_token","prompt_tokens":7,'
        b'"generated_tokens":2,"skipped_tokens":0,"seed":null,'
        b'"prefill":[{"id":1,"text":"<s>","logprob":null}],'
        b'"tokens":[{"id":5465,"text":" Paris","logprob":-0.21,"special":false,"skipped":false},'
        b'{"id":2,"text":"</s>","logprob":-0.02,"special":true,"skipped":false}]}}'
    )


def test_a_reply_without_details_has_one_key() -> None:
    """A reply without details is its text alone, with the prompt in front if it was asked for."""
    assert encode_generate(_DONE, details=False, prompt="In:") == b'{"generated_text":"In: Paris"}'


def test_losers_of_best_of_stand_last() -> None:
    """Losers of best_of stand last, with counts, seeds and prompts of their own."""
    other = Generated("x", FinishReason.LENGTH, 7, 2**64 - 1, (), _TOKENS[:1])
    told = encode_generate(_DONE, details=True, others=(other,), prompt=">")
    assert told.endswith(
        b',"best_of_sequences":[{"generated_text":">x","finish_reason":"length",'
        b'"generated_tokens":1,"seed":18446744073709551615,"prefill":[],'
        b'"tokens":[{"id":5465,"text":" Paris","logprob":-0.21,"special":false,'
        b'"skipped":false}]}]}}'
    )


def test_alternatives_stand_between_special_and_skipped() -> None:
    """Alternatives stand between `special` and `skipped`, and a masked one has null for a logprob."""
    token = Token(
        1, "a", None, special=False, alternatives=(Alternative(2, "b", None),), skipped=True
    )
    assert encode_stream_event(token) == (
        b'data: {"token":{"id":1,"text":"a","logprob":null,"special":false,'
        b'"alternative_tokens":[{"id":2,"text":"b","logprob":null}],"skipped":true},'
        b'"generated_text":null,"details":null}\n\n'
    )


@pytest.mark.parametrize(
    ("details", "told"),
    [
        (False, None),
        (
            True,
            {
                "finish_reason": "eos_token",
                "prompt_tokens": 7,
                "generated_tokens": 2,
                "seed": None,
            },
        ),
    ],
)
def test_the_final_event(*, details: bool, told: Any) -> None:
    """The final event always has the text, and details only if they were asked for."""
    event = encode_stream_event(_TOKENS[-1], _DONE, details=details)
    assert json.loads(event.removeprefix(b"data: ")) == {
        "token": {"id": 2, "text": "</s>", "logprob": -0.02, "special": True, "skipped": False},
        "generated_text": " Paris",
        "details": told,
    }


@pytest.mark.property
@given(st.text())
def test_strings_are_escaped_as_serde_does(text: str) -> None:
    """Quotes, backslashes and control characters are escaped, and nothing else."""
    short = {
        "\b": "\\b",
        "\f": "\\f",
        "\n": "\\n",
        "\r": "\\r",
        "\t": "\\t",
        '"': '\\"',
        "\\": "\\\\",
    }
    expected = "".join(
        short.get(char, f"\\u{ord(char):04x}" if ord(char) < 0x20 else char) for char in text
    )
    assert encode_text(text).decode() == f'"{expected}"'


def test_errors_and_tokens() -> None:
    """An error is the flat envelope, and tokens are a bare list."""
    assert encode_error('a"b', "generation") == b'{"error":"a\\"b","error_type":"generation"}'
    assert encode_tokenize([SimpleToken(1, "\u0120a", 0, 2)]) == (
        '[{"id":1,"text":"\u0120a","start":0,"stop":2}]'.encode()
    )
