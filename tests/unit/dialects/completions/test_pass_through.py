"""OpenAI's legacy completions as they pass: what is read, priced, sent on and looked at."""

from __future__ import annotations

import json
from typing import Any, get_type_hints

import pytest

from torana.core.usage import Usage
from torana.dialects.costs import CallCosts
from torana.dialects.openai_chat.rules import Rule
from torana.dialects.openai_completions import OPENAI_COMPLETIONS
from torana.dialects.openai_completions.costs import EXTENSIONS, FIELDS
from torana.dialects.sse import data_of
from torana.dialects.wire import WireRequest
from torana.errors import InvalidJson, InvalidRequest, UpstreamError, UpstreamGarbage

USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


def decode(**fields: Any) -> WireRequest:
    return OPENAI_COMPLETIONS.decode_request(
        json.dumps({"model": "m", "prompt": "hi", **fields}, separators=(",", ":")).encode()
    )


def costs(**fields: Any) -> CallCosts:
    return OPENAI_COMPLETIONS.read_costs(decode(**fields))


# --- requests ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prompt", "count"),
    [
        ("hi", 1),
        ("", 1),
        (None, 1),
        (["a"], 1),
        (["a", "b", "c"], 3),
        ([1, 2, 3], 1),
        ([[1, 2], [3]], 2),
    ],
)
def test_every_prompt_is_answered_by_itself(prompt, count):
    assert decode(prompt=prompt).choices == count
    assert decode(prompt=prompt, n=2).choices == 2 * count
    assert decode(prompt=prompt, n=2, best_of=5).choices == 5 * count


def test_a_request_without_a_prompt_goes_on_from_nothing():
    assert OPENAI_COMPLETIONS.decode_request(b'{"model":"m"}').choices == 1


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": 7}, "prompt"),
        ({"prompt": {}}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": ["a", 1]}, "prompt"),
        ({"prompt": [1, [2]]}, "prompt"),
        ({"prompt": [1.5]}, "prompt"),
        ({"prompt": ["a"] * 2049}, "prompt"),
        ({"n": 0}, "n"),
        ({"n": 129}, "n"),
        ({"best_of": 0}, "best_of"),
        ({"best_of": "2"}, "best_of"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_tokens": 10**12}, "max_tokens"),
        ({"stream": 1}, "stream"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"model": ""}, "model"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_bad_field_is_refused_by_name(fields, param):
    with pytest.raises(InvalidRequest) as caught:
        decode(**fields)
    assert (caught.value.status, caught.value.param) == (400, param)


def test_what_is_no_object_and_what_occurs_twice_is_refused():
    with pytest.raises(InvalidJson):
        OPENAI_COMPLETIONS.decode_request(b"[]")
    with pytest.raises(InvalidRequest, match="occurs twice") as caught:
        OPENAI_COMPLETIONS.decode_request(b'{"model":"m","prompt":"a","prompt":["a","b"]}')
    assert caught.value.param == "prompt"


def test_an_absent_limit_is_no_limit_of_ours():
    assert decode().max_output is None
    assert decode(max_tokens=9).max_output == 9


def test_the_body_for_a_provider_differs_in_the_model_the_limit_and_the_usage():
    body = rb'{"prompt":"\u00e9","model":"a/b","seed":123456789012345678901234,"odd":{"x" :1.0}}'
    request = OPENAI_COMPLETIONS.decode_request(body)
    sent = OPENAI_COMPLETIONS.encode_upstream(request, model="b")
    assert sent == body.replace(b'"a/b"', b'"b"')
    limited = OPENAI_COMPLETIONS.encode_upstream(
        request, model="b", max_output=5, max_output_field="max_completion_tokens"
    )
    assert json.loads(limited)["max_tokens"] == 5
    streamed = OPENAI_COMPLETIONS.encode_upstream(decode(stream=True), model="b")
    assert json.loads(streamed)["stream_options"] == {"include_usage": True}


def test_a_request_says_for_whom_it_is_made():
    assert OPENAI_COMPLETIONS.labels(decode(user="ann")).end_user == "ann"


# --- costs -------------------------------------------------------------------------------------


def test_every_field_that_the_sdk_can_send_is_in_the_table_and_no_other():
    from openai.types import completion_create_params as params

    sent = set(get_type_hints(params.CompletionCreateParamsBase))
    assert set(FIELDS) == sent | {"stream"}
    assert not set(EXTENSIONS) & set(FIELDS)


def test_the_prompt_and_the_suffix_are_counted_by_their_bytes():
    assert costs(prompt="abc", suffix="de", temperature=1, echo=True, stop="x") == CallCosts(
        text_bytes=len('"abc"') + len('"de"')
    )
    assert costs(prompt=[[1, 23], [4]], n=2).text_bytes == len("[[1,23],[4]]")


def test_choices_and_limits_come_along_and_a_limit_of_zero_is_none():
    found = costs(prompt=["a", "b"], n=2, best_of=3, max_tokens=7)
    assert (found.choices, found.max_output) == (6, 7)
    assert costs(max_tokens=0).max_output is None


def test_an_unknown_field_is_named_and_counted():
    found = costs(plugins=[1], odd=None)
    assert (found.unruled, found.text_bytes) == (("plugins",), len('"hi"') + len("[1]"))


@pytest.mark.parametrize(
    "name", [n for n, rule in {**FIELDS, **EXTENSIONS}.items() if rule is Rule.FREE]
)
def test_a_free_field_costs_nothing(name):
    request = decode()
    import msgspec

    fields = {**request.fields, name: msgspec.Raw(b'"xxxx"')}
    found = OPENAI_COMPLETIONS.read_costs(msgspec.structs.replace(request, fields=fields))
    assert found == CallCosts(text_bytes=len('"hi"'))


@pytest.mark.parametrize(
    ("prompt", "texts", "other"),
    [
        ("abc", ("abc",), 0),
        (["ab", "c"], ("ab", "c"), len("[,]")),
        ([1, 2], (), len("[1,2]")),
        ([[1], [2]], (), len("[[1],[2]]")),
    ],
)
def test_the_texts_of_the_prompt_are_counted_exactly_and_tokens_by_their_bytes(
    prompt, texts, other
):
    request = decode(prompt=prompt, suffix="yz")
    found = OPENAI_COMPLETIONS.prompt_texts(request, OPENAI_COMPLETIONS.read_costs(request))
    assert (found.texts, found.messages) == (texts, 0)
    assert found.other_bytes == other + len('"yz"')
    assert found.all_bytes == found.other_bytes + sum(len(text) + 2 for text in texts)


# --- answers -----------------------------------------------------------------------------------


def answer(**fields: Any) -> bytes:
    choice = {"index": 0, "text": "there", "logprobs": None, "finish_reason": "stop"}
    body = {"id": "c", "object": "text_completion", "model": "theirs", "choices": [choice]}
    return json.dumps({**body, **fields}).encode()


def test_an_answer_passes_with_its_usage():
    found = OPENAI_COMPLETIONS.decode_answer(answer(usage=USAGE))
    assert (found.body, found.usage) == (
        answer(usage=USAGE),
        Usage(input_tokens=3, output_tokens=2),
    )
    assert OPENAI_COMPLETIONS.decode_answer(answer()).usage is None
    renamed = OPENAI_COMPLETIONS.decode_answer(answer(), model="asked")
    assert json.loads(renamed.body)["model"] == "asked"


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"choices":1}', b"<html>"])
def test_what_is_no_completion_is_garbage(body):
    with pytest.raises(UpstreamGarbage):
        OPENAI_COMPLETIONS.decode_answer(body)


def test_an_error_under_a_success_status_is_an_error():
    with pytest.raises(UpstreamError):
        OPENAI_COMPLETIONS.decode_answer(b'{"error":{"message":"no"}}')


# --- streams -----------------------------------------------------------------------------------


def chunk(text: str = "a", finish: str | None = None, **more: Any) -> bytes:
    choice = {"index": 0, "text": text, "finish_reason": finish}
    return b"data: " + json.dumps({"choices": [choice], **more}).encode() + b"\n\n"


def test_frames_pass_as_they_are_and_the_usage_is_taken_out_when_nobody_asked():
    usage = b"data: " + json.dumps({"choices": [], "usage": USAGE}).encode() + b"\n\n"
    frames = [chunk("He"), chunk("y"), chunk("", "length"), usage, b"data: [DONE]\n\n"]
    fold = OPENAI_COMPLETIONS.fold(decode(stream=True), request_id="req_1", keeps_text=True)
    passed = b"".join(fold.pass_on(frame, data_of(frame)) for frame in frames)
    assert passed == b"".join(frames[:3])
    assert (fold.usage, fold.visible) == (Usage(input_tokens=3, output_tokens=2), "Hey")
    assert (fold.finished, fold.done, fold.end()) == (True, True, b"data: [DONE]\n\n")


def test_an_error_in_mid_stream_is_an_error():
    fold = OPENAI_COMPLETIONS.fold(decode(stream=True), request_id="req_1")
    with pytest.raises(UpstreamGarbage):
        fold.pass_on(b'data: {"error":"no"}\n\n', b'{"error":"no"}')
    assert not fold.finished


def test_a_text_that_can_not_be_read_is_visible_as_it_is():
    fold = OPENAI_COMPLETIONS.fold(decode(stream=True), request_id="req_1", keeps_text=True)
    fold.pass_on(b"", b'{"choices":[{"index":0,"text":7}]}')
    assert fold.visible == "7"
