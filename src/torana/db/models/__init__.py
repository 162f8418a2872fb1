"""All tables, so that one import fills the metadata."""

from torana.db.models.base import Base
from torana.db.models.catalog import ConfigVersion, ModelRoute, PriceVersion, Provider
from torana.db.models.ledger import Balance, LedgerEntry, Owner, Reservation
from torana.db.models.tenancy import ApiKey, Membership, Organisation, Project, User

__all__ = [
    "ApiKey",
    "Balance",
    "Base",
    "ConfigVersion",
    "LedgerEntry",
    "Membership",
    "ModelRoute",
    "Organisation",
    "Owner",
    "PriceVersion",
    "Project",
    "Provider",
    "Reservation",
    "User",
]
