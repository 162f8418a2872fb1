"""A translated stream that comes to no good end: it is settled once, and nothing is faked."""

from __future__ import annotations

import json

import pytest

from tests.unit.inference.fakes import BOUND, Scene, ScriptedAnswer
from tests.unit.inference.serving import (
    CHAT_BEGIN,
    CHAT_DONE,
    CHAT_HELLO,
    CHAT_STOP,
    CHAT_STREAM,
    CHAT_USAGE,
    CLAUDE_BEGIN,
    CLAUDE_END,
    CLAUDE_TEXT,
    COST,
    event,
    response,
)
from tests.unit.inference.translating import (
    ASKED,
    ENDS,
    UPSTREAMS,
    USAGE,
    Stream,
    error_code,
    fold_of,
    last_event,
    pairs,
)
from torana.core.usage import Counted, Usage
from torana.dialects.anthropic import ANTHROPIC
from torana.dialects.base import WireFold
from torana.dialects.openai_chat import OPENAI_CHAT
from torana.dialects.openai_completions import OPENAI_COMPLETIONS
from torana.dialects.openai_responses import OPENAI_RESPONSES
from torana.errors import Draining, LedgerUnavailable, UpstreamCut, UpstreamTimeout
from torana.inference.chat_stream import ChatStream
from torana.ledger.records import Status

# --- ends that are none ------------------------------------------------------------------------


@pytest.mark.parametrize(("upstream", "caller"), pairs())
@pytest.mark.parametrize("taken", [0, 1, 2])
@pytest.mark.parametrize(
    ("error", "code"),
    [(UpstreamCut("cut"), "upstream_cut"), (UpstreamTimeout("slow"), "upstream_timeout")],
)
def test_a_cut_is_an_error_in_the_callers_dialect_and_costs_the_bound(
    upstream, caller, taken, error, code
):
    stream = Stream(upstream, caller, *UPSTREAMS[upstream][:taken], error)
    body = b"".join(stream.frames)
    stream.frames.close()
    assert error_code(body) == code
    assert not any(end in body for end in ENDS)
    assert (stream.posts, stream.settlement.status) == (1, Status.ERROR)
    assert (stream.settlement.cost_nano, stream.settlement.counted) == (BOUND, Counted.BOUND)
    if caller is ANTHROPIC:
        assert last_event(body)["request_id"] == "req_1"


@pytest.mark.parametrize("upstream", [OPENAI_CHAT, ANTHROPIC])
@pytest.mark.parametrize("taken", [0, 1, 2])
def test_an_early_end_is_an_error_too(upstream, taken):
    caller = OPENAI_RESPONSES
    stream = Stream(upstream, caller, *UPSTREAMS[upstream][:taken])
    body = b"".join(stream.frames)
    assert error_code(body) == "upstream_cut"
    assert not any(end in body for end in ENDS)


def test_a_cut_answer_is_counted_by_what_was_seen_where_that_can_be():
    scene = Scene(estimate=lambda text: Usage(output_tokens=len(text)))
    steps = (CLAUDE_BEGIN, CLAUDE_TEXT, UpstreamCut("cut"))
    stream = Stream(ANTHROPIC, OPENAI_CHAT, *steps, scene=scene, keeps_text=True)
    list(stream.frames)
    assert stream.settlement.counted is Counted.TOKENIZER
    assert stream.settlement.cost_nano == len("Hello") * 3


@pytest.mark.parametrize("translated", [True, False])
def test_the_usage_of_a_beginning_is_not_the_usage_of_a_cut_answer(translated):
    # Anthropic tells the prompt's tokens at the start, and one token of output.
    scene = Scene()
    call = scene.open()
    answer = ScriptedAnswer(scene.exchange, CLAUDE_BEGIN, CLAUDE_TEXT, UpstreamCut("cut"))
    fold: WireFold = fold_of(ANTHROPIC, OPENAI_CHAT)
    if not translated:
        request = ANTHROPIC.decode_request(json.dumps({"model": "m", **ASKED[ANTHROPIC]}).encode())
        fold = ANTHROPIC.fold(request, request_id="req_1")
    list(ChatStream(call, answer, fold))
    assert fold.usage is None
    settlement = scene.teller.settlement
    assert (settlement.cost_nano, settlement.counted) == (BOUND, Counted.BOUND)


@pytest.mark.parametrize(
    ("upstream", "caller", "steps"),
    [
        (OPENAI_CHAT, ANTHROPIC, (CHAT_BEGIN, CHAT_HELLO, CHAT_STOP, CHAT_USAGE)),
        (ANTHROPIC, OPENAI_CHAT, (CLAUDE_BEGIN, CLAUDE_TEXT, CLAUDE_END)),
    ],
)
def test_a_cut_after_the_whole_usage_costs_the_usage(upstream, caller, steps):
    stream = Stream(upstream, caller, *steps, UpstreamCut("cut"))
    assert error_code(b"".join(stream.frames)) == "upstream_cut"
    assert (stream.settlement.cost_nano, stream.settlement.counted) == (COST, Counted.PROVIDER)


def failed_response() -> bytes:
    failed = response(status="failed", error={"code": "server_error", "message": "acct_42"})
    return event("response.failed", sequence_number=1, response=failed)


@pytest.mark.parametrize("gone", [False, True])
def test_a_stream_that_fails_with_a_usage_costs_the_usage(gone):
    scene = Scene()
    stream = Stream(OPENAI_RESPONSES, ANTHROPIC, failed_response(), scene=scene)
    if gone:
        scene.link.hang_up()
        stream.frames.close()
    else:
        body = b"".join(stream.frames)
        assert error_code(body) == "upstream_error"
        assert b"acct_42" not in body
    assert (stream.settlement.cost_nano, stream.settlement.counted) == (COST, Counted.PROVIDER)
    assert stream.settlement.status == (Status.CANCELLED if gone else Status.ERROR)


def test_an_error_event_of_the_provider_is_told_in_the_callers_dialect():
    broken = event("error", error={"type": "overloaded_error", "message": "acct_42"})
    stream = Stream(ANTHROPIC, OPENAI_CHAT, CLAUDE_BEGIN, CLAUDE_TEXT, broken)
    body = b"".join(stream.frames)
    assert set(last_event(body)["error"]) == {"message", "type", "param", "code"}
    assert b"acct_42" not in body
    assert stream.settlement.cost_nano == BOUND


@pytest.mark.parametrize("garbage", [b"data: {garbage\n\n", b"data: []\n\n", b"data: 7\n\n"])
@pytest.mark.parametrize(("upstream", "caller"), pairs())
def test_garbage_is_an_error_in_the_callers_dialect(upstream, caller, garbage):
    stream = Stream(upstream, caller, UPSTREAMS[upstream][0], garbage, *UPSTREAMS[upstream][1:])
    body = b"".join(stream.frames)
    assert error_code(body) == "upstream_garbage"
    assert not any(end in body for end in ENDS)
    assert (stream.posts, stream.settlement.cost_nano) == (1, BOUND)


# --- callers that hang up, and a process that stops --------------------------------------------


@pytest.mark.parametrize(("upstream", "caller"), pairs())
@pytest.mark.parametrize("taken", [0, 1])
def test_a_caller_that_hangs_up_pays_the_usage(upstream, caller, taken):
    stream = Stream(upstream, caller, *UPSTREAMS[upstream])
    for _ in range(taken):
        next(stream.frames)
    stream.frames.close()
    assert (stream.posts, stream.settlement.status) == (1, Status.CANCELLED)
    assert (stream.settlement.cost_nano, stream.settlement.usage) == (COST, USAGE)


def test_signs_of_life_do_not_end_the_reading_on_for_nobody():
    steps = (CHAT_BEGIN, b"", CHAT_HELLO, b"", CHAT_STOP, CHAT_USAGE, b"", CHAT_DONE)
    stream = Stream(OPENAI_CHAT, ANTHROPIC, *steps)
    next(stream.frames)
    stream.frames.close()
    assert stream.settlement.cost_nano == COST


def test_a_caller_that_only_closed_its_sending_side_is_told_no_finish():
    stream = Stream(OPENAI_CHAT, ANTHROPIC, *CHAT_STREAM)
    next(stream.frames)
    stream.scene.link.hang_up()
    body = b"".join(stream.frames)
    assert error_code(body) == "caller_gone"
    assert not any(end in body for end in ENDS)


@pytest.mark.parametrize("caller", [ANTHROPIC, OPENAI_RESPONSES, OPENAI_COMPLETIONS])
def test_a_stopping_process_says_so_in_the_callers_dialect(caller):
    stream = Stream(OPENAI_CHAT, caller, *CHAT_STREAM)
    next(stream.frames)
    stream.call.stop(Draining("The server is shutting down.", retry_after=1))
    assert error_code(b"".join(stream.frames)) == "server_shutdown"
    assert stream.settlement.cost_nano == BOUND


@pytest.mark.parametrize("caller", [ANTHROPIC, OPENAI_RESPONSES, OPENAI_COMPLETIONS])
def test_a_call_that_can_not_be_posted_has_no_good_end(caller):
    stream = Stream(OPENAI_CHAT, caller, *CHAT_STREAM)
    stream.scene.teller.post_error = LedgerUnavailable("The ledger is not available.")
    body = b"".join(stream.frames)
    assert error_code(body) == "ledger_unavailable"
    assert not any(end in body for end in ENDS[:3])
    assert stream.posts == 1
