"""An answer whose model was only asked to follow a schema is checked."""

from __future__ import annotations

import json

import pytest

from torana.core.chat import ChatReply, Text, Thinking
from torana.inference.schema_check import _MAX_SCHEMA, _MAX_TEXT, follows, unfenced

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "people": {"type": "integer", "minimum": 0}},
    "required": ["city"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ('{"city": "Pune"}', True),
        ('{"city": "Pune", "people": 7000000}', True),
        (' {"city": "Pune"}\n', True),
        ('{"city": 7}', False),
        ('{"people": 7}', False),
        ('{"city": "Pune", "more": 1}', False),
        ("Here it is: {}", False),
        ("", False),
        ('{"city": "Pune"', False),
        ('{"city": "\ud800"}', False),
        ("[" * 100_000, False),
    ],
)
def test_an_answer_follows_a_schema_or_not(text, verdict):
    assert follows(text, SCHEMA) is verdict


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "no-such-type"},
        {"$ref": "#/nowhere"},
        {"$ref": "http://127.0.0.1:9/schema.json"},
        {"$ref": "#"},
        {"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"},
    ],
)
def test_a_schema_that_is_broken_or_leads_elsewhere_is_followed_by_nothing(schema):
    assert follows('{"city": "Pune"}', schema) is False


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {"city": {"pattern": "(a+)+$"}}},
        {"patternProperties": {"(a+)+$": {}}},
        {"properties": {"list": {"uniqueItems": True}}},
        {
            "$defs": {
                f"d{depth}": {"allOf": [{"$ref": f"#/$defs/d{depth + 1}"}] * 2}
                for depth in range(40)
            }
            | {"d40": {}},
            "$ref": "#/$defs/d0",
        },
    ],
)
def test_a_schema_that_could_take_for_ever_is_not_judged(schema):
    assert follows(json.dumps({"city": "a" * 40 + "!", "list": [1, 2]}), schema) is None


def test_an_answer_or_a_schema_that_is_too_long_is_not_checked():
    assert follows("{}", {"description": "x" * _MAX_SCHEMA}) is None
    assert follows(json.dumps("x" * _MAX_TEXT), {}) is None


@pytest.mark.parametrize(
    ("text", "bare"),
    [
        ('```json\n{"a": 1}\n```', '{"a": 1}'),
        ('\n```\n{"a": 1}\n```\n', '{"a": 1}'),
        ('```JSON\r\n{"a": 1}\r\n```', '{"a": 1}'),
        ('{"a": "```"}', '{"a": "```"}'),
        ('Look:\n```json\n{"a": 1}\n```', 'Look:\n```json\n{"a": 1}\n```'),
    ],
)
def test_fences_around_the_whole_answer_are_taken_away(text, bare):
    thought = Thinking("```json\nhm\n```")
    reply = ChatReply(id="a", model="m", parts=(thought, Text(text)))
    assert unfenced(reply).parts == (thought, Text(bare))
