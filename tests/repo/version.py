"""The version stands in pyproject.toml alone: whatever tells it asks the installed metadata."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

from tests.repo.tree import tracked

__all__ = ["project_version", "spelled"]

_WITH_VERSIONS = (
    "requirements/",
    "tests/",
    "mock/lorax_mock/wire/",
    "contracts/lorax_contracts/data/",
    "docs/evidence/mock-facts.md",
    "docs/evidence/matrix.",
)
"""What holds the versions of others: locks, examples, and LoRAX's own, which the mock tells, other servers'."""

_HOMES = ("pyproject.toml", "CHANGELOG.md")


def project_version(root: Path) -> str:
    """The version that pyproject.toml gives."""
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]
    return str(project["version"])


def spelled(root: Path) -> Iterator[str]:
    """Each line of a tracked file that spells the project's version out."""
    pattern = re.compile(rf"(?<![\w.]){re.escape(project_version(root))}(?![\w.])")
    for path in tracked(root):
        name = path.relative_to(root).as_posix()
        if name in _HOMES or name.startswith(_WITH_VERSIONS) or path.suffix == ".png":
            continue
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            if pattern.search(line):
                yield f'{name}:{number}: ask importlib.metadata.version("lorax-openai")'
