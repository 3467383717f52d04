"""Who speaks, and of what."""

from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorax_mock.hashing import Draws
from lorax_mock.model.personas import VOICES, Persona, topic_of


@pytest.mark.parametrize(
    "prompt",
    [
        "What is a reef?",
        (
            "<|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|><|start_header_id|>user"
            "<|end_header_id|>\n\nWhat is a reef?<|eot_id|><|start_header_id|>assistant"
            "<|end_header_id|>\n\n"
        ),
        (
            "<|im_start|>user\nold<|im_end|>\n<|im_start|>user\nWhat is a reef?<|im_end|>\n"
            "<|im_start|>assistant\n"
        ),
        "<s>[INST] What is a reef? [/INST]",
        "<start_of_turn>user\nWhat is a reef?<end_of_turn>\n<start_of_turn>model\n",
    ],
)
def test_the_topic_is_the_last_user_turn(prompt: str) -> None:
    """The topic is the last user turn in the templates of known families."""
    assert topic_of(prompt) == '"What is a reef"'


def test_a_long_topic_is_shortened() -> None:
    """A long topic is cut to a few words with a sign that there was more."""
    assert topic_of("one two three four five six seven eight nine") == (
        '"one two three four five six seven eight…"'
    )
    assert topic_of(" \n") == "nothing in particular"


@pytest.mark.property
@given(prompt=st.text(), voice=st.sampled_from(sorted(VOICES)), sampled=st.booleans())
def test_a_persona_always_names_itself_and_always_ends(
    prompt: str, voice: str, *, sampled: bool
) -> None:
    """For any prompt a persona's name comes first, and one of its sentences is the last."""
    persona = Persona("org/name", (VOICES[voice],))
    said = list(islice(persona.speak(prompt, Draws(b"k", "t"), sampled=sampled), 8))
    assert "org/name" in said[0][0]
    assert [done for _, done in said].count(True) == 1
    assert "<|eot_id|>" not in "".join(text for text, _ in said)


def test_a_merge_speaks_in_turn() -> None:
    """A merge speaks with the voices of all its members in turn."""
    both = Persona("a + b", (VOICES["pirate"], VOICES["sql"]))
    said = [text for text, _ in islice(both.speak("x", Draws(b"k", "t"), sampled=False), 5)]
    assert any(text.strip() in VOICES["pirate"].sentences for text in said)
    assert any(text.strip() in VOICES["sql"].sentences for text in said)
