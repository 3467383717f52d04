"""The error codes that the proxy sends, with their statuses, as its source spells them; docs/errors.md explains each."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.repo.tree import modules

__all__ = ["explained", "sent"]

_PLACES: Mapping[str, tuple[int | None, int | None]] = {
    "RequestRefused": (None, None),
    "ApiError": (0, 4),
    "_bad": (1, 2),
}
"""What makes an error, and at which place its status and its code may stand instead of by name."""


def sent(root: Path) -> Mapping[str, frozenset[int]]:
    """Each code, and the statuses that stand beside it; none where they are not written there."""
    found: defaultdict[str, set[int]] = defaultdict(set)
    for path in modules(root, "lorax_proxy").values():
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name in _PLACES:
                defaults = zip(node.args.args[::-1], node.args.defaults[::-1], strict=False)
                for name in _texts({each.arg: value for each, value in defaults}.get("code")):
                    found[name] |= set()
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                place = _PLACES.get(node.func.id)
                if place is not None:
                    status, code = (
                        _argument(node, *each)
                        for each in zip(("status", "code"), place, strict=True)
                    )
                    for name in _texts(code):
                        found[name] |= _statuses(status, node.func.id)
    return {code: frozenset(statuses) for code, statuses in found.items()}


def explained(page: str) -> Mapping[str, frozenset[int]]:
    """Each code that a page's tables explain, and the statuses that it gives for it."""
    rows = re.findall(r"^\| `([a-z_]+)` \| ([0-9, ]+) \|", page, re.MULTILINE)
    return {code: frozenset(map(int, statuses.split(","))) for code, statuses in rows}


def _argument(call: ast.Call, name: str, place: int | None) -> ast.expr | None:
    for keyword in call.keywords:
        if keyword.arg == name:
            return keyword.value
    return call.args[place] if place is not None and place < len(call.args) else None


def _texts(node: ast.expr | None) -> Iterator[str]:
    """The texts that an expression may be."""
    match node:
        case ast.Constant(str(text)):
            yield text
        case ast.IfExp(_, one, other):
            yield from _texts(one)
            yield from _texts(other)
        case _:
            pass


def _statuses(node: ast.expr | None, name: str) -> set[int]:
    match node:
        case ast.Constant(int(status)):
            return {status}
        case None if name == "RequestRefused":
            return {400}
        case _:
            return set()
