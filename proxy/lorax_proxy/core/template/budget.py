"""What one rendering of a chat template may do, counted instead of timed.

A template is the operator's choice, and `template_trial` has tried it in a child process. What a client chooses is the
conversation, and two things that honest templates do with it are not linear: they search the list
of messages once a message, and they collect the prompt in a variable that they copy once a message.
Forty thousand messages so rendered take an hour, in a thread that nobody can stop. So a rendering
of a large input counts what it does, and a `Meter` that runs dry ends it:

steps
    Python-level work: a loop's turn, a call, a filter's member.
characters
    Text moved or made: concatenation, slices, searches, what a filter or a method returns.
output
    The prompt itself.

Each allowance is a constant plus a multiple of the *input's* own size, and a term for the pairs
of messages. A single operation is counted when it is done: it is bounded by the input.
"""

from collections.abc import Collection, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

__all__ = ["BudgetExhausted", "Limits", "Meter", "active_meter", "metering"]


class BudgetExhausted(Exception):
    """A rendering used up what its input's size allows."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one rendering may do, by the size of its input in characters and members.

    Attributes:
        steps: Steps that an empty conversation may take. A million is about a second of CPU;
            published templates take some hundreds a message.
        steps_per_input: Further steps for each unit of input.
        steps_per_pair: Further steps for each pair of messages, up to `messages` of them.
        characters: Characters that an empty conversation may move: 32 million are some tens of
            milliseconds, and bound the memory of a hostile rendering.
        characters_per_input: Further characters for each unit of input; each message adds one to it,
            up to `messages`.
        messages: How many messages may be searched, or the prompt be copied, once a message. More
            are rendered by templates that take them one after the other, as most do; to search
            forty thousand once for each takes an hour, in a thread that nobody can stop.
        output: Characters of prompt that an empty conversation may give.
        output_per_input: Further characters of prompt for each unit of input. JSON escapes take
            six characters for one, and templates repeat system prompts and tools.
        source: The longest template source, in characters. The longest published ones have 40,000.
    """

    steps: int = 1_000_000
    steps_per_input: int = 4
    steps_per_pair: int = 8
    characters: int = 32_000_000
    characters_per_input: int = 64
    output: int = 1_000_000
    messages: int = 1_000
    output_per_input: int = 32
    source: int = 1_000_000


class Meter:
    """What is left for the rendering under way."""

    __slots__ = ("characters", "output", "steps")

    def __init__(self, limits: Limits, *, size: int = 0, messages: int = 0) -> None:
        messages = min(messages, limits.messages)
        self.steps = limits.steps + limits.steps_per_input * size
        self.steps += limits.steps_per_pair * messages * messages
        self.characters = limits.characters + (limits.characters_per_input + messages) * size
        self.output = limits.output + limits.output_per_input * size

    def step(self, count: int = 1) -> None:
        """Take `count` steps.

        Raises:
            BudgetExhausted: There are not as many left.
        """
        self.steps -= count
        if self.steps < 0:
            raise BudgetExhausted(
                "it takes more steps than its input's size allows (an endless or nested loop?)"
            )

    def take(self, value: Any) -> None:
        """Count a value that was walked or made: a text's characters, a container's members.

        Raises:
            BudgetExhausted: There is not as much left.
        """
        if isinstance(value, str):
            self.characters -= len(value)
            if self.characters < 0:
                raise BudgetExhausted(
                    "it makes more text than its input's size allows (a string that keeps growing?)"
                )
        elif isinstance(value, _CONTAINERS):
            self.step(len(value))

    def emitted(self, piece: str) -> str:
        """The next piece of the prompt, once it is counted.

        Raises:
            BudgetExhausted: There are not as many characters left.
        """
        self.output -= len(piece)
        if self.output < 0:
            raise BudgetExhausted("its prompt is longer than its input's size allows")
        return piece


_CONTAINERS: tuple[type[Collection[Any]], ...] = (
    list,
    tuple,
    dict,
    range,
    type({}.keys()),
    type({}.values()),
    type({}.items()),
)

_ACTIVE: ContextVar[Meter] = ContextVar("lorax_proxy_template_meter")


def active_meter() -> Meter:
    """The meter of the rendering (or compilation) under way in this thread."""
    return _ACTIVE.get()


@contextmanager
def metering(meter: Meter) -> Generator[Meter]:
    """Make `meter` the active one for the body of the `with` statement."""
    token = _ACTIVE.set(meter)
    try:
        yield meter
    finally:
        _ACTIVE.reset(token)
