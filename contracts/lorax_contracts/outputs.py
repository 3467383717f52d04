"""Where a report goes: `--format FORMAT[:FILE]`, given once or several times.

One form at most goes to standard output, which holds one document; without any there, it is text.
"""

import sys
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from lorax_contracts.errors import ContractsError, UnknownName

__all__ = ["Output", "outputs_of", "write_all"]


@dataclass(frozen=True, slots=True)
class Output:
    """One report; `file` None is standard output."""

    form: str
    file: Path | None = None


def outputs_of(given: Sequence[str], forms: Collection[str]) -> list[Output]:
    """What the options ask for.

    Args:
        given: each option's value.
        forms: the names of the forms there are; `text` among them.

    Raises:
        UnknownName: there is no such form.
        ContractsError: two are to go to standard output, or a file has no folder to be in.
    """
    listed: list[Output] = []
    for one in given:
        form, colon, file = one.partition(":")
        if form not in forms:
            raise UnknownName("format", form, forms)
        if colon and not file:
            raise ContractsError(f"--format {one}: the name of a file is missing after the colon")
        if file and not Path(file).absolute().parent.is_dir():
            raise ContractsError(f"--format {one}: {Path(file).parent} is no folder")
        listed.append(Output(form, Path(file) if file else None))
    shown = [one.form for one in listed if one.file is None]
    if len(shown) > 1:
        raise ContractsError(
            f"--format {' and '.join(shown)}: standard output holds one document;"
            f" give the others a file, as --format {shown[-1]}:FILE"
        )
    return listed if shown else [Output("text"), *listed]


def write_all(outputs: Sequence[Output], write: Callable[[str], str]) -> None:
    """Writes each, the others too where one cannot be; `write` makes the text of a form.

    Raises:
        ContractsError: files cannot be written; it names them all.
        OSError: standard output cannot.
    """
    failed: list[str] = []
    for one in outputs:
        text = write(one.form)
        if one.file is None:
            sys.stdout.write(text)
            continue
        try:
            one.file.write_text(text, "utf-8", errors="backslashreplace")
        except OSError as error:
            failed.append(f"{one.file}: {error.strerror}")
    if failed:
        raise ContractsError("; ".join(failed))
