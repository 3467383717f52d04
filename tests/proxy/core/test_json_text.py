"""`lorax_proxy.core.json_text`: strings decoded and objects bounded, in pieces of any size."""

import json
from collections.abc import Callable
from functools import partial
from itertools import product
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lorax_proxy.core.json_text import ObjectScanner, StringReader

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=10,
)
OBJECTS = st.dictionaries(TEXTS, VALUES, max_size=4)
SPELLINGS = st.sampled_from([json.dumps, partial(json.dumps, ensure_ascii=False)])
JSONISH = st.text(st.sampled_from('{}[]",:\\ud83e0-19.+E \ntruefalsn/"b'), max_size=40)


def cuts(text: str) -> st.SearchStrategy[list[str]]:
    """A text in pieces."""
    return st.lists(st.integers(0, len(text)), max_size=6).map(
        lambda places: [
            text[a:b]
            for a, b in zip([0, *sorted(places)], [*sorted(places), len(text)], strict=True)
        ]
    )


def read_string(pieces: list[str]) -> tuple[str, bool, bool]:
    """What a reader makes of a string's inside, the closing quote included."""
    reader = StringReader()
    decoded = "".join(reader.feed(piece)[0] for piece in pieces) + reader.finish()
    return decoded, reader.closed, reader.malformed


def scan(pieces: list[str]) -> tuple[str, bool, bool]:
    """What a scanner takes for the object, and how it ended."""
    scanner = ObjectScanner()
    taken = ""
    for piece in pieces:
        end = scanner.feed(piece)
        taken += piece[:end]
        if scanner.done or scanner.malformed:
            break
    return taken, scanner.done, scanner.malformed


@pytest.mark.property
@given(st.data(), TEXTS, SPELLINGS)
def test_strings_are_decoded_as_json_decodes_them(
    data: st.DataObject, text: str, dumps: Callable[..., str]
) -> None:
    """However it is escaped and cut, a string decodes to what it stands for."""
    spelled = dumps(text)[1:]
    assert read_string(data.draw(cuts(spelled))) == (text, True, False)


@pytest.mark.property
@given(st.data(), JSONISH)
@example(None, '\\ud83d\\ude00"')
@example(None, '\\ud83d\\ud83d\\ude00"')
def test_cutting_a_string_changes_nothing(data: st.DataObject | None, text: str) -> None:
    """Well-formed or not, pieces give what the whole gives."""
    pieces = list(text) if data is None else data.draw(cuts(text))
    assert read_string(pieces) == read_string([text])


@pytest.mark.parametrize(
    ("spelled", "decoded"),
    [
        ('\\ud83d\\ude00"', "😀"),
        ('\\ud83d"', "\ufffd"),
        ('\\ude00"', "\ufffd"),
        ('\\ud83dx"', "\ufffdx"),
        ('\\ud83d\\n"', "\ufffd\n"),
        ('\\ud83d\\u0041"', "\ufffdA"),
        ('\\ud83d\\ud83d\\ude00"', "\ufffd😀"),
        ('\\uDBFF\\uDFFF"', "\U0010ffff"),
        ('\\ud800\\udc00"', "\U00010000"),
        ('\\ud800"', "\ufffd"),
        ('\\udbff"', "\ufffd"),
        ('\\udc00\\udc00"', "\ufffd\ufffd"),
        ('\\udfff"', "\ufffd"),
        ('\\ud83d\\ue000"', "\ufffd\ue000"),
        ('\\ud7ff\\ue000"', "\ud7ff\ue000"),
        ('\\"\\\\\\/\\b\\f\\n\\r\\t"', '"\\/\b\f\n\r\t'),
    ],
)
def test_escapes(spelled: str, decoded: str) -> None:
    """Pairs make one character, a surrogate alone the replacement character."""
    assert read_string(list(spelled)) == (decoded, True, False)


@pytest.mark.parametrize("spelled", ["\n", "\x1f", "\x00", "\\x41", "\\u00g0", "\\u00X0", "\\'"])
def test_what_json_forbids_in_a_string_is_malformed(spelled: str) -> None:
    """Raw controls and unknown escapes end the reading."""
    assert read_string(["a", spelled, 'b"']) == ("a", False, True)


def test_characters_are_given_out_at_once() -> None:
    """Only an escape in progress, and a high surrogate, is held back."""
    reader = StringReader()
    given_out = [reader.feed(character)[0] for character in 'a\\n\\ud83d\\ude00b"']
    assert given_out == ["a", "", "\n", *[""] * 11, "😀", "b", ""]


def test_a_cut_string_ends_with_what_was_held_back() -> None:
    """A high surrogate that nothing followed is the replacement character; half an escape is not."""
    assert read_string(["a\\ud83d"]) == ("a\ufffd", False, False)
    assert read_string(["a\\ud8"]) == ("a", False, False)
    reader = StringReader()
    reader.feed("\\ud83d")
    assert (reader.finish(), reader.finish()) == ("\ufffd", "")


def test_a_string_says_where_it_stopped() -> None:
    """The place behind the closing quote, and nothing read after it."""
    reader = StringReader()
    assert reader.feed('[["ab", 1', 3) == ("ab", 6)
    assert reader.closed
    assert reader.feed("more") == ("", 0)
    # what was held back is out before the string is closed
    assert StringReader().feed('\\ud83d"') == ("\ufffd", 7)
    # and what is malformed is not behind it
    assert StringReader().feed("ab\nc") == ("ab", 2)
    assert StringReader().feed("ab\\xc") == ("ab", 3)
    assert StringReader().feed("ab\\u0x") == ("ab", 5)


@pytest.mark.property
@given(st.data(), OBJECTS, st.sampled_from([None, 1, "\t"]), SPELLINGS, st.text(max_size=5))
def test_an_object_ends_at_its_closing_brace(
    data: st.DataObject,
    value: dict[str, Any],
    indent: int | str | None,
    dumps: Callable[..., str],
    rest: str,
) -> None:
    """Whatever it holds and however it is laid out, exactly the object is taken."""
    text = dumps(value, indent=indent)
    assert scan(data.draw(cuts(text + rest))) == (text, True, False)


@pytest.mark.property
@given(st.data(), JSONISH.map(lambda text: "{" + text))
@example(None, '{"a":01}')
@example(None, '{"a":1.}')
@example(None, '{"a":-}')
@example(None, '{"a":[1,]}')
@example(None, "{,}")
@example(None, '{"a":1,}')
@example(None, '{"a":truex}')
@example(None, '{"a":1e5,"b":-0.0E+7}')
def test_done_means_json(data: st.DataObject | None, text: str) -> None:
    """What is taken to the end is one JSON object, and a JSON object is taken to its end."""
    pieces = list(text) if data is None else data.draw(cuts(text))
    assert scan(pieces) == scan([text])
    taken, done, malformed = scan([text])
    assert not (done and malformed)
    try:
        value, end = json.JSONDecoder(parse_constant=_no_constants).raw_decode(text)
    except ValueError:
        assert not done
    else:
        assert isinstance(value, dict)
        assert (taken, done) == (text[:end], True)


def _no_constants(name: str) -> Any:
    """NaN and Infinity are Python's, not JSON's."""
    raise ValueError(name)


@pytest.mark.parametrize("text", ["[", '"', " {", "1", "x", "}"])
def test_what_is_no_object_is_malformed_at_once(text: str) -> None:
    """An object begins with its brace; space before it is not its own."""
    assert scan([text]) == ("", False, True)


@pytest.mark.parametrize(
    "value",
    [
        '"\\u00"',
        '"\\u00g0"',
        '"\\u00X0"',
        '"\\x"',
        '"\n"',
        "X",
        "1X",
        "-X",
        "nul",
        "nulL",
        "tru1",
        "01",
    ],
)
def test_values_that_are_none(value: str) -> None:
    """An object is malformed where one of its values is, and no character later."""
    text = f'{{"a":{value}}}'
    taken, done, malformed = scan([text])
    assert (done, malformed) == (False, True)
    assert text.startswith(taken)
    assert len(taken) < len(text)


@pytest.mark.parametrize(
    ("text", "done"),
    [
        (r'{"\u00e9": "\uD83D\ude00"}', True),
        (r'{"a": "\\u00"}', True),
        (r'{"a": "\"}', False),
    ],
)
def test_escapes_inside_objects(text: str, *, done: bool) -> None:
    """Four digits make one, and an escaped quote ends nothing."""
    assert scan([text]) == (text, done, False)


def test_a_cut_object_is_neither_done_nor_malformed() -> None:
    """What a token limit leaves behind is only unfinished."""
    assert scan(['{"a": [1, "x']) == ('{"a": [1, "x', False, False)


def test_numbers_are_exactly_json_numbers() -> None:
    """Every text of up to five characters that numbers are made of, against Python's reader."""
    for length in range(1, 6):
        for characters in product("01.e+-", repeat=length):
            number = "".join(characters)
            try:
                json.loads(number)
            except ValueError:
                expected = False
            else:
                expected = True
            assert scan([f'{{"a":{number}}}'])[1] == expected, number
