"""`make mutants`: plant every small fault in turn, and see whether some test notices.

Exit codes: 0 when each survivor is argued, 1 when one is not or when an argument has outlived its
mutant, 2 when the tests fail by themselves.
"""

import fnmatch
import json
import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from tests.mutants.argued import ARGUED, loaded
from tests.mutants.judging import Judge, NotJudged, Result, Verdict
from tests.mutants.making import Name, Source
from tests.mutants.targets import TARGETS, Target

_OUT: Final = Console(highlight=False, soft_wrap=True)
_ERR: Final = Console(stderr=True, highlight=False)


@dataclass(slots=True)
class _Score:
    """What became of one module's mutants."""

    module: str
    verdicts: Counter[Verdict] = field(default_factory=Counter[Verdict])
    argued: int = 0
    seconds: float = 0.0

    def add(self, result: Result) -> None:
        """Count one mutant."""
        self.verdicts[result.verdict] += 1
        self.seconds += result.seconds

    @property
    def cells(self) -> tuple[str, ...]:
        """A row of the table."""
        total, survived = self.verdicts.total(), self.verdicts[Verdict.SURVIVED]
        caught = total - survived
        unargued = survived - self.argued
        counted = total - self.argued
        return (
            self.module,
            str(total),
            str(self.verdicts[Verdict.KILLED]),
            str(self.verdicts[Verdict.TIMED_OUT]),
            str(self.argued),
            str(unargued),
            f"{100 * caught / total:.1f} %" if total else "",
            f"{100 * caught / counted:.1f} %" if counted else "",
            f"{self.seconds:.0f} s",
        )


def main(
    modules: Annotated[
        list[str] | None, typer.Argument(help="Modules by their last name: stops stream")
    ] = None,
    only: Annotated[
        str, typer.Option(help="Only in functions that match, as in 'StopCutter.*'")
    ] = "*",
    workers: Annotated[int, typer.Option(min=1, help="Processes at once")] = os.cpu_count() or 1,
    log: Annotated[Path | None, typer.Option(help="Add each verdict as a line of JSON")] = None,
    *,
    resume: Annotated[
        bool, typer.Option("--resume", help="Judge only what the log leaves open")
    ] = False,
    listed: Annotated[bool, typer.Option("--list", help="Name the mutants, judge none")] = False,
) -> None:
    """Plant every small fault in turn, and see whether some test notices."""
    targets = _chosen(modules or [])
    reasons = loaded(ARGUED.read_text("utf-8"))
    os.environ["HYPOTHESIS_PROFILE"] = "mutants"
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    scores: list[_Score] = []
    open_ends: list[str] = []
    before = _settled(log, reasons) if log and resume and log.exists() else {}
    lines = log.open("a", encoding="utf-8") if log else None
    for target in targets:
        source = target.source()
        mutants = [name for name in source.mutants if fnmatch.fnmatch(name.where, only)]
        if listed:
            for name in mutants:
                _OUT.print(f"{target.path}:{source.line(name)}: {name}", markup=False)
            continue
        score = _Score(target.module)
        scores.append(score)
        survivors: set[Name] = set()
        known = {name: before[name] for name in mutants if name in before}
        for name, result in known.items():
            score.add(result)
            if result.verdict is Verdict.SURVIVED:
                survivors.add(name)
        left = [name for name in mutants if name not in known]
        for name, result in _judged(target, source, left, workers):
            score.add(result)
            if result.verdict is Verdict.SURVIVED:
                survivors.add(name)
            if lines:
                print(_line(source, name, result), file=lines, flush=True)
        score.argued = len(survivors & reasons.keys())
        open_ends += [
            f"# survived: {target.path}:{source.line(name)}\n{_entry(name)}"
            for name in mutants
            if name in survivors and name not in reasons
        ]
        open_ends += [
            f"# argued in vain, {'a test kills it' if name in mutants else 'no such mutant'}\n"
            f"{_entry(name)}"
            for name in reasons
            if name.module == target.module
            and name not in survivors
            and fnmatch.fnmatch(name.where, only)
        ]
    for text in open_ends:
        _OUT.print(text, markup=False)
    if scores:
        Console(width=max(_OUT.width, 120)).print(_table(scores))
    raise typer.Exit(1 if open_ends else 0)


def _chosen(names: Sequence[str]) -> list[Target]:
    known = {target.module.rpartition(".")[2]: target for target in TARGETS}
    for name in names:
        if name not in known:
            raise typer.BadParameter(f"no module {name!r} is mutated; there are {', '.join(known)}")
    return [known[name] for name in names or known]


def _judged(
    target: Target, source: Source, mutants: Sequence[Name], workers: int
) -> Iterator[tuple[Name, Result]]:
    if not mutants:
        return
    started = time.monotonic()
    # no thread of its own: what forks has one
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[alive]} alive"),
        console=_ERR,
        auto_refresh=False,
    )
    try:
        with progress:
            bar = progress.add_task(target.module, total=len(mutants), alive=0)
            alive = 0
            for name, result in Judge(source, target.tests).judge(mutants, workers):
                alive += result.verdict is Verdict.SURVIVED
                progress.update(bar, advance=1, alive=alive)
                if _ERR.is_terminal:
                    progress.refresh()
                yield name, result
    except NotJudged as trouble:
        _ERR.print(str(trouble), markup=False)
        raise typer.Exit(2) from trouble
    _ERR.print(f"{target.module}: {time.monotonic() - started:.0f} s")


def _line(source: Source, name: Name, result: Result) -> str:
    return json.dumps(
        {
            "module": name.module,
            "line": source.line(name),
            "where": name.where,
            "was": name.was,
            "now": name.now,
            "nth": name.nth,
            "verdict": result.verdict.value,
            "by": result.by,
            "seconds": round(result.seconds, 2),
        },
        ensure_ascii=False,
    )


def _settled(log: Path, reasons: Mapping[Name, str]) -> dict[Name, Result]:
    """The mutants that an earlier run saw caught, and the survivors of it that are argued."""
    found: dict[Name, Result] = {}
    for line in log.read_text("utf-8").split("\n"):
        if line:
            entry = json.loads(line)
            verdict = Verdict(entry["verdict"])
            name = Name(*(entry[key] for key in ("module", "where", "was", "now", "nth")))
            if verdict is not Verdict.SURVIVED or name in reasons:
                found[name] = Result(verdict, entry["by"], entry["seconds"])
    return found


def _entry(name: Name) -> str:
    """The survivor as `argued.toml` would have it, without a reason."""
    # every JSON string is a TOML string
    keys = {"module": name.module, "where": name.where, "was": name.was, "now": name.now}
    lines = [f"{key} = {json.dumps(text, ensure_ascii=False)}" for key, text in keys.items()]
    nth = [f"nth = {name.nth}"] if name.nth else []
    return "\n".join(["[[argued]]", *lines, *nth, 'because = ""', ""])


def _table(scores: Sequence[_Score]) -> Table:
    table = Table(box=None)
    table.add_column("module", no_wrap=True)
    for heading in (
        "mutants",
        "killed",
        "timed out",
        "argued",
        "alive",
        "score",
        "but argued",
        "CPU",
    ):
        table.add_column(heading, justify="right", no_wrap=True)
    total = _Score("all")
    for score in scores:
        table.add_row(*score.cells)
        total.verdicts += score.verdicts
        total.argued += score.argued
        total.seconds += score.seconds
    if len(scores) > 1:
        table.add_row(*total.cells)
    return table


if __name__ == "__main__":
    typer.run(main)
