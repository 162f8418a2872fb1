"""Who may do what."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from torana.auth.policy import (
    ADMIN_KEY_PERMISSIONS,
    KEY_PERMISSIONS,
    KEY_ROLES,
    Permission,
)
from torana.auth.principal import Principal


def principal(models: tuple[str, ...] | None) -> Principal:
    return Principal(
        key_id="key_1",
        key_name="k",
        project_id="proj_1",
        project_name="p",
        organisation_id="org_1",
        organisation_name="o",
        user_id=None,
        account_ids=("bal_1",),
        models=models,
        expires_at=datetime(2027, 1, 1, tzinfo=UTC),
    )


def test_public_is_a_word_and_never_what_a_credential_has():
    assert Permission.PUBLIC not in KEY_PERMISSIONS


def test_a_key_may_call_and_read_its_own_project():
    assert {
        Permission.CALL,
        Permission.READ_SELF,
        Permission.READ_MODELS,
        Permission.READ_USAGE,
        Permission.READ_LEDGER,
    } == KEY_PERMISSIONS
    assert principal(None).permissions == KEY_PERMISSIONS


def test_an_administrators_key_may_do_more_within_its_organisation():
    assert KEY_ROLES == {"caller": KEY_PERMISSIONS, "admin": ADMIN_KEY_PERMISSIONS}
    assert {
        Permission.READ_ORGANISATION,
        Permission.MANAGE_BUDGETS,
        Permission.MANAGE_PRICES,
        Permission.MANAGE_PROVIDERS,
        Permission.MANAGE_MODELS,
        Permission.MANAGE_GUARDRAILS,
    } == ADMIN_KEY_PERMISSIONS - KEY_PERMISSIONS
    assert Permission.PUBLIC not in ADMIN_KEY_PERMISSIONS


@pytest.mark.parametrize(
    ("models", "model", "may"),
    [
        (None, "anything", True),
        (("a", "b"), "a", True),
        (("a", "b"), "c", False),
        (("a",), "A", False),
        (("a",), "provider/a", False),
        ((), "a", False),
        (("gpt-4o*",), "gpt-4o-mini", True),
        (("gpt-4o*",), "gpt-4", False),
        (("*",), "anything", True),
    ],
)
def test_a_list_has_names_and_beginnings_and_an_empty_one_allows_nothing(models, model, may):
    assert principal(models).may_use(model) is may
