"""YAML and JSON as values."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorax_mock.serde.documents import Document, DocumentError, read_document

_TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | _TEXTS,
    lambda inner: st.lists(inner) | st.dictionaries(_TEXTS, inner),
    max_leaves=20,
)


@pytest.mark.property
@given(
    value=st.lists(_VALUES) | st.dictionaries(_TEXTS, _VALUES),
    plain=st.booleans(),
    indent=st.sampled_from([None, 0, 2, "\t"]),
)
def test_json_is_read_as_json(value: Any, *, plain: bool, indent: int | str | None) -> None:
    """Any JSON value reads back as itself, written in ASCII or not."""
    text = json.dumps(value, ensure_ascii=plain, indent=indent)
    assert read_document(text) == value
    assert read_document("\ufeff\n" + text + "\t\n") == value


@pytest.mark.property
@given(text=_TEXTS)
def test_escaped_pairs_are_one_character_in_yaml_too(text: str) -> None:
    """An escaped surrogate pair in YAML is one character."""
    assert read_document(f"- {json.dumps(text)} # pasted\n") == [text]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"a": 1,\n "b": "x\\ud83cy"}', "line 2: 'x\\ud83cy' has half of a surrogate pair"),
        ('{"a\\udf89": 1}', "line 1: 'a\\udf89' has half of a surrogate pair"),
        ('a:\n  - "\\udf89\\ud83c"', "line 2: '\\udf89\\ud83c' has half of a surrogate pair"),
        ("'\ud83c'", "not YAML"),
        ('{"a": 1,\n "a": 2}', "line 2: 'a' twice"),
        ("a: 1\na: 2", "line 2: 'a' twice"),
        ("a: [", "line 1: not YAML"),
        ('{"a": 1', "line 1: not YAML"),
        ("[" * 100_000, "not YAML"),
        ("a: 2001-13-45", "not YAML"),
    ],
)
def test_what_cannot_be_read_is_told_where(text: str, told: str) -> None:
    """A text that cannot be read is refused with line and reason, half a surrogate pair too."""
    with pytest.raises(DocumentError) as caught:
        read_document(text)
    assert told in str(caught.value)


@pytest.mark.parametrize("text", ['{"a": 1,\n\n "b":\n {"c": []}}', "a: 1\n\nb:\n {c: []}"])
def test_mappings_know_their_lines(text: str) -> None:
    """Mappings know the lines of their keys, in JSON and in YAML."""
    read = read_document(text)
    assert isinstance(read, Document)
    assert (read.line, read.lines) == (1, {"a": 1, "b": 3})
    assert (read["b"].line, read["b"].lines) == (4, {"c": 4})
    assert read_document(" \n") is None


def test_what_is_no_json_is_yaml() -> None:
    """Flow style, comments and words that JSON does not have are read as YAML."""
    assert read_document("[a, {b: c}]") == ["a", {"b": "c"}]
    assert read_document('{"a": [1, true, null]} # all') == {"a": [1, True, None]}
    assert read_document("- yes\n- 1e3\n- {a: }") == [True, "1e3", {"a": None}]
    assert read_document("[1e3, -2.5, false]") == [1000.0, -2.5, False]
