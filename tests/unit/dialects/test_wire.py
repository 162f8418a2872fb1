"""Bodies as their raw top-level fields: nothing is changed, and nothing can hide behind a twin."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torana.dialects.wire import decode_fields, encode_fields, with_model
from torana.errors import InvalidJson, InvalidRequest

# --- bodies as their callers may write them ----------------------------------------------------

SPACE = st.text(" \t\r\n", max_size=3)
KEYS = st.text(
    st.characters(exclude_categories=["Cs"]) | st.sampled_from('a"\\/{}[]:,\u2028'), max_size=6
)
SCALARS = st.one_of(
    st.sampled_from(
        [
            "null",
            "true",
            "0",
            "-0.0",
            "1E400",
            "0.10",
            "12345678901234567890123456789",
            r'"\u00e9\n\/\""',
            r'"\ud83d\ude00"',
            '"}, \\"a\\": {"',
            '"\u2028é😀"',
        ]
    ),
    KEYS.map(json.dumps),
)


@st.composite
def spaced(draw: st.DrawFn, text: str) -> str:
    return f"{draw(SPACE)}{text}{draw(SPACE)}"


@st.composite
def key_texts(draw: st.DrawFn, key: str) -> str:
    """A key as JSON, any of its characters escaped."""
    if draw(st.booleans()):
        return json.dumps(key, ensure_ascii=draw(st.booleans()))
    units = key.encode("utf-16-be", "surrogatepass")
    escapes = [f"\\u{units[i] * 256 + units[i + 1]:04x}" for i in range(0, len(units), 2)]
    return '"' + "".join(escapes) + '"'


def objects(values: st.SearchStrategy[str], *, unique: bool) -> st.SearchStrategy[str]:
    @st.composite
    def made(draw: st.DrawFn) -> str:
        keys = draw(st.lists(KEYS, max_size=5, unique=unique))
        members = [
            draw(spaced(draw(key_texts(key)))) + ":" + draw(spaced(draw(values))) for key in keys
        ]
        return "{" + (",".join(members) or draw(SPACE)) + "}"

    return made()


@st.composite
def arrays(draw: st.DrawFn, values: st.SearchStrategy[str]) -> str:
    return "[" + ",".join(draw(st.lists(values, max_size=3))) + "]"


VALUES = st.recursive(
    SCALARS, lambda inner: arrays(inner) | objects(inner, unique=False), max_leaves=6
)


@given(st.data())
def test_a_body_without_twins_is_never_refused_however_it_is_written(data):
    body = data.draw(spaced(data.draw(objects(VALUES, unique=True)))).encode()
    fields = decode_fields(body)
    assert list(fields) == list(json.loads(body))


@given(st.data())
def test_a_body_with_twins_is_always_refused_however_it_is_written(data):
    keys = data.draw(st.lists(KEYS, min_size=1, max_size=5))
    keys.insert(data.draw(st.integers(0, len(keys))), data.draw(st.sampled_from(keys)))
    # Values of a few kinds: equal ones, and ones that begin with others.
    values = st.sampled_from(["1", "12", "1.0", '"a"', '"ab"', "[]", "[1]", "{}", '{"a":1}'])
    members = [
        data.draw(spaced(data.draw(key_texts(key)))) + ":" + data.draw(spaced(data.draw(values)))
        for key in keys
    ]
    with pytest.raises(InvalidRequest, match="occurs twice") as caught:
        decode_fields(("{" + ",".join(members) + "}").encode())
    assert not isinstance(caught.value, InvalidJson)
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ('{"a":1,"a":1}', "a"),
        ('{"a":1,"b":2,"a":1}', "a"),
        ('{"a":1,"b":2,"a":3}', "a"),
        ('{"a":1,"a":2,"b":3}', "a"),
        ('{"b":0,"a":12,"a":1}', "a"),
        ('{"a":1,"a":12}', "a"),
        (r'{"model":"dear","mod\u0065l":"cheap"}', "model"),
        (r'{"\u006dodel":"dear","model":"cheap"}', "model"),
        ('{"":1,"":2}', ""),
        ('{"a":{"a":1},"a":2}', "a"),
        (' \r\n{ "a" : 1 ,\t"a" : 1 } ', "a"),
    ],
)
def test_a_twin_is_refused_by_name(body, param):
    with pytest.raises(InvalidRequest) as caught:
        decode_fields(body.encode())
    assert caught.value.param == param


def test_a_long_name_is_cut_in_the_refusal():
    with pytest.raises(InvalidRequest) as caught:
        decode_fields(f'{{"{"x" * 10_000}":1,"{"x" * 10_000}":1}}'.encode())
    assert len(caught.value.public_message) < 200


def test_twins_further_down_are_the_business_of_whoever_reads_there():
    assert list(decode_fields(b'{"a":{"b":1,"b":2},"c":[{"d":1,"d":1}]}')) == ["a", "c"]


# --- what must survive -------------------------------------------------------------------------

STRANGE = [
    "123456789012345678901234567890",
    "-98765432109876543210.123456789012345678901234567890",
    "1E400",
    "0.1000",
    r'"\u00e9\n\/"',
    r'"\ud83d\ude00"',
    '"é \U0001f600 \u2028"',
    "[1, 2,  3]",
    '{"b": 1, "a": {"z" :null}}',
    '{"a": 1, "a": 2}',
    '""',
    "{}",
]


@pytest.mark.parametrize("value", STRANGE)
def test_every_value_goes_through_byte_for_byte(value):
    body = f'{{"model":"m","known":{value},"unheard_of":{value}}}'.encode()
    assert encode_fields(decode_fields(body)) == body


HALVES = [r'"\ud83d"', r'"\udc00"', r'["\ud83dx", {"\u0061":"\ude00\ud83d"}]']


@pytest.mark.parametrize("value", HALVES)
def test_half_characters_go_through_byte_for_byte(value):
    body = f'{{"model":"m","messages":{value},"unheard_of":{value}}}'.encode()
    assert encode_fields(decode_fields(body)) == body


@given(VALUES, VALUES)
def test_whatever_the_values_are_they_go_through_byte_for_byte(first, second):
    body = f'{{"a":{first},"b":{second}}}'.encode()
    assert encode_fields(decode_fields(body)) == body


@given(st.binary(max_size=40))
def test_every_body_is_fields_or_is_refused_on_purpose(body):
    for text in (body, b'{"a":' + body + b"}", b"{" + body + b":1}"):
        try:
            fields: dict[str, Any] = decode_fields(text)
        except InvalidRequest:
            continue
        assert list(fields) == list(json.loads(text))


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"null", b'{"a":1', b'{"a":1}{}', b'{"a":NaN}', b'{"\xff":1}']
)
def test_what_is_no_object_is_refused(body):
    with pytest.raises(InvalidJson):
        decode_fields(body)


@pytest.mark.parametrize(
    "text", ["[" * 50_000 + "]" * 50_000, '{"a":' * 50_000 + "1" + "}" * 50_000]
)
def test_deep_nesting_is_refused(text):
    with pytest.raises(InvalidJson):
        decode_fields(f'{{"a":{text}}}'.encode())


def test_a_large_body_of_many_fields_is_read_in_time_that_grows_with_its_size():
    body = ("{" + ",".join(f'"f{n}": [{n}]' for n in range(20_000)) + "}").encode()
    assert len(decode_fields(body)) == 20_000


def test_another_model_takes_the_place_of_an_answers_and_the_rest_stays():
    body = b'{"id":"x","model":"theirs","big":123456789012345678901,"s":"\\u00e9"}'
    shown = b'{"id":"x","model":"ours","big":123456789012345678901,"s":"\\u00e9"}'
    assert with_model(body, "ours") == shown
