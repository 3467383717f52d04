"""`lorax-proxy`: arguments in, a running proxy out."""

import signal

# Ctrl-C while the imports below take their time ends the program, not in a traceback of theirs;
# who started us in the background, with the signal ignored, keeps it so.
if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import functools
import json
import os
import sys
import tempfile
import threading
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Annotated, Literal, NoReturn, cast

import typer
from pydantic import BaseModel

from lorax_proxy.config import Settings, load
from lorax_proxy.errors import ProxyError, SettingsInvalid

__all__ = ["main"]

# Its base, of everything that a command says about its arguments, has no name before typer 0.28.
_CommandError = cast("type[typer.TyperException]", typer.BadParameter.__mro__[2])

_cli = typer.Typer(
    name="lorax-proxy",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

_SPARE_PORTS = 20
"""How far the demo goes for a free port: whoever tries it has other servers on the usual ones."""

Config = Annotated[Path | None, typer.Option("--config", help="A TOML file with settings.")]


def _tell_version(asked: bool) -> None:  # noqa: FBT001 - typer hands the value over like this
    if asked:
        _say(f"lorax-proxy {metadata.version('lorax-openai')}")
        raise typer.Exit


@_cli.callback()
def _root(
    *,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=_tell_version, help="Print the version, and end."
        ),
    ] = False,
) -> None:
    """The OpenAI API for LoRAX's LoRA adapters."""


@_cli.command()
def serve(
    *,
    upstream: Annotated[str | None, typer.Option(help="LoRAX's address.")] = None,
    demo: Annotated[
        bool | None, typer.Option("--demo", help="Start a mock LoRAX and serve that.")
    ] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on [127.0.0.1].")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on [8000].")] = None,
    workers: Annotated[
        int | None, typer.Option(metavar="N", help="Processes that share the port [1].")
    ] = None,
    config: Config = None,
    chat_template: Annotated[
        str | None, typer.Option(metavar="NAME|FILE", help="A built-in's name, or a file.")
    ] = None,
    tokenizer: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="A model folder, for its template.")
    ] = None,
    allow_unlisted: Annotated[
        Literal["none", "hub", "any"] | None,
        typer.Option(help="Which unlisted model names are adapter ids."),
    ] = None,
    api_key: Annotated[
        str | None, typer.Option(metavar="KEY", help="The key that clients must send.")
    ] = None,
    no_auth: Annotated[
        bool | None, typer.Option("--no-auth", help="Listen off loopback without a key.")
    ] = None,
    inspector: Annotated[
        bool | None,
        typer.Option("--inspector", help="Serve a page that shows requests: /_inspector/."),
    ] = None,
    inspector_texts: Annotated[
        bool | None, typer.Option("--inspector-texts", help="Let it show what is said, too.")
    ] = None,
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"] | None, typer.Option(help="[info]")
    ] = None,
    log_format: Annotated[
        Literal["auto", "text", "json"] | None,
        typer.Option(help="[auto: text on a terminal, else json]"),
    ] = None,
    announce: Annotated[
        Literal["human", "json"], typer.Option(help="How to say that the port is open.")
    ] = "human",
    exit_with_parent: Annotated[
        bool, typer.Option("--exit-with-parent", help="End when standard input ends.")
    ] = False,
) -> None:
    """Serve OpenAI's API until Ctrl-C."""
    flags = {
        "upstream": upstream,
        "demo": demo,
        "host": host,
        "port": port,
        "workers": workers,
        "chat_template": chat_template,
        "tokenizer": tokenizer,
        "allow_unlisted": allow_unlisted,
        "api_key": api_key,
        "no_auth": no_auth,
        "inspector": inspector,
        "inspector_texts": inspector_texts,
        "log_level": log_level,
        "log_format": log_format,
    }
    try:
        settings, _ = load(flags, config)
        if settings.demo and settings.upstream:
            raise SettingsInvalid("--demo brings its own upstream: leave --upstream out, or --demo")
        if not settings.demo and not settings.upstream:
            raise SettingsInvalid(
                "no LoRAX to serve: give --upstream URL, or --demo for a mock that invents text"
            )
        if exit_with_parent:
            _end_with_stdin()
        if settings.demo:
            _serve_demo(settings, as_json=announce == "json")
        else:
            _run(settings, _announce_json if announce == "json" else _announce)
    except ProxyError as error:
        _fail(str(error))


@_cli.command()
def config(
    *,
    config: Config = None,
    upstream: Annotated[str | None, typer.Option(help="LoRAX's address.")] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Say all that is wrong, templates and variables too.")
    ] = False,
    probe: Annotated[
        bool, typer.Option("--probe", help="Ask the servers, and each model for one token, too.")
    ] = False,
    model: Annotated[
        list[str] | None, typer.Option(help="Probe this model; may be given again [all].")
    ] = None,
) -> None:
    """Print the effective settings and where each came from, or check them."""
    if check or probe or model:
        _check({"upstream": upstream}, config, model or [], probing=probe or bool(model))
        return
    # imported here: `serve` must not wait for what it does not print with
    from rich.console import Console  # noqa: PLC0415 - see above
    from rich.table import Table  # noqa: PLC0415 - see above

    try:
        _, origins = load({"upstream": upstream}, config)
    except ProxyError as error:
        _fail(str(error))
    table = Table("setting", "value", "from", box=None, pad_edge=False)
    for origin in origins:
        table.add_row(origin.name, _shown(origin.value), origin.origin)
    # values are text, not rich's markup: a path may well hold brackets
    Console(width=None if sys.stdout.isatty() else 160, markup=False, highlight=False).print(table)


@_cli.command()
def init(
    file: Annotated[Path, typer.Argument(help="Where to write it.")] = Path("lorax-proxy.toml"),
) -> None:
    """Write a configuration file with the settings that most people change, each explained."""
    from importlib.resources import files  # noqa: PLC0415 - as in config

    try:
        with file.open("x", encoding="utf-8") as written:
            written.write(files("lorax_proxy").joinpath("sample.toml").read_text("utf-8"))
    except FileExistsError:
        _fail(f"{file} is there already, and stays as it is; name another file")
    except OSError as error:
        _fail(f"{file}: cannot be written: {error.strerror}")
    _say(f"{file} is written. Change it, then:\n")
    _say(f"lorax-proxy config --probe --config {file}")
    _say(f"lorax-proxy serve --config {file}")


def main() -> None:
    """The command's entry point: a wrong option is one line on standard error, and exit 2."""
    try:
        code = _cli(standalone_mode=False)
    except _CommandError as error:
        message = error.format_message()
        # without arguments the "error" is the help text
        name = "" if len(sys.argv) < 2 else "lorax-proxy: "
        for line in message.splitlines():
            print(f"{name}{line}", file=sys.stderr)  # noqa: T201 - the command's output
        code = 2
    except typer.Abort:
        code = 130
    sys.exit(code)


def _check(
    flags: dict[str, str | None], config: Path | None, models: list[str], *, probing: bool
) -> None:
    """Print what is found; exit code 1 if something of it makes requests fail."""
    import asyncio  # noqa: PLC0415 - as in config

    from lorax_proxy.diagnosis import Finding, Level, examine, probe  # noqa: PLC0415 - as in config

    faults = 0

    def tell(finding: Finding) -> None:
        nonlocal faults
        faults += finding.level is Level.FAULT
        _say(f"{finding.level.value:<5}  {finding.text}")

    async def probed() -> None:
        async for finding in probe(settings, models):
            tell(finding)

    try:
        settings, _ = load(flags, config)
        for finding in examine(settings):
            tell(finding)
        if probing and not faults:
            asyncio.run(probed())
    except ProxyError as error:
        _fail(str(error))
    if not faults and not probing:
        _say("ok     the settings are right; --probe asks the servers")
    if faults:
        raise typer.Exit(1)


def _end_with_stdin() -> None:
    """End as by SIGTERM when standard input does, as a pipe does when the parent dies, however it dies.

    A thread, because the event loop cannot watch every kind of standard input.
    """

    def wait() -> None:
        while os.read(0, 4096):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, daemon=True).start()


def _serve_demo(settings: Settings, *, as_json: bool) -> None:
    from lorax_proxy.config import ModelSettings, UpstreamSettings  # noqa: PLC0415
    from lorax_proxy.core.admission import is_loopback  # noqa: PLC0415
    from lorax_proxy.demo import example, running_mock  # noqa: PLC0415

    with running_mock() as mock:
        offered = settings.model_copy(
            update={
                "upstream": [UpstreamSettings(url=mock.url, text_only=True)],
                "model": [ModelSettings(name=name, adapter=name) for name in mock.adapters],
                **_watched(settings),
            }
        )

        def announce(url: str) -> None:
            if as_json:
                models = [mock.model_id, *mock.adapters]
                _announce_json(url, models=models, mock_url=mock.url)
                return
            other = settings.port and not url.endswith(f":{settings.port}")
            why = f" (port {settings.port} is taken)" if other else ""
            _say(f"lorax-proxy: a mock LoRAX answers at {url}/v1{why} - its text is invented.")
            _say("models: " + ", ".join((mock.model_id, *mock.adapters)))
            # without a key it is for this machine's own browser, which finds it on loopback
            if offered.inspector and (offered.api_key or is_loopback(offered.host)):
                _say(f"watch it work, and chat: {url}/")
            _say(f"watch the mock behind it: {mock.url}/_mock/")
            _say("")
            _say(example(f"{url}/v1", mock.adapters[0]))

        _run(offered, announce)


def _watched(settings: Settings) -> dict[str, bool]:
    """The demo's page is on unless somebody said otherwise; what it shows is invented."""
    if settings.workers > 1:
        return {}
    wanted = {"inspector": True, "inspector_texts": True}
    return {name: on for name, on in wanted.items() if name not in settings.model_fields_set}


def _announce_json(url: str, **more: object) -> None:
    _say(json.dumps({"url": url, "base_url": f"{url}/v1", "pid": os.getpid(), **more}))


def _announce(url: str) -> None:
    _say(f"lorax-proxy: OpenAI's API at {url}/v1 (Ctrl-C ends it)")


def _run(settings: Settings, announce: Callable[[str], None]) -> None:
    """Listen, say so, and serve until a signal."""
    if settings.workers == 1:
        _serve(settings, announce)
        return
    with tempfile.TemporaryDirectory(prefix="lorax-proxy-") as shared:
        # prometheus_client looks for it when it is imported
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = shared
        _serve(settings, announce, shared=Path(shared))


def _serve(
    settings: Settings, announce: Callable[[str], None], *, shared: Path | None = None
) -> None:
    # imported here: a wrong option must not wait for a server's imports
    from lorax_proxy.app import create_app  # noqa: PLC0415 - see above
    from lorax_proxy.observe import Observer  # noqa: PLC0415 - see above
    from lorax_proxy.serving import listen, serve  # noqa: PLC0415 - see above
    from lorax_proxy.workers import Workers  # noqa: PLC0415 - see above

    observer = Observer(settings.log_level, log_format=settings.log_format, shared=shared)
    app = create_app(settings, observer=observer)
    # who names a port means it
    spare = _SPARE_PORTS if settings.demo and "port" not in settings.model_fields_set else 0
    listener = listen(settings.host, settings.port, spare=spare)
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host

    def listening() -> None:
        announce(f"http://{shown}:{port}")

    work = functools.partial(serve, app, listener, settings=settings, observer=observer)
    if settings.workers == 1:
        work(listening)
    else:
        Workers(settings.workers, listener, observer, work).run(listening)


def _shown(value: object) -> str:
    """A value as it would stand in JSON, without what is at its default."""
    if isinstance(value, BaseModel):
        return value.model_dump_json(exclude_defaults=True)
    if isinstance(value, list):
        return "[" + ", ".join(_shown(each) for each in value) + "]"
    return "-" if value is None else str(value)


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - the command's output


def _fail(line: str) -> NoReturn:
    raise _CommandError(line)


if __name__ == "__main__":
    main()
