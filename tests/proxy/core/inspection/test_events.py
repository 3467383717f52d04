"""Events of both wires in a line, right or wrong."""

import json

import pytest

from lorax_proxy.core.inspection.events import Events, chunk_texts, gist, token_text
from tests.proxy.core.inspection.recorded import event, last

LORAX = [
    (event("Hel")[5:-2].decode(), '"Hel"'),
    (last()[5:-2].decode(), '"</s>", special, eos_token, 7 > 3 tokens'),
    ('{"error":"full","error_type":"overloaded"}', 'error: "full"'),
    (":", "comment: keeps the connection alive"),
    ("rubbish", "rubbish"),
    ('{"token":7}', '{"token":7}'),
    ("[]", "[]"),
]

OPENAI = [
    ({"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]}, "assistant"),
    ({"choices": [{"index": 0, "delta": {"content": "x\n"}}]}, '"x\\n"'),
    ({"choices": [{"index": 2, "text": "x"}]}, 'choice 2, "x"'),
    ({"choices": [{"index": 0, "delta": {}, "finish_reason": "length"}]}, "finish_reason length"),
    (
        {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}},
        "usage 3 > 4 tokens",
    ),
    (
        {
            "choices": [
                {"delta": {"tool_calls": [{"function": {"name": "f", "arguments": '{"a":'}}]}}
            ]
        },
        'call f "{\\"a\\":"',
    ),
    ({"error": {"message": "no"}}, 'error: {"message":"no"}'),
]


@pytest.mark.parametrize(("data", "line"), LORAX)
def test_an_event_of_lorax_in_a_line(data: str, line: str) -> None:
    """The token, and at the end why and how many."""
    assert gist(data, openai=False) == line


@pytest.mark.parametrize(("chunk", "line"), OPENAI)
def test_a_chunk_of_openai_in_a_line(chunk: object, line: str) -> None:
    """What it adds to which choice."""
    assert gist(json.dumps(chunk), openai=True) == line


def test_the_mark_of_the_end_is_shown_as_it_is() -> None:
    """It is no JSON."""
    assert gist("[DONE]", openai=True) == "[DONE]"


def test_texts_are_those_that_are_seen() -> None:
    """No special token's, and none of what is no event."""
    assert token_text(event("a")[5:-2].decode()) == "a"
    assert token_text(event("<s>", special=True)[5:-2].decode()) == ""
    assert token_text(event("<eot>")[5:-2].decode(), ["<eot>"]) == ""
    assert token_text("rubbish") == token_text('{"token":{}}') == ""
    assert chunk_texts('{"choices":[{"index":1,"text":"a"},{"delta":{"content":null}}]}') == {
        1: "a"
    }
    assert chunk_texts('{"choices":7}') == chunk_texts("[DONE]") == {}


def test_events_come_out_however_they_were_cut() -> None:
    """Comments at once."""
    reader = Events()
    assert list(reader.feed(b"data: a\n")) == []
    assert list(reader.feed(b"\n:\n\ndata: b\n\n")) == [":", "a", "b"]
