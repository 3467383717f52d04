"""Folding: chunks and replies end in the same value."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorax_contracts import sse
from lorax_contracts.judge.answer import Answer, fold_chunks, fold_reply
from tests.contracts import samples

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "choices",
                    "index",
                    "delta",
                    "message",
                    "content",
                    "tool_calls",
                    "function",
                    "usage",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


def folded(body: bytes) -> Answer:
    """The chunks of a stream's body."""
    return fold_chunks(e.value for e in sse.read(body).data if not e.is_done)


def test_a_stream_folds_to_its_plain_reply() -> None:
    """Text, finish reason, usage, calls."""
    plain = fold_reply(json.loads(samples.golden("chat_plain").body))
    assert folded(samples.golden("chat_stream_usage").body) == plain
    called = fold_reply(json.loads(samples.tool_chat().body))
    streamed = folded(samples.tool_stream().body)
    assert streamed.choices == called.choices


def test_fragments_join_by_index() -> None:
    """Two calls whose fragments interleave stay two calls."""

    def part(index: int, **function: str) -> dict[str, Any]:
        call = {"index": index, "function": function}
        return {"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]}

    answer = fold_chunks(
        [
            part(0, name="a", arguments="{"),
            part(1, name="b"),
            part(0, arguments="}"),
            part(1, arguments="[]"),
        ]
    )
    calls = answer.choices[0].calls
    assert [(call.name, call.arguments) for call in calls] == [("a", "{}"), ("b", "[]")]


@pytest.mark.property
@given(st.lists(st.dictionaries(st.sampled_from(["choices", "usage", "x"]), JSON), max_size=3))
def test_any_json_folds(documents: list[dict[str, Any]]) -> None:
    """What does not fit is left out, and nothing raises."""
    fold_chunks(documents)
    for document in documents:
        fold_reply(document)
