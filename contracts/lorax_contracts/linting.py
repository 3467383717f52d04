"""`lorax-contracts lint`: recordings from files, and what is found in them as text."""

import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path

import typer

from lorax_contracts.errors import ContractsError, printable
from lorax_contracts.exchange import Finding
from lorax_contracts.listing import as_document, finding_document, finding_lines, worst_first
from lorax_contracts.recording import lint, unread_request

__all__ = ["linted", "report"]

# A day of tokens, as events.
_MOST = 256 * 1024 * 1024


def linted(
    file: str, *, kind: str | None = None, request: Path | None = None, strict: bool = False
) -> list[Finding]:
    """What one recording shows, the worst first.

    Args:
        file: its name; "-" is standard input.
        kind: `openai` or `lorax`; told from the recording when None.
        request: a file with the request's JSON.
        strict: judge our own, stricter promises too.

    Raises:
        ContractsError: it cannot be read, or is no recording.
    """
    try:
        with nullcontext(sys.stdin.buffer) if file == "-" else Path(file).open("rb") as source:
            data = source.read(_MOST + 1)
        asked = None if request is None else json.loads(request.read_bytes())
    except OSError as error:
        raise ContractsError(f"{error.filename}: {error.strerror}") from error
    except ValueError as error:
        raise ContractsError(f"{request}: not JSON: {error}") from error
    if len(data) > _MOST:
        raise ContractsError(f"{file}: larger than {_MOST:,} bytes, and no reply; cut it first")
    try:
        found = lint(data, kind=kind, request=asked, strict=strict)
        unread = unread_request(data, asked, kind=kind)
    except ContractsError as error:
        raise ContractsError(str(error) if file == "-" else f"{file}: {error}") from error
    if unread:
        typer.echo(
            f"the request is invalid ({printable(unread)}); what it asked for was not checked",
            err=True,
        )
    return worst_first(found)


def report(form: str, found: Mapping[str, Sequence[Finding]]) -> str:
    """The findings of each file as `text`, `json` or `github`; it is named where there are several."""
    several = len(found) > 1
    if form == "json":
        listed = [
            finding_document(one) | ({"file": file} if several else {})
            for file, findings in found.items()
            for one in findings
        ]
        return as_document(listed)
    lines: list[str] = []
    for file, findings in found.items():
        if form == "github":
            from lorax_contracts.formats.annotations import (  # noqa: PLC0415 - loads a client
                annotations,
            )

            lines += annotations(findings, file="" if file == "-" else file)
            continue
        lines += [f"{printable(file)}:"] if findings and several else []
        lines += [line for one in findings for line in finding_lines(one)]
    return "".join(f"{line}\n" for line in lines)
