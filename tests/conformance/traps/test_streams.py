"""Traps in how answers come: roles, usage, errors in disguise, cut characters, missing ends."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.conformance import scenarios
from tests.conformance.callers.base import Caller
from tests.conformance.pairs import UPSTREAMS, Upstream, reading
from tests.conformance.said import Said, Tokens
from tests.conformance.traps.asking import MODES, Scene, ask
from tests.conformance.upstreams import chat, messages, responses
from tests.conformance.upstreams.golden import Golden, Json, frame
from tests.contract.fake_upstream import FakeUpstream, Turn
from tests.support.server import RunningServer

HELLO = Said(text="Hello, wörld 👋")
STREAMS = MODES[1:]
WHOLE = MODES[:2]
"""The modes whose message is a whole one."""


def _golden(target: Upstream, said: Said) -> Golden:
    made: Golden = target.module.golden(said)
    return made


@pytest.mark.parametrize("mode", STREAMS)
@pytest.mark.parametrize("name", ["responses", "messages"])
def test_a_first_chunk_without_a_role_is_taken_for_the_assistants(
    callers: dict[str, Caller], upstream: FakeUpstream, name: str, mode: str
):
    """A chat caller gets the chunk as it is, and its SDK does without."""
    caller = callers[name]

    def nameless(request: Json) -> bytes:
        added = [{"content": "Hello, "}, {"content": HELLO.text[7:]}]
        return chat.stream(HELLO, request, added) + b"data: [DONE]\n\n"

    scene = Scene(caller, upstream, "chat", replace(chat.golden(HELLO), stream=nameless))
    if mode == "raw":
        got = ask(caller, mode, scene.question())
        assert got.events == caller.sequence(HELLO)
    else:
        assert caller.read(ask(caller, mode, scene.question()).message) == HELLO


def _message_with(usage: Json, told: Json) -> Golden:
    def stream(_request: Json) -> bytes:
        events = messages.events(HELLO)
        events[0]["message"]["usage"] = usage
        events[-2]["usage"] = told
        return messages.frames(events)

    return replace(messages.golden(HELLO), stream=stream)


@pytest.mark.parametrize("mode", STREAMS)
def test_zeros_in_message_start_are_not_the_usage(
    caller: Caller, upstream: FakeUpstream, torana: RunningServer, mode: str
):
    zeros = {"input_tokens": 0, "output_tokens": 0}
    told = {
        "input_tokens": 60,
        "cache_creation_input_tokens": 8,
        "cache_read_input_tokens": 32,
        "output_tokens": 20,
    }
    scene = Scene(caller, upstream, "messages", _message_with(zeros, told))
    got = ask(caller, mode, scene.question())
    if mode == "helper":
        assert caller.read(got.message).tokens == Tokens()
    (entry,) = torana.entries_of(scene.model)
    assert _billed(entry) == (60, 32, 8, 20)


@pytest.mark.parametrize("mode", STREAMS)
def test_input_tokens_that_only_message_start_told_are_kept(
    caller: Caller, upstream: FakeUpstream, torana: RunningServer, mode: str
):
    begun = {
        "input_tokens": 60,
        "cache_creation_input_tokens": 8,
        "cache_read_input_tokens": 32,
        "output_tokens": 1,
    }
    scene = Scene(caller, upstream, "messages", _message_with(begun, {"output_tokens": 20}))
    got = ask(caller, mode, scene.question())
    if mode == "helper":
        assert caller.read(got.message).tokens == Tokens()
    (entry,) = torana.entries_of(scene.model)
    assert _billed(entry) == (60, 32, 8, 20)


def _billed(entry: dict[str, Any]) -> tuple[int, ...]:
    names = ("input_tokens", "cached_tokens", "cache_write_tokens", "output_tokens")
    return tuple(entry[name] for name in names)


NUMBERED = {"message": "no", "type": "invalid_request_error", "param": None, "code": 1234}


@pytest.mark.parametrize("mode", ["create", "raw"])
@pytest.mark.parametrize("name", ["chat", "responses"])
def test_a_number_as_an_error_code_reaches_the_caller_as_a_text(
    callers: dict[str, Caller], upstream: FakeUpstream, name: str, mode: str
):
    def refuse(turn: Turn) -> None:
        turn.reply({"error": NUMBERED}, 400)

    caller = callers[name]
    scene = Scene(caller, upstream, name, refuse)
    with pytest.raises(caller.failures) as raised:
        ask(caller, mode, scene.question())
    error: Any = raised.value
    assert error.status_code == 400
    assert error.code is None or isinstance(error.code, str)
    assert error.body["param"] is None
    assert isinstance(error.body["message"], str)


@pytest.mark.parametrize("mode", STREAMS)
def test_a_number_as_an_error_code_in_mid_stream_is_an_error_all_the_same(
    caller: Caller, upstream: FakeUpstream, torana: RunningServer, mode: str
):
    def stream(request: Json) -> bytes:
        begun = chat.stream(scenarios.BROKEN.said[0], request)
        return begun + frame({"error": {**NUMBERED, "code": 500}})

    scene = Scene(caller, upstream, "chat", replace(chat.BROKEN, stream=stream))
    with pytest.raises(caller.failures):
        ask(caller, mode, scene.question())
    (entry,) = torana.entries_of(scene.model)
    assert entry["status"] == "error"


_ERRORS: dict[str, Json] = {
    "chat": {"error": chat.ERROR},
    "responses": {"error": chat.ERROR},
    "messages": messages.ERROR,
}


@pytest.mark.parametrize("mode", MODES)
def test_a_success_status_with_an_error_in_its_body_is_an_error(
    caller: Caller, target: Upstream, upstream: FakeUpstream, torana: RunningServer, mode: str
):
    def deceive(turn: Turn) -> None:
        turn.reply(_ERRORS[target.name], 200)

    scene = Scene(caller, upstream, target.name, deceive)
    with pytest.raises(caller.failures):
        ask(caller, mode, scene.question())
    (entry,) = torana.entries_of(scene.model)
    assert entry["status"] == "error"


@pytest.mark.parametrize("mode", STREAMS)
def test_characters_cut_at_every_byte_arrive_whole(
    caller: Caller, target: Upstream, upstream: FakeUpstream, mode: str
):
    golden = _golden(target, HELLO)

    def byte_by_byte(turn: Turn) -> None:
        turn.begin_stream()
        for byte in golden.stream(turn.request.json()):
            turn.write(b"1\r\n%c\r\n" % byte)
        turn.write(b"0\r\n\r\n")

    scene = Scene(caller, upstream, target.name, byte_by_byte)
    got = ask(caller, mode, scene.question())
    if mode == "raw":
        assert got.message == HELLO.text
    else:
        assert caller.read(got.message) == HELLO


@pytest.mark.parametrize("whole", [True, False], ids=["closed-politely", "cut"])
@pytest.mark.parametrize("mode", STREAMS)
def test_no_end_is_made_up_when_the_provider_leaves_without_one(
    caller: Caller,
    target: Upstream,
    upstream: FakeUpstream,
    torana: RunningServer,
    mode: str,
    whole: bool,
):
    broken: Golden = target.module.BROKEN

    def stream(request: Json) -> bytes:
        data = broken.stream(request)
        return data[: data.rstrip(b"\n").rindex(b"\n\n") + 2]  # All but the error.

    scene = Scene(caller, upstream, target.name, replace(broken, stream=stream, whole=whole))
    with pytest.raises(caller.failures):
        ask(caller, mode, scene.question())
    (entry,) = torana.entries_of(scene.model)
    assert entry["status"] == "error"


@pytest.mark.parametrize("mode", STREAMS)
@pytest.mark.parametrize("name", ["chat", "messages"])
def test_an_end_without_the_last_frame_is_an_end(
    caller: Caller, upstream: FakeUpstream, name: str, mode: str
):
    """The finish reason and the usage were told; only `[DONE]` or `message_stop` is missing.

    The last frame of Responses holds the whole answer: without it there is no end.
    """
    target = UPSTREAMS[name]
    golden = _golden(target, HELLO)

    def stream(request: Json) -> bytes:
        data = golden.stream(request)
        return data[: data.rstrip(b"\n").rindex(b"\n\n") + 2]

    scene = Scene(caller, upstream, target.name, replace(golden, stream=stream))
    got = ask(caller, mode, scene.question())
    if mode == "helper":
        assert caller.read(got.message) == HELLO


@pytest.mark.parametrize("mode", STREAMS)
@pytest.mark.parametrize("name", ["chat", "messages"])
def test_a_failed_response_in_mid_stream_is_an_error(
    callers: dict[str, Caller],
    upstream: FakeUpstream,
    torana: RunningServer,
    name: str,
    mode: str,
):
    """A Responses caller gets the event itself."""
    caller = callers[name]

    def stream(request: Json) -> bytes:
        said = scenarios.BROKEN.said[0]
        error = {"code": "server_error", "message": "It broke."}
        failed = {**responses.response(said, request), "status": "failed", "error": error}
        event = {"type": "response.failed", "response": failed, "sequence_number": 99}
        return responses.stream(said, request) + frame(event, event="response.failed")

    scene = Scene(caller, upstream, "responses", replace(responses.BROKEN, stream=stream))
    with pytest.raises(caller.failures):
        ask(caller, mode, scene.question())
    (entry,) = torana.entries_of(scene.model)
    assert entry["status"] == "error"


@pytest.mark.parametrize("mode", WHOLE)
def test_what_a_model_that_refuses_says_is_never_an_empty_success(
    caller: Caller, upstream: FakeUpstream, mode: str
):
    """Anthropic's classifiers end an answer with `refusal` and may leave it without a word."""
    said = Said(end="refusal")
    golden = replace(
        messages.golden(said),
        answer=lambda _request: messages.answer(said, []),
        stream=lambda _request: messages.stream(said, []),
    )
    scene = Scene(caller, upstream, "messages", golden)
    got = ask(caller, mode, scene.question())
    assert caller.read(got.message).end == "refusal"
    assert reading(caller.name, "messages", said).text == ""
    assert set(UPSTREAMS) == {"chat", "responses", "messages"}
