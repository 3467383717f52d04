"""Templates that use, between them, every construct that published chat templates use.

Each is small and says in its name what it is about; the judge renders all of them with both
renderers. They are ours: the constructs are published, the templates are not.
"""

__all__ = ["CONSTRUCTS", "REFUSING"]

CONSTRUCTS: dict[str, str] = {
    "whitespace, trimmed blocks": """
{% for message in messages %}
    {% if message['role'] == 'user' %}
U:{{ message['content'] }}
    {% else %}
  O: {{- message['content'] -}}
    {% endif %}

{% endfor %}
{%- if add_generation_prompt -%}  A:  {%- endif %}
tail
""",
    "whitespace, plus and minus signs": """
  {%+ if true %}kept{%+ endif %}
  {%- for m in messages +%}
  [{{ m.role }}]
  {%- endfor -%}
  {#- a comment -#}
  {# another #}
  end
""",
    "raw": "{% raw %}{{ messages }}{% endraw %}{{ messages | length }}",
    "line endings": "a\r\nb{{ '\r\n' }}c\rd{% if true %}\r\ne{% endif %}\n",
    "loop variables": """{% for m in messages %}
{{ loop.index }}/{{ loop.index0 }}/{{ loop.revindex }}/{{ loop.revindex0 }}/{{ loop.length }}
{{- loop.first }}{{ loop.last }}{{ loop.depth }}{{ loop.cycle('odd', 'even') }}
{{- loop.previtem.role if loop.previtem is defined }}|{{ loop.nextitem.role if not loop.last }}
{{- loop.changed(m.role) }}
{% else %}none{% endfor %}""",
    "loop filter": "{% for m in messages if m.role != 'system' %}{{ loop.index }}{{ m.role }}{% else %}-{% endfor %}",
    "break and continue": """{% for m in messages -%}
{% if m.role == 'tool' %}{% continue %}{% endif %}{% if loop.index > 3 %}{% break %}{% endif %}
{{ m.role }};
{%- endfor %}""",
    "recursive loop": """{% for item in [[1, [2, 3]], 4] recursive %}
{%- if item is iterable %}({{ loop(item) }}){% else %}{{ item }}@{{ loop.depth }}{% endif %}
{%- endfor %}""",
    "namespace": """{% set ns = namespace(seen=false, last=-1, text='') %}
{%- for m in messages %}
{%- if m.role == 'user' %}{% set ns.seen = true %}{% set ns.last = loop.index0 %}{% endif %}
{%- set ns.text = ns.text ~ m.role[0] %}
{%- endfor %}{{ ns.seen }} {{ ns.last }} {{ ns.text }} {{ ns.nothing }}""",
    "namespace from a dict": "{% set ns = namespace({'a': 1}, b=2) %}{% set ns.a = 5 %}{{ ns.a }}{{ ns.b }}{{ ns }}",
    "block set": """{% set greeting %}
Hello {{ messages[0].role }}
{% endset %}{{ greeting | trim | upper }}{% set shout | upper %}quiet{% endset %}{{ shout }}""",
    "scopes": """{% set x = 1 %}{% for m in messages %}{% set x = loop.index + 1 %}{{ x }}{% endfor %}{{ x }}
{% with y = x + 1 %}{{ y }}{% endwith %}{{ y }}{% if true %}{% set x = 9 %}{% endif %}{{ x }}""",
    "macros": """{% macro turn(m, open='<', close='>') -%}
{{ open }}{{ m.role }}{{ close }}{{ varargs | join(',') }}{{ kwargs | tojson }}
{%- endmacro %}
{%- macro twice(m) %}{{ turn(m) }}{{ turn(m, '[', ']', 1, 2, k=3) }}{% endmacro %}
{% for m in messages %}{{ twice(m) }}{% endfor %}{{ turn.name }}{{ turn.arguments }}""",
    "recursive macro over a schema": """{% macro kind(s, depth=0) %}
{%- if s is mapping %}{ {%- for k, v in s.items() %}{{ k }}:{{ kind(v, depth + 1) }}
{%- if not loop.last %},{% endif %}{% endfor %} }
{%- elif s is string %}'{{ s }}'@{{ depth }}
{%- elif s is iterable %}[{% for v in s %}{{ kind(v, depth + 1) }};{% endfor %}]
{%- else %}{{ s }}{% endif %}{% endmacro %}
{{- kind(tools) }}{{ kind(messages) }}""",
    "call blocks": """{% macro wrap(tag) %}<{{ tag }}>{{ caller(1) }}</{{ tag }}>{% endmacro %}
{% call(n) wrap('b') %}{{ n }}{{ messages[0].role }}{% call(m) wrap('i') %}{{ m }}{% endcall %}{% endcall %}""",
    "filter blocks": "{% filter upper | trim %}  {{ messages[0].role }} x {% endfilter %}",
    "generation tags": """{% for m in messages %}{% if m.role == 'assistant' %}
{% generation %}{{ m.content }}{{ eos_token }}{% endgeneration %}
{% else %}{{ m.content }}{% endif %}{% endfor %}""",
    "generation scope": "{% set a = 1 %}{% generation %}{% set a = 2 %}{{ a }}{% endgeneration %}{{ a }}",
    "tojson": """{{ messages | tojson }}
{{ messages | tojson(indent=2) }}
{{ tools | tojson(sort_keys=True) }}
{{ messages[0] | tojson(ensure_ascii=True, separators=(',', ':')) }}
{{ {'b': [1, 2.5, true, none], 'a': '<é>&"'} | tojson(indent=4) }}""",
    "tool block": """{% if tools is defined and tools is not none and tools %}
{% for tool in tools %}
{% set f = tool.function if tool.function is defined else tool %}
- {{ f.name }}: {{ f.description | default('no description') }}
{% if f.parameters is defined and f.parameters.properties is mapping %}
{% for name, p in f.parameters.properties | items %}
  {{ name }} ({{ p.type | default('any') }}){% if name in (f.parameters.required | default([])) %} required{% endif %}

{% endfor %}
{% endif %}
{% endfor %}
{% endif %}""",
    "tool calls and results": """{% for m in messages %}
{% if m.role == 'assistant' and m.tool_calls is defined and m.tool_calls %}
{% for c in m.tool_calls %}
{% set f = c.function %}
<call>{"name": "{{ f.name }}", "arguments": {{ f.arguments if f.arguments is string else f.arguments | tojson }}}</call>
{{ c.id | default('-') }}
{% endfor %}
{% elif m.role == 'tool' %}
<result>{{ m.content if m.content is string else m.content | tojson }}</result>{{ m.tool_call_id }}{{ m.get('name', 'anon') }}
{% endif %}
{% endfor %}""",
    "documents": """{% if documents %}{% for d in documents %}
[{{ loop.index }}] {{ d.title | default('') | title }}: {{ d['text'] | truncate(12) }}
{% endfor %}{% else %}none{% endif %}""",
    "content parts": """{% for m in messages %}{% if m.content is string %}{{ m.content }}{% elif m.content is iterable %}
{%- for part in m.content %}{% if part.type == 'text' %}{{ part.text }}{% elif 'image' in part or part.type == 'image_url' %}<image>{% endif %}{% endfor %}
{%- endif %}{% endfor %}""",
    "list filters": """{{ messages | map(attribute='role') | list }}
{{ messages | map(attribute='content', default='?') | map('string') | join('|') }}
{{ messages | selectattr('role', 'equalto', 'user') | list | length }}
{{ messages | rejectattr('content') | list | count }}
{{ messages | selectattr('content', 'defined') | map(attribute='role') | unique | sort | join(',') }}
{{ [3, 1, 2] | sort(reverse=true) | first }}{{ [3, 1, 2] | max }}{{ [1, 2, 3] | sum }}{{ [1, 2] | last }}
{{ (messages | first).role }}{{ (messages | last).role }}{{ messages | reverse | map(attribute='role') | list }}
{{ ['a', 'b', 'c', 'd'] | batch(3, '-') | list }}{{ [1, 2, 3, 4] | slice(3) | list }}
{{ messages | groupby('role') | map('first') | list }}{{ {'b': 1, 'A': 2} | dictsort }}
{{ [1, none, '', 2] | select | list }}{{ [1, 2, 3, 4] | reject('odd') | list }}{{ [0.5] | min }}""",
    "text filters": """{% for m in messages %}{% if m.content is string %}
{{ m.content | trim }}|{{ m.content | upper }}|{{ m.content | lower }}|{{ m.content | capitalize }}
{{ m.content | replace('a', 'bb') | title }}|{{ m.content | length }}|{{ m.content | wordcount }}
{{ m.content | indent(4) }}|{{ m.content | indent(2, true) }}|{{ m.content | center(20) }}
{{ m.content | truncate(9, true, '..') }}|{{ m.content | e }}|{{ m.content | urlencode }}|{{ m.content | striptags }}
{{ m.content | string | list | length }}|{{ m.content | wordwrap(5) }}|{{ m.content | safe }}|{{ m.content | pprint }}
{% endif %}{% endfor %}{{ '%s-%05d' | format('x', 7) }}{{ 3.7 | round | int }}{{ '12' | int + 1 }}{{ '1.5' | float }}{{ -3 | abs }}{{ 1234567 | filesizeformat }}""",
    "text methods": """{% for m in messages %}{% set c = m.content if m.content is string else '' %}
{{ c.strip() }}|{{ c.lstrip('a') }}|{{ c.rstrip() }}|{{ c.split() }}|{{ c.split('a', 1)[-1] }}|{{ c.rsplit(' ', 1) }}
{{ c.startswith('a') }}{{ c.endswith(('b', ' ')) }}{{ c.find('a') }}{{ c.count('a') }}{{ c.replace('a', '') }}
{{ c.upper() }}{{ c.lower() }}{{ c.title() }}{{ c.capitalize() }}{{ c.isdigit() }}{{ c.splitlines() }}
{{ ','.join(c.split()) }}|{{ c.partition('a') }}|{{ c.center(9, '*') }}|{{ c.zfill(5) }}|{{ c.swapcase() }}|{{ c.expandtabs(2) }}
{{ '{} and {0}'.format(c) if false else '{0}{1[role]}{x}'.format(c, m, x=1) }}{{ '{:>4}'.format('x') }}{{ '{a}'.format_map({'a': 2}) }}
{% endfor %}""",
    "containers": """{{ messages[0].get('role') }}{{ messages[0].get('nothing', 'd') }}{{ messages[-1]['role'] }}
{{ messages[0].keys() | list }}{{ messages[0].items() | list | length }}{{ messages[0].values() | list | length }}
{% for k, v in messages[0].items() %}{{ k }}={{ v }};{% endfor %}{% for k in messages[0] %}{{ k }}{% endfor %}
{{ dict(a=1, **{'b': 2}) }}{{ dict.fromkeys(['x', 'y'], 0) }}{{ {'a': 1, 'b': [2]}.b[0] }}{{ [1, 2].index(2) }}{{ [1, 1].count(1) }}
{{ ('a', 'b') }}{{ [1] + [2] }}{{ ['x'] * 2 }}{{ {'k': 1}['k'] }}{{ [[1, 2], [3]][0][1] }}{{ (1, 2) in {(1, 2): 3} }}""",
    "slices": """{{ messages[1:] | length }}{{ messages[:-1] | length }}{{ messages[::-1] | map(attribute='role') | join }}
{{ messages[1:3] | length }}{{ 'hello'[1:] }}{{ 'hello'[-3:-1] }}{{ 'hello'[::2] }}{{ messages[10:] }}
{% for m in messages[::-1] %}{{ m.role }}{% endfor %}{% set rest = messages[1:] if messages[0].role == 'system' else messages %}{{ rest | length }}""",
    "tests": """{% for m in messages %}
{{ m.content is defined }}{{ m.content is string }}{{ m.content is mapping }}{{ m.content is iterable }}{{ m.content is none }}
{{ m.content is sequence }}{{ m.content is number }}{{ m.nothing is undefined }}{{ m.role is in ['user', 'tool'] }}{{ m.role is eq 'user' }}
{{ m is mapping }}{{ loop.index is odd }}{{ loop.index is divisibleby(3) }}{{ loop.index is integer }}{{ true is boolean }}{{ true is true }}
{{ m.role is lower }}{{ m.role is upper }}{{ 1.5 is float }}{{ m is callable }}{{ m.role is sameas m.role }}{{ 3 is gt 2 }}{{ 'upper' is filter }}
{% endfor %}""",
    "operators": """{{ 1 + 2 * 3 - 4 / 2 }}{{ 7 // 2 }}{{ 7 % 3 }}{{ 2 ** 8 }}{{ -5 }}{{ +5 }}{{ 'a' + 'b' }}{{ 'ab' * 2 }}{{ '%s!' % 'x' }}{{ '%d%%' % 5 }}
{{ 1 < 2 <= 2 }}{{ 1 == 1.0 }}{{ 'a' != 'b' }}{{ not true }}{{ true and 0 }}{{ '' or 'x' }}{{ 'a' in 'abc' }}{{ 'z' not in ['a'] }}
{{ 'role' in messages[0] }}{{ messages[0].role ~ 1 ~ none ~ true ~ [1] }}{{ 'yes' if messages else 'no' }}{{ 'only' if false }}
{{ 1 > 2 or 3 > 2 }}{{ (1, 2) == (1, 2) }}{{ [1] < [2] }}{{ none == none }}{{ 'b' > 'a' }}{{ 1e3 }}{{ 1_000 }}{{ 0x1f }}""",
    "alternation": """{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}
{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}{{ m.role }}{% endfor %}""",
    "special tokens": "{{ bos_token }}{{ eos_token }}{{ pad_token }}{{ unk_token is defined }}{{ cls_token }}{{ messages[0].role }}",
    "date": "{{ strftime_now('%Y-%m-%d') }}{% if strftime_now is defined %}{{ strftime_now('%d %B %y %%') }}{% endif %}",
    "arguments": """{% if enable_thinking is defined and enable_thinking is false %}<think></think>{% endif %}
{{ custom | default('unset') }}{{ bos_token }}{{ custom is mapping }}{{ custom }}""",
    "reasoning": """{% for m in messages %}{% if m.reasoning_content is defined %}<think>{{ m.reasoning_content }}</think>{% endif %}
{{- m.thinking | default('-') }}{{ m.reasoning | default('-') }}
{% set content = m.content if m.content is string else '' %}
{% if '</think>' in content %}{{ content.split('</think>')[-1].lstrip('\\n') }}|{{ content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') }}{% endif %}
{% endfor %}""",
    "last user, found backwards": """{% set ns = namespace(multi=true, last=messages | length - 1) %}
{%- for m in messages[::-1] %}{% set index = (messages | length - 1) - loop.index0 %}
{%- if ns.multi and m.role == 'user' and not (m.content is string and m.content.startswith('<tool_response>')) %}
{%- set ns.multi = false %}{% set ns.last = index %}{% endif %}{% endfor %}{{ ns.last }}{{ ns.multi }}
{%- for m in messages %}{% if loop.index0 > ns.last %}after{% endif %}{% if loop.last or messages[loop.index0 + 1].role != m.role %}.{% endif %}{% endfor %}""",
    "undefined is empty": "{{ nothing }}{% for x in nothing %}{% endfor %}{{ nothing | default('d') }}{{ nothing is defined }}{{ messages[0].nothing }}{{ nothing | length }}{{ nothing | list }}",
    "rebinding messages": """{% if messages[0].role == 'system' %}{% set system = messages[0].content %}{% set messages = messages[1:] %}{% else %}{% set system = 'none' %}{% endif %}{{ system }}{{ messages | length }}{% for m in messages %}{{ m.role }}{% endfor %}""",
    "blocks of a template": "{% block a %}{{ self.b() }}{% block b scoped %}x{{ messages | length }}{% endblock %}{% endblock %}",
    "autoescape": "{% autoescape true %}{{ '<' }}{{ messages[0].content }}{{ '<' ~ '>' | safe }}{% endautoescape %}{{ '<' }}",
    "cycler and joiner": "{% set j = joiner(', ') %}{% set c = cycler('a', 'b') %}{% for m in messages %}{{ j() }}{{ c.next() }}{{ c.current }}{% endfor %}",
    "range": "{% for i in range(messages | length) %}{{ i }}{{ messages[i].role }}{% endfor %}{{ range(5) | list }}{{ range(1, 9, 3) | last }}",
    "tuple assignment": "{% set a, b = 1, 2 %}{{ a }}{{ b }}{% for k, v in [('x', 1), ('y', 2)] %}{{ k }}{{ v }}{% endfor %}",
    "content printed whole": "{{ messages }}{{ tools }}{{ documents }}{{ add_generation_prompt }}{{ messages[0].items() }}",
    "trimmed contents": "{% for m in messages %}<{{ m.role }}>{{ m.content | trim }}</{{ m.role }}>{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}",
    "untrimmed contents": "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}{{ eos_token }}{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}",
    "last content dropped": "{% for m in messages %}{% if not loop.last %}{{ m.content }}{% endif %}{% endfor %}",
    "contents without the word": "{% for m in messages %}{% for k, v in m.items() %}{{ v }}{% endfor %}{% endfor %}",
}

# Templates that both renderers must refuse, whatever the messages.
REFUSING: dict[str, str] = {
    "undefined attribute of undefined": "{{ nothing.at.all }}",
    "undefined arithmetic": "{{ nothing + 1 }}",
    "no such filter": "{{ messages | no_such_filter }}",
    "no such test": "{{ messages is no_such_test }}",
    "syntax": "{% for m in %}{% endfor %}",
    "unclosed": "{% if true %}",
    "raise": "{{ raise_exception('no') }}",
    "mutation": "{{ messages.append(1) }}",
    "mutated dict": "{% set x = messages[0].update({'a': 1}) %}",
    "popped": "{{ messages.pop() }}",
    "class": "{{ ''.__class__ }}{{ ''.__class__.__mro__ }}",
    "class through a filter": "{{ ('' | attr('__class__')).__mro__ }}",
    "class through format": "{{ '{0.__class__}'.format('') }}{{ '{0.__class__.__mro__}'.format('') }}",
    "class through format_map": "{{ '{a.__class__.__mro__}'.format_map({'a': 1}) }}",
    "globals of a function": "{{ raise_exception.__globals__.x }}",
    "globals of a macro": "{% macro f() %}{% endmacro %}{{ f._func.__globals__ }}",
    "hidden namespace attribute": "{% set ns = namespace(_x=1) %}",
    "hidden namespace assignment": "{% set ns = namespace() %}{% set ns._x = 1 %}",
    "a type's own types": "{{ dict.mro() }}",
    "include": "{% include 'other' %}",
    "import": "{% import 'other' as o %}{{ o.x }}",
    "extends": "{% extends 'other' %}",
    "big range": "{{ range(1000000) | list }}",
    "do": "{% do messages %}",
    "json of undefined": "{{ nothing | tojson }}",
    "none plus text": "{{ 'a' + none }}",
    "number plus text": "{{ 'a' + 1 }}",
    "endless macro": "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    "assignment to no namespace": "{% set x = 1 %}{% set x.y = 2 %}",
    "too many loops": "".join(f"{{% for a{i} in [1] %}}" for i in range(25))
    + "x"
    + "{% endfor %}" * 25,
}
