"""Laws that take two replies: found when they disagree, silent when there is nothing to compare."""

from collections.abc import Callable

import pytest

from lorax_contracts import relations
from lorax_contracts.exchange import Exchange, Finding
from tests.contracts import samples


def laws(findings: list[Finding]) -> list[str]:
    """Their ids."""
    return [one.law for one in findings]


def said(text: str, finish: str = "stop") -> Exchange:
    """A chat reply that says this."""

    def change(document: object) -> None:
        choice = document["choices"][0]  # type: ignore[index]  # it is a decoded reply
        choice["message"]["content"] = text
        choice["finish_reason"] = finish

    return samples.edit(samples.golden("chat_plain"), change)


def test_two_completions_have_two_ids() -> None:
    """One id for both joins unrelated answers."""
    first = samples.golden("chat_plain")
    other = samples.edit(first, lambda d: d.update(id="chatcmpl-1"))
    assert laws(relations.two_ids(first, first)) == ["OAI-CHAT-011"]
    assert relations.two_ids(first, other) == []
    assert laws(relations.two_ids(samples.golden("chat_stream"), first)) == ["OAI-CHAT-011"]


def test_text_that_goes_on_under_a_larger_budget_was_cut() -> None:
    """Stop would call half an answer whole; an answer that is whole may be stop at the budget."""
    assert laws(relations.cut_by_budget(said("One"), said("One two"))) == ["OAI-FINISH-001"]
    assert relations.cut_by_budget(said("One", "length"), said("One two")) == []
    assert relations.cut_by_budget(said("One"), said("One")) == []
    assert relations.cut_by_budget(said("One"), said("Six")) == []


def test_a_stop_string_ends_the_text_before_its_first_occurrence() -> None:
    """Neither sooner nor later, and with stop."""
    whole = said("a-b-c")
    assert relations.cut_by_stop(said("a"), whole, "-") == []
    assert laws(relations.cut_by_stop(said("a-b"), whole, "c")) == ["OAI-STOP-002"]
    assert laws(relations.cut_by_stop(said("a", "length"), whole, "-")) == ["OAI-FINISH-004"]
    assert relations.cut_by_stop(said("anything"), whole, "zebra") == []
    # A server that keeps the stop string ended with it; one that ran on past it did not.
    assert laws(relations.cut_by_stop(said("a-", "content_filter"), whole, "-")) == [
        "OAI-FINISH-004"
    ]
    assert relations.cut_by_stop(said("a-b-c", "length"), whole, "-") == []


@pytest.mark.parametrize(
    ("change", "law"),
    [
        (lambda e: e[1]["choices"][0]["delta"].update(content="Bye"), "OAI-STREAM-025"),
        (lambda e: e[-2]["choices"][0].update(finish_reason="length"), "OAI-STREAM-025"),
        (lambda e: e[-1]["usage"].update(prompt_tokens=1, total_tokens=5), "OAI-STREAM-026"),
    ],
    ids=["text", "finish reason", "usage"],
)
def test_a_stream_says_what_the_plain_reply_says(
    change: Callable[[list[dict[str, object]]], None], law: str
) -> None:
    """Text, finish reason and usage."""
    plain, stream = samples.golden("chat_plain"), samples.golden("chat_stream_usage")
    assert relations.same_streamed(plain, stream) == []
    assert laws(relations.same_streamed(plain, samples.edit_events(stream, change))) == [law]


def test_streamed_tool_calls_are_the_plain_ones() -> None:
    """Joined fragments are the arguments."""
    plain, stream = samples.tool_chat(), samples.tool_stream()
    assert relations.same_streamed(plain, stream) == []
    other = samples.edit_events(
        stream,
        lambda e: e[3]["choices"][0]["delta"]["tool_calls"][0]["function"].update(arguments="1}"),
    )
    assert laws(relations.same_streamed(plain, other)) == ["OAI-STREAM-025"]


def test_prompt_counts_grow_with_the_prompt_and_not_with_n() -> None:
    """A constant is found, and a multiple."""
    one = samples.golden("chat_plain")
    more = samples.edit(one, lambda d: d["usage"].update(prompt_tokens=40))
    assert relations.same_prompt_counts(one, more, longer=True) == []
    assert laws(relations.same_prompt_counts(one, one, longer=True)) == ["OAI-USAGE-004"]
    assert laws(relations.same_prompt_counts(one, more, longer=False)) == ["OAI-USAGE-004"]
    assert relations.same_prompt_counts(one, one, longer=False) == []


def test_what_is_no_answer_is_not_compared() -> None:
    """A refusal, a broken body, a reply without choices: the single judge's business."""
    refused, models = samples.golden("refused_range"), samples.models()
    broken = samples.replace_body(samples.golden("chat_plain"), b"<html>")
    for odd in (refused, models, broken):
        assert relations.answer_of(odd) is None
        assert relations.prompt_tokens(odd) is None
        assert not relations.repeats(odd, odd)
        assert relations.same_streamed(odd, samples.golden("chat_stream")) == []
        assert relations.cut_by_budget(odd, odd) == []
        assert relations.cut_by_stop(odd, odd, "a") == []
        assert relations.native_text(odd) is None


def test_a_native_stream_gives_what_the_plain_reply_gives() -> None:
    """Text and tokens."""
    plain, stream = samples.lorax("chat_plain"), samples.lorax("chat_stream")
    assert relations.same_native(plain, stream) == []
    other = samples.edit(plain, lambda d: d["details"]["tokens"][0].update(id=1))
    assert laws(relations.same_native(plain, other)) == ["LORAX-GEN-012"]
    assert laws(relations.same_native(plain, samples.lorax("chat_stream_length"))) == [
        "LORAX-GEN-012"
    ]
