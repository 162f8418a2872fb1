"""Whether a provider is well, for every kind: what a check finds, and that it never raises."""

from __future__ import annotations

import threading

import pytest

from tests.contract.fake_upstream import FakeUpstream, Script, Turn, fail_with
from torana.outbound.client import HttpClient
from torana.providers import KINDS, Credential, Provider, ProviderConfig, base, build

KEYS = (
    Credential(id="pkey_1", secret="sk-one-4c11"),
    Credential(id="pkey_2", secret="sk-two-4c11"),
)
WITH_ADDRESS = sorted(set(KINDS) - {"echo"})
PATH = "/v1/models"


def provider(kind: str, url: str, *keys: Credential) -> Provider:
    return build(ProviderConfig(name="p", kind=kind, base_url=url, keys=keys, private=True))


@pytest.mark.parametrize("kind", WITH_ADDRESS)
def test_a_server_that_is_well_tells_its_models(
    http: HttpClient, upstream: FakeUpstream, kind: str
):
    upstream.at(PATH, lambda turn: turn.reply({"data": [{"id": "a"}, {"id": "b"}]}))
    found = provider(kind, upstream.url, KEYS[0]).check(http)
    assert (found.ok, found.status, found.models) == (True, 200, ("a", "b"))
    seen = upstream.seen(PATH)[-1]
    assert (seen.method, seen.body) == ("GET", b"")
    assert KEYS[0].secret in seen.headers.get("authorization", "") + seen.headers.get(
        "x-api-key", ""
    )


def test_echo_is_always_well(http: HttpClient):
    found = provider("echo", "echo:").check(http)
    assert (found.ok, found.models) == (True, ("echo",))


def test_a_server_that_tells_no_models_is_well_all_the_same(
    http: HttpClient, upstream: FakeUpstream
):
    upstream.at(PATH, lambda turn: turn.reply({"object": "list"}))
    found = provider("compatible", upstream.url).check(http)
    assert (found.ok, found.models) == (True, None)


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (401, "upstream_auth"),
        (404, "upstream_rejected"),
        (429, "upstream_rate_limited"),
        (500, "upstream_error"),
        (503, "upstream_overloaded"),
    ],
)
def test_what_is_wrong_is_told(http: HttpClient, upstream: FakeUpstream, status: int, code: str):
    upstream.at(PATH, fail_with(status))
    found = provider("compatible", upstream.url, KEYS[0]).check(http)
    assert (found.ok, found.status, found.error_code) == (False, status, code)
    assert found.message
    assert found.models is None


def _cut(turn: Turn) -> None:
    turn.head(content_length="100")
    turn.write(b'{"data"')
    turn.cut()


@pytest.mark.parametrize(
    ("script", "status", "code"),
    [
        (lambda turn: turn.reply(b"<html>"), 200, "upstream_garbage"),
        (lambda turn: turn.reply({"error": "no"}), 200, "upstream_garbage"),
        (_cut, 200, "upstream_cut"),
        (lambda turn: turn.reset(), None, "upstream_cut"),
    ],
)
def test_an_answer_that_is_none_is_told(
    http: HttpClient, upstream: FakeUpstream, script: Script, status: int | None, code: str
):
    upstream.at(PATH, script)
    found = provider("compatible", upstream.url).check(http)
    assert (found.ok, found.status, found.error_code) == (False, status, code)


def test_where_nobody_listens_there_is_no_status(http: HttpClient, dead_url: str):
    found = provider("compatible", dead_url).check(http)
    assert (found.ok, found.status, found.error_code) == (False, None, "upstream_unreachable")


def _say_nothing(turn: Turn) -> None:
    assert turn.wait_for_hang_up()


def test_a_silent_server_is_not_waited_for(
    http: HttpClient, upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(base, "_CHECK_SECONDS", 0.3)
    upstream.at(PATH, _say_nothing)
    found = provider("compatible", upstream.url).check(http)
    assert (found.ok, found.error_code) == (False, "upstream_timeout")
    assert 250 <= found.milliseconds < 8000


@pytest.mark.parametrize("key", KEYS)
def test_any_key_can_be_checked(http: HttpClient, upstream: FakeUpstream, key: Credential):
    upstream.at(PATH, lambda turn: turn.reply({"data": []}))
    many = provider("compatible", upstream.url, *KEYS)
    for _ in range(2):
        assert many.check(http, key_id=key.id).ok
        assert upstream.seen(PATH)[-1].headers["authorization"] == f"Bearer {key.secret}"


def test_an_answer_that_is_too_long_is_not_read_on(
    http: HttpClient, upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(base, "_CHECK_LIMIT", 10)
    hung_up = threading.Event()

    def endless(turn: Turn) -> None:
        turn.head(content_length="1000000")
        turn.write(b"x" * 1000)
        assert turn.wait_for_hang_up()
        hung_up.set()

    upstream.at(PATH, endless)
    assert provider("compatible", upstream.url).check(http).error_code == "upstream_garbage"
    assert hung_up.wait(10)


def test_no_result_shows_a_key(http: HttpClient, upstream: FakeUpstream):
    upstream.at(PATH, fail_with(400, {"message": f"bad {KEYS[0].secret}"}))
    found = provider("compatible", upstream.url, KEYS[0]).check(http)
    assert KEYS[0].secret not in repr(found)
