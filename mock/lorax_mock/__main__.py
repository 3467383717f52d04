"""`lorax-mock`: arguments in, a running mock out."""

import dataclasses
import json
import os
import sys
from importlib import metadata
from pathlib import Path
from typing import Annotated, Literal, NoReturn

import typer

from lorax_mock.settings import Costs, Limits, Settings, SettingsError, check

__all__ = ["main"]

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


@_cli.command()
def serve(
    *,
    host: Annotated[
        str, typer.Option(envvar="LORAX_MOCK_HOST", help="Address to listen on.")
    ] = "127.0.0.1",
    port: Annotated[
        int,
        typer.Option(envvar="LORAX_MOCK_PORT", min=0, max=65535, help="0 takes a free port."),
    ] = 8080,
    seed: Annotated[
        int, typer.Option(envvar="LORAX_MOCK_SEED", help="Another seed, other texts.")
    ] = 0,
    script: Annotated[
        Path | None,
        typer.Option(envvar="LORAX_MOCK_SCRIPT", help="YAML or JSON rules: what to say when."),
    ] = None,
    model_id: Annotated[
        str, typer.Option(envvar="LORAX_MOCK_MODEL_ID", help="Hub id or folder of the base model.")
    ] = _DEFAULT.model_id,
    tokenizer: Annotated[
        Path | None,
        typer.Option(envvar="LORAX_MOCK_TOKENIZER", help="A tokenizer.json, for real counts."),
    ] = None,
    tokenizer_config_path: Annotated[
        Path | None,
        typer.Option(
            envvar="LORAX_MOCK_TOKENIZER_CONFIG_PATH",
            help="A tokenizer_config.json, for its chat template.",
        ),
    ] = None,
    no_fast_tokenizer: Annotated[
        bool,
        typer.Option(
            "--no-fast-tokenizer",
            envvar="LORAX_MOCK_NO_FAST_TOKENIZER",
            help="A model without tokenizer.json: no /tokenize, nothing counted beforehand.",
        ),
    ] = False,
    kind: Annotated[
        Literal["generate", "embed", "classify"],
        typer.Option(envvar="LORAX_MOCK_KIND", help="What the model is for."),
    ] = "generate",
    max_input_length: Annotated[
        int, typer.Option(envvar="LORAX_MOCK_MAX_INPUT_LENGTH", min=1, help="Tokens of a prompt.")
    ] = _DEFAULT.limits.max_input_length,
    max_total_tokens: Annotated[
        int,
        typer.Option(envvar="LORAX_MOCK_MAX_TOTAL_TOKENS", min=2, help="Prompt and answer."),
    ] = _DEFAULT.limits.max_total_tokens,
    max_best_of: Annotated[
        int, typer.Option(envvar="LORAX_MOCK_MAX_BEST_OF", min=1, help="Sequences a request.")
    ] = _DEFAULT.limits.max_best_of,
    max_stop_sequences: Annotated[
        int, typer.Option(envvar="LORAX_MOCK_MAX_STOP_SEQUENCES", min=0, help="Stop strings.")
    ] = _DEFAULT.limits.max_stop_sequences,
    max_concurrent_requests: Annotated[
        int,
        typer.Option(
            envvar="LORAX_MOCK_MAX_CONCURRENT_REQUESTS", min=1, help="Beyond it: 429 at once."
        ),
    ] = _DEFAULT.limits.max_concurrent_requests,
    eager_prefill: Annotated[
        bool,
        typer.Option(
            envvar="LORAX_MOCK_EAGER_PREFILL", help="Prefill newcomers before anybody decodes on."
        ),
    ] = _DEFAULT.limits.eager_prefill,
    adapters: Annotated[
        Path | None,
        typer.Option(envvar="LORAX_MOCK_ADAPTERS", help="YAML or JSON list of adapters."),
    ] = None,
    unknown_adapters: Annotated[
        bool,
        typer.Option(
            "--unknown-adapters",
            envvar="LORAX_MOCK_UNKNOWN_ADAPTERS",
            help="Load ids that are not listed, too.",
        ),
    ] = False,
    adapter_id: Annotated[
        str | None,
        typer.Option(envvar="LORAX_MOCK_ADAPTER_ID", help="A static adapter, for the base model."),
    ] = None,
    preloaded_adapter_ids: Annotated[
        list[str] | None,
        typer.Option(
            envvar="LORAX_MOCK_PRELOADED_ADAPTER_IDS",
            help="Adapters that are always there, and the only ones.",
        ),
    ] = None,
    pace: Annotated[
        Literal["off", "real"],
        typer.Option(envvar="LORAX_MOCK_PACE", help="Whether answers take real time."),
    ] = "off",
    step_ms: Annotated[
        float, typer.Option(envvar="LORAX_MOCK_STEP_MS", help="A token.")
    ] = _DEFAULT.costs.step,
    prefill_token_ms: Annotated[
        float, typer.Option(envvar="LORAX_MOCK_PREFILL_TOKEN_MS", help="A prompt token.")
    ] = _DEFAULT.costs.prefill_token,
    adapter_download_ms: Annotated[
        float,
        typer.Option(envvar="LORAX_MOCK_ADAPTER_DOWNLOAD_MS", help="An adapter's first use ever."),
    ] = _DEFAULT.costs.adapter_download,
    adapter_load_ms: Annotated[
        float, typer.Option(envvar="LORAX_MOCK_ADAPTER_LOAD_MS", help="An adapter, onto the GPU.")
    ] = _DEFAULT.costs.adapter_load,
    schema_compile_ms: Annotated[
        float,
        typer.Option(envvar="LORAX_MOCK_SCHEMA_COMPILE_MS", help="A JSON schema's first use."),
    ] = _DEFAULT.costs.schema_compile,
    announce: Annotated[
        Literal["human", "json"],
        typer.Option(envvar="LORAX_MOCK_ANNOUNCE", help="How to say that the port is open."),
    ] = "human",
    exit_with_parent: Annotated[
        bool,
        typer.Option(
            "--exit-with-parent", envvar="LORAX_MOCK_EXIT_WITH_PARENT", help="End when stdin ends."
        ),
    ] = False,
) -> None:
    """Serve LoRAX's routes until Ctrl-C."""
    # Imported here so that `--help` and wrong options answer at once.
    from lorax_mock.files.adapters import read_adapters  # noqa: PLC0415 - see above
    from lorax_mock.files.tokenizer import TokenizerError, read_tokenizer  # noqa: PLC0415 - see above
    from lorax_mock.files.tokenizer_config import ConfigError, read_config  # noqa: PLC0415 - see above
    from lorax_mock.http.serving import BindError, bind  # noqa: PLC0415 - see above
    from lorax_mock.http.serving import serve as run  # noqa: PLC0415 - see above
    from lorax_mock.scripting.script import ScriptError  # noqa: PLC0415 - see above
    from lorax_mock.server.app import create_app  # noqa: PLC0415 - see above

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
        costs=Costs(
            prefill_token=prefill_token_ms,
            step=step_ms,
            adapter_download=adapter_download_ms,
            adapter_load=adapter_load_ms,
            schema_compile=schema_compile_ms,
            paced=pace == "real",
        ),
        unknown_adapters=unknown_adapters,
        adapter_id=adapter_id or None,
        preloaded_adapter_ids=tuple(preloaded_adapter_ids or ()),
    )
    if tokenizer_config_path is None and tokenizer is not None:
        beside = tokenizer.with_name("tokenizer_config.json")
        tokenizer_config_path = beside if beside.exists() else None
    try:
        if adapters is not None:
            settings = dataclasses.replace(settings, adapters=read_adapters(adapters))
        if tokenizer_config_path is not None:
            config = read_config(tokenizer_config_path)
            settings = dataclasses.replace(
                settings,
                chat_template=config.chat_template,
                template_tokens=(config.bos_token, config.eos_token),
            )
        words = None
        if tokenizer is not None:
            words = read_tokenizer(tokenizer)
        app = create_app(check(settings), script, words)
        listener = bind(host, port)
    except (SettingsError, ScriptError, ConfigError, TokenizerError, BindError) as error:
        _fail(str(error))
    shown_host = f"[{host}]" if ":" in host else host
    url = f"http://{shown_host}:{listener.getsockname()[1]}"

    def ready() -> None:
        if announce == "json":
            line = json.dumps(
                {
                    "url": url,
                    "model_id": settings.model_id,
                    "adapters": settings.loadable if settings.has_adapters else [],
                    "pid": os.getpid(),
                }
            )
        else:
            line = f"lorax-mock serves {settings.model_id} on {url} (Ctrl-C ends it)"
        print(line, flush=True)  # noqa: T201 - the command's output

    run(app, listener, ready, with_parent=exit_with_parent)


@_cli.command()
def simulate(
    workload: Annotated[Path, typer.Argument(help="YAML or JSON: timed arrivals.")],
    *,
    form: Annotated[
        Literal["text", "json", "svg"], typer.Option("--format", help="How to print the schedule.")
    ] = "text",
    step_ms: Annotated[float, typer.Option(help="A decode step.")] = _DEFAULT.costs.step,
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
    from lorax_mock.shard.schedule import as_json, as_svg, as_text  # noqa: PLC0415 - see serve
    from lorax_mock.shard.workload import (  # noqa: PLC0415 - see serve
        WorkloadError,
        read_workload,
    )
    from lorax_mock.shard.workload import simulate as run  # noqa: PLC0415 - see serve

    settings = Settings(
        limits=Limits(max_active_adapters=max_active_adapters),
        costs=Costs(
            prefill_token=prefill_token_ms,
            step=step_ms,
            adapter_download=adapter_download_ms,
            adapter_load=adapter_load_ms,
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
    host: Annotated[str, typer.Option(envvar="LORAX_MOCK_HOST", help="Address to listen on.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(envvar="LORAX_MOCK_PORT", min=0, max=65535)] = 8080,
) -> None:
    """Stand before a real LoRAX and write down every exchange, secrets removed."""
    from lorax_mock.recording.recorder import RecordApp  # noqa: PLC0415 - see serve

    if not upstream.startswith(("http://", "https://")):
        _fail(f"--upstream {upstream!r} is no address; it starts with http:// or https://")
    try:
        cassette.touch()
    except OSError as error:
        _fail(f"{cassette}: {error.strerror}")
    _serve_plain(RecordApp(upstream, cassette), host, port, f"records {upstream} to {cassette}")


@_cli.command()
def replay(
    cassette: Annotated[Path, typer.Argument(help="A recorded file.")],
    *,
    pace: Annotated[
        Literal["off", "recorded"], typer.Option(help="At once, or as slowly as it was.")
    ] = "off",
    host: Annotated[str, typer.Option(envvar="LORAX_MOCK_HOST", help="Address to listen on.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(envvar="LORAX_MOCK_PORT", min=0, max=65535)] = 8080,
) -> None:
    """Serve recorded exchanges byte for byte."""
    from lorax_mock.recording.cassette import (  # noqa: PLC0415 - see serve
        Cassette,
        CassetteError,
        read_cassette,
    )
    from lorax_mock.recording.recorder import ReplayApp  # noqa: PLC0415 - see serve

    try:
        exchanges = read_cassette(cassette.read_text("utf-8"))
    except CassetteError as error:
        _fail(f"{cassette}: {error}")
    except OSError as error:
        _fail(f"{cassette}: {error.strerror}")
    app = ReplayApp(Cassette(exchanges), paced=pace == "recorded")
    _serve_plain(app, host, port, f"replays {len(exchanges)} exchanges of {cassette}")


def _serve_plain(app: object, host: str, port: int, what: str) -> None:
    from lorax_mock.http.serving import BindError, bind  # noqa: PLC0415 - see serve
    from lorax_mock.http.serving import serve as run  # noqa: PLC0415 - see serve

    try:
        listener = bind(host, port)
    except BindError as error:
        _fail(str(error))
    url = f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"

    def ready() -> None:
        print(f"lorax-mock {what} on {url} (Ctrl-C ends it)", flush=True)  # noqa: T201 - the command's output

    run(app, listener, ready)


def _fail(line: str) -> NoReturn:
    print(f"lorax-mock: {line}", file=sys.stderr)  # noqa: T201 - the command's output
    raise typer.Exit(2)


def main() -> None:
    """The command's entry point: whatever is wrong with the arguments is one line and exit code 2."""
    try:
        code = _cli(standalone_mode=False)
    except typer.TyperException as error:
        line = " ".join(error.format_message().split())
        print(f"lorax-mock: {line} (see lorax-mock serve --help)", file=sys.stderr)  # noqa: T201 - the command's output
        sys.exit(2)
    except typer.Abort:
        sys.exit(130)
    sys.exit(code or 0)


if __name__ == "__main__":
    main()
