"""Every module has its test file, every test file its module: nobody searches for a test.

`mock/lorax_mock/model/engine.py` is tested in `tests/mock/model/test_engine.py`, `__main__.py` in
`test_main.py`. What other tests cover better is listed here with its reason.
"""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.repo.tree import PACKAGES

__all__ = ["TESTED_ELSEWHERE", "TESTS_OF_NO_MODULE", "mirror_of", "mismatches"]

TESTED_ELSEWHERE: Mapping[str, str] = {
    "mock/lorax_mock/shard/residency.py": "test_scheduler and test_workload try it through the shard",
    "mock/lorax_mock/shard/jobs.py": "values; test_scheduler makes and reads all of them",
    "proxy/lorax_proxy/prepared_request.py": "a value; test_delivery and test_cancellation ask with it",
    "proxy/lorax_proxy/client.py": "test_surface tries it through the surface, test_http1 by connection",
    "proxy/lorax_proxy/config_limits.py": "fields; test_http1 and test_door try each at its edge",
    "proxy/lorax_proxy/inspector/connection.py": "test_page compares what it shows with what sockets saw",
    "proxy/lorax_proxy/core/style.py": "a protocol; test_chat_style and test_text_completion test both who keep it",
    "proxy/lorax_proxy/errors.py": "exceptions that carry values to core.failures and the surface",
    "proxy/lorax_proxy/exchange.py": "test_http1 tries it through its connection",
    "proxy/lorax_proxy/incoming.py": "test_http1 tries it through its connection",
    "proxy/lorax_proxy/upstream/connection.py": "test_direct tries it through its transport",
}
"""Modules without a test file of their own, and where and why they are tested instead."""

TESTS_OF_NO_MODULE: Mapping[str, str] = {
    "tests/contracts/test_genuine.py": "recorded exchanges of others' servers, held to the whole judge",
    "tests/contracts/test_matrix.py": "the tables of `make matrix`, a program of the tests themselves",
    "tests/contracts/test_one_cause.py": "servers with one fault, or none, that shows in many places",
    "tests/contracts/test_played.py": "plays the golden transcripts on the proxy and on the mock",
    "tests/mock/test_recorded_router.py": "holds the whole mock to what LoRAX's router answered",
    "tests/proxy/test_bounds.py": "what any request may take, from its body to its plan",
    "tests/proxy/test_cost.py": "what a request and a token cost, through everything between two sockets",
    "tests/proxy/test_builtin_templates.py": "the built-in chat templates, which are data",
    "tests/proxy/test_parameter_effects.py": "the parameter table, held to what the whole proxy does",
}
"""Test files that test several modules together, and what."""


def mismatches(
    root: Path,
    elsewhere: Mapping[str, str] = TESTED_ELSEWHERE,
    of_none: Mapping[str, str] = TESTS_OF_NO_MODULE,
) -> Iterator[str]:
    """Each module without its test, test without its module, and exception that is none."""
    for package, folder in PACKAGES.items():
        source, tests = root / folder / package, root / "tests" / folder
        expected = {
            mirror_of(path.relative_to(source)): path
            for path in sorted(source.rglob("*.py"))
            if _has_code(path)
        }
        there = {path.relative_to(tests): path for path in sorted(tests.rglob("test_*.py"))}
        for test, module in expected.items():
            name, excused = (
                str(module.relative_to(root)),
                str(module.relative_to(root)) in elsewhere,
            )
            if test not in there and not excused:
                yield f"{name}: no test file tests/{folder}/{test}"
            elif test in there and excused:
                yield f"{name}: has a test file; take it off TESTED_ELSEWHERE"
        for test, path in there.items():
            name, excused = str(path.relative_to(root)), str(path.relative_to(root)) in of_none
            if test not in expected and not excused:
                yield f"{name}: no such module in {folder}/{package}"
    for name in (*elsewhere, *of_none):
        if not (root / name).is_file():
            yield f"{name}: is on a list of exceptions, and gone"


def mirror_of(module: Path) -> Path:
    """Where the test of a module stands: its path in the package -> the test's under `tests/proxy`, say."""
    name = module.name.replace("__main__", "main")
    if name == "__init__.py":
        return module.parent.parent / f"test_{module.parent.name}.py"
    return module.with_name(f"test_{name}")


def _has_code(path: Path) -> bool:
    """Whether there is more in it than a docstring, imports and `__all__`."""
    return any(
        not isinstance(node, ast.Expr | ast.Import | ast.ImportFrom) and not _names_all(node)
        for node in ast.parse(path.read_text("utf-8")).body
    )


def _names_all(node: ast.stmt) -> bool:
    match node:
        case ast.Assign(targets=[ast.Name("__all__")]):
            return True
        case _:
            return False
