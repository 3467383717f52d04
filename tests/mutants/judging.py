"""Whether some test fails on a mutant: each is tried in a process of its own.

The judge is a process that has loaded pytest and whatever the tests need that does not import the
module. For each mutant it forks; the child imports the mutant in the module's place, runs
the module's tests up to the first that fails, and ends. So a mutant sees the real import, module
level included, it can leave nothing behind, and costs what its tests cost.

The tests are first run once without a mutant. They must pass, and their times say in which order to
run them (the quickest first, those that have killed before sooner) and when to give up: a mutant
that loops for ever is stopped by a limit on each test's CPU time, which a busy machine does not use
up.
"""

import contextlib
import gc
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import json
import math
import os
import resource
import selectors
import signal
import sys
import time
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from types import CodeType, ModuleType
from typing import Any, Final

import pytest

from tests.mutants.making import Name, Source

__all__ = ["Judge", "NotJudged", "Result", "Verdict"]

_PYTEST: Final = (
    "--exitfirst",
    "--quiet",
    "--timeout=0",
    # nobody reads why an assertion failed
    "--assert=plain",
    # the plugins that the settings in pyproject.toml need, and no other
    *("-p", "anyio", "-p", "timeout", "-p", "hypothesispytest", "-p", "no:cacheprovider"),
)

_CPU_TIMES: Final = 5
_CPU_MORE: Final = 1.0
"""With a mutant a test may take five times what it takes without, and a second; so may the import."""

_WALL_TIMES: Final = 20
"""Then it waits for something, which nothing here does, or the machine has stopped."""

_MOST_MEMORY: Final = 2 << 30
"""Bytes: a mutant that appends for ever is a dead one."""

_NOT_RUN: Final = 70
"""The child's exit code when the trouble is ours."""


_NO_VERDICT: Final = frozenset(
    {_NOT_RUN, pytest.ExitCode.NO_TESTS_COLLECTED, -signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP}
)
"""Ends that say nothing about the mutant, but that somebody wants us to stop among them."""


class NotJudged(Exception):
    """The tests fail without a mutant, or did not run: there is nothing to judge by."""


class Verdict(Enum):
    """What became of a mutant."""

    KILLED = "killed"
    SURVIVED = "survived"
    TIMED_OUT = "timed out"


@dataclass(frozen=True, slots=True)
class Result:
    """A mutant's verdict, the test that killed it, and the CPU seconds that it took."""

    verdict: Verdict
    by: str
    seconds: float


@dataclass(slots=True)
class _Child:
    pid: int
    mutant: Name | None
    deadline: float
    said: bytearray = field(default_factory=bytearray)


@dataclass(frozen=True, slots=True)
class _Ended:
    code: int
    cpu: float
    report: dict[str, Any]


class Judge:
    """The tests of one module.

    Attributes:
        baseline: CPU seconds of a run without a mutant.
    """

    def __init__(self, source: Source, tests: Sequence[str]) -> None:
        """Run the tests as they are, and load what they load.

        Raises:
            NotJudged: They do not pass.
        """
        self._source = source
        self._tests = tests
        self._seconds: dict[str, float] = {}
        self._killers: Counter[str] = Counter()
        self._cpu_limit = math.inf
        # what an earlier judge of this package has loaded may be what is mutated now
        package = source.module.partition(".")[0]
        for name in [name for name in sys.modules if name.partition(".")[0] == package]:
            del sys.modules[name]
        (_, ended), *_ = self._run([None], workers=1)
        self.baseline = ended.cpu
        if ended.code != 0:
            raise NotJudged(
                f"{source.module}: pytest {' '.join(tests)} ended with {ended.code} before anything "
                f"was mutated{_by(ended)}"
            )
        if not ended.report["others"]:
            raise NotJudged(f"{source.module}: none of {', '.join(tests)} imports it")
        self._seconds = ended.report["seconds"]
        self._cpu_limit = _CPU_TIMES * ended.cpu + _CPU_MORE
        for name in ended.report["others"]:
            with contextlib.suppress(ImportError):
                importlib.import_module(name)
        # the collector need not look at what every child inherits
        gc.collect()
        gc.freeze()

    def judge(self, mutants: Iterable[Name], workers: int) -> Iterator[tuple[Name, Result]]:
        """The result of each mutant, as they come.

        Raises:
            NotJudged: The tests could not be run on one.
        """
        for mutant, ended in self._run(mutants, workers):
            if mutant is None:
                continue
            if ended.code in _NO_VERDICT:
                raise NotJudged(f"{mutant}: {ended.report.get('trouble', 'no tests ran')}")
            by = ended.report.get("by", "")
            self._killers[by] += 1
            if ended.code == 0:
                yield mutant, Result(Verdict.SURVIVED, "", ended.cpu)
            elif ended.code in {-signal.SIGPROF, -signal.SIGKILL}:
                yield mutant, Result(Verdict.TIMED_OUT, "", ended.cpu)
            else:
                yield mutant, Result(Verdict.KILLED, by or f"exit code {ended.code}", ended.cpu)

    def _run(
        self, mutants: Iterable[Name | None], workers: int
    ) -> Iterator[tuple[Name | None, _Ended]]:
        waiting = iter(mutants)
        with selectors.DefaultSelector() as running:
            while True:
                while len(running.get_map()) < workers:
                    mutant = next(waiting, _Missing)
                    if isinstance(mutant, type):
                        break
                    child, pipe = self._start(mutant)
                    running.register(pipe, selectors.EVENT_READ, child)
                if not running.get_map():
                    return
                for key, _ in running.select(timeout=1.0):
                    said = os.read(key.fd, 1 << 16)
                    key.data.said.extend(said)
                    if not said:
                        running.unregister(key.fd)
                        os.close(key.fd)
                        yield key.data.mutant, _ended(key.data)
                now = time.monotonic()
                for key in running.get_map().values():
                    if now > key.data.deadline:
                        os.kill(key.data.pid, signal.SIGKILL)

    def _start(self, mutant: Name | None) -> tuple[_Child, int]:
        reading, writing = os.pipe()
        pid = os.fork()
        if not pid:
            os.close(reading)
            self._try(mutant, writing)
        os.close(writing)
        return _Child(pid, mutant, time.monotonic() + _WALL_TIMES * self._cpu_limit), reading

    def _try(self, mutant: Name | None, pipe: int) -> None:
        """The child's life; it never returns."""
        code = _NOT_RUN
        report: dict[str, Any] = {}
        try:
            nowhere = os.open(os.devnull, os.O_RDWR)
            for descriptor in (0, 1, 2):
                os.dup2(nowhere, descriptor)
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            resource.setrlimit(resource.RLIMIT_DATA, (_MOST_MEMORY, _MOST_MEMORY))
            compiled = self._source.compiled(mutant)
            instead = _Instead(self._source.module, compiled, self._source.path)
            sys.meta_path.insert(0, instead)
            watch = _Watch(self._seconds, self._killers)
            if mutant is not None:
                _allow(self._cpu_limit)
            code = int(pytest.main([*_PYTEST, *self._tests], plugins=[watch]))
            report = {"by": watch.by, "seconds": watch.seconds}
            if mutant is None:
                report["others"] = instead.others
        except BaseException as trouble:  # noqa: BLE001 - this process ends here, whatever it was
            report = {"trouble": repr(trouble)}
        finally:
            said = memoryview(json.dumps(report).encode())
            while said:
                said = said[os.write(pipe, said) :]
            os._exit(code)


class _Missing:
    """No mutant is left."""


class _Watch:
    """Sorts the tests, takes and limits their CPU times, and notes which one failed."""

    def __init__(self, known: dict[str, float], killers: Counter[str]) -> None:
        self._known = known
        self._killers = killers
        self.seconds: dict[str, float] = {}
        self.by = ""

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items.sort(
            key=lambda item: self._known.get(item.nodeid, 0.0) / (1 + self._killers[item.nodeid])
        )

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.by = f"import of {report.nodeid}"

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        if self._known:
            _allow(_CPU_TIMES * self._known.get(item.nodeid, 0.0) + _CPU_MORE)
        started = time.process_time()
        done = yield
        self.seconds[item.nodeid] = time.process_time() - started
        return done

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.by = report.nodeid


def _allow(cpu: float) -> None:
    """End this process, by a signal that nobody handles, after that much more CPU time."""
    signal.setitimer(signal.ITIMER_PROF, cpu)


class _Instead(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports the mutant in its module's place.

    Attributes:
        others: The modules that were complete before it was, and so know nothing of it.
    """

    def __init__(self, module: str, compiled: CodeType, path: object) -> None:
        self.others: list[str] = []
        self._module = module
        self._compiled = compiled
        self._path = str(path)

    def find_spec(
        self, fullname: str, path: object, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._module:
            return None
        return importlib.util.spec_from_file_location(fullname, self._path, loader=self)

    def exec_module(self, module: ModuleType) -> None:
        exec(self._compiled, module.__dict__)  # noqa: S102 - the module's own code, with its fault
        self.others = [
            name
            for name, other in sys.modules.items()
            if name.partition(".")[0] not in {"tests", "__main__"}
            and not getattr(getattr(other, "__spec__", None), "_initializing", False)
        ]


def _ended(child: _Child) -> _Ended:
    _, status, usage = os.wait4(child.pid, 0)
    report: dict[str, Any] = json.loads(child.said) if child.said else {}
    return _Ended(os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime, report)


def _by(ended: _Ended) -> str:
    said = ended.report.get("by") or ended.report.get("trouble")
    return f": {said}" if said else ""
