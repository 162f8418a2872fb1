"""Who may do what."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from torana.auth.policy import KEY_PERMISSIONS, Permission
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
        balance_ids=("bal_1",),
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


@pytest.mark.parametrize(
    ("models", "model", "may"),
    [
        (None, "anything", True),
        (("a", "b"), "a", True),
        (("a", "b"), "c", False),
        (("a",), "A", False),
        (("a",), "provider/a", False),
        ((), "a", False),
    ],
)
def test_a_list_of_models_is_exact_and_an_empty_one_allows_nothing(models, model, may):
    assert principal(models).may_use(model) is may
