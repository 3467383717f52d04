"""`lorax_proxy.core.schema.strings`: what can be written between two quotes."""

import ipaddress
import json
import re
import uuid
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from lorax_proxy.core.schema.strings import CHARACTER, FORMATS, Spelling, counted, free

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


def admits(pattern: str, spelled: str) -> bool:
    """Whether a JSON text can be written under a pattern, as LoRAX's compiler reads it."""
    return re.fullmatch(f'"{pattern[1:-1]}"', spelled) is not None


@pytest.mark.property
@given(TEXTS, st.sampled_from(list(Spelling)))
def test_every_string_can_be_written(text: str, spelling: Spelling) -> None:
    """With raw characters at every level, with all escapes at the first."""
    raw = "".join(
        character if character >= " " or character in "\b\f\n\r\t" else "" for character in text
    )
    assert admits(free(spelling), json.dumps(raw, ensure_ascii=False))
    assert admits(free(Spelling.FULL), json.dumps(text))


@pytest.mark.property
@given(st.text(st.sampled_from('a"\\\n\x00\x1fud83de0bfnrt/é'), max_size=14))
def test_nothing_but_a_json_string_can_be_written(inside: str) -> None:
    """Whatever is admitted decodes, without half a surrogate pair in it."""
    spelled = f'"{inside}"'
    for spelling in Spelling:
        if admits(free(spelling), spelled):
            json.loads(spelled).encode()


@pytest.mark.parametrize(
    ("spelled", "admitted"),
    [
        ('"\\u00e9"', [True, True, False]),
        ('"\\ud83d\\ude00"', [True, False, False]),
        ('"\\n\\"\\\\\\/"', [True, True, True]),
        ('"\\ud83d"', [False, False, False]),
        ('"\\ude00\\ud83d"', [False, False, False]),
        ('"\\u00g0"', [False, False, False]),
    ],
)
def test_spellings_differ_in_their_escapes(spelled: str, admitted: list[bool]) -> None:
    r"""From all of JSON's, over \u without surrogates, to the short ones."""
    assert [admits(free(spelling), spelled) for spelling in Spelling] == admitted


@pytest.mark.parametrize(
    ("least", "most", "admitted"),
    [
        (0, None, ["", "a", "😀\n", "aaaaa"]),
        (1, None, ["a", "😀\n", "aaaaa"]),
        (2, None, ["😀\n", "aaaaa"]),
        (2, 4, ["😀\n"]),
        (0, 1, ["", "a"]),
        (0, 0, [""]),
    ],
)
def test_characters_are_counted_as_code_points(
    least: int, most: int | None, admitted: list[str]
) -> None:
    """An escape is one character, and so is one beyond the first plane."""
    pattern = counted(least, most, Spelling.FULL)
    texts = ["", "a", "😀\n", "aaaaa"]
    assert [
        text for text in texts if admits(pattern, json.dumps(text, ensure_ascii=False))
    ] == admitted


# format -> what parses it, what it admits, what it does not
FORMAT_CASES: dict[str, tuple[Callable[[str], Any], list[str], list[str]]] = {
    "date": (
        TypeAdapter(date).validate_python,
        ["2024-02-29", "1999-12-31", "2000-02-29"],
        ["2023-02-29", "1900-02-29", "2024-13-01", "0999-01-01", "2024-04-31"],
    ),
    "time": (
        TypeAdapter(time).validate_python,
        ["12:00:00Z", "23:59:59.123+02:00"],
        ["24:00:00Z", "12:00:00", "12:00Z"],
    ),
    "date-time": (
        TypeAdapter(datetime).validate_python,
        ["2024-02-29T12:00:00Z", "2024-01-01T00:00:00.5-11:30"],
        ["2024-01-01", "2024-01-01 00:00:00Z", "2024-01-01T00:00:00"],
    ),
    "duration": (TypeAdapter(timedelta).validate_python, ["P3W", "P1DT2H", "PT5M"], ["P", "1D"]),
    "uuid": (uuid.UUID, ["123e4567-e89b-12d3-a456-426614174000"], ["123e4567"]),
    "email": (str, ["a.b+c@d-e.example.org"], ["a@b", "@b.cd", "a..b@c.de", "a b@c.de"]),
    "ipv4": (ipaddress.IPv4Address, ["0.0.0.0", "255.1.20.3"], ["256.0.0.1", "01.1.1.1", "1.1.1"]),
    "ipv6": (ipaddress.IPv6Address, ["2001:db8:0:0:0:0:0:1"], ["::g", "1:2:3"]),
}


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_admits_only_what_parses(name: str) -> None:
    """Real dates, whole times, addresses as frameworks read them."""
    parse, good, bad = FORMAT_CASES[name]
    for text in good:
        assert admits(FORMATS[name], json.dumps(text)), text
        parse(text)
    assert [text for text in bad if admits(FORMATS[name], json.dumps(text))] == []


@pytest.mark.parametrize(
    "pattern", [*(free(each) for each in Spelling), counted(1, 3, Spelling.FULL), *FORMATS.values()]
)
def test_a_pattern_is_anchored_and_one_group(pattern: str) -> None:
    """The compiler takes the anchors off and adds quotes: an alternative outside would lose one."""
    assert pattern.startswith("^(?:")
    assert pattern.endswith("$")
    assert re.fullmatch(f'"{pattern[1:-1]}"', "x") is None
    assert re.fullmatch(f'"{pattern[1:-1]}"', '"') is None


def test_every_spelling_has_its_characters() -> None:
    """The table is complete."""
    assert set(CHARACTER) == set(Spelling)
