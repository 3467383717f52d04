"""The dialect: what Hugging Face's has that plain Jinja has not, and what its sandbox keeps in."""

from datetime import datetime

import pytest

from lorax_proxy.core.template.chat_template import ChatTemplate, SpecialTokens, TemplateFailed

NOW = datetime(2026, 1, 2)  # noqa: DTZ001 - templates print local time


def rendered(source: str, *, counted: bool = False) -> str:
    """The prompt of a template for a greeting."""
    template = ChatTemplate.compile(source, "hostile", SpecialTokens())
    return template.render([{"role": "user", "content": "hi"}], now=NOW, counted=counted)


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ (messages | attr('__class__')).__mro__ }}",
        "{{ '{0.__class__.__mro__}'.format('') }}",
        "{{ '{a.__class__.__mro__}'.format_map({'a': 1}) }}",
        "{{ raise_exception.__globals__.x }}",
        "{{ namespace.__init__.__globals__.x }}",
        "{{ dict.__call__.__globals__.x }}",
        "{{ strftime_now.__globals__.x }}",
        "{{ self._TemplateReference__context.x }}",
        "{% macro f() %}{% endmacro %}{{ f._func.x }}",
        "{{ messages.append(1) }}",
        "{{ messages[0].update({'a': 1}) }}",
        "{% set ns = namespace(_x=1) %}",
        "{% set ns = namespace() %}{% set ns._x = 1 %}",
        "{{ namespace({'__init__': 1}) }}",
        "{% include 'x' %}",
        "{% import 'x' as x %}{{ x.y }}",
        "{{ [1].__class__ | string | replace('list', 'x') ~ nothing.at.all }}",
    ],
)
def test_the_sandbox_has_no_way_out(source: str) -> None:
    """Attributes that lead into Python, and changes to the conversation, are refused."""
    with pytest.raises(TemplateFailed, match="chat template hostile"):
        rendered(source)


@pytest.mark.parametrize("source", ["{{ lipsum() }}", "{{ [1, 2] | random }}"])
def test_chance_is_not_available(source: str) -> None:
    """Equal requests give equal prompts."""
    with pytest.raises(TemplateFailed, match="different prompt each time"):
        rendered(source)


@pytest.mark.parametrize(
    ("source", "prompt"),
    [
        ("{{ {'b': '<é>', 'a': [1]} | tojson }}", '{"b": "<é>", "a": [1]}'),
        ("{{ {'b': 1, 'a': 2} | tojson(sort_keys=True) }}", '{"a": 2, "b": 1}'),
        ("{{ [1, 2] | tojson(separators=(',', ':'), indent=1) }}", "[\n 1,\n 2\n]"),
        ("{{ 'é' | tojson(ensure_ascii=True) }}", '"\\u00e9"'),
        ("{{ strftime_now('%d %b %Y') }}", "02 Jan 2026"),
        ("{% generation %}x{% endgeneration %}", "x"),
        (
            "{% for i in [1, 2, 3] %}{% if i == 2 %}{% continue %}{% endif %}{{ i }}{% endfor %}",
            "13",
        ),
        ("{% for i in [1, 2, 3] %}{% if i == 2 %}{% break %}{% endif %}{{ i }}{% endfor %}", "1"),
        ("  {% if true %}\na\n  {% endif %}\nb", "a\nb"),
        ("{% set ns = namespace(self=1) %}{{ ns.self }}{{ ns }}", "1<Namespace {'self': 1}>"),
        ("{{ dict(a=1) }}{{ dict.fromkeys('ab', 0) }}", "{'a': 1}{'a': 0, 'b': 0}"),
        ("{{ messages[::-1][0].role }}{{ 'abc'[1:] }}{{ 'abc'[:-1:2] }}", "userbca"),
        ("{{ 'a'['a':'a'] }}{{ 'abc'[1:2] }}", "b"),
        ("{{ 1 < 2 < 3 }}{{ 'a' in 'ab' }}{{ 2 not in [1] }}", "TrueTrueTrue"),
        ("{% autoescape true %}{{ '<' ~ messages[0].role }}{% endautoescape %}", "&lt;user"),
        ("{% autoescape true %}{{ '<' ~ '>' | safe }}{% endautoescape %}", "&lt;&gt;"),
        (
            "{% autoescape true %}{{ ('<' | safe) ~ messages[0].role }}{% endautoescape %}",
            "<user",
        ),
    ],
)
def test_the_dialect_is_hugging_faces(source: str, prompt: str) -> None:
    """The parts in which it is not plain Jinja, and those that are rewritten to be counted."""
    assert rendered(source) == rendered(source, counted=True) == prompt
