"""Which schemas Anthropic can hold a model to."""

from __future__ import annotations

from typing import Any

import pytest

from torana.dialects.anthropic.schemas import held

CITY = {"type": "string", "description": "where", "default": "Bern"}


def closed(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


@pytest.mark.parametrize(
    "schema",
    [
        closed(city=CITY),
        closed(a={"type": "array", "items": {"type": "integer"}, "minItems": 1}),
        closed(a={"enum": ["x", 1, None, True]}, b={"const": 3}),
        closed(a={"anyOf": [{"type": "string", "format": "date"}, {"type": "null"}]}),
        {
            **closed(a={"$ref": "#/$defs/b"}),
            "$defs": {"b": closed(c={"$ref": "#/$defs/d"}), "d": CITY},
        },
    ],
)
def test_a_schema_of_what_is_supported_is_said_as_it_is(schema):
    assert held(schema) == schema


def test_an_object_that_says_nothing_of_further_members_is_closed():
    schema = {"type": "object", "properties": {"a": {"type": "object", "properties": {"b": CITY}}}}
    found = held(schema)
    assert found is not None
    assert found["additionalProperties"] is False
    assert found["properties"]["a"]["additionalProperties"] is False


def test_several_types_are_said_as_a_choice():
    found = held(closed(a={"type": ["string", "null"], "description": "d"}))
    assert found is not None
    assert found["properties"]["a"] == {
        "anyOf": [
            {"type": "string", "description": "d"},
            {"type": "null", "description": "d"},
        ]
    }


def _nested(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(depth):
        schema = {"type": "array", "items": schema}
    return schema


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object"},
        {"type": "object", "properties": {}},
        {"type": "object", "additionalProperties": {"type": "string"}},
        {**closed(a=CITY), "additionalProperties": True},
        closed(a={"type": "integer", "minimum": 1}),
        closed(a={"type": "string", "pattern": "x"}),
        closed(a={"type": "string", "format": "regex"}),
        closed(a={"type": "array", "minItems": 2}),
        closed(a={"oneOf": [CITY]}),
        closed(a={"enum": [{}]}),
        closed(a={"enum": 7}),
        closed(a={"type": ["string", 7]}),
        {**closed(), "$defs": []},
        {"properties": 7},
        closed(a={"$ref": "https://example.com/schema"}),
        closed(a={"$ref": "#"}),
        closed(a=True),
        {**closed(a={"$ref": "#/$defs/b"}), "$defs": {"b": closed(c={"$ref": "#/$defs/b"})}},
        {
            **closed(),
            "$defs": {"b": closed(c={"$ref": "#/$defs/d"}), "d": closed(c={"$ref": "#/$defs/b"})},
        },
        _nested(300),
    ],
)
def test_what_cannot_be_held_is_not_said_in_part(schema):
    assert held(schema) is None


def test_a_default_may_be_as_deep_as_it_likes():
    schema = closed(a={"type": "string", "default": _nested(5_000)})
    assert held(schema) is not None
