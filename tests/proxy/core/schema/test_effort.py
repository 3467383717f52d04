"""`lorax_proxy.core.schema.effort`: no schema takes more than its size and a fixed amount of work."""

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from lorax_proxy.core.schema.effort import (
    MAX_LETTERS,
    MAX_MEMBERS,
    MAX_NAME,
    Effort,
    judge_size,
    looks,
)
from lorax_proxy.core.schema.lowered import lower
from lorax_proxy.core.schema.sites import SchemaRefused, Site
from tests.proxy.measuring import calls_of, most_held


@pytest.mark.parametrize(
    ("fits", "exceeds", "reason"),
    [
        ({"a" * MAX_NAME: 1}, {"a" * (MAX_NAME + 1): 1}, "a name of more"),
        ({"const": "a" * (MAX_LETTERS - 5)}, {"const": "a" * MAX_LETTERS}, "characters"),
        ([0] * (MAX_MEMBERS - 1), [0] * MAX_MEMBERS, "keywords and values"),
        ({"description": "a" * MAX_LETTERS}, {"default": "a" * MAX_LETTERS}, "characters"),
        (True, {"properties": {"title": {"const": "a" * MAX_LETTERS}}}, "characters"),
    ],
)
def test_what_is_too_large_is_refused_at_sight(fits: Any, exceeds: Any, reason: str) -> None:
    """At the edge; remarks may be long, since nobody looks at them again."""
    judge_size(fits, "s")
    with pytest.raises(SchemaRefused, match=reason) as refused:
        judge_size(exceeds, "s")
    assert refused.value.path == "s"


def test_looks_count_keywords_names_and_values() -> None:
    """One for the schema, one for each keyword, and one for each of what they list."""
    assert looks([Site({}, "s")]) == 1
    assert looks([Site({"enum": [1, 2], "properties": {"a": {}}, "minimum": 5}, "s")]) == 7


def test_an_effort_ends() -> None:
    """What has been paid for cannot be paid for again, and patterns cost by the text."""
    effort = Effort(10)
    effort.pay(10, "s")
    with pytest.raises(SchemaRefused, match="again and again"):
        effort.pay(1, "s")
    effort = Effort(1_000)
    effort.pay_for_patterns(["^a$", None, "(?=x)"], 100, "s")
    with pytest.raises(SchemaRefused):
        effort.pay_for_patterns(["^[a-z]{1,64}$"], 200, "s")


# --- families of schemas that ask for more than they say; each takes a size and gives a schema


def patterns(number: int) -> str:
    """A pattern that no other is equal to, with an automaton of exponential size."""
    return (
        f"^({'|'.join(f'[{chr(97 + n)}-z]' for n in range(20))})*a.{{{number % 20 + 5}}}x{number}$"
    )


def chain(size: int, inner: Any) -> Any:
    """Objects in objects, with names of the same length."""
    for _ in range(min(size, 15)):
        inner = {"type": "object", "properties": {"n" * size: inner}}
    return inner


FAMILIES: dict[str, Callable[[int], Any]] = {
    "one long value": lambda n: {"enum": ["a" * n]},
    "one long constant": lambda n: {"const": "é" * n},
    "long values with one beginning": lambda n: {
        "enum": ["a" * (n // 400) + str(i) for i in range(400)]
    },
    "a long value beside a pattern": lambda n: {"enum": ["a" * n], "pattern": "(a|b)*c(a|b){30}"},
    "values beside a pattern": lambda n: {
        "enum": [f"{i}{'a' * 30}" for i in range(n)],
        "allOf": [{"pattern": f"(a|b)*c(a|b){{{i}}}"} for i in range(60)],
    },
    "many values": lambda n: {"enum": list(range(n))},
    "many values many times": lambda n: {
        "$defs": {"a": {"enum": [[*range(n)]]}},
        "properties": {f"p{i}": {"$ref": "#/$defs/a"} for i in range(400)},
    },
    "one large definition many times": lambda n: {
        "$defs": {"a": {f"x{i}": 0 for i in range(n)}},
        "properties": {f"p{i}": {"$ref": "#/$defs/a"} for i in range(400)},
    },
    "many names and many patterns": lambda n: {
        "properties": {f"p{i}": {} for i in range(min(n, 400))},
        "patternProperties": {f"(a|b)*{i}(a|b){{20}}": {} for i in range(n)},
    },
    "many patterns": lambda n: {
        "properties": {f"p{i}": {"pattern": patterns(i)} for i in range(min(n, 450))}
    },
    "a long pattern": lambda n: {"pattern": "a" * n},
    "a long class": lambda n: {"pattern": "[^" + "".join(map(chr, range(1000, 1000 + n))) + "]"},
    "a long name above many": lambda n: {
        "properties": {"n" * n: {"properties": {f"p{i}": {} for i in range(400)}}}
    },
    "long names in one another": lambda n: chain(
        n, {"properties": {f"p{i}": {} for i in range(9)}}
    ),
    "a long reference": lambda n: {"$ref": "#/" + "a" * n},
    "a long number in a reference": lambda n: {"$ref": "#/allOf/" + "1" * n, "allOf": [{}]},
    "many alternatives": lambda n: {"anyOf": [{"const": i} for i in range(n)]},
    "alternatives of alternatives": lambda n: {
        "allOf": [{"anyOf": [{"const": i} for i in range(8)]} for _ in range(n)]
    },
    "many exclusive alternatives": lambda n: {
        "oneOf": [
            {"properties": {f"q{j}": {"enum": [f"{i}{j}"]} for j in range(n // 60)}}
            for i in range(60)
        ]
    },
    "exclusive values": lambda n: {
        "oneOf": [{"enum": [f"{i}-{j}" for j in range(n // 60)]} for i in range(60)]
    },
    "many conditions": lambda n: {"allOf": [{"minLength": i} for i in range(n)]},
    "optional names": lambda n: {"properties": {f"p{i}": {"type": "string"} for i in range(n)}},
    "deep constants": lambda n: {"const": [[[[[[[[["a" * 9] * n]]]]]]]]},
    "nested arrays": lambda n: {"items": {"items": {"items": {"enum": ["a" * n] * 9}}}},
    "tuples": lambda n: {"prefixItems": [{"const": i} for i in range(n)]},
    "big numbers": lambda n: {"enum": [10 ** min(n, 4_000) + i for i in range(100)]},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_work_and_memory_are_bounded_whatever_is_asked(name: str) -> None:
    """From 1 KB to a quarter of a MB: a fixed amount, and so much for each character."""
    for size in (2**10, 2**14, 2**18):
        schema = FAMILIES[name](size)
        characters = len(json.dumps(schema))

        def work(schema: Any = schema) -> None:
            with suppress(SchemaRefused):
                lower(schema, path="s", strict=False)

        assert calls_of(work) < 2_000_000 + 25 * characters, size
        assert most_held(work) < 4_000_000 + 4 * characters, size


@pytest.mark.parametrize("name", FAMILIES)
def test_a_refusal_is_short(name: str) -> None:
    """However long the name, the value or the reference is that it speaks of."""
    with suppress(SchemaRefused):
        try:
            lower(FAMILIES[name](20_000), path="s", strict=True)
        except SchemaRefused as refused:
            assert len(str(refused)) < 10_000  # noqa: PT017 - a lowered schema is right as well
            raise
