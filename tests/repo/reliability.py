"""docs/evidence/reliability.md: tables in which no cell is empty, and whose tests exist."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

__all__ = ["gaps"]

_TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def gaps(root: Path, text: str) -> Iterator[str]:
    """Each empty cell, row without a test, and test that is not there."""
    for number, line in enumerate(text.splitlines(), 1):
        if not line.startswith("|") or set(line) <= {"|", "-"}:
            continue
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not all(cells):
            yield f"line {number}: an empty cell"
        if cells[-1] == "test":
            continue
        named = _TEST.findall(cells[-1])
        if not named:
            yield f"line {number}: names no test"
        for file, test in named:
            if test not in _tests(root / file):
                yield f"line {number}: {file} has no {test}"


def _tests(file: Path) -> set[str]:
    if not file.is_file():
        return set()
    nodes = ast.parse(file.read_text("utf-8")).body
    return {n.name for n in nodes if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)}
