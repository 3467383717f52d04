"""Why a request is refused, in the words of OpenAI's own API.

A refusal names the place of what is wrong and, where one is near, what was probably meant. It carries
the `code` that OpenAI sends for the same mistake, since clients switch on it.
"""

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, cast, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from lorax_proxy.errors import RequestRefused

__all__ = ["nearest", "refusal_of", "seen"]

_MAX_ERRORS = 1_000
"""How many errors are looked at for the one that is told. Lists are given up at their first, so more
than this is one object with as many keys that nobody knows; an error takes a hundred times the bytes
of such a key."""

_EXPECTED = {
    "string_type": "a string",
    "int_type": "an integer",
    "int_from_float": "an integer",
    "float_type": "a number",
    "bool_type": "a boolean",
    "list_type": "an array",
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
    "none_required": "null",
}

_SEEN: Mapping[type[object], str] = {
    str: "a string",
    bool: "a boolean",
    int: "an integer",
    float: "a number",
    list: "an array",
    dict: "an object",
    type(None): "null",
}


_NEAR = 0.7
"""How alike two names are, from 0 to 1, of which one may be meant by the other: `system` and
`stream` are not (0.67), `streaming` and `stream` are (0.8)."""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that `name` was most likely meant to be, if any is near."""
    # what is much longer or shorter cannot be near, and a name may be as long as a body
    alike = [each for each in known if _can_be_near(len(name), len(each))]
    # nothing alike, no work: difflib reads the name through before it looks at the others
    matches = difflib.get_close_matches(name, alike, n=1, cutoff=_NEAR) if alike else []
    return matches[0] if matches else None


def _can_be_near(one: int, other: int) -> bool:
    """Whether texts of these lengths can be as near: twice what they share over both."""
    return 2 * min(one, other) >= _NEAR * (one + other)


def refusal_of(
    error: ValidationError, document: Mapping[str, Any], model: type[BaseModel]
) -> RequestRefused:
    """The refusal of a document that is no `model`: of its errors the most telling."""
    if error.error_count() > _MAX_ERRORS:
        return _crowded(document)
    return _refusal(error.errors(include_url=False), document, model)


def seen(value: object) -> str:
    """What a value of a document is, as JSON calls it: `an array`."""
    return _SEEN.get(type(value), type(value).__name__)


def _quote(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _path(error: ErrorDetails, document: Mapping[str, Any]) -> tuple[str | int, ...]:
    """The place in the document: pydantic's location without the names of union branches."""
    location = error["loc"]
    if error["type"] == "missing":
        parent = _steps(location[:-1], document, error["input"])
        return (*(location[:-1] if parent is None else parent), location[-1])
    path = _steps(location, document, error["input"])
    return location if path is None else path


def _steps(
    location: tuple[str | int, ...], here: object, goal: object
) -> tuple[str | int, ...] | None:
    """The steps of a location that lead from here to the value that is wrong.

    The others are names of union branches. They cannot be told by their spelling, since a document
    may have a key `str` or `user` of its own, but they lead nowhere.
    """
    if not location:
        return () if here is goal else None
    step, rest = location[0], location[1:]
    below: object = None
    if isinstance(here, dict) and step in here:
        below = cast("dict[object, object]", here)[step]
    elif isinstance(here, list) and isinstance(step, int):
        below = cast("list[object]", here)[step]
    else:
        return _steps(rest, here, goal)
    found = _steps(rest, below, goal)
    return _steps(rest, here, goal) if found is None else (step, *found)


def _spell(path: Iterable[str | int]) -> str:
    spelled = ""
    for step in path:
        spelled += f"[{step}]" if isinstance(step, int) else f".{step}" if spelled else step
    return spelled


def _refusal(
    errors: list[ErrorDetails], document: Mapping[str, Any], model: type[BaseModel]
) -> RequestRefused:
    """The most telling of the errors: the deepest place, and there all that was expected."""
    placed = [(_path(error, document), error) for error in errors]
    deepest = max(placed, key=lambda pair: len(pair[0]))[0]
    here = [error for path, error in placed if path == deepest]
    param = _spell(deepest)
    expected = [kind for error in here if (kind := _expected(error))]
    plain = [error for error in here if _expected(error) is None]
    if expected and not plain:
        choice = " or ".join(dict.fromkeys(expected))
        return RequestRefused(
            f"Invalid type for '{param}': expected {choice}, "
            f"but got {seen(here[0]['input'])} instead.",
            param=param,
            code="invalid_type",
        )
    if plain[0]["type"] == "extra_forbidden":
        meant = _meant(str(deepest[-1]), _models_at(model, plain[0]["loc"][:-1]))
        hint = f" Did you mean '{_spell((*deepest[:-1], *meant))}'?" if meant else ""
        return RequestRefused(
            f"Unknown parameter: '{param}'.{hint}", param=param, code="unknown_parameter"
        )
    return _plain_refusal(plain[0], param)


def _expected(error: ErrorDetails) -> str | None:
    """The type that was expected; None when the type was right and the value wrong."""
    kind, value = error["type"], error["input"]
    if kind == "float_type" and isinstance(value, int) and not isinstance(value, bool):
        return None
    if kind == "literal_error" and not isinstance(value, str):
        return "a string"
    return _EXPECTED.get(kind)


def _crowded(document: Mapping[str, Any]) -> RequestRefused:
    """The refusal of a request with so many errors: which of its parameters has as many keys."""
    for name, value in document.items():
        if any(len(each) > _MAX_ERRORS for each in _objects_in(value)):
            return RequestRefused(
                f"Invalid '{name}': an object in it has over {_MAX_ERRORS} unknown keys.",
                param=name,
                code="unknown_parameter",
            )
    return RequestRefused(f"Over {_MAX_ERRORS} things are wrong with this request.")


def _objects_in(value: object) -> Iterator[dict[str, Any]]:
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            yield each
            waiting.extend(each.values())
        elif isinstance(each, list):
            waiting.extend(each)


def _meant(name: str, models: Sequence[type[BaseModel]]) -> tuple[str, ...]:
    """The way from where an unknown key stands to the known one that was meant; empty if none is.

    One that is spelled alike and stands beside it, else one of the same name a level further down:
    `strict` beside `json_schema` is one in it.
    """
    near = nearest(name, (known for each in models for known, _ in _fields(each)))
    if near:
        return (near,)
    for model in models:
        for known, annotation in _fields(model):
            if any(name in dict(_fields(inner)) for inner in _models(annotation)):
                return (known, name)
    return ()


def _fields(model: type[BaseModel]) -> Iterator[tuple[str, Any]]:
    """The names that a client may use, and their types; what takes null alone is no choice."""
    for name, field in model.model_fields.items():
        if field.annotation is not type(None):
            yield field.alias or name, field.annotation


def _models_at(
    model: type[BaseModel], location: tuple[str | int, ...]
) -> Sequence[type[BaseModel]]:
    """The types of the object at a location, in which the names of union branches stand too.

    A branch is named by its tag, which is the value of one of its fields, or by its type.
    """
    models: list[type[BaseModel]] = [model]
    for step in location:
        # of a union the branch comes first, and its name may be a field's too
        branch = [each for each in models if len(models) > 1 and _is_tagged(each, step)]
        if branch:
            models = branch
            continue
        below = [
            found
            for each in models
            for name, annotation in _fields(each)
            if step == name
            for found in _models(annotation)
        ]
        models = below or models
    return models


def _is_tagged(model: type[BaseModel], tag: str | int) -> bool:
    if tag == model.__name__:
        return True
    return any(
        get_origin(field.annotation) is Literal and tag in get_args(field.annotation)
        for field in model.model_fields.values()
    )


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models(inner)


def _plain_refusal(error: ErrorDetails, param: str) -> RequestRefused:
    context = error.get("ctx", {})
    value = error["input"]
    match error["type"]:
        case "missing":
            return RequestRefused(
                f"Missing required parameter: '{param}'.",
                param=param,
                code="missing_required_parameter",
            )
        case "literal_error":
            return RequestRefused(
                f"Invalid value for '{param}': {_quote(value)}. "
                f"Supported values are: {context.get('expected')}.",
                param=param,
                code="invalid_value",
            )
        case "union_tag_invalid":
            key = str(context.get("discriminator", "")).strip("'")
            return RequestRefused(
                f"Invalid value for '{param}.{key}': {_quote(context.get('tag'))}. "
                f"Supported values are: {context.get('expected_tags')}.",
                param=f"{param}.{key}",
                code="invalid_value",
            )
        case "union_tag_not_found":
            key = str(context.get("discriminator", "")).strip("'")
            return RequestRefused(
                f"Missing required parameter: '{param}.{key}'.",
                param=f"{param}.{key}",
                code="missing_required_parameter",
            )
        case "float_type":
            more = value > 0
            return RequestRefused(
                f"Invalid '{param}': too {'large' if more else 'small'} for a number.",
                param=param,
                code="above_max_value" if more else "below_min_value",
            )
        case "less_than_equal" | "less_than":
            return RequestRefused(
                f"Invalid '{param}': above the maximum value. Expected a value "
                f"<= {context.get('le', context.get('lt'))}, but got {_quote(value)} instead.",
                param=param,
                code="above_max_value",
            )
        case "greater_than_equal" | "greater_than":
            bound = f">= {context['ge']}" if "ge" in context else f"> {context.get('gt')}"
            return RequestRefused(
                f"Invalid '{param}': below the minimum value. Expected a value {bound}, "
                f"but got {_quote(value)} instead.",
                param=param,
                code="below_min_value",
            )
        case "too_long" | "too_short":
            more = error["type"] == "too_long"
            count = context.get("max_length" if more else "min_length")
            return RequestRefused(
                f"Invalid '{param}': {'object' if isinstance(value, dict) else 'array'} too "
                f"{'long' if more else 'short'}. Expected "
                f"{'at most' if more else 'at least'} {count}, but got {len(value)} instead.",
                param=param,
                code="array_above_max_length" if more else "array_below_min_length",
            )
        case "string_too_long":
            return RequestRefused(
                f"Invalid '{param}': string too long. Expected at most "
                f"{context.get('max_length')} characters, but got {len(value)} instead.",
                param=param,
                code="string_above_max_length",
            )
        case "string_pattern_mismatch":
            return RequestRefused(
                f"Invalid '{param}': {_quote(value)} does not match the pattern "
                f"'{context.get('pattern')}'.",
                param=param,
                code="invalid_value",
            )
        case _:
            return RequestRefused(
                f"Invalid '{param}': {error['msg']}.", param=param, code="invalid_value"
            )
