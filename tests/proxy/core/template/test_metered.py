"""What honest templates do with a hostile conversation ends: with a prompt, or as exhausted."""

from datetime import datetime
from typing import Any

import pytest

from lorax_proxy.core.template.budget import Limits
from lorax_proxy.core.template.chat_template import ChatTemplate, SpecialTokens, TemplateExhausted

NOW = datetime(2026, 1, 2)  # noqa: DTZ001 - templates print local time

EACH = "{% set ns = namespace(x='', n=0) %}{% for m in messages %}BODY{% endfor %}"

QUADRATIC = {
    "a loop in a loop": "{% for o in messages %}{% endfor %}",
    "a filtered loop in a loop": "{% for o in messages if o.role == 'tool' %}{% endfor %}",
    "the prompt collected by ~": "{% set ns.x = ns.x ~ m.content %}",
    "the prompt collected by +": "{% set ns.x = ns.x + m.content %}",
    "the prompt collected by %": "{% set ns.x = '%s%s' % (ns.x, m.content) %}",
    "the prompt collected by format": "{% set ns.x = '{}{}'.format(ns.x, m.content) %}",
    "a selection": "{% set n = messages | selectattr('role', 'equalto', 'tool') | list %}",
    "a selection without a list": "{% set n = messages | rejectattr('role', 'equalto', 'user') | first %}",
    "a mapping": "{% set n = messages | map(attribute='role') | join %}",
    "a slice of the messages": "{% set n = messages[loop.index0:] %}",
    "the messages reversed": "{% set n = messages[::-1] %}",
    "a search in the messages": "{% set n = {} in messages %}",
    "a search that finds nothing": "{% set n = {} not in messages %}",
    "a search by test": "{% if {} is in messages %}{% endif %}",
    "a search in a collected text": "{% set ns.x = ns.x ~ m.content %}{% set n = 'zz' in ns.x %}",
    "a method of a collected text": "{% set ns.x = ns.x ~ m.content %}{% set n = ns.x.strip() %}",
    "the messages as JSON": "{% set n = messages | tojson %}",
    "their members": "{% for k, v in messages[0].items() %}{% for o in messages %}{% endfor %}{% endfor %}",
    "a macro that loops": "{{ all() }}",
}
"""What a template may do once a message that takes the longer the more messages there are."""


def template(body: str, limits: Limits | None = None) -> ChatTemplate:
    """A template that does this for each message."""
    macro = "{% macro all() %}{% for o in messages %}{% endfor %}{% endmacro %}"
    return ChatTemplate.compile(
        macro + EACH.replace("BODY", body), "honest", SpecialTokens(), limits=limits
    )


def said(count: int) -> list[dict[str, Any]]:
    """So many messages of one character."""
    return [{"role": "user", "content": "x"}] * count


@pytest.mark.parametrize("name", QUADRATIC)
def test_what_is_done_with_all_messages_for_each_is_counted(name: str) -> None:
    """Where the terms for pairs of messages are left out, four hundred are too many."""
    limits = Limits(
        steps=4_000, steps_per_pair=0, characters=20_000, characters_per_input=1, messages=0
    )
    with pytest.raises(TemplateExhausted, match="chat template honest, line 1: it "):
        template(QUADRATIC[name], limits).render(said(400), now=NOW)


@pytest.mark.parametrize("name", QUADRATIC)
def test_it_is_allowed_for_some_hundred_messages(name: str) -> None:
    """With the ordinary limits; a conversation has as many."""
    assert template(QUADRATIC[name]).render(said(400), now=NOW) == ""


@pytest.mark.slow
@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", ["a loop in a loop", "a selection", "a search in the messages"])
def test_forty_thousand_messages_end(name: str) -> None:
    """They would take minutes or an hour, in a thread that nobody can stop."""
    with pytest.raises(TemplateExhausted, match="more steps than its input's size allows"):
        template(QUADRATIC[name]).render(said(40_000), now=NOW)


def test_a_linear_template_takes_forty_thousand_messages() -> None:
    """Most take one message after the other."""
    prompt = template(
        "{{ m.content | trim }}{% if 'x' in m.content %}{{ '\n' }}{% endif %}"
    ).render(said(40_000), now=NOW)
    assert prompt == "x\n" * 40_000


@pytest.mark.parametrize("kwargs", [{"n": 10**6}, {"n": "y" * 20_000}, {"n": [{}] * 500}])
def test_kwargs_are_part_of_the_input(kwargs: dict[str, Any]) -> None:
    """And are printed as they are, counted or not."""
    prompt = template("{{ n }}").render(said(1), kwargs=kwargs, now=NOW)
    assert prompt == str(kwargs["n"])
