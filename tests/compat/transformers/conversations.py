"""Conversations, tools and templates that Hypothesis invents for the judge."""

from typing import Any

from hypothesis import strategies as st

__all__ = ["CONVERSATIONS", "DOCUMENTS", "KWARGS", "TEMPLATES", "TOOLS"]

_CURIOUS = [
    "",
    " ",
    "a",
    " padded \n",
    "two\nlines\n",
    "{{ messages }}{% for %}{# #}",
    "<think>why</think>\n\nbecause",
    "<|im_end|></s><s>[INST]",
    "aaa bbb aaa",
    "\u2028\u0085\ufeff tab\t\x1f",
    "ünï ☃ 👩‍👩‍👧 \U0001f600",
    "CONTINUE_FINAL_MESSAGE_TAG ",
    '"quoted" \\ back',
    "<b>&amp;</b> 100% %s %d {0} {a}",
    "12",
]
TEXT = st.sampled_from(_CURIOUS) | st.text(max_size=20)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-99, 99) | st.floats(-9, 9) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
PARTS = st.lists(
    st.fixed_dictionaries({"type": st.just("text"), "text": TEXT})
    | st.just({"type": "image_url", "image_url": {"url": "x"}})
    | st.just({"type": "image"}),
    max_size=3,
)
NAMES = st.sampled_from(["f", "get_weather", "naïve"])
CALLS = st.lists(
    st.fixed_dictionaries(
        {
            "id": st.sampled_from(["call_1", "123456789", ""]),
            "type": st.just("function"),
            "function": st.fixed_dictionaries(
                {"name": NAMES, "arguments": st.dictionaries(TEXT, JSON, max_size=3) | TEXT}
            ),
        }
    ),
    max_size=2,
)
MESSAGES = st.fixed_dictionaries(
    {
        "role": st.sampled_from(
            ["user", "user", "assistant", "assistant", "system", "tool", "other"]
        )
    },
    optional={
        "content": TEXT | TEXT | TEXT | st.none() | PARTS,
        "name": NAMES | st.none(),
        "tool_calls": st.none() | CALLS,
        "tool_call_id": st.sampled_from(["call_1", "123456789"]),
        "reasoning_content": TEXT | st.none(),
        "thinking": TEXT | st.none(),
        "reasoning": TEXT,
        "refusal": st.none() | TEXT,
    },
)


def _alternating(texts: list[str]) -> list[dict[str, Any]]:
    roles = ("user", "assistant")
    return [{"role": roles[i % 2], "content": text} for i, text in enumerate(texts)]


ALTERNATING = st.lists(TEXT, min_size=1, max_size=6).map(_alternating)
WITH_SYSTEM = st.builds(
    lambda text, rest: [{"role": "system", "content": text}, *rest], TEXT, ALTERNATING
)
CONVERSATIONS = ALTERNATING | WITH_SYSTEM | st.lists(MESSAGES, max_size=6)
SCHEMAS = st.fixed_dictionaries(
    {"type": st.just("object")},
    optional={
        "properties": st.dictionaries(NAMES, st.dictionaries(TEXT, JSON, max_size=2), max_size=2),
        "required": st.lists(NAMES, max_size=2),
    },
)
TOOLS = st.lists(
    st.fixed_dictionaries(
        {
            "type": st.just("function"),
            "function": st.fixed_dictionaries(
                {"name": NAMES}, optional={"description": TEXT, "parameters": SCHEMAS}
            ),
        }
    ),
    max_size=2,
)
DOCUMENTS = st.lists(st.fixed_dictionaries({}, optional={"title": TEXT, "text": TEXT}), max_size=2)
KWARGS = st.fixed_dictionaries(
    {},
    optional={
        "enable_thinking": st.booleans(),
        "custom": JSON,
        "date_string": TEXT,
    },
)

# --- templates: expressions of a few types, put into statements. Nothing prints an object whose
# --- text holds an address (a generator, a macro): that is never the same twice.

_ATOMS = [
    "m.role", "m['content']", "m.content", "m.nothing", "messages", "messages[0]", "messages[-1]",
    "messages[1:]", "messages[::-1]", "messages | length", "tools", "documents", "bos_token",
    "eos_token", "add_generation_prompt", "custom", "loop.index", "loop.first", "loop.last", "ns.x",
    "'a'", "''", "' b '", "1", "0", "none", "true", "[]", "[1, 'x']", "{'k': 2}", "(1, 2)", "1.5",
]  # fmt: skip
_FILTERS = [
    "trim", "upper", "lower", "length", "string", "tojson", "tojson(indent=1)", "list", "first",
    "last", "join(',')", "default('d')", "default('d', true)", "replace('a', 'b')", "title",
    "capitalize", "map(attribute='role') | list", "map('string') | list", "sort", "unique | list",
    "selectattr('role', 'equalto', 'user') | list", "selectattr('content') | list", "reverse | list",
    "items | list", "int", "float", "abs", "indent", "truncate(5)", "wordcount", "sum", "max", "min",
    "select('string') | list", "batch(2) | list", "dictsort", "e", "safe", "center(9)", "round",
    "groupby('role') | list", "rejectattr('content', 'none') | list", "urlencode", "striptags",
    "slice(2) | list", "pprint", "count", "format(1)", "wordwrap(3)",
]  # fmt: skip
_TESTS = [
    "defined", "undefined", "none", "string", "mapping", "iterable", "sequence", "number", "true",
    "false", "boolean", "integer", "float", "odd", "lower", "upper", "in [1, 'a']", "eq 1", "ne 'a'",
    "divisibleby(2)", "sameas none", "callable", "gt 0", "escaped",
]  # fmt: skip
_METHODS = [
    "strip()", "split()", "split('a')[0]", "startswith('a')", "endswith(' ')", "get('role')",
    "get('x', 'd')", "items() | list", "keys() | list", "values() | list", "upper()", "lstrip()",
    "replace('a', 'bb')", "index('x')", "count('a')", "title()", "join(['x', 'y'])", "splitlines()",
    "append(1)", "pop()", "copy()", "find('a')", "encode()", "isdigit()", "format(1, a=2)",
]  # fmt: skip
_OPERATORS = [
    "+",
    "-",
    "*",
    "/",
    "//",
    "%",
    "~",
    "==",
    "!=",
    "<",
    ">=",
    "in",
    "not in",
    "and",
    "or",
]


def _grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.builds("({} | {})".format, inner, st.sampled_from(_FILTERS)),
        st.builds("({} is {})".format, inner, st.sampled_from(_TESTS)),
        st.builds("({} is not {})".format, inner, st.sampled_from(_TESTS)),
        st.builds("({}).{}".format, inner, st.sampled_from(_METHODS)),
        st.builds("({} {} {})".format, inner, st.sampled_from(_OPERATORS), inner),
        st.builds("({} if {} else {})".format, inner, inner, inner),
        st.builds("({})[{}]".format, inner, inner),
        st.builds("({})[{}:{}]".format, inner, inner, inner),
        st.builds("(not {})".format, inner),
        st.builds("(-{})".format, inner),
        st.builds("[{}, {}]".format, inner, inner),
        st.builds("{{'k': {}, {}: 1}}".format, inner, inner),
        st.builds("({} < {} <= {})".format, inner, inner, inner),
    )


EXPRESSIONS = st.recursive(st.sampled_from(_ATOMS), _grown, max_leaves=4)
_LITERALS = st.sampled_from(["x", " ", "\n", "  y\n", "<s>", "\n\n  "])
_SIGNS = st.sampled_from(["", "-", "+"])


def _block(opening: str, left: str, right: str) -> str:
    return f"{{%{left} {opening} {right.replace('+', '')}%}}"


def _if_else(test: str, body: str, other: str, left: str, right: str) -> str:
    opening, middle = _block(f"if {test}", left, right), _block("else", right, left)
    return f"{opening}{body}{middle}{other}{_block('endif', left, right)}"


def _for_each(items: str, body: str, left: str, right: str) -> str:
    return f"{_block(f'for m in {items}', left, right)}{body}{_block('endfor', right, left)}"


def _nested(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    some = st.lists(inner, min_size=1, max_size=3).map("".join)
    return st.one_of(
        st.builds(
            _if_else,
            EXPRESSIONS, some, some, _SIGNS, _SIGNS,
        ),
        st.builds(
            _for_each,
            st.just("messages") | EXPRESSIONS, some, _SIGNS, _SIGNS,
        ),
        st.builds("{{% for m in messages if {} %}}{}{{% endfor %}}".format, EXPRESSIONS, some),
        st.builds("{{% set m = {} %}}{}".format, EXPRESSIONS, some),
        st.builds("{{% set ns.x = {} %}}{}".format, EXPRESSIONS, some),
        st.builds("{{% set v %}}{}{{% endset %}}{{{{ v }}}}".format, some),
        st.builds(
            "{{% macro f(m) %}}{}{{% endmacro %}}{{{{ f({}) }}}}".format, some, EXPRESSIONS
        ),
        st.builds("{{% filter upper %}}{}{{% endfilter %}}".format, some),
        st.builds("{{% generation %}}{}{{% endgeneration %}}".format, some),
        st.builds("{{% with m = {} %}}{}{{% endwith %}}".format, EXPRESSIONS, some),
        st.builds("{{% if {} %}}{{% break %}}{{% endif %}}{}".format, EXPRESSIONS, some),
    )  # fmt: skip


_OUTPUTS = st.builds("{{{{{} {} }}}}".format, st.sampled_from(["", "-"]), EXPRESSIONS)
STATEMENTS = st.recursive(_LITERALS | _OUTPUTS, _nested, max_leaves=6)
TEMPLATES = st.lists(STATEMENTS, min_size=1, max_size=4).map(
    lambda statements: "{% set ns = namespace(x=1) %}" + "".join(statements)
)
