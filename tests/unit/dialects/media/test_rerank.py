"""Reranking: what is read of requests and answers, in the forms of several providers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from torana.core.usage import Usage
from torana.dialects.rerank import MOST_DOCUMENTS, PAIR_TOKENS, RERANK
from torana.dialects.wire import WireRequest
from torana.errors import InvalidRequest, UpstreamError, UpstreamGarbage


def ask(documents: Any = ("a", "b"), **fields: Any) -> WireRequest:
    body = {"model": "m", "query": "what", "documents": documents, **fields}
    return RERANK.decode_request(json.dumps(body, separators=(",", ":")).encode())


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"query": ""}, "query"),
        ({"query": ["a"]}, "query"),
        ({"documents": []}, "documents"),
        ({"documents": None}, "documents"),
        ({"documents": "a"}, "documents"),
        ({"documents": ["a"] * (MOST_DOCUMENTS + 1)}, "documents"),
    ],
)
def test_what_is_wrong_is_refused_by_name(fields, param):
    with pytest.raises(InvalidRequest) as caught:
        ask(**fields)
    assert caught.value.param == param


def test_the_query_counts_with_every_document():
    costs = RERANK.read_costs(ask(["a" * 10, "b" * 20], top_n=1, return_documents=True))
    query, documents = len('"what"'), len(json.dumps(["a" * 10, "b" * 20], separators=(",", ":")))
    assert costs.text_bytes == documents + 2 * query + 2 * PAIR_TOKENS
    assert (costs.unruled, costs.no_output) == ((), True)


@pytest.mark.parametrize(
    ("documents", "query", "searches"),
    [
        (["a"], "q", 1),
        (["a"] * 100, "q", 1),
        (["a"] * 101, "q", 2),
        # A document of 5,000 bytes is at most 11 pieces beside a short query.
        (["a" * 5000] * 10, "q", 2),
        # A long query leaves little room.
        (["a" * 98] * 51, "q" * 490, 2),
    ],
)
def test_long_documents_count_as_several(documents, query, searches):
    media = RERANK.read_costs(ask(documents, query=query)).media
    assert media is not None
    assert media.searches == searches


@pytest.mark.parametrize(
    ("document", "unruled"),
    [
        ({"text": "a", "id": 5, "title": "b", "year": 1990, "author": "c"}, ()),
        ({"image": "https://x"}, ("documents[].image",)),
        ({"text": "a", "cover": "data:image/png;base64,AA"}, ("documents[].cover",)),
        ({"parts": [{"type": "image_url"}]}, ("documents[].parts",)),
        (5, ("documents[]",)),
    ],
)
def test_a_document_that_may_be_more_than_text_has_no_rule(document, unruled):
    assert RERANK.read_costs(ask([document])).unruled == unruled


def test_an_unknown_field_has_no_rule():
    assert RERANK.read_costs(ask(think=True)).unruled == ("think",)


@pytest.mark.parametrize(
    ("told", "usage"),
    [
        ({}, None),
        # Cohere.
        ({"meta": {"billed_units": {"search_units": 2}}}, Usage(searches=2)),
        ({"meta": {"billed_units": {"search_units": 1.0}}}, Usage(searches=1)),
        (
            {"meta": {"billed_units": {"input_tokens": 9.0, "output_tokens": 1}}},
            Usage(input_tokens=9, output_tokens=1),
        ),
        ({"meta": {"billed_units": None}}, None),
        # Jina and vLLM.
        ({"usage": {"total_tokens": 38}}, Usage(input_tokens=38)),
        # Together.
        (
            {"usage": {"prompt_tokens": 30, "completion_tokens": 2, "total_tokens": 32}},
            Usage(input_tokens=30, output_tokens=2),
        ),
        (
            {"usage": {"total_tokens": 32, "completion_tokens": 2}},
            Usage(input_tokens=30, output_tokens=2),
        ),
        ({"usage": {"search_units": 3}}, Usage(searches=3)),
        ({"usage": {"total_tokens": -1}}, None),
        ({"meta": {"billed_units": {"search_units": "many"}}}, None),
    ],
)
def test_a_usage_is_read_in_any_form(told, usage):
    body = json.dumps({"model": "theirs", "results": [], **told}).encode()
    found = RERANK.decode_answer(body)
    assert (found.body, found.usage) == (body, usage)
    renamed = RERANK.decode_answer(body, model="asked")
    assert json.loads(renamed.body)["model"] == "asked"


@pytest.mark.parametrize("body", [b"", b"{}", b'{"results":5}', b"\xff"])
def test_what_is_no_answer_is_refused(body):
    with pytest.raises(UpstreamGarbage):
        RERANK.decode_answer(body)


def test_an_error_in_the_clothes_of_an_answer_is_one():
    with pytest.raises(UpstreamError):
        RERANK.decode_answer(b'{"error":"no","results":[]}')
