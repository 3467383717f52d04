"""The package's data, read once: schemas, laws, header sets, error tables and transcripts.

Everything is a file under `data/`, so that a person can read it and another program can use it.
Nothing here looks at a file outside the package.
"""

import json
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from lorax_contracts.errors import UnknownName

__all__ = ["schema", "schema_names", "table", "text", "transcript_names"]

_DATA = files("lorax_contracts") / "data"
_SCHEMA = ".schema.json"
_TRANSCRIPT = ".txt"


@cache
def schema_names() -> tuple[str, ...]:
    """Every schema as `wire/name`: `openai/chat_completion`, `lorax/info`, ..."""
    return tuple(
        sorted(
            f"{wire}/{entry.name.removesuffix(_SCHEMA)}"
            for wire in ("openai", "lorax")
            for entry in (_DATA / wire).iterdir()
            if entry.name.endswith(_SCHEMA)
        )
    )


@cache
def schema(name: str) -> Mapping[str, Any]:
    """The JSON Schema (2020-12) of that name; do not change what you get.

    Raises:
        UnknownName: no schema is called so.
    """
    if name not in schema_names():
        raise UnknownName("schema", name, schema_names())
    document: Mapping[str, Any] = json.loads((_DATA / f"{name}{_SCHEMA}").read_text("utf-8"))
    return document


@cache
def table(path: str) -> Mapping[str, Any]:
    """A TOML table under `data/`, as `lorax/headers` or `laws/openai`."""
    return tomllib.loads((_DATA / f"{path}.toml").read_text("utf-8"))


@cache
def transcript_names() -> tuple[str, ...]:
    """Every golden transcript by name, without the shared `world`."""
    return tuple(
        sorted(
            entry.name.removesuffix(_TRANSCRIPT)
            for entry in (_DATA / "transcripts").iterdir()
            if entry.name.endswith(_TRANSCRIPT) and entry.name != "world.txt"
        )
    )


@cache
def text(path: str) -> str:
    """A text file under `data/`, its line ends untouched."""
    return (_DATA / path).read_bytes().decode("utf-8")
