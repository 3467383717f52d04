"""Generation: properties over requests."""

import dataclasses
import hashlib
import math

import msgspec
import pytest
from hypothesis import given

from lorax_mock.errors import LoraxRefusal
from lorax_mock.model.adapter_catalogue import AdapterCatalogue
from lorax_mock.model.engine import generate, pick_best, request_key, server_seed
from lorax_mock.model.personas import VOICES, Persona
from lorax_mock.prompt.tokenizer import builtin
from lorax_mock.router.validation import validate
from lorax_mock.scripting.script import Reply
from lorax_mock.settings import Limits, Settings
from lorax_mock.wire.native import (
    FinishReason,
    Generated,
    GenerateParameters,
    GenerateRequest,
    Token,
)
from tests.mock.strategies import requests


def _run(request: GenerateRequest, seed: int = 0) -> Generated:
    settings = Settings(seed=seed)
    valid = validate(request, Limits(), builtin())
    identity, persona = AdapterCatalogue(settings).open(request.parameters, None)
    key = request_key(valid, identity, settings.seed)
    asked = request.parameters.seed
    chosen = server_seed(key, valid, 0) if asked is None else asked
    return generate(valid, persona, builtin(), key, seed=chosen)


def _ask(inputs: str = "What is a reef?", **parameters: object) -> Generated:
    return _run(GenerateRequest(inputs, msgspec.convert(parameters, GenerateParameters)))


@pytest.mark.property
@given(requests)
def test_equal_requests_give_equal_answers(request: GenerateRequest) -> None:
    """Equal requests give the same tokens, texts and logprobs."""
    assert _run(request) == _run(request)


@pytest.mark.property
@given(requests)
def test_tokens_are_the_same_in_one_go_and_one_by_one(request: GenerateRequest) -> None:
    """A stop string that never comes makes the engine look at each token, and changes none."""
    asked = msgspec.structs.replace(request.parameters, stop=(), return_k_alternatives=None)
    never = msgspec.structs.replace(asked, stop=("\x00 never \x00",))
    in_one_go, one_by_one = (
        _run(msgspec.structs.replace(request, parameters=each)) for each in (asked, never)
    )
    assert in_one_go == one_by_one


@pytest.mark.property
@given(requests)
def test_the_answer_ends_as_lorax_would_end_it(request: GenerateRequest) -> None:
    """Length beats EOS beats a stop string, and nothing follows the first of them."""
    answer = _run(request)
    parameters = request.parameters
    budget = validate(request, Limits(), builtin()).max_new_tokens
    eos = builtin().eos
    so_far = ""
    for place, token in enumerate(answer.tokens, 1):
        so_far += token.text
        if place == budget:
            expected = FinishReason.LENGTH
        elif token.id == eos and not parameters.ignore_eos_token:
            expected = FinishReason.EOS
        elif any(so_far.endswith((stop, stop + "\n")) for stop in parameters.stop):
            expected = FinishReason.STOP
        else:
            assert place < len(answer.tokens)
            continue
        assert (answer.finish_reason, place) == (expected, len(answer.tokens))


@pytest.mark.property
@given(requests)
def test_the_text_is_the_plain_tokens_text(request: GenerateRequest) -> None:
    """The text is the joined event texts without specials, and empty when it ends inside a character.

    Behind a prompt of fewer than five tokens this holds from the first text on that is shown.
    """
    answer = _run(request)
    plain = [token for token in answer.tokens if not token.special]
    texts = [token.text for token in plain]
    if answer.text == "" and not answer.tokens[-1].text:
        return
    if answer.prompt_tokens >= 5:
        assert answer.text == "".join(texts)
        return
    shown = next((place for place, text in enumerate(texts) if text), len(texts))
    beginning = builtin().decode([token.id for token in plain[: shown + 1]])
    assert answer.text == beginning + "".join(texts[shown + 1 :])


@pytest.mark.property
@given(requests)
def test_alternatives_are_a_distribution(request: GenerateRequest) -> None:
    """Alternatives descend, sum to at most one, and have the chosen token with its own logprob."""
    count = request.parameters.return_k_alternatives
    for token in _run(request).tokens:
        assert token.logprob is not None
        assert token.logprob <= 0
        if count is None:
            assert token.alternatives is None
            continue
        assert token.alternatives is not None
        assert len(token.alternatives) == count
        known = [one.logprob for one in token.alternatives if one.logprob is not None]
        assert known == sorted(known, reverse=True)
        assert sum(map(math.exp, known)) <= 1.000001
        assert len({one.id for one in token.alternatives}) == count
        chosen = [one for one in token.alternatives if one.id == token.id]
        assert all(one.logprob == token.logprob for one in chosen)
        assert not any(one.text.endswith("\ufffd") for one in token.alternatives)


@pytest.mark.property
@given(requests)
def test_a_shorter_budget_gives_a_beginning_of_the_same_answer(request: GenerateRequest) -> None:
    """A shorter budget cuts the same answer and does not choose another."""
    answer = _run(request)
    half = max(len(answer.tokens) // 2, 1)
    shorter = msgspec.structs.replace(request.parameters, max_new_tokens=half)
    cut = _run(msgspec.structs.replace(request, parameters=shorter))
    assert list(cut.tokens) == list(answer.tokens)[:half]


def test_greedy_ignores_seeds_and_sampling_obeys_them() -> None:
    """A seed changes sampled answers alone, and only they tell it."""
    assert _ask(seed=1) == _ask(seed=2)
    assert _ask().seed is None
    sampled = [_ask(do_sample=True, seed=seed) for seed in (1, 1, 2)]
    assert sampled[0] == sampled[1]
    assert sampled[0].text != sampled[2].text
    assert sampled[0].seed == 1


_EVERYTHING: dict[str, object] = {
    "do_sample": True,
    "temperature": 0.7,
    "top_k": 20,
    "top_p": 0.9,
    "typical_p": 0.95,
    "repetition_penalty": 1.1,
    "frequency_penalty": 0.3,
    "presence_penalty": 0.2,
}
_PROPERTIES = {
    "city": {"type": "string"},
    "notes": {"type": "array", "items": {"type": "string"}, "minItems": 3},
    "size": {"type": "integer"},
    "kind": {"enum": ["large", "small", "neither"]},
}
_CITY = {"type": "object", "properties": _PROPERTIES, "required": [*_PROPERTIES]}
_AS_CITY: dict[str, object] = {"response_format": {"type": "json_object", "schema": _CITY}}

# what is asked -> the digest of all that is answered
_KEPT: list[tuple[dict[str, object], str]] = [
    ({}, "1160d67b6ea8ceae"),
    ({"adapter_id": "acme/poet", "return_k_alternatives": 3}, "0b4cbfbeb007d754"),
    ({"decoder_input_details": True, "max_new_tokens": 4}, "bb3069cf7a00d9a2"),
    ({"truncate": 2}, "d996dcab0cff1091"),
    (_EVERYTHING, "d054944854b0a698"),
    (_EVERYTHING | {"seed": 7, "return_k_alternatives": 4}, "d33e30b125e0f981"),
    (_EVERYTHING | {"seed": 7, "decoder_input_details": True}, "3dcc51d12a6b05a2"),
    (_AS_CITY, "40619d4e628270d2"),
    (_AS_CITY | {"do_sample": True, "seed": 3, "return_k_alternatives": 2}, "b63ac4b6b6b5f043"),
]


@pytest.mark.parametrize(("parameters", "digest"), _KEPT)
def test_stories_are_kept(parameters: dict[str, object], digest: str) -> None:
    """Known answers stay byte for byte; one that changes needs a line in the changelog."""
    answer = _ask("Tell me of the reef, please.", **parameters)
    assert hashlib.sha256(repr(answer).encode()).hexdigest()[:16] == digest


@pytest.mark.parametrize("name", _EVERYTHING)
def test_every_sampling_parameter_tells_another_story(name: str) -> None:
    """Each sampling parameter changes the answer that a seed gives."""
    question = "What is a reef?"
    others = {key: value for key, value in _EVERYTHING.items() if key != name}
    assert _ask(question, seed=7, **_EVERYTHING).text != _ask(question, seed=7, **others).text


def test_adapters_speak_differently() -> None:
    """Each adapter's answer names it, and no two answers are alike."""
    names = ["acme/support", "acme/pirate", "acme/poet", "acme/sql"]
    answers = [_ask(adapter_id=name).text for name in names]
    assert all(name in answer for name, answer in zip(names, answers, strict=True))
    assert len({_ask().text, *answers}) == 5


def test_another_mock_seed_is_another_story() -> None:
    """The mock's seed changes greedy answers."""
    request = GenerateRequest("What is a reef?")
    assert _run(request, seed=1).text != _run(request, seed=2).text


def test_a_stop_string_stays_in_the_text() -> None:
    """A stop string stays in the text, as in LoRAX."""
    answer = _ask(adapter_id="acme/pirate", stop=[" be"])
    assert answer.finish_reason is FinishReason.STOP
    assert answer.text.endswith(" be")


def test_a_stop_string_inside_a_token_is_missed() -> None:
    """A stop string inside a token does not end an answer, because only token ends are looked at."""
    answer = _ask(adapter_id="acme/pirate", stop=["pira"])
    assert "pirate" in answer.text
    assert answer.finish_reason is FinishReason.EOS


def test_a_cut_inside_a_character_loses_the_text() -> None:
    """An answer cut inside a character has an empty text, whatever was streamed."""
    answer = _ask(adapter_id="acme/poet", max_new_tokens=1)
    assert (answer.text, answer.tokens[0].text) == ("", "")


@pytest.mark.parametrize(
    ("parameters", "texts", "reason"),
    [
        ({"max_new_tokens": 3}, ["a", "1", "<|eot_id|>"], "length"),
        ({"max_new_tokens": 2, "stop": ("1",)}, ["a", "1"], "length"),
        ({"stop": ("",)}, ["a"], "stop_sequence"),
        ({"stop": ("a1",)}, ["a", "1"], "stop_sequence"),
        ({"stop": ("1", "a")}, ["a"], "stop_sequence"),
        ({"stop": ("<|eot_id|>",)}, ["a", "1", "<|eot_id|>"], "eos_token"),
        (
            {"stop": ("<|eot_id|>",), "ignore_eos_token": True},
            ["a", "1", "<|eot_id|>"],
            "stop_sequence",
        ),
    ],
)
def test_what_ends_an_answer(parameters: dict[str, object], texts: list[str], reason: str) -> None:
    """The budget comes before EOS, EOS before stop strings, and an empty stop string ends after the first token."""
    answer = _scripted(Reply(text="a1"), **parameters)
    assert [token.text for token in answer.tokens] == texts
    assert answer.finish_reason.value == reason


@pytest.mark.parametrize("spelled", ["<|end_of_text|>", "<|eom_id|>", "<|eot_id|>"])
def test_each_end_of_the_generation_config_ends_an_answer(spelled: str) -> None:
    """Each EOS id that the generation config lists ends an answer, and other special tokens do not."""
    answer = _scripted(Reply(text=f"a<|python_tag|>{spelled}b"))
    assert [token.text for token in answer.tokens] == ["a", "<|python_tag|>", spelled]
    assert (answer.finish_reason, answer.text) == (FinishReason.EOS, "a")


@pytest.mark.parametrize("reason", FinishReason)
def test_a_scripted_answer_may_have_a_reason_of_its_own(reason: FinishReason) -> None:
    """A scripted reply with a finish reason ends where its text does, without EOS."""
    for text, tokens in (("a1", ["a", "1"]), ("", [])):
        answer = _scripted(Reply(text=text, finish=reason))
        assert [token.text for token in answer.tokens] == tokens
        assert answer.finish_reason is reason


def test_a_scripted_answer_goes_on_when_eos_is_ignored() -> None:
    """Where EOS is ignored, a scripted reply is followed by what the model says after its own EOS."""
    answer = _scripted(Reply(text="a1"), ignore_eos_token=True, max_new_tokens=12)
    assert [token.text for token in answer.tokens][:3] == ["a", "1", "<|eot_id|>"]
    assert answer.text.startswith("a1This is p without an adapter.")


def test_a_scripted_answer_is_its_tokens() -> None:
    """A reply of tokens has one event for each, however a tokenizer would cut them."""
    tokens = ("un", "usual, is", "", "<|eot_id|>", " it?\n\n")
    reply = Reply(tokens=tokens, finish=FinishReason.LENGTH)
    answer = _scripted(reply, ignore_eos_token=True, return_k_alternatives=1)
    assert [token.text for token in answer.tokens] == [*tokens]
    shown = [token.alternatives[0].text for token in answer.tokens if token.alternatives]
    assert shown == [*tokens]
    assert answer.text == "unusual, is it?\n\n"
    # an id must be given also for a text that no id spells
    first = [(builtin().encode(text, special=False) or [0])[0] for text in tokens]
    assert [token.id for token in answer.tokens] == first
    assert first[2] == 0


def test_a_stop_string_may_be_followed_by_one_newline() -> None:
    """A stop string followed by one newline still ends the answer, by two it does not."""
    one = _scripted(Reply(tokens=("stop\n", "more"), finish=FinishReason.LENGTH), stop=("stop",))
    assert (len(one.tokens), one.finish_reason) == (1, FinishReason.STOP)
    two = _scripted(Reply(tokens=("stop\n\n", "more"), finish=FinishReason.LENGTH), stop=("stop",))
    assert (len(two.tokens), two.finish_reason) == (2, FinishReason.LENGTH)


def _scripted(reply: Reply, **parameters: object) -> Generated:
    asked = msgspec.convert(parameters, GenerateParameters)
    valid = validate(GenerateRequest("x", asked), Limits(), builtin())
    return generate(valid, Persona("p", (VOICES["base"],)), builtin(), b"", seed=0, reply=reply)


def test_an_alternative_is_spelled_as_if_it_followed_the_chosen_token() -> None:
    """An alternative's text is what it would add behind the chosen token."""
    answer = _scripted(Reply(text="\U0001f600!"), return_k_alternatives=1, max_new_tokens=3)
    shown = [(token.text, token.alternatives) for token in answer.tokens]
    assert [text for text, _ in shown] == ["", "\U0001f600", "!"]
    assert [one[0].text for _, one in shown if one] == ["", "", "!"]


@pytest.mark.parametrize(
    "parameters",
    [
        {"do_sample": True, "top_k": 3, "seed": 1},
        {"top_p": 0.9, "seed": 1},
        {"typical_p": 0.5, "seed": 1},
        {"response_format": {"type": "json_object", "schema": {"type": "boolean"}}},
    ],
)
def test_masked_alternatives_come_by_their_ids(parameters: dict[str, object]) -> None:
    """Masked alternatives have ids from 0 on, past those that are not masked, and no logprobs."""
    for token in _ask("Why?", return_k_alternatives=90, **parameters).tokens:
        listed = token.alternatives or ()
        allowed = [one.id for one in listed if one.logprob is not None]
        masked = [one.id for one in listed if one.logprob is None]
        assert token.id in allowed
        assert len(allowed) < 64
        assert masked == [one for one in range(200) if one not in allowed][: 90 - len(allowed)]


def test_as_many_are_allowed_as_top_k_says() -> None:
    """Top-k leaves as many alternatives with a logprob as it says, also very many."""
    answer = _ask(do_sample=True, top_k=100, seed=1, return_k_alternatives=120, max_new_tokens=2)
    for token in answer.tokens:
        listed = token.alternatives or ()
        assert [one.logprob is not None for one in listed] == [True] * 100 + [False] * 20


def test_there_are_no_more_alternatives_than_tokens() -> None:
    """A request for a million alternatives gets the vocabulary, each token once."""
    answer = _scripted(Reply(text="a"), return_k_alternatives=1_000_000, max_new_tokens=1)
    listed = answer.tokens[0].alternatives
    assert listed is not None
    assert sorted(one.id for one in listed) == list(range(builtin().size()))


def test_eos_is_counted_and_spelled_as_a_special_token() -> None:
    """EOS is the last event and counted, and its spelling is not in the text."""
    answer = _ask()
    assert answer.finish_reason is FinishReason.EOS
    last = answer.tokens[-1]
    assert (last.text, last.special) == ("<|eot_id|>", True)
    assert "<|" not in answer.text


def test_ignored_eos_goes_on() -> None:
    """Where EOS is ignored, its tokens are in the events and not in the text."""
    answer = _ask(ignore_eos_token=True, max_new_tokens=200)
    assert answer.finish_reason is FinishReason.LENGTH
    assert len(answer.tokens) == 200
    assert any(token.special for token in answer.tokens)
    assert "<|" not in answer.text


def test_prefill_details_cover_the_prompt() -> None:
    """Prefill details have each prompt token, BOS first and without a logprob."""
    answer = _ask("one two", decoder_input_details=True)
    assert [token.text for token in answer.prefill] == ["<|begin_of_text|>", "one", " two"]
    assert answer.prefill[0].logprob is None
    assert all(token.logprob is not None for token in answer.prefill[1:])


def test_best_of_prefers_the_likelier_and_the_earlier() -> None:
    """The best mean logprob wins, ties go to the first, and losers keep their order."""
    answers = [_ask(do_sample=True, seed=seed) for seed in range(5)]
    best, others = pick_best(answers)

    def mean(answer: Generated) -> float:
        return sum(token.logprob or 0.0 for token in answer.tokens) / len(answer.tokens)

    assert mean(best) == max(map(mean, answers))
    assert list(others) == [answer for answer in answers if answer is not best]
    equal = dataclasses.replace(answers[0])
    assert pick_best([answers[0], equal])[0] is answers[0]


def _likely(*logprobs: float | None) -> Generated:
    """An answer of tokens with these logprobs."""
    tokens = [Token(7, "x", logprob, special=False, alternatives=None) for logprob in logprobs]
    return Generated("x", FinishReason.LENGTH, 1, None, (), tokens)


def test_best_of_is_no_matter_of_length() -> None:
    """A longer answer is at no disadvantage in best_of, and one whose logprob is no number never wins."""
    long, short = _likely(-1.0, -1.0, -1.0), _likely(-2.0)
    assert pick_best([long, short, short]) == (long, (short, short))
    assert pick_best([short, long, short]) == (long, (short, short))
    overflowed = _likely(None, -0.25)
    assert pick_best([overflowed, short]) == (short, (overflowed,))
    assert pick_best([short, overflowed])[0] is short
    assert pick_best([overflowed, _likely(None)])[0] is overflowed


@pytest.mark.parametrize("scripted", [None, Reply(text="a")])
def test_top_k_above_the_vocabulary_fails_the_pass(scripted: Reply | None) -> None:
    """A top-k above the vocabulary's size fails the forward pass, after a schema was compiled."""
    most = builtin().logits()

    def ask(top_k: int, **parameters: object) -> Generated:
        asked = msgspec.convert({"top_k": top_k, **parameters}, GenerateParameters)
        valid = validate(GenerateRequest("x", asked), Limits(), builtin())
        persona = Persona("p", (VOICES["base"],))
        return generate(valid, persona, builtin(), b"", seed=0, reply=scripted)

    assert ask(most).text
    with pytest.raises(LoraxRefusal) as caught:
        ask(most + 1)
    assert (caught.value.status, caught.value.error_type) == (424, "generation")
    assert caught.value.message == (
        "Request failed during generation: Server error: "
        "index 128256 is out of bounds for dimension 1 with size 128256"
    )
    banana = {"type": "json_object", "schema": {"type": "banana"}}
    if scripted is None:
        with pytest.raises(LoraxRefusal, match="Could not translate the instance"):
            ask(most + 1, response_format=banana)


_BOOLEAN: dict[str, object] = {"type": "json_object", "schema": {"type": "boolean"}}


@pytest.mark.parametrize(
    "parameters",
    [
        {"temperature": 2e-4},
        {"temperature": 1e-40},
        {"temperature": 1e-9, "response_format": _BOOLEAN},
        {"temperature": 7e4, "response_format": _BOOLEAN},
        {"do_sample": True, "repetition_penalty": 2e-4},
    ],
)
def test_probabilities_that_are_no_numbers_choose_token_0(parameters: dict[str, object]) -> None:
    """Overflowed logits give token 0 until the budget ends, without logprobs, and all alternatives are equal."""
    answer = _ask("Why?", max_new_tokens=7, return_k_alternatives=3, **parameters)
    assert [(token.id, token.logprob) for token in answer.tokens] == [(0, None)] * 7
    assert answer.finish_reason is FinishReason.LENGTH
    assert answer.text == builtin().decode([0]) * 7
    for token in answer.tokens:
        listed = token.alternatives or ()
        assert [(one.id, one.logprob) for one in listed] == [(0, None), (1, None), (2, None)]


@pytest.mark.parametrize(
    "parameters",
    [
        {"temperature": 3e-4},
        {"temperature": 7e4},
        {"temperature": 6e4, "response_format": _BOOLEAN},
        {"temperature": 0.0, "repetition_penalty": 3e-4},
        {"repetition_penalty": 1e9},
    ],
)
def test_what_half_precision_holds_is_an_answer(parameters: dict[str, object]) -> None:
    """Temperatures and penalties within half precision, and a temperature of 0, give ordinary answers."""
    answer = _ask("Why?", max_new_tokens=7, **parameters)
    assert all(token.logprob is not None for token in answer.tokens)


def test_a_tiny_repetition_penalty_makes_greedy_decoding_say_the_prompts_first_id() -> None:
    """A tiny repetition penalty makes greedy decoding repeat the lowest id of the prompt."""
    prompt = builtin().encode("Why not?")
    answer = _ask("Why not?", max_new_tokens=5, repetition_penalty=1e-40)
    assert [(token.id, token.logprob) for token in answer.tokens] == [(min(prompt), None)] * 5
    truncated = _ask("Why not?", max_new_tokens=1, repetition_penalty=1e-40, truncate=1)
    assert [token.id for token in truncated.tokens] == prompt[-1:]


@pytest.mark.parametrize("spelled", ["<|eot_id|>", "<|begin_of_text|>x", "a<|python_tag|>"])
def test_a_grammar_spells_special_tokens_with_ordinary_ones(spelled: str) -> None:
    """Under a grammar special spellings are ordinary tokens, so the document goes on behind them."""
    form = {"type": "json_object", "schema": {"enum": [spelled]}}
    answer = _ask(response_format=form)
    assert answer.text == f'"{spelled}"'
    assert [token.special for token in answer.tokens[:-1]] == [False] * (len(answer.tokens) - 1)
    assert (answer.tokens[-1].id, answer.finish_reason) == (builtin().eos, FinishReason.EOS)


def test_a_schema_is_obeyed_or_cut() -> None:
    """A schema gives conforming JSON and EOS, and a short budget invalid JSON and `length`."""
    schema = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
    form = {"type": "json_object", "schema": schema}
    whole = _ask(response_format=form)
    assert whole.finish_reason is FinishReason.EOS
    assert msgspec.json.decode(whole.text)["a"]
    cut = _ask(response_format=form, max_new_tokens=3)
    assert cut.finish_reason is FinishReason.LENGTH
    assert whole.text.startswith(cut.text)
