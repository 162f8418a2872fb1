"""From a presented key to its principal."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import delete, event, select, update

from torana.admin.keys import CreatedKey, create_key, revoke_key
from torana.admin.tenancy import create_user
from torana.auth import api_keys
from torana.auth.api_keys import KeyRing, generate
from torana.auth.policy import KEY_PERMISSIONS
from torana.auth.principal import Principal
from torana.core.clock import utc_now
from torana.db.models import ApiKey, Balance, Organisation, Project
from torana.db.session import Database
from torana.errors import KeyRevoked, LedgerUnavailable, NotAuthenticated


def made(database: Database, **options: Any) -> CreatedKey:
    return create_key(database, project="default", **({"name": "k"} | options))


def kinds_of(database: Database, account_ids: tuple[str, ...]) -> list[str]:
    with database.read() as session:
        rows = session.scalars(select(Balance.scope_kind).where(Balance.id.in_(account_ids)))
        return sorted(rows)


def expire(database: Database, key: CreatedKey, in_seconds: float) -> None:
    with database.write() as session:
        session.execute(
            update(ApiKey)
            .where(ApiKey.id == key.id)
            .values(expires_at=utc_now() + timedelta(seconds=in_seconds))
        )


class Queries:
    """Counts the statements that a database is asked."""

    def __init__(self, database: Database) -> None:
        self.count = 0
        event.listen(database.engine, "before_cursor_execute", self._counted)

    def _counted(self, *_: object) -> None:
        self.count += 1


@pytest.fixture
def ring(shared_database) -> KeyRing:
    return KeyRing(shared_database)


def test_a_key_is_known_with_its_project_and_organisation(shared_database, ring):
    key = made(shared_database, name="batch job", models=["a", "b"])
    caller = ring.authenticate(key.key)
    with shared_database.read() as session:
        project = session.scalars(select(Project)).one()
        organisation = session.scalars(select(Organisation)).one()
    assert (caller.key_id, caller.key_name) == (key.id, "batch job")
    assert (caller.project_id, caller.project_name) == (project.id, "default")
    assert (caller.organisation_id, caller.organisation_name) == (organisation.id, "default")
    assert (caller.user_id, caller.models, caller.expires_at) == (None, ("a", "b"), None)
    assert caller.permissions == KEY_PERMISSIONS


def test_a_programs_key_is_counted_on_three_balances_in_the_order_of_their_locks(
    shared_database, ring
):
    balances = ring.authenticate(made(shared_database).key).account_ids
    assert kinds_of(shared_database, balances) == ["key", "organisation", "project"]
    assert balances == tuple(sorted(balances))


def test_a_persons_key_is_counted_on_four(shared_database, ring):
    user = create_user(
        shared_database, email="four@example.test", password="correct horse", role="member"
    )
    caller = ring.authenticate(made(shared_database, owner_email="FOUR@example.test").key)
    assert caller.user_id == user.id
    assert kinds_of(shared_database, caller.account_ids) == [
        "key",
        "organisation",
        "project",
        "user",
    ]
    assert caller.account_ids == tuple(sorted(caller.account_ids))


def test_two_keys_share_their_projects_balance_and_not_their_own(shared_database, ring):
    first = set(ring.authenticate(made(shared_database).key).account_ids)
    second = set(ring.authenticate(made(shared_database).key).account_ids)
    assert len(first & second) == 2


def test_a_key_that_nobody_made_is_refused(ring):
    with pytest.raises(NotAuthenticated, match="Incorrect API key"):
        ring.authenticate(generate().text)


@pytest.mark.parametrize("text", ["", "sk-tor-", "sk-proj-abc", "x" * 56, "é", "\x00"])
def test_what_is_no_key_is_refused_without_a_look_at_the_database(shared_database, ring, text):
    queries = Queries(shared_database)
    with pytest.raises(NotAuthenticated, match="Incorrect API key") as caught:
        ring.authenticate(text)
    assert queries.count == 0
    assert not text or text not in caught.value.message


def test_a_known_key_costs_no_query_for_a_while(shared_database, ring):
    key = made(shared_database)
    first = ring.authenticate(key.key)
    queries = Queries(shared_database)
    assert ring.authenticate(key.key) == first
    assert queries.count == 0
    assert ring.authenticate(key.key, fresh=True) == first
    assert queries.count > 0


def test_a_known_key_is_looked_up_again_after_a_while(shared_database, ring, monkeypatch):
    monkeypatch.setattr(api_keys, "_CACHE_SECONDS", 0.0)
    key = made(shared_database)
    ring.authenticate(key.key)
    queries = Queries(shared_database)
    ring.authenticate(key.key)
    assert queries.count > 0


def test_each_process_knows_its_own_keys(shared_database, ring):
    key = made(shared_database)
    ring.authenticate(key.key)
    assert KeyRing(shared_database).authenticate(key.key) == ring.authenticate(key.key)


def test_a_revoked_key_is_refused(shared_database, ring):
    key = made(shared_database)
    revoke_key(shared_database, key.id)
    with pytest.raises(KeyRevoked):
        ring.authenticate(key.key)


def test_a_revoked_key_that_is_known_is_refused_when_asked_afresh_and_from_then_on(
    shared_database, ring
):
    key = made(shared_database)
    ring.authenticate(key.key)
    revoke_key(shared_database, key.id)
    # Calls go on to the ledger, whose balance refuses them; see the teller's tests.
    ring.authenticate(key.key)
    with pytest.raises(KeyRevoked):
        ring.authenticate(key.key, fresh=True)
    with pytest.raises(KeyRevoked):
        ring.authenticate(key.key)


def test_an_expired_key_is_refused(shared_database, ring):
    key = made(shared_database)
    expire(shared_database, key, -1)
    with pytest.raises(NotAuthenticated, match="expired"):
        ring.authenticate(key.key)


def test_a_key_that_expires_later_is_good_until_then(shared_database, ring):
    key = made(shared_database)
    expire(shared_database, key, 3600)
    caller = ring.authenticate(key.key)
    assert caller.expires_at is not None
    assert caller.expires_at.tzinfo is not None


def test_a_known_key_that_expires_meanwhile_is_refused_without_a_query(
    shared_database, ring, monkeypatch
):
    key = made(shared_database)
    expire(shared_database, key, 3600)
    ring.authenticate(key.key)
    later = utc_now() + timedelta(hours=2)
    monkeypatch.setattr(api_keys, "utc_now", lambda: later)
    queries = Queries(shared_database)
    with pytest.raises(NotAuthenticated, match="expired"):
        ring.authenticate(key.key)
    assert queries.count == 0


def test_a_key_that_was_deleted_is_refused_when_asked_afresh(shared_database, ring):
    key = made(shared_database)
    ring.authenticate(key.key)
    with shared_database.write() as session:
        session.execute(delete(ApiKey).where(ApiKey.id == key.id))
    with pytest.raises(NotAuthenticated):
        ring.authenticate(key.key, fresh=True)
    with pytest.raises(NotAuthenticated):
        ring.authenticate(key.key)


def test_what_a_ring_remembers_has_an_end(shared_database, ring, monkeypatch):
    monkeypatch.setattr(api_keys, "_CACHE_SIZE", 3)
    keys = [made(shared_database).key for _ in range(8)]
    for key in keys * 2:
        assert ring.authenticate(key).key_id
    assert len(ring._cache) <= 3


def test_a_key_that_is_refused_is_not_remembered(ring):
    for _ in range(5):
        with pytest.raises(NotAuthenticated):
            ring.authenticate(generate().text)
    assert ring._cache == {}


def test_a_database_that_is_away_is_no_wrong_key():
    away = Database("sqlite:////nowhere/at/all/torana.db")
    with pytest.raises(LedgerUnavailable):
        KeyRing(away).authenticate(generate().text)
    away.dispose()


def test_of_a_key_only_its_digest_and_its_beginning_are_stored(shared_database):
    key = made(shared_database)
    with shared_database.read() as session:
        row = session.get_one(ApiKey, key.id)
        stored = [getattr(row, column.key) for column in ApiKey.__table__.columns]
    assert key.key not in str(stored)
    assert key.key[11:] not in str(stored)
    assert key.key.startswith(row.prefix)


class Silent(KeyRing):
    """A ring whose database fails, or holds a look-up up, as a test says."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.looks = 0
        self.fails = True
        self.held: threading.Event | None = None
        self.entered = threading.Event()

    def _look_up(self, digest: bytes) -> Principal:
        self.looks += 1
        self.entered.set()
        if self.held is not None:
            assert self.held.wait(10)
        if self.fails:
            raise LedgerUnavailable("away")
        return super()._look_up(digest)


def test_while_the_database_is_away_one_at_a_time_asks_it(shared_database, monkeypatch):
    monkeypatch.setattr(api_keys, "_AWAY_SECONDS", 0.0)
    ring, key = Silent(shared_database), made(shared_database)
    with pytest.raises(LedgerUnavailable):
        ring.authenticate(key.key)
    ring.held = threading.Event()
    ring.fails = False
    ring.entered.clear()
    with ThreadPoolExecutor(1) as pool:
        asks = pool.submit(ring.authenticate, key.key)
        assert ring.entered.wait(10)
        looks = ring.looks
        with pytest.raises(LedgerUnavailable) as caught:
            ring.authenticate(key.key)
        assert (caught.value.retry_after, ring.looks) == (1, looks)
        ring.held.set()
        assert asks.result(10).key_id == key.id
    ring.held = None
    assert ring.authenticate(key.key, fresh=True).key_id == key.id


def test_a_database_that_has_just_failed_is_left_alone_for_a_moment(shared_database, monkeypatch):
    monkeypatch.setattr(api_keys, "_AWAY_SECONDS", 600.0)
    ring, key = Silent(shared_database), made(shared_database)
    for _ in range(3):
        with pytest.raises(LedgerUnavailable):
            ring.authenticate(key.key)
    assert ring.looks == 1


def test_an_answer_of_any_kind_says_that_the_database_is_back(shared_database, monkeypatch):
    monkeypatch.setattr(api_keys, "_AWAY_SECONDS", 0.0)
    ring = Silent(shared_database)
    with pytest.raises(LedgerUnavailable):
        ring.authenticate(generate().text)
    ring.fails = False
    for _ in range(2):
        with pytest.raises(NotAuthenticated):
            ring.authenticate(generate().text)
