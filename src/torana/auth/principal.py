"""The caller of a request, as a value."""

from __future__ import annotations

from datetime import datetime

import msgspec

from torana.auth.policy import KEY_PERMISSIONS, Permission


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """Who calls, and on whose account.

    Attributes:
        balance_ids: the balances that judge its calls, sorted as they are locked.
        models: names that it may ask for; None for all.
        expires_at: until when the credential is good; None for ever.
    """

    key_id: str
    key_name: str
    project_id: str
    project_name: str
    organisation_id: str
    organisation_name: str
    user_id: str | None
    balance_ids: tuple[str, ...]
    models: tuple[str, ...] | None = None
    expires_at: datetime | None = None
    permissions: frozenset[Permission] = KEY_PERMISSIONS

    def may_use(self, model: str) -> bool:
        """Whether the credential's list of models has this name."""
        return self.models is None or model in self.models
