r"""The ``pattern`` keyword, rewritten from the string it describes to the JSON text of that string.

JSON Schema matches a pattern anywhere in the decoded string. LoRAX's compiler matches it against
the JSON text from quote to quote, so ``^\w+"$`` sent as it is would end the string early, ``\s``
would let a raw line break through, and ``a|b`` would lose a quote. Here every character of the
expression becomes its JSON spelling, and an end without an anchor becomes any string:

    "quoted"      ->  (?:...)*\\"quoted\\"(?:...)*
    ^[^,]+$       ->  (?:[^,"\\\x00-\x1F]|\\["\\/bfnrt])+

What cannot be read (`core.schema.regex_tree`) or makes too large an automaton has no form.
"""

import json
from functools import lru_cache
from typing import Final

from lorax_proxy.core.schema.regex_tree import (
    Alternatives,
    Branch,
    Characters,
    Node,
    Repeated,
    Sequence,
    matches,
    parse,
    positions,
    states,
)

__all__ = ["fits", "judging_work", "literal", "translate", "translating_work", "wide_places"]

# A real pattern has twenty or thirty.
_MOST_POSITIONS: Final = 128
_MOST_STATES: Final = 256
# The longest real ones, of versions and addresses, have some hundred characters.
_LONGEST: Final = 2_048
# What is kept of a tree is mostly its classes; one of all letters and digits has 62.
_MOST_POINTS: Final = 4_096
# What may be looked at to count the states: a real pattern's take some thousand looks, some 20 ms.
_MOST_LOOKS: Final = 100_000
# A text that is longer is no name, and no value that a model is to write.
_LONGEST_TEXT: Final = 1_000
# Places where nearly every token of a vocabulary fits, as in core.schema.scalars.MAX_LENGTH.
_MOST_WIDE: Final = 24
_WIDE: Final = 26
# Each one is spelled in bytes, and each spelling is a chain of states.
_MOST_FOREIGN: Final = 32

_SHORT: Final = {"\b": "b", "\f": "f", "\n": "n", "\r": "r", "\t": "t", '"': '"', "\\": "\\"}
_PLAIN_PUNCTUATION: Final = frozenset(" !#%&',:;<=>@_`~/")
_ANYTHING: Final = Repeated(Characters(frozenset(), negated=True), 0, None)


def translate(pattern: str) -> str | None:
    """The pattern for LoRAX's compiler, one anchored group; None for what has no form."""
    return _translated(pattern)[0]


def translating_work(pattern: str) -> int:
    """About how many microseconds it takes to translate a pattern."""
    return _translated(pattern)[1]


@lru_cache(maxsize=512)
def _translated(pattern: str) -> tuple[str | None, int]:
    """A pattern's form, and the work that it was: never more than some ten milliseconds."""
    branches = _readable(pattern)
    if branches is None:
        return None, 1
    node = Alternatives(tuple(_whole(branch) for branch in branches))
    size = positions(node)
    if size > _MOST_POSITIONS:
        return None, size
    count, taken = states(node, _MOST_STATES, _MOST_LOOKS)
    work = size + taken // 3
    if count is None or wide_places(node) > _MOST_WIDE:
        return None, work
    if len({point for point in _points(node) if point > 0x7F}) > _MOST_FOREIGN:
        return None, work
    return f"^(?:{'|'.join(map(_spell, node.options))})$", work


def fits(pattern: str, text: str) -> bool | None:
    """Whether a pattern matches a text that is known; None where the pattern cannot be judged."""
    branches = _readable(pattern)
    if branches is None or len(text) > _LONGEST_TEXT:
        return None
    return matches(branches, text)


def judging_work(pattern: str, letters: int) -> int:
    """About how many microseconds it takes to hold texts of so many letters against a pattern."""
    branches = _readable(pattern)
    if branches is None:
        return 1
    return 1 + letters * (1 + sum(positions(each.inner) for each in branches) // 8)


@lru_cache(maxsize=128)
def _readable(pattern: str) -> list[Branch] | None:
    """The pattern's tree, unless it cannot be read or is too large."""
    branches = parse(pattern) if len(pattern) <= _LONGEST else None
    if branches is None or sum(positions(each.inner) for each in branches) > _MOST_POSITIONS:
        return None
    return branches if sum(_mentioned(each.inner) for each in branches) <= _MOST_POINTS else None


def _mentioned(node: Node) -> int:
    """How many characters the classes of an expression name, all in all."""
    match node:
        case Characters(points):
            return len(points)
        case Sequence(parts) | Alternatives(parts):
            return sum(map(_mentioned, parts))
        case Repeated(inner):
            return _mentioned(inner)


def literal(text: str) -> str:
    """An expression that one string matches, as its JSON text without the quotes."""
    return "".join(map(_literal, map(ord, json.dumps(text, ensure_ascii=False)[1:-1])))


def _whole(branch: Branch) -> Node:
    parts: list[Node] = []
    if not branch.at_start:
        parts.append(_ANYTHING)
    parts.append(branch.inner)
    if not branch.at_end:
        parts.append(_ANYTHING)
    return Sequence(tuple(parts))


def wide_places(node: Node) -> int:
    """How many wide places an expression has when repetition is spelled out.

    A wide place is one where nearly every token of a vocabulary fits.
    """
    match node:
        case Characters(points, negated):
            return int(negated or len(points) >= _WIDE)
        case Sequence(parts) | Alternatives(parts):
            return sum(map(wide_places, parts))
        case Repeated(inner, least, most):
            return wide_places(inner) * max(1, least if most is None else most)


def _points(node: Node) -> frozenset[int]:
    match node:
        case Characters(points):
            return points
        case Sequence(parts) | Alternatives(parts):
            return frozenset().union(*map(_points, parts))
        case Repeated(inner):
            return _points(inner)


def _spell(node: Node) -> str:
    match node:
        case Characters():
            return _spell_characters(node)
        case Sequence(parts):
            return "".join(map(_spell, parts))
        case Alternatives(options):
            return f"(?:{'|'.join(map(_spell, options))})"
        case Repeated(_, _, 0):
            return ""
        case Repeated(inner, least, most):
            spelled = _spell(inner)
            # A class, a group that ends where it begins, or a single character stands by itself.
            unit = spelled if isinstance(inner, Characters) else f"(?:{spelled})"
            return f"{unit}{_quantifier(least, most)}"


def _quantifier(least: int, most: int | None) -> str:
    match least, most:
        case 0, None:
            return "*"
        case 1, None:
            return "+"
        case 0, 1:
            return "?"
        case _, None:
            return f"{{{least},}}"
        case _:
            return f"{{{least},{most}}}"


def _spell_characters(characters: Characters) -> str:
    """One character in JSON: as itself where JSON lets it, else as its escape."""
    raw = {point for point in characters.points if chr(point) not in _SHORT and point >= 0x20}
    if characters.negated:
        escapes = "".join(
            short for point, short in _SHORT.items() if ord(point) not in characters.points
        )
        excluded = "".join(map(_in_class, sorted(raw)))
        options = [rf'[^"\\\x00-\x1F{excluded}]']
        if escapes:
            options.append(rf"\\[{''.join(map(_in_class, map(ord, escapes)))}]")
    else:
        options = [_class(raw)] if raw else []
        for point in sorted(characters.points - raw):
            short = _SHORT.get(chr(point))
            options.append(rf"\\{_literal(ord(short))}" if short else rf"\\u00{point:02x}")
    return options[0] if _stands_alone(options) else f"(?:{'|'.join(options)})"


def _stands_alone(options: list[str]) -> bool:
    # An escape is several characters, which a quantifier must take together.
    return len(options) == 1 and not options[0].startswith(r"\\")


def _class(points: set[int]) -> str:
    if len(points) == 1:
        return _literal(min(points))
    runs: list[list[int]] = []
    for point in sorted(points):
        if runs and point == runs[-1][-1] + 1:
            runs[-1].append(point)
        else:
            runs.append([point])
    return f"[{''.join(map(_run, runs))}]"


def _run(run: list[int]) -> str:
    if len(run) < 3:
        return "".join(map(_in_class, run))
    return f"{_in_class(run[0])}-{_in_class(run[-1])}"


def _in_class(point: int) -> str:
    character = chr(point)
    return character if point > 0x7F or character.isalnum() else f"\\x{point:02X}"


def _literal(point: int) -> str:
    character = chr(point)
    if point > 0x7F or character.isalnum() or character in _PLAIN_PUNCTUATION:
        return character
    return f"\\x{point:02X}"
