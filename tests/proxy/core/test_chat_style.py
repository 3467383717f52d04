"""A chat choice as chunks and whole: two spellings of the same answer."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorax_contracts.schemas import validate
from lorax_proxy.core.chat_style import ChatStyle, call_id, logprob_document
from lorax_proxy.core.stream import Finished, Piece, Reading, Text, TokenLogprob
from lorax_proxy.core.tools.reader import ArgumentsDelta, CallStarted
from lorax_proxy.wire.lorax import Token
from lorax_proxy.wire.openai_replies import ChunkWriter, Identity, Usage, completion
from lorax_proxy.wire.sse import SseDecoder
from tests.proxy.core.test_stream import (
    CALL_DOCUMENTS,
    GRAMMAR,
    TEXT_DOCUMENTS,
    decoded,
    run,
    stream,
)
from tests.strategies import EventStream, event_streams, stop_lists, tokenisations

IDENTITY = Identity(id="chatcmpl-7f3a", created=1_700_000_000, model="org/a", fingerprint="fp")


def chunks(pieces: Sequence[Piece], style: ChatStyle, index: int = 0) -> list[dict[str, Any]]:
    """The stream of one choice as documents."""
    writer = ChunkWriter(IDENTITY, style.chunk_object, usage_asked=False)
    body = style.opening(writer, index)
    body += b"".join(style.chunk(writer, index, piece) for piece in pieces)
    return [json.loads(data) for data in SseDecoder().feed(body)]


def fold(documents: Sequence[dict[str, Any]], *, logprobs: bool) -> dict[str, Any]:
    """The choice that a client's own code puts together from its chunks."""
    content: str | None = None
    tokens: list[Any] = []
    calls: list[dict[str, Any]] = []
    legacy: dict[str, str] | None = None
    reasons: list[str] = []
    roles: list[str] = []
    for document in documents:
        (choice,) = document["choices"]
        delta = choice["delta"]
        roles += [delta["role"]] if "role" in delta else []
        if delta.get("content") is not None:
            content = (content or "") + delta["content"]
        tokens += (choice["logprobs"] or {"content": []})["content"]
        reasons += [choice["finish_reason"]] if choice["finish_reason"] else []
        for call in delta.get("tool_calls", ()):
            if call["index"] == len(calls):
                calls.append({"id": call["id"], "type": call["type"], "function": call["function"]})
            else:
                calls[call["index"]]["function"]["arguments"] += call["function"]["arguments"]
        if given := delta.get("function_call"):
            legacy = legacy or {"name": given["name"], "arguments": ""}
            legacy["arguments"] += given["arguments"]
    assert roles == ["assistant"]
    assert len(reasons) == 1
    assert documents[-1]["choices"][0]["delta"] == {}
    message: dict[str, Any] = {
        "role": "assistant",
        "content": content,
        "refusal": None,
    }
    if calls:
        message["tool_calls"] = calls
    if legacy:
        message["function_call"] = legacy
    return {
        "index": documents[0]["choices"][0]["index"],
        "message": message,
        "logprobs": {"content": tokens, "refusal": None} if logprobs else None,
        "finish_reason": reasons[0],
    }


def judged(pieces: Sequence[Piece], style: ChatStyle, index: int = 0) -> dict[str, Any]:
    """The folded choice, after both spellings were held against OpenAI's schemas and each other."""
    whole = style.folded(index, pieces)
    documents = chunks(pieces, style, index)
    for document in documents:
        assert validate("openai/chat_completion_chunk", document) == []
    answer = json.loads(completion(IDENTITY, style.whole_object, [whole], Usage(1, 1)))
    assert validate("openai/chat_completion", answer) == []
    assert fold(documents, logprobs=style.logprobs) == answer["choices"][0]
    return whole


@pytest.mark.property
@given(
    event_streams(alternatives=2), stop_lists, st.none() | st.integers(0, 2), st.integers(0, 127)
)
def test_folded_text_is_the_whole_answer(
    events: EventStream, stops: list[str], logprobs: int | None, index: int
) -> None:
    """Text, logprobs and finish reason: the chunks add up to the answer that is not streamed."""
    pieces = run(decoded(events), Reading(stops=tuple(stops), logprobs=logprobs))
    style = ChatStyle("chatcmpl-7f3a", logprobs=logprobs is not None)
    whole = judged(pieces, style, index)
    if logprobs is not None:
        joined = [byte for token in whole["logprobs"]["content"] for byte in token["bytes"]]
        assert bytes(joined) == whole["message"]["content"].encode()


@pytest.mark.property
@given(st.sampled_from(CALL_DOCUMENTS), st.booleans(), st.data())
def test_folded_calls_are_the_whole_answer(
    document: tuple[str, list[tuple[str, str]]],
    legacy: bool,
    data: st.DataObject,
) -> None:
    """Ids, names and arguments: the fragments concatenate to the JSON that the model wrote."""
    raw, expected = document
    if legacy and len(expected) > 1:
        return
    tokens = data.draw(tokenisations(raw))
    pieces = run(
        stream([*tokens, Token("</s>", special=True)], "eos_token"), Reading(grammar=GRAMMAR)
    )
    whole = judged(pieces, ChatStyle("chatcmpl-7f3a", tools=True, legacy=legacy))
    assert whole["message"]["content"] is None
    if legacy:
        name, arguments = expected[0]
        assert whole["finish_reason"] == "function_call"
        assert whole["message"]["function_call"] == {"name": name, "arguments": arguments}
        return
    assert whole["finish_reason"] == "tool_calls"
    called = whole["message"]["tool_calls"]
    assert [(c["function"]["name"], c["function"]["arguments"]) for c in called] == expected
    assert len({call["id"] for call in called}) == len(called)


@pytest.mark.property
@given(st.sampled_from(TEXT_DOCUMENTS), st.data())
def test_text_instead_of_calls(document: tuple[str, str], data: st.DataObject) -> None:
    """Where the model chose no tool the answer is plain text, with no trace of the grammar."""
    raw, text = document
    tokens = data.draw(tokenisations(raw))
    pieces = run(
        stream([*tokens, Token("</s>", special=True)], "eos_token"), Reading(grammar=GRAMMAR)
    )
    whole = judged(pieces, ChatStyle("chatcmpl-7f3a", tools=True))
    assert whole["message"] == {"role": "assistant", "content": text, "refusal": None}
    assert whole["finish_reason"] == "stop"


@pytest.mark.parametrize("reason", ["stop", "length", "tool_calls"])
def test_the_legacy_reason_of_a_call(reason: Any) -> None:
    """A client that sent `functions` reads `function_call` where others read `tool_calls`."""
    finished = Finished(reason, 1, 1)
    assert ChatStyle("x").finish_reason(finished) == reason
    expected = "function_call" if reason == "tool_calls" else reason
    assert ChatStyle("x", legacy=True).finish_reason(finished) == expected


def test_call_ids_are_unique_over_answers_choices_and_calls() -> None:
    """No two calls that a client may hold at once share an id."""
    ids = {
        call_id(f"chatcmpl-{answer}", choice, call)
        for answer in ("7f", "8a")
        for choice in (0, 1, 16, 127)
        for call in (0, 1, 16, 127)
    }
    assert len(ids) == 32
    assert all(each.startswith("call_") for each in ids)


@pytest.mark.parametrize(("tools", "content"), [(False, ""), (True, None)])
def test_the_opening_chunk_carries_the_role_and_no_text(tools: bool, content: str | None) -> None:
    """The first chunk of a choice: null content where a call may come, as the whole answer has."""
    style = ChatStyle("x", tools=tools)
    (document,) = chunks([], style, 3)
    assert document["choices"] == [
        {
            "index": 3,
            "delta": {"role": "assistant", "content": content, "refusal": None},
            "logprobs": None,
            "finish_reason": None,
        }
    ]


@pytest.mark.property
@given(st.sampled_from([*CALL_DOCUMENTS, *TEXT_DOCUMENTS]), st.booleans(), st.data())
def test_a_cut_message_has_content_or_calls(
    document: tuple[str, Any], legacy: bool, data: st.DataObject
) -> None:
    """Wherever the budget ends: null content stands beside a call and nowhere else."""
    raw, expected = document
    if legacy and not isinstance(expected, str) and len(expected) > 1:
        return
    tokens = data.draw(tokenisations(raw[: data.draw(st.integers(0, len(raw) - 1))]))
    pieces = run(stream(tokens or [""], "length"), Reading(grammar=GRAMMAR))
    whole = judged(pieces, ChatStyle("x-1", tools=True, legacy=legacy))
    message = whole["message"]
    assert (message["content"] is None) == bool({"tool_calls", "function_call"} & set(message))
    assert whole["finish_reason"] == "length"


def test_a_cut_before_anything_was_chosen_is_said_once() -> None:
    """One empty content after the role, and none where a text had begun."""
    for raw in (" ", '[{"name": "f', '"', '"te'):
        pieces = run(stream([raw], "length"), Reading(grammar=GRAMMAR))
        deltas = [each["choices"][0]["delta"] for each in chunks(pieces, ChatStyle("x-1"))]
        assert [delta for delta in deltas[1:] if delta.get("content") == ""] == [{"content": ""}]


def test_a_tool_call_opens_with_id_type_name_and_empty_arguments() -> None:
    """Then come argument fragments alone, as the SDKs put them together."""
    pieces: list[Piece] = [
        CallStarted(0, "f"),
        ArgumentsDelta(0, "{"),
        ArgumentsDelta(0, "}"),
        Finished("tool_calls", 3, 1),
    ]
    deltas = [each["choices"][0]["delta"] for each in chunks(pieces, ChatStyle("chatcmpl-7f"))]
    assert deltas[1:] == [
        {
            "tool_calls": [
                {
                    "index": 0,
                    "id": "call_7f0000",
                    "type": "function",
                    "function": {"name": "f", "arguments": ""},
                }
            ]
        },
        {"tool_calls": [{"index": 0, "function": {"arguments": "{"}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": "}"}}]},
        {},
    ]


def test_logprobs_of_a_character_over_two_tokens() -> None:
    """The first half has no bytes, the second the whole character."""
    pieces = run(stream(["", "é"], "length"), Reading(logprobs=0))
    whole = ChatStyle("x", logprobs=True).folded(0, pieces)
    assert [token["bytes"] for token in whole["logprobs"]["content"]] == [(), (0xC3, 0xA9)]


def test_a_token_with_alternatives_as_openai_writes_it() -> None:
    """ChatCompletionTokenLogprob: token, logprob, bytes, and the same for each alternative."""
    token = TokenLogprob("a", -0.5, (("é", -1.5),))
    assert logprob_document(token) == {
        "token": "a",
        "logprob": -0.5,
        "bytes": (97,),
        "top_logprobs": [{"token": "é", "logprob": -1.5, "bytes": (0xC3, 0xA9)}],
    }


def test_no_logprobs_when_none_were_asked_for() -> None:
    """The key is there, and null; asked for and without a token it is an empty list."""
    finished: list[Piece] = [Text("a"), Finished("stop", 1, 1)]
    assert ChatStyle("x").folded(0, finished)["logprobs"] is None
    empty = ChatStyle("x", logprobs=True).folded(0, finished[1:])["logprobs"]
    assert empty == {"content": [], "refusal": None}
