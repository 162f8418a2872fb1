"""Responses that callers come back to by their ids: sealed, found and deleted.

A row is written in the transaction of its call's ledger entry (`Settlement.response`), so that an
id which a caller was told is there. What was said is encrypted. Only the project that made a
response finds it: for all others, and after its life, it does not exist.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta

import msgspec
from sqlalchemy import ColumnElement, delete, select
from sqlalchemy.engine import CursorResult
from sqlalchemy.orm import Session

from torana.db.models import StoredResponse
from torana.db.session import Database
from torana.ledger.locking import database_now
from torana.ledger.records import KeptResponse
from torana.offload import offload
from torana.secret_box import SecretBox

PURPOSE = "stored-responses"
MOST_BYTES = 4 * 1024 * 1024
"""Larger contents are not kept."""
LARGE_BYTES = 128 * 1024
"""What is larger is sealed in a native thread: it would hold up other calls."""
_ID = re.compile(r"[!-~]{1,200}")
"""What an id may be; one of a provider's may be anything."""


class Conversation(msgspec.Struct, frozen=True, kw_only=True):
    """A stored response.

    Attributes:
        provider, target_model: what answered.
        kept_by: `torana`, or `provider` where the provider has the content under the same id.
        content: as it was given to `Conversations.keep`; None when the provider has it.
        previous_id: the response that this one goes on from.
    """

    id: str
    provider: str
    target_model: str
    kept_by: str
    content: bytes | None
    previous_id: str | None
    created_at: datetime
    expires_at: datetime


class Conversations:
    """Makes what the ledger's transaction stores, and finds it again.

    Args:
        database: where it is.
        box: encrypts; a conversation may hold anything that a prompt held.
        life: of a response; with none at all nothing is kept.
    """

    def __init__(self, database: Database, box: SecretBox, life: timedelta) -> None:
        self._database = database
        self._box = box
        self._life = life

    @property
    def keeps(self) -> bool:
        """Whether responses are kept at all."""
        return self._life > timedelta(0)

    def seal(self, content: bytes) -> bytes | None:
        """What is stored of a content; None when it is too large to be kept."""
        if len(content) > MOST_BYTES:
            return None
        if len(content) > LARGE_BYTES:
            return offload(self._box.seal_bytes, content)
        return self._box.seal_bytes(content)

    def keep(
        self, response_id: str, *, content: bytes | None, previous_id: str | None = None
    ) -> KeptResponse | None:
        """What a call's settlement says of its response.

        Args:
            response_id: as the caller is told it.
            content: what is needed to show the response and to go on from it; None when the
                provider keeps it under the same id.
            previous_id: the response that it goes on from.

        Returns:
            None when it can't be kept: nothing is kept here, or the content is too large.
        """
        if not self.keeps or _ID.fullmatch(response_id) is None:
            return None
        sealed = None if content is None else self.seal(content)
        if content is not None and sealed is None:
            return None
        return KeptResponse(
            id=response_id,
            kept_by="provider" if content is None else "torana",
            content=sealed,
            previous_id=previous_id,
            life=round(self._life.total_seconds()),
        )

    def find(self, response_id: str, project_id: str) -> Conversation | None:
        """A response that a project has made and that lives.

        Raises:
            LedgerUnavailable: the database is away.
            ConfigurationError: it was sealed with a secret that is no longer set.
        """
        if _ID.fullmatch(response_id) is None:
            return None
        with self._database.read() as session:
            row = session.scalars(
                select(StoredResponse).where(*_lives(session, response_id, project_id))
            ).one_or_none()
        if row is None:
            return None
        return Conversation(
            id=row.id,
            provider=row.provider,
            target_model=row.target_model,
            kept_by=row.kept_by,
            content=None if row.content is None else self._box.open_bytes(row.content),
            previous_id=row.previous_id,
            created_at=row.created_at,
            expires_at=row.expires_at,
        )

    def delete(self, response_id: str, project_id: str) -> bool:
        """Take a response away.

        Returns:
            Whether the project had it; one that has expired counts as gone.

        Raises:
            LedgerUnavailable: the database is away.
        """
        if _ID.fullmatch(response_id) is None:
            return False
        with self._database.write() as session:
            done = session.execute(
                delete(StoredResponse).where(*_lives(session, response_id, project_id))
            )
            return isinstance(done, CursorResult) and done.rowcount > 0


def _lives(session: Session, response_id: str, project_id: str) -> list[ColumnElement[bool]]:
    return [
        StoredResponse.project_id == project_id,
        StoredResponse.id == response_id,
        StoredResponse.expires_at > database_now(session),
    ]
