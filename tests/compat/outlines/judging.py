"""What the tests in this folder ask: the compiler's process, and what a schema still promises."""

import json
import re
import select
import subprocess
import sys
from collections.abc import Iterable
from copy import deepcopy
from pathlib import Path
from typing import Any

import jsonschema
from hypothesis import settings

# How long a property may take, in seconds: a hundred schemas, some of which take seconds; without end in
# the deep profile.
PROPERTY_SECONDS = 1200 if settings().max_examples <= 100 else 0

# The compiler may take this long on the machine that runs the tests: twice its estimate's limit,
# and room for a neighbour; for many where a run is deep, which gives way to all others.
PATIENCE = 60.0 if PROPERTY_SECONDS else 1800.0


class Compiler:
    """The child process, started anew when a schema ended it."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[str] | None = None

    def ask(self, schema: Any, **more: Any) -> dict[str, Any]:
        """Compile a schema in the child; an answer with `error` where that failed."""
        if self.process is None or self.process.poll() is not None:
            self.process = subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("compiler.py"))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        try:
            # A large vocabulary takes a twentieth of a second in each state.
            patience = 5 * PATIENCE if "vocabulary" in more else PATIENCE
            line = self._exchange(self.process, json.dumps({"schema": schema, **more}), patience)
        except BaseException:
            # A test's time-out lands here too; the next question must not get this one's answer.
            self.close()
            raise
        if line is None:
            self.close()
            return {"error": f"no answer in {patience} seconds, or the compiler died"}
        answer: dict[str, Any] = json.loads(line)
        assert answer.get("agreed", True), f"two spellers read this in two ways: {schema}"
        return answer

    @staticmethod
    def _exchange(process: "subprocess.Popen[str]", request: str, patience: float) -> str | None:
        assert process.stdin
        assert process.stdout
        process.stdin.write(request + "\n")
        process.stdin.flush()
        ready, _, _ = select.select([process.stdout], [], [], patience)
        return (process.stdout.readline() or None) if ready else None

    def close(self) -> None:
        """End the child process."""
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None


def promised(schema: Any, dropped: Iterable[str], path: str) -> Any:
    """A schema without the keywords that were dropped.

    Where some were, `oneOf` means `anyOf`: an alternative that lost a keyword matches more.
    """
    left = deepcopy(schema)
    lost = list(dropped)
    for each in lost:
        assert each.startswith(path), each
        node, keyword = _at(left, each[len(path) :])
        if keyword != "oneOf":
            node.pop(keyword, None)
        if keyword == "if":
            node.pop("then", None)
            node.pop("else", None)
    return _any_of(left, exclusive=not lost)


def _at(node: Any, path: str) -> tuple[Any, str]:
    """The schema that a path leads to, and the keyword at its end; names may hold dots."""
    if isinstance(node, list):
        index, _, rest = path[1:].partition("]")
        return _at(node[int(index)], rest)
    for key in sorted(node, key=len, reverse=True):
        rest = path[len(key) + 1 :]
        if path == f".{key}":
            return node, key
        if path.startswith(f".{key}") and rest[0] in ".[" and isinstance(node[key], dict | list):
            return _at(node[key], rest)
    # Another keyword's drop took it along, as `if` does `then`.
    return {}, path[1:]


def _any_of(schema: Any, *, exclusive: bool) -> Any:
    match schema:
        case dict():
            found = {key: _any_of(value, exclusive=exclusive) for key, value in schema.items()}
            if not exclusive and isinstance(found.get("oneOf"), list):
                one = {"anyOf": found.pop("oneOf")}
                found["allOf"] = [*found.get("allOf", []), one]
            if found.pop("nullable", False) is True and isinstance(found.get("type"), str):
                found["type"] = [found["type"], "null"]
            return found
        case list():
            return [_any_of(each, exclusive=exclusive) for each in schema]
        case _:
            return schema


def _pattern(_: Any, pattern: str, instance: Any, __: Any) -> Iterable[Any]:
    # ECMA-262's classes, as JSON Schema says, not Python's Unicode ones.
    if isinstance(instance, str) and not re.search(pattern, instance, re.ASCII):
        yield jsonschema.ValidationError(f"{instance!r} does not match {pattern!r}")


Validator: Any = jsonschema.validators.extend(  # type: ignore[no-untyped-call] # it has none
    jsonschema.Draft202012Validator, {"pattern": _pattern}
)


def complaint(schema: Any, instance: Any) -> str | None:
    """What a validator has against an instance."""
    validator = Validator(schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER)
    error = next(iter(validator.iter_errors(instance)), None)
    return None if error is None else f"{error.json_path}: {error.message}"
