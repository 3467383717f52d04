"""The router's checks, text by text and in order."""

import msgspec
import pytest

from lorax_mock.errors import FatalRequest, LoraxRefusal
from lorax_mock.prompt.tokenizer import builtin
from lorax_mock.router.validation import check_before_permit, samples, validate
from lorax_mock.settings import Limits
from lorax_mock.wire.native import GenerateParameters, GenerateRequest, MergedAdapters

_PREFIX = "Input validation error: "
_SAMPLING = {"temperature", "top_p", "top_k", "typical_p", "do_sample"}
_LONG = "word " * 5000

_ORDER: list[tuple[dict[str, object], str]] = [
    (
        {"adapter_id": "", "merged_adapters": MergedAdapters((), ())},
        "at most one of `adapter_id` or `adapters` may be provided",
    ),
    (
        {"merged_adapters": MergedAdapters(())},
        "at least one adapter ID must be provided when setting `adapters`",
    ),
    (
        {"merged_adapters": MergedAdapters(("a",))},
        "number of adapter IDs must match number of adapter weights",
    ),
    ({"best_of": 2}, "you must use sampling when `best_of` is > 1"),
    ({"temperature": -0.1}, "`temperature` must be non-negative"),
    ({"repetition_penalty": 0.0}, "`repetition_penalty` must be strictly positive"),
    ({"frequency_penalty": 2.1}, "`frequency_penalty` must be >= -2.0 and <= 2.0"),
    ({"presence_penalty": -2.1}, "`presence_penalty` must be >= -2.0 and <= 2.0"),
    ({"top_p": 1.1}, "`top_p` must be > 0.0 and < 1.0"),
    ({"typical_p": 1.0}, "`typical_p` must be > 0.0 and < 1.0"),
    ({"top_k": 0}, "`top_k` must be strictly positive"),
    ({"return_k_alternatives": 0}, "`return_k_alternatives` must be strictly positive"),
    ({"max_new_tokens": 0}, "`max_new_tokens` must be strictly positive"),
    ({"stop": ("a",) * 5}, "`stop` supports up to 4 stop sequences. Given: 5"),
    (
        {"seed": 1, "best_of": 2, "do_sample": True},
        "`seed` must not be set when `best_of` > 1",
    ),
    ({"inputs": ""}, "`inputs` cannot be empty"),
    (
        {"truncate": 4096},
        "`truncate` must be strictly positive and less than 4095. Given: 4096",
    ),
    (
        {"inputs": "Hello world", "max_new_tokens": 4094},
        (
            "`inputs` tokens + `max_new_tokens` must be <= 4096. "
            "Given: 3 `inputs` tokens and 4094 `max_new_tokens`"
        ),
    ),
    ({"inputs": _LONG}, "`inputs` must have less than 4095 tokens. Given: 5002"),
]


def _request(faults: dict[str, object]) -> GenerateRequest:
    values = dict(faults)
    inputs = values.pop("inputs", "hi")
    assert isinstance(inputs, str)
    return GenerateRequest(inputs, msgspec.convert(values, GenerateParameters))


def _refusal(faults: dict[str, object]) -> LoraxRefusal:
    with pytest.raises(LoraxRefusal) as caught:
        validate(_request(faults), Limits(), builtin())
    return caught.value


@pytest.mark.parametrize(("faults", "text"), _ORDER, ids=[row[1][:40] for row in _ORDER])
def test_each_check_speaks_lorax_words(faults: dict[str, object], text: str) -> None:
    """Each wrong parameter is a 422 with LoRAX's words."""
    refusal = _refusal(faults)
    assert (refusal.status, refusal.error_type) == (422, "validation")
    assert refusal.message.startswith(_PREFIX + text)


def test_of_two_faults_the_earlier_check_decides() -> None:
    """Of two wrong parameters the one that LoRAX checks earlier is told."""
    for place, (first, text) in enumerate(_ORDER):
        for second, _ in _ORDER[place + 1 :]:
            lifts = "best_of" in first and set(second) & _SAMPLING
            if not set(first) & set(second) and not lifts:
                both = {**second, **first}
                assert _refusal(both).message == _PREFIX + text, both


def test_truncate_keeps_the_end_but_does_not_rescue_a_long_prompt() -> None:
    """Truncation keeps the last tokens, and the router has counted all of them before."""
    valid = validate(_request({"inputs": "one two three", "truncate": 2}), Limits(), builtin())
    assert builtin().decode(valid.prompt) == " two three"
    assert valid.input_length == 4
    assert "5002" in _refusal({"inputs": _LONG, "truncate": 5}).message


def test_an_omitted_budget_is_the_rest_of_the_context() -> None:
    """An omitted budget is exactly what is left, and a budget that just fits is accepted."""
    assert validate(_request({"inputs": "Hello world"}), Limits(), builtin()).max_new_tokens == 4093
    validate(_request({"inputs": "Hello world", "max_new_tokens": 4093}), Limits(), builtin())


@pytest.mark.parametrize(
    ("faults", "text"),
    [
        ({"best_of": 0}, "`best_of` != 1 is not supported when streaming tokens"),
        (
            {"decoder_input_details": True},
            "`decoder_input_details` == true is not supported when streaming tokens",
        ),
    ],
)
def test_streams_refuse_two_things_first(faults: dict[str, object], text: str) -> None:
    """Streams refuse best_of and prefill details before a permit is taken."""
    parameters = _request(faults).parameters
    with pytest.raises(LoraxRefusal) as caught:
        check_before_permit(parameters, Limits(), stream=True)
    assert caught.value.message == _PREFIX + text
    check_before_permit(parameters, Limits(), stream=False)


@pytest.mark.parametrize(
    ("limit", "text"),
    [
        (2, "`best_of` must be > 0 and <= 2. Given: 3"),
        (1, "`best_of` != 1 is not allowed for this endpoint"),
    ],
)
def test_best_of_is_limited(limit: int, text: str) -> None:
    """A best_of over the limit is refused in words that depend on whether any is allowed."""
    with pytest.raises(LoraxRefusal) as caught:
        check_before_permit(GenerateParameters(best_of=3), Limits(max_best_of=limit), stream=False)
    assert caught.value.message == _PREFIX + text
    assert caught.value.counted_as == ""


@pytest.mark.parametrize(
    "parameters",
    [
        {"temperature": 0.0},
        {"repetition_penalty": 1e-6},
        {"frequency_penalty": 2.0},
        {"frequency_penalty": -2.0},
        {"presence_penalty": 2.0},
        {"presence_penalty": -2.0},
        {"top_p": 1.0},
        {"top_p": 1e-6},
        {"typical_p": 1e-6},
        {"top_k": 1},
        {"return_k_alternatives": 1_000_000},
        {"max_new_tokens": 1},
        {"stop": ("",) * 4},
        {"best_of": 0},
        {"seed": 1, "best_of": 1},
        {"truncate": 1},
        {"truncate": 4095},
        {"inputs": "one" + " two" * 4093},
        {"adapter_id": ""},
    ],
)
def test_the_edges_are_accepted(parameters: dict[str, object]) -> None:
    """Values at the edge of what is accepted pass."""
    validate(_request(parameters), Limits(), builtin())


def test_the_token_before_the_edge_is_the_last() -> None:
    """A prompt of the longest length passes, and one token more is refused."""
    assert "Given: 4096" in _refusal({"inputs": "one" + " two" * 4094}).message


def test_a_router_without_a_fast_tokenizer_counts_nothing() -> None:
    """Without a fast tokenizer the router assumes the longest prompt, and the shard cuts to it."""
    slow = Limits(fast_tokenizer=False)
    valid = validate(_request({"inputs": _LONG}), slow, builtin())
    assert (len(valid.prompt), valid.input_length, valid.max_new_tokens) == (4095, 4095, 1)
    valid = validate(_request({"truncate": 96, "max_new_tokens": 4000}), slow, builtin())
    assert (valid.input_length, valid.max_new_tokens) == (96, 4000)
    with pytest.raises(LoraxRefusal) as caught:
        validate(_request({"max_new_tokens": 2}), slow, builtin())
    assert caught.value.message == _PREFIX + "`max_new_tokens` must be <= 1. Given: 2"


@pytest.mark.parametrize(
    "merged",
    [
        MergedAdapters(("a", "b"), (1.0, 1.0), "average"),
        MergedAdapters(("a", "b"), (1.0, 1.0), "ties", 0.5, "mean"),
    ],
)
def test_what_would_panic_the_router_is_named(merged: MergedAdapters) -> None:
    """An unknown merge strategy or sign method is a FatalRequest."""
    with pytest.raises(FatalRequest):
        validate(_request({"merged_adapters": merged}), Limits(), builtin())


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        (GenerateParameters(), False),
        (GenerateParameters(temperature=1.0), False),
        (GenerateParameters(temperature=0.0), False),
        (GenerateParameters(temperature=0.0, do_sample=True), True),
        (GenerateParameters(temperature=0.7), True),
        (GenerateParameters(top_p=0.9), True),
        (GenerateParameters(top_p=1.0), False),
        (GenerateParameters(top_k=5), True),
        (GenerateParameters(typical_p=0.5), True),
    ],
)
def test_what_samples(parameters: GenerateParameters, *, expected: bool) -> None:
    """Without do_sample a temperature of 0, 1 or none and a top_p of 1 are greedy, and other values sample."""
    assert samples(parameters) is expected
