"""What no tracked file says: where it was made, and which index it was installed from.

The project speaks of itself alone, and installs from whatever index its reader has.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

__all__ = ["slips"]

_SLIPS = (
    ("a path of somebody's machine", r"(?<![\w.])/(?:root|work|Users|home/(?!\.\.\.)\w+)/\w+"),
    ("a folder outside the repository", r"\.\./shared\b"),
    (
        "a package registry's host",
        r"\b(?:\w+\.)*(?:pypi|pythonhosted|npmjs)\.org\b|\b(?:crates|ghcr|docker|quay)\.io\b",
    ),
    ("an index address", r"^\s*--(?:extra-)?index-url\b|^\s*--find-links\b"),
    (
        "the making of it",
        r"(?i)\b(?:sub-?agents?|claude|lorax-wire\.md|house-style\.md|(?<![\w/])design\.md)\b",
    ),
    ("an issue's number for a reason", r"(?i)\b(?:see|for|of|in) issue #?\d+\b"),
)

_TEXT = frozenset(
    {".py", ".md", ".toml", ".txt", ".in", ".json", ".jinja", ".yaml", ".yml", ".sh", ".cfg", ""}
)

_ITSELF = frozenset({"words.py", "test_words.py"})
"""These two say what they look for."""


def slips(files: Iterable[Path], root: Path) -> Iterator[str]:
    """Each slip in the text files among `files`, in one line."""
    patterns = [(what, re.compile(pattern)) for what, pattern in _SLIPS]
    for path in files:
        if path.suffix not in _TEXT or path.name in _ITSELF:
            continue
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            for what, pattern in patterns:
                if found := pattern.search(line):
                    yield f"{path.relative_to(root)}:{number}: {what}: {found[0].strip()}"
