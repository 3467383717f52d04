"""What one rendering of a chat template may cost, counted instead of timed.

A chat template comes from the operator, often from a model's repository that nobody read. The
sandbox keeps it from touching the process; nothing in Jinja keeps it from running for an hour
(`{% for %}` in `{% for %}`), from doubling a string forty times, or from printing a list that
contains itself twice, thirty levels deep. Clocks and processes cannot help here: rendering is a
pure step on the request's path. So every operation whose cost can grow *says what it will cost
before it runs*, and a `Meter` that runs dry stops the rendering:

steps
    Python-level work: a loop's turn, a call, a filter, a visited member of a container.
characters
    Text and list cells moved or made: concatenation, slices, joins, comparisons.
output
    The prompt itself.

Each allowance is a constant plus a multiple of the *input's* own size, because what
an honest template does is linear in the conversation, and the client's long conversation is not
the template's fault. Two things that honest templates do are not linear, and each has its term:
they search the list of messages once a message, and they collect the prompt in a variable that
they copy once a message.
"""

from collections.abc import Collection, Generator, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

__all__ = [
    "BudgetExhausted",
    "Limits",
    "Meter",
    "Paced",
    "Weighable",
    "active_meter",
    "is_small",
    "metering",
]


class BudgetExhausted(Exception):
    """A rendering used up what its input's size allows."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one rendering may do; `n` is the size of its input in characters and members.

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
        uncounted: Characters of an input for which nothing is counted, if it also has few members and
            no large number; counting takes a third of a rendering's time. For templates that are
            ours alone: what an honest one does (search the messages once a message, collect the
            prompt in a variable) is bounded by the square of such an input, some milliseconds.
    """

    steps: int = 1_000_000
    steps_per_input: int = 4
    steps_per_pair: int = 8
    characters: int = 32_000_000
    characters_per_input: int = 64
    output: int = 1_000_000
    messages: int = 2_000
    output_per_input: int = 32
    uncounted: int = 0
    source: int = 1_000_000


_MEMBERS = 128
"""Objects and lists of a small input: a search of them for each of them is some thousand steps."""

_LARGE = 10_000
"""A number that repeating something by it would make much of."""


def is_small(value: Any, limits: Limits) -> bool:
    """Whether an input is so small that what is done with it need not be counted."""
    left, members = limits.uncounted, _MEMBERS
    waiting = [value]
    while waiting and left >= 0 and members >= 0:
        each = waiting.pop()
        match each:
            case None | bool():
                pass
            case int() | float():
                if not -_LARGE < each < _LARGE:
                    return False
            case str():
                left -= len(each)
            case dict() if len(each) <= left:
                members -= 1
                left -= len("".join(map(str, each)))
                waiting += each.values()
            case list() | tuple() if len(each) <= left:
                members -= 1
                waiting += each
            case _:
                # much, or what is copied into plain values first
                return False
    return left >= 0 and members >= 0


class Weighable:
    """An object of ours whose printed form contains other values; `weigh` asks it for them."""

    def members(self) -> list[Any]:
        """The values that printing this object prints."""
        raise NotImplementedError


class Meter:
    """What is left for the rendering under way, and the moment it takes for now."""

    __slots__ = ("characters", "now", "output", "steps")

    def __init__(
        self, limits: Limits, *, size: int = 0, messages: int = 0, now: datetime | None = None
    ) -> None:
        messages = min(messages, limits.messages)
        self.steps = limits.steps + limits.steps_per_input * size
        self.steps += limits.steps_per_pair * messages * messages
        self.characters = limits.characters + (limits.characters_per_input + messages) * size
        self.output = limits.output + limits.output_per_input * size
        self.now = now if now is not None else datetime.fromtimestamp(0, UTC)

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

    def spend(self, count: int) -> None:
        """Pay for `count` characters or list cells, before they are made.

        Raises:
            BudgetExhausted: There are not as many left.
        """
        self.characters -= count
        if self.characters < 0:
            raise BudgetExhausted(
                "it makes more text than its input's size allows (a string that keeps growing?)"
            )

    def emit(self, count: int) -> None:
        """Count `count` characters of prompt.

        Raises:
            BudgetExhausted: There are not as many left.
        """
        self.output -= count
        if self.output < 0:
            raise BudgetExhausted("its prompt is longer than its input's size allows")

    def weigh(self, value: Any) -> int:
        """About how many characters `str(value)` has; visiting each member takes a step.

        A list that holds another list twice is visited twice, as `str` would print it twice: that
        is what stops thirty levels of doubling.
        """
        if isinstance(value, str):
            return len(value)
        total = 0
        pending = [value]
        while pending:
            item = pending.pop()
            self.step()
            if isinstance(item, str | bytes):
                total += len(item)
            elif isinstance(item, bool) or item is None:
                total += 5
            elif isinstance(item, int):
                total += item.bit_length() // 3 + 2
            elif isinstance(item, Mapping):
                self.step(2 * len(item))
                total += 4 * len(item) + 2
                pending.extend(item.keys())
                pending.extend(item.values())
            elif isinstance(item, _CONTAINERS):
                self.step(len(item))
                total += 2 * len(item) + 2
                pending.extend(item)
            elif isinstance(item, range):
                self.step(len(item))
                total += 8 * len(item)
            elif isinstance(item, Weighable):
                pending.append(type(item).members(item))
            else:
                total += 24
            if total > self.characters:
                self.spend(total)
        return total

    def paced(self, items: Iterator[Any], below: Any = None) -> "Paced":
        """The same items, each for a step; `below` is what `items` reads from."""
        return Paced(self, items, below.depth + 1 if isinstance(below, Paced) else 1)


class Paced:
    """An iterator that pays a step for each item.

    Iterators over iterators are limited in depth: Python frees a long chain of them recursively, on
    the C stack, and dies of it.
    """

    __slots__ = ("_items", "_meter", "depth")

    def __init__(self, meter: Meter, items: Iterator[Any], depth: int) -> None:
        if depth > _DEEPEST_CHAIN:
            raise BudgetExhausted("it stacks filters on filters without end")
        self._meter = meter
        self._items = items
        self.depth = depth

    def __iter__(self) -> "Paced":
        return self

    def __next__(self) -> Any:
        self._meter.step()
        return next(self._items)


# Published templates stack three or four.
_DEEPEST_CHAIN = 50

_CONTAINERS: tuple[type[Collection[Any]], ...] = (
    list,
    tuple,
    set,
    frozenset,
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
