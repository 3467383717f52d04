"""`lorax-mock`: arguments in, a running mock out."""

import json
import os
import sys
from typing import Annotated, Literal, NoReturn

import typer

from lorax_mock.settings import Settings

__all__ = ["main"]

_cli = typer.Typer(
    name="lorax-mock",
    help="A deterministic LoRAX without a GPU.",
    add_completion=False,
    pretty_exceptions_enable=False,
)


@_cli.callback()
def _root() -> None:
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
    from lorax_mock.app import create_app  # noqa: PLC0415 - see above
    from lorax_mock.serving import BindError, bind  # noqa: PLC0415 - see above
    from lorax_mock.serving import serve as run  # noqa: PLC0415 - see above

    settings = Settings(seed=seed)
    try:
        listener = bind(host, port)
    except BindError as error:
        _fail(str(error))
    shown_host = f"[{host}]" if ":" in host else host
    url = f"http://{shown_host}:{listener.getsockname()[1]}"

    def ready() -> None:
        if announce == "json":
            line = json.dumps(
                {
                    "url": url,
                    "model_id": settings.model_id,
                    "adapters": settings.loadable,
                    "pid": os.getpid(),
                }
            )
        else:
            line = f"lorax-mock serves {settings.model_id} on {url} (Ctrl-C ends it)"
        print(line, flush=True)  # noqa: T201 - the command's output

    run(create_app(settings), listener, ready, with_parent=exit_with_parent)


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
