"""`lorax-mock`: arguments in, a running mock out."""

import dataclasses
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, NoReturn, cast

import typer
from typer.core import TyperCommand

from lorax_mock.profiles import ProfileName, with_profile
from lorax_mock.settings import Adapter, Costs, Limits, Settings, SettingsError, check

if TYPE_CHECKING:
    from lorax_mock.server.app import MockApp

__all__ = ["main", "serve"]

# Its base, of everything that a command says about its arguments, has no name before typer 0.28.
_CommandError = cast("type[typer.TyperException]", typer.BadParameter.__mro__[2])

_DEFAULT = Settings()

_cli = typer.Typer(
    name="lorax-mock",
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _tell_version(asked: bool) -> None:  # noqa: FBT001 - typer hands the value over like this
    # Of this program: LoRAX's own, which it imitates, is in `/info`.
    if asked:
        print(f"lorax-mock {metadata.version('lorax-openai')}")  # noqa: T201 - the command's output
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
    """A deterministic LoRAX without a GPU."""


_Host = Annotated[str, typer.Option(envvar="LORAX_MOCK_HOST", help="Address to listen on.")]
_Port = Annotated[
    int, typer.Option(envvar="LORAX_MOCK_PORT", min=0, max=65535, help="0 takes a free port.")
]


class _Serve(TyperCommand):
    """A command each of whose options is also a variable: `LORAX_MOCK_` and its name.

    Typer's own `auto_envvar_prefix` would leave the variable out of the message about a wrong value. The other
    commands name theirs: a `--pace` of `replay` means something else.
    """

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        for parameter in self.params:
            parameter.envvar = f"LORAX_MOCK_{parameter.name}".upper()


@_cli.command(cls=_Serve)
def serve(
    context: typer.Context,
    *,
    host: _Host = "127.0.0.1",
    port: _Port = 8080,
    seed: Annotated[int, typer.Option(help="Another seed, other texts.")] = _DEFAULT.seed,
    script: Annotated[
        Path | None, typer.Option(help="YAML or JSON rules: what to say when.")
    ] = None,
    model_id: Annotated[
        str, typer.Option(help="Hub id or folder of the base model.")
    ] = _DEFAULT.model_id,
    tokenizer: Annotated[
        Path | None, typer.Option(help="A tokenizer.json, for real counts.")
    ] = None,
    tokenizer_config_path: Annotated[
        Path | None, typer.Option(help="A tokenizer_config.json, for its chat template.")
    ] = None,
    no_fast_tokenizer: Annotated[
        bool,
        typer.Option(
            "--no-fast-tokenizer",
            help="A model without tokenizer.json: no /tokenize, nothing counted beforehand.",
        ),
    ] = False,
    kind: Annotated[
        Literal["generate", "embed", "classify"], typer.Option(help="What the model is for.")
    ] = "generate",
    max_input_length: Annotated[
        int, typer.Option(min=1, help="Tokens of a prompt.")
    ] = _DEFAULT.limits.max_input_length,
    max_total_tokens: Annotated[
        int, typer.Option(min=2, help="Prompt and answer.")
    ] = _DEFAULT.limits.max_total_tokens,
    max_best_of: Annotated[
        int, typer.Option(min=1, help="Sequences a request.")
    ] = _DEFAULT.limits.max_best_of,
    max_stop_sequences: Annotated[
        int, typer.Option(min=0, help="Stop strings.")
    ] = _DEFAULT.limits.max_stop_sequences,
    max_concurrent_requests: Annotated[
        int, typer.Option(min=1, help="Beyond it: 429 at once.")
    ] = _DEFAULT.limits.max_concurrent_requests,
    eager_prefill: Annotated[
        bool, typer.Option(help="Prefill newcomers before anybody decodes on.")
    ] = _DEFAULT.limits.eager_prefill,
    adapters: Annotated[Path | None, typer.Option(help="YAML or JSON list of adapters.")] = None,
    adapter: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="One more adapter; may be given again.")
    ] = None,
    unknown_adapters: Annotated[
        bool, typer.Option("--unknown-adapters", help="Load ids that are not listed, too.")
    ] = False,
    adapter_id: Annotated[
        str | None, typer.Option(help="A static adapter, for the base model.")
    ] = None,
    preloaded_adapter_ids: Annotated[
        list[str] | None,
        typer.Option(help="Adapters that are always there, and the only ones."),
    ] = None,
    pace: Annotated[
        Literal["off", "real"], typer.Option(help="Whether answers take real time.")
    ] = "off",
    profile: Annotated[
        ProfileName | None, typer.Option(help="What things take on a real GPU, as published.")
    ] = None,
    step_ms: Annotated[float, typer.Option(help="A token.")] = _DEFAULT.costs.step,
    first_ms: Annotated[
        float, typer.Option(help="A prefill, whatever the prompt.")
    ] = _DEFAULT.costs.first,
    prefill_token_ms: Annotated[
        float, typer.Option(help="A prompt token.")
    ] = _DEFAULT.costs.prefill_token,
    adapter_download_ms: Annotated[
        float, typer.Option(help="An adapter's first use ever.")
    ] = _DEFAULT.costs.adapter_download,
    adapter_load_ms: Annotated[
        float, typer.Option(help="An adapter, onto the GPU.")
    ] = _DEFAULT.costs.adapter_load,
    schema_compile_ms: Annotated[
        float, typer.Option(help="A JSON schema's first use.")
    ] = _DEFAULT.costs.schema_compile,
    openai: Annotated[
        bool, typer.Option("--openai", help="With lorax-proxy before it: OpenAI's API.")
    ] = False,
    request_log: Annotated[
        bool | None, typer.Option(help="A line for each request [in a terminal].")
    ] = None,
    announce: Annotated[
        Literal["human", "json"], typer.Option(help="How to say that the port is open.")
    ] = "human",
    exit_with_parent: Annotated[
        bool, typer.Option("--exit-with-parent", help="End when stdin ends.")
    ] = False,
) -> None:
    """Serve LoRAX's routes until Ctrl-C."""
    if openai:
        _serve_openai(context, host, port, unlisted="any" if unknown_adapters else "none")
    settings = Settings(
        model_id=model_id,
        model_folder=model_id.startswith(("/", "./", "../")) or Path(model_id).is_dir(),
        kind=kind,
        seed=seed,
        limits=Limits(
            max_input_length=max_input_length,
            max_total_tokens=max_total_tokens,
            max_best_of=max_best_of,
            max_stop_sequences=max_stop_sequences,
            max_concurrent_requests=max_concurrent_requests,
            eager_prefill=eager_prefill,
            max_batch_prefill_tokens=max_input_length + 50,
            # a GPU that holds at least one request of the longest kind, beside the health check's block
            max_batch_total_tokens=max(
                _DEFAULT.limits.max_batch_total_tokens, max_total_tokens + 16
            ),
            fast_tokenizer=not no_fast_tokenizer,
        ),
        costs=_costs(
            context,
            profile,
            Costs(
                first=first_ms,
                prefill_token=prefill_token_ms,
                step=step_ms,
                adapter_download=adapter_download_ms,
                adapter_load=adapter_load_ms,
                schema_compile=schema_compile_ms,
                paced=pace == "real",
            ),
        ),
        unknown_adapters=unknown_adapters,
        adapter_id=adapter_id or None,
        preloaded_adapter_ids=tuple(preloaded_adapter_ids or ()),
    )
    app = _app(settings, script, adapters, adapter or [], tokenizer, tokenizer_config_path)

    if announce == "human" and sys.stderr.isatty() if request_log is None else request_log:
        app.tell = _tell_request

    def line(url: str) -> str:
        if announce == "human":
            return f"lorax-mock serves {settings.model_id} on {url} (page: {url}/_mock/, Ctrl-C ends it)"
        known = app.state.settings
        told = {
            "url": url,
            "model_id": known.model_id,
            "adapters": known.loadable if known.has_adapters else [],
            "pid": os.getpid(),
        }
        return json.dumps(told)

    _run(app, host, port, line, with_parent=exit_with_parent)


def _costs(context: typer.Context, profile: ProfileName | None, asked: Costs) -> Costs:
    """The costs that were asked for, with a profile's where nothing was said."""
    if profile is None:
        return asked
    costs = with_profile(asked, profile)
    said = {
        name: getattr(asked, name)
        for name in ("first", "prefill_token", "step")
        if (source := context.get_parameter_source(f"{name}_ms")) is None
        or source.name != "DEFAULT"
    }
    return dataclasses.replace(costs, **said)


_OUTER: Final = frozenset({"host", "port", "openai", "announce", "exit_with_parent"})
"""Options of `serve --openai` that are the proxy's, not those of the mock behind it."""


def _serve_openai(context: typer.Context, host: str, port: int, *, unlisted: str) -> NoReturn:
    """Become the proxy's demo, which starts this command again, without `--openai`, behind it.

    The options that were given reach it as the variables that they also are.
    """
    environment = {**os.environ, "LORAX_MOCK_HOST": "127.0.0.1"}
    # left out, not "false": a flag takes any value for true in click 8.2.0
    for name in _OUTER - {"host"}:
        environment.pop(f"LORAX_MOCK_{name}".upper(), None)
    for name, value in context.params.items():
        source = context.get_parameter_source(name)
        if source is None or source.name != "COMMANDLINE" or name in _OUTER:
            continue
        words = value if isinstance(value, list | tuple) else [value]
        environment[f"LORAX_MOCK_{name}".upper()] = " ".join(map(str, words))
    if sys.stderr.isatty():
        environment.setdefault("LORAX_MOCK_REQUEST_LOG", "true")
    # -P: what lies in the folder that it is started in is nobody's library
    command = [sys.executable, "-P", "-m", "lorax_openai", "proxy", "serve", "--demo"]
    command.append(f"--port={port}")
    # everyone who reaches a test server may use it
    command += [f"--host={host}", "--no-auth", f"--allow-unlisted={unlisted}"]
    command += [f"--announce={context.params['announce']}"]
    if context.params["exit_with_parent"]:
        command.append("--exit-with-parent")
    os.execve(sys.executable, command, environment)  # noqa: S606 - our own command, and no shell


def _tell_request(line: str) -> None:
    print(time.strftime("%H:%M:%S"), line, file=sys.stderr)  # noqa: T201 - the command's output


def _app(
    settings: Settings,
    script: Path | None,
    adapters: Path | None,
    more: Sequence[str],
    tokenizer: Path | None,
    tokenizer_config: Path | None,
) -> "MockApp":
    """The application of those settings and the files that they are told in; ends the program if one is wrong."""
    # Imported here so that `--help` and wrong options answer at once.
    from lorax_mock.files.adapters import read_adapters  # noqa: PLC0415 - see above
    from lorax_mock.files.tokenizer import TokenizerError, read_tokenizer  # noqa: PLC0415 - see above
    from lorax_mock.files.tokenizer_config import ConfigError, read_config  # noqa: PLC0415 - see above
    from lorax_mock.scripting.script import ScriptError  # noqa: PLC0415 - see above
    from lorax_mock.server.app import create_app  # noqa: PLC0415 - see above

    if tokenizer_config is None and tokenizer is not None:
        beside = tokenizer.with_name("tokenizer_config.json")
        tokenizer_config = beside if beside.exists() else None
    try:
        if adapters is not None:
            settings = dataclasses.replace(settings, adapters=read_adapters(adapters))
        added = tuple(Adapter(one) for one in more)
        settings = dataclasses.replace(settings, adapters=settings.adapters + added)
        if tokenizer_config is not None:
            config = read_config(tokenizer_config)
            settings = dataclasses.replace(
                settings,
                chat_template=config.chat_template,
                template_tokens=(config.bos_token, config.eos_token),
            )
        words = None if tokenizer is None else read_tokenizer(tokenizer)
        return create_app(check(settings), script, words)
    except (SettingsError, ScriptError, ConfigError, TokenizerError) as error:
        _fail(str(error))


@_cli.command()
def simulate(
    context: typer.Context,
    workload: Annotated[Path, typer.Argument(help="YAML or JSON: timed arrivals.")],
    *,
    form: Annotated[
        Literal["text", "json", "svg"], typer.Option("--format", help="How to print the schedule.")
    ] = "text",
    profile: Annotated[
        ProfileName | None, typer.Option(help="What things take on a real GPU, as published.")
    ] = None,
    step_ms: Annotated[float, typer.Option(help="A decode step.")] = _DEFAULT.costs.step,
    first_ms: Annotated[
        float, typer.Option(help="A prefill, whatever the prompt.")
    ] = _DEFAULT.costs.first,
    prefill_token_ms: Annotated[
        float, typer.Option(help="A prompt token.")
    ] = _DEFAULT.costs.prefill_token,
    adapter_download_ms: Annotated[
        float, typer.Option(help="An adapter's first use ever.")
    ] = _DEFAULT.costs.adapter_download,
    adapter_load_ms: Annotated[
        float, typer.Option(help="An adapter, onto the GPU.")
    ] = _DEFAULT.costs.adapter_load,
    max_active_adapters: Annotated[
        int, typer.Option(min=1, help="Adapters on the GPU at once.")
    ] = _DEFAULT.limits.max_active_adapters,
) -> None:
    """Replay timed arrivals on the virtual clock and print the schedule; nothing is served."""
    from lorax_mock.shard.schedule import as_json, as_svg, as_text  # noqa: PLC0415 - see _app
    from lorax_mock.shard.workload import (  # noqa: PLC0415 - see _app
        WorkloadError,
        read_workload,
    )
    from lorax_mock.shard.workload import simulate as run  # noqa: PLC0415 - see _app

    settings = Settings(
        limits=Limits(max_active_adapters=max_active_adapters),
        costs=_costs(
            context,
            profile,
            Costs(
                first=first_ms,
                prefill_token=prefill_token_ms,
                step=step_ms,
                adapter_download=adapter_download_ms,
                adapter_load=adapter_load_ms,
            ),
        ),
    )
    try:
        check(settings)
        jobs = read_workload(workload.read_text("utf-8"))
    except (WorkloadError, SettingsError) as error:
        _fail(f"{workload}: {error}")
    except OSError as error:
        _fail(f"{workload}: {error.strerror}")
    shard, done = run(jobs, settings)
    match form:
        case "json":
            print(json.dumps(as_json(shard.spans, done), indent=1))  # noqa: T201 - the command's output
        case "svg":
            print(as_svg(shard.spans, done), end="")  # noqa: T201 - the command's output
        case "text":
            print(as_text(done), end="")  # noqa: T201 - the command's output


@_cli.command()
def record(
    cassette: Annotated[Path, typer.Argument(help="File to append exchanges to.")],
    *,
    upstream: Annotated[
        str, typer.Option(envvar="LORAX_MOCK_UPSTREAM", help="Address of the real LoRAX.")
    ],
    host: _Host = "127.0.0.1",
    port: _Port = 8080,
) -> None:
    """Stand before a real LoRAX and write down every exchange, secrets removed."""
    from lorax_mock.recording.recorder import RecordApp  # noqa: PLC0415 - see _app

    if not upstream.startswith(("http://", "https://")):
        _fail(f"--upstream {upstream!r} is no address; it starts with http:// or https://")
    try:
        cassette.touch()
    except OSError as error:
        _fail(f"{cassette}: {error.strerror}")
    _run(
        RecordApp(upstream, cassette),
        host,
        port,
        lambda url: f"lorax-mock records {upstream} to {cassette} on {url} (Ctrl-C ends it)",
    )


@_cli.command()
def replay(
    cassette: Annotated[Path, typer.Argument(help="A recorded file.")],
    *,
    pace: Annotated[
        Literal["off", "recorded"], typer.Option(help="At once, or as slowly as it was.")
    ] = "off",
    host: _Host = "127.0.0.1",
    port: _Port = 8080,
) -> None:
    """Serve recorded exchanges byte for byte."""
    from lorax_mock.recording.cassette import (  # noqa: PLC0415 - see _app
        Cassette,
        CassetteError,
        read_cassette,
    )
    from lorax_mock.recording.recorder import ReplayApp  # noqa: PLC0415 - see _app

    try:
        exchanges = read_cassette(cassette.read_text("utf-8"))
    except CassetteError as error:
        _fail(f"{cassette}: {error}")
    except OSError as error:
        _fail(f"{cassette}: {error.strerror}")
    what = f"replays {len(exchanges)} exchanges of {cassette}"
    _run(
        ReplayApp(Cassette(exchanges), paced=pace == "recorded"),
        host,
        port,
        lambda url: f"lorax-mock {what} on {url} (Ctrl-C ends it)",
    )


def _run(
    app: object, host: str, port: int, line: Callable[[str], str], *, with_parent: bool = False
) -> None:
    """Listen, print the line that the address makes, and serve until a signal."""
    from lorax_mock.http.serving import BindError, bind, serve  # noqa: PLC0415 - see _app

    try:
        listener = bind(host, port)
    except BindError as error:
        _fail(str(error))
    shown = f"[{host}]" if ":" in host else host
    url = f"http://{shown}:{listener.getsockname()[1]}"
    serve(
        app,
        listener,
        lambda: print(line(url), flush=True),  # noqa: T201 - the command's output
        with_parent=with_parent,
    )


def _fail(line: str) -> NoReturn:
    print(f"lorax-mock: {line}", file=sys.stderr)  # noqa: T201 - the command's output
    raise typer.Exit(2)


def main() -> None:
    """The command's entry point: whatever is wrong with the arguments is one line and exit code 2."""
    try:
        code = _cli(standalone_mode=False)
    except _CommandError as error:
        line = " ".join(error.format_message().split())
        print(f"lorax-mock: {line} (see lorax-mock serve --help)", file=sys.stderr)  # noqa: T201 - the command's output
        sys.exit(2)
    except typer.Abort:
        sys.exit(130)
    sys.exit(code or 0)


if __name__ == "__main__":
    main()
