"""A key with balances on a real database, a teller for its calls, and a look at the books."""

from __future__ import annotations

import threading
from typing import Any, Self

from sqlalchemy import func, select, update

from torana.admin.keys import create_key, revoke_key
from torana.admin.tenancy import create_user, list_users
from torana.auth.api_keys import KeyRing
from torana.auth.principal import Principal
from torana.core.ids import new_id
from torana.core.money import UNITS
from torana.core.usage import Counted, Usage
from torana.db.models import Balance, LedgerEntry, Reservation
from torana.db.session import Database
from torana.ledger import reports
from torana.ledger.bounds import Bound
from torana.ledger.open_lane import open_lane
from torana.ledger.records import Ask, CallRecord, Receipt, Settlement, Status
from torana.ledger.teller import Teller


class Batches:
    """An observer that remembers the sizes of batches."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.waits = 0
        self._lock = threading.Lock()

    def batch(self, size: int, seconds: float) -> None:
        assert seconds >= 0
        with self._lock:
            self.sizes.append(size)

    def wait(self, seconds: float) -> None:
        assert seconds >= 0
        with self._lock:
            self.waits += 1


class Books:
    """A fresh key, whose calls are counted on four balances."""

    def __init__(self, database: Database) -> None:
        self.database = database
        made = create_key(database, project="default", name="books", owner_email=_member(database))
        self.key_id = made.id
        self.principal: Principal = KeyRing(database).authenticate(made.key)
        self.batches = Batches()
        self.teller = self.another_teller()

    def another_teller(self) -> Teller:
        """A teller as another process would have it."""
        return Teller(open_lane(self.database, new_id("own")), self.batches)

    def record(self, **changes: Any) -> CallRecord:
        fields: dict[str, Any] = {
            "call_id": new_id("req"),
            "organisation_id": self.principal.organisation_id,
            "project_id": self.principal.project_id,
            "user_id": self.principal.user_id,
            "key_id": self.principal.key_id,
            "account_ids": self.principal.account_ids,
            "route": "openai.chat.completions",
            "model": "asked-model",
            "provider": "fake",
            "target_model": "target-model",
            "price_id": None,
        }
        return CallRecord(**(fields | changes))

    def admit(self, bound: int = 100, *, tokens: int = 0, **changes: Any) -> Receipt:
        return admitted(self.teller, self.record(**changes), bound, tokens=tokens)

    def limit(self, nano: int | None, scope_kind: str = "key") -> None:
        """Set a limit directly on the balance row."""
        with self.database.write() as session:
            session.execute(
                update(Balance)
                .where(Balance.id.in_(self.principal.account_ids), Balance.scope_kind == scope_kind)
                .values(limit_nano=nano)
            )

    def block(self, word: str | None, scope_kind: str) -> None:
        with self.database.write() as session:
            session.execute(
                update(Balance)
                .where(Balance.id.in_(self.principal.account_ids), Balance.scope_kind == scope_kind)
                .values(blocked=word)
            )

    def revoke(self) -> None:
        revoke_key(self.database, self.key_id)

    def figures(self, scope_kind: str = "key") -> tuple[int, int, int]:
        """Spent, reserved and open calls of a balance."""
        with self.database.read() as session:
            row = session.scalars(
                select(Balance).where(
                    Balance.id.in_(self.principal.account_ids), Balance.scope_kind == scope_kind
                )
            ).one()
            return row.spent_nano, row.reserved_nano, row.open_calls

    def reservations(self) -> list[Reservation]:
        with self.database.read() as session:
            rows = session.scalars(select(Reservation).where(Reservation.key_id == self.key_id))
            return list(rows)

    def entries(self) -> list[LedgerEntry]:
        with self.database.read() as session:
            rows = session.scalars(select(LedgerEntry).where(LedgerEntry.key_id == self.key_id))
            return list(rows)

    def total(self) -> tuple[int, int]:
        """How many calls the ledger has of this key, and their cost."""
        with self.database.read() as session:
            count, cost = session.execute(
                select(
                    func.count(LedgerEntry.call_id.distinct()), func.sum(LedgerEntry.cost_nano)
                ).where(LedgerEntry.key_id == self.key_id)
            ).one()
            return int(count), int(cost or 0)

    def differences(self) -> list[reports.Difference]:
        with self.database.read() as session:
            return reports.verify(session)

    def close(self) -> None:
        self.teller.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


def _member(database: Database) -> str:
    """The user of all keys here: hashing a password is too dear to do it for each."""
    email = "books@example.test"
    if email not in {user.email for user in list_users(database)}:
        create_user(database, email=email, password="correct horse battery", role="member")
    return email


def ask(bound: int = 100, *, tokens: int = 0, **changes: Any) -> Ask:
    """A call that costs so many nano-dollars at most."""
    return Ask(bound=Bound(fixed=bound * UNITS, tokens=tokens), **changes)


def admitted(teller: Teller, record: CallRecord, bound: int = 100, *, tokens: int = 0) -> Receipt:
    """Admit a call that is not a repetition."""
    receipt = teller.admit(record, ask(bound, tokens=tokens))
    assert isinstance(receipt, Receipt)
    return receipt


def settlement(cost: int = 60, **changes: Any) -> Settlement:
    """A call that went well."""
    fields: dict[str, Any] = {
        "status": Status.OK,
        "counted": Counted.PROVIDER,
        "usage": Usage(input_tokens=3, cached_tokens=1, output_tokens=2, reasoning_tokens=4),
        "cost_nano": cost,
        "streamed": True,
        "http_status": 200,
        "provider": "fake",
        "target_model": "target-model",
        "price_id": None,
        "duration_ms": 12,
        "first_byte_ms": 3,
        "provider_request_id": "theirs",
        "attempts": [{"n": 1, "outcome": "answered"}],
    }
    return Settlement(**(fields | changes))
