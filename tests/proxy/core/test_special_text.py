"""Special tokens in a client's text: split, refused or allowed, wherever they stand."""

from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorax_proxy.core.special_text import SpecialText, SpecialTextFound
from lorax_proxy.core.template.families import BUILTIN_TOKENS

LLAMA = ("<|begin_of_text|>", "<|eot_id|>", "<|start_header_id|>", "<|end_header_id|>")
AWKWARD = ("<s>", "</s>", "<<s>", "aab", "aba", "<s></s>", "[INST]", "a", "\n\n", "", "ab")
PIECES = ("<|eot_id|>", "<|begin_", "of_text|>", "<s>", "</s>", "<", "s>", "a", "b", " ", "[INST]")
TEXT = st.text() | st.lists(st.sampled_from(PIECES), max_size=12).map("".join)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


def texts_of(value: Any) -> list[str]:
    """Every text in a JSON value, keys included."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [t for pair in value.items() for part in pair for t in texts_of(part)]
    if isinstance(value, list):
        return [t for item in value for t in texts_of(item)]
    return []


@pytest.mark.parametrize(
    ("text", "split"),
    [
        ("a<|eot_id|>b", "a< |eot_id|>b"),
        ("<|eot_id|><|eot_id|>", "< |eot_id|>< |eot_id|>"),
        ("<|eot_id|", "<|eot_id|"),
        ("<|<|eot_id|>eot_id|>", "<|< |eot_id|>eot_id|>"),
    ],
)
def test_a_space_goes_in_after_the_first_character(text: str, split: str) -> None:
    """The tokenizer no longer knows the spelling; the model reads on."""
    assert SpecialText(LLAMA, "split").guard(text, "x") == split


def test_overlapping_spellings_are_split_one_after_another() -> None:
    """Breaking the first leaves the second, which is broken in its turn."""
    assert SpecialText(("aab", "aba"), "split").guard("aaba", "x") == "a a ba"


def test_the_separator_is_in_no_spelling() -> None:
    """Where a spelling has a space of its own, something else goes in."""
    assert SpecialText(("<a b>", "< a"), "split").guard("<a b>", "x") == "<\u200ba b>"


def test_refusing_names_the_place_and_the_token() -> None:
    """The path is the one that the client wrote to."""
    messages = [{"role": "user", "content": "x"}, {"role": "user", "odd key": ["<s></s>"]}]
    with pytest.raises(SpecialTextFound) as caught:
        SpecialText(AWKWARD, "refuse").guard(messages, "messages")
    assert caught.value.path == "messages[1]['odd key'][0]"
    assert caught.value.spelling == "<s></s>"
    assert "messages[1]['odd key'][0] contains '<s></s>'" in str(caught.value)


def test_keys_are_texts_too() -> None:
    """A tool's parameter can spell a token."""
    assert SpecialText(LLAMA, "split").guard({"<|eot_id|>": 1}, "x") == {"< |eot_id|>": 1}
    with pytest.raises(SpecialTextFound, match="x contains"):
        SpecialText(LLAMA, "refuse").guard({"<|eot_id|>": 1}, "x")


@pytest.mark.parametrize("spelling", ["a", " ", "\n\n\n", ""])
def test_single_characters_and_white_space_are_text(spelling: str) -> None:
    """They cannot be split, and refusing them would refuse everything."""
    guard = SpecialText((spelling,), "refuse")
    assert guard.spellings == ()
    assert guard.guard(f"x{spelling}y", "x") == f"x{spelling}y"


@pytest.mark.parametrize("name", sorted(BUILTIN_TOKENS))
def test_every_token_of_a_built_in_is_seen_in_whole(name: str) -> None:
    """Also where hundreds of them begin alike, or one is the beginning of another."""
    spellings = BUILTIN_TOKENS[name].spellings
    for spelling in spellings:
        with pytest.raises(SpecialTextFound) as caught:
            SpecialText(spellings, "refuse").guard(f"x{spelling}y", "x")
        assert caught.value.spelling == spelling


@pytest.mark.property
@given(JSON, st.sampled_from([LLAMA, AWKWARD]))
def test_nothing_spells_a_special_token_after_a_split(value: Any, known: tuple[str, ...]) -> None:
    """Not even where spellings overlap or lie inside one another; and again changes nothing."""
    special = SpecialText(known, "split")
    split = special.guard(value, "x")
    assert not [t for t in texts_of(split) for s in special.spellings if s in t]
    assert special.guard(split, "x") == split


@pytest.mark.property
@given(TEXT, st.sampled_from([LLAMA, AWKWARD]))
def test_a_split_only_adds_spaces(text: str, known: tuple[str, ...]) -> None:
    """What the client wrote is all there, in order."""
    split = SpecialText(known, "split").guard(text, "x")
    assert split.replace(" ", "") == text.replace(" ", "")


@pytest.mark.property
@given(JSON, st.sampled_from([LLAMA, AWKWARD]), st.sampled_from(["split", "refuse"]))
def test_what_spells_nothing_is_untouched(value: Any, known: tuple[str, ...], policy: Any) -> None:
    """Under every policy; and where something is spelled, refusing refuses."""
    special = SpecialText(known, policy)
    if not [t for t in texts_of(value) for s in special.spellings if s in t]:
        assert special.guard(value, "x") is value
    elif policy == "refuse":
        with pytest.raises(SpecialTextFound):
            special.guard(value, "x")


def test_any_mapping_and_sequence_is_looked_into() -> None:
    """Tuples and read-only mappings hold texts too."""
    value = MappingProxyType({"a": ("b", MappingProxyType({"c": "<s>"}))})
    assert SpecialText(("<s>",), "split").guard(value, "x") == {"a": ["b", {"c": "< s>"}]}


@pytest.mark.property
@given(JSON)
def test_allowing_passes_everything(value: Any) -> None:
    """Some clients write their own control tokens."""
    assert SpecialText(AWKWARD, "allow").guard(value, "x") is value
