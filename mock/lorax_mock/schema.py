"""JSON that obeys a schema. (A first cut: objects, arrays, enums and scalars.)."""

import json
from typing import Any

from lorax_mock.hashing import Draws

__all__ = ["compose"]


def compose(schema: Any, draws: Draws) -> str:
    """The text that a model constrained by `schema` would produce."""
    return json.dumps(_value(schema, draws), ensure_ascii=False)


def _value(schema: Any, draws: Draws) -> Any:
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][draws.byte() % len(schema["enum"])]
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = kind[0]
    match kind:
        case "object":
            properties = schema.get("properties", {})
            return {name: _value(inner, draws) for name, inner in properties.items()}
        case "array":
            return [_value(schema.get("items", {}), draws)]
        case "integer" | "number":
            return draws.byte() % 100
        case "boolean":
            return bool(draws.byte() % 2)
        case "null":
            return None
        case _:
            return "lorax"
