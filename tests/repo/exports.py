"""`__all__` is a module's public API: complete, true, and all that others use."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.repo.tree import PACKAGES, modules

__all__ = ["intrusions", "untrue"]


def untrue(root: Path) -> Iterator[str]:
    """Each public class or function that `__all__` lacks, each name in it that is not there."""
    for package in PACKAGES:
        for path in modules(root, package).values():
            tree = ast.parse(path.read_text("utf-8"))
            here = path.relative_to(root)
            listed = _listed(tree)
            public = [name for name in _defined(tree) if not name.startswith("_")]
            if listed is None:
                if public:
                    yield f"{here}: has no __all__, and defines {', '.join(public)}"
                continue
            if listed != sorted(listed, key=_order):
                yield f"{here}: __all__ is not sorted"
            bound = {*_defined(tree, commands=True), *_bound(tree)}
            yield from (
                f"{here}: {name} is not in __all__" for name in public if name not in listed
            )
            yield from (
                f"{here}: __all__ lists {name}, which is not there"
                for name in listed
                if name not in bound
            )


def intrusions(root: Path) -> Iterator[str]:
    """Each name that a module or a test imports from another, though it is not in its `__all__`."""
    apis: dict[str, set[str]] = {}
    readers: list[Path] = sorted((root / "tests").rglob("*.py"))
    for package in PACKAGES:
        found = modules(root, package)
        readers += found.values()
        for name, path in found.items():
            apis[name] = {*(_listed(ast.parse(path.read_text("utf-8"))) or ())}
    for path in readers:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.ImportFrom) or node.module not in apis:
                continue
            for alias in node.names:
                known = alias.name in apis[node.module] or f"{node.module}.{alias.name}" in apis
                if not known:
                    yield (
                        f"{path.relative_to(root)}:{node.lineno}: {alias.name} is "
                        f"not in the __all__ of {node.module}"
                    )


def _listed(tree: ast.Module) -> list[str] | None:
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name("__all__")], value=value):
                return list(ast.literal_eval(value))
            case _:
                pass
    return None


def _defined(tree: ast.Module, *, commands: bool = False) -> Iterator[str]:
    """The classes and functions of a module; a command belongs to its command line instead."""
    for node in tree.body:
        match node:
            case ast.ClassDef(name=name):
                yield name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                if commands or not any(_registers(one) for one in node.decorator_list):
                    yield name
            case _:
                pass


def _registers(decorator: ast.expr) -> bool:
    match decorator:
        case ast.Call(func=ast.Attribute(attr="command" | "callback")):
            return True
        case _:
            return False


def _bound(tree: ast.Module) -> Iterator[str]:
    """The other names that a module binds."""
    for node in tree.body:
        match node:
            case ast.Assign(targets=targets):
                for target in targets:
                    yield from (n.id for n in ast.walk(target) if isinstance(n, ast.Name))
            case ast.AnnAssign(target=ast.Name(name)):
                yield name
            case ast.Import() | ast.ImportFrom():
                yield from (alias.asname or alias.name for alias in node.names)
            case _:
                pass


def _order(name: str) -> tuple[int, str]:
    """Constants, classes, then functions: the order that the linter keeps."""
    kind = 0 if name.isupper() and len(name) > 1 else 1 if name[0].isupper() else 2
    return kind, name
