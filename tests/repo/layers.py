"""Who may import whom: the layers of ARCHITECTURE.md, as a table and a walk.

Imports point down, or stay in their layer without going in a circle; those for type checkers
alone count too, because a reader follows them all the same. The pure parts are a function of what
they are given, so they import nothing that could tell them the time, the environment or the
network. The three packages never meet.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path

from tests.repo.tree import PACKAGES, imports, modules

__all__ = ["IMPURE", "LAYERS", "broken", "circles", "neighbours", "strangers"]

Layers = Sequence[tuple[str, Sequence[str]]]

_PROXY: Layers = (
    ("errors", ("errors",)),
    ("wire", ("wire",)),
    ("core", ("core",)),
    (
        "edges",
        (
            "upstream",
            "observe",
            "tap",
            "config",
            "config_limits",
            "config_sections",
            "log_output",
            "log_text",
            "template_files",
            "template_trial",
        ),
    ),
    (
        "shell",
        (
            "answers",
            "aside",
            "prepared_request",
            "directory",
            "client",
            "delivery",
            "demo",
            "door",
            "exchange",
            "gateway",
            "keep_alive",
            "http1",
            "incoming",
            "inspector",
            "cancellation",
            "readiness",
            "serving",
            "surface",
            "workers",
        ),
    ),
    ("app", ("app", "diagnosis", "documentation")),
    ("command", ("__main__",)),
)

_MOCK: Layers = (
    ("roots", ("errors", "hashing", "lora", "nearest")),
    ("settings", ("settings", "profiles")),
    ("serde", ("serde",)),
    ("wire", ("wire",)),
    ("parts", ("http", "outlines", "prompt", "shard")),
    ("router", ("router",)),
    ("scripting", ("scripting",)),
    ("model", ("model",)),
    ("files", ("files",)),
    ("server", ("server",)),
    ("edges", ("recording", "testing")),
    ("command", ("__main__", "plugin")),
)

_CONTRACTS: Layers = (
    ("roots", ("errors", "exchange", "rules", "sse")),
    ("data", ("fitting", "laws", "loader", "schemas", "transcripts")),
    ("text", ("curl", "listing", "messages")),
    ("judge", ("judge", "recording", "relations")),
    ("probes", ("probes", "session")),
    ("plan", ("explore", "opening", "plan", "strategies")),
    ("run", ("address", "check", "client", "machine")),
    ("report", ("baseline", "comparison", "formats")),
    ("command", ("__main__", "linting", "options", "outputs", "pytest_plugin")),
)

LAYERS: Mapping[str, Layers] = {
    "lorax_proxy": _PROXY,
    "lorax_mock": _MOCK,
    "lorax_contracts": _CONTRACTS,
}
"""The layers of a package, the lowest first: a name, and the modules or packages that are in it. A
module that is in none of them belongs nowhere, which is an error too."""

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
"""What the pure layers must not import: clocks, randomness, the environment, files, logging,
concurrency, networks."""

_PURE: Mapping[str, frozenset[str]] = {
    "lorax_proxy": frozenset({"errors", "wire", "core"}),
    "lorax_mock": frozenset(
        {
            *("errors", "hashing", "lora", "nearest", "settings", "serde", "wire"),
            *("outlines", "prompt", "shard", "router", "scripting", "model"),
        }
    ),
    "lorax_contracts": frozenset(
        {part for layer, parts in _CONTRACTS for part in parts if layer not in {"run", "command"}}
    ),
}
"""The modules and folders that are a function of what they are given."""


def broken(root: Path, package: str) -> Iterator[str]:
    """Each import of a package that points up, or makes a pure part impure, in one line."""
    layers, folder = LAYERS[package], "tests/repo/layers.py"
    levels = {part: (level, layer) for level, (layer, parts) in enumerate(layers) for part in parts}
    for name, path in modules(root, package).items():
        part = _part(name)
        if not part:
            continue
        here = path.relative_to(root)
        if part not in levels:
            yield f"{here}: {part} is in no layer; give it one in {folder}"
            continue
        level, layer = levels[part]
        for line, imported in imports(path.read_text("utf-8"), for_types=True):
            if imported.partition(".")[0] == package:
                above, other = levels.get(_part(imported), (level, layer))
                if above > level:
                    yield f"{here}:{line}: {layer} imports {imported}, of the layer above ({other})"
            elif part in _PURE[package] and _is_impure(imported):
                yield f"{here}:{line}: {part} is pure and imports {imported}"


def neighbours(root: Path, package: str) -> Iterator[str]:
    """Each pair of parts in one layer that import each other, over however many modules."""
    meetings: dict[tuple[str, str], str] = {}
    for name, path in modules(root, package).items():
        for line, imported in imports(path.read_text("utf-8"), for_types=True):
            if imported.partition(".")[0] == package and _part(imported) != _part(name):
                here = f"{path.relative_to(root)}:{line}"
                meetings.setdefault((_part(name), _part(imported)), here)
    for layer, parts in LAYERS[package]:
        for one, other in combinations(parts, 2):
            if (one, other) in meetings and (other, one) in meetings:
                there, back = meetings[one, other], meetings[other, one]
                yield f"{layer}: {one} imports {other} ({there}), and {other} {one} ({back})"


def strangers(root: Path) -> Iterator[str]:
    """Each import of one of the three packages by another, or of tests by any."""
    for package in PACKAGES:
        others = {*PACKAGES, "tests"} - {package}
        for path in modules(root, package).values():
            for line, imported in imports(path.read_text("utf-8"), for_types=True):
                if imported.partition(".")[0] in others:
                    yield f"{path.relative_to(root)}:{line}: {package} imports {imported}"


def circles(root: Path, package: str) -> Iterator[str]:
    """Each circle of imports in a package, from its alphabetically first module."""
    known = modules(root, package)
    edges: Mapping[str, set[str]] = {
        name: {
            found
            for _, imported in imports(path.read_text("utf-8"), for_types=True)
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
    """`lorax_proxy.core.chat_style` -> `core`; the package itself -> the empty string."""
    return [*name.split("."), ""][1]


def _module(imported: str, known: Mapping[str, Path]) -> str | None:
    """The module that an imported name is, or is in."""
    if imported in known:
        return imported
    parent = imported.rpartition(".")[0]
    return parent if parent in known else None
