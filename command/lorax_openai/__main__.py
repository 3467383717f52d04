"""`lorax-openai`: one command over the three."""

from importlib import metadata
from typing import Annotated

import typer

from lorax_openai.commands import CONTRACTS, MOCK, PROXY
from lorax_openai.doctor import examine

__all__ = ["main"]

_cli = typer.Typer(
    name="lorax-openai",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

# Whatever stands behind the command's name is the other command's, its --help too.
_PASSED_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


def _tell_version(asked: bool) -> None:  # noqa: FBT001 - typer hands the value over like this
    if asked:
        typer.echo(f"lorax-openai {metadata.version('lorax-openai')}")
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
    """The OpenAI API for LoRAX's LoRA adapters, a LoRAX without a GPU, and a judge of both."""


@_cli.command(context_settings=_PASSED_ON)
def demo(context: typer.Context) -> None:
    """Proxy and mock together, with an example."""
    PROXY.run("serve", "--demo", *context.args)


@_cli.command(context_settings=_PASSED_ON)
def proxy(context: typer.Context) -> None:
    """OpenAI's API in front of a LoRAX (lorax-proxy)."""
    PROXY.run(*context.args)


@_cli.command(context_settings=_PASSED_ON)
def mock(context: typer.Context) -> None:
    """A LoRAX without a GPU (lorax-mock)."""
    MOCK.run(*context.args)


@_cli.command(context_settings=_PASSED_ON)
def check(context: typer.Context) -> None:
    """Which promises a server breaks (lorax-contracts check)."""
    CONTRACTS.run("check", *context.args)


@_cli.command(context_settings=_PASSED_ON)
def doctor(context: typer.Context) -> None:
    """What is installed and what answers (lorax-proxy config --probe)."""
    examine(context.args)


def main() -> None:
    """The command's entry point."""
    _cli()


if __name__ == "__main__":
    main()
