"""Texts that obey schemas, judged by a validator that is not ours."""

import json
import re
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from lorax_mock.errors import LoraxRefusal
from lorax_mock.hashing import Draws
from lorax_mock.outlines.sample import compose
from lorax_mock.wire.native import DEFAULT_SCHEMA
from tests.mock.strategies import schemas

_JUDGED = json.loads(Path(__file__).with_name("outlines.json").read_text())
"""What outlines 0.1.1 (`outlines/fsm/json_schema.py`) and interegular 0.3.3 made of each schema: its
expression (null where Python's `re` reads it otherwise), or the error's text, in Python 3.10's words."""


def _words() -> str:
    return 'Arr, acme/pirate says "ahoy", twice.'


def _identity(case: dict[str, Any]) -> str:
    return json.dumps(case["schema"])[:60]


@pytest.mark.parametrize("case", [one for one in _JUDGED if "error" in one], ids=_identity)
def test_faults_are_the_compilers_word_for_word(case: dict[str, Any]) -> None:
    """A schema that LoRAX's compiler refuses is refused with its words, wherever in it the error is."""
    with pytest.raises(LoraxRefusal) as caught:
        compose(case["schema"], Draws(b"", "test"), _words)
    assert caught.value.status == 424
    cause = caught.value.message.removeprefix("Request failed during generation: Server error: ")
    # Python notices endless recursion in several places, each with its own end of the text.
    assert cause.removesuffix(" while calling a Python object") == case["error"].removesuffix(
        " while calling a Python object"
    )


@pytest.mark.parametrize("case", [one for one in _JUDGED if "expression" in one], ids=_identity)
def test_texts_are_in_the_language_that_outlines_spells(case: dict[str, Any]) -> None:
    """Every text matches the expression that outlines makes of its schema."""
    words = cycle(['Arr, acme/pirate says "ahoy", twice.', "", "été 世界 😀", "a"])
    for key in range(25):
        text = compose(case["schema"], Draws(bytes([key]), "test"), lambda: next(words))
        if case["expression"] is not None:
            assert re.fullmatch(case["expression"], text)


@pytest.mark.property
@given(schemas, st.binary(max_size=4))
def test_every_text_conforms(schema: dict[str, Any], key: bytes) -> None:
    """A JSON-Schema validator accepts every text that is drawn."""
    text = compose(schema, Draws(key, "test"), _words)
    Draft202012Validator(schema).validate(json.loads(text))


@pytest.mark.property
@given(schemas, st.binary(max_size=4))
def test_equal_keys_give_equal_texts(schema: dict[str, Any], key: bytes) -> None:
    """Equal keys give equal texts."""
    first = compose(schema, Draws(key, "test"), _words)
    assert compose(schema, Draws(key, "test"), _words) == first


def test_strings_use_the_personas_words() -> None:
    """Strings in structured output have the persona's words, so a wrong adapter shows."""
    schema = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
    assert "acme/pirate" in compose(schema, Draws(b"", "test"), _words)


@pytest.mark.property
@given(st.binary(max_size=4))
def test_what_the_grammar_allows_and_the_schema_does_not_is_drawn_anew(key: bytes) -> None:
    """A text that the grammar allows and the schema does not is drawn again until it conforms."""
    schema = {
        "type": "object",
        "properties": {
            "one": {"oneOf": [{"type": "integer"}, {"type": "number"}]},
            "two": {
                "type": "array",
                "items": {"enum": [1, 2, 3]},
                "minItems": 2,
                "maxItems": 2,
                "uniqueItems": True,
            },
        },
        "required": ["one", "two"],
    }
    text = compose(schema, Draws(key, "test"), _words)
    Draft202012Validator(schema).validate(json.loads(text))


@pytest.mark.property
@given(st.binary(max_size=4))
def test_bounds_are_kept_by_the_first_draw(key: bytes) -> None:
    """Bounds that the grammar does not know are kept by the first draw."""
    schema = {
        "allOf": [
            {"type": "integer", "exclusiveMinimum": 4, "exclusiveMaximum": 6},
            {"type": "integer", "minimum": 7, "maximum": 7},
            {"type": "integer", "multipleOf": 5, "minimum": 11, "maximum": 19},
            {"type": "number", "minimum": 0.5, "maximum": 0.5},
        ]
    }
    assert compose(schema, Draws(key, "test"), _words) == "57150.5"


def test_the_default_schema_gives_a_flat_object() -> None:
    """LoRAX's default schema gives an object without objects in it."""
    values = json.loads(compose(DEFAULT_SCHEMA, Draws(b"", "test"), _words))
    assert isinstance(values, dict)
    assert not any(isinstance(value, (dict, list)) for value in values.values())


def test_several_members_of_all_of_are_written_in_a_row() -> None:
    """Members of `allOf` are written in a row, as the grammar has it, which is not JSON."""
    schema = {"allOf": [{"const": "a"}, {"const": "b"}]}
    assert compose(schema, Draws(b"", "test"), _words) == '"a""b"'


@pytest.mark.parametrize(
    ("schema", "cause"),
    [
        ({"type": "string", "format": "email"}, "Format email is not supported by Outlines"),
        (
            {"type": "strng"},
            (
                "Could not translate the instance {'type': 'strng'} to a\n    regular expression. "
                "Make sure it is valid to the JSON Schema specification. If\n    it is, please open "
                "an issue on the Outlines repository"
            ),
        ),
        ("a string", "'str' object has no attribute 'get'"),
        (True, "argument of type 'bool' is not iterable"),
        ({"properties": {"a": True}}, "argument of type 'bool' is not iterable"),
        (
            {"type": "object", "additionalProperties": False},
            "argument of type 'bool' is not iterable",
        ),
        ({"$ref": "#/$defs/X"}, "'/$defs/X' does not exist within {'$ref': '#/$defs/X'}"),
        ({"const": {"a": 1}}, "Unsupported data type in const: <class 'dict'>"),
        ({"enum": [[1]]}, "Unsupported data type in enum: <class 'list'>"),
        ({"not": {}}, "Could not translate the instance {'not': {}} to a"),
        ({"anyOf": [{"$ref": "#"}]}, "maximum recursion depth exceeded"),
        ({"type": "string", "pattern": "(a"}, ""),
    ],
)
def test_a_schema_that_lorax_cannot_compile_is_a_424(schema: Any, cause: str) -> None:
    """A schema that does not compile is a 424 with the compiler's words."""
    with pytest.raises(LoraxRefusal) as caught:
        compose(schema, Draws(b"", "test"), _words)
    assert caught.value.status == 424
    start = "Request failed during generation: Server error: "
    assert re.match(re.escape(start + cause), caught.value.message)
