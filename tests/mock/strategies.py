"""Requests and schemas that the properties are tried on."""

import string
from typing import Any

from hypothesis import strategies as st

from lorax_mock.wire.native import GenerateParameters, GenerateRequest

__all__ = ["ADAPTERS", "requests", "schemas"]

ADAPTERS = [None, "acme/support", "acme/pirate", "acme/poet", "acme/sql"]

requests = st.builds(
    GenerateRequest,
    st.text(min_size=1, max_size=60),
    st.builds(
        GenerateParameters,
        adapter_id=st.sampled_from(ADAPTERS),
        max_new_tokens=st.none() | st.integers(1, 80),
        do_sample=st.booleans(),
        temperature=st.sampled_from([None, 0.0, 0.7, 1.0, 1.5]),
        top_k=st.none() | st.integers(1, 6),
        top_p=st.none() | st.sampled_from([0.3, 0.9, 1.0]),
        seed=st.none() | st.integers(0, 2**64 - 1),
        stop=st.lists(st.sampled_from(["e", " the", ".", "", "\n"]), max_size=3).map(tuple),
        ignore_eos_token=st.booleans(),
        return_k_alternatives=st.none() | st.integers(1, 6),
        truncate=st.none() | st.integers(1, 10),
        details=st.just(value=True),
    ).filter(lambda asked: asked.max_new_tokens is not None or not asked.ignore_eos_token),
)

_names = st.text(string.ascii_letters + "_", min_size=1, max_size=6)


def _bounded(kind: str) -> st.SearchStrategy[dict[str, Any]]:
    """A number type with bounds that leave room."""

    def bound(low: int, width: int) -> dict[str, Any]:
        return {"type": kind, "minimum": low, "maximum": low + width}

    return st.builds(bound, st.integers(-50, 50), st.integers(0, 50))


_leaves: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.sampled_from(
        [
            {"type": "string"},
            {"type": "string", "minLength": 3, "maxLength": 5},
            {"type": "string", "minLength": 90},
            {"type": "string", "pattern": "^[A-Z]{2}-[0-9]+$"},
            {"type": "string", "pattern": "(red|green) [a-f\\d]{2,4}x?"},
            {"type": "string", "format": "date"},
            {"type": "string", "format": "date-time"},
            {"type": "string", "format": "uuid"},
            {"type": "integer"},
            {"type": "integer", "multipleOf": 7},
            {"type": "integer", "exclusiveMinimum": 3, "exclusiveMaximum": 5},
            {"type": "number"},
            {"type": "boolean"},
            {"type": "null"},
            {"type": ["string", "null"]},
            {"const": "é"},
            {"enum": ["a", 1, None, True, 2.5]},
            {"$ref": "#/$defs/Shared"},
            {"type": "array"},
            {"type": "object"},
        ]
    ),
    _bounded("integer"),
    _bounded("number"),
)


def _around(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    def record(properties: dict[str, Any], *, all_required: bool) -> dict[str, Any]:
        required = list(properties) if all_required else list(properties)[1:2]
        return {
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": False,
        }

    def array(items: dict[str, Any], low: int, extra: int) -> dict[str, Any]:
        return {"type": "array", "items": items, "minItems": low, "maxItems": low + extra}

    return st.one_of(
        st.builds(record, st.dictionaries(_names, inner, max_size=4), all_required=st.booleans()),
        st.builds(array, inner, st.integers(0, 3), st.integers(0, 3)),
        st.lists(inner, min_size=1, max_size=3).map(lambda options: {"anyOf": options}),
        inner.map(lambda only: {"allOf": [only]}),
        st.lists(inner, min_size=1, max_size=3).map(
            lambda items: {"type": "array", "prefixItems": items}
        ),
        inner.map(lambda values: {"type": "object", "additionalProperties": values}),
    )


schemas = st.recursive(_leaves, _around, max_leaves=6).map(
    lambda schema: {**schema, "$defs": {"Shared": {"type": "string", "maxLength": 4}}}
)
"""Schemas that LoRAX's compiler takes and some JSON document satisfies: without `{}`, for which it takes
texts that are no JSON, and which it refuses at the top."""
