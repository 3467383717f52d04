"""The hook as pre-commit runs it in somebody's repository."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.contracts import samples
from tests.repo.tree import ROOT

pytestmark = pytest.mark.timeout(300)


def test_recorded_streams_are_judged(tmp_path: Path) -> None:
    """A right one passes, a broken one is named with its law; other files are nobody's matter."""
    body = samples.golden("chat_stream").body
    (tmp_path / "right.sse").write_bytes(body)
    (tmp_path / "broken.sse").write_bytes(body.replace(b"data: [DONE]\n\n", b""))
    (tmp_path / "other.txt").write_text("no recording")

    def run(*words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            words,
            cwd=tmp_path,
            env={**os.environ, "PRE_COMMIT_HOME": str(tmp_path / ".cache")},
            capture_output=True,
            text=True,
            check=False,
            timeout=280,
        )

    run("git", "init", "--quiet")
    run("git", "add", "right.sse", "broken.sse", "other.txt")
    hook = ("pre-commit", "try-repo", str(ROOT), "lorax-contracts-lint", "--files")
    done = run(*hook, "right.sse", "broken.sse", "other.txt")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "broken.sse:\nOAI-STREAM-003" in done.stdout
    assert "right.sse" not in done.stdout
    assert run(*hook, "right.sse", "other.txt").returncode == 0
