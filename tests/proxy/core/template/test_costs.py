"""Prices: never much less than what an operation makes, and nothing is made before it is paid."""

from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import Environment

from lorax_proxy.core.template.budget import BudgetExhausted, Limits, Meter
from lorax_proxy.core.template.chat_template import ChatTemplate, SpecialTokens, TemplateExhausted
from lorax_proxy.core.template.costs import (
    charge_binary,
    charge_compare,
    charge_filter,
    charge_format,
    charge_method,
)
from lorax_proxy.core.template.language import TemplateEnvironment

PLENTY = 10**9
TEXT = st.text(st.sampled_from("ab<&\t\n %é\u0390\U0001f600"), max_size=30)
WIDTH = st.integers(0, 500)


def meter() -> Meter:
    """A meter with so much in it that what was taken can be read off."""
    return Meter(Limits(steps=PLENTY, characters=PLENTY))


def taken(spent: Meter) -> int:
    """What was paid, in either coin."""
    return 2 * PLENTY - spent.steps - spent.characters


def filtered(name: str, value: Any, *args: Any) -> Any:
    """What Jinja's own filter makes."""
    if name == "tojson":
        return TemplateEnvironment().filters[name].__wrapped__(value, indent=args[0])
    return Environment(autoescape=False).call_filter(name, value, args)  # noqa: S701 - prompts are no HTML


@pytest.mark.property
@given(
    st.sampled_from(
        ["center", "indent", "upper", "title", "urlencode", "e", "forceescape", "trim", "string"]
    ),
    TEXT,
    WIDTH,
)
def test_a_text_filter_pays_for_its_result(name: str, text: str, width: int) -> None:
    """Within a factor of twelve, whatever the width and the characters."""
    args = [width] if name in {"center", "indent"} else []
    spent = meter()
    charge_filter(spent, name, [text, *args], {})
    assert len(str(filtered(name, text, *args))) <= 12 * taken(spent) + 16


@pytest.mark.property
@given(TEXT, TEXT, TEXT)
def test_replacing_pays_for_its_result(text: str, old: str, new: str) -> None:
    """By filter and by method, the empty pattern included."""
    by_filter, by_method = meter(), meter()
    charge_filter(by_filter, "replace", [text, old, new], {})
    charge_method(by_method, text, "replace", [old, new], {})
    made = len(text.replace(old, new))
    assert made <= taken(by_filter) + 1
    assert made <= taken(by_method) + 1


@pytest.mark.property
@given(TEXT, st.lists(TEXT, max_size=9))
def test_joining_pays_for_its_result(glue: str, texts: list[str]) -> None:
    """By filter and by method, and an iterator is joined as the list that it was."""
    by_filter, by_method = meter(), meter()
    charge_filter(by_filter, "join", [texts, glue], {})
    values: list[Any] = [iter(texts)]
    charge_method(by_method, glue, "join", values, {})
    assert values == [texts]
    assert len(glue.join(texts)) <= min(taken(by_filter), taken(by_method)) + 1


@pytest.mark.property
@given(st.recursive(TEXT, lambda i: st.lists(i) | st.dictionaries(TEXT, i), max_leaves=9), WIDTH)
def test_json_pays_for_its_layout(value: Any, indent: int) -> None:
    """Each member stands behind its indent times its depth."""
    spent = meter()
    charge_filter(spent, "tojson", [value], {"indent": indent})
    assert len(filtered("tojson", value, indent)) <= 12 * taken(spent) + 16


@pytest.mark.property
@given(TEXT, st.sampled_from(["center", "ljust", "rjust", "zfill", "expandtabs"]), WIDTH)
def test_padding_methods_pay_for_their_result(text: str, name: str, width: int) -> None:
    """Their argument is the length."""
    spent = meter()
    charge_method(spent, text, name, [width], {})
    assert len(getattr(text, name)(width)) <= taken(spent) + 1


@pytest.mark.property
@given(TEXT, st.integers(-3, 50), st.integers(0, 300), st.integers(0, 300))
def test_operators_pay_for_their_result(text: str, times: int, left: int, right: int) -> None:
    """Repetition by its count, powers and products by their digits."""
    for operands, made in (
        ((text, times), text * max(times, 0)),
        ((times, text), text * max(times, 0)),
    ):
        spent = meter()
        charge_binary(spent, "*", *operands)
        assert len(made) <= taken(spent)
    spent = meter()
    charge_binary(spent, "**", left, right)
    assert (left**right).bit_length() <= 64 * (taken(spent) + 1)


@pytest.mark.property
@given(st.integers(0, 300), st.integers(0, 300), TEXT)
def test_formatting_pays_for_its_widths(width: int, precision: int, text: str) -> None:
    """Widths in the format, in the arguments, and in their attributes."""
    cases: list[tuple[str, list[Any], str]] = [
        (f"%{width}s", [text], f"%{width}s" % text),
        ("%*.*f", [width, precision, 1.5], f"{1.5:{width}.{precision}f}"),
        (f"{{:{width}}}", [text], f"{{:{width}}}".format(text)),
        ("{:{}}", [text, width], "{:{}}".format(text, width)),
        ("{0}{0}{0}", [text], text * 3),
        ("{:{a[w]}}", [text, {"w": width}], f"{text:{width}}"),
    ]
    for template, values, made in cases:
        spent = meter()
        charge_format(spent, template, values)
        assert len(made) <= 2 * taken(spent) + 1


@pytest.mark.parametrize(
    ("operator", "left", "right"),
    [
        ("in", "z", "a" * 1_000_000),
        ("in", "z", ["a"] * 1_000_000),
        ("notin", "z", range(1_000_000)),
        ("eq", "a" * 1_000_000, "a" * 1_000_000),
        ("eq", [["a"] * 1_000] * 1_000, [["a"] * 1_000] * 1_000),
        ("in", (("a",) * 1_000,) * 1_000, {}),
    ],
)
def test_a_comparison_pays_for_what_it_walks(operator: str, left: Any, right: Any) -> None:
    """Long texts, lists, and the keys that must be hashed."""
    spent = meter()
    charge_compare(spent, operator, left, right)
    assert taken(spent) >= 900_000


@pytest.mark.parametrize(
    ("operator", "left", "right"),
    [("eq", "a" * 1_000_000, "a"), ("eq", "a" * 9, 1), ("eq", None, [1] * 9), ("lt", 1, 2)],
)
def test_a_comparison_that_ends_at_once_is_free(operator: str, left: Any, right: Any) -> None:
    """Templates compare roles all the time."""
    spent = meter()
    charge_compare(spent, operator, left, right)
    assert taken(spent) == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("length", "a" * 9_999),
        ("count", "a" * 9_999),
        ("first", ["a"] * 9_999),
        ("default", "a" * 9_999),
        ("last", [1] * 9),
    ],
)
def test_a_look_at_the_outside_costs_one_step(name: str, value: Any) -> None:
    """`messages | length` in a loop over the messages must stay linear."""
    spent = meter()
    charge_filter(spent, name, [value], {})
    assert taken(spent) == 1


def test_a_batch_that_fills_up_pays_for_the_filling() -> None:
    """`batch(10**9, 0)` makes a list of a billion."""
    with pytest.raises(BudgetExhausted):
        charge_filter(meter(), "batch", [[1], 10**10, 0], {})


@pytest.mark.parametrize("messages", [10, 100, 400])
def test_an_honest_template_is_never_refused_for_its_input(messages: int) -> None:
    """Searching all messages for each of them, and copying the prompt for each of them."""
    source = (
        "{% set ns = namespace(text='') %}{% for m in messages %}"
        "{% set last = messages | rejectattr('role', 'equalto', 'system') | list | length %}"
        "{% set ns.text = ns.text ~ m.content | trim ~ last ~ '\\n' %}{% endfor %}{{ ns.text }}"
    )
    template = ChatTemplate.compile(source, "honest", SpecialTokens())
    conversation = [{"role": "user", "content": "word " * 9}] * messages
    now = datetime(2026, 1, 2)  # noqa: DTZ001 - templates print local time
    prompt = template.render(conversation, now=now)
    assert prompt.count("\n") == len(conversation)


def test_the_same_template_is_refused_without_the_terms_for_it() -> None:
    """So the terms that grow with messages are what lets it pass."""
    source = "{% for m in messages %}{% set x = messages | map('string') | join %}{% endfor %}"
    limits = Limits(steps=100, steps_per_input=0, steps_per_pair=0, uncounted=0)
    template = ChatTemplate.compile(source, "x", SpecialTokens(), limits=limits)
    now = datetime(2026, 1, 2)  # noqa: DTZ001 - templates print local time
    with pytest.raises(TemplateExhausted):
        template.render([{"role": "user", "content": "x"}] * 50, now=now)
