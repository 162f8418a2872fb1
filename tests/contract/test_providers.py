"""The contract of every kind of provider: what it sends, what it gives back, how it fails.

A new kind is tested by its line in `KINDS` alone. `echo` brings its own server; the others are
pointed at one that plays the same scripts.
"""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.contract.calls import HASTY, LIMIT, chat_body, exchange, send
from tests.contract.fake_upstream import (
    FakeUpstream,
    Script,
    Turn,
    answer_well,
    completion,
    fail_with,
)
from torana.core.usage import Usage
from torana.dialects import openai_errors
from torana.dialects.openai_chat import OPENAI_CHAT
from torana.dialects.openai_chat.streams import ChatFold
from torana.dialects.sse import FrameSplitter, data_of
from torana.errors import (
    UpstreamAuth,
    UpstreamCut,
    UpstreamError,
    UpstreamGarbage,
    UpstreamOverloaded,
    UpstreamRateLimited,
    UpstreamRejected,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from torana.outbound.client import Answer, HttpClient
from torana.providers import KINDS, Credential, Provider, ProviderConfig, build
from torana.providers.base import provider_request_id

KEY = "sk-canary-contract-key-91c2"
WITH_ADDRESS = sorted(set(KINDS) - {"echo"})
"""`echo` has no address to be set: it starts a server of its own."""


@pytest.fixture(params=sorted(KINDS))
def provider(request: pytest.FixtureRequest, echo_url: str) -> Provider:
    """A provider of each kind, whose server plays the scripts of `echo`."""
    return _build(request.param, echo_url)


def _build(kind: str, url: str, key: str | None = KEY) -> Provider:
    base_url = "echo:" if kind == "echo" else url
    keys = () if key is None else (Credential(id="k", secret=key),)
    return build(
        ProviderConfig(name=f"a-{kind}", kind=kind, base_url=base_url, keys=keys, private=True)
    )


def _fold(answer: Answer, *, include_usage: bool = True) -> tuple[list[bytes], ChatFold]:
    fold = ChatFold(include_usage=include_usage)
    splitter = FrameSplitter()
    frames: list[bytes] = []
    for piece in answer.chunks():
        frames += [fold.pass_on(frame, data_of(frame)) for frame in splitter.feed(piece)]
    assert splitter.rest == b""
    return frames, fold


def test_a_json_answer_is_a_chat_completion_with_usage(provider: Provider, http: HttpClient):
    answer = send(provider, http, chat_body(text="one two three"))
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("application/json")
    parsed = OPENAI_CHAT.decode_answer(answer.read(LIMIT))
    assert json.loads(parsed.body)["choices"][0]["message"]["content"] == "one two three"
    assert parsed.usage == Usage(input_tokens=3, output_tokens=3)


def test_a_stream_comes_in_frames_and_ends_with_usage_and_done(
    provider: Provider, http: HttpClient
):
    body = chat_body(text="one two", stream=True, stream_options={"include_usage": True})
    answer = send(provider, http, body)
    assert answer.headers["content-type"].startswith("text/event-stream")
    frames, fold = _fold(answer)
    # The role, two words, the end, the usage; `[DONE]` is not passed on by the fold.
    assert len([frame for frame in frames if frame]) == 5
    assert fold.usage == Usage(input_tokens=2, output_tokens=2)
    assert (fold.finished, fold.done) == (True, True)


def test_a_stream_is_not_held_back(provider: Provider, http: HttpClient):
    answer = send(provider, http, chat_body("words=6,drip_ms=100", stream=True))
    chunks = answer.chunks()
    first = next(chunks)
    arrived = time.monotonic()
    rest = list(chunks)
    assert b"word0" not in first
    # Six words, each 100 ms after the one before: they came one after another.
    assert len(rest) >= 4
    assert time.monotonic() - arrived > 0.4


def test_the_providers_own_id_of_the_call_is_known(provider: Provider, http: HttpClient):
    answer = send(provider, http, chat_body())
    assert provider_request_id(answer.headers) == "echo-req_of_a_test"
    answer.close()


STATUSES: dict[int, tuple[type[UpstreamError], int, bool]] = {
    400: (UpstreamRejected, 400, False),
    401: (UpstreamAuth, 502, False),
    403: (UpstreamAuth, 502, False),
    404: (UpstreamRejected, 404, False),
    409: (UpstreamRejected, 409, False),
    413: (UpstreamRejected, 413, False),
    422: (UpstreamRejected, 422, False),
    429: (UpstreamRateLimited, 429, True),
    500: (UpstreamError, 502, False),
    502: (UpstreamError, 502, False),
    503: (UpstreamOverloaded, 503, True),
    504: (UpstreamError, 502, False),
    529: (UpstreamOverloaded, 503, True),
}


@pytest.mark.parametrize("status", STATUSES)
def test_a_failing_status_is_the_error_that_fits(provider: Provider, http: HttpClient, status: int):
    kind, shown, retryable = STATUSES[status]
    with pytest.raises(UpstreamError) as failure:
        send(provider, http, chat_body(f"status={status}"))
    error = failure.value
    assert type(error) is kind
    assert (error.status, error.retryable, error.billable) == (shown, retryable, False)
    assert (provider.config.name in error.message) is (kind is not UpstreamRejected)


def test_the_number_of_the_try_reaches_the_provider(provider: Provider, http: HttpClient):
    body = chat_body("status=503,until=3")
    for attempt in (1, 2):
        with pytest.raises(UpstreamOverloaded):
            send(provider, http, body, attempt=attempt)
    assert send(provider, http, body, attempt=3).status == 200


def test_the_time_to_wait_is_read(provider: Provider, http: HttpClient):
    with pytest.raises(UpstreamRateLimited) as failure:
        send(provider, http, chat_body("status=429,retry_after=7"))
    assert failure.value.retry_after == 7


def test_silence_before_the_status_line_is_a_timeout(provider: Provider, http: HttpClient):
    with pytest.raises(UpstreamTimeout) as failure:
        send(provider, http, chat_body("hang=1"), timeouts=HASTY)
    assert (failure.value.billable, failure.value.retryable) == (True, False)


def test_silence_in_a_stream_is_a_timeout(provider: Provider, http: HttpClient):
    answer = send(provider, http, chat_body("drip_ms=60000", stream=True), timeouts=HASTY)
    with pytest.raises(UpstreamTimeout):
        list(answer.chunks())
    answer.close()


def test_a_cut_json_answer_is_a_cut(provider: Provider, http: HttpClient):
    answer = send(provider, http, chat_body("cut=10"))
    with pytest.raises(UpstreamCut) as failure:
        answer.read(LIMIT)
    assert failure.value.billable
    answer.close()


def test_a_cut_stream_is_a_cut_after_what_came(provider: Provider, http: HttpClient):
    answer = send(provider, http, chat_body("words=9,cut=3", stream=True))
    came: list[bytes] = []
    with pytest.raises(UpstreamCut):
        came.extend(answer.chunks())
    assert b"word1" in b"".join(came)
    assert b"word2" not in b"".join(came)
    answer.close()


def test_garbage_for_json_is_garbage(provider: Provider, http: HttpClient):
    body = send(provider, http, chat_body("garbage=1")).read(LIMIT)
    with pytest.raises(UpstreamGarbage):
        OPENAI_CHAT.decode_answer(body)


def test_garbage_in_a_stream_is_garbage(provider: Provider, http: HttpClient):
    answer = send(provider, http, chat_body("garbage=1", stream=True))
    with pytest.raises(UpstreamGarbage):
        _fold(answer)
    answer.close()


def test_an_aborted_call_ends(provider: Provider, http: HttpClient):
    over = exchange()
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(send, provider, http, chat_body("hang=1"), over=over)
        while not over.sent:
            time.sleep(0.01)
        over.abort()
        with pytest.raises(UpstreamError):
            waiting.result(5)


def test_one_provider_serves_many_calls_at_once(provider: Provider, http: HttpClient):
    def ask(number: int) -> str:
        answer = send(provider, http, chat_body("echo", f"caller {number}"))
        return str(json.loads(answer.read(LIMIT))["choices"][0]["message"]["content"])

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(ask, range(48))) == [f"caller {number}" for number in range(48)]


def test_no_representation_shows_the_key(provider: Provider):
    assert provider.config.keys[0].secret == KEY
    for text in (repr(provider), str(provider), repr(provider.config), f"{provider.config}"):
        assert KEY not in text


# --- kinds with an address ---------------------------------------------------------------------


@pytest.mark.parametrize("kind", WITH_ADDRESS)
def test_the_credential_is_sent_as_the_provider_wants_it_and_the_body_as_it_is(
    http: HttpClient, upstream: FakeUpstream, kind: str
):
    model = upstream.model()
    body = chat_body(model)
    send(_build(kind, f"{upstream.url}/"), http, body, attempt=4).close()
    (seen,) = upstream.seen(model)
    assert (seen.path, seen.body) == ("/v1/chat/completions", body)
    if kind == "anthropic":
        assert (seen.headers["x-api-key"], seen.headers.get("authorization")) == (KEY, None)
        assert seen.headers["anthropic-version"] == "2023-06-01"
    else:
        assert seen.headers["authorization"] == f"Bearer {KEY}"
    assert seen.headers["content-type"] == "application/json"
    assert seen.headers["accept-encoding"] == "identity"
    assert seen.headers["x-request-id"] == "req_of_a_test"
    assert seen.headers["x-torana-attempt"] == "4"


@pytest.mark.parametrize("kind", WITH_ADDRESS)
@pytest.mark.parametrize("key", [None, ""])
def test_a_server_without_credential_gets_none(
    http: HttpClient, upstream: FakeUpstream, kind: str, key: str | None
):
    model = upstream.model()
    send(_build(kind, upstream.url, key), http, chat_body(model)).close()
    (seen,) = upstream.seen(model)
    assert {"authorization", "x-api-key"}.isdisjoint(seen.headers)


@pytest.mark.parametrize("kind", WITH_ADDRESS)
def test_where_nobody_listens_nothing_was_sent(http: HttpClient, dead_url: str, kind: str):
    with pytest.raises(UpstreamUnreachable) as failure:
        send(_build(kind, dead_url), http, chat_body())
    assert (failure.value.retryable, failure.value.billable) == (True, False)
    assert "127.0.0.1" not in failure.value.message


@pytest.mark.parametrize("kind", WITH_ADDRESS)
@pytest.mark.parametrize("field", ["message", "type", "param", "code"])
def test_a_provider_that_repeats_our_key_does_not_tell_the_caller(
    http: HttpClient, upstream: FakeUpstream, kind: str, field: str
):
    model = upstream.model(fail_with(400, {field: f"bad key {KEY}, sorry"}))
    with pytest.raises(UpstreamRejected) as failure:
        send(_build(kind, upstream.url), http, chat_body(model))
    assert KEY not in json.dumps(openai_errors.encode_error(failure.value))
    assert KEY not in repr(failure.value)


@pytest.mark.parametrize("kind", WITH_ADDRESS)
@pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
def test_words_about_our_account_stay_with_us(
    http: HttpClient, upstream: FakeUpstream, kind: str, status: int
):
    model = upstream.model(fail_with(status, {"message": f"org-secret has no use for {KEY}"}))
    with pytest.raises(UpstreamError) as failure:
        send(_build(kind, upstream.url), http, chat_body(model))
    assert "org-secret" not in failure.value.public_message
    assert KEY not in failure.value.public_message


WAITS: dict[str, tuple[dict[str, str], float | None]] = {
    "seconds": ({"retry_after": "3"}, 3.0),
    "a fraction": ({"retry_after": "1.5"}, 1.5),
    "milliseconds": ({"retry_after_ms": "250"}, 0.25),
    "both": ({"retry_after_ms": "250", "retry_after": "9"}, 0.25),
    "zero": ({"retry_after": "0"}, 0.0),
    "a date": ({"retry_after": "Fri, 31 Dec 1999 23:59:59 GMT"}, None),
    "words": ({"retry_after": "soon"}, None),
    "negative": ({"retry_after": "-5"}, None),
    "no number": ({"retry_after": "nan"}, None),
    "for ever": ({"retry_after": "inf"}, None),
    "nothing": ({}, None),
}


@pytest.mark.parametrize("case", WAITS)
def test_retry_after_is_read_in_all_its_forms(http: HttpClient, upstream: FakeUpstream, case: str):
    headers, seconds = WAITS[case]
    model = upstream.model(fail_with(429, None, **headers))
    with pytest.raises(UpstreamRateLimited) as failure:
        send(_build("openai", upstream.url), http, chat_body(model))
    assert failure.value.retry_after == seconds


@pytest.mark.parametrize(("wish", "retryable"), [("true", True), ("false", False), ("yes", False)])
def test_a_providers_wish_about_trying_again_is_obeyed(
    http: HttpClient, upstream: FakeUpstream, wish: str, retryable: bool
):
    model = upstream.model(fail_with(500, x_should_retry=wish))
    with pytest.raises(UpstreamError) as failure:
        send(_build("openai", upstream.url), http, chat_body(model))
    assert failure.value.retryable is retryable


def _redirect(turn: Turn) -> None:
    turn.head(307, location="/v1/chat/completions?again", content_length="0")


def _endless(turn: Turn) -> None:
    turn.head(500, content_type="application/json", transfer_encoding="chunked")
    piece = b"x" * 65_536
    for _ in range(200):
        turn.write(b"%x\r\n%b\r\n" % (len(piece), piece))


@pytest.mark.parametrize("script", [_redirect, _endless], ids=["a redirect", "a huge error"])
def test_no_answer_leads_us_elsewhere_or_on_for_ever(
    http: HttpClient, upstream: FakeUpstream, script: Script
):
    model = upstream.model(script)
    with pytest.raises(UpstreamError) as failure:
        send(_build("openai", upstream.url), http, chat_body(model))
    assert failure.value.status == 502
    assert len(upstream.seen(model)) == 1


def test_an_error_that_is_not_read_to_its_end_holds_no_connection(
    http: HttpClient, upstream: FakeUpstream
):
    hung_up = threading.Event()

    def endless(turn: Turn) -> None:
        turn.head(500, content_length="1000000")
        turn.write(b"x" * 100_000)
        assert turn.wait_for_hang_up()
        hung_up.set()

    model = upstream.model(endless)
    with pytest.raises(UpstreamError) as failure:
        send(_build("openai", upstream.url), http, chat_body(model))
    assert hung_up.wait(10)
    assert failure.value.status == 502


def test_a_connection_is_free_again_after_an_error(http: HttpClient, upstream: FakeUpstream):
    provider = _build("openai", upstream.url)
    failing, good = upstream.model(fail_with(503)), upstream.model(answer_well)
    for _ in range(3):
        with pytest.raises(UpstreamOverloaded):
            send(provider, http, chat_body(failing))
    answer = send(provider, http, chat_body(good))
    assert json.loads(answer.read(LIMIT)) == completion()
    seen = [*upstream.seen(failing), *upstream.seen(good)]
    assert len({request.connection for request in seen}) == 1
