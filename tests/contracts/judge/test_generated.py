"""Generated tokens, broken in one place at a time."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from lorax_contracts.exchange import Exchange
from lorax_contracts.judge.generated import samples as samples_
from tests.contracts import native_samples, samples
from tests.contracts.judge.cases import Case, each_case

CASES: tuple[Case, ...] = (
    (
        "LORAX-GEN-004",
        "another count",
        lambda: samples.edit(
            native_samples.generate(), lambda d: d["details"].update(generated_tokens=9)
        ),
    ),
    (
        "LORAX-GEN-005",
        "length unspent",
        lambda: samples.asking(
            samples.edit(
                native_samples.generate(), lambda d: d["details"].update(finish_reason="length")
            ),
            parameters={**native_samples.generate().asked["parameters"], "max_new_tokens": 9},
        ),
    ),
    (
        "LORAX-GEN-005",
        "eos at the budget",
        lambda: samples.asking(
            native_samples.generate(),
            parameters={**native_samples.generate().asked["parameters"], "max_new_tokens": 4},
        ),
    ),
    (
        "LORAX-GEN-005",
        "eos on a plain token",
        lambda: samples.edit(
            native_samples.generate(), lambda d: d["details"]["tokens"][-1].update(special=False)
        ),
    ),
    (
        "LORAX-GEN-005",
        "eos though ignored",
        lambda: samples.asking(
            native_samples.generate(),
            parameters={**native_samples.generate().asked["parameters"], "ignore_eos_token": True},
        ),
    ),
    (
        "LORAX-GEN-006",
        "another text",
        lambda: samples.edit(native_samples.generate(), lambda d: d.update(generated_text="Bye")),
    ),
    (
        "LORAX-GEN-006",
        "the EOS in the text",
        lambda: samples.edit(
            native_samples.generate(),
            lambda d: d.update(generated_text=d["generated_text"] + "<|im_end|>"),
        ),
    ),
    (
        "LORAX-GEN-007",
        "no stop string at the end",
        lambda: samples.asking(
            samples.edit(
                native_samples.generate(),
                lambda d: d["details"].update(finish_reason="stop_sequence"),
            ),
            parameters={**native_samples.generate().asked["parameters"], "stop": ["xyz"]},
        ),
    ),
    (
        "LORAX-GEN-007",
        "went on after one",
        lambda: samples.asking(
            native_samples.generate(),
            parameters={**native_samples.generate().asked["parameters"], "stop": ["Hello"]},
        ),
    ),
    (
        "LORAX-GEN-009",
        "above zero",
        lambda: samples.edit(
            native_samples.generate(), lambda d: d["details"]["tokens"][0].update(logprob=1.0)
        ),
    ),
    (
        "LORAX-GEN-009",
        "beyond what a float holds",
        lambda: samples.edit(
            native_samples.generate(),
            lambda d: d["details"]["tokens"][0].update(logprob=-(10**400)),
        ),
    ),
    (
        "LORAX-GEN-010",
        "an alternative beyond what a float holds",
        lambda: samples.edit(
            native_samples.generate(),
            lambda d: d["details"]["tokens"][0]["alternative_tokens"][1].update(logprob=-(10**400)),
        ),
    ),
    (
        "LORAX-GEN-010",
        "missing",
        lambda: samples.edit(
            native_samples.generate(),
            lambda d: d["details"]["tokens"][0].pop("alternative_tokens") and None,
        ),
    ),
    (
        "LORAX-GEN-010",
        "too many",
        lambda: samples.asking(
            native_samples.generate(),
            parameters={
                **native_samples.generate().asked["parameters"],
                "return_k_alternatives": 1,
            },
        ),
    ),
    (
        "LORAX-GEN-010",
        "not descending",
        lambda: samples.edit(
            native_samples.generate(),
            lambda d: d["details"]["tokens"][0]["alternative_tokens"].reverse(),
        ),
    ),
    (
        "LORAX-GEN-010",
        "mass above 1",
        lambda: samples.edit(
            native_samples.generate(),
            lambda d: d["details"]["tokens"][0]["alternative_tokens"][1].update(logprob=-0.26),
        ),
    ),
)


@each_case(CASES)
def test_one_broken_promise_is_found_under_its_law(
    law: str, what: str, broken: Callable[[], Exchange]
) -> None:
    """The law is named when, and only because, its promise is broken."""
    assert law in samples.found(broken(), strict=True), what


@pytest.mark.parametrize(
    "right", [native_samples.generate, lambda: samples.lorax("chat_stream_split_character")]
)
def test_a_right_answer_breaks_no_law(right: Callable[[], Exchange]) -> None:
    """No false alarm where every promise is kept."""
    assert samples.found(right(), strict=True) == set()


def _begins_inside_a_character(
    inputs: str, tokens: str, *, first: str = "Hi", last: str = " there"
) -> Exchange:
    """An answer whose first character took two tokens that are not in the texts."""

    def lose(reply: Any) -> None:
        reply["generated_text"] = "\U0001f338Hi there"
        texts = iter(["", first, last])
        for token in reply["details"]["tokens"]:
            if not token["special"]:
                token["text"] = next(texts, "")

    exchange = samples.edit(native_samples.generate(), lose)
    headers = tuple(
        (name, tokens if name == "x-prompt-tokens" else value)
        for name, value in exchange.headers
        if name not in ("content-length", "x-total-tokens")
    )
    return replace(samples.asking(exchange, inputs=inputs), headers=headers)


def test_a_beginning_may_be_lost_behind_a_short_prompt_alone() -> None:
    """And nothing behind the first text that is shown."""
    broken = "LORAX-GEN-006"
    assert broken not in samples.found(_begins_inside_a_character("\ufb01", "4"))
    assert broken in samples.found(_begins_inside_a_character("\ufb01", "5"))
    assert broken in samples.found(_begins_inside_a_character("\ufb01", "4", last=" then"))
    assert broken not in samples.found(_begins_inside_a_character("\ufb01", "4", first="", last=""))
    for unreadable in ("?", "9" * 5_000):
        unstated = [
            _begins_inside_a_character(text, unreadable) for text in ("one two", "a b c d e")
        ]
        assert [broken in samples.found(one) for one in unstated] == [False, True]


@pytest.mark.parametrize(
    ("parameters", "sampled"),
    [
        ({}, False),
        ({"temperature": 1.0}, False),
        ({"temperature": 0.5}, True),
        ({"do_sample": True}, True),
        ({"top_p": 1.0, "typical_p": 1.0}, False),
        ({"top_p": 0.9}, True),
        ({"top_k": 5}, True),
        ({"temperature": 0}, None),
    ],
)
def test_what_samples_is_what_lorax_samples(parameters: dict[str, Any], sampled: object) -> None:
    """A temperature of 1 counts as unset; 0 depends on the batch."""
    assert samples_(parameters) is sampled
