"""Calls that have one home, or none.

The linter knows the modules that only their homes may import (`banned-api` in pyproject.toml); this
table knows the calls. A name is resolved through its import, so that `from time import time as now`
is found too.
"""

import ast
from collections.abc import Iterator, Mapping
from fnmatch import fnmatch
from pathlib import Path

from tests.repo.tree import PACKAGES, modules

__all__ = ["HOMES", "Home", "strays"]

Home = tuple[str, ...]
"""The files, as patterns, that may make a call."""

_CLOCK: Home = (
    "proxy/lorax_proxy/app.py",
    "proxy/lorax_proxy/client.py",
    "proxy/lorax_proxy/surface.py",
    "proxy/lorax_proxy/workers.py",
    "mock/lorax_mock/server/clock.py",
    "contracts/lorax_contracts/check.py",
    "contracts/lorax_contracts/client.py",
    "proxy/lorax_proxy/tap.py",
)
_ENVIRONMENT: Home = ("proxy/lorax_proxy/config.py",)
_FILES: Home = (
    "proxy/lorax_proxy/template_files.py",
    "mock/lorax_mock/__main__.py",
    "mock/lorax_mock/files/script_file.py",
    "mock/lorax_mock/recording/recorder.py",
    "contracts/lorax_contracts/loader.py",
    "contracts/lorax_contracts/__main__.py",
)
_PROCESSES: Home = (
    "proxy/lorax_proxy/demo.py",
    "proxy/lorax_proxy/template_trial.py",
    "mock/lorax_mock/plugin.py",
    "contracts/lorax_contracts/pytest_plugin.py",
)
_IDENTITY: Home = ("proxy/lorax_proxy/app.py", "proxy/lorax_proxy/surface.py")
_PATIENT: Home = ("contracts/lorax_contracts/check.py", "contracts/lorax_contracts/client.py")
"""One waits for a second to turn, within which a stream is judged; the other as long as a server's
Retry-After asks it to."""
_COMMANDS: Home = (
    "*/__main__.py",
    "command/lorax_openai/commands.py",
    "command/lorax_openai/doctor.py",
    "mock/lorax_mock/files/script_file.py",
)
_NOWHERE: Home = ()

HOMES: Mapping[str, tuple[Home, str]] = {
    "print": (_COMMANDS, "only a command speaks to its terminal, and a script to who edits it"),
    "input": (_NOWHERE, "nothing here asks"),
    "eval": (_NOWHERE, "data is not code"),
    "exec": (_NOWHERE, "data is not code"),
    "hash": (_NOWHERE, "it differs from process to process (PYTHONHASHSEED): use hashlib"),
    "pickle.loads": (_NOWHERE, "data is not code"),
    "os._exit": (_NOWHERE, "it skips every clean-up"),
    "open": (_FILES, "files are read at the edge"),
    "time.sleep": (_PATIENT, "wait for what happens, not for time"),
    "time.time": (_CLOCK, "the clock belongs to the shell: take the time as a value"),
    "time.monotonic": (_CLOCK, "the clock belongs to the shell: take the time as a value"),
    "time.perf_counter": (_CLOCK, "the clock belongs to the shell: take the time as a value"),
    "datetime.datetime.now": (_CLOCK, "the clock belongs to the shell: take the time as a value"),
    "datetime.datetime.utcnow": (_NOWHERE, "it has no zone: datetime.now(UTC)"),
    "datetime.datetime.today": (_NOWHERE, "the clock belongs to the shell"),
    "datetime.date.today": (_NOWHERE, "the clock belongs to the shell"),
    "uuid.uuid4": (_IDENTITY, "identity is supplied by the shell as a value"),
    "secrets.token_hex": (_IDENTITY, "identity is supplied by the shell as a value"),
    "os.environ.get": (_ENVIRONMENT, "settings are the only reader of the environment"),
    "os.getenv": (_NOWHERE, "settings are the only reader of the environment"),
    "subprocess.Popen": (_PROCESSES, "processes are started at the edge"),
    "subprocess.run": (_PROCESSES, "processes are started at the edge"),
    "subprocess.check_output": (_NOWHERE, "subprocess.run says what it does"),
    "os.system": (_NOWHERE, "a shell would read our data as commands"),
    "asyncio.get_event_loop": (_NOWHERE, "asyncio.get_running_loop"),
}
"""A call, the only files that may make it, and why."""


def strays(root: Path, homes: Mapping[str, tuple[Home, str]] = HOMES) -> Iterator[str]:
    """Each banned call outside its homes, in one line."""
    for package in PACKAGES:
        for path in modules(root, package).values():
            here = path.relative_to(root).as_posix()
            tree = ast.parse(path.read_text("utf-8"))
            names = _imported(tree)
            for node in ast.walk(tree):
                if not isinstance(node, ast.Call):
                    continue
                called = _name(node.func, names)
                home, why = homes.get(called, (None, ""))
                if home is not None and not any(fnmatch(here, pattern) for pattern in home):
                    yield f"{here}:{node.lineno}: {called}(): {why}"


def _imported(tree: ast.Module) -> Mapping[str, str]:
    """What each imported name stands for: `from time import time as now` -> now: time.time."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.partition(".")[0]
                names[alias.asname or top] = alias.name if alias.asname else top
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {a.asname or a.name: f"{node.module}.{a.name}" for a in node.names}
    return names


def _name(function: ast.expr, names: Mapping[str, str]) -> str:
    match function:
        case ast.Name(name):
            return names.get(name, name)
        case ast.Attribute(value, attribute):
            before = _name(value, names)
            return f"{before}.{attribute}" if before else ""
        case _:
            return ""
