"""Several keys of one provider, over real connections: which are sent, and what callers learn."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.contract.calls import PATIENT, chat_body, exchange, send
from tests.contract.fake_upstream import FakeUpstream, Script, Turn, answer_well, fail_with
from torana.errors import UpstreamAuth, UpstreamError, UpstreamRateLimited, UpstreamRejected
from torana.outbound.client import HttpClient
from torana.providers import Credential, Provider, ProviderConfig, Sending, build

KEYS = tuple(Credential(id=f"pkey_{n}", secret=f"sk-canary-ring-{n}-5e90") for n in (1, 2, 3))
SENT = [f"Bearer {key.secret}" for key in KEYS]


def provider(url: str, *keys: Credential) -> Provider:
    return build(
        ProviderConfig(name="many", kind="compatible", base_url=url, keys=keys, private=True)
    )


def fails_for(failure: Script, *headers: str) -> Script:
    """Answers well, but for some keys."""

    def play(turn: Turn) -> None:
        bad = turn.request.headers.get("authorization") in headers
        (failure if bad else answer_well)(turn)

    return play


def used(upstream: FakeUpstream, model: str) -> list[str | None]:
    return [seen.headers.get("authorization") for seen in upstream.seen(model)]


def test_keys_are_sent_in_turns(http: HttpClient, upstream: FakeUpstream):
    model = upstream.model()
    many = provider(upstream.url, *KEYS)
    for _ in range(6):
        send(many, http, chat_body(model)).close()
    assert used(upstream, model) == SENT * 2


@pytest.mark.parametrize("status", [401, 403, 429])
def test_when_a_key_fails_another_may_be_tried_at_once(
    http: HttpClient, upstream: FakeUpstream, status: int
):
    model = upstream.model(fails_for(fail_with(status, None, retry_after="60"), SENT[0]))
    many = provider(upstream.url, *KEYS)
    with pytest.raises(UpstreamError) as failure:
        send(many, http, chat_body(model))
    assert (failure.value.other_key, failure.value.retryable) == (True, True)
    for _ in range(4):
        send(many, http, chat_body(model)).close()
    assert used(upstream, model) == [SENT[0], SENT[1], SENT[2], SENT[1], SENT[2]]


def test_where_all_limits_are_used_up_nothing_is_sent(http: HttpClient, upstream: FakeUpstream):
    model = upstream.model(fail_with(429, None, retry_after="60"))
    many = provider(upstream.url, *KEYS)
    errors = []
    for _ in range(5):
        with pytest.raises(UpstreamRateLimited) as failure:
            send(many, http, chat_body(model))
        errors.append(failure.value)
    assert len(upstream.seen(model)) == 3
    assert [error.other_key for error in errors] == [True, True, False, False, False]
    assert errors[-1].cooldown == pytest.approx(60, abs=5)
    assert errors[-1].retry_after == errors[-1].cooldown


def test_where_all_keys_were_refused_they_are_tried_all_the_same(
    http: HttpClient, upstream: FakeUpstream
):
    model = upstream.model(fail_with(401))
    many = provider(upstream.url, *KEYS[:2])
    for _ in range(4):
        with pytest.raises(UpstreamAuth):
            send(many, http, chat_body(model))
    assert used(upstream, model) == [*SENT[:2], *SENT[:2]]


def test_a_key_that_is_taken_again_rests_no_longer(http: HttpClient, upstream: FakeUpstream):
    answers = [fail_with(401), fail_with(401), answer_well, answer_well]

    def next_answer(turn: Turn) -> None:
        answers.pop(0)(turn)

    model = upstream.model(next_answer)
    many = provider(upstream.url, *KEYS[:2])
    for _ in range(2):
        with pytest.raises(UpstreamAuth):
            send(many, http, chat_body(model))
    for _ in range(2):
        send(many, http, chat_body(model)).close()
    assert used(upstream, model) == [*SENT[:2], SENT[0], SENT[0]]


@pytest.mark.parametrize("status", [401, 429])
def test_a_lone_key_is_tried_again_and_again(http: HttpClient, upstream: FakeUpstream, status: int):
    model = upstream.model(fail_with(status, None, retry_after="60"))
    one = provider(upstream.url, KEYS[0])
    for _ in range(3):
        with pytest.raises(UpstreamError) as failure:
            send(one, http, chat_body(model))
        assert failure.value.other_key is False
    assert used(upstream, model) == [SENT[0]] * 3


@pytest.mark.parametrize(("count", "told"), [(0, []), (1, []), (2, ["pkey_1", "pkey_2", "pkey_1"])])
def test_the_key_that_is_used_is_told_where_there_are_several(
    http: HttpClient, upstream: FakeUpstream, count: int, told: list[str]
):
    model = upstream.model()
    many = provider(upstream.url, *KEYS[:count])
    picked: list[str] = []
    for _ in range(3):
        sending = Sending(
            path="/chat/completions",
            body=chat_body(model),
            request_id="req_1",
            timeouts=PATIENT,
            exchange=exchange(),
            picked=picked.append,
        )
        many.send(http, sending).close()
    assert picked == told


def test_a_provider_that_repeats_any_key_does_not_tell_the_caller(
    http: HttpClient, upstream: FakeUpstream
):
    said = " and ".join(key.secret for key in KEYS)
    model = upstream.model(fail_with(400, {"message": said}))
    with pytest.raises(UpstreamRejected) as failure:
        send(provider(upstream.url, *KEYS), http, chat_body(model))
    assert failure.value.message == "*** and *** and ***"


@pytest.mark.parametrize(
    "secret", ["sk-broken\r\nx-evil: 1", "sk-broken-\u0915", "sk broken", "\n"]
)
def test_a_key_that_no_header_can_carry_is_not_shown_in_an_error(
    http: HttpClient, upstream: FakeUpstream, secret: str
):
    model = upstream.model()
    bad = Credential(id="pkey_bad", secret=secret)
    with pytest.raises(UpstreamAuth) as failure:
        send(provider(upstream.url, bad), http, chat_body(model))
    assert "broken" not in repr(failure.value)
    assert failure.value.__cause__ is None
    assert upstream.seen(model) == []


def test_a_key_that_no_header_can_carry_leaves_the_call_to_another(
    http: HttpClient, upstream: FakeUpstream
):
    model = upstream.model()
    many = provider(upstream.url, Credential(id="pkey_bad", secret="sk\n"), KEYS[1])
    with pytest.raises(UpstreamAuth) as failure:
        send(many, http, chat_body(model))
    assert failure.value.other_key
    send(many, http, chat_body(model)).close()
    assert used(upstream, model) == [SENT[1]]


def test_many_calls_at_once_share_the_keys(http: HttpClient, upstream: FakeUpstream):
    model = upstream.model(fails_for(fail_with(429, None, retry_after="60"), SENT[1]))
    many = provider(upstream.url, *KEYS)

    def ask(_: int) -> int:
        for tries in range(1, 9):
            try:
                send(many, http, chat_body(model)).close()
            except UpstreamRateLimited as error:
                if not error.other_key:
                    raise
            else:
                return tries
        raise AssertionError("no key would do")

    with ThreadPoolExecutor(8) as pool:
        assert len(list(pool.map(ask, range(40)))) == 40
    sent = used(upstream, model)
    # Calls that were under way when the first of them learned of it: one for each thread at most.
    assert sent.count(SENT[1]) <= 8
    assert abs(sent.count(SENT[0]) - sent.count(SENT[2])) <= 8
