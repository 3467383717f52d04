"""How long a module may be, and the list in CONTRIBUTING.md of those that are longer, with reasons.

Past 400 lines there is mostly a second idea in a file. Test files are as long as what they mirror
takes; what tests share is held to the same as the packages.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from tests.repo.tree import tracked

__all__ = ["MOST", "unlisted"]

MOST = 400
"""Lines of a module."""

_ROW = re.compile(r"^\| `([\w/]+\.py)` \|(.*)\|$", re.MULTILINE)


def unlisted(root: Path) -> Iterator[str]:
    """Each long module that is not listed, each that is listed and is not long, or has no reason."""
    listed = dict(_ROW.findall((root / "CONTRIBUTING.md").read_text("utf-8")))
    long = {
        path.relative_to(root).as_posix(): lines
        for path in tracked(root)
        if path.suffix == ".py" and not path.name.startswith("test_")
        if (lines := len(path.read_text("utf-8").splitlines())) > MOST
    }
    for name in sorted(long.keys() - listed.keys()):
        yield f"{name}: {long[name]} lines; split it, or list it in CONTRIBUTING.md with a reason"
    for name in sorted(listed.keys() - long.keys()):
        yield f"{name}: is not over {MOST} lines; take it off the list in CONTRIBUTING.md"
    yield from (
        f"{name}: is listed without a reason" for name in listed if not listed[name].strip()
    )
