"""How large a schema may be, how much work it may take, and how exactly it is lowered.

A schema of a few kilobytes can ask for work without end: a hundred references to one large
definition, a pattern beside a thousand names, a name that stands in the path of everything below
it. Lowering runs in a thread that nothing can stop, so all of it is bounded before it is done:

- `judge_size` looks once at every member, which is linear, and refuses what is larger than anything
  that LoRAX could compile;
- what is left may be looked at `Effort.looks` times, some tenths of a second in all.

A *look* is about a microsecond: one keyword, one name, one value, or one character under a pattern.
"""

from dataclasses import dataclass, field
from typing import Any, Final

from lorax_proxy.core.schema.cost import Budget
from lorax_proxy.core.schema.patterns import judging_work, translating_work
from lorax_proxy.core.schema.sites import SchemaRefused, Site
from lorax_proxy.core.schema.strings import Spelling

__all__ = ["MAX_LETTERS", "MAX_MEMBERS", "MAX_NAME", "Effort", "Level", "judge_size", "looks"]

# OpenAI's limit for the names and values of a schema together; LoRAX has a state for each letter
# (`core.schema.cost`), and 2,400 of them are all that it is ever sent.
MAX_LETTERS: Final = 120_000
# Ten times what 500 subschemas, the most that are lowered, are written with.
MAX_MEMBERS: Final = 50_000
# Names stand in the paths of all that is below them.
MAX_NAME: Final = 500

# Texts that say nothing about values.
_REMARKS: Final = frozenset({"description", "title", "$comment", "$schema", "$id", "id"})


def judge_size(schema: Any, path: str) -> None:
    """Refuse a schema that is too large to be looked at more than once.

    Raises:
        SchemaRefused: Its names and texts (remarks apart) or its members are too many, or one name
            is too long.
    """
    letters = members = 0
    waiting = [schema]
    while waiting:
        each = waiting.pop()
        members += 1
        if isinstance(each, str):
            letters += len(each)
        elif isinstance(each, dict):
            for name, value in each.items():
                letters += len(name)
                if len(name) > MAX_NAME:
                    raise SchemaRefused(path, f"a name of more than {MAX_NAME} characters")
                if not (isinstance(value, str) and name in _REMARKS):
                    waiting.append(value)
        elif isinstance(each, list):
            waiting.extend(each)
        if letters > MAX_LETTERS:
            raise SchemaRefused(path, f"more than {MAX_LETTERS} characters of names and values")
        if members > MAX_MEMBERS:
            raise SchemaRefused(path, f"more than {MAX_MEMBERS} keywords and values")


def looks(sites: list[Site]) -> int:
    """How many keywords, names and values there are to look at."""
    count = 0
    for site in sites:
        count += 1 + len(site.schema)
        for value in site.schema.values():
            if isinstance(value, dict | list):
                count += len(value)
    return count


@dataclass(frozen=True, slots=True)
class Level:
    """How plainly to lower.

    Attributes:
        spelling: Which escapes free strings may use.
        counts: Lengths of strings and numbers of items are kept, patterns and formats too.
        nesting: How many levels of arrays and objects a value of any type may have.
        budget: What a schema at this level may cost to compile.
    """

    spelling: Spelling
    counts: bool
    nesting: int
    budget: Budget


@dataclass(slots=True)
class Effort:
    """What may still be done for the schemas of one request, at one level of exactness.

    Attributes:
        looks: How often a part of them may still be looked at.
        translated: The patterns that have been paid for: the translation of one is remembered.
    """

    looks: int = 100_000
    translated: set[str] = field(default_factory=set[str])

    def pay(self, count: int, path: str) -> None:
        """Pay for work before it is done.

        Raises:
            SchemaRefused: Not as much is left.
        """
        self.looks -= count
        if self.looks < 0:
            raise SchemaRefused(
                path,
                "too large to enforce: its references, alternatives and patterns ask for the same "
                "again and again",
            )

    def pay_for_translating(self, pattern: str, path: str) -> None:
        """Pay for the translation of a pattern, once for each; otherwise as `pay`."""
        if pattern not in self.translated:
            self.translated.add(pattern)
            self.pay(translating_work(pattern), path)

    def pay_for_patterns(self, patterns: list[Any], letters: int, path: str) -> None:
        """Pay for matching texts of so many letters in all with each pattern; otherwise as `pay`."""
        for pattern in patterns:
            if isinstance(pattern, str):
                self.pay(judging_work(pattern, letters), path)
