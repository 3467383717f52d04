"""`lorax-contracts`: the laws, and the judge of recordings and servers.

Exit codes: 0 nothing found, 1 a law is broken, 2 it could not be judged.
"""

import signal

# Ctrl-C while the imports below take their time ends the program, not in a traceback of theirs;
# who started us in the background, with the signal ignored, keeps it so.
_EARLY = signal.getsignal(signal.SIGINT) is signal.default_int_handler
if _EARLY:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import json
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from importlib import metadata
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lorax_contracts.address import address
from lorax_contracts.errors import CannotRun, ContractsError, printable
from lorax_contracts.options import (
    Baseline,
    Context,
    Examples,
    Headers,
    Insecure,
    Key,
    Kind,
    Model,
    Only,
    Patience,
    Requests,
    Seconds,
    Seed,
    Strict,
    Without,
    format_option,
    kind_of,
    options_of,
)
from lorax_contracts.outputs import Output, outputs_of, write_all

if TYPE_CHECKING:
    from lorax_contracts.baseline import Known
    from lorax_contracts.exchange import Finding

__all__ = ["app", "main"]

app = typer.Typer(
    name="lorax-contracts",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

_KIND = typer.Option("--kind", help="openai or lorax; told from the input when absent")


_LAWS = ("text", "json", "markdown")
_LINT = ("text", "json", "github")
_MATRIX = ("text", "json", "markdown", "html")
_CHECK = ("text", "json", "junit", "github", "html", "markdown", "badge")


def _tell_version(asked: bool) -> None:  # noqa: FBT001 - typer hands the value over like this
    if asked:
        typer.echo(f"lorax-contracts {metadata.version('lorax-openai')}")
        raise typer.Exit


@app.callback()
def _root(
    *,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=_tell_version, help="print the version, and end"
        ),
    ] = False,
) -> None:
    """Check any server or recording against what OpenAI's and LoRAX's APIs promise."""


@app.command()
def laws(
    *,
    wire: Annotated[str | None, typer.Option(help="openai or lorax; both when absent")] = None,
    form: Annotated[list[str] | None, format_option(*_LAWS)] = None,
) -> None:
    """List the laws."""
    outputs = outputs_of(form or (), _LAWS)
    from lorax_contracts.laws import all_laws  # noqa: PLC0415 - --help must not load the data
    from lorax_contracts.listing import (  # noqa: PLC0415 - see above
        law_document,
        law_markdown,
        law_table,
    )

    chosen = [law for law in all_laws().values() if law.wire == (kind_of(wire) or law.wire)]

    def write(form: str) -> str:
        if form == "json":
            listed = [law_document(law) for law in chosen]
            return json.dumps(listed, indent=2, ensure_ascii=False) + "\n"
        return law_markdown(chosen) if form == "markdown" else law_table(chosen)

    write_all(outputs, write)


@app.command()
def explain(law_id: Annotated[str, typer.Argument(metavar="ID")]) -> None:
    """Explain one law: what is promised, why it matters, who says so."""
    from lorax_contracts.laws import law  # noqa: PLC0415 - --help must not load the data
    from lorax_contracts.listing import law_text  # noqa: PLC0415 - see above

    typer.echo(law_text(law(law_id)))


@app.command()
def lint(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE...|-", help="recorded replies or streams")
    ],
    *,
    kind: Annotated[str | None, _KIND] = None,
    request: Annotated[
        Path | None, typer.Option(help="the request's JSON, for laws about what was asked for")
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="also check our own, stricter promises")
    ] = False,
    form: Annotated[list[str] | None, format_option(*_LINT)] = None,
) -> None:
    """Check recorded streams and replies, without a server."""
    from lorax_contracts.linting import linted, report  # noqa: PLC0415 - see laws
    from lorax_contracts.listing import severities  # noqa: PLC0415 - see laws

    outputs = outputs_of(form or (), _LINT)
    found: dict[str, list[Finding]] = {}
    unread: list[str] = []
    for one in files:
        found[one] = []  # with a report of several, each file has its name
        try:
            found[one] = linted(one, kind=kind_of(kind), request=request, strict=strict)
        except ContractsError as error:
            unread.append(str(error))
    if len(unread) < len(files):
        write_all(outputs, lambda form: report(form, found))
        every = [one for findings in found.values() for one in findings]
        result = severities(every) or ([] if unread else ["no law is broken"])
        typer.echo("".join(f"{line}\n" for line in result), err=True, nl=False)
    else:
        every = []
    for why in dict.fromkeys(unread):
        typer.echo(f"lorax-contracts: {printable(why)}", err=True)
    raise typer.Exit(2 if unread else 1 if every else 0)


@app.command()
def check(
    url: Annotated[str, typer.Argument(metavar="URL", help="the server, with or without /v1")],
    *,
    kind: Kind = None,
    model: Model = None,
    only: Only = None,
    without: Without = None,
    strict: Strict = False,
    form: Annotated[list[str] | None, format_option(*_CHECK)] = None,
    baseline: Baseline = None,
    update_baseline: Annotated[
        bool, typer.Option("--update-baseline", help="write what is broken now into that file")
    ] = False,
    seed: Seed = 0,
    examples: Examples = 40,
    requests: Requests = 300,
    seconds: Seconds = 120,
    patience: Patience = 20,
    api_key: Key = None,
    header: Headers = None,
    context: Context = None,
    insecure: Insecure = False,
) -> None:
    """Check a running server. Reads only, and keeps within bounds."""
    from lorax_contracts.baseline import outcome_of, read_baseline, write_baseline  # noqa: PLC0415 - see laws
    from lorax_contracts.check import check as run  # noqa: PLC0415 - see laws
    from lorax_contracts.formats import Format, written  # noqa: PLC0415 - see laws
    from lorax_contracts.formats.text import print_summary  # noqa: PLC0415 - see laws

    outputs = outputs_of(form or (), _CHECK)
    if update_baseline and baseline is None:
        raise ContractsError("--update-baseline: name the file with --baseline FILE")
    if update_baseline and baseline is not None and not baseline.absolute().parent.is_dir():
        raise ContractsError(f"--baseline {baseline}: {baseline.parent} is no folder")
    known = None if baseline is None else _known(baseline, may_be_missing=update_baseline)
    options = options_of(
        kind=kind,
        model=model,
        only=only,
        without=without,
        strict=strict,
        key=api_key,
        header=header,
        context=context,
        insecure=insecure,
        seed=seed,
        examples=examples,
        requests=requests,
        seconds=seconds,
        patience=patience,
    )
    with _no_traces(), _progress() as tell:
        verdict = run(url, options, tell)
    outcome = outcome_of(verdict, known)
    updated = baseline if update_baseline else None
    text = write_baseline(outcome)

    def write(form: str) -> str:
        if form == "baseline":
            return text
        # What was just accepted is no error of the job that accepts it.
        accepted = outcome_of(verdict, read_baseline(text)) if updated else outcome
        return written(Format(form), accepted if form == "github" else outcome)

    try:
        write_all([*outputs, *([Output("baseline", updated)] if updated else ())], write)
        if updated:
            typer.echo(f"{updated}: written; only other findings are new from now on", err=True)
    finally:
        # The result, whatever became of the reports, and as the last lines.
        print_summary(outcome)
    if outcome.new and not updated:
        raise typer.Exit(1)
    left = verdict.unfinished or (verdict.why_not(verdict.laws[0]) if only else "")
    raise typer.Exit(2 if left else 0)


def _known(file: Path, *, may_be_missing: bool) -> "tuple[Known, ...]":
    """What a baseline knows."""
    from lorax_contracts.baseline import read_baseline  # noqa: PLC0415 - see laws

    if may_be_missing and not file.exists():
        return ()
    try:
        return read_baseline(file.read_bytes())
    except OSError as error:
        hint = "; --update-baseline writes it" if isinstance(error, FileNotFoundError) else ""
        raise ContractsError(f"{file}: {error.strerror}{hint}") from error
    except ContractsError as error:
        raise ContractsError(f"{file}: {error}") from error


@app.command()
def matrix(
    servers: Annotated[
        list[str], typer.Argument(metavar="[NAME=]URL...", help="the servers, with or without /v1")
    ],
    *,
    kind: Kind = None,
    model: Model = None,
    only: Only = None,
    without: Without = None,
    strict: Strict = False,
    form: Annotated[list[str] | None, format_option(*_MATRIX)] = None,
    seed: Seed = 0,
    examples: Examples = 40,
    requests: Requests = 300,
    seconds: Seconds = 120,
    patience: Patience = 20,
    api_key: Annotated[
        str | None, typer.Option(help="sent as a bearer token to each of them")
    ] = None,
    insecure: Insecure = False,
) -> None:
    """Check several servers, and compare them law by law."""
    from lorax_contracts.check import check as run  # noqa: PLC0415 - see laws
    from lorax_contracts.comparison import Judged, compared  # noqa: PLC0415 - see laws

    outputs = outputs_of(form or (), _MATRIX)
    options = options_of(
        kind=kind,
        model=model,
        only=only,
        without=without,
        strict=strict,
        key=api_key,
        insecure=insecure,
        seed=seed,
        examples=examples,
        requests=requests,
        seconds=seconds,
        patience=patience,
    )
    judged: list[Judged] = []
    with _no_traces(), _progress() as tell:
        for name, url in _named(servers):
            try:
                judged.append(Judged(name, run(url, options, tell)))
            except CannotRun as error:
                judged.append(Judged(name, why=str(error)))
    write_all(outputs, lambda form: compared(form, judged))
    whole = all(one.verdict and not one.verdict.unfinished for one in judged)
    told = not only or not all(one.why_not for one in judged)
    raise typer.Exit(0 if whole and told else 2)


def _named(servers: list[str]) -> list[tuple[str, str]]:
    """Name and address of each server."""
    named: dict[str, str] = {}
    for one in servers:
        name, equals, url = one.partition("=")
        # An address may hold one in its query.
        name, url = (name, url) if equals and not {"/", ":", "?"} & set(name) else (one, one)
        if not name or name in named:
            raise ContractsError(f"{one}: give each server a name of its own, as NAME=URL")
        address(url)  # one with a password in it would be the name of a column
        named[name] = url
    return list(named.items())


@contextmanager
def _no_traces() -> Generator[None]:
    """Lets Hypothesis keep its notes in a folder that goes away, not in the user's."""
    from tempfile import TemporaryDirectory  # noqa: PLC0415 - only check needs it

    from hypothesis.configuration import set_hypothesis_home_dir  # noqa: PLC0415 - slow to load

    with TemporaryDirectory(prefix="lorax-contracts-") as folder:
        set_hypothesis_home_dir(folder)
        try:
            yield
        finally:
            set_hypothesis_home_dir(None)


@contextmanager
def _progress() -> Generator[Callable[[str, float], None]]:
    """A bar on standard error while a terminal watches; silent otherwise."""
    if not sys.stderr.isatty():
        yield lambda _what, _part: None
        return
    from rich.console import Console  # noqa: PLC0415 - rich is slow to load
    from rich.progress import Progress  # noqa: PLC0415 - see above

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("looking", total=1)
        # Of one width, so that the bar stays in its place.
        yield lambda what, part: bar.update(task, description=f"{what:<22}", completed=part)


def main() -> None:
    """The console script."""
    if _EARLY:
        # From here on Ctrl-C is an exception again: what was opened is closed.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for stream in (sys.stdout, sys.stderr):
        # What a server said must be shown even where the terminal has no letter for it.
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except ContractsError as error:
        typer.echo(f"lorax-contracts: {printable(str(error))}", err=True)
        sys.exit(2)
    except OSError as error:
        # Of all files only the output is left: those that are read say what is wrong themselves.
        typer.echo(f"lorax-contracts: the output cannot be written: {error.strerror}", err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
