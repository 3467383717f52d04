"""The judge on a module whose tests are weak on purpose."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.repo.tree import ROOT

_MODULE = """
TABLE = {"a": 1}
def tested(x):
    return TABLE[x]
def untested(x):
    return x + 1
def endless(n):
    while n:
        n -= 1
    return n
"""
_TESTS = """
import planted
def test_tested():
    assert planted.tested("a") == 1
def test_endless():
    assert planted.endless(3) == 0
"""
_JUDGE = """
import json, sys
from pathlib import Path
from tests.mutants.judging import Judge, NotJudged
from tests.mutants.making import Source
source = Source(Path("planted.py"), "planted")
try:
    for name, result in Judge(source, ["test_planted.py"]).judge(source.mutants, 2):
        print(json.dumps([name.where, name.was, name.now, result.verdict.value, result.by]))
except NotJudged as trouble:
    print(json.dumps(str(trouble)))
"""


def judged(folder: Path, tests: str) -> list[object]:
    """What the judge says of each mutant, one after the other."""
    (folder / "planted.py").write_text(_MODULE, "utf-8")
    (folder / "test_planted.py").write_text(tests, "utf-8")
    done = subprocess.run(
        [sys.executable, "-c", _JUDGE],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        check=True,
        capture_output=True,
        text=True,
        timeout=100,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.slow
def test_each_mutant_gets_its_verdict(tmp_path: Path) -> None:
    """Tables too; a killer is named; what no test looks at survives; what loops is stopped."""
    verdicts = judged(tmp_path, _TESTS)
    by_tested, by_endless = "test_planted.py::test_tested", "test_planted.py::test_endless"
    assert sorted(map(json.dumps, verdicts)) == sorted(
        json.dumps([where, was, now, verdict, by])
        for where, was, now, verdict, by in [
            ("", "TABLE = {'a': 1}", "TABLE = None", "killed", by_tested),
            ("", "TABLE = {'a': 1}", "TABLE = {}", "killed", by_tested),
            ("", "TABLE = {'a': 1}", "TABLE = {'XXaXX': 1}", "killed", by_tested),
            ("", "TABLE = {'a': 1}", "TABLE = {'A': 1}", "killed", by_tested),
            ("", "TABLE = {'a': 1}", "TABLE = {'a': 2}", "killed", by_tested),
            ("tested", "return TABLE[x]", "return None", "killed", by_tested),
            ("untested", "return x + 1", "return None", "survived", ""),
            ("untested", "return x + 1", "return x - 1", "survived", ""),
            ("untested", "return x + 1", "return x + 2", "survived", ""),
            ("endless", "while n", "while not n", "killed", by_endless),
            ("endless", "n -= 1", "n = 1", "timed out", ""),
            ("endless", "n -= 1", "n += 1", "timed out", ""),
            ("endless", "n -= 1", "pass", "timed out", ""),
            ("endless", "n -= 1", "n -= 2", "timed out", ""),
            ("endless", "return n", "return None", "killed", by_endless),
        ]
    )


@pytest.mark.parametrize(
    ("tests", "trouble"),
    [
        (
            "import planted\ndef test_wrong():\n assert planted.untested(1) == 1\n",
            (
                "planted: pytest test_planted.py ended with 1 before anything was mutated"
                ": test_planted.py::test_wrong"
            ),
        ),
        ("def test_other():\n pass\n", "planted: none of test_planted.py imports it"),
    ],
)
@pytest.mark.slow
def test_nothing_is_judged_by_tests_that_cannot_judge(
    tmp_path: Path, tests: str, trouble: str
) -> None:
    """They fail by themselves, or never see the module."""
    assert judged(tmp_path, tests) == [trouble]
