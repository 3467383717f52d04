"""The built-in vocabulary."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lorax_mock.prompt.tokenizer import builtin
from lorax_mock.prompt.vocabulary import SPECIAL

texts = st.lists(st.text(max_size=8) | st.sampled_from([*SPECIAL, "<|", "|>", "A b"])).map("".join)
"""Any texts, with spellings of special tokens among them."""


@pytest.mark.property
@given(texts)
@example("👩‍🚀 naïve 日本語 ﷽ \r\n\t _a_ 12345")
@example("<|eot_id|><|nope|><|")
def test_any_text_survives_the_round_trip(text: str) -> None:
    """Encoding and decoding give the text back, special spellings included."""
    tokenizer = builtin()
    assert tokenizer.decode(tokenizer.encode(text, special=False)) == text


@pytest.mark.property
@given(texts)
def test_pieces_cover_the_text_in_order(text: str) -> None:
    """Character offsets of pieces start at 0, never go back, and end at the length."""
    pieces = builtin().tokenize(text, special=False)
    ends = [piece.stop for piece in pieces]
    assert ends == sorted(ends)
    assert (ends[-1] if ends else 0) == len(text)
    assert [piece.id for piece in pieces] == builtin().encode(text, special=False)


@pytest.mark.property
@given(texts.filter(lambda text: "\ufffd" not in text))
def test_event_texts_join_to_the_text(text: str) -> None:
    """The joined event texts are the text, with late characters whole."""
    tokenizer = builtin()
    feed = tokenizer.decoder([]).feed
    assert "".join(map(feed, tokenizer.encode(text, special=False))) == text


@pytest.mark.property
@given(texts, texts)
@example("", "<|eot_id|>")
@example("abcde", "x")
@example("abcdef😀", "😀")
def test_texts_of_many_tokens_are_those_of_each(prompt: str, text: str) -> None:
    """Tokens fed together give the texts that they give one by one, and so do those that follow."""
    tokenizer = builtin()
    ids = tokenizer.encode(text, special=False)
    before = tokenizer.encode(prompt, special=False)
    # also from the middle of a character on
    for cut in range(len(before) + 1):
        together, singly = (tokenizer.decoder(before[:cut]) for _ in range(2))
        for part in (before[cut:], ids, ids):
            assert together.feed_all(part) == [singly.feed(token) for token in part]


def test_one_character_over_several_tokens_comes_with_the_last() -> None:
    """An emoji over several tokens gives empty texts first, then itself."""
    tokenizer = builtin()
    tokens = tokenizer.encode("😀", special=False)
    feed = tokenizer.decoder([]).feed
    assert [feed(token) for token in tokens] == ["", "😀"]


def test_a_broken_character_is_shown_once_something_follows() -> None:
    """Bytes that can no longer become a character appear as U+FFFD with the next text."""
    tokenizer = builtin()
    half = tokenizer.encode("😀", special=False)[0]
    letter = tokenizer.encode("a", special=False)[0]
    feed = tokenizer.decoder([]).feed
    assert [feed(half), feed(letter)] == ["", "\ufffda"]


def test_special_spellings_in_a_prompt_become_special_tokens() -> None:
    """Special spellings in a prompt become special tokens, for which LoRAX has no escape."""
    tokenizer = builtin()
    assert tokenizer.encode("<|eot_id|>") == [SPECIAL["<|begin_of_text|>"], SPECIAL["<|eot_id|>"]]
    assert tokenizer.is_special(SPECIAL["<|eot_id|>"])


def test_tokenize_shows_raw_pieces() -> None:
    """Pieces show a leading space, and the added BOS has no place in the text."""
    pieces = builtin().tokenize("Hello world")
    assert [(piece.text, piece.start, piece.stop) for piece in pieces] == [
        ("<|begin_of_text|>", 0, 0),
        ("Hello", 0, 5),
        ("Ġworld", 5, 11),
    ]


@pytest.mark.property
@given(st.text(max_size=30), st.sampled_from(sorted(SPECIAL)))
def test_special_spellings_may_be_ordinary_text(text: str, name: str) -> None:
    """Plain encoding gives the whole text back, and no id is special or past the model's last."""
    tokenizer = builtin()
    plain = tokenizer.encode_plain(f"{text}{name}{text}")
    assert tokenizer.decode(plain) == f"{text}{name}{text}"
    assert max(plain) < tokenizer.size() < max(SPECIAL.values()) < tokenizer.logits()
