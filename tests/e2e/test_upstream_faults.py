"""A provider that fails before its answer is whole: what the caller gets, and what the row says."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any

import pytest

from tests.contract.fake_upstream import FakeUpstream, Script, Turn, completion, fail_with
from tests.e2e.checks import error_object, openai_error
from tests.e2e.constants import PROMPT, PROVIDER_KEY, PROVIDER_WORDS
from tests.support.server import Reply, RunningServer


@dataclass(frozen=True)
class Outcome:
    """What a failing call ends as, for its caller and on the ledger."""

    status: int
    code: str
    paid: bool = False
    posted: str | None = None
    kind: str = "server_error"
    tries: int = 1
    should_retry: str | None = None


def _check(server: RunningServer, reply: Reply, outcome: Outcome) -> dict[str, Any]:
    assert reply.status == outcome.status, reply
    error = openai_error(reply)
    assert (error["code"], error["type"]) == (outcome.code, outcome.kind)
    assert reply.headers.get("x-should-retry") == outcome.should_retry
    entry = server.entry(reply.request_id)
    assert (entry["status"], entry["http_status"]) == ("error", outcome.status)
    assert entry["error_code"] == (outcome.posted or outcome.code)
    assert entry["bound_nano"] > 0
    if outcome.paid:
        # It may have been processed: nobody knows the usage, so the bound is charged.
        assert (entry["counted"], entry["cost_nano"]) == ("bound", entry["bound_nano"])
    else:
        assert (entry["counted"], entry["cost_nano"]) == ("provider", 0)
    assert (entry["input_tokens"], entry["output_tokens"]) == (0, 0)
    assert len(entry["attempts"]) == outcome.tries
    assert all(isinstance(attempt["ms"], int) for attempt in entry["attempts"])
    return error


def _ask(server: RunningServer, model: str, *, stream: bool = False) -> Reply:
    return server.chat(model, PROMPT, stream=stream, max_tokens=40)


def _rejected(status: int) -> Outcome:
    """The request is at fault: the caller gets the provider's words, the row gets ours."""
    return Outcome(
        status, "fake", posted="upstream_rejected", kind="fake_error", should_retry="false"
    )


STATUSES = {
    400: _rejected(400),
    401: Outcome(502, "upstream_auth", should_retry="false"),
    403: Outcome(502, "upstream_auth", should_retry="false"),
    404: _rejected(404),
    409: _rejected(409),
    413: _rejected(413),
    422: _rejected(422),
    429: Outcome(
        429, "rate_limit_exceeded", kind="rate_limit_error", tries=3, posted="upstream_rate_limited"
    ),
    500: Outcome(502, "upstream_error"),
    502: Outcome(502, "upstream_error"),
    503: Outcome(503, "upstream_overloaded", tries=3),
    504: Outcome(502, "upstream_error"),
    529: Outcome(503, "upstream_overloaded", tries=3),
    302: Outcome(502, "upstream_error"),
}


@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
@pytest.mark.parametrize("status", STATUSES)
def test_a_providers_status_becomes_ours(
    server: RunningServer, upstream: FakeUpstream, status: int, stream: bool
):
    words = f"{PROVIDER_WORDS} with {PROVIDER_KEY} of org-secret"
    model = upstream.model(
        fail_with(status, {"message": words}, retry_after="0", location=upstream.url)
    )
    outcome = STATUSES[status]
    reply = _ask(server, model, stream=stream)
    error = _check(server, reply, outcome)
    assert PROVIDER_KEY not in reply.body.decode()
    # A provider's words are for the caller only where the request is at fault.
    assert (PROVIDER_WORDS in error["message"]) is (outcome.kind == "fake_error")
    assert len(upstream.seen(model)) == outcome.tries


STRANGE_ERRORS: dict[str, Any] = {
    "a word": {"error": "it is broken"},
    "numbers": {"error": {"message": 5, "type": 6, "param": 7, "code": 8}},
    "null": {"error": None},
    "a list": [1, 2],
    "html": b"<html><body>Bad Request</body></html>",
    "nothing": b"",
    "not UTF-8": b'{"error": {"message": "\xff\xfe"}}',
    "a long code": {"error": {"message": "x", "code": "c" * 5000, "type": "t" * 5000}},
    "a code with NUL": {"error": {"message": "x", "code": "a\0b", "type": "a\0b", "param": "\0"}},
    "half a surrogate": b'{"error": {"message": "\\ud800", "code": "\\ud800", "param": "\\ud800"}}',
    "endless words": {"error": {"message": "long " * 20_000}},
}


@pytest.mark.parametrize("case", STRANGE_ERRORS)
def test_a_strange_error_body_is_no_trouble(
    server: RunningServer, upstream: FakeUpstream, case: str
):
    def refuse(turn: Turn) -> None:
        turn.reply(STRANGE_ERRORS[case], 400)

    began = time.monotonic()
    reply = _ask(server, upstream.model(refuse))
    assert reply.status == 400
    openai_error(reply)
    assert len(reply.body) < 20_000
    entry = server.entry(reply.request_id)
    assert (entry["status"], entry["http_status"], entry["cost_nano"]) == ("error", 400, 0)
    # A row that the database refuses would be tried again for a minute, and block all others.
    assert time.monotonic() - began < 10


def _answers(value: Any) -> Script:
    return lambda turn: turn.reply(value)


def _cut_json(turn: Turn) -> None:
    turn.head(content_type="application/json", content_length="500")
    turn.write(b'{"id": "chatcmpl-fake", "choices": [')
    turn.cut()


def _cut_chunked(turn: Turn) -> None:
    turn.head(content_type="application/json", transfer_encoding="chunked")
    turn.write(b"10\r\n" + b'{"id": "chatcmpl' + b"\r\n")
    turn.cut()


def _reset(turn: Turn) -> None:
    turn.reset()


def _cut_in_the_head(turn: Turn) -> None:
    turn.write(b"HTTP/1.1 200 OK\r\ncontent-type: appli")
    turn.cut()


def _no_http(turn: Turn) -> None:
    turn.write(b"this is not HTTP\r\n\r\n")
    turn.cut()


FAULTS: dict[str, tuple[Script, Outcome]] = {
    "cut in the middle": (_cut_json, Outcome(502, "upstream_cut", paid=True)),
    "cut between chunks": (_cut_chunked, Outcome(502, "upstream_cut", paid=True)),
    "cut in the head": (_cut_in_the_head, Outcome(502, "upstream_garbage", paid=True)),
    "reset": (_reset, Outcome(502, "upstream_cut", paid=True)),
    "not HTTP": (_no_http, Outcome(502, "upstream_cut", paid=True)),
    "html": (_answers(b"<html></html>"), Outcome(502, "upstream_garbage", paid=True)),
    "nothing": (_answers(b""), Outcome(502, "upstream_garbage", paid=True)),
    "a list": (_answers([]), Outcome(502, "upstream_garbage", paid=True)),
    "no choices": (_answers({"id": "x"}), Outcome(502, "upstream_garbage", paid=True)),
    "nested too deep": (
        _answers(b'{"choices": [], "x": ' + b"[" * 90_000 + b"]" * 90_000 + b"}"),
        Outcome(502, "upstream_garbage", paid=True),
    ),
    "an impossible usage": (
        _answers(completion(usage={"prompt_tokens": -5, "completion_tokens": 10**30})),
        Outcome(502, "upstream_garbage", paid=True),
    ),
    "an error as a success": (
        _answers({"error": {"message": PROVIDER_WORDS}}),
        Outcome(502, "upstream_error"),
    ),
}


@pytest.mark.parametrize("case", FAULTS)
def test_an_answer_that_is_none_is_a_502(server: RunningServer, upstream: FakeUpstream, case: str):
    script, outcome = FAULTS[case]
    reply = _ask(server, upstream.model(script))
    error = _check(server, reply, outcome)
    assert PROVIDER_WORDS not in error["message"]


def test_json_instead_of_a_stream_is_a_502(server: RunningServer, upstream: FakeUpstream):
    model = upstream.model(_answers(completion()))
    reply = _ask(server, model, stream=True)
    _check(server, reply, Outcome(502, "upstream_garbage", paid=True))


@pytest.mark.parametrize("model", ["echo/cut=10", "echo/garbage=1"])
def test_the_drills_of_echo_fail_as_real_providers_do(server: RunningServer, model: str):
    code = "upstream_cut" if "cut" in model else "upstream_garbage"
    _check(server, _ask(server, model), Outcome(502, code, paid=True))


def test_a_provider_where_nobody_listens_costs_nothing(server_on_sqlite: RunningServer):
    reply = _ask(server_on_sqlite, "dead/any-model")
    error = _check(server_on_sqlite, reply, Outcome(502, "upstream_unreachable", tries=3))
    assert "127.0.0.1" not in error["message"]


@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
def test_a_provider_that_sends_no_status_line_in_time_is_a_504(
    server_on_sqlite: RunningServer, stream: bool
):
    # It may have done the work, so it is not asked again, and the bound is charged.
    reply = _ask(server_on_sqlite, "echo/hang=1", stream=stream)
    _check(server_on_sqlite, reply, Outcome(504, "upstream_timeout", paid=True))


def test_a_provider_that_falls_silent_in_a_json_answer_is_a_504(
    server_on_sqlite: RunningServer, upstream: FakeUpstream
):
    def fall_silent(turn: Turn) -> None:
        turn.head(content_type="application/json", content_length="500")
        turn.write(b'{"id": ')
        assert turn.wait_for_hang_up()

    reply = _ask(server_on_sqlite, upstream.model(fall_silent))
    _check(server_on_sqlite, reply, Outcome(504, "upstream_timeout", paid=True))


def test_an_answer_without_usage_costs_its_bound(server: RunningServer):
    reply = _ask(server, "echo/usage=0")
    assert reply.status == 200
    entry = server.entry(reply.request_id)
    assert (entry["status"], entry["counted"]) == ("ok", "bound")
    assert entry["cost_nano"] == entry["bound_nano"] > 0


def test_usage_above_the_bound_is_charged_in_full(server: RunningServer, upstream: FakeUpstream):
    usage = {"prompt_tokens": 5, "completion_tokens": 100_000}
    reply = _ask(server, upstream.model(_answers(completion(usage=usage))))
    entry = server.entry(reply.request_id)
    assert entry["output_tokens"] == 100_000
    assert entry["cost_nano"] > entry["bound_nano"]


def test_every_class_of_tokens_is_on_the_row_once(server: RunningServer, upstream: FakeUpstream):
    usage = {
        "prompt_tokens": 100,
        "completion_tokens": 50,
        "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 10},
        "completion_tokens_details": {"reasoning_tokens": 20},
    }
    reply = _ask(server, upstream.model(_answers(completion(usage=usage))))
    entry = server.entry(reply.request_id)
    classes = ("input", "cached", "cache_write", "output", "reasoning")
    assert [entry[f"{name}_tokens"] for name in classes] == [30, 60, 10, 30, 20]


def test_a_call_after_all_that_is_served_and_the_books_are_right(server: RunningServer):
    assert _ask(server, "echo").status == 200
    report = json.loads(server.torana("ledger", "verify", "--json"))
    assert report["differences"] == []


def test_an_error_body_of_ours_has_all_keys_even_without_a_reason(
    server: RunningServer, upstream: FakeUpstream
):
    def say_nothing(turn: Turn) -> None:
        turn.head(418, content_length="0")

    reply = _ask(server, upstream.model(say_nothing))
    assert reply.status == 418
    assert error_object(reply.json())["code"] == "upstream_rejected"
