"""The fold over a provider's stream: what passes, what is taken out, what it learns."""

from __future__ import annotations

import json
from typing import Any

import pytest

from torana.core.usage import Usage
from torana.dialects.openai_chat.streams import ChatFold
from torana.dialects.sse import FrameSplitter, data_of, encode
from torana.errors import UpstreamGarbage

USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
COUNTED = Usage(input_tokens=3, output_tokens=2)


def chunk(*choices: dict[str, Any], **more: Any) -> bytes:
    return json.dumps({"id": "c", "model": "provider-model", "choices": choices, **more}).encode()


def delta(text: str = "hi", finish: str | None = None, index: int = 0) -> dict[str, Any]:
    return {"index": index, "delta": {"content": text}, "finish_reason": finish}


def frame(data: bytes) -> bytes:
    return b"data: " + data + b"\n\n"


def fold_of(
    *frames: bytes, include_usage: bool = False, model: str | None = None
) -> tuple[ChatFold, bytes]:
    """Feed frames as a stream's reader does; the fold, and what the caller got."""
    fold = ChatFold(include_usage=include_usage, model=model)
    return fold, b"".join(fold.pass_on(one, data_of(one)) for one in frames)


def test_frames_pass_as_they_are():
    frames = [
        frame(chunk(delta())),
        b'data:{"choices":[], "future" : 1.0}\n\n',
        b"event: delta\r\nid: 7\r\ndata: " + chunk(delta()) + b"\r\n\r\n",
        b": ping\n\n",
        b"event: ping\n\n",
    ]
    _, out = fold_of(*frames)
    assert out == b"".join(frames)


def test_the_usage_chunk_is_taken_out_when_the_caller_did_not_ask():
    fold, out = fold_of(frame(chunk(delta())), frame(chunk(usage=USAGE)))
    assert out == frame(chunk(delta()))
    assert fold.usage == COUNTED


def test_the_usage_chunk_passes_when_the_caller_asked():
    frames = [frame(chunk(delta(), usage=None)), frame(chunk(usage=USAGE))]
    fold, out = fold_of(*frames, include_usage=True)
    assert out == b"".join(frames)
    assert fold.usage == COUNTED


def test_a_chunk_with_content_and_usage_always_passes():
    whole = frame(chunk(delta(finish="stop"), usage=USAGE))
    fold, out = fold_of(whole)
    assert out == whole
    assert fold.usage == COUNTED


def test_the_last_usage_counts():
    fold, _ = fold_of(
        frame(chunk(delta(), usage={"prompt_tokens": 3, "completion_tokens": 1})),
        frame(chunk(usage=USAGE)),
    )
    assert fold.usage == COUNTED


def test_a_usage_of_zeros_is_a_usage():
    fold, _ = fold_of(frame(chunk(usage={"prompt_tokens": 0, "completion_tokens": 0})))
    assert fold.usage == Usage()


def test_a_usage_that_is_null_is_none():
    fold, _ = fold_of(frame(chunk(delta(), usage=None)))
    assert fold.usage is None


@pytest.mark.parametrize("reason", ["stop", "length", "tool_calls", "content_filter", "future"])
def test_a_finish_reason_finishes_and_done_is_still_to_come(reason):
    fold, out = fold_of(frame(chunk(delta("", finish=reason))))
    assert (fold.finished, fold.done) == (True, False)
    assert out == frame(chunk(delta("", finish=reason)))


def test_a_stream_without_a_finish_reason_is_not_finished():
    fold, _ = fold_of(frame(chunk(delta())), frame(chunk(usage=USAGE)), b": ping\n\n")
    assert (fold.finished, fold.done) == (False, False)


@pytest.mark.parametrize("end", [b"data: [DONE]\n\n", b"data:[DONE]\n\n", b"data: [DONE]\r\n\r\n"])
def test_done_ends_the_stream_and_is_held_back(end):
    fold, out = fold_of(end)
    assert (fold.finished, fold.done, out) == (True, True, b"")


def test_of_several_choices_all_must_finish():
    fold, _ = fold_of(
        frame(chunk(delta(index=0))),
        frame(chunk(delta(index=1))),
        frame(chunk(delta("", finish="stop", index=0))),
    )
    assert not fold.finished
    fold.pass_on(frame(chunk()), chunk(delta("", finish="length", index=1)))
    assert fold.finished


def test_a_finish_reason_counts_wherever_it_stands_in_a_chunk():
    fold, _ = fold_of(
        frame(chunk(delta("", finish="stop", index=0), delta(index=1))),
        frame(chunk(delta("", finish=None, index=0), delta("", finish="stop", index=1))),
    )
    assert fold.finished


@pytest.mark.parametrize(
    "data",
    [
        b"{garbage",
        b"[]",
        b"null",
        b"1",
        b"DONE",
        b'{"choices": 1}',
        b'{"choices": [], "usage": {"prompt_tokens": -5}}',
        b'{"choices": [{"finish_reason": "\xff"}]}',
        b"\xff",
        b"[" * 100_000,
    ],
    ids=lambda data: repr(data[:40]),
)
@pytest.mark.parametrize("model", [None, "asked"])
def test_garbage_in_a_stream_is_an_error(data, model):
    with pytest.raises(UpstreamGarbage):
        fold_of(frame(chunk(delta())), frame(data), model=model)


@pytest.mark.parametrize("error", [{"message": "overloaded", "code": 529}, "words", {}])
def test_an_error_in_a_stream_is_an_error_and_its_words_stay_here(error):
    with pytest.raises(UpstreamGarbage, match="reported an error") as caught:
        fold_of(frame(json.dumps({"error": error}).encode()))
    assert "overloaded" not in str(caught.value)


def test_an_error_that_is_null_is_none():
    whole = frame(chunk(delta(), error=None))
    assert fold_of(whole)[1] == whole


@pytest.mark.parametrize("empty", [b"data:\n\n", b"data: \n\n"])
def test_a_frame_with_empty_data_is_no_event(empty):
    # HTML standard, "dispatch the event": an empty data buffer dispatches nothing.
    fold, out = fold_of(frame(chunk(delta())), empty, frame(chunk(delta("", finish="stop"))))
    assert out.startswith(frame(chunk(delta())))
    assert fold.finished


def test_the_asked_model_takes_the_place_of_the_providers_in_every_chunk():
    text = b'{"model":"/srv/x.gguf","big":123456789012345678901,"choices":[],"s":"\\u00e9"}'
    fold, out = fold_of(frame(text), b": ping\n\n", b"data: [DONE]\n\n", model='as"ked')
    shown = b'{"model":"as\\"ked","big":123456789012345678901,"choices":[],"s":"\\u00e9"}'
    assert out == frame(shown) + b": ping\n\n"
    assert fold.done


def test_a_chunk_over_several_lines_is_still_one_event_with_the_asked_model():
    lines = b'data: {"choices":[\ndata:  ],\ndata: "x":{\ndata: "y":1}}\n\n'
    _, out = fold_of(lines, model="asked")
    (whole,) = FrameSplitter().feed(out)
    assert json.loads(data_of(whole) or b"") == {"choices": [], "x": {"y": 1}, "model": "asked"}


def test_the_usage_chunk_is_taken_out_with_a_rewritten_model_too():
    assert fold_of(frame(chunk(usage=USAGE)), model="asked")[1] == b""


HALF = rb'{"model":"theirs","choices":[{"index":0,"delta":{"content":"a\ud83d"}}]}'


def test_half_a_character_passes_as_it_is_and_is_replaced_only_where_the_model_is():
    fold, out = fold_of(frame(HALF), frame(chunk(delta("", finish="stop"))))
    assert out.startswith(frame(HALF))
    assert fold.finished
    assert fold_of(frame(HALF), model="ours")[1] == frame(
        rb'{"model":"ours","choices":[{"index":0,"delta":{"content":"a\ufffd"}}]}'
    )


def test_a_usage_that_is_told_with_every_chunk_counts_at_the_end_only():
    fold = ChatFold(include_usage=True)
    usage = {"prompt_tokens": 5, "completion_tokens": 1}
    begun = {"choices": [{"index": 0, "delta": {"content": "a"}}], "usage": usage}
    ended = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": usage}
    for value, told in ((begun, None), (ended, Usage(input_tokens=5, output_tokens=1))):
        data = json.dumps(value).encode()
        fold.pass_on(encode(data), data)
        assert fold.usage == told
