"""A stream that is translated on its way, in silence and at a good end."""

from __future__ import annotations

import json

import pytest

from tests.unit.inference.fakes import context
from tests.unit.inference.serving import (
    CHAT_BEGIN,
    CHAT_DONE,
    CHAT_HELLO,
    CHAT_STOP,
    CHAT_STREAM,
    CLAUDE_BEGIN,
    CLAUDE_END,
    CLAUDE_STOP,
    CLAUDE_STREAM,
    CLAUDE_TEXT,
    COST,
    Gateway,
    data,
    event,
    streamed,
)
from tests.unit.inference.translating import (
    CALLERS,
    ENDS,
    UPSTREAMS,
    USAGE,
    Stream,
    fold_of,
    last_event,
    pairs,
)
from torana.core.usage import Counted
from torana.dialects.anthropic import ANTHROPIC
from torana.dialects.openai_chat import OPENAI_CHAT
from torana.dialects.openai_completions import OPENAI_COMPLETIONS
from torana.dialects.openai_responses import OPENAI_RESPONSES
from torana.inference.idempotency import StoredAnswer
from torana.inference.keeping import Keeping
from torana.ledger.records import KeptResponse, Status

# --- good ends ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("upstream", "caller"), pairs())
def test_the_call_is_posted_before_the_last_frames_leave(upstream, caller):
    stream = Stream(upstream, caller, *UPSTREAMS[upstream])
    passed: list[bytes] = []
    posted_before: list[int] = []
    for piece in stream.frames:
        passed.append(piece)
        posted_before.append(stream.posts)
    stream.frames.close()
    assert not any(end in b"".join(passed[:-1]) for end in ENDS[:3])
    assert any(end in passed[-1] for end in ENDS[:3])
    assert posted_before == [0] * (len(passed) - 1) + [1]
    assert b"Hello" in b"".join(passed[:-1])
    assert (stream.settlement.status, stream.settlement.cost_nano) == (Status.OK, COST)
    assert stream.settlement.usage == USAGE
    assert (stream.posts, stream.answer.closed) == (1, 1)


@pytest.mark.parametrize(("upstream", "caller"), pairs())
def test_frames_may_be_cut_anywhere(upstream, caller):
    whole = b"".join(UPSTREAMS[upstream])
    expected = b"".join(Stream(upstream, caller, whole).frames)
    stream = Stream(upstream, caller, *(whole[at : at + 1] for at in range(len(whole))))
    assert b"".join(stream.frames) == expected
    assert stream.settlement.cost_nano == COST


def test_an_end_without_done_after_a_finish_is_an_end():
    stream = Stream(OPENAI_CHAT, ANTHROPIC, CHAT_BEGIN, CHAT_HELLO, CHAT_STOP)
    body = b"".join(stream.frames)
    assert last_event(body)["type"] == "message_stop"
    assert (stream.settlement.status, stream.settlement.counted) == (Status.OK, Counted.BOUND)


def test_losses_that_a_stream_turns_out_to_have_are_on_its_try():
    search = event(
        "content_block_start",
        index=0,
        content_block={"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
    ) + event("content_block_stop", index=0)
    tail = (CLAUDE_TEXT + CLAUDE_END).replace(b'"index": 0', b'"index": 1')
    stream = Stream(ANTHROPIC, OPENAI_CHAT, CLAUDE_BEGIN, search, tail, CLAUDE_STOP)
    assert b"Hello" in b"".join(stream.frames)
    (loss,) = stream.settlement.attempts[-1]["dropped"]
    assert "server_tool_use" in loss


def test_what_a_caller_comes_back_to_is_posted_with_the_call():
    kept: list[bytes] = []

    def keep(content: bytes) -> KeptResponse:
        kept.append(content)
        return KeptResponse(id="resp_1", kept_by="torana", content=b"sealed", life=60)

    stream = Stream(ANTHROPIC, OPENAI_RESPONSES, *CLAUDE_STREAM, keeping=Keeping(response=keep))
    body = b"".join(stream.frames)
    assert stream.settlement.response.id == "resp_1"
    (content,) = kept
    assert json.loads(content) == last_event(body)["response"]


@pytest.mark.parametrize("caller", [ANTHROPIC, OPENAI_COMPLETIONS])
def test_other_dialects_have_nothing_to_come_back_to(caller):
    kept: list[bytes] = []
    keeping = Keeping(response=kept.append)
    stream = Stream(OPENAI_CHAT, caller, *CHAT_STREAM, keeping=keeping)
    list(stream.frames)
    assert kept == []
    assert stream.settlement.response is None


def test_all_frames_are_sealed_for_an_idempotency_key():
    sealed: list[bytes] = []

    def seal(answer: StoredAnswer) -> bytes:
        assert answer.streamed
        sealed.append(answer.body)
        return b"sealed"

    silence = b""
    frames = (CHAT_BEGIN, silence, *CHAT_STREAM[1:])
    stream = Stream(OPENAI_CHAT, ANTHROPIC, *frames, keeping=Keeping(seal=seal))
    passed = list(stream.frames)
    ping = passed.pop(1)
    assert sealed == [b"".join(passed)]  # A sign of life means nothing later.
    assert b"ping" in ping
    assert stream.settlement.answer == b"sealed"


# --- silence -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("upstream", "caller"), pairs())
def test_in_a_long_silence_the_caller_gets_signs_of_life(upstream, caller):
    first, *rest = UPSTREAMS[upstream]
    quiet = b"".join(Stream(upstream, caller, first, *rest).frames)
    stream = Stream(upstream, caller, b"", first, b"", b"", *rest)
    passed = list(stream.frames)
    pings = [piece for piece in passed if piece == stream.fold.ping()]
    assert len(pings) == 3
    assert passed[0] == pings[0]
    assert b"".join(piece for piece in passed if piece not in pings) == quiet
    assert stream.settlement.cost_nano == COST


@pytest.mark.parametrize("caller", CALLERS)
def test_a_sign_of_life_is_never_nothing(caller):
    # Nothing would be taken for the end.
    assert fold_of(OPENAI_CHAT, caller).ping()


def test_a_provider_that_says_what_the_caller_is_not_told_is_silence_too():
    unsaid = event("brand_new", content="x")
    steps = [CLAUDE_BEGIN, unsaid, unsaid, *CLAUDE_STREAM[1:]]
    patient = Stream(ANTHROPIC, OPENAI_CHAT, *steps)
    pings = [piece for piece in patient.frames if piece == patient.fold.ping()]
    assert pings == []
    hasty = Stream(ANTHROPIC, OPENAI_CHAT, *steps, ping_seconds=0.0)
    passed = list(hasty.frames)
    assert passed.count(hasty.fold.ping()) >= 2
    assert hasty.settlement.cost_nano == COST


def test_a_comment_of_the_provider_is_a_sign_of_life_of_the_callers_dialect():
    stream = Stream(OPENAI_CHAT, ANTHROPIC, b": waiting\n\n", *CHAT_STREAM)
    assert next(stream.frames) == stream.fold.ping()
    assert b"waiting" not in b"".join(stream.frames)
    stream.frames.close()


# --- through the service -----------------------------------------------------------------------


def test_a_translated_stream_is_told_its_losses_and_its_schema_before_the_first_byte():
    gateway = Gateway()
    gateway.claude.tries.append(list(CLAUDE_STREAM))
    schema = {"name": "x", "schema": {"type": "object"}}
    form = {"type": "json_schema", "json_schema": schema}
    model = "claude/claude-3-opus-latest"
    answer = gateway.chat(model, stream=True, seed=7, response_format=form)
    assert answer.headers == {
        "x-torana-cache": "bypass",
        "x-torana-provider": "claude",
        "x-torana-model": "claude-3-opus-latest",
        "x-torana-dropped": "seed",
        "x-torana-structured-output": "instructed",
    }
    assert streamed(answer).endswith(CHAT_DONE)
    assert gateway.teller.settlement.cost_nano == COST
    assert gateway.claude.body()["stream"] is True


def test_a_translated_stream_asks_its_provider_for_the_usage():
    gateway = Gateway()
    gateway.local.tries.append(list(CHAT_STREAM))
    body = streamed(gateway.messages("local/m", stream=True, call=context()))
    assert b'"output_tokens":5' in body
    assert gateway.local.body()["stream_options"] == {"include_usage": True}


def test_a_frame_that_is_no_event_after_the_end_is_not_passed_on():
    stream = Stream(OPENAI_CHAT, ANTHROPIC, b"".join(CHAT_STREAM) + data({"choices": 7}))
    assert last_event(b"".join(stream.frames))["type"] == "message_stop"
    assert stream.settlement.status == Status.OK
