"""Leases in a real Redis, and the checks of providers that take turns by them."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from torana.coordination import ActiveChecks, CheckPlan, HealthSync, open_redis
from torana.coordination.leases import give_back, hold, holder
from torana.errors import ToranaError, UpstreamUnreachable
from torana.inference.health import Health


def test_one_owner_has_a_lease_and_may_renew_it(client):
    assert hold(client, "lease", "one", 60_000)
    assert not hold(client, "lease", "other", 60_000)
    assert hold(client, "lease", "one", 60_000)
    assert holder(client, "lease") == "one"


def test_a_renewed_lease_lasts_longer(client, server):
    hold(client, "lease", "one", 1000)
    hold(client, "lease", "one", 60_000)
    left = server.say("PTTL", "lease")
    assert isinstance(left, int)
    assert left > 50_000


def test_a_lease_ends_by_itself(client, until):
    hold(client, "lease", "one", 100)
    assert until(lambda: hold(client, "lease", "other", 60_000)) < 1.0


def test_only_its_owner_gives_a_lease_back(client):
    hold(client, "lease", "one", 60_000)
    give_back(client, "lease", "other")
    assert holder(client, "lease") == "one"
    give_back(client, "lease", "one")
    assert holder(client, "lease") is None


def test_where_redis_keeps_nothing_everybody_has_the_lease(client, server):
    server.fill()
    assert hold(client, "lease", "one", 60_000)
    assert hold(client, "lease", "other", 60_000)
    server.kill()
    assert hold(client, "lease", "one", 60_000)
    assert holder(client, "lease") is None
    give_back(client, "lease", "one")


class Checker:
    """The checks of one process."""

    def __init__(self, url: str) -> None:
        self.now = 0.0
        self.asked: list[str] = []
        self.told: list[tuple[str, tuple[str, ...], ToranaError | None]] = []
        self.redis = open_redis(url)
        self.checks = ActiveChecks(
            self,
            plans=lambda: [CheckPlan(provider="p", seconds=1.0)],
            check=self.check,
            redis=self.redis,
            clock=lambda: self.now,
        )

    def check(self, provider: str) -> ToranaError | None:
        self.asked.append(provider)
        return None

    def checked(self, provider: str, models: Iterable[str], error: ToranaError | None) -> None:
        self.told.append((provider, tuple(models), error))

    def run(self) -> None:
        self.now += 1.0
        self.checks.run_once()


@pytest.fixture
def checkers(server):
    made = [Checker(server.url) for _ in range(3)]
    yield made
    for checker in made:
        checker.redis.close()


def test_one_process_checks_and_goes_on_to(checkers):
    for _ in range(5):
        for checker in checkers:
            checker.run()
    assert [len(checker.asked) for checker in checkers] == [5, 0, 0]
    assert checkers[0].told == [("p", (), None)] * 5


def test_another_goes_on_when_it_has_died(checkers, until):
    first: Checker = checkers[0]
    second: Checker = checkers[1]
    first.run()

    def second_checks() -> bool:
        second.run()
        return bool(second.asked)

    # The lease is kept for one and a half periods.
    assert 1.0 < until(second_checks) < 3.0


def test_without_redis_each_checks(checkers, server):
    server.kill()
    for checker in checkers:
        checker.run()
    assert [len(checker.asked) for checker in checkers] == [1, 1, 1]


def test_what_a_check_finds_reaches_the_other_processes(client, server, until):
    elsewhere = Health()
    other = open_redis(server.url)
    one, two = Health(), HealthSync(elsewhere, other)
    sync = HealthSync(one, client)
    sync.run_once()
    two.run_once()
    one.checked("p", ["m"], UpstreamUnreachable("x"))
    sync.run_once()
    two.run_once()
    assert elsewhere.view("p", "m").state == "open"
    assert elsewhere.view("p", "m").reason == "upstream_unreachable"
    other.close()
