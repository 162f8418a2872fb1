"""All tables, so that one import fills the metadata."""

from torana.db.models.base import Base
from torana.db.models.catalog import (
    ConfigVersion,
    ModelRoute,
    PriceVersion,
    Provider,
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
    "ApiKey",
    "Balance",
    "Base",
    "Budget",
    "BudgetEvent",
    "ConfigVersion",
    "IdempotentCall",
    "LedgerEntry",
    "Membership",
    "ModelRoute",
    "Organisation",
    "Owner",
    "PriceVersion",
    "Project",
    "Provider",
    "Reservation",
    "StoredResponse",
    "SuspendedTarget",
    "UsageRollup",
    "User",
]
