"""Legacy completions: prompts to plans, pieces to objects, and the prompt's own logprobs."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorax_proxy.core.parsing import read_request
from lorax_proxy.core.plan import Facts, Plan
from lorax_proxy.core.routing import Base, Route
from lorax_proxy.core.stream import Finished, Piece, Text, TokenLogprob
from lorax_proxy.core.text_completion import (
    CompletionStyle,
    logprobs_document,
    plan_completion,
    prompt_tokens,
)
from lorax_proxy.errors import RequestRefused
from lorax_proxy.wire.lorax import PrefillToken
from lorax_proxy.wire.openai_replies import ChunkWriter, Identity
from lorax_proxy.wire.openai_requests import CompletionRequest

FACTS = Facts("base", "fp", max_stop_sequences=4, bos="<s>", text_only=True)
ROUTE = Route("m", "default", Base())


def planned(**given: Any) -> Plan:
    """The plan of a completion request with these parameters."""
    request = read_request(CompletionRequest, {"model": "m", "prompt": "hi", **given})
    return plan_completion(request, ROUTE, FACTS)


def test_the_default_budget_is_openais() -> None:
    """Sixteen tokens, and none when none are asked for."""
    assert planned().requests[0].parameters.max_new_tokens == 16
    assert planned(max_tokens=3).requests[0].parameters.max_new_tokens == 3
    assert planned(max_tokens=0).requests == ()


def test_a_prompt_is_sent_as_it_is() -> None:
    """No template, and no BOS taken away: what a prompt spells is meant."""
    assert planned(prompt="<s>[INST] x").requests[0].inputs == "<s>[INST] x"


def test_each_prompt_has_each_choice() -> None:
    """Prompt by prompt, so that choice i of prompt p has the index p * n + i."""
    plan = planned(prompt=["a", "b"], n=2, seed=7)
    asked = [(request.inputs, request.parameters.seed) for request in plan.requests]
    assert asked == [("a", 7), ("a", 8), ("b", 7), ("b", 8)]


def test_best_of_asks_for_more_than_it_returns() -> None:
    """`best_of` requests a prompt, `n` of which are returned."""
    plan = planned(best_of=3, n=2)
    assert (len(plan.requests), plan.tries, plan.choices) == (3, 3, 2)


def test_scoring_a_prompt_generates_one_token_and_drops_it() -> None:
    """LoRAX refuses a budget of zero and tells a prompt's logprobs only with an answer."""
    plan = planned(echo=True, logprobs=2, max_tokens=0)
    parameters = plan.requests[0].parameters
    assert plan.discard
    assert plan.score
    assert (parameters.max_new_tokens, parameters.decoder_input_details) == (1, True)
    assert not planned(echo=True, logprobs=2, max_tokens=4).discard
    assert not planned(echo=True).score


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({"prompt": [1, 2]}, "prompt"),
        ({"prompt": [[1], [2]]}, "prompt"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": ["a", ""]}, "prompt"),
        ({"prompt": None}, "prompt"),
        ({"best_of": 2, "stream": True}, "best_of"),
        ({"best_of": 1, "n": 2}, "best_of"),
        ({"echo": True, "logprobs": 1, "truncate": 3}, "truncate"),
        ({"stop": [""]}, "stop[0]"),
    ],
)
def test_what_cannot_be_completed_is_refused_by_name(given: dict[str, Any], param: str) -> None:
    """Each refusal is a 400 that names its parameter."""
    with pytest.raises(RequestRefused) as caught:
        planned(**given)
    assert (caught.value.status, caught.value.param) == (400, param)


TOKENS = (
    TokenLogprob("He", -0.5, ((" A", -0.25), ("He", -0.5))),
    TokenLogprob("", -1.0, ()),
    TokenLogprob("y😀", -2.0, ((" B", -0.125),)),
)


def test_logprobs_are_four_lists_of_one_length() -> None:
    """The chosen token is among the likeliest, and each text begins where the last ended."""
    assert logprobs_document(TOKENS, 10) == {
        "tokens": ["He", "", "y😀"],
        "token_logprobs": [-0.5, -1.0, -2.0],
        "top_logprobs": [{" A": -0.25, "He": -0.5}, {"": -1.0}, {" B": -0.125, "y😀": -2.0}],
        "text_offset": [10, 12, 12],
    }


def test_a_prompts_tokens_have_no_alternatives() -> None:
    """The first has no logprob either: nothing came before it."""
    told = logprobs_document([TokenLogprob("a", None, None), TokenLogprob("b", -1.0, None)], 0)
    assert told["token_logprobs"] == [None, -1.0]
    assert told["top_logprobs"] == [None, None]


def test_chunks_add_up_to_the_whole_choice() -> None:
    """Texts, logprobs with their offsets, and the finish reason."""
    pieces: list[Piece] = [Text("Prompt"), Text("He", TOKENS[:1]), Text("y😀", TOKENS[1:])]
    pieces.append(Finished("length", 3, 5))
    style = CompletionStyle(logprobs=True)
    writer = ChunkWriter(Identity("cmpl-1", 1, "m", None), style.chunk_object, usage_asked=False)
    assert style.opening(writer, 0) == b""
    choices = [
        json.loads(style.chunk(writer, 0, piece).removeprefix(b"data: "))["choices"][0]
        for piece in pieces
    ]
    whole = CompletionStyle(logprobs=True).folded(0, pieces)
    assert "".join(choice["text"] for choice in choices) == whole["text"] == "PromptHey😀"
    assert [choice["finish_reason"] for choice in choices] == [None, None, None, "length"]
    offsets = [at for c in choices if c["logprobs"] for at in c["logprobs"]["text_offset"]]
    assert offsets == [6, 8, 8]
    assert CompletionStyle(logprobs=False).folded(0, pieces)["logprobs"] is None


def test_the_bos_that_lorax_added_is_dropped() -> None:
    """`/generate` puts it before the prompt; the client's text has none."""
    prefill = [PrefillToken("<s>"), PrefillToken("Hi", -0.5)]
    # and the first token that is the client's has no logprob, as OpenAI's has none
    assert prompt_tokens("Hi", prefill, "<s>") == (TokenLogprob("Hi", None, None),)
    more = [*prefill, PrefillToken(" you", -1.5)]
    assert prompt_tokens("Hi you", more, "<s>")[1] == TokenLogprob(" you", -1.5, None)
    kept = prompt_tokens("<s>Hi", [PrefillToken("<s>"), *prefill], "<s>")
    assert [token.text for token in kept] == ["<s>", "Hi"]


def test_split_characters_and_lost_spaces_are_put_back() -> None:
    """LoRAX decodes a prompt's tokens one by one; their texts still join to the prompt."""
    prefill = [PrefillToken(text, -1.0) for text in ("The", "sea", "\ufffd", "\ufffd", " x")]
    tokens = prompt_tokens("The sea😀 x", prefill, "")
    assert [token.text for token in tokens] == ["The", " sea", "", "", "😀 x"]


@pytest.mark.property
@given(st.text(min_size=1, max_size=30), st.lists(st.text(max_size=4), min_size=1, max_size=12))
def test_prompt_tokens_always_join_to_the_prompt(prompt: str, pieces: list[str]) -> None:
    """Whatever LoRAX calls the tokens, none is lost and no text is."""
    tokens = prompt_tokens(prompt, [PrefillToken(piece, -1.0) for piece in pieces], "")
    assert len(tokens) == len(pieces)
    assert "".join(token.text for token in tokens) == prompt
