"""Event texts and whole texts, with tokenizers that mind what stands around a token."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorax_mock.prompt.decoding import Window, whole_text
from lorax_mock.prompt.tokenizer import builtin

_WORDS = ["\u2581Paris", "\u2581is", "s", "\u2581", "<s>", "</s>"]
"""Pieces as a SentencePiece vocabulary has them: the mark stands for a space."""


def _metaspace(tokens: Sequence[int]) -> str:
    """Drops the space in front of a text, as Llama 2's decoder does."""
    return "".join(_WORDS[token] for token in tokens).replace("\u2581", " ").removeprefix(" ")


def _without_special(tokens: Sequence[int]) -> str:
    return _metaspace([token for token in tokens if token < 4])


def test_a_leading_space_is_kept_because_of_what_stands_before() -> None:
    """The first token keeps its leading space, which it would lose if decoded alone."""
    window = Window(_metaspace, [4, 1])
    assert [window.feed(token) for token in (0, 1, 2)] == [" Paris", " is", "s"]
    assert whole_text(_without_special, [4, 1], [0, 1, 5]) == " Paris is"


def test_behind_a_special_token_the_whole_text_loses_its_leading_space() -> None:
    """Behind a special token the whole text lacks the leading space that the events have."""
    window = Window(_metaspace, [1, 4])
    assert window.feed(0) == " Paris"
    assert whole_text(_without_special, [1, 4], [0]) == "Paris"


def test_a_token_that_adds_nothing_is_an_empty_text() -> None:
    """A token that adds no text is an empty event, and only special tokens are an empty answer."""
    assert whole_text(_without_special, [1], [5]) == ""
    window = Window(lambda tokens: _metaspace(tokens).rstrip(" "), [1])
    assert [window.feed(token) for token in (3, 2)] == ["", " s"]


def test_looking_ahead_changes_nothing() -> None:
    """Peeking tells what a token would add and changes no later text."""
    tokenizer = builtin()
    first, second = tokenizer.encode("\U0001f600", special=False)
    for decoder in (tokenizer.decoder([]), Window(tokenizer.decode, [])):
        assert decoder.peek(second) == ""
        assert decoder.feed(first) == ""
        assert decoder.peek(second) == "\U0001f600"
        assert decoder.peek(first) == ""
        assert decoder.feed(second) == "\U0001f600"
        assert decoder.peek(second) == ""
        assert decoder.peek(tokenizer.encode("a", special=False)[0]) == "a"


@pytest.mark.parametrize(
    ("length", "flower", "kanji"),
    [
        (1, ["", "", "", "\U0001f338", "!"], ["", "", "\u4e16", "!"]),
        (2, ["", "", "", "", "\ufffd\ufffd!"], ["", "", "\u4e16", "!"]),
        (3, ["", "", "", "", "\ufffd!"], ["", "", "", "\ufffd!"]),
        (4, ["", "", "", "", "!"], ["", "", "", "!"]),
        (5, ["", "", "", "\U0001f338", "!"], ["", "", "\u4e16", "!"]),
    ],
)
def test_behind_a_short_prompt_the_window_moves_on(
    length: int, flower: list[str], kanji: list[str]
) -> None:
    """Behind a short prompt the window starts at a negative place and loses first bytes."""

    def decode(tokens: Sequence[int]) -> str:
        return bytes(tokens).decode("utf-8", "replace")

    prompt = [65] * length
    for text, shown in (("\U0001f338!", flower), ("\u4e16!", kanji)):
        window = Window(decode, prompt)
        assert [window.feed(byte) for byte in text.encode()] == shown
        assert whole_text(decode, prompt, list(text.encode())) == text


@pytest.mark.property
@given(prompt=st.text(max_size=12), answer=st.text(max_size=20), other=st.integers(0, 5000))
def test_the_short_way_finds_what_the_window_finds(prompt: str, answer: str, other: int) -> None:
    """The built-in decoder gives the window's texts, also inside characters."""
    tokenizer = builtin()
    before = tokenizer.encode(prompt)
    plain, window = tokenizer.decoder(before), Window(tokenizer.decode, before)
    for token in tokenizer.encode(answer, special=False):
        assert plain.feed(token) == window.feed(token)
        assert plain.peek(other) == window.peek(other)
