"""`lorax_proxy.core.schema.patterns`: patterns on strings become patterns on their JSON text."""

import json
import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from lorax_proxy.core.schema.patterns import fits, literal, translate, wide_places
from lorax_proxy.core.schema.regex_tree import parse

# pattern -> texts that match it, texts that do not
READ: dict[str, tuple[list[str], list[str]]] = {
    "^[A-Z]{2,3}-\\d+$": (["AB-1", "ABC-12"], ["A-1", "AB-", "ab-1", "xAB-1"]),
    "abc": (["abc", "xabcx", "\nabc\n", '"abc\\'], ["ab", ""]),
    'a|"b"': (["a", 'say "b" twice'], ["b", '"']),
    "^\\S+@\\S+$": (["a@b", 'é"@\\'], ["a b@c", "a@", "\n@x"]),
    "^[^,\\n]+$": (["a b", '"', "\t"], ["a,b", "a\nb", ""]),
    "^(\\d{3}-)?\\d{4}$": (["555-1234", "1234"], ["5-1234"]),
    "^\\\\w\\t$": (["\\w\t"], ["w\t", "\\w\\t"]),
    "^a$|^b": (["a", "b", "bc"], ["ac", "ab"]),
    "^$": ([""], ["a"]),
    "^.$": (["a", '"', "é", "\t", "\\"], ["\n", "ab"]),
    "^[\\w.-]+$": (["a.b-c_1"], ["a b", "é"]),
    "^(?:x|yz)+?$": (["x", "xyz"], ["y"]),
    "^(?P<year>\\d{4})$": (["2024"], ["24"]),
    "^[é\\u00e8]$": (["é", "è"], ["e"]),
    "^\\x41\\.$": (["A."], ["Ax"]),
    "^a\\/b$": (["a/b"], ["ab"]),
    "^a{0}b$": (["b"], ["ab"]),
}
UNREAD = [
    "(?=a)",
    "(?!a)b",
    "(?<=a)b",
    "(a)\\1",
    "\\bword",
    "\\p{L}",
    "(?i)a",
    "[",
    "(",
    "a)",
    "a**",
    "+a",
    "a{2",
    "a{3,2}",
    "x^a",
    "a$b",
    "[z-a]",
    "[a[b]]",
    "[]",
    "\\",
    "\\u12",
    "\\cA",
    "[\\u4e00-\\u9fff]",
    "^.{1,100}$",
    "^\\w{1,50}$",
    "^(a{1,30}){1,30}$",
    "(a|b)*a(a|b){12}",
    "^a{1001}$",
    "(" * 30 + ")" * 30,
]


def accepts(translated: str, text: str, *, ascii_only: bool = False) -> bool:
    """Whether LoRAX would let a model write this text under a translated pattern."""
    spelled = json.dumps(text, ensure_ascii=ascii_only)
    return re.fullmatch(f'"{translated[1:-1]}"', spelled) is not None


@pytest.mark.parametrize("pattern", READ)
def test_a_pattern_admits_what_it_describes(pattern: str) -> None:
    """Escapes in the JSON text count as the characters they stand for."""
    translated = translate(pattern)
    assert translated is not None
    good, bad = READ[pattern]
    assert [text for text in good if not accepts(translated, text)] == []
    assert [text for text in bad if accepts(translated, text)] == []


@pytest.mark.parametrize("pattern", UNREAD)
def test_a_pattern_without_a_form_gives_none(pattern: str) -> None:
    """What engines disagree about, or what makes too large an automaton, is not guessed at."""
    assert translate(pattern) is None


@pytest.mark.parametrize("pattern", [*READ, '^"$', "^\\s$", "^[\\x00-\\x20]$", "^[^a]$"])
def test_a_translation_never_leaves_the_string(pattern: str) -> None:
    """No raw quote, raw control character or lone backslash can be written under it."""
    translated = translate(pattern)
    assert translated is not None
    for text in ['"', "\\", "\n", "\x00", "\x1f", "\t", '\\"\n', "\\x"]:
        assert not re.fullmatch(translated[1:-1], text), text


PIECES = st.sampled_from(
    [
        "a",
        "b",
        '"',
        "\\\\",
        ".",
        "\\n",
        "\\d",
        "[ab]",
        '[^a"]',
        "(a|b)",
        "(?:a\\t)?",
        "b*",
        "a+",
        "[\\s\\S]",
    ]
)


@pytest.mark.property
@given(
    st.lists(PIECES, min_size=1, max_size=5),
    st.sampled_from(["", "^"]),
    st.sampled_from(["", "$"]),
    st.text(st.sampled_from('ab"\\\n\t1é'), max_size=6),
)
def test_translated_and_original_agree(pieces: list[str], start: str, end: str, text: str) -> None:
    """On the JSON text of a string the translation says what the pattern says of the string."""
    inner = "".join(pieces)
    translated = translate(start + inner + end)
    assume(translated is not None)
    assert translated is not None
    # Python's `$` also matches before a last line break, ECMA-262's does not.
    expected = re.search(start + inner + (r"\Z" if end else ""), text) is not None
    assert accepts(translated, text) == expected


def test_a_known_text_is_judged() -> None:
    """By patterns that are read and not too large; of others nothing is known."""
    assert fits("^a+$", "aa") is True
    assert fits("b", "aa") is False
    assert fits("(?=a)", "a") is None
    assert fits("(a{100}){100}", "a") is None


@pytest.mark.parametrize("text", ["", "a", 'é"\\|', "\n\t\x01\x7f", "a.b*(c)-d", "😀"])
def test_a_literal_is_its_own_json_text(text: str) -> None:
    """Metacharacters stand for themselves, and what JSON escapes is escaped."""
    spelled = json.dumps(text, ensure_ascii=False)[1:-1]
    assert re.fullmatch(literal(text), spelled)
    assert parse(f"^(?:{literal(text)})$") is not None


def test_wide_places_are_counted_as_they_are_written_out() -> None:
    """Nearly every token fits what is excluded from little; few fit a digit."""
    branches = parse("^(?:[^a]{3}[0-9]|.*x|[a-z]){2}$")
    assert branches is not None
    assert wide_places(branches[0].inner) == 2 * (3 + 1 + 1)
