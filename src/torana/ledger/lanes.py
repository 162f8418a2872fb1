"""The teller's own way to the database: one connection, one transaction a batch.

A lane locks the balance rows of a batch in sorted order, deletes the reservations that its posts
release, lets `decide` judge, writes what follows, and commits. On PostgreSQL that is two round
trips (the driver's pipeline mode); on SQLite it runs in a native thread. A lane is used by one
batch at a time.

Which rows a batch needs is known for certain only from locked rows. When one was missing, the
transaction is ended without a trace and begun again with it; that happens once after a budget was
made, edited or rolled over by another process.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import msgspec

from torana.core.clock import instant_at, microseconds
from torana.core.ids import new_id
from torana.errors import LedgerUnavailable
from torana.ledger.decide import Abandoned, Balance, Book, ClaimRow, OpenCall, decide
from torana.ledger.directory import Directory, Dynamic
from torana.ledger.items import Outcome, Unopened
from torana.ledger.jobs import AdmitJob, ExtendJob, Job, PostJob, Settled, call_id_of, item_of
from torana.ledger.terms import Terms
from torana.ledger.windows import window_at
from torana.ledger.writes import Writes, writes_of

BALANCE_COLUMNS = (
    "id, scope_kind, scope_id, limit_nano, spent_nano, reserved_nano, open_calls, blocked, "
    "budget_id, window_start, window_end, request_tat, token_tat, notified, terms"
)
_ROUNDS = 8
"""How often a batch is locked anew before it gives up; each time a row was missing."""
_TERMS_KEPT = 20_000


class Locked(msgspec.Struct):
    """What the beginning of a transaction has locked and found.

    Attributes:
        rows: balances in the order of `BALANCE_COLUMNS`, `terms` as JSON text.
        open: reservations that the posts have released, and those to extend.
        claims: of Idempotency-Keys, those that have not expired.
    """

    now: datetime
    rows: list[tuple[Any, ...]]
    open: dict[str, OpenCall]
    claims: dict[str, ClaimRow]


class Lane(ABC):
    """The transaction, written once for both databases.

    Args:
        owner_id: this process's row in `owners`.
    """

    def __init__(self, owner_id: str) -> None:
        self._owner_id = owner_id
        self._directory = Directory()
        self._terms: dict[str, Terms] = {}
        self._terms_decoder = msgspec.json.Decoder(Terms)

    def settle(self, batch: Sequence[Job]) -> Settled:
        """Settle a batch in one transaction.

        Raises:
            LedgerUnavailable: the database did not do it, or its answer was lost.
            UnwritableRow: the database refused the content of a row; nothing was written.
        """
        book, balance_ids, unopened = self._lock(batch)
        before = {row.id: row.figures() for row in book.balances.values()}
        rolled, balance_ids = self._roll_over(book, batch, balance_ids)
        judged = iter(
            decide(
                book,
                [
                    item_of(job, balance_ids[index])
                    for index, job in enumerate(batch)
                    if index not in unopened
                ],
            )
        )
        outcomes: list[Outcome] = [
            unopened[index] if index in unopened else next(judged) for index in range(len(batch))
        ]
        writes = writes_of(
            book,
            batch,
            outcomes,
            balance_ids,
            before=before,
            rolled=rolled,
            owner_id=self._owner_id,
        )
        settled = Settled(outcomes, book.now, balance_ids)
        self._commit(settled, writes)
        self._directory.note(book.balances.values())
        return settled

    def _lock(
        self, batch: Sequence[Job]
    ) -> tuple[Book, list[tuple[str, ...]], dict[int, Unopened]]:
        """Lock all that a batch needs; its book, each job's balances, and who has no account."""
        posts = [call_id_of(job) for job in batch if isinstance(job, PostJob)]
        extends = [call_id_of(job) for job in batch if isinstance(job, ExtendJob)]
        claims = [
            job.ask.claim.id
            for job in batch
            if isinstance(job, AdmitJob) and job.ask.claim is not None
        ]
        wanted: set[str] = set()
        for job in batch:
            if isinstance(job, AdmitJob):
                wanted.update(self._directory.guess(job.record))
            else:
                wanted.update(job.receipt.balance_ids)
        for _ in range(_ROUNDS):
            locked = self._begin(sorted(wanted), posts, extends, claims)
            book = Book(
                locked.now,
                {row[0]: self._balance(row) for row in locked.rows},
                locked.open,
                locked.claims,
            )
            found, unopened = self._find(book, batch)
            needed = {balance_id for ids in found for balance_id in ids}
            if needed <= wanted:
                return book, found, unopened
            self._directory.note(book.balances.values())
            self._rollback()
            wanted |= needed
        raise LedgerUnavailable("The budgets change too quickly.", retry_after=1)

    def _find(
        self, book: Book, batch: Sequence[Job]
    ) -> tuple[list[tuple[str, ...]], dict[int, Unopened]]:
        """The balances of each job, by what the locked rows say."""
        found: list[tuple[str, ...]] = []
        unopened: dict[int, Unopened] = {}
        for index, job in enumerate(batch):
            if not isinstance(job, AdmitJob):
                call = book.open.get(call_id_of(job))
                found.append(call.balance_ids if call is not None else ())
                continue
            wanted = self._directory.wanted(job.record, book.balances.get)
            if wanted.unknown:
                missing = self._look_up(wanted.unknown)
                if missing is not None:
                    unopened[index] = missing
                wanted = self._directory.wanted(job.record, book.balances.get)
            found.append(tuple(wanted.balance_ids))
        lost = {
            call_id_of(job): job
            for job in batch
            if isinstance(job, PostJob) and call_id_of(job) not in book.open
        }
        if lost:
            book.abandoned = self._abandoned(lost)
            found.extend(item.balance_ids for item in book.abandoned.values())
        return found, unopened

    def _look_up(self, scopes: Iterable[Dynamic]) -> Unopened | None:
        """Learn the accounts of end users and tags; tell of one that a template must open."""
        for scope in scopes:
            account_id, has_template = self._dynamic_account(scope)
            if account_id is None and has_template:
                return Unopened(scope.scope_kind, scope.scope_id, scope.anchor_id)
            self._directory.note_dynamic(scope, account_id)
        return None

    def _roll_over(
        self, book: Book, batch: Sequence[Job], balance_ids: list[tuple[str, ...]]
    ) -> tuple[list[Balance], list[tuple[str, ...]]]:
        """Begin the next window of each budget whose present one has ended.

        Returns:
            The new windows, and the balances of each job with them in place of the old.
        """
        del balance_ids[len(batch) :]  # What corrections need was only to be locked.
        present = {
            balance_id
            for job, ids in zip(batch, balance_ids, strict=True)
            if isinstance(job, AdmitJob)
            for balance_id in ids
        }
        replaced: dict[str, str] = {}
        rolled = []
        rows = [book.balances[name] for name in sorted(present) if name in book.balances]
        # A clock that was set back must not lead out of any window that has begun.
        book.now = max([book.now, *(row.window_start for row in rows if row.window_start)])
        for row in rows:
            if row.window_end is None or row.window_end > book.now:
                continue
            new = next_window(row, book.now)
            replaced[row.id] = new.id
            book.balances[new.id] = new
            rolled.append(new)
        if not replaced:
            return [], balance_ids
        for row in book.balances.values():
            windows = row.terms.windows
            if any(name in replaced for name in windows):
                row.terms = msgspec.structs.replace(
                    row.terms, windows=tuple(replaced.get(name, name) for name in windows)
                )
        return rolled, [
            tuple(replaced.get(name, name) for name in ids) if isinstance(job, AdmitJob) else ids
            for job, ids in zip(batch, balance_ids, strict=True)
        ]

    def _balance(self, row: tuple[Any, ...]) -> Balance:
        text = row[-1]
        terms = self._terms.get(text)
        if terms is None:
            if len(self._terms) > _TERMS_KEPT:
                self._terms.clear()
            terms = self._terms[text] = self._terms_decoder.decode(text)
        return Balance(*row[:-1], terms)  # type: ignore[call-arg]

    @abstractmethod
    def _begin(
        self, balance_ids: list[str], posts: list[str], extends: list[str], claims: list[str]
    ) -> Locked:
        """Begin, lock the balances, delete the posts' reservations, read the rest."""

    @abstractmethod
    def _rollback(self) -> None:
        """End the transaction without a trace."""

    @abstractmethod
    def _dynamic_account(self, scope: Dynamic) -> tuple[str | None, bool]:
        """The account of an end user or tag, and whether a template would make one."""

    @abstractmethod
    def _abandoned(self, jobs: dict[str, PostJob]) -> dict[str, Abandoned]:
        """Of calls without a reservation, those that the sweeper posted and nobody corrected."""

    @abstractmethod
    def _commit(self, settled: Settled, writes: Writes) -> None:
        """Write all and commit; `settled` is what the batch comes to if that works."""

    @abstractmethod
    def close(self) -> None:
        """Close the connection."""


def next_window(row: Balance, now: datetime) -> Balance:
    """The window of a budget that an instant falls into, empty."""
    budget = row.terms.budget
    if budget is None:
        message = f"the window {row.id} has no budget"
        raise ValueError(message)
    start, end = window_at(budget, microseconds(now))
    begins = instant_at(start)
    if row.window_end is not None:
        # The rules of a time zone may have changed meanwhile; windows never overlap.
        begins = max(begins, row.window_end)
    return Balance(
        id=new_id("bal"),
        scope_kind=row.scope_kind,
        scope_id=row.scope_id,
        limit_nano=row.limit_nano,
        spent_nano=0,
        reserved_nano=0,
        open_calls=0,
        blocked=None,
        budget_id=row.budget_id,
        window_start=begins,
        window_end=None if end is None else instant_at(end),
        terms=row.terms,
    )
