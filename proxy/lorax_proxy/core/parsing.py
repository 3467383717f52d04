"""A request's bytes to its type.

Two steps: the bytes become a JSON document (`read_document`), then the document becomes a request
type (`read_request`). Between them `core.parameters` looks at every key.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar, cast

import msgspec
from pydantic import BaseModel, ValidationError

from lorax_proxy.core.refusals import refusal_of, seen
from lorax_proxy.errors import RequestRefused

__all__ = ["is_small", "is_too_deep", "read_document", "read_request"]

_Request = TypeVar("_Request", bound=BaseModel)

_MAX_DEPTH = 64
"""Levels of a document. A schema of ten objects inside one another has some 25; what walks a
document after us (schemas, templates) recurses, and must not run out of stack."""

_MAX_PARTS = 60_000
"""Objects, arrays and members of a document. Each costs up to a microsecond for which nothing else
runs. A message is three at least, and with its words and its turn's marks some ten tokens of a prompt,
so that as many are more than a model's context."""

_PARTS = (b"{", b"[", b":")
_STRING_OR_PART = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[{[:]', re.DOTALL)
"""A string that never ends reaches to the end, so that no byte is looked at twice."""


_SMALL = 16 * 1024
_FEW_CONTAINERS = 128


def is_small(body: bytes) -> bool:
    """Whether a document is so short, and of so few objects and arrays, that its square is small.

    To do something with all its parts for each of them takes some milliseconds at most.
    """
    return len(body) <= _SMALL and _containers_in(body) <= _FEW_CONTAINERS


def _containers_in(body: bytes) -> int:
    """How many objects and arrays a document may have: those in strings are counted too."""
    return body.count(b"{") + body.count(b"[")


def is_too_deep(document: object) -> bool:
    """Whether lists and objects are nested deeper than any request needs."""
    return any(depth == _MAX_DEPTH for depth, _ in enumerate(_levels(document)))


def _levels(document: object) -> Iterator[list[dict[str, Any] | list[Any]]]:
    """The lists and objects of each level, from the outermost to the last that has any."""
    level = _containers([document])
    while level:
        yield level
        level = _containers(
            inner for each in level for inner in (each.values() if isinstance(each, dict) else each)
        )


def _containers(values: Iterable[object]) -> list[dict[str, Any] | list[Any]]:
    return [value for value in values if isinstance(value, (dict, list))]


def _has_too_many_parts(body: bytes) -> bool:
    """Counted in the bytes, before any of them is an object."""
    if len(body) <= _MAX_PARTS or sum(map(body.count, _PARTS)) <= _MAX_PARTS:
        return False
    # most of them may be in strings
    parts = (found for found in _STRING_OR_PART.finditer(body) if found[0] in _PARTS)
    return any(number == _MAX_PARTS for number, _ in enumerate(parts))


def read_document(body: bytes) -> dict[str, Any]:
    """Decode a request body.

    Raises:
        RequestRefused: When it is not JSON, not a JSON object, nested too deeply, or of more
            objects, arrays and members than any request needs. Surrogates without a partner, NaN
            and numbers beyond a double are not JSON here.
    """
    if not body.strip():
        raise RequestRefused("The request has no body; send a JSON object.")
    if _has_too_many_parts(body):
        raise RequestRefused(
            f"The JSON body is too large: it may have {_MAX_PARTS} objects, arrays and members."
        )
    try:
        document = msgspec.json.decode(body)
    except RecursionError:
        raise RequestRefused("The JSON body is nested too deeply.") from None
    except UnicodeDecodeError as error:
        raise RequestRefused(
            f"The body is not valid UTF-8: byte {error.start} of a string cannot be read."
        ) from None
    except msgspec.DecodeError as error:
        raise RequestRefused(
            f"We could not parse the JSON body of your request: {error}."
        ) from None
    if _containers_in(body) >= _MAX_DEPTH and is_too_deep(document):
        raise RequestRefused(
            f"The JSON body is nested too deeply: it may have {_MAX_DEPTH} levels."
        )
    if not isinstance(document, dict):
        raise RequestRefused(
            f"The JSON body must be an object, but it is {seen(document)}.", code="invalid_type"
        )
    return cast("dict[str, Any]", document)


def read_request(model: type[_Request], document: Mapping[str, Any]) -> _Request:
    """Validate a decoded document.

    Raises:
        RequestRefused: With the path of the first thing that is wrong in `param`.
    """
    try:
        return model.model_validate(document)
    except ValidationError as error:
        raise refusal_of(error, document, model) from None
    except RecursionError:
        raise RequestRefused("The JSON body is nested too deeply.") from None
