"""What is Anthropic's own: its address, its headers, its errors, and what costs nothing there."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.contract.calls import LIMIT, PATIENT, exchange
from tests.contract.fake_upstream import FakeUpstream, Script, Turn
from torana.dialects.anthropic import ANTHROPIC
from torana.errors import (
    UpstreamAuth,
    UpstreamError,
    UpstreamOverloaded,
    UpstreamRateLimited,
    UpstreamRejected,
)
from torana.inference.free_calls import COUNT_PATH
from torana.outbound.client import Answer, HttpClient
from torana.providers import Credential, Provider, ProviderConfig, Sending, build
from torana.providers.base import provider_request_id

KEY = "sk-ant-canary-contract-key-4a7e"
KEYS = (Credential(id="k", secret=KEY),)


def provider(url: str) -> Provider:
    config = ProviderConfig(name="claude", kind="anthropic", base_url=url, keys=KEYS, private=True)
    return build(config)


def send(
    made: Provider, http: HttpClient, body: bytes | None, path: str = "/messages", **more: Any
) -> Answer:
    sending = Sending(
        path=path,
        body=body,
        request_id="req_of_a_test",
        timeouts=PATIENT,
        exchange=exchange(),
        **more,
    )
    return made.send(http, sending)


def asking(model: str) -> bytes:
    return json.dumps({"model": model, "max_tokens": 5, "messages": []}).encode()


def fails(status: int, error: dict[str, Any] | None = None, **headers: str) -> Script:
    """An error as Anthropic writes it."""
    body = {"type": "not_this_one", "message": "told to fail", **(error or {})}

    def play(turn: Turn) -> None:
        whole = {"type": "error", "error": body, "request_id": "req_theirs"}
        turn.reply(whole, status, **headers)

    return play


# --- its address -------------------------------------------------------------------------------


@pytest.mark.parametrize("tail", ["/v1", "/v1/", "", "/", "//"])
def test_the_version_of_the_address_may_be_left_out(
    http: HttpClient, upstream: FakeUpstream, tail: str
):
    model = upstream.model()
    url = upstream.url.removesuffix("/v1") + tail
    send(provider(url), http, asking(model), ANTHROPIC.path).close()
    (seen,) = upstream.seen(model)
    assert seen.path == "/v1/messages"


@pytest.mark.parametrize(
    ("tail", "path"),
    [
        ("/anthropic", "/anthropic/v1/messages"),
        ("/anthropic/v1", "/anthropic/v1/messages"),
        ("/v2", "/v2/messages"),
        ("/v1beta", "/v1beta/v1/messages"),
    ],
)
def test_a_look_alike_may_live_under_any_path(
    http: HttpClient, upstream: FakeUpstream, tail: str, path: str
):
    model = upstream.model()
    send(provider(upstream.url.removesuffix("/v1") + tail), http, asking(model)).close()
    (seen,) = upstream.seen(model)
    assert seen.path == path


# --- its headers -------------------------------------------------------------------------------


def test_a_call_without_forms_of_its_own_is_of_the_version_that_is_written(
    http: HttpClient, upstream: FakeUpstream
):
    model = upstream.model()
    send(provider(upstream.url), http, asking(model)).close()
    (seen,) = upstream.seen(model)
    assert (seen.headers["x-api-key"], "authorization" in seen.headers) == (KEY, False)
    assert seen.headers["anthropic-version"] == "2023-06-01"
    assert "anthropic-beta" not in seen.headers


@pytest.mark.parametrize(
    ("forwarded", "version", "beta"),
    [
        ({"anthropic-version": "2026-10-21"}, "2026-10-21", None),
        ({"anthropic-beta": "one,two"}, "2023-06-01", "one,two"),
        (
            {"anthropic-version": "2026-10-21", "anthropic-beta": "one"},
            "2026-10-21",
            "one",
        ),
    ],
)
def test_the_forms_that_a_caller_has_chosen_go_on(
    http: HttpClient,
    upstream: FakeUpstream,
    forwarded: dict[str, str],
    version: str,
    beta: str | None,
):
    model = upstream.model()
    send(provider(upstream.url), http, asking(model), forwarded=forwarded).close()
    (seen,) = upstream.seen(model)
    assert seen.headers["anthropic-version"] == version
    assert seen.headers.get("anthropic-beta") == beta
    assert seen.headers["x-api-key"] == KEY


def test_forms_of_anthropics_do_not_reach_other_kinds(http: HttpClient, upstream: FakeUpstream):
    model = upstream.model()
    other = build(
        ProviderConfig(name="o", kind="openai", base_url=upstream.url, keys=KEYS, private=True)
    )
    send(other, http, asking(model), forwarded={"anthropic-beta": "one"}).close()
    (seen,) = upstream.seen(model)
    assert not any(name.startswith("anthropic") for name in seen.headers)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"request_id": "req_a"}, "req_a"),
        ({"x_request_id": "req_b"}, "req_b"),
        ({"x_request_id": "req_b", "request_id": "req_a"}, "req_b"),
        ({}, None),
    ],
)
def test_its_own_id_of_the_call_is_known_under_both_names(
    http: HttpClient, upstream: FakeUpstream, headers: dict[str, Any], expected: str | None
):
    model = upstream.model(lambda turn: turn.reply({}, **headers))
    answer = send(provider(upstream.url), http, asking(model))
    answer.close()
    assert provider_request_id(answer.headers) == expected


# --- its errors --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "kind", "raised"),
    [
        (400, "invalid_request_error", UpstreamRejected),
        (401, "authentication_error", UpstreamAuth),
        (402, "billing_error", UpstreamRejected),
        (403, "permission_error", UpstreamAuth),
        (404, "not_found_error", UpstreamRejected),
        (413, "request_too_large", UpstreamRejected),
        (429, "rate_limit_error", UpstreamRateLimited),
        (500, "api_error", UpstreamError),
        (529, "overloaded_error", UpstreamOverloaded),
    ],
)
def test_an_error_of_anthropics_is_the_error_that_fits(
    http: HttpClient, upstream: FakeUpstream, status: int, kind: str, raised: type[UpstreamError]
):
    model = upstream.model(fails(status, {"type": kind, "message": "acct_42"}))
    with pytest.raises(UpstreamError) as failure:
        send(provider(upstream.url), http, asking(model))
    error = failure.value
    assert type(error) is raised
    assert not error.billable
    if isinstance(error, UpstreamRejected):
        assert (error.status, error.kind, error.message) == (status, kind, "acct_42")
    else:
        assert "acct_42" not in error.public_message


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry_after": "7"}, 7.0),
        ({"retry_after_ms": "250"}, 0.25),
        ({"retry_after": "7", "retry_after_ms": "250"}, 0.25),
        ({}, None),
    ],
)
@pytest.mark.parametrize("status", [429, 529])
def test_the_time_to_wait_is_read_in_both_forms(
    http: HttpClient,
    upstream: FakeUpstream,
    headers: dict[str, Any],
    seconds: float | None,
    status: int,
):
    model = upstream.model(fails(status, **headers))
    with pytest.raises(UpstreamError) as failure:
        send(provider(upstream.url), http, asking(model))
    assert failure.value.retry_after == seconds
    assert failure.value.retryable


@pytest.mark.parametrize(("wish", "retryable"), [("true", True), ("false", False)])
def test_its_wish_about_trying_again_is_obeyed(
    http: HttpClient, upstream: FakeUpstream, wish: str, retryable: bool
):
    model = upstream.model(fails(529, x_should_retry=wish))
    with pytest.raises(UpstreamOverloaded) as failure:
        send(provider(upstream.url), http, asking(model))
    assert failure.value.retryable is retryable


def test_our_key_in_its_words_does_not_reach_the_caller(http: HttpClient, upstream: FakeUpstream):
    model = upstream.model(fails(400, {"message": f"no use for {KEY} here"}))
    with pytest.raises(UpstreamRejected) as failure:
        send(provider(upstream.url), http, asking(model))
    assert failure.value.message == "no use for *** here"


# --- what costs nothing ------------------------------------------------------------------------


def test_tokens_are_counted_under_messages(http: HttpClient, upstream: FakeUpstream):
    model = upstream.model(lambda turn: turn.reply({"input_tokens": 4711}))
    made = provider(upstream.url)
    assert made.counts_tokens
    answer = send(made, http, asking(model), COUNT_PATH)
    assert json.loads(answer.read(LIMIT)) == {"input_tokens": 4711}
    (seen,) = upstream.seen(model)
    assert (seen.method, seen.path) == ("POST", "/v1/messages/count_tokens")


@pytest.mark.parametrize("kind", ["anthropic", "openai"])
@pytest.mark.parametrize(("deletes", "method"), [(False, "GET"), (True, "DELETE")])
def test_what_is_kept_there_is_asked_for_without_a_body(
    http: HttpClient, upstream: FakeUpstream, kind: str, deletes: bool, method: str
):
    path = f"/v1/responses/resp_{kind}_{method}"
    upstream.at(path, lambda turn: turn.reply({"id": "it"}))
    config = ProviderConfig(name="p", kind=kind, base_url=upstream.url, keys=KEYS, private=True)
    answer = send(build(config), http, None, path.removeprefix("/v1"), deletes=deletes)
    assert json.loads(answer.read(LIMIT)) == {"id": "it"}
    (seen,) = upstream.seen(path)
    assert (seen.method, seen.body) == (method, b"")
    assert "transfer-encoding" not in seen.headers
    assert KEY in (seen.headers.get("x-api-key"), seen.headers.get("authorization", "")[7:])


@pytest.mark.parametrize("deletes", [False, True])
def test_what_is_not_kept_there_is_a_404(http: HttpClient, upstream: FakeUpstream, deletes: bool):
    path = f"/v1/responses/resp_gone_{deletes}"
    upstream.at(path, lambda turn: turn.reply({"error": {"message": "no such response"}}, 404))
    config = ProviderConfig(name="p", kind="openai", base_url=upstream.url, keys=KEYS, private=True)
    with pytest.raises(UpstreamRejected) as failure:
        send(build(config), http, None, path.removeprefix("/v1"), deletes=deletes)
    assert (failure.value.status, failure.value.message) == (404, "no such response")


def test_the_connection_is_used_again_after_a_free_call(http: HttpClient, upstream: FakeUpstream):
    path = "/v1/responses/resp_again"
    upstream.at(path, lambda turn: turn.reply({"id": "it"}))
    made = build(
        ProviderConfig(name="p", kind="openai", base_url=upstream.url, keys=KEYS, private=True)
    )
    for deletes in (False, True, False):
        send(made, http, None, "/responses/resp_again", deletes=deletes).read(LIMIT)
    assert len({seen.connection for seen in upstream.seen(path)}) == 1
