"""Which of several keys is taken, and which rest."""

from __future__ import annotations

import threading
from collections import Counter

import pytest

from torana.errors import (
    UpstreamAuth,
    UpstreamError,
    UpstreamOverloaded,
    UpstreamRateLimited,
    UpstreamRejected,
)
from torana.providers.keys import LIMITED_SECONDS, REFUSED_SECONDS, KeyRing
from torana.providers.options import Credential

A, B, C = (Credential(id=f"pkey_{name}", secret=f"sk-{name}") for name in "abc")


def ring(*keys: Credential) -> KeyRing:
    return KeyRing("p", keys)


def limited(cooldown: float | None = None) -> UpstreamRateLimited:
    error = UpstreamRateLimited("slow down")
    error.cooldown = cooldown
    return error


def picks(keys: KeyRing, count: int, now: float = 0.0) -> list[Credential | None]:
    return [keys.pick(now) for _ in range(count)]


def test_keys_are_taken_in_turns():
    assert picks(ring(A, B, C), 6) == [A, B, C, A, B, C]


def test_a_provider_without_keys_takes_none():
    assert ring().pick(0.0) is None
    assert ring(Credential(id="k", secret="")).pick(0.0) is None


@pytest.mark.parametrize("error", [UpstreamAuth("no"), limited(30.0), limited()])
def test_a_lone_key_is_always_taken(error):
    keys = ring(A)
    before = error.retryable
    keys.failed(A, error, 0.0)
    assert picks(keys, 2) == [A, A]
    assert (error.other_key, error.retryable) == (False, before)


def test_a_key_that_was_refused_rests_for_a_minute():
    keys = ring(A, B)
    keys.failed(A, UpstreamAuth("no"), 10.0)
    assert picks(keys, 3, 10.0 + REFUSED_SECONDS - 0.1) == [B, B, B]
    assert A in picks(keys, 2, 10.0 + REFUSED_SECONDS)


@pytest.mark.parametrize(("cooldown", "rest"), [(30.0, 30.0), (None, LIMITED_SECONDS), (0.0, 0.0)])
def test_a_key_rests_until_its_limit_is_full_again(cooldown, rest):
    keys = ring(A, B)
    keys.failed(A, limited(cooldown), 10.0)
    if rest:
        assert picks(keys, 2, 10.0 + rest - 0.1) == [B, B]
    assert A in picks(keys, 2, 10.0 + rest)


@pytest.mark.parametrize("kind", [UpstreamAuth, UpstreamRateLimited])
def test_a_failure_tells_whether_another_key_may_do(kind):
    keys = ring(A, B)
    first, second = kind("no"), kind("no")
    keys.failed(A, first, 0.0)
    assert (first.other_key, first.retryable) == (True, True)
    keys.failed(B, second, 0.0)
    assert second.other_key is False
    assert second.retryable is kind.retryable


def test_a_key_whose_account_is_empty_rests():
    keys = ring(A, B)
    error = UpstreamRejected("Insufficient balance", status=402)
    keys.failed(A, error, 0.0)
    assert (error.other_key, error.retryable) == (True, True)
    assert picks(keys, 2, REFUSED_SECONDS - 0.1) == [B, B]


def test_a_key_whose_rest_is_over_is_another_key():
    keys = ring(A, B)
    keys.failed(A, limited(5.0), 0.0)
    error = limited(5.0)
    keys.failed(B, error, 6.0)
    assert error.other_key


@pytest.mark.parametrize(
    "error",
    [
        UpstreamError("broken"),
        UpstreamOverloaded("busy"),
        UpstreamRejected("what?", status=400),
    ],
)
def test_other_failures_say_nothing_of_the_key(error):
    keys = ring(A, B)
    before = error.retryable
    keys.failed(A, error, 0.0)
    assert (error.other_key, error.retryable) == (False, before)
    assert picks(keys, 2) == [A, B]


def test_where_all_limits_are_used_up_nothing_is_sent_until_the_soonest_is_full():
    keys = ring(A, B, C)
    for key, seconds in ((A, 40.0), (B, 20.0), (C, 30.0)):
        keys.failed(key, limited(seconds), 100.0)
    with pytest.raises(UpstreamRateLimited) as failure:
        keys.pick(105.0)
    error = failure.value
    assert (error.cooldown, error.retry_after) == (15.0, 15.0)
    assert (error.retryable, error.billable, error.other_key) == (True, False, False)
    assert keys.pick(120.0) is B


def test_where_all_were_refused_the_one_is_tried_that_has_rested_longest():
    keys = ring(A, B, C)
    for now, key in ((1.0, B), (2.0, A), (3.0, C)):
        keys.failed(key, UpstreamAuth("no"), now)
    assert [keys.pick(now) for now in (4.0, 5.0, 6.0, 7.0)] == [B, A, C, B]


def test_a_key_that_was_refused_does_not_stand_in_for_one_that_is_only_used_up():
    keys = ring(A, B)
    keys.failed(A, UpstreamAuth("no"), 0.0)
    keys.failed(B, limited(10.0), 0.0)
    with pytest.raises(UpstreamRateLimited):
        keys.pick(5.0)
    assert keys.pick(10.0) is B


def test_a_key_that_works_again_rests_no_longer():
    keys = ring(A, B)
    for key in (A, B):
        keys.failed(key, UpstreamAuth("no"), 0.0)
    assert keys.pick(1.0) is A
    keys.worked(A)
    assert picks(keys, 2, 1.0) == [A, A]


def test_a_key_is_found_by_its_id():
    keys = ring(A, B)
    assert keys.find("pkey_b") is B
    assert keys.find("pkey_c") is None


def test_no_message_shows_a_secret():
    keys = ring(A, B)
    for key in (A, B):
        keys.failed(key, limited(9.0), 0.0)
    with pytest.raises(UpstreamRateLimited) as failure:
        keys.pick(1.0)
    for text in (repr(keys), repr(A), str([A]), repr(failure.value), failure.value.public_message):
        assert "sk-" not in text


def test_many_threads_share_the_turns_evenly():
    keys = ring(A, B, C)
    taken: list[str] = []

    def take() -> None:
        for _ in range(300):
            key = keys.pick(0.0)
            assert key is not None
            taken.append(key.id)

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert Counter(taken) == {A.id: 400, B.id: 400, C.id: 400}
