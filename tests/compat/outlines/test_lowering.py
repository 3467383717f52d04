"""LoRAX's own compiler on lowered schemas: they compile, in time, and give what was promised."""

import json
import uuid
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import pytest
from hypothesis import assume, event, given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from lorax_proxy.core.schema.cost import compile_cost
from lorax_proxy.core.schema.lowered import JSON_OBJECT, MOST, SchemaRefused, lower
from lorax_proxy.core.schema.strings import FORMATS
from tests.compat.outlines.judging import PROPERTY_SECONDS, Compiler, complaint, promised

pytestmark = [pytest.mark.compat, pytest.mark.timeout(PROPERTY_SECONDS)]

# How far the estimate may be from the truth before the limit on it means nothing; the machine
# that runs this is not the one it was measured on, so the truth has room too.
MOST_TIMES_OVER = 4

NAMES = st.sampled_from(["a", "bb", "city", "a.b", "x-y", "a b", "ü", "$id", "(a|b)", "#&~", "[x]"])
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    TEXTS,
)
CONSTANTS = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)),
    max_leaves=4,
)
PATTERNS = st.sampled_from(
    [
        "^[A-Z]{2,3}-\\d+$",
        "abc",
        'a|"b"',
        "^\\S+@\\S+$",
        "^[^,\\n]+$",
        "^(\\d{3}-)?\\d{4}$",
        "^\\\\w\\t$",
        "(?=x)y",
        "^(a|b)*a(a|b){3}$",
        "^.*$",
        "^$",
        "é+",
        '^[^é"\\\\]{1,3}$',
        "[",
        "\\bword\\b",
        "^[\\w.-]+$",
        "/",
        "^[#&~ ^-]$",
    ]
)


def sized(least: str, most: str, largest: int) -> st.SearchStrategy[dict[str, Any]]:
    """Two bounds, either or both, in order."""
    return st.tuples(st.integers(0, largest), st.integers(0, largest)).flatmap(
        lambda pair: st.sampled_from(
            [{}, {least: min(pair)}, {most: max(pair)}, {least: min(pair), most: max(pair)}]
        )
    )


STRINGS = st.builds(
    lambda sizes, more: {"type": "string", **sizes, **more},
    sized("minLength", "maxLength", 70),
    st.one_of(
        st.just({}),
        PATTERNS.map(lambda pattern: {"pattern": pattern}),
        st.sampled_from([*FORMATS, "uri", "binary"]).map(lambda name: {"format": name}),
    ),
)
NUMBERS = st.builds(
    lambda kind, sizes, more: {"type": kind, **sizes, **more},
    st.sampled_from(["integer", "number"]),
    sized("minimum", "maximum", 50),
    st.sampled_from([{}, {"multipleOf": 5}, {"multipleOf": 1}, {"exclusiveMinimum": 3}]),
)
LEAVES = st.one_of(
    STRINGS,
    NUMBERS,
    st.sampled_from([{"type": "boolean"}, {"type": "null"}, {}, True, False]),
    st.builds(
        lambda values, more: {"enum": values, **more},
        st.lists(CONSTANTS, min_size=1, max_size=4),
        st.one_of(
            st.just({}),
            PATTERNS.map(lambda pattern: {"pattern": pattern}),
            sized("minLength", "maxLength", 4),
            sized("minimum", "maximum", 4),
            sized("minItems", "maxItems", 3),
            st.just({"required": ["a"], "additionalProperties": {"type": "string"}}),
            st.just({"items": {"type": "number"}, "uniqueItems": True}),
        ),
    ),
    CONSTANTS.map(lambda value: {"const": value}),
    st.lists(
        st.sampled_from(["string", "integer", "number", "null", "boolean", "array", "object"]),
        min_size=1,
        unique=True,
        max_size=3,
    ).map(lambda names: {"type": names}),
    st.just({"type": "string", "nullable": True}),
    st.sampled_from(["#/$defs/one", "#/$defs/two"]).map(lambda reference: {"$ref": reference}),
)


def containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Schemas around schemas, by every keyword that is published and common."""
    objects = st.builds(
        lambda properties, required, more: {
            "type": "object",
            "properties": properties,
            "required": required,
            **more,
        },
        st.dictionaries(NAMES, inner, max_size=4),
        st.lists(NAMES, max_size=3, unique=True),
        st.one_of(
            st.just({}),
            st.one_of(inner, st.booleans()).map(lambda extra: {"additionalProperties": extra}),
            sized("minProperties", "maxProperties", 5),
            st.builds(
                lambda pattern, schema, more: {"patternProperties": {pattern: schema}, **more},
                st.sampled_from(["^x", "a", "[.]"]),
                inner,
                st.sampled_from([{}, {"additionalProperties": False}]),
            ),
            st.just({"unevaluatedProperties": False}),
            st.just({"title": "T", "description": "D", "default": {}, "examples": [{}]}),
        ),
    )
    maps = st.builds(
        lambda extra, sizes: {"type": "object", "additionalProperties": extra, **sizes},
        inner,
        sized("minProperties", "maxProperties", 2),
    )
    arrays = st.builds(
        lambda item, sizes, more: {"type": "array", "items": item, **sizes, **more},
        inner,
        sized("minItems", "maxItems", 4),
        st.sampled_from([{}, {"uniqueItems": True}, {"unevaluatedItems": False}]),
    )
    tuples = st.builds(
        lambda members, sizes, more: {"type": "array", "prefixItems": members, **sizes, **more},
        st.lists(inner, min_size=1, max_size=3),
        sized("minItems", "maxItems", 4),
        st.sampled_from([{}, {"items": False}, {"items": {"type": "null"}}]),
    )
    choices = st.builds(
        lambda keyword, members, more: {keyword: members, **more},
        st.sampled_from(["anyOf", "oneOf", "allOf"]),
        st.lists(inner, min_size=1, max_size=2),
        st.sampled_from(
            [
                {},
                {"type": "object"},
                {"type": "string"},
                {"required": ["a"]},
                {"minLength": 2},
                {"maximum": 3},
                {"minItems": 1},
                {"unevaluatedProperties": False},
                {"unevaluatedItems": False},
            ]
        ),
    )
    shaped = st.builds(
        lambda base, more: {**base, **more} if isinstance(base, dict) else base,
        inner,
        st.sampled_from([{"not": {"type": "null"}}, {"if": {}, "then": {}, "else": False}]),
    )
    return st.one_of(objects, objects, maps, arrays, tuples, choices, shaped)


SCHEMAS = st.builds(
    lambda schema, one, two: {"allOf": [schema], "$defs": {"one": one, "two": two}},
    st.recursive(LEAVES, containers, max_leaves=6),
    st.one_of(STRINGS, NUMBERS),
    st.just({"type": "object", "properties": {"n": {"$ref": "#/$defs/one"}}, "required": ["n"]}),
)
SEEDS = st.lists(st.integers(0, 2**32), min_size=6, max_size=6)


def judged(compiler: Compiler, lowered: Mapping[str, Any], seeds: list[int]) -> list[Any]:
    """The samples of a compiled schema, read as JSON."""
    answer = compiler.ask(lowered, seeds=seeds)
    assert "error" not in answer, (answer, lowered)
    # Small ones are over before the clock is sure.
    assert answer["seconds"] < max(1.5, MOST_TIMES_OVER * compile_cost(lowered).building), lowered
    return [json.loads(text) for text in answer["samples"]]


@pytest.mark.property
@given(schema=SCHEMAS, seeds=SEEDS, strict=st.booleans())
def test_samples_of_a_lowered_schema_satisfy_the_original(
    compiler: Compiler, schema: dict[str, Any], seeds: list[int], strict: bool
) -> None:
    """Whatever LoRAX could write under the lowered schema, the client's own validator accepts."""
    try:
        lowered = lower(schema, path="s", strict=strict)
    except SchemaRefused as refused:
        assert refused.path.startswith("s")  # noqa: PT017 - a refusal is a right answer too
        event("refused")
        assume(False)
        raise
    left = promised(schema, lowered.dropped, "s")
    for instance in judged(compiler, lowered.schema, seeds):
        assert complaint(left, instance) is None, (complaint(left, instance), lowered.schema)


@pytest.mark.parametrize("name", FORMATS)
def test_every_sample_of_a_format_is_one(compiler: Compiler, name: str) -> None:
    """The parsers that frameworks use accept each date, time, address and id that can be written."""
    parsers: dict[str, Any] = {
        "date": TypeAdapter(date).validate_python,
        "time": TypeAdapter(time).validate_python,
        "date-time": TypeAdapter(datetime).validate_python,
        "duration": TypeAdapter(timedelta).validate_python,
        "uuid": uuid.UUID,
        "ipv4": IPv4Address,
        "ipv6": IPv6Address,
        "email": lambda text: text.index("@"),
    }
    lowered = lower({"type": "string", "format": name}, path="s", strict=True)
    assert lowered.dropped == ()
    for text in judged(compiler, lowered.schema, list(range(200))):
        parsers[name](text)


ACCEPTED = ["a\nb", 'say "hi"', "back\\slash", "é世😀", "\t\r\b\f/", "", "\x7f\u2028"]


@pytest.mark.parametrize("text", ACCEPTED)
@pytest.mark.parametrize("ascii_only", [True, False])
def test_free_strings_admit_every_escape(compiler: Compiler, text: str, ascii_only: bool) -> None:
    r"""Line breaks, quotes, \u escapes and surrogate pairs can be written in a free string."""
    lowered = lower({"type": "string"}, path="s", strict=True).schema
    assert compiler.ask(lowered, texts=[json.dumps(text, ensure_ascii=ascii_only)])["accepted"] == [
        True
    ]


@pytest.mark.parametrize(
    "text",
    ['"a\nb"', '"a"b"', '"\\"', '"\\x41"', '"\\ud83d"', '"\\ude00"', '"\\u12"', "a", '"\x00"'],
)
def test_free_strings_refuse_what_is_no_json_string(compiler: Compiler, text: str) -> None:
    """Raw controls, raw quotes, unknown escapes and half pairs cannot be written."""
    lowered = lower({"type": "string"}, path="s", strict=True).schema
    assert compiler.ask(lowered, texts=[text])["accepted"] == [False]


def test_any_object_may_be_nested_and_hold_line_breaks(compiler: Compiler) -> None:
    """JSON mode's schema takes objects in arrays in objects."""
    texts = [
        "{}",
        '{"a": 1}',
        '{"a": {"b": [1, "x\\ny", null]}, "c": [{"d": true}]}',
        "[]",
        '{"a": }',
    ]
    answer = compiler.ask(JSON_OBJECT, texts=texts)
    assert answer["accepted"] == [True, True, True, False, False]
    assert MOST.covers(compile_cost(JSON_OBJECT))


@pytest.mark.parametrize(
    "name", ["a.b", "x-y", "a b", "ü", "(a|b)", "#&~", "[x]", "$^", "a'b", "?*+{}", "%<>=@`,:;!/"]
)
@pytest.mark.parametrize("required", [True, False])
def test_names_with_metacharacters_are_spelled_as_they_are(
    compiler: Compiler, name: str, required: bool
) -> None:
    """A property name stands for itself in the compiled expression, and for nothing else."""
    schema = {"type": "object", "properties": {name: {"type": "null"}}, "required": [name]}
    if not required:
        del schema["required"]
    lowered = lower(schema, path="s", strict=True).schema
    texts = [json.dumps({each: None}, ensure_ascii=False) for each in (name, "x" * len(name))]
    assert compiler.ask(lowered, texts=texts)["accepted"] == [True, False]


@pytest.mark.parametrize("value", ["é", "中文", 'a"\\b', "\t\x01\x7f\u2028", "(a|b)*", "😀 ~#&-"])
def test_constants_are_spelled_as_they_are(compiler: Compiler, value: str) -> None:
    """What is not ASCII is written raw, as models write it, and not as escapes."""
    lowered = lower({"enum": [value, "other"]}, path="s", strict=True).schema
    texts = [json.dumps(each, ensure_ascii=False) for each in (value, "other", value + "x")]
    assert compiler.ask(lowered, texts=texts)["accepted"] == [True, True, False]
