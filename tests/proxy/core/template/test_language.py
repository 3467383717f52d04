"""The dialect under attack: what a hostile template tries, and what ends it.

Every attack is rendered with small limits, so that what is not priced shows as a test that hangs
or eats the machine's memory instead of one that fails a second later. That each is refused also
with the ordinary limits, in seconds, is the same code with other numbers.
"""

from datetime import datetime

import pytest

from lorax_proxy.core.template.budget import Limits
from lorax_proxy.core.template.chat_template import (
    ChatTemplate,
    SpecialTokens,
    TemplateExhausted,
    TemplateFailed,
    TemplateInvalid,
)

NOW = datetime(2026, 1, 2)  # noqa: DTZ001 - templates print local time
SMALL = Limits(steps=20_000, characters=1_000_000, output=100_000, uncounted=0)
COUNTED = Limits(uncounted=0)


def rendered(source: str, limits: Limits = SMALL) -> str:
    """The prompt of a template for a greeting."""
    template = ChatTemplate.compile(source, "hostile", SpecialTokens(), limits=limits)
    return template.render([{"role": "user", "content": "hi"}], now=NOW)


def loops(body: str = "") -> str:
    """Ten billion turns."""
    return (
        "{% set big = 'ab ' * 9999 %}{% for i in range(100000) %}{% for j in range(100000) %}"
        f"{body}{{% endfor %}}{{% endfor %}}"
    )


def doubling(expression: str, start: str = "'ab'") -> str:
    """Something twice as large each time, sixty times."""
    return (
        f"{{% set ns = namespace(x={start}) %}}{{% for i in range(60) %}}"
        f"{{% set ns.x = {expression} %}}{{% endfor %}}"
    )


def shared(use: str) -> str:
    """Lists, tuples and dictionaries that hold one another twice, sixty levels deep."""
    grow = (
        "{% for i in range(60) %}{% set ns.l = [ns.l, ns.l] %}{% set ns.t = (ns.t, ns.t) %}"
        "{% set ns.d = {'a': ns.d, 'b': ns.d} %}{% endfor %}"
    )
    start = "{% set ns = namespace(l=['ab'], t='ab', d='ab') %}"
    return f"{start}{grow}{{% set a = ns.l %}}{start}{grow}{use}"


def nested(start: str, expression: str, use: str, times: int = 100_000) -> str:
    """Something inside itself, a hundred thousand levels deep."""
    return (
        f"{{% set ns = namespace(x={start}) %}}{{% for i in range({times}) %}}"
        f"{{% set ns.x = {expression} %}}{{% endfor %}}{use}"
    )


LOOPS = {
    "empty": loops(),
    "printing": loops("x" * 100),
    "filtered": "{% for i in range(100000) %}{% for j in range(100000) if j < 0 %}{% endfor %}{% endfor %}",
    "filtered again and again": "{% set r = range(100000) %}{% for i in r %}"
    "{% for j in r if j < 0 %}{% endfor %}{% endfor %}",
    "recursive": "{% for i in [1, 2] recursive %}{% if loop.depth < 40 %}{{ loop([1, 2]) }}{% endif %}{% endfor %}",
    "macros": "{% macro f(n) %}{% if n < 60 %}{{ f(n + 1) }}{{ f(n + 1) }}{% endif %}{% endmacro %}{{ f(1) }}",
    "callers": "{% macro d() %}{{ caller() }}{{ caller() }}{% endmacro %}"
    + "{% call d() %}" * 15
    + "ab"
    + "{% endcall %}" * 15,
    "search in text": loops("{{ 'zz' in big }}"),
    "search by method": loops("{% set x = big.find('zz') %}"),
    "equality of long texts": "{% set c = 'ab' * 9999 ~ 'x' %}{% set d = 'ab' * 9999 ~ 'y' %}"
    + loops("{{ c == d }}"),
    "slices": loops("{% set x = big[1:] %}"),
    "a hundred slices": "{% set big = 'ab ' * 9999 %}"
     "{% for i in range(100) %}{% set x = big[1:] %}{% endfor %}",
    "strips": loops("{% set x = big.strip() %}"),
    "tests": loops("{% set x = big is upper %}"),
    "listing": loops("{% set x = big | list %}"),
    "ranges as lists": loops("{% set x = range(100000) | list %}"),
    "sums of ranges": loops("{% set x = range(100000) | sum %}"),
    "search in ranges": loops("{% set x = 'a' in range(100000) %}"),
    "sorting": loops("{% set x = range(100000) | sort %}"),
    "dictionaries of ranges": loops("{% set x = dict.fromkeys(range(100000)) %}"),
    "arguments": loops("{% set x = cycler(*range(100000)) %}"),
    "lazy filters": loops("{% set x = range(100000) | map('string') | list %}"),
    "loop length": loops("{% for x in range(100000) | map('abs') %}{{ loop.length }}{% break %}{% endfor %}"),
    "dates": loops("{{ strftime_now('%c') }}"),
    "literal text": "{% for i in range(100000) %}" + "y" * 10_000 + "{% endfor %}",
    "literal text in a macro": "{% macro f() %}"
    + "y" * 10_000
    + "{% endmacro %}{% for i in range(100000) %}{% set x = f() %}{% endfor %}",
    "two hundred literal texts": "{% macro f() %}"
    + "y" * 10_000
    + "{% endmacro %}{% for i in range(200) %}{% set x = f() %}{% endfor %}",
    "literal lists": "{% for i in range(100000) %}{% set x = [" + "1," * 5_000 + "] %}{% endfor %}",
}  # fmt: skip

GROWTH = {
    "~": doubling("ns.x ~ ns.x"),
    "+": doubling("ns.x + ns.x"),
    "*": doubling("ns.x * 2"),
    "%": doubling("'%s%s' % (ns.x, ns.x)"),
    "format": doubling("'{0}{0}'.format(ns.x)"),
    "format_map": doubling("'{a}{a}'.format_map({'a': ns.x})"),
    "format filter": doubling("'%s%s' | format(ns.x, ns.x)"),
    "replace": doubling("ns.x.replace('a', ns.x)"),
    "replace filter": doubling("ns.x | replace('a', ns.x)"),
    "join": doubling("ns.x.join('abc')"),
    "join filter": doubling("[ns.x, ns.x] | join"),
    "join of an iterator": doubling("['a', 'b'] | map('replace', 'a', ns.x) | map('replace', 'b', ns.x) | join"),
    "macro": "{% macro d(x) %}{{ x }}{{ x }}{% endmacro %}" + doubling("d(ns.x)"),
    "block": "{% set ns = namespace(x='ab') %}{% for i in range(60) %}{% set x %}{{ ns.x }}{{ ns.x }}{% endset %}{% set ns.x = x %}{% endfor %}",
    "filter block": "{% filter replace('a', 'aaaa') %}" * 15 + "a" + "{% endfilter %}" * 15,
    "lists": doubling("ns.x + ns.x", "['ab']"),
    "lists by number": doubling("ns.x * 2", "['ab']"),
    "sum of lists": doubling("[ns.x, ns.x] | sum(start=[])", "['ab']"),
    "translate": doubling("ns.x.translate({97: ns.x})"),
    "products": doubling("ns.x * ns.x", "3"),
    "powers": doubling("ns.x ** ns.x", "3"),
    "json of json": doubling("ns.x | tojson | tojson", "'\\\\'"),
    "escapes": doubling("ns.x | tojson(indent=2)", "'\\\\'").replace("range(60)", "range(90000)"),
    "bytes": doubling("ns.x + ns.x", "'ab'.encode()"),
}  # fmt: skip

SHARED = {
    name: shared(use)
    for name, use in {
        "printed": "{{ ns.l }}",
        "tuples printed": "{{ ns.t }}",
        "dictionaries printed": "{{ ns.d }}",
        "views printed": "{{ ns.d.items() }}{{ ns.d.values() }}",
        "namespaces printed": "{{ ns }}",
        "joined to text": "{{ ns.l ~ '' }}",
        "formatted": "{{ '%s' % [ns.l] }}",
        "formatted by repr": "{{ '%r' | format(ns.l) }}",
        "formatted by braces": "{{ '{x!r}'.format(x=ns.l) }}",
        "as json": "{{ ns.l | tojson }}",
        "pretty": "{{ ns.l | pprint }}",
        "as string": "{{ ns.l | string | length }}",
        "joined": "{{ ns.l | join }}",
        "trimmed": "{{ ns.l | trim }}",
        "replaced": "{{ ns.l | replace('a', 'b') }}",
        "escaped": "{{ ns.l | e | length }}",
        "as attributes": "{{ {'a': ns.l} | xmlattr }}",
        "tested": "{{ ns.l is upper }}",
        "raised": "{{ raise_exception(ns.l) }}",
        "as a key": "{{ {ns.t: 1} }}",
        "looked up": "{{ {1: 2}[ns.t] }}",
        "looked up by name": "{% set t = ns.t %}{{ {1: 2}[t] }}",
        "searched": "{{ ns.t in {1: 2} }}",
        "got": "{{ {1: 2}.get(ns.t) }}",
        "unique": "{{ [ns.t] | unique | list }}",
        "made a dictionary": "{{ dict([(ns.t, 1)]) }}",
        "made keys": "{{ dict.fromkeys([ns.t]) }}",
        "grouped": "{{ [{'a': ns.t}, {'a': ns.t}] | groupby('a') | list }}",
        "equal": "{{ a == ns.l }}",
        "equal by test": "{{ a is eq ns.l }}",
        "equal in a chain": "{{ a == ns.l == 1 }}",
        "in a list": "{{ a in [ns.l] }}",
        "selected": "{{ [a] | select('eq', ns.l) | list }}",
        "sorted": "{{ [a, ns.l] | sort | length }}",
        "indexed": "{{ [a].index(ns.l) }}",
        "counted": "{{ [a].count(ns.l) }}",
        "changed": "{% for q in [a, ns.l] %}{{ loop.changed(q) }}{% endfor %}",
    }.items()
}

NUMBERS = {
    "center": "{{ 'a' | center(10**9) }}",
    "center by name": "{{ 'a' | center(width=10**9) }}",
    "center by method": "{{ 'a'.center(10**9) }}",
    "center mapped": "{{ ['a'] | map('center', 10**9) | list }}",
    "zfill": "{{ 'a'.zfill(10**9) }}",
    "expandtabs": "{{ '\\t'.expandtabs(10**9) }}",
    "indent": "{{ 'a\\nb' | indent(10**9) }}",
    "json indent": "{{ [1] | tojson(indent=10**9) }}",
    "json separators": "{% set b = 'x' * 9999 %}{{ ([1] * 1000) | tojson(separators=(b, b)) }}",
    "batch": "{{ [1] | batch(10**9, 0) | list }}",
    "slice": "{{ [1] | slice(10**9) | list }}",
    "round": "{{ 1.5 | round(10**9, 'ceil') }}",
    "to_bytes": "{{ (1).to_bytes(10**9, 'big') }}",
    "power": "{{ (9 ** 99999999) | string | length }}",
    "repetition": "{{ 'a' * 10**10 }}",
    "repetition reversed": "{{ 10**10 * 'a' }}",
    "repeated list": "{{ [0] * 10**10 }}",
    "%d": "{{ '%999999999d' % 3 }}",
    "%*d": "{{ '%*d' % (10**9, 3) }}",
    "%.f": "{{ '%.999999999f' % 3 }}",
    "braces": "{{ '{:999999999}'.format(3) }}",
    "nested braces": "{{ '{:{}}'.format(3, 10**9) }}",
    "nested braces, looked up": "{{ '{:{a[b]}}'.format(3, a={'b': 10**9}) }}",
    "braces of marked-up text": "{{ ('{:999999999}' | safe).format(3) }}",
    "braces by attribute": "{{ ('{:999999999}' | attr('format'))(3) }}",
    "format filter": "{{ '%999999999d' | format(3) }}",
    "format mapped": "{{ ['%999999999d'] | map('format', 3) | list }}",
    "dates": "{{ strftime_now('%c' * 10**6) }}",
    "wrapping": "{{ ('ab' * 99999) | wordwrap(1) }}",
    "tags": "{{ ('<!-- ' * 99999) | striptags }}",
    "deep reading": "{{ " + "(" * 50_000 + "1" + ")" * 50_000 + " }}",
    "deep blocks": "{% if 1 %}" * 5_000 + "{% endif %}" * 5_000,
    "long sums": "{{ 1" + "+1" * 5_000 + " }}",
    "deep filters": nested("[1]", "ns.x | map('string')", "{{ ns.x | list }}"),
    "deep selections": nested("[1]", "ns.x | select", "{{ ns.x | first }}"),
    "a namespace in itself": "{% set ns = namespace() %}{% set ns.a = ns %}{{ ns }}",
    "a namespace in itself, as json": "{% set ns = namespace() %}{% set ns.a = [ns] %}{{ ns.a | tojson }}",
    "endless macro": "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    "endless block": "{% block a %}{{ self.a() }}{% endblock %}",
    "retained texts": nested("[]", "ns.x + ['a' * 99999 ~ i]", ""),
}  # fmt: skip

ATTACKS = {
    f"{kind}: {name}": source
    for kind, table in (("loop", LOOPS), ("growth", GROWTH), ("shared", SHARED), ("size", NUMBERS))
    for name, source in table.items()
}


@pytest.mark.parametrize("name", ATTACKS)
@pytest.mark.timeout(20)
def test_a_runaway_template_is_stopped(name: str) -> None:
    """With an error of ours that names the template."""
    with pytest.raises((TemplateFailed, TemplateInvalid), match="chat template hostile"):
        rendered(ATTACKS[name])


@pytest.mark.slow
@pytest.mark.parametrize("use", ["{{ ns.x }}", "{{ ns.x | tojson }}"])
def test_data_that_is_too_deep_for_python_is_stopped(use: str) -> None:
    """3.11 follows a thousand levels and 3.13 ten thousand; the ordinary limits let more be made."""
    with pytest.raises(TemplateFailed, match="line 1: it recurses too deeply"):
        rendered(nested("[]", "[ns.x]", use, 20_000), COUNTED)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "loop: empty",
        "size: deep filters",
        "loop: macros",
        "growth: ~",
        "shared: as json",
        "size: repetition",
    ],
)
def test_the_ordinary_limits_stop_it_too(name: str) -> None:
    """In seconds at the worst, and because the budget is spent."""
    with pytest.raises(TemplateExhausted):
        rendered(ATTACKS[name], COUNTED)


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
        ("{{ 1 < 2 < 3 }}{{ 'a' in 'ab' }}{{ 2 not in [1] }}", "TrueTrueTrue"),
        ("{% autoescape true %}{{ '<' ~ messages[0].role }}{% endautoescape %}", "&lt;user"),
        (
            "{% autoescape true %}{{ ('<' | safe) ~ messages[0].role }}{% endautoescape %}",
            "<user",
        ),
    ],
)
def test_the_dialect_is_hugging_faces(source: str, prompt: str) -> None:
    """The parts in which it is not plain Jinja, and those that are rewritten to be paid for."""
    assert rendered(source) == prompt
