"""Schemas as frameworks send them, each with what it must admit and what it must not.

The texts are spelled as Python's `json.dumps` spells them: a space after each comma and colon,
which the compiler's white space allows.
"""

from datetime import date
from enum import Enum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field


class Kind(Enum):
    """An enum, which Pydantic defines under `$defs`."""

    BOOK = "book"
    FILM = "film"


class Address(BaseModel):
    """A nested model."""

    street: str
    number: int | None = None


class Person(BaseModel):
    """References, nullable fields, defaults, counted items, a small range and a date."""

    name: str = Field(min_length=1)
    age: int = Field(ge=0)
    rating: int = Field(ge=1, le=5)
    born: date
    kind: Kind
    address: Address
    former: list[Address] = Field(default_factory=list[Address], max_length=2)
    tags: dict[str, int] = {}
    nickname: str | None = None
    pair: tuple[int, str]


class Cat(BaseModel):
    """One of a discriminated union."""

    species: Literal["cat"]
    lives: int


class Dog(BaseModel):
    """The other."""

    species: Literal["dog"]
    barks: bool


class Owner(BaseModel):
    """A discriminated union, which is `oneOf`."""

    pet: Annotated[Cat | Dog, Field(discriminator="species")]


class Options(BaseModel):
    """Everything optional."""

    verbose: bool = False
    level: int = 3
    name: str = "x"
    more: list[str] = []


PERSON = {
    "name": "Zoë\n",
    "age": 30,
    "rating": 5,
    "born": "2024-02-29",
    "kind": "film",
    "address": {"street": '1 Main "St"', "number": None},
    "former": [{"street": "a", "number": 2}, {"street": "b"}],
    "tags": {"x": 1},
    "nickname": None,
    "pair": [1, "x"],
}

STRICT: dict[str, Any] = {
    # As openai's `.parse()` makes of a model: everything required, nothing else allowed.
    "type": "object",
    "properties": {
        "steps": {
            "type": "array",
            "items": {"$ref": "#/$defs/Step"},
            "title": "Steps",
        },
        "final_answer": {"type": "string", "title": "Final Answer"},
        "confidence": {"anyOf": [{"type": "number"}, {"type": "null"}]},
    },
    "required": ["steps", "final_answer", "confidence"],
    "additionalProperties": False,
    "title": "Reasoning",
    "$defs": {
        "Step": {
            "type": "object",
            "properties": {
                "explanation": {"type": "string", "title": "Explanation"},
                "output": {"type": "string", "description": "what came of it"},
            },
            "required": ["explanation", "output"],
            "additionalProperties": False,
        }
    },
}

# Draft 7 as Pydantic 1 wrote it: definitions, and allOf around a reference with siblings.
PYDANTIC_1: dict[str, Any] = {
    "title": "Order",
    "type": "object",
    "properties": {
        "item": {
            "title": "Item",
            "description": "which",
            "allOf": [{"$ref": "#/definitions/Item"}],
        },
        "count": {"title": "Count", "exclusiveMinimum": 0, "type": "integer"},
    },
    "required": ["item", "count"],
    "definitions": {
        "Item": {
            "type": "object",
            "properties": {"id": {"type": "string", "pattern": "^[A-Z]{2}-[0-9]+$"}},
            "required": ["id"],
        }
    },
}

# name -> schema, what must be admitted, what must not.
REAL: dict[str, tuple[Any, list[Any], list[Any]]] = {
    "pydantic": (
        Person.model_json_schema(),
        [
            PERSON,
            {**PERSON, "former": []},
            {key: PERSON[key] for key in PERSON if key not in ("former", "tags", "nickname")},
        ],
        [
            {**PERSON, "rating": 6},
            {**PERSON, "name": ""},
            {**PERSON, "kind": "song"},
            {**PERSON, "born": "2023-02-29"},
            {**PERSON, "pair": [1]},
            {**PERSON, "former": [{"street": "a"}] * 3},
            {**PERSON, "extra": 1},
        ],
    ),
    "discriminated": (
        Owner.model_json_schema(),
        [{"pet": {"species": "cat", "lives": 9}}, {"pet": {"species": "dog", "barks": True}}],
        [{"pet": {"species": "cat", "barks": True}}, {"pet": {}}],
    ),
    "optional": (
        Options.model_json_schema(),
        [
            {},
            {"verbose": True},
            {"level": 1},
            {"name": "y", "more": ["a"]},
            {"verbose": True, "level": 1, "name": "y", "more": []},
            {"verbose": True, "more": []},
        ],
        [{"level": "high"}, {"unknown": 1}],
    ),
    "strict": (
        STRICT,
        [
            {"steps": [], "final_answer": "x", "confidence": None},
            {
                "steps": [{"explanation": "a\tb", "output": "é"}],
                "final_answer": "",
                "confidence": 0.5,
            },
        ],
        [{"steps": [{}], "final_answer": "x", "confidence": None}, {"steps": []}],
    ),
    "pydantic 1": (
        PYDANTIC_1,
        [{"item": {"id": "AB-12"}, "count": 3}],
        [{"item": {"id": "ab-12"}, "count": 3}, {"item": {"id": "AB-12"}}],
    ),
    "constants": (
        {"anyOf": [{"const": {"a": [1, None]}}, {"enum": ["x", 2, True, []]}]},
        [{"a": [1, None]}, "x", 2, True, []],
        [{"a": [1]}, {}, 1, "2", False],
    ),
    "any": ({}, [1, "x\n", None, True, [1, "a"], {"a": 1.5}], []),
    "free": ({"type": "object"}, [{}, {"a": {"b": 1}}, {"a": ["x\n"]}], [[], 1]),
}
