"""The repository as its checks see it: its folder, its tracked files, its modules."""

import ast
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

__all__ = [
    "PACKAGES",
    "ROOT",
    "imports",
    "is_type_checking",
    "module_name",
    "modules",
    "present",
    "tracked",
]

ROOT = Path(__file__).parents[2]
"""The checkout."""

PACKAGES: Mapping[str, str] = {
    "lorax_proxy": "proxy",
    "lorax_mock": "mock",
    "lorax_contracts": "contracts",
    "lorax_openai": "command",
}
"""Each package and the source root that holds it."""


def modules(root: Path, package: str) -> Mapping[str, Path]:
    """The modules of a package under a checkout, by dotted name."""
    source = root / PACKAGES[package]
    return {module_name(path, source): path for path in sorted((source / package).rglob("*.py"))}


def module_name(path: Path, source: Path) -> str:
    """`proxy/lorax_proxy/core/chat_style.py` -> `lorax_proxy.core.chat_style`."""
    parts = path.relative_to(source).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def tracked(root: Path = ROOT) -> Iterator[Path]:
    """Every file that git tracks and that is there."""
    return _listed(root)


def present(root: Path = ROOT) -> Iterator[Path]:
    """Every file that git would track: those too that are not added yet, none that it ignores."""
    return _listed(root, "--cached", "--others", "--exclude-standard")


def _listed(root: Path, *options: str) -> Iterator[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", *options], cwd=root, check=True, capture_output=True, text=True
    ).stdout
    for name in listed.split("\0"):
        if name and (root / name).is_file():
            yield root / name


def imports(source: str, *, for_types: bool = False) -> Iterator[tuple[int, str]]:
    """The names that a module imports when it runs, with their lines.

    `from a.b import c` gives `a.b.c`: whether `c` is a module or a name in one is for the caller to
    know. What stands under `if TYPE_CHECKING:` is not there when the module runs, and is left out
    unless it is asked for.
    """
    hidden: set[ast.AST] = set()
    for node in ast.walk(ast.parse(source)):
        if node in hidden:
            hidden.update(ast.iter_child_nodes(node))
        elif isinstance(node, ast.If) and is_type_checking(node) and not for_types:
            for statement in node.body:
                hidden.update(ast.walk(statement))
        elif isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            prefix = "." * node.level + (node.module or "")
            yield from ((node.lineno, f"{prefix}.{alias.name}") for alias in node.names)


def is_type_checking(node: ast.If) -> bool:
    """Whether this is `if TYPE_CHECKING:`."""
    match node.test:
        case ast.Name("TYPE_CHECKING") | ast.Attribute(ast.Name("typing"), "TYPE_CHECKING"):
            return True
        case _:
            return False
