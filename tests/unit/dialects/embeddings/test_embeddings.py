"""OpenAI's embeddings: what is read, priced and sent on, and vectors in both encodings."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any, get_type_hints

import httpx2
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from torana.core.usage import Usage
from torana.dialects.costs import CallCosts
from torana.dialects.openai_embeddings import (
    FIELDS,
    OPENAI_EMBEDDINGS,
    encoding_of,
    with_encoding,
)
from torana.dialects.wire import WireRequest
from torana.errors import InvalidRequest, UpstreamError, UpstreamGarbage


def decode(**fields: Any) -> WireRequest:
    return OPENAI_EMBEDDINGS.decode_request(
        json.dumps({"model": "m", "input": "hi", **fields}, separators=(",", ":")).encode()
    )


# --- requests ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "given_", ["a", ["a"], ["a"] * 2048, [1], list(range(8192)), [[1, 2], [3]], ["é😀", "b"]]
)
def test_texts_and_tokens_are_taken(given_):
    request = decode(input=given_)
    assert (request.model, request.stream, request.choices, request.max_output) == (
        "m",
        False,
        1,
        None,
    )


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": None}, "input"),
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": ["a", ""]}, "input"),
        ({"input": [[]]}, "input"),
        ({"input": [[1], []]}, "input"),
        ({"input": ["a", 1]}, "input"),
        ({"input": [1, [2]]}, "input"),
        ({"input": [1.5]}, "input"),
        ({"input": {"text": "a"}}, "input"),
        ({"input": ["a"] * 2049}, "input"),
        ({"encoding_format": "hex"}, "encoding_format"),
        ({"dimensions": 0}, "dimensions"),
        ({"dimensions": "3"}, "dimensions"),
        ({"stream": True}, "stream"),
        ({"model": None}, "model"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_bad_field_is_refused_by_name(fields, param):
    with pytest.raises(InvalidRequest) as caught:
        decode(**fields)
    assert (caught.value.status, caught.value.param) == (400, param)


def test_a_field_that_occurs_twice_is_refused():
    with pytest.raises(InvalidRequest, match="occurs twice"):
        OPENAI_EMBEDDINGS.decode_request(b'{"model":"m","input":"a","input":"b"}')


def test_the_body_for_a_provider_differs_in_the_model():
    body = rb'{"input":["\u00e9"],"model":"a/b","odd":123456789012345678901,"user":"u"}'
    request = OPENAI_EMBEDDINGS.decode_request(body)
    sent = OPENAI_EMBEDDINGS.encode_upstream(request, model="b", max_output=5)
    assert sent == body.replace(b'"a/b"', b'"b"')


def test_there_are_no_streams():
    with pytest.raises(InvalidRequest) as caught:
        OPENAI_EMBEDDINGS.fold(decode(), request_id="req_1")
    assert caught.value.param == "stream"


def test_a_request_says_for_whom_it_is_made():
    assert OPENAI_EMBEDDINGS.labels(decode(user="ann")).end_user == "ann"


# --- costs -------------------------------------------------------------------------------------


def test_every_field_that_the_sdk_can_send_is_in_the_table_and_no_other():
    from openai.types import embedding_create_params as params

    assert set(FIELDS) == set(get_type_hints(params.EmbeddingCreateParams))


def test_the_input_counts_by_its_bytes_and_nothing_is_written():
    found = OPENAI_EMBEDDINGS.read_costs(decode(input=["ab", "c"], dimensions=3, user="u"))
    assert found == CallCosts(text_bytes=len('["ab","c"]'), no_output=True)


def test_an_unknown_field_is_named_and_counted():
    found = OPENAI_EMBEDDINGS.read_costs(decode(input_type="query", odd=None))
    assert (found.unruled, found.text_bytes) == (("input_type",), len('"hi"') + len('"query"'))


@pytest.mark.parametrize(
    ("given_", "texts", "other"),
    [("abc", ("abc",), 0), (["ab", "c"], ("ab", "c"), 3), ([1, 2], (), 5), ([[1], [2]], (), 9)],
)
def test_texts_are_counted_exactly_and_tokens_by_their_bytes(given_, texts, other):
    request = decode(input=given_)
    found = OPENAI_EMBEDDINGS.prompt_texts(request, OPENAI_EMBEDDINGS.read_costs(request))
    assert (found.texts, found.messages, found.other_bytes) == (texts, 0, other)
    assert found.all_bytes == other + sum(len(text) + 2 for text in texts)


# --- answers -----------------------------------------------------------------------------------


def answer(*vectors: Any, **fields: Any) -> bytes:
    data = [
        {"object": "embedding", "index": index, "embedding": vector, "odd": 1}
        for index, vector in enumerate(vectors)
    ]
    usage = {"prompt_tokens": 8, "total_tokens": 8}
    return json.dumps(
        {"object": "list", "data": data, "model": "theirs", "usage": usage, **fields}
    ).encode()


def packed(*numbers: float) -> str:
    return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()


def test_an_answer_passes_with_its_usage():
    body = answer([0.5, -1.0])
    found = OPENAI_EMBEDDINGS.decode_answer(body)
    assert (found.body, found.usage) == (body, Usage(input_tokens=8))
    assert OPENAI_EMBEDDINGS.decode_answer(answer(usage=None)).usage is None
    renamed = OPENAI_EMBEDDINGS.decode_answer(body, model="asked")
    assert json.loads(renamed.body)["model"] == "asked"


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b'{"data":7}', b'{"data":[],"usage":{"prompt_tokens":-1}}', b"\xff"],
)
def test_what_is_no_list_of_embeddings_is_garbage(body):
    with pytest.raises(UpstreamGarbage):
        OPENAI_EMBEDDINGS.decode_answer(body)


def test_an_error_under_a_success_status_is_an_error():
    with pytest.raises(UpstreamError) as caught:
        OPENAI_EMBEDDINGS.decode_answer(b'{"error":{"message":"no"},"data":[]}')
    assert not isinstance(caught.value, UpstreamGarbage)


# --- encodings ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "encoding"),
    [
        ({}, "float"),
        ({"encoding_format": None}, "float"),
        ({"encoding_format": "float"}, "float"),
        ({"encoding_format": "base64"}, "base64"),
    ],
)
def test_numbers_are_wanted_unless_the_caller_says_otherwise(fields, encoding):
    assert encoding_of(decode(**fields)) == encoding


def test_numbers_become_base64_and_everything_else_stays():
    changed = json.loads(with_encoding(answer([0.5, -1.0], [2.0]), "base64"))
    assert changed == json.loads(answer(packed(0.5, -1.0), packed(2.0)))


def test_base64_becomes_numbers():
    # Nine digits: as many as tell a number of four bytes from its neighbours.
    assert json.loads(with_encoding(answer(packed(0.1, -1.0)), "float")) == json.loads(
        answer([0.100000001, -1.0])
    )


@pytest.mark.parametrize(
    ("body", "wanted"),
    [(answer([0.1]), "float"), (answer(packed(0.1)), "base64"), (answer(), "base64")],
)
def test_what_is_in_the_wanted_encoding_passes_byte_for_byte(body, wanted):
    assert with_encoding(body, wanted) is body


def test_an_answer_comes_in_the_encoding_that_was_asked_for():
    request = decode(encoding_format="base64")
    told = OPENAI_EMBEDDINGS.fit(request, OPENAI_EMBEDDINGS.decode_answer(answer([0.5])))
    assert json.loads(told.body)["data"][0]["embedding"] == packed(0.5)
    assert told.usage == Usage(input_tokens=8)
    same = OPENAI_EMBEDDINGS.decode_answer(answer([0.5]))
    assert OPENAI_EMBEDDINGS.fit(decode(), same) == same


NUMBERS = st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), max_size=8)


@given(st.lists(NUMBERS, max_size=3))
def test_vectors_are_the_same_in_both_encodings(vectors):
    body = answer(*[packed(*vector) for vector in vectors])
    numbers = with_encoding(body, "float")
    assert json.loads(with_encoding(numbers, "base64")) == json.loads(body)
    told = [item["embedding"] for item in json.loads(numbers)["data"]]
    assert [struct.pack(f"<{len(v)}f", *v) for v in told] == [
        struct.pack(f"<{len(v)}f", *v) for v in vectors
    ]


@pytest.mark.parametrize("wanted", ["float", "base64"])
@pytest.mark.parametrize(
    "body",
    [
        b'{"data":[{}]}',
        b'{"data":[7]}',
        b'{"nothing":[]}',
        b'{"data":[{"embedding":null}]}',
        b'{"data":[{"embedding":{}}]}',
        b'{"data":[],"data":[]}',
    ],
)
def test_what_holds_no_vectors_is_garbage(body, wanted):
    with pytest.raises(UpstreamGarbage):
        with_encoding(body, wanted)


@pytest.mark.parametrize(
    ("vector", "wanted"),
    [("!!!", "float"), ("QUJ", "float"), ("QUJD", "float"), (["a"], "base64"), ([None], "base64")],
)
def test_a_vector_that_can_not_be_read_is_garbage(vector, wanted):
    with pytest.raises(UpstreamGarbage):
        with_encoding(answer(vector), wanted)


class Answering(httpx2.BaseTransport):
    """A compatible server that knows only numbers, behind the dialect."""

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        asked = OPENAI_EMBEDDINGS.decode_request(request.read())
        told = OPENAI_EMBEDDINGS.fit(asked, OPENAI_EMBEDDINGS.decode_answer(answer([0.25, -1.5])))
        headers = {"content-type": "application/json"}
        return httpx2.Response(200, headers=headers, content=told.body, request=request)


def test_the_sdk_which_always_asks_for_base64_gets_its_vectors():
    http = httpx2.Client(transport=Answering())
    sdk = openai.OpenAI(api_key="k", base_url="http://server/v1", http_client=http)
    found = sdk.embeddings.create(model="m", input=["hi"])
    assert found.data[0].embedding == [0.25, -1.5]
    as_numbers = sdk.embeddings.create(model="m", input="hi", encoding_format="float")
    assert as_numbers.data[0].embedding == [0.25, -1.5]
    assert (found.model, found.usage.prompt_tokens) == ("theirs", 8)
