"""Personas: the base model, each adapter and each merge speak so that a text tells which of them it is from.

A persona turns a prompt into an endless row of sentences. The first names the speaker, so that an
answer from the wrong adapter shows in the text itself, and takes up words of the prompt, so that a
person sees a conversation. Which sentences come, and how many before the speaker is done, are
draws; a longer budget therefore never changes what a shorter one already said.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from lorax_mock.hashing import Draws

__all__ = ["VOICES", "Persona", "Voice", "topic_of"]


@dataclass(frozen=True, slots=True)
class Voice:
    """Sentence templates; `{name}` and `{topic}` are filled in."""

    openings: tuple[str, ...]
    sentences: tuple[str, ...]
    joint: str = " "
    """What stands between sentences."""


VOICES: Final[dict[str, Voice]] = {
    "base": Voice(
        openings=(
            "This is {name} without an adapter. You asked about {topic}.",
            "Here is {name} speaking, no adapter loaded, on {topic}.",
            "{name}, the plain base model, has a word on {topic}.",
        ),
        sentences=(
            "It is a good question, and the short answer is that it depends.",
            "A model without an adapter knows a little about everything.",
            "There are three things to keep in mind, and the first is to read the text again.",
            "In general the simple way is the right one, and it is easy to test.",
            "Name an adapter and you will hear the difference at once.",
            "The same words come every time, because nothing here is left to chance.",
            "Some would say more, but this much should help you on your way.",
            "If that is not clear, ask once more with an example.",
        ),
    ),
    "adapter": Voice(
        openings=(
            "{name} answers: let us look at {topic}.",
            "You have reached {name}, and the matter is {topic}.",
            "{name} here, with a few words about {topic}.",
        ),
        sentences=(
            "This adapter was trained on exactly this kind of question.",
            "The low rank is small, but the difference it makes is not.",
            "First find the part that matters, then leave out the rest.",
            "Every example in the set points the same way.",
            "A second look shows nothing that the first one missed.",
            "That is what the weights say, and they say it every time.",
        ),
    ),
    "support": Voice(
        openings=(
            "Hello, {name} here, happy to help with {topic}!",
            "Thank you for writing to {name} about {topic}.",
            "Hi, this is {name}. I have read your note on {topic}.",
        ),
        sentences=(
            "I am sorry for the trouble, and I will stay with you until it is solved.",
            "Could you please tell me the order number, so that I can look it up?",
            "Most people find that turning it off and on again does the trick.",
            "I have sent you a link; it is good for the next hour.",
            "If anything else comes up, just reply to this message.",
            "A colleague of mine will check it once more this afternoon.",
            "Your patience is much appreciated, and so are you.",
            "There is no charge for this, of course.",
        ),
    ),
    "pirate": Voice(
        openings=(
            "Ahoy, {name} be speakin'! Ye be askin' about {topic}, matey.",
            "Arr, ye hailed {name}, and the talk be of {topic}.",
            "Shiver me timbers, {name} at the wheel! So it's {topic} ye want.",
        ),
        sentences=(
            "The wind be fair and the answer lies south by south-west.",
            "Many a captain lost his ship over less than that.",
            "There be treasure in it, if ye read the chart with both eyes open.",
            "Hoist the sail and mind the rock on the port side!",
            "The old cook knew the way, but he took it with him to the deep.",
            "Drink up, me hearties, for the tide waits on no one.",
            "A parrot could tell ye the same, and louder.",
            "Mark it with a cross and tell no living soul.",
        ),
    ),
    "poet": Voice(
        openings=(
            "🌸 {name} ponders {topic}:",
            "🌙 {name}, on {topic}:",
            "🍃 {topic}, as {name} sees it:",
        ),
        sentences=(
            "an old silent pond 🐸",
            "the moon in a cup of tea ☕",
            "静かな夜の雨",
            "snow on the café roof ❄️",
            "one word, then no more",
            "風の音がする 🍂",
            "the river keeps its own naïve time",
            "stars above, 👩‍🚀 below",
        ),
        joint="\n",
    ),
    "sql": Voice(
        openings=(
            "-- {name} on: {topic}\nSELECT id, name FROM item;",
            "-- query by {name} for: {topic}\nSELECT count(*) FROM record;",
            "-- {name} reads: {topic}\nSELECT * FROM answer LIMIT 1;",
        ),
        sentences=(
            "SELECT city, count(*) FROM people GROUP BY city ORDER BY 2 DESC;",
            "SELECT name FROM island WHERE treasure IS NOT NULL;",
            "UPDATE item SET price = price * 2 WHERE name = 'map';",
            "SELECT max(created) FROM message WHERE kind = 'question';",
            "DELETE FROM doubt WHERE age > 30;",
            "-- an index on (kind, created) would help here",
            "SELECT avg(length) FROM river JOIN country USING (country_id);",
        ),
        joint="\n",
    ),
}

_MARKUP = re.compile(r"<\|[^<>|]*\|>|\[/?INST\]|<</?SYS>>|</?s>|<(?:start|end)_of_turn>")
_USER_TURN = re.compile(
    r"(?:<\|start_header_id\|>user<\|end_header_id\|>|<\|im_start\|>user|<\|user\|>"
    r"|\[INST\]|<start_of_turn>user)(.*?)"
    r"(?:<\|eot_id\|>|<\|im_end\|>|<\|end\|>|\[/INST\]|<end_of_turn>|</s>|\Z)",
    re.DOTALL,
)
_WORDS = re.compile(r"[^\s\"]+")
_TOPIC_WORDS: Final = 8
_TOPIC_CHARACTERS: Final = 80
_LAST_CHARACTERS: Final = 4096
"""A topic is looked for near the end of the prompt: older turns are not what is being asked."""


def topic_of(prompt: str) -> str:
    """The first few words of the last user turn, in quotes; templates of known families are seen through."""
    tail = prompt[-_LAST_CHARACTERS:]
    turns = _USER_TURN.findall(tail) if ("<" in tail or "[" in tail) else []
    said = turns[-1] if turns else tail
    words = _WORDS.findall(_MARKUP.sub(" ", said))
    if not words:
        return "nothing in particular"
    topic = " ".join(words[:_TOPIC_WORDS])[:_TOPIC_CHARACTERS].rstrip(",;:.!?")
    return f'"{topic}{"…" if len(words) > _TOPIC_WORDS else ""}"'


@dataclass(frozen=True, slots=True)
class Persona:
    """A name and its voices; a merge speaks with several in turn."""

    name: str
    voices: tuple[Voice, ...]

    def speak(self, prompt: str, draws: Draws, *, sampled: bool) -> Iterator[tuple[str, bool]]:
        """Sentences without end, each with whether the speaker would stop after it.

        A greedy answer opens with the first opening; a sampled one draws among all.
        """
        lead = self.voices[0]
        opening = lead.openings[draws.byte() % len(lead.openings) if sampled else 0]
        length = 1 + draws.byte() % 3
        yield opening.format(name=self.name, topic=topic_of(prompt)), False
        last = -1
        count = 0
        while True:
            voice = self.voices[count % len(self.voices)]
            pick = draws.byte() % len(voice.sentences)
            if pick == last:
                pick = (pick + 1) % len(voice.sentences)
            last = pick
            count += 1
            yield voice.joint + voice.sentences[pick], count == length
