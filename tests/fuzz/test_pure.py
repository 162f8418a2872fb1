"""The dialects' pure functions with mutated bytes: only their own errors may come out of them.

What callers send may raise a `ToranaError` that is a 4xx, what providers send an `UpstreamError`.
What is read must be fit to be written, counted and priced.
"""

from __future__ import annotations

import json
import random
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.answers import ENDS_WITH_DONE, STREAMS, WHOLE, frame
from tests.fuzz.dialects import CHAT_DIALECTS, DIALECTS
from tests.fuzz.length import choose
from tests.fuzz.mutations import bodies, broken, mutated, written
from tests.fuzz.seeds import SEEDS
from torana.core.usage import CLASSES, Usage
from torana.dialects import anthropic_errors, openai_errors
from torana.dialects.base import Dialect, ReplyFrame, Traits, WireAnswer, WireFold
from torana.dialects.costs import CallCosts
from torana.dialects.sse import FrameSplitter, FrameTooLargeError, data_of
from torana.dialects.translated import TranslatedFold
from torana.dialects.wire import WireRequest, encode_fields
from torana.errors import InternalError, ToranaError, UpstreamError

TRAITS = (
    Traits(),
    Traits(
        max_output=4096, structured_output=False, adaptive_thinking=False, system_messages=False
    ),
    Traits(max_output=1, system_messages=True),
)
MOST_TOKENS = 10**13
"""More than any answer of these tests has; what the ledger's columns can hold."""
fuzzed = settings(
    max_examples=choose(30, 4_500),
    deadline=None,
    derandomize=choose(short=True, long=False),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


def check_error(error: ToranaError, status: int | None = None) -> None:
    """An error can be told to the caller in either shape.

    Args:
        error: what came out.
        status: what it must be; any will do for what a provider did.
    """
    assert status in {None, error.status}
    assert error.param is None or isinstance(error.param, str)
    for shape in (
        openai_errors.encode_error(error),
        anthropic_errors.encode_error(error, "req_1"),
    ):
        assert json.loads(encode_fields(shape)) is not None
        assert json.dumps(shape)


def check_costs(dialect: Dialect, request: WireRequest) -> CallCosts | None:
    """What a request may cost can be told, or it is refused."""
    try:
        costs = dialect.read_costs(request)
    except ToranaError as error:
        check_error(error, 400)
        return None
    assert costs.text_bytes >= 0
    assert costs.choices >= 1
    assert all(isinstance(name, str) for name in costs.unruled)
    "".join(costs.unruled).encode()  # They are told to the caller.
    texts = dialect.prompt_texts(request, costs)
    assert texts.all_bytes == costs.text_bytes
    assert 0 <= texts.other_bytes <= texts.all_bytes
    assert texts.messages >= 0
    return costs


def check_usage(usage: Usage | None) -> None:
    """The ledger can hold a usage."""
    for name in CLASSES if usage is not None else ():
        count = getattr(usage, name)
        assert isinstance(count, int)
        assert 0 <= count <= MOST_TOKENS, (name, count)


def check_answer(answer: WireAnswer) -> None:
    """A whole answer is JSON, and what is told of it can be stored."""
    json.loads(answer.body)
    check_usage(answer.usage)
    assert all(isinstance(name, str) for name in answer.lost)


def request_of(route: str, **more: Any) -> WireRequest:
    """A plain valid request."""
    return DIALECTS[route].decode_request(written({**SEEDS[route][0], **more}))


def reply_frame(route: str, **more: Any) -> ReplyFrame:
    """What a caller's answer says beside the provider's words."""
    return ReplyFrame(
        request=request_of(route, **more), request_id="req_00000001", created=1_700_000_000
    )


# --- callers -----------------------------------------------------------------------------------


@pytest.mark.parametrize("route", DIALECTS)
@fuzzed
@given(data=st.data())
def test_a_request_is_read_or_refused(route: str, data: st.DataObject):
    body = data.draw(bodies(SEEDS[route]))
    dialect = DIALECTS[route]
    try:
        request = dialect.decode_request(body)
    except ToranaError as error:
        check_error(error, 400)
        return
    labels = dialect.labels(request)
    # They become columns of the ledger.
    json.dumps(labels.tags).encode()
    (labels.end_user or "").encode()
    costs = check_costs(dialect, request)
    if costs is None:
        return
    sent = json.loads(dialect.encode_upstream(request, model="other", max_output=7))
    assert sent["model"] == "other"


@pytest.mark.parametrize("route", CHAT_DIALECTS)
@fuzzed
@given(data=st.data())
def test_a_call_is_translated_or_refused(route: str, data: st.DataObject):
    body = data.draw(bodies(SEEDS[route]))
    dialect = CHAT_DIALECTS[route]
    try:
        call = dialect.read_call(dialect.decode_request(body))
    except ToranaError as error:
        check_error(error, 400)
        return
    assert all(isinstance(name, str) for name in call.unsaid)
    for other in CHAT_DIALECTS.values():
        for traits in TRAITS:
            try:
                made = other.write_call(call, traits)
            except ToranaError as error:
                check_error(error, 400)
                continue
            "".join(made.lost).encode("latin-1")  # They are told in a header.
            sent = other.encode_upstream(made.request, model="other", max_output=7)
            assert json.loads(sent)["model"] == "other"
            # What was written is a request of the other dialect, and its costs can be told.
            check_costs(other, other.decode_request(sent))
            check_costs(other, made.request)


@pytest.mark.parametrize("route", DIALECTS)
@fuzzed
@given(body=st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode()))
def test_bytes_that_are_no_request_are_refused(route: str, body: bytes):
    with pytest.raises(ToranaError) as refused:
        DIALECTS[route].decode_request(body)
    assert refused.value.status == 400


# --- providers ---------------------------------------------------------------------------------


@pytest.mark.parametrize("route", DIALECTS)
@fuzzed
@given(data=st.data())
def test_an_answer_is_passed_on_or_is_garbage(route: str, data: st.DataObject):
    body = data.draw(bodies([WHOLE[route]]))
    dialect = DIALECTS[route]
    for model in (None, "shown"):
        try:
            answer = dialect.decode_answer(body, model=model)
            answer = dialect.fit(request_of(route), answer)
        except UpstreamError as error:
            check_error(error)
            continue
        check_answer(answer)
        if model is not None and "model" in json.loads(body):
            assert json.loads(answer.body)["model"] == model


@pytest.mark.parametrize("route", CHAT_DIALECTS)
@fuzzed
@given(data=st.data())
def test_an_answer_is_translated_or_is_garbage(route: str, data: st.DataObject):
    if route not in WHOLE:
        return
    body = data.draw(bodies([WHOLE[route]]))
    try:
        reply = CHAT_DIALECTS[route].read_reply(body)
    except UpstreamError as error:
        check_error(error)
        return
    for caller, other in CHAT_DIALECTS.items():
        check_answer(other.write_reply(reply, reply_frame(caller)))


@st.composite
def streams(draw: st.DrawFn, route: str) -> list[bytes]:
    """The frames of a stream in which something is wrong."""
    dice = random.Random(draw(st.integers(0, 2**48)))
    events = list(STREAMS[route])
    for _ in range(dice.choice((0, 1, 1, 2))):
        kind = dice.randrange(4)
        at, other = dice.randrange(len(events)), dice.randrange(len(events))
        if kind == 0:
            events.insert(other, events[at])
        elif kind == 1 and len(events) > 1:
            del events[at]
        elif kind == 2:
            events[at], events[other] = events[other], events[at]
        else:
            events = events[: at + 1]
    made = []
    changed = {dice.randrange(len(events)) for _ in range(dice.choice((0, 1, 1, 2, 4)))}
    for index, event in enumerate(events):
        value = mutated(event, dice, times=dice.choice((1, 2))) if index in changed else event
        text = written(value)
        made.append(frame(route, value, broken(text, dice) if dice.random() < 0.01 else text))
    if route in ENDS_WITH_DONE and dice.random() < 0.8:
        made.append(b"data: [DONE]\n\n")
    if dice.random() < 0.1:
        made.insert(dice.randrange(len(made) + 1), b": keep-alive\n\n")
    return made


def play(fold: WireFold, frames: list[bytes]) -> bytes | None:
    """What a caller gets for these frames; None when they were no stream."""
    out = []
    try:
        for each in frames:
            out.append(fold.pass_on(each, data_of(each)))
            if fold.done:
                break
        if not fold.finished:
            return None
        out.append(fold.end())
    except UpstreamError as error:
        check_error(error)
        return None
    finally:
        check_usage(fold.usage)
        visible = fold.visible
        assert visible is not None
        # It is counted by a tokenizer and measured in bytes.
        visible.encode("utf-8", "replace")
        assert all(isinstance(name, str) for name in fold.lost)
        assert isinstance(fold.ping(), bytes)
        assert isinstance(fold.error(InternalError("broken")), bytes)
        if fold.kept is not None:
            json.loads(fold.kept)
    return b"".join(out)


def check_frames(route: str, stream: bytes) -> None:
    """What a caller gets is frames of JSON, down to its last byte."""
    splitter = FrameSplitter()
    for each in splitter.feed(stream):
        data = data_of(each)
        if data and not (route in ENDS_WITH_DONE and data == b"[DONE]"):
            assert isinstance(msgspec.json.decode(data), dict), each
    assert splitter.rest == b""


@pytest.mark.parametrize("route", [name for name in DIALECTS if name in STREAMS])
@fuzzed
@given(data=st.data())
def test_a_stream_is_passed_on_or_is_garbage(route: str, data: st.DataObject):
    frames = data.draw(streams(route))
    request = request_of(route, stream=True)
    model = data.draw(st.sampled_from([None, "shown"]))
    play(
        DIALECTS[route].fold(request, request_id="req_1", model=model, keeps_text=True),
        frames,
    )


@pytest.mark.parametrize("route", CHAT_DIALECTS)
@fuzzed
@given(data=st.data())
def test_a_stream_is_translated_or_is_garbage(route: str, data: st.DataObject):
    if route not in STREAMS:
        return
    frames = data.draw(streams(route))
    for caller, other in CHAT_DIALECTS.items():
        writer = other.writer(reply_frame(caller, stream=True))
        fold = TranslatedFold(CHAT_DIALECTS[route].reader(), writer, keeps_text=True)
        stream = play(fold, frames)
        if stream is not None:
            check_frames(caller, stream)


@fuzzed
@given(
    data=st.binary(max_size=300)
    | st.lists(st.sampled_from([b"data:", b" ", b"\n", b"\r", b"\r\n", b"event: x", b":", b"{}"]))
    .map(b"".join)
    .filter(bool),
    cuts=st.lists(st.integers(1, 40), max_size=20),
)
def test_bytes_that_are_no_frames_are_cut_all_the_same(data: bytes, cuts: list[int]):
    splitter, whole = FrameSplitter(limit=100), FrameSplitter(limit=10_000)
    expected = [*whole.feed(data), *whole.finish()]
    frames, at = [], 0
    try:
        for cut in [*cuts, len(data)]:
            frames += splitter.feed(data[at : at + cut])
            at += cut
        frames += splitter.finish()
    except FrameTooLargeError:
        return
    assert [data_of(each) for each in frames] == [data_of(each) for each in expected]
