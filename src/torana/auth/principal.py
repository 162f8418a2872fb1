"""The caller of a request, as a value."""

from __future__ import annotations

from datetime import datetime

import msgspec

from torana.auth.policy import KEY_PERMISSIONS, Permission
from torana.core.model_lists import allows


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """Who calls, and on whose account.

    Attributes:
        account_ids: the accounts that judge its calls, sorted as they are locked.
        role: `caller` or `admin`, of the key.
        models: names that it may ask for, None for all; `gpt-4o*` stands for a beginning.
        cache_seconds: how long answers to its calls are kept for the same request; 0 keeps none,
            None leaves it to the route.
        expires_at: until when the credential is good; None for ever.
    """

    key_id: str
    key_name: str
    project_id: str
    project_name: str
    organisation_id: str
    organisation_name: str
    user_id: str | None
    account_ids: tuple[str, ...]
    role: str = "caller"
    models: tuple[str, ...] | None = None
    cache_seconds: int | None = None
    expires_at: datetime | None = None
    permissions: frozenset[Permission] = KEY_PERMISSIONS

    def may_use(self, model: str) -> bool:
        """Whether the credential's list of models has this name.

        For what is shown only, because it may be a second old: who may call is judged by the
        ledger's rows.
        """
        return allows(self.models, model)
