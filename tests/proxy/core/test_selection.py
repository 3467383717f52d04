"""`lorax_proxy.core.selection`: which answers a client gets, what they begin with, what they count."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from lorax_proxy.core.plan import Plan
from lorax_proxy.core.selection import Whole, count_generated, count_prompts, select, unasked
from lorax_proxy.core.stream import Finished, Reading, Text
from lorax_proxy.wire.lorax import PrefillToken

PLAN = Plan(
    prompts=("one", "two"), requests=(), tries=1, choices=1, reading=Reading(), token_stream=False
)


def answer(text: str, likely: float = 0.0, *, told: int | None = 3, count: int = 2) -> Whole:
    """A whole answer."""
    end = Finished("stop", count, told)
    return Whole([Text(text), end], [("x-total-time", text)], mean_logprob=likely)


def texts(answers: list[Whole]) -> list[str]:
    """What each says."""
    return ["".join(p.text for p in each.pieces if isinstance(p, Text)) for each in answers]


def test_the_likeliest_of_each_prompts_answers_are_returned() -> None:
    """In the order of their likelihood, the first of equals first; another prompt's never."""
    plan = replace(PLAN, tries=3, choices=2)
    every = [
        *(answer("a", -2.0), answer("b", -1.0), answer("c", -1.0)),
        *(answer("d", -0.1), answer("e", -0.3), answer("f", -0.2)),
    ]
    assert texts(select(plan, every, None)) == ["b", "c", "d", "f"]


def test_choices_that_are_all_returned_keep_their_order() -> None:
    """However likely they are: choice 0 has the seed that was asked for."""
    plan = replace(PLAN, tries=2, choices=2)
    every = [answer("a", -2.0), answer("b", -1.0), answer("c", -2.0), answer("d", -1.0)]
    assert texts(select(plan, every, None)) == ["a", "b", "c", "d"]


def test_an_echo_stands_before_each_answer_of_its_prompt() -> None:
    """The headers are those of the answer behind it."""
    plan = replace(PLAN, echo=True, tries=2, choices=2)
    selected = select(plan, [answer("a"), answer("b"), answer("c"), answer("d")], None)
    assert texts(selected) == ["onea", "oneb", "twoc", "twod"]
    assert [dict(each.headers)["x-total-time"] for each in selected] == ["a", "b", "c", "d"]


def test_a_scored_echo_has_the_prompts_tokens() -> None:
    """Only when they were asked for; the BOS is not the client's."""
    prefill = [PrefillToken("<s>", None), PrefillToken("one", -0.5)]
    plan = replace(PLAN, prompts=("one",), echo=True)
    scored = replace(answer("a"), prefill=prefill)
    for score, expected in ((True, [("one", None)]), (False, [])):
        (selected,) = select(replace(plan, score=score), [scored], "<s>")
        first = selected.pieces[0]
        assert isinstance(first, Text)
        assert [(token.text, token.logprob) for token in first.logprobs] == expected


def test_a_token_that_was_asked_for_the_prompts_sake_is_thrown_away() -> None:
    """The answer is empty, ends as its budget of zero says, and counts nothing."""
    plan = replace(PLAN, discard=True, score=True, echo=False)
    every = [answer("a"), answer("b")]
    for selected in select(plan, every, None):
        assert selected.pieces == [Finished("length", 0, 3)]
    assert count_generated(plan, [each.end for each in every]) == 0


def test_a_zero_budget_has_an_empty_answer_for_each_choice() -> None:
    """As many as are returned, and none of them counts."""
    answers = unasked(replace(PLAN, choices=3, tries=5))
    assert [each.end for each in answers] == [Finished("length", 0, None)] * 6


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ([3, 3, 4, 4], [3, 4]),
        ([None, 3, 4, None], [3, 4]),
        ([None, None, 4, 4], [None, 4]),
        ([0, 0, 0, 4], [None, 4]),
    ],
)
def test_a_prompt_counts_as_any_of_its_answers_told(
    told: list[int | None], expected: list[int | None]
) -> None:
    """Zero is what LoRAX says that did not count."""
    ends = [Finished("stop", 1, each) for each in told]
    assert count_prompts(PLAN, ends) == expected


@pytest.mark.property
@given(st.integers(1, 4), st.integers(1, 4), st.lists(st.floats(-5, 0), min_size=16, max_size=16))
def test_as_many_are_returned_as_were_asked_for(
    choices: int, more: int, likely: list[float]
) -> None:
    """And none that was left is likelier than one that was taken."""
    tries = choices + more - 1
    plan = replace(PLAN, tries=tries, choices=choices)
    every = [answer(str(i), likely[i]) for i in range(2 * tries)]
    selected = texts(select(plan, every, None))
    assert len(selected) == 2 * choices
    for prompt in range(2):
        mine = {str(i) for i in range(prompt * tries, (prompt + 1) * tries)}
        taken = set(selected[prompt * choices : (prompt + 1) * choices])
        assert taken <= mine
        least = min(likely[int(each)] for each in taken)
        assert all(likely[int(each)] <= least for each in mine - taken)
    assert count_generated(plan, [each.end for each in every]) == 2 * len(every)
