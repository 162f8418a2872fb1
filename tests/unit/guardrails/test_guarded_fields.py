"""Requests that are no conversations: the fields that hold texts."""

from __future__ import annotations

import msgspec
import orjson
import pytest

from tests.unit.guardrails.guarding import blocking, guards_of, masking
from torana.dialects.openai_embeddings import OPENAI_EMBEDDINGS
from torana.dialects.wire import WireRequest, decode_fields
from torana.errors import GuardrailBlocked
from torana.guardrails.fields import guard_fields

JANE = "jane@example.com"


def request(**fields) -> WireRequest:
    body = orjson.dumps({"model": "m", **fields})
    return WireRequest(
        model="m",
        stream=False,
        include_usage=True,
        max_output=None,
        choices=1,
        size=len(body),
        fields=decode_fields(body),
    )


def written(passed: WireRequest):
    return {name: msgspec.json.decode(value) for name, value in passed.fields.items()}


@pytest.mark.parametrize(
    ("fields", "masked"),
    [
        ({"input": JANE}, {"input": "[EMAIL_1]"}),
        ({"input": ["x", JANE]}, {"input": ["x", "[EMAIL_1]"]}),
        ({"prompt": JANE, "size": JANE}, {"prompt": "[EMAIL_1]", "size": JANE}),
        (
            {"query": JANE, "documents": [JANE, {"text": f"by {JANE}", "stars": 5}]},
            {
                "query": "[EMAIL_1]",
                "documents": ["[EMAIL_1]", {"text": "by [EMAIL_1]", "stars": 5}],
            },
        ),
        (
            {"input": [{"type": "text", "text": JANE}, {"type": "x", "image_url": {"url": JANE}}]},
            {
                "input": [
                    {"type": "text", "text": "[EMAIL_1]"},
                    {"type": "x", "image_url": {"url": JANE}},
                ]
            },
        ),
    ],
)
def test_texts_are_masked_where_they_stand(fields, masked):
    passed = guard_fields(guards_of(masking()), request(**fields))
    assert written(passed) == {"model": "m", **masked}
    with pytest.raises(GuardrailBlocked):
        guard_fields(guards_of(blocking(words=["jane"])), request(**fields))


def test_a_request_that_nothing_changes_stays_to_the_letter():
    asked = OPENAI_EMBEDDINGS.decode_request(b'{"model": "m", "input": "caf\\u00e9", "n": 1.0}')
    assert guard_fields(guards_of(masking()), asked) is asked


@pytest.mark.parametrize("tokens", [[1, 2], [[1, 2], [3]], ["x", [1]]])
def test_token_ids_pass_where_they_are_only_masked_and_are_refused_where_they_may_block(tokens):
    asked = request(input=tokens)
    assert guard_fields(guards_of(masking()), asked) is asked
    answers_only = guards_of(blocking("answer", words=["x9"]))
    assert guard_fields(answers_only, asked) is asked
    guards = guards_of(blocking("prompt", words=["x9"]))
    with pytest.raises(GuardrailBlocked, match="can't read token ids") as caught:
        guard_fields(guards, asked)
    assert caught.value.param == "input"
    assert guards.outcomes == {"no-secrets": "blocked"}
