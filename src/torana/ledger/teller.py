"""The teller: gathers the admissions and posts of a process and settles them batch by batch.

Whoever brings a job while no batch runs leads: it settles all that wait, wakes them, and hands the
lead to the first of those who came meanwhile. There is no timer and no thread; a batch is as large
as the load makes it. Works under greenlets and under threads.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from typing import Protocol

from torana.errors import LedgerUnavailable, ToranaError, UnwritableRow
from torana.ledger.decide import Admitted, Outcome, Refused
from torana.ledger.lanes import AdmitJob, Job, Lane, PostJob, Settled
from torana.ledger.records import CallRecord, Receipt, Settlement
from torana.ledger.refusals import error_of

logger = logging.getLogger("torana.ledger")

MAX_BATCH = 256
POST_SECONDS = 60.0
"""Longest that a post is tried again while the database is away."""
RETRY_SECONDS = 0.25


class TellerObserver(Protocol):
    """Who counts the teller's work."""

    def batch(self, size: int, seconds: float) -> None:
        """A batch was committed."""

    def wait(self, seconds: float) -> None:
        """A job was settled after waiting so long."""


class _Waiter:
    """A job, and the greenlet or thread that waits for its outcome."""

    __slots__ = ("error", "job", "leads", "outcome", "wake")

    def __init__(self, job: Job) -> None:
        self.job = job
        self.outcome: tuple[Outcome, Settled] | None = None
        self.error: ToranaError | None = None
        self.leads = False
        self.wake = threading.Event()


class Teller:
    """The one place of a process that writes money.

    Args:
        lane: the way to the database.
        observer: is told of batches and waits.
    """

    def __init__(self, lane: Lane, observer: TellerObserver) -> None:
        self._lane = lane
        self._observer = observer
        self._mutex = threading.Lock()
        self._pending: deque[_Waiter] = deque()
        self._leading = False
        self._down_until = 0.0

    def admit(self, record: CallRecord) -> Receipt:
        """Reserve a call's bound on all its balances, durably.

        Raises:
            LedgerUnavailable: the database is away; nothing was reserved as far as is known.
            BudgetExceeded, BudgetReserved, KeyRevoked, ScopeSuspended: the call is refused, and
                nothing was consumed.
        """
        if time.monotonic() < self._down_until:
            raise LedgerUnavailable("The ledger is not available.", retry_after=1)
        outcome, settled = self._submit(AdmitJob(record))
        if isinstance(outcome, Refused):
            raise error_of(outcome)
        if not isinstance(outcome, Admitted):
            message = f"an admission ended as {outcome!r}"
            raise TypeError(message)
        return Receipt(record, settled.now)

    def post(self, receipt: Receipt, settlement: Settlement) -> None:
        """Write a call's ledger entry and release its reservation; tried again while it can help.

        Posting a call twice changes nothing.

        Raises:
            LedgerUnavailable: the database stayed away; the reservation stands and the log has the
                figures.
            UnwritableRow: the entry can't be written as it is; the same holds.
        """
        deadline = time.monotonic() + POST_SECONDS
        job = PostJob(receipt, settlement)
        while True:
            try:
                self._submit(job)
            except (LedgerUnavailable, UnwritableRow) as error:
                if time.monotonic() >= deadline or isinstance(error, UnwritableRow):
                    logger.exception(
                        "ledger.post_failed",
                        extra={
                            "request_id": receipt.record.call_id,
                            "cost_nano": settlement.cost_nano,
                            "status": settlement.status.value,
                        },
                    )
                    raise
                time.sleep(RETRY_SECONDS)
            else:
                return

    def close(self) -> None:
        """Close the lane; call it when no job is under way."""
        self._lane.close()

    def _submit(self, job: Job) -> tuple[Outcome, Settled]:
        """Have a job settled. The wait needs no limit of its own: a lane's waits are bounded."""
        began = time.monotonic()
        waiter = _Waiter(job)
        with self._mutex:
            self._pending.append(waiter)
            if not self._leading:
                self._leading = True
                waiter.leads = True
        if not waiter.leads:
            try:
                waiter.wake.wait()
            except BaseException:
                self._leave(waiter)
                raise
        if waiter.leads:
            self._lead()
        self._observer.wait(time.monotonic() - began)
        if waiter.error is not None:
            raise waiter.error
        if waiter.outcome is None:
            message = "a job was woken without an outcome"
            raise RuntimeError(message)
        return waiter.outcome

    def _lead(self) -> None:
        """Settle one batch, which holds the leader's own job, and hand the lead on."""
        batch = self._take(MAX_BATCH)
        try:
            self._settle(batch)
        except LedgerUnavailable as error:
            # Those who came meanwhile would wait for the same failure.
            self._down_until = time.monotonic() + RETRY_SECONDS
            self._fail([*batch, *self._take()], error)
        except BaseException:
            self._fail(batch, LedgerUnavailable("The ledger failed.", retry_after=1))
            raise
        finally:
            self._hand_on()

    def _leave(self, waiter: _Waiter) -> None:
        """Whoever waited was killed: nobody waits for it, and it does not keep the lead."""
        with self._mutex:
            if waiter in self._pending:
                self._pending.remove(waiter)
        if waiter.leads:
            self._hand_on()

    def _take(self, most: int | None = None) -> list[_Waiter]:
        with self._mutex:
            count = len(self._pending) if most is None else min(len(self._pending), most)
            return [self._pending.popleft() for _ in range(count)]

    def _settle(self, batch: list[_Waiter]) -> None:
        """Settle a batch; one that holds a row which can't be written is halved until it is alone.

        Raises:
            LedgerUnavailable: the database is away.
        """
        began = time.monotonic()
        try:
            settled = self._lane.settle([waiter.job for waiter in batch])
        except UnwritableRow as error:
            self._settle_apart(batch, error)
            return
        self._down_until = 0.0
        self._observer.batch(len(batch), time.monotonic() - began)
        for waiter, outcome in zip(batch, settled.outcomes, strict=True):
            waiter.outcome = (outcome, settled)
            waiter.wake.set()

    def _settle_apart(self, batch: list[_Waiter], error: UnwritableRow) -> None:
        if len(batch) > 1:
            middle = len(batch) // 2
            self._settle(batch[:middle])
            self._settle(batch[middle:])
            return
        job = batch[0].job
        if isinstance(job, PostJob) and not job.settlement.is_bare:
            # The money first: what is said beside it can be left out.
            logger.error("ledger.entry_bared", extra={"request_id": job.receipt.record.call_id})
            batch[0].job = PostJob(job.receipt, job.settlement.bare())
            self._settle(batch)
            return
        self._fail(batch, error)

    def _fail(self, batch: list[_Waiter], error: ToranaError) -> None:
        unsettled = [waiter for waiter in batch if waiter.outcome is None and waiter.error is None]
        logger.error("ledger.batch_failed", extra={"size": len(unsettled)}, exc_info=error)
        for waiter in unsettled:
            waiter.error = error
            waiter.wake.set()

    def _hand_on(self) -> None:
        with self._mutex:
            successor = self._pending[0] if self._pending else None
            if successor is None:
                self._leading = False
                return
            successor.leads = True
        successor.wake.set()
