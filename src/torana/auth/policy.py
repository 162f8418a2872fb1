"""Permissions, and which caller has which. Pure data."""

from __future__ import annotations

from enum import StrEnum


class Permission(StrEnum):
    """What a route may demand. `PUBLIC` is said on purpose, never by leaving something out."""

    PUBLIC = "public"
    CALL = "call"
    READ_SELF = "read_self"
    READ_MODELS = "read_models"
    READ_USAGE = "read_usage"
    READ_LEDGER = "read_ledger"
    READ_ORGANISATION = "read_organisation"
    MANAGE_BUDGETS = "manage_budgets"
    MANAGE_PRICES = "manage_prices"
    MANAGE_PROVIDERS = "manage_providers"
    MANAGE_MODELS = "manage_models"
    MANAGE_GUARDRAILS = "manage_guardrails"


KEY_PERMISSIONS = frozenset(
    {
        Permission.CALL,
        Permission.READ_SELF,
        Permission.READ_MODELS,
        Permission.READ_USAGE,
        Permission.READ_LEDGER,
    }
)
"""What an API key may do, all of it within its own project."""

ADMIN_KEY_PERMISSIONS = KEY_PERMISSIONS | {
    Permission.READ_ORGANISATION,
    Permission.MANAGE_BUDGETS,
    Permission.MANAGE_PRICES,
    Permission.MANAGE_PROVIDERS,
    Permission.MANAGE_MODELS,
    Permission.MANAGE_GUARDRAILS,
}
"""What an administrator's API key may do, all of it within its own organisation."""

KEY_ROLES = {"caller": KEY_PERMISSIONS, "admin": ADMIN_KEY_PERMISSIONS}
"""What an API key may do, by its role."""
