"""`lorax_proxy.core.tools.reader`: generated documents read back as deltas."""

import json
from collections.abc import Callable
from functools import partial
from itertools import groupby
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lorax_proxy.core.tools.reader import (
    ArgumentsDelta,
    CallStarted,
    Delta,
    Form,
    TextDelta,
    ToolGrammar,
    ToolReader,
)

NAMES = ("f", "get_weather", "a.b-c")
ANYTHING = ToolGrammar({}, Form(frozenset(NAMES), text=True, parallel=True), ())
ONE = ToolGrammar({}, Form(frozenset(NAMES), text=False, parallel=False), ())
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
OBJECTS = st.dictionaries(
    TEXTS,
    st.recursive(
        st.none() | st.booleans() | st.integers() | TEXTS,
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXTS, inner, max_size=2),
        max_leaves=4,
    ),
    max_size=3,
)
CALLS = st.lists(st.tuples(st.sampled_from(NAMES), OBJECTS), min_size=1, max_size=3)
SPACES = st.sampled_from([(",", ":"), (", ", ": "), ("\n, ", "\t:\r ")])
DOCUMENTS = st.one_of(
    TEXTS.map(json.dumps),
    st.builds(
        lambda calls, spaces: json.dumps(
            [{"name": name, "arguments": arguments} for name, arguments in calls], separators=spaces
        ),
        CALLS,
        SPACES,
    ),
    st.text(st.sampled_from('[]{}",:\\ud83nameargutsf0 '), max_size=40),
    st.text(st.sampled_from('[]{}",:\\u '), max_size=30).map(
        lambda text: '[{"name":"f","arguments":' + text
    ),
)


def folded(deltas: list[Delta]) -> list[Delta]:
    """Deltas with neighbours of a kind joined."""
    joined: list[Delta] = []
    for key, group in groupby(deltas, lambda each: (type(each), getattr(each, "index", None))):
        members = list(group)
        match members[0]:
            case TextDelta():
                joined.append(
                    TextDelta("".join(each.text for each in members if isinstance(each, TextDelta)))
                )
            case ArgumentsDelta(index):
                text = "".join(
                    each.fragment for each in members if isinstance(each, ArgumentsDelta)
                )
                joined.append(ArgumentsDelta(index, text))
            case CallStarted():
                assert len(members) == 1, key
                joined += members
    return joined


def read(pieces: list[str], grammar: ToolGrammar = ANYTHING) -> tuple[list[Delta], bool, bool, int]:
    """Everything that a reader says of a document."""
    reader = ToolReader(grammar)
    deltas = [delta for piece in pieces for delta in reader.feed(piece)] + reader.finish()
    return folded(deltas), reader.complete, reader.malformed, reader.calls


@pytest.mark.property
@given(DOCUMENTS, st.lists(st.integers(0, 120), max_size=8))
@example('"\\ud83d\\ude00"', [3, 8])
@example('[{"name":"f","arguments":{}},{"name":"f","arguments":{}}]', [25, 26, 27])
def test_cutting_a_document_changes_nothing(document: str, places: list[int]) -> None:
    """Pieces of any size fold to what the whole gives, well-formed or not."""
    edges = sorted(min(place, len(document)) for place in places)
    pieces = [document[a:b] for a, b in zip([0, *edges], [*edges, len(document)], strict=True)]
    assert read(pieces) == read([document])
    assert read(list(document)) == read([document])


@pytest.mark.property
@given(CALLS, SPACES)
def test_calls_come_back_as_they_were_written(
    calls: list[tuple[str, dict[str, Any]]], spaces: tuple[str, str]
) -> None:
    """Each call is started by name, and its fragments join to the very text of its arguments."""
    document = json.dumps(
        [{"name": name, "arguments": arguments} for name, arguments in calls], separators=spaces
    )
    expected: list[Delta] = []
    for index, (name, arguments) in enumerate(calls):
        expected += [
            CallStarted(index, name),
            ArgumentsDelta(index, json.dumps(arguments, separators=spaces)),
        ]
    assert read(list(document)) == (expected, True, False, len(calls))


@pytest.mark.property
@given(TEXTS, st.sampled_from([json.dumps, partial(json.dumps, ensure_ascii=False)]))
def test_text_comes_back_decoded(text: str, dumps: Callable[..., str]) -> None:
    """A JSON string is the text it stands for."""
    expected: list[Delta] = [TextDelta(text)]
    assert read(list(dumps(text))) == (expected, True, False, 0)


@pytest.mark.property
@given(DOCUMENTS)
def test_no_document_is_both_complete_and_malformed(document: str) -> None:
    """Anything at all gives deltas and at most one of the two conditions."""
    deltas, complete, malformed, calls = read([document])
    assert not (complete and malformed)
    assert calls == sum(isinstance(delta, CallStarted) for delta in deltas)
    if complete:
        for delta in deltas:
            if isinstance(delta, ArgumentsDelta):
                assert isinstance(json.loads(delta.fragment), dict)


def test_playbook_of_two_calls() -> None:
    """Deltas arrive as early as they can, and nothing around the arguments leaks."""
    reader = ToolReader(ANYTHING)
    conversation: list[tuple[str, list[Delta]]] = [
        (' [{"na', []),
        ('me": "get_', []),
        ("weather", []),
        ('"', [CallStarted(0, "get_weather")]),
        (', "arguments"', []),
        (": ", []),
        ("{", [ArgumentsDelta(0, "{")]),
        ('"city": "Os', [ArgumentsDelta(0, '"city": "Os')]),
        ('lo"}', [ArgumentsDelta(0, 'lo"}')]),
        ("}, ", []),
        (
            '{"name":"f","arguments":{"a":{"b":1}}} ',
            [CallStarted(1, "f"), ArgumentsDelta(1, '{"a":{"b":1}}')],
        ),
        ("]\n", []),
    ]
    for piece, expected in conversation:
        assert reader.feed(piece) == expected, piece
    assert reader.finish() == []
    assert (reader.complete, reader.malformed, reader.calls) == (True, False, 2)


def test_playbook_of_text() -> None:
    """The opening quote says that it is one; it flows as it is written, escapes wait for their end."""
    reader = ToolReader(ANYTHING)
    conversation: list[tuple[str, list[Delta]]] = [
        (' "', [TextDelta("")]),
        ("Hel", [TextDelta("Hel")]),
        ("lo\\", [TextDelta("lo")]),
        ("n\\ud83d", [TextDelta("\n")]),
        ("\\ude00!", [TextDelta("😀!")]),
        ('"', []),
    ]
    for piece, expected in conversation:
        assert reader.feed(piece) == expected, piece
    assert (reader.complete, reader.malformed, reader.calls) == (True, False, 0)


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ('"cut \\ud83d', [TextDelta("cut \ufffd")]),
        ('"cut \\', [TextDelta("cut ")]),
        ('[{"name":"get_', []),
        ('[{"name":"\\ud83d', []),
        ('[{"name":"f"', [CallStarted(0, "f")]),
        ('[{"name":"f","arguments":{"a":"b', [CallStarted(0, "f"), ArgumentsDelta(0, '{"a":"b')]),
        ("", []),
    ],
)
def test_a_document_cut_by_a_token_limit_is_incomplete(
    document: str, expected: list[Delta]
) -> None:
    """There is what there was, and no error."""
    deltas, complete, malformed, _ = read([document])
    assert (deltas, complete, malformed) == (expected, False, False)


@pytest.mark.parametrize(
    "document",
    [
        "plain",
        'X"text"',
        '{"name":"f","arguments":{}}',
        "[]",
        '[{"arguments":{},"name":"f"}]',
        '[{"na me":"f","arguments":{}}]',
        '[{"name":"f\n","arguments":{}}]',
        '[{"name":"unknown","arguments":{}}]',
        '[{"name":"f","arguments":[]}]',
        '[{"name":"f","arguments":{},"more":1}]',
        '[{"name":"f","arguments":{"a":01}}]',
        '[{"name":"f","arguments":{}}}]',
        '[{"name":"f","arguments":{}}] x',
        '[{"name":"f","arguments":{}},]',
        '"text" "text"',
        '"raw\ncontrol"',
    ],
)
def test_what_leaves_the_grammar_is_malformed(document: str) -> None:
    """A document that the grammar does not describe is no answer, and is said to be none."""
    deltas, complete, malformed, _ = read([document])
    assert (complete, malformed) == (False, True)
    assert all(each.fragment for each in deltas if isinstance(each, ArgumentsDelta))
    assert ToolReader(ANYTHING).feed("") == []


def test_nothing_is_read_after_malformed_text() -> None:
    """What was good is given out, nothing after it, however it is cut."""
    reader = ToolReader(ANYTHING)
    assert reader.feed('[{"name":"f","arguments":{"a":1,,"b":2}}]') == [
        CallStarted(0, "f"),
        ArgumentsDelta(0, '{"a":1,'),
    ]
    assert reader.feed('"b":3}}]') == []
    assert reader.finish() == []


def test_the_form_limits_what_is_read() -> None:
    """No text where a call is required, and no second call where one is asked for."""
    call = '{"name":"f","arguments":{}}'
    assert read(['"text"'], ONE)[2]
    assert read([f"[{call}]"], ONE)[1:] == (True, False, 1)
    assert read([f"[{call},{call}]"], ONE)[1:] == (False, True, 1)
