"""The options that `check` and `matrix` share, and what they ask for."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lorax_contracts.errors import ContractsError

if TYPE_CHECKING:
    from lorax_contracts.check import Options

__all__ = [
    "Baseline",
    "Context",
    "Examples",
    "Headers",
    "Insecure",
    "Key",
    "Kind",
    "Model",
    "Only",
    "Patience",
    "Requests",
    "Seconds",
    "Seed",
    "Strict",
    "Without",
    "format_option",
    "kind_of",
    "options_of",
]


def format_option(*forms: str) -> Any:
    """`--format`, which takes these."""
    return typer.Option(
        "--format",
        metavar="FORMAT[:FILE]",
        help=f"{', '.join(forms)}; to FILE, if given; may be given again",
    )


Kind = Annotated[str | None, typer.Option(help="openai or lorax; found out when absent")]
Model = Annotated[
    str | None, typer.Option(help="the model, or LoRAX's adapter; the first listed when absent")
]
Only = Annotated[
    str | None,
    typer.Option(metavar="ID", help="check this law alone, with the few requests it needs"),
]
Without = Annotated[
    list[str] | None,
    typer.Option(metavar="ID,...", help="leave these laws out; may be given again"),
]
Strict = Annotated[bool, typer.Option("--strict", help="also check our own, stricter promises")]
Baseline = Annotated[
    Path | None, typer.Option(metavar="FILE", help="known findings: only new ones fail")
]
Seed = Annotated[int, typer.Option(help="of the generated requests")]
Examples = Annotated[int, typer.Option(min=0, help="how many requests are generated")]
Requests = Annotated[int, typer.Option(min=1, help="how many at most")]
Seconds = Annotated[float, typer.Option(min=0.1, help="how long at most")]
Patience = Annotated[float, typer.Option(min=0.1, help="seconds to wait for the next byte")]
Key = Annotated[str | None, typer.Option(envvar="OPENAI_API_KEY", help="sent as a bearer token")]
Headers = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME:VALUE", help="sent with every request; may be given again"),
]
Context = Annotated[
    int | None,
    typer.Option(min=1, help="the model's context in tokens: a longer prompt is tried once"),
]
Insecure = Annotated[bool, typer.Option("--insecure", help="do not verify TLS certificates")]


def kind_of(value: str | None) -> str | None:
    """What --kind says.

    Raises:
        ContractsError: it is neither wire.
    """
    if value not in {None, "openai", "lorax"}:
        raise ContractsError(f"--kind {value}: openai or lorax")
    return value


def options_of(
    *,
    kind: str | None,
    without: list[str] | None,
    header: list[str] | None = None,
    insecure: bool,
    requests: int,
    seconds: float,
    patience: float,
    **plain: Any,
) -> "Options":
    """What is to be checked and how; `plain` are attributes of `Options` as they were given.

    Raises:
        ContractsError: a value is none.
    """
    from lorax_contracts.check import Options  # noqa: PLC0415 - --help must not load the data
    from lorax_contracts.client import Bounds  # noqa: PLC0415 - see above

    return Options(
        kind=kind_of(kind),
        without=tuple(part for one in without or () for part in one.split(",") if part.strip()),
        headers=tuple(_header(one) for one in header or ()),
        verify=not insecure,
        bounds=Bounds(
            requests=requests,
            seconds=seconds,
            patience=min(patience, seconds),
            reply_seconds=min(3 * patience, seconds),
        ),
        **plain,
    )


def _header(given: str) -> tuple[str, str]:
    """Name and value of one --header."""
    name, colon, value = given.partition(":")
    if not (colon and re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name)):
        raise ContractsError(f"--header {given!r}: a name, a colon and a value, as 'x-team: blue'")
    if not (value.isascii() and value.isprintable()):
        raise ContractsError(f"--header {name}: the value holds what no header can carry")
    return name.lower(), value.strip()
