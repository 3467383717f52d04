"""Who may import whom: the floors of ARCHITECTURE.md, as a table and a walk.

Imports point down, or stay on their floor without going in a circle. `core` and `wire` are a
function of what they are given, so they import nothing that could tell them the time, the
environment or the network. The three packages never meet.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.house.tree import PACKAGES, imports, modules

__all__ = ["FLOORS", "IMPURE", "broken", "circles", "strangers"]

FLOORS: Sequence[tuple[str, Sequence[str]]] = (
    ("errors", ("errors",)),
    ("wire", ("wire",)),
    ("core", ("core",)),
    (
        "edges",
        (
            "upstream",
            "observe",
            "config",
            "config_limits",
            "config_sections",
            "log_output",
            "template_files",
            "template_trial",
        ),
    ),
    (
        "shell",
        (
            "answers",
            "aside",
            "asked",
            "catalogue",
            "delivery",
            "demo",
            "door",
            "exchange",
            "gateway",
            "heartbeat",
            "http1",
            "incoming",
            "leaving",
            "readiness",
            "serving",
            "surface",
        ),
    ),
    ("app", ("app",)),
    ("command", ("__main__",)),
)
"""The floors of `lorax_proxy`, the lowest first: a name, and the modules or packages that are on
it. A module that is in none of them belongs nowhere, which is an error too."""

IMPURE = frozenset(
    {
        "aiohttp",
        "anyio",
        "asyncio",
        "fastapi",
        "http",
        "httpx",
        "logging",
        "os",
        "pathlib",
        "random",
        "secrets",
        "socket",
        "ssl",
        "starlette",
        "structlog",
        "subprocess",
        "threading",
        "time",
        "urllib.request",
        "uuid",
        "uvicorn",
    }
)
"""What the pure floors must not import: clocks, randomness, the environment, files, logging,
concurrency, networks."""

_PURE = ("errors", "wire", "core")

_PACKAGE = "lorax_proxy"


def broken(root: Path) -> Iterator[str]:
    """Each import of the proxy that points up, or makes a pure floor impure, in one line."""
    known = modules(root, _PACKAGE)
    levels = {part: (level, floor) for level, (floor, parts) in enumerate(FLOORS) for part in parts}
    for name, path in known.items():
        part = _part(name)
        if not part:
            continue
        here = path.relative_to(root)
        if part not in levels:
            yield f"{here}: {part} is on no floor; give it one in tests/house/floors.py"
            continue
        level, floor = levels[part]
        for line, imported in imports(path.read_text("utf-8")):
            top = imported.partition(".")[0]
            if top == _PACKAGE:
                above, other = levels.get(_part(imported), (level, floor))
                if above > level:
                    yield f"{here}:{line}: {floor} imports {imported}, of the floor above ({other})"
            elif floor in _PURE and _is_impure(imported):
                yield f"{here}:{line}: {floor} is pure and imports {imported}"


def strangers(root: Path) -> Iterator[str]:
    """Each import of one of the three packages by another, or of tests by any."""
    for package in PACKAGES:
        others = {*PACKAGES, "tests"} - {package}
        for path in modules(root, package).values():
            for line, imported in imports(path.read_text("utf-8")):
                if imported.partition(".")[0] in others:
                    yield f"{path.relative_to(root)}:{line}: {package} imports {imported}"


def circles(root: Path, package: str) -> Iterator[str]:
    """Each circle of imports in a package, from its alphabetically first module."""
    known = modules(root, package)
    edges: Mapping[str, set[str]] = {
        name: {
            found
            for _, imported in imports(path.read_text("utf-8"))
            if (found := _module(imported, known)) not in (None, name)
        }
        for name, path in known.items()
    }
    done: set[str] = set()
    for start in sorted(edges):
        stack = [(start, [start])]
        while stack:
            name, way = stack.pop()
            for following in sorted(edges[name] - done):
                if following == start:
                    yield " -> ".join([*way, start])
                elif following not in way:
                    stack.append((following, [*way, following]))
        done.add(start)


def _is_impure(imported: str) -> bool:
    parts = imported.split(".")
    return any(".".join(parts[:length]) in IMPURE for length in range(1, len(parts) + 1))


def _part(name: str) -> str:
    """`lorax_proxy.core.chat` -> `core`; the package itself -> the empty string."""
    return [*name.split("."), ""][1]


def _module(imported: str, known: Mapping[str, Path]) -> str | None:
    """The module that an imported name is, or is in."""
    if imported in known:
        return imported
    parent = imported.rpartition(".")[0]
    return parent if parent in known else None
