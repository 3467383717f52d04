"""A module's mutants: every place where an operator applies, and a name that outlives edits.

A mutant is named by where it is (the function's qualified name) and by the statement before and
after, as `ast.unparse` writes it: neither moved lines nor the formatter nor a change elsewhere makes
it another. Of several that read alike in one function `nth` counts.

Left alone: annotations and type aliases, imports, docstrings, decorators, `__all__` and
`__slots__` (a wrong one fails at import and proves nothing), and what `assert_never` guards.
"""

import ast
import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType
from typing import Final

from tests.mutants.operators import changed, is_unreachable, replacements

__all__ = ["Name", "Source"]

_CONTEXT: Final = 60
"""Characters of a long statement that are shown on each side of what differs in it."""

_UNMUTATED_FIELDS: Final = frozenset(
    {"annotation", "returns", "decorator_list", "bases", "format_spec"}
)

_UNMUTATED_NAMES: Final = frozenset({"__all__", "__slots__"})


@dataclass(frozen=True, slots=True)
class Name:
    """What tells a mutant from all others.

    Attributes:
        module: Dotted, as in `lorax_proxy.core.stops`.
        where: The function or class, as in `StopCutter.feed`; empty at the module's own level.
        was: The statement as it is, cut around the difference.
        now: What it was replaced by.
        nth: Which of those that read alike in one place, from 0.
    """

    module: str
    where: str
    was: str
    now: str
    nth: int = 0

    def __str__(self) -> str:
        """One line for people."""
        count = f" (no. {self.nth + 1})" if self.nth else ""
        return f"{self.where or self.module}: {self.was}  ->  {self.now}{count}"


@dataclass(frozen=True, slots=True)
class _Site:
    """A node in its parent's field, the wrong form for it, and where both are."""

    parent: ast.AST
    field: str
    index: int | None
    node: ast.AST
    wrong: ast.AST
    where: str
    statement: ast.AST
    line: int

    def put(self, node: ast.AST) -> None:
        if self.index is None:
            setattr(self.parent, self.field, node)
        else:
            getattr(self.parent, self.field)[self.index] = node


class Source:
    """A module's source, and its mutants by name in their order in the file."""

    def __init__(self, path: Path, module: str) -> None:
        self.path = path
        self.module = module
        self._tree = ast.parse(path.read_text("utf-8"))
        self._sites: dict[Name, _Site] = {}
        taken: Counter[Name] = Counter()
        seen: set[tuple[int, str, str]] = set()
        for site in _sites(self._tree, self._tree, "", 0):
            was, now = self._shown(site)
            if was == now or (id(site.statement), was, now) in seen:
                continue  # two operators, one result
            seen.add((id(site.statement), was, now))
            name = Name(module, site.where, *_trimmed(was, now))
            self._sites[Name(module, site.where, name.was, name.now, taken[name])] = site
            taken[name] += 1

    @property
    def mutants(self) -> list[Name]:
        """Every mutant's name."""
        return list(self._sites)

    def line(self, mutant: Name) -> int:
        """The line on which it differs from the source."""
        return self._sites[mutant].line

    def compiled(self, mutant: Name | None) -> CodeType:
        """The module's code with one mutant in it, or as it is.

        Raises:
            SyntaxError, ValueError: An operator made what is no Python.
        """
        if mutant is None:
            return compile(self._tree, self.path, "exec")
        site = self._sites[mutant]
        site.put(site.wrong)
        try:
            return compile(self._tree, self.path, "exec")
        finally:
            site.put(site.node)

    def _shown(self, site: _Site) -> tuple[str, str]:
        """The statement before and after, each in one line."""
        if isinstance(site.node, ast.Match) and isinstance(site.wrong, ast.Match):
            gone = next(case for case in site.node.cases if case not in site.wrong.cases)
            return f"{_head(site.node)} {_head(gone)}", f"{_head(site.node)} (without this case)"
        was = _head(site.statement)
        if site.node is site.statement:
            return was, _head(site.wrong)
        site.put(site.wrong)
        try:
            return was, _head(site.statement)
        finally:
            site.put(site.node)


def _sites(node: ast.AST, statement: ast.AST, where: str, line: int) -> Iterator[_Site]:
    for field, value in ast.iter_fields(node):
        if field in _UNMUTATED_FIELDS or (isinstance(node, ast.ClassDef) and field == "keywords"):
            continue
        children = enumerate(value) if isinstance(value, list) else [(None, value)]
        for index, child in children:
            if not isinstance(child, ast.AST) or _is_left_alone(child, node):
                continue
            inner = child if isinstance(child, ast.stmt | ast.match_case) else statement
            place = where
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                place = f"{where}.{child.name}" if where else child.name
            here = getattr(child, "lineno", line)
            for wrong in replacements(child):
                yield _Site(node, field, index, child, wrong, place, inner, here)
            yield from _sites(child, inner, place, here)


def _is_left_alone(node: ast.AST, parent: ast.AST) -> bool:
    match node:
        case ast.Import() | ast.ImportFrom():
            return True
        case ast.Expr(value=ast.Constant()):
            return True
        case ast.Assign(targets=[ast.Name(name)]) if name in _UNMUTATED_NAMES:
            return True
        case ast.Assign(value=ast.Name() | ast.BinOp(op=ast.BitOr()) | ast.Subscript()):
            return isinstance(parent, ast.Module)  # a type alias
        case ast.Expr(value=ast.Call(func=ast.Name("assert_never"))):
            return True
        case ast.match_case():
            return is_unreachable(node)
        case ast.Constant():
            # a pattern's None, a bare `...`, an f-string's text, which its JoinedStr changes
            return isinstance(parent, ast.JoinedStr)
        case ast.UnaryOp():
            return isinstance(parent, ast.MatchValue)  # `case +1` is no pattern
        case ast.Tuple():
            return isinstance(parent, ast.Subscript)  # `dict[str, int]`
        case _:
            return False


def _head(node: ast.AST) -> str:
    """A statement in one line: of a compound one what stands before its colon."""
    if isinstance(node, ast.match_case):
        guard = f" if {ast.unparse(node.guard)}" if node.guard else ""
        return f"case {ast.unparse(node.pattern)}{guard}"
    if not hasattr(node, "body") and not isinstance(node, ast.Match):
        return " ".join(ast.unparse(node).split())
    empty: dict[str, list[ast.AST]] = {
        name: []
        for name in ("orelse", "handlers", "finalbody", "cases", "decorator_list")
        if hasattr(node, name)
    }
    if hasattr(node, "body"):
        empty["body"] = [ast.Pass()]
    if isinstance(node, ast.Try | ast.Module):
        return type(node).__name__.lower()
    return ast.unparse(changed(node, **empty)).splitlines()[0].removesuffix(":")


def _trimmed(was: str, now: str) -> tuple[str, str]:
    """Both without most of what they have in common."""
    prefix = _alike(was, now)
    suffix = _alike(was[prefix:][::-1], now[prefix:][::-1])
    start = max(prefix - _CONTEXT, 0)
    after = max(suffix - _CONTEXT, 0)

    def shown(text: str) -> str:
        return ("…" if start else "") + text[start : len(text) - after] + ("…" if after else "")

    return shown(was), shown(now)


def _alike(one: str, other: str) -> int:
    """How many characters both begin with."""
    pairs = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))
    return sum(1 for _ in pairs)
