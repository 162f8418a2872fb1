"""Which balances judge a call, by what was seen of its accounts."""

from __future__ import annotations

import pytest

from tests.unit.ledger.judging import balance, window
from torana.ledger.decide import Balance
from torana.ledger.directory import Directory, Dynamic, Wanted, dynamic_scopes
from torana.ledger.records import CallRecord
from torana.ledger.terms import Terms

ANCHOR = "proj_1"


def record(*account_ids: str, **fields: object) -> CallRecord:
    values: dict[str, object] = {
        "call_id": "req_1",
        "organisation_id": "org_1",
        "project_id": ANCHOR,
        "user_id": None,
        "key_id": "key_1",
        "account_ids": account_ids,
        "route": "r",
        "model": "m",
        "provider": "p",
        "target_model": "t",
        "price_id": None,
    }
    return CallRecord(**(values | fields))  # type: ignore[arg-type]


def account(identifier: str, scope_id: str = ANCHOR, **terms: object) -> Balance:
    row = balance(identifier)
    row.scope_id = scope_id
    row.terms = Terms(**terms)  # type: ignore[arg-type]
    return row


@pytest.fixture
def directory() -> Directory:
    return Directory()


def test_what_was_never_seen_is_only_its_accounts(directory):
    assert directory.guess(record("bal_1", "bal_2")) == ["bal_1", "bal_2"]


def test_accounts_bring_the_windows_that_they_list(directory):
    directory.note([account("bal_1", windows=("bal_w", "bal_v")), account("bal_2")])
    assert directory.guess(record("bal_1", "bal_2")) == ["bal_1", "bal_w", "bal_v", "bal_2"]
    directory.note([account("bal_1", windows=("bal_x",))])
    assert directory.guess(record("bal_1", "bal_2")) == ["bal_1", "bal_x", "bal_2"]


def test_a_window_is_no_account(directory):
    row = window("bal_1")
    row.terms = Terms(windows=("bal_w",))
    directory.note([row])
    assert directory.guess(record("bal_1")) == ["bal_1"]


SCOPES = ("end_user", "tag:team", "tag:a=b")


def test_an_anchor_counts_by_the_dimensions_that_it_has_and_the_call_names():
    row = account("bal_1", dimensions=SCOPES, revision=3)
    call = record("bal_1", end_user="alice/b", tags={"team": "red", "other": "x"})
    assert list(dynamic_scopes("bal_1", row, call)) == [
        Dynamic("end_user", "proj_1/alice/b", "bal_1", 3),
        Dynamic("tag", "proj_1/team=red", "bal_1", 3),
    ]
    assert list(dynamic_scopes("bal_1", row, record("bal_1"))) == []
    assert list(dynamic_scopes("bal_1", account("bal_1"), call)) == []


@pytest.mark.parametrize(
    ("kind", "scope_id", "template"),
    [
        ("end_user", "proj_1/alice", "proj_1/*"),
        ("end_user", "org_1/a/b=c", "org_1/*"),
        ("tag", "proj_1/team=red=blue/x", "proj_1/team=*"),
    ],
)
def test_a_template_stands_for_all_of_its_anchor(kind, scope_id, template):
    assert Dynamic(kind, scope_id, "bal_1", 0).template_id == template


ALICE = Dynamic("end_user", "proj_1/alice", "bal_1", 1)


def wanted(directory: Directory, rows: list[Balance]) -> Wanted:
    by_id = {row.id: row for row in rows}
    return directory.wanted(record("bal_1", end_user="alice"), by_id.get)


def test_an_end_user_is_looked_up_once(directory):
    rows = [account("bal_1", dimensions=("end_user",), revision=1)]
    assert wanted(directory, rows).unknown == [ALICE]
    directory.note_dynamic(ALICE, None)
    assert wanted(directory, rows) == Wanted(["bal_1"], [])


def test_an_end_user_without_an_account_is_looked_up_again_after_an_edit(directory):
    directory.note_dynamic(ALICE, None)
    rows = [account("bal_1", dimensions=("end_user",), revision=2)]
    assert len(wanted(directory, rows).unknown) == 1


def test_an_end_users_account_brings_its_windows_and_outlives_edits(directory):
    directory.note_dynamic(ALICE, "bal_alice")
    rows = [account("bal_1", dimensions=("end_user",), revision=2)]
    # Its own row was not locked yet: its windows are learned in the next round.
    assert wanted(directory, rows) == Wanted(["bal_1", "bal_alice"], [])
    rows.append(account("bal_alice", "proj_1/alice", windows=("bal_w",)))
    assert wanted(directory, rows) == Wanted(["bal_1", "bal_alice", "bal_w"], [])
    directory.note(rows)
    assert directory.guess(record("bal_1", end_user="alice")) == ["bal_1", "bal_alice", "bal_w"]
    assert directory.guess(record("bal_1", end_user="bob")) == ["bal_1"]


def test_what_is_remembered_is_bounded(directory, monkeypatch):
    monkeypatch.setattr("torana.ledger.directory._MOST", 10)
    for number in range(100):
        directory.note([account(f"bal_{number}")])
        directory.note_dynamic(Dynamic("end_user", f"proj_1/{number}", "bal_1", 1), None)
    assert len(directory._accounts) <= 11
    assert len(directory._dynamic) <= 11
