import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.inference.fakes import PRINCIPAL
from torana.dialects.base import Dialect
from torana.dialects.openai_chat import OPENAI_CHAT
from torana.dialects.openai_completions import OPENAI_COMPLETIONS
from torana.dialects.openai_responses import OPENAI_RESPONSES
from torana.errors import InvalidRequest
from torana.inference.cache_key import cache_key, canonical, scope_of

BODY = b'{"model":"m","messages":[{"role":"user","content":"hi"}],"temperature":0.5}'


def key(body: bytes = BODY, dialect: Dialect = OPENAI_CHAT, **changes: Any) -> str:
    values: dict[str, Any] = {
        "secret": b"s",
        "route": dialect.route,
        "scope": "project:1",
        "revision": "r1",
        "forwarded": {},
        "strict": False,
        "region": None,
    }
    return cache_key(request=dialect.decode_request(body), **(values | changes))


def body(**fields: Any) -> bytes:
    return json.dumps({"model": "m", "messages": [], **fields}).encode()


@pytest.mark.parametrize(
    "same",
    [
        b' { "temperature" : 0.5, "messages":[{"content":"hi","role":"user"}] , "model":"m" }',
        b'{"model":"\\u006d","messages":[{"role":"user","content":"\\u0068i"}],"temperature":0.5}',
        BODY[:-1] + b',"stream":false}',
        BODY[:-1] + b',"store":false,"prompt_cache_key":"k","prompt_cache_retention":"24h"}',
    ],
)
def test_the_same_request_in_other_words_is_the_same(same: bytes):
    assert key(same) == key()


@pytest.mark.parametrize(
    "other",
    [
        BODY.replace(b"hi", b"Hi"),
        BODY.replace(b'"m"', b'"n"'),
        BODY.replace(b"0.5", b"0.6"),
        BODY.replace(b"0.5", b"0.50"),
        BODY.replace(b"0.5", b'"0.5"'),
        BODY.replace(b"0.5", b'{"number":"0.5"}'),
        BODY[:-1] + b',"stream":true}',
        BODY[:-1] + b',"user":"alice"}',
        BODY[:-1] + b',"safety_identifier":"alice"}',
        BODY[:-1] + b',"metadata":{"a":"b"}}',
        BODY[:-1] + b',"unknown":null}',
        BODY[:-1] + b',"seed":18446744073709551617}',
    ],
)
def test_another_request_is_another(other: bytes):
    assert key(other) != key()


def test_no_digit_of_a_number_is_lost():
    long = [b"18446744073709551617", b"18446744073709551618", b"0.1", b"0.10000000000000000001"]
    keys = {key(BODY[:-1] + b',"x":' + number + b"}") for number in long}
    assert len(keys) == len(long)


@pytest.mark.parametrize(
    "changes",
    [
        {"secret": b"other"},
        {"scope": "project:2"},
        {"scope": "organisation:1"},
        {"revision": "r2"},
        {"strict": True},
        {"region": "eu"},
        {"forwarded": {"anthropic-beta": "x"}},
        {"route": "openai.completions"},
    ],
)
def test_what_is_beside_the_body_counts_too(changes: dict[str, Any]):
    assert key(**changes) != key()


def test_headers_are_not_mistaken_for_one_another():
    assert key(forwarded={"a": "b"}) != key(forwarded={"b": "a"})
    assert key(forwarded={"a": "b", "c": "d"}) == key(forwarded={"c": "d", "a": "b"})
    assert key(scope="a", revision="bc") != key(scope="ab", revision="c")


def test_the_order_of_a_schema_counts_because_models_answer_in_it():
    def schema(*names: str) -> dict[str, Any]:
        return {"schema": {"properties": {name: {"type": "string"} for name in names}}}

    for field in ("response_format", "text", "output_config"):
        assert key(body(**{field: schema("a", "b")})) != key(body(**{field: schema("b", "a")}))
    tools = [
        [{"type": "function", "function": {"name": "f", "parameters": schema(*names)}}]
        for names in ("ab", "ba")
    ]
    assert key(body(tools=tools[0])) != key(body(tools=tools[1]))
    assert key(body(logit_bias={"1": 1, "2": 2})) == key(body(logit_bias={"2": 2, "1": 1}))


def test_a_responses_answer_repeats_what_chat_keeps_for_itself():
    plain = b'{"model":"m","input":"hi","store":false}'
    labelled = plain[:-1] + b',"prompt_cache_key":"k"}'
    assert key(plain, OPENAI_RESPONSES) != key(labelled, OPENAI_RESPONSES)


def test_one_body_on_two_routes_is_two_requests():
    both = b'{"model":"m","prompt":"hi","messages":[]}'
    assert key(both, OPENAI_CHAT) != key(both, OPENAI_COMPLETIONS)


def test_a_key_tells_nothing_of_the_request():
    assert len(key()) == 64
    assert set(key()) <= set("0123456789abcdef")


def test_a_field_that_is_there_twice_has_been_refused_before():
    with pytest.raises(InvalidRequest, match="twice"):
        key(b'{"model":"m","messages":[],"seed":1,"seed":2}')


@pytest.mark.parametrize(
    ("raw", "other"),
    [
        (b'{"a":1,"a":2}', b'{"a":2}'),
        (b'["\\ud800"]', b'["\\ufffd"]'),
        (b"[" * 9_000 + b"]" * 9_000, b"[" * 9_001 + b"]" * 9_001),
    ],
    ids=["a member twice", "half a character", "too deep"],
)
def test_what_has_no_canonical_form_stands_for_itself(raw: bytes, other: bytes):
    assert canonical(raw) == b"text " + raw
    assert canonical(raw) != canonical(other)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["a", "b", "number", "members", ""]), inner, max_size=4)
    ),
    max_leaves=12,
)


def shuffled(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: shuffled(value[name]) for name in reversed(value)}
    return [shuffled(item) for item in value] if isinstance(value, list) else value


@given(JSON)
def test_order_spaces_and_escapes_never_count(value: Any):
    usual = json.dumps(value, ensure_ascii=True).encode()
    spaced = json.dumps(shuffled(value), ensure_ascii=False, indent=2).encode()
    assert canonical(usual) == canonical(spaced)
    assert canonical(usual).startswith(b"value ")


@given(JSON, JSON)
def test_different_values_never_have_one_form(one: Any, other: Any):
    # `repr` tells 1 from 1.0 and from True, as JSON does.
    alike = repr(sorted_members(one)) == repr(sorted_members(other))
    forms = [canonical(msgspec.json.encode(value)) for value in (one, other)]
    assert (forms[0] == forms[1]) is alike


def sorted_members(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: sorted_members(value[name]) for name in sorted(value)}
    return [sorted_members(item) for item in value] if isinstance(value, list) else value


def test_scopes_have_names_of_their_own():
    names = [scope_of("instance", PRINCIPAL)]
    names += [scope_of("organisation", PRINCIPAL), scope_of("project", PRINCIPAL)]
    assert names == ["instance", "organisation:org_1", "project:proj_1"]
