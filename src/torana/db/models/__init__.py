"""All tables, so that one import fills the metadata."""

from torana.db.models.base import Base
from torana.db.models.catalog import (
    AllowedHost,
    ConfigVersion,
    Guardrail,
    ModelRoute,
    PriceVersion,
    Provider,
    ProviderKey,
    SuspendedTarget,
)
from torana.db.models.ledger import (
    Balance,
    Budget,
    BudgetEvent,
    IdempotentCall,
    LedgerEntry,
    Owner,
    Reservation,
    UsageRollup,
)
from torana.db.models.responses import StoredResponse
from torana.db.models.tenancy import ApiKey, Membership, Organisation, Project, User

__all__ = [
    "AllowedHost",
    "ApiKey",
    "Balance",
    "Base",
    "Budget",
    "BudgetEvent",
    "ConfigVersion",
    "Guardrail",
    "IdempotentCall",
    "LedgerEntry",
    "Membership",
    "ModelRoute",
    "Organisation",
    "Owner",
    "PriceVersion",
    "Project",
    "Provider",
    "ProviderKey",
    "Reservation",
    "StoredResponse",
    "SuspendedTarget",
    "UsageRollup",
    "User",
]
