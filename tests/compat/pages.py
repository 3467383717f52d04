"""The files that a page of the documentation shows."""

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

__all__ = ["files", "printed"]

_ROOT = Path(__file__).parents[2]


def files(page: str) -> Mapping[str, str]:
    """The texts of its blocks behind `<!-- file: NAME -->`, by that name."""
    text = (_ROOT / page).read_text("utf-8")
    return dict(re.findall(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```", text, re.DOTALL))


def printed(program: str, base_url: str) -> str:
    """What a page's program in Python prints when the demo is at that address."""
    done = subprocess.run(
        [sys.executable, "-c", program.replace("http://127.0.0.1:8000/v1", base_url)],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
