"""Responses that callers come back to, by their ids, until they expire."""

from __future__ import annotations

from sqlalchemy import LargeBinary, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from torana.db.models.base import Base, Id, Name, When


class StoredResponse(Base):
    """A response of a call, written in the transaction of the call's ledger entry.

    It belongs to its project: an id says nothing outside of it, so two projects whose providers
    choose the same id are not in each other's way.

    Attributes:
        id: as the caller was told it.
        kept_by: `torana`, or `provider` where the provider has the content under the same id.
        previous_id: the response that this one goes on from.
        content: encrypted.
    """

    __tablename__ = "stored_responses"

    project_id: Mapped[Id] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(Text(), primary_key=True)
    organisation_id: Mapped[Id]
    key_id: Mapped[Id]
    call_id: Mapped[Id]
    provider: Mapped[str] = mapped_column(String(64))
    target_model: Mapped[Name]
    kept_by: Mapped[str] = mapped_column(String(16))
    previous_id: Mapped[str | None] = mapped_column(Text())
    created_at: Mapped[When]
    expires_at: Mapped[When] = mapped_column(index=True)
    content: Mapped[bytes | None] = mapped_column(LargeBinary)
