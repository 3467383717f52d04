"""Vectors and entities."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorax_mock.model.encoders import Entity, embedding, encode_embedding, encode_entities, entities


def _cosine(first: str, second: str) -> float:
    pairs = zip(embedding(first, "", 0), embedding(second, "", 0), strict=True)
    return sum(one * other for one, other in pairs)


@pytest.mark.property
@given(st.text(max_size=30))
def test_vectors_are_unit_and_fixed(text: str) -> None:
    """An embedding is a unit vector of 384 numbers, the same each time."""
    vector = embedding(text, "", 0)
    assert len(vector) == 384
    assert math.isclose(sum(value * value for value in vector), 1, rel_tol=1e-5)
    assert embedding(text, "", 0) == vector


def test_texts_that_share_words_are_near() -> None:
    """Texts that share words have nearer vectors than texts that share none."""
    assert _cosine("a red boat", "the red boat") > 0.5 > _cosine("a red boat", "salt and pepper")
    assert embedding("a", "", 0) != embedding("a", "", 1) != embedding("a", "other", 1)


def test_entities_are_grouped_as_the_router_groups() -> None:
    """Entities count bytes, are in lower case, and runs of plain words are group 0 after the first entity."""
    found = entities("é Ada Lovelace met Bob here", 0)
    assert [(one.word, one.start, one.end) for one in found] == [
        ("ada lovelace", 3, 15),
        ("met", 16, 19),
        ("bob", 20, 23),
        ("here", 24, 28),
    ]
    assert [one.entity_group == "0" for one in found] == [False, True, False, True]
    assert entities("all lower case", 0) == []


def test_the_first_entitys_score_forgets_its_first_token() -> None:
    """The first entity's score lacks its first token, because the router clears its list when an entity ends."""
    whole = entities("Ada Lovelace", 0)[0]
    assert whole.score == entities("Lovelace", 0)[0].score
    second = entities("Bob x Ada Lovelace", 0)[2]
    alone = (entities("Ada", 0)[0].score, whole.score)
    assert second.score == sum(alone) / 2


def test_only_ascii_is_lowered() -> None:
    """Words of entities are lowered in ASCII alone."""
    assert entities("ÉDITH Piaf", 0)[0].word == "Édith piaf"


def test_encodings() -> None:
    """Vectors are bare lists of the shortest 32-bit floats, and entities bare lists of objects."""
    assert encode_embedding([0.1, -1.0]) == b"[0.1,-1.0]"
    assert encode_entities([Entity("PER", 0.5, "x", 0, 1)]) == (
        b'[{"entity_group":"PER","score":0.5,"word":"x","start":0,"end":1}]'
    )
